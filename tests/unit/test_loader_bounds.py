"""How much a loader loads ahead, and what it leaves behind."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import attrs
import pytest

from datagym_async import DataGymClient
from datagym_async.data import DatasetLoader, LoaderConfig, Sample
from datagym_async.data._config import LoaderOptions
from datagym_async.exceptions import APIConnectionError, ConfigurationError
from tests.helpers.fake_library import DATASET, PROJECT, FakeLibrary
from tests.helpers.sentinel import TOKEN


def loader_of(world: FakeLibrary, config: LoaderConfig) -> DatasetLoader[Sample]:
    """Return a loader of a library."""
    return DatasetLoader(world.library, DATASET, config=config)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(400):
        await asyncio.sleep(0)


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_is_loaded_than_prefetch(ordered: bool) -> None:
    """What was asked for and not yielded never passes `prefetch`, by whatever step."""
    world = FakeLibrary(200)
    async with loader_of(world, LoaderConfig(prefetch=10, ordered=ordered)) as loader:
        for taken in range(1, 201):
            await anext(loader)
            if taken % 20 == 1:
                await settle()
            assert len(world.asked) - taken <= 10

    assert sorted(world.asked) == list(range(200))


async def test_no_more_is_loaded_than_bytes_allow() -> None:
    """Samples of 1 MB fill 8 MB: no more than that wait, however many are allowed."""
    world = FakeLibrary(30, size=1 << 20)
    config = LoaderConfig(prefetch=1000, prefetch_bytes=8 << 20)
    async with loader_of(world, config) as loader:
        for taken in range(1, 31):
            await anext(loader)
            await settle()
            assert len(world.asked) - taken == min(8, 30 - taken)


async def test_a_sample_that_is_loading_counts_as_much_as_the_largest_recent_one() -> None:
    """It began as 1 MiB: of 4 MiB fewer are loaded ahead, and of 64 KiB in time many more."""
    for size, allowed, ahead in ((4 << 20, 8 << 20, {2}), (64 << 10, 1 << 20, {14, 15})):
        world = FakeLibrary(500, size=size)
        async with loader_of(world, LoaderConfig(prefetch_bytes=allowed)) as loader:
            seen = set()
            for taken in range(1, 421):
                await anext(loader)
                await settle()
                if taken > 400:
                    seen.add(len(world.asked) - taken)
        assert seen <= ahead


@attrs.define
class Gated:
    """Media of chosen sizes, whose downloads wait for their gate; says which were begun."""

    size: Callable[[int], int] = lambda _: 8
    gates: dict[int, asyncio.Event] = attrs.field(factory=dict)
    gate: asyncio.Event = attrs.field(factory=asyncio.Event)  # of all others
    begun: list[int] = attrs.field(factory=list)

    async def download(self, media_id: str, *, link: bool = False, max_bytes: int = 0) -> bytes:
        """Return zeros."""
        del link, max_bytes
        number = UUID(media_id).int
        self.begun.append(number)
        await self.gates.get(number, self.gate).wait()
        return bytes(self.size(number))

    def loader(self, count: int, **options: Any) -> DatasetLoader[Any]:
        """Return a loader of so many."""
        library = attrs.evolve(FakeLibrary(count).library, media=self)
        return DatasetLoader(library, DATASET, config=LoaderConfig(**options))


async def test_the_room_of_a_large_sample_is_for_many_small_ones() -> None:
    """They begin at once, and not one after the other."""
    media = Gated(lambda number: 8 << 20 if number == 1 else 64 << 10)
    media.gate.set()
    async with media.loader(1000, prefetch=1000, prefetch_bytes=20 << 20) as loader:
        await anext(loader)
        for _ in range(4):
            await settle()
        media.gate.clear()
        before = len(media.begun)
        await anext(loader)
        await settle()

        assert before > 100
        assert len(media.begun) - before == 16  # as many as there are workers


async def test_one_sample_is_always_loaded() -> None:
    """A sample that is larger than all that is allowed is loaded alone."""
    world = FakeLibrary(20, size=1000)
    async with loader_of(world, LoaderConfig(prefetch_bytes=1)) as loader:
        assert len([sample async for sample in loader]) == 20

    assert world.peak == 1


async def test_the_lane_is_pinned_while_it_loads() -> None:
    """A number that is asked for by name bounds the workers and holds to the end of the run."""
    world = FakeLibrary(50)
    async with loader_of(world, LoaderConfig(concurrency=3)) as loader:
        await anext(loader)
        assert world.pins == [3]
        async for _ in loader:
            pass
        assert world.pins == []

    assert world.peak == 3


async def test_a_batch_larger_than_all_bounds_is_filled() -> None:
    """A batch may hold more than is loaded ahead, also out of order."""
    world = FakeLibrary(500)
    config = LoaderConfig(prefetch=2, batch_size=300, ordered=False)
    sizes = [len(batch) async for batch in _batches(world, config)]

    assert sizes == [300, 200]


def _batches(world: FakeLibrary, config: LoaderConfig) -> DatasetLoader[tuple[Sample, ...]]:
    return DatasetLoader(world.library, DATASET, config=config)


@pytest.mark.parametrize(("batch", "values", "ahead"), [(None, 20, 20), (30, 1, 49)])
async def test_a_slow_sample_holds_up_nobody_out_of_order(
    batch: int | None, values: int, ahead: int
) -> None:
    """Without an order, samples behind it are loaded, up to four times `prefetch` and a batch."""
    media = Gated(gates={0: asyncio.Event()})
    media.gate.set()
    async with media.loader(100, prefetch=5, ordered=False, batch_size=batch) as loader:
        seen = [await anext(loader) for _ in range(values)]
        waiting = asyncio.ensure_future(anext(loader))
        await settle()
        assert not waiting.done()
        assert sorted(media.begun) == list(range(ahead + 1))

        media.gates[0].set()
        seen += [await waiting, *[each async for each in loader]]

    samples = seen if batch is None else itertools.chain(*seen)
    assert sorted(sample.index for sample in samples) == list(range(100))


async def test_a_slow_sample_that_came_makes_room_before_another_that_is_slow() -> None:
    """What is done counts from the slowest on, whoever else is still awaited."""
    media = Gated(gates={0: asyncio.Event(), 20: asyncio.Event()})
    media.gate.set()
    async with media.loader(100, prefetch=5, ordered=False) as loader:
        seen = {(await anext(loader)).index for _ in range(19)}
        await settle()
        assert (seen, len(media.begun)) == ({*range(1, 20)}, 21)

        media.gates[0].set()
        async with asyncio.timeout(30):
            assert [(await anext(loader)).index for _ in range(2)] == [0, 21]


async def test_a_consumer_that_blocks_lets_others_run() -> None:
    """A consumer that never awaits anything else does not keep the loop from loading."""
    world = FakeLibrary(60)
    async with loader_of(world, LoaderConfig(prefetch=20)) as loader:
        ahead = []
        for taken in range(1, 41):
            await anext(loader)
            ahead.append(len(world.asked) - taken)
            time.sleep(0.003)  # noqa: ASYNC251 -- a step of a training that awaits nothing

    assert min(ahead[5:]) >= 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prefetch": 0}, "prefetch is 0; it must be 1 or more"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"shard": (2, 2)}, "shard is (2, 2)"),
        ({"shuffle": True}, "shuffle is True; give a seed, for example shuffle=0"),
        ({"decode": "jpg"}, "decode is 'jpg'"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"links": "fetch"}, "links is 'fetch'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], words: str) -> None:
    """Each option that makes no sense is refused in a sentence that names it."""
    with pytest.raises(ConfigurationError) as raised:
        LoaderConfig(**options)  # type: ignore[arg-type]  # that is the point

    assert words in str(raised.value)


async def test_functions_that_would_be_awaited_are_refused() -> None:
    """Nobody awaits what they return: it would be yielded as it is, a coroutine for each sample."""

    async def later(*_: object) -> None: ...

    with pytest.raises(ConfigurationError, match="on_error is a coroutine function"):
        LoaderConfig(on_error=later)
    with pytest.raises(ConfigurationError, match="transform is a coroutine function"):
        DatasetLoader(FakeLibrary(1).library, DATASET, transform=later)


def test_the_options_are_shown() -> None:
    """`help` and editors show each option of ``client.loader`` with the default that it has."""
    shown = inspect.signature(DataGymClient(TOKEN).loader).parameters
    options = {field.name: field.default for field in attrs.fields(LoaderConfig)}

    assert {name: shown[name].default for name in options} == options
    assert list(shown)[:5] == ["dataset_id", "project_id", "media", "transform", "config"]
    assert {*LoaderOptions.__annotations__, "batch_size"} == set(options)


async def test_options_by_name_go_before_a_config() -> None:
    """What is passed by name is looked at as the config's own options are."""
    async with DataGymClient(TOKEN, "http://127.0.0.1:9") as client:
        loader = client.loader(DATASET, config=LoaderConfig(shard=(1, 2)), shuffle=7)

        assert "shard 1 of 2" in repr(loader)
        assert loader.state_dict()["seed"] == 7
        with pytest.raises(ConfigurationError, match="prefetch is 0"):
            client.loader(DATASET, prefetch=0)


async def test_unequal_trainings_are_made_equal() -> None:
    """Of 500 images, 3 ranks with 2 workers have as many batches of 2: none waits for another."""
    for even, samples in (("drop", 83), ("pad", 84)):
        options = {"batch_size": 2, "drop_last": True, "even": even}
        lengths = []
        for shard in range(6):
            config = LoaderConfig(shard=(shard, 6), **options)  # type: ignore[arg-type]
            loader = loader_of(FakeLibrary(500), config)
            assert await loader.length() == samples
            lengths.append(len([batch async for batch in loader]))
        assert lengths == [samples // 2] * 6


async def test_even_shards_do_not_skip() -> None:
    """A skipped sample would make a shard shorter than the others: it is an error."""
    with pytest.raises(ConfigurationError, match="fewer samples than the others"):
        LoaderConfig(even="pad", on_error="skip")
    config = LoaderConfig(even="drop", on_error=lambda media, _: media.name[:1] == "1" or None)
    broken: dict[int, Exception] = {number: ValueError("broken") for number in (1, 2)}
    async with loader_of(FakeLibrary(4, errors=broken), config) as loader:
        assert (await anext(loader)).index == 0
        assert str(await anext(loader)) == "True"
        with pytest.raises(ValueError, match="broken") as raised:
            await anext(loader)
    assert raised.value.__notes__[-1] == 'on_error returned None; even="drop" needs a replacement'


async def test_a_service_that_answers_in_between_is_not_gone() -> None:
    """Every other sample fails, and is skipped: they would have to fail in a row."""
    gone: dict[int, Exception] = {number: APIConnectionError("lost") for number in range(1, 40, 2)}
    config = LoaderConfig(concurrency=1, on_error="skip")
    async with loader_of(FakeLibrary(40, errors=gone), config) as loader:
        assert [sample.index async for sample in loader] == list(range(0, 40, 2))


async def test_a_loader_goes_back_to_a_state_of_its_own() -> None:
    """What was loaded ahead is dropped; a state of another dataset is refused at once."""
    loader = DatasetLoader[Sample](FakeLibrary(30).library, DATASET)
    seen = [(await anext(loader)).index for _ in range(3)]
    state = loader.state_dict()
    seen += [(await anext(loader)).index for _ in range(4)]
    await loader.load_state_dict(state)
    again = [sample.index async for sample in loader]

    assert (seen, again) == ([*range(7)], [*range(3, 30)])
    async with DatasetLoader[Sample](FakeLibrary(29).library, DATASET) as other:
        await other.length()
        with pytest.raises(ConfigurationError, match="30 media, and there are 29 now"):
            await other.load_state_dict(state)


async def test_an_empty_dataset_lacks_no_labels(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to say of a project without images."""
    for count, warnings in ((0, 0), (1, 1)):
        caplog.clear()
        loader = DatasetLoader[Sample](FakeLibrary(count).library, DATASET, project_id=PROJECT)
        assert len([sample async for sample in loader]) == count
        assert caplog.text.count("no sample has labels") == warnings
