"""The data loader against the embedded service: what it yields, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import io
import json
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
import pytest
from PIL import Image

from datagym_async import DataGymClient, DatasetLoader, LoaderConfig, Sample
from datagym_async.exceptions import (
    APIConnectionError,
    ClientClosedError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
)
from datagym_async.labels import Annotation, LabeledImage, Rectangle
from datagym_async.server import SeedDataset, SeedMedia
from datagym_async.testing import Drop, Hang, RefuseToken, Status
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.service import until
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from pathlib import Path

    from datagym_async.models import DatasetMedia

COUNT = 23
PHOTOS = {f"{number:02}.jpg": jpeg(1500 + number, seed=number) for number in range(COUNT)}


@pytest.fixture
async def full() -> AsyncIterator[World]:
    """Return a world whose dataset holds 23 photos."""
    media = [SeedMedia(name, content, state="COMPLETED") for name, content in PHOTOS.items()]
    async with world(*media) as made:
        yield made


async def names(loader: DatasetLoader[Sample]) -> list[str]:
    """Return the names of what is left of the epoch."""
    return [sample.media.name async for sample in loader]


def workers() -> int:
    """Return how many workers of loaders are running."""
    return sum("Prefetcher._work" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_each_media_comes_once_with_its_bytes(full: World) -> None:
    """An epoch has every media, byte for byte, in the order of the ids."""
    samples = [sample async for sample in full.client.loader(full.dataset_id)]

    assert {sample.media.name: sample.data for sample in samples} == PHOTOS
    assert [sample.media.id for sample in samples] == sorted(each.id for each in await full.media())
    assert [sample.index for sample in samples] == list(range(COUNT))
    assert {sample.labels for sample in samples} == {None}


async def test_only_the_media_given_are_loaded(full: World) -> None:
    """Nothing is listed then, the order is that of all loaders, and labels come along."""
    chosen = [each for each in await full.media() if int(each.name[:2]) % 3 == 0]
    before = full.plan.count("GET", r"/dataset")
    loader = full.client.loader(media=iter(chosen), project_id=full.project_id)
    samples = [sample async for sample in loader]
    assert [sample.media for sample in samples] == sorted(chosen, key=lambda media: media.id)
    assert all(sample.labels is not None for sample in samples)
    assert full.plan.count("GET", r"/dataset") == before
    with pytest.raises(ConfigurationError, match="pass either dataset_id or media"):
        full.client.loader(full.dataset_id, media=chosen)


def test_batches_of_a_config_have_a_type(full: World) -> None:
    """A size that is passed by name is known to a type checker, one in the config is not."""
    load, config = full.client.loader, LoaderConfig(batch_size=3)
    named = load(full.dataset_id, batch_size=2, config=config)
    assert_type(named, DatasetLoader[tuple[Sample, ...]])
    assert_type(load(full.dataset_id, config=config), DatasetLoader[Any])


async def test_epochs_follow_each_other(full: World) -> None:
    """Each `async for` is an epoch; each has a shuffle of its own, the same in every loader."""
    async with full.client.loader(full.dataset_id, shuffle=5) as loader:
        first, second = await names(loader), await names(loader)
        assert loader.epoch == 2
    again = full.client.loader(full.dataset_id, shuffle=5)
    await again.set_epoch(1)

    assert sorted(first) == sorted(second) == sorted(PHOTOS)
    assert first != second
    assert await names(again) == second


async def test_numbers_of_numpy_choose_shard_and_epoch(full: World) -> None:
    """They overflowed in the shuffle, and a state that has them is no JSON."""
    plain = full.client.loader(full.dataset_id, shuffle=5, shard=(1, 2))
    await plain.set_epoch(3)
    shard = (np.int64(1), np.int64(2))
    loader = full.client.loader(full.dataset_id, shuffle=5, shard=shard)  # type: ignore[arg-type]
    await loader.set_epoch(np.int64(3))  # type: ignore[arg-type]

    assert await names(loader) == await names(plain)
    assert json.loads(json.dumps(loader.state_dict())) == plain.state_dict()


async def test_an_iteration_that_was_left_goes_on(full: World) -> None:
    """After a break the next sample is the very next one, also after closing."""
    async with full.client.loader(full.dataset_id, shuffle=1) as loader:
        whole = await names(loader)
        await loader.set_epoch(0)
        seen = []
        for _ in range(3):
            async for sample in loader:
                seen.append(sample.media.name)
                if len(seen) % 5 == 0:
                    break
        await loader.aclose()
        seen += await names(loader)

    assert seen == whole


async def test_a_loader_that_is_dropped_leaves_nothing_running(full: World) -> None:
    """Without a block, the workers end with the loader."""
    async for _ in full.client.loader(full.dataset_id):
        assert workers() == 16
        break
    for _ in range(20):
        await asyncio.sleep(0)

    assert workers() == 0


async def test_a_loader_in_a_circle_is_dropped_like_any_other(full: World) -> None:
    """Its workers wait for room then; the task that began them goes on, and hears of nothing."""

    class Training:
        """Holds a loader that leads back to it."""

        def __init__(self) -> None:
            self.loader = full.client.loader(full.dataset_id, prefetch=3, transform=self.keep)

        def keep(self, sample: Sample) -> Sample:
            return sample

    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    training = Training()
    await anext(training.loader)
    await until(lambda: full.plan.count("GET", "/media/") == 4 and full.plan.in_flight == 0)
    del training
    await dropped()

    assert not reports


async def test_a_loader_whose_first_step_was_cancelled_is_dropped_like_any_other(
    full: World,
) -> None:
    """Nothing that runs holds the error of that step, which leads to the loader."""
    full.plan.add(Hang(), path="/media/")
    loader = full.client.loader(full.dataset_id)
    step = asyncio.ensure_future(anext(loader))
    await until(lambda: full.plan.in_flight > 0)
    step.cancel()
    await asyncio.wait([step])
    del loader, step
    await dropped()


async def dropped() -> None:
    """Let Python delete what is left in circles, once the threads at work have let go of it."""

    def are_gone() -> bool:
        gc.collect()
        return workers() == 0

    await until(are_gone)


@pytest.mark.looptime
async def test_a_cancelled_step_loses_nothing(full: World) -> None:
    """Whoever gives up waiting for a sample gets it the next time."""
    full.plan.add(Hang(), path="/media/", first=1)
    async with full.client.loader(full.dataset_id) as loader:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await anext(loader)
        await loader.aclose()

        assert len(await names(loader)) == COUNT


async def test_labels_are_joined_by_media(full: World) -> None:
    """Each sample carries the labels of its own media; media that are not exported carry none."""
    media, client = await full.media(), full.client
    entry = {"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"}
    await client.label_configs.upload(full.project.label_configuration_id, [entry])
    images = [
        LabeledImage(media_id=each.id, annotations=(Annotation("car", Rectangle(number, 2, 3, 4)),))
        for number, each in enumerate(media)
    ]
    await client.labels.import_predictions(full.project_id, images, keep_data=False)
    for each in media[1:]:
        await full.server.set_task_state(full.project.task_ids[each.name], "REVIEWED")
    await full.server.set_task_state(full.project.task_ids[media[0].name], "WAITING")

    loader = client.loader(project_id=full.project_id, shuffle=3)
    found = {sample.media.id: sample.labels async for sample in loader}

    assert found.pop(media[0].id) is None
    assert {
        key: (labels.media_id, labels.annotations) for key, labels in found.items() if labels
    } == {image.media_id: (image.media_id, image.annotations) for image in images[1:]}


async def test_labels_that_nobody_has_are_said_once(
    full: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A loader of another dataset's project, or of unfinished tasks, warns before it trains."""
    other = await full.client.datasets.create("Other")
    await full.client.media.upload_file(other.id, PHOTOS["00.jpg"], name="a.jpg")
    async with full.client.loader(other.id, project_id=full.project_id) as loader:
        assert [[s.labels async for s in loader] for _ in range(2)] == [[None], [None]]
    (warning,) = [each for each in caplog.messages if "no sample has labels" in each]
    assert f"in project {full.project_id}" in warning
    caplog.clear()
    assert [s async for s in full.client.loader(full.dataset_id, project_id=full.project_id)]
    assert [s async for s in full.client.loader(other.id)]
    assert not [each for each in caplog.messages if "no sample" in each]


async def test_a_dataset_of_a_project_is_loaded_alone(full: World) -> None:
    """The project is there for its labels; without a dataset all of its datasets are loaded."""
    client = full.client
    media = [SeedMedia("other.jpg", jpeg(1600))]
    (other,) = await full.server.seed_datasets(SeedDataset("Other", media=media))
    await client.projects.add_dataset(full.project_id, other.id)

    held = await full.names()
    assert sorted(await names(client.loader(other.id, project_id=full.project_id))) == ["other.jpg"]
    assert sorted(await names(client.loader(full.dataset_id, project_id=full.project_id))) == held
    assert sorted(await names(client.loader(project_id=full.project_id))) == [*held, "other.jpg"]


async def test_the_labels_are_not_asked_for_when_not_wanted(full: World) -> None:
    """With labels=False there is no export."""
    samples = [
        sample async for sample in full.client.loader(project_id=full.project_id, labels=False)
    ]

    assert len(samples) == COUNT
    assert full.plan.count("GET", "/export/") == 0


async def test_images_are_decoded_as_they_are_stored() -> None:
    """Arrays are RGB, height x width; the EXIF orientation, which labels ignore, is left alone."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, gray = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 4), (255, 0, 0)).save(turned, "JPEG", exif=exif)
    Image.new("L", (5, 3), 7).save(gray, "PNG")
    media = SeedMedia("a.jpg", turned.getvalue()), SeedMedia("b.png", gray.getvalue())
    async with world(*media) as made:
        load = made.client.loader
        arrays = {s.media.name: s.data async for s in load(made.dataset_id, decode="numpy")}
        images = {s.media.name: s.data async for s in load(made.dataset_id, decode="pillow")}

    assert {name: (each.shape, each.dtype) for name, each in arrays.items()} == {
        "a.jpg": ((4, 8, 3), np.uint8),
        "b.png": ((3, 5, 3), np.uint8),
    }
    assert (arrays["b.png"] == 7).all()
    assert {name: (each.size, each.mode) for name, each in images.items()} == {
        "a.jpg": ((8, 4), "RGB"),
        "b.png": ((5, 3), "L"),
    }


async def test_arrays_of_gray_alpha_and_turned_images(caplog: pytest.LogCaptureFixture) -> None:
    """16 bits are not white, what arrays lose is said once, and labels turn with their image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, gray = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (80, 40), (255, 0, 0)).save(turned, "JPEG", exif=exif)
    Image.fromarray(np.full((30, 50), 32_767, np.uint16)).save(gray, "PNG")
    stored = {"a.jpg": turned, "b.png": gray, "c.png": gray}
    media = [SeedMedia(name, of.getvalue(), state="COMPLETED") for name, of in stored.items()]
    async with world(*media) as made:
        client = made.client
        entry = {"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"}
        await client.label_configs.upload(made.project.label_configuration_id, [entry])
        box = Annotation("car", Rectangle(10, 5, 20, 30))
        images = [LabeledImage(media_id=each.id, annotations=[box]) for each in await made.media()]
        await client.labels.import_predictions(made.project_id, images, keep_data=False)
        for name in stored:
            await made.server.set_task_state(made.project.task_ids[name], "COMPLETED")
        load = client.loader(project_id=made.project_id, decode="numpy", orientation="apply")
        found = {sample.media.name: sample async for sample in load}
        kept = [each async for each in client.loader(project_id=made.project_id, decode="pillow")]
        bare = client.loader(made.dataset_id, decode="pillow", orientation="apply")
        sizes = {sample.media.name: sample.data.size async for sample in bare}

    assert sizes == {"a.jpg": (40, 80), "b.png": (50, 30), "c.png": (50, 30)}
    assert {each.labels.annotations[0].shape for each in kept if each.labels} == {box.shape}
    assert found["a.jpg"].data.shape == (80, 40, 3)
    assert {name: sample.data.mean() for name, sample in found.items() if name != "a.jpg"} == {
        "b.png": 127,
        "c.png": 127,
    }
    assert {name: (each.mode, each.orientation) for name, each in found.items()} == {
        "a.jpg": ("RGB", 6),
        "b.png": ("I;16", 1),
        "c.png": ("I;16", 1),
    }
    shapes = {name: each.labels.annotations[0].shape for name, each in found.items() if each.labels}
    assert shapes["a.jpg"] == Rectangle(5, 10, 30, 20)
    assert shapes["b.png"] == box.shape
    said = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert [text.partition(" of media")[0] for text in said] == [
        "The array keeps only the upper 8 of the 16 bits"
    ]
    threads = {each.threadName for each in caplog.records if each.message in said}
    assert "MainThread" not in threads, "decoding blocks"


async def test_a_transform_runs_in_threads_and_says_what_is_yielded(full: World) -> None:
    """What the transform returns is yielded, in order; it never runs on the event loop."""

    def measure(sample: Sample) -> tuple[str, int]:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return sample.media.name, len(sample.data)

    found = [pair async for pair in full.client.loader(full.dataset_id, transform=measure)]

    assert dict(found) == {name: len(content) for name, content in PHOTOS.items()}


@pytest.mark.parametrize("drop_last", [False, True])
async def test_batches_and_their_last(full: World, drop_last: bool) -> None:
    """Batches are full but for the last, which is left out if asked."""
    loader = full.client.loader(full.dataset_id, batch_size=5, drop_last=drop_last)
    for _ in range(2):
        sizes = [len(batch) async for batch in loader]
        assert sizes == [5, 5, 5, 5] + ([] if drop_last else [3])


async def test_an_error_is_raised_in_its_place(full: World) -> None:
    """What cannot be loaded raises when its turn comes; afterwards its turn comes again."""
    media = sorted(each.id for each in await full.media())
    fault = full.plan.add(Status(404), path=media[3])
    async with full.client.loader(full.dataset_id) as loader:
        seen = [(await anext(loader)).media.id for _ in range(3)]
        for _ in range(2):
            with pytest.raises(NotFoundError) as raised:
                await anext(loader)
            assert media[3] in raised.value.__notes__[0]
            assert workers() == 0
        full.plan.faults.remove(fault)
        seen += [sample.media.id async for sample in loader]

    assert seen == media


async def test_what_cannot_be_loaded_is_skipped_or_replaced(full: World) -> None:
    """Skipping leaves a media out; a function may say what comes in its place, or None."""
    media = sorted(each.id for each in await full.media())
    full.plan.add(Status(404), path=f"{media[3]}|{media[7]}")

    def replace(media_: DatasetMedia, error: Exception) -> str | None:
        assert isinstance(error, NotFoundError)
        return "instead" if media_.id == media[3] else None

    load = full.client.loader
    skipped = [s.media.id async for s in load(full.dataset_id, on_error="skip")]
    replaced: list[object] = [s async for s in load(full.dataset_id, on_error=replace)]

    assert skipped == [each for each in media if each not in {media[3], media[7]}]
    assert (len(replaced), replaced[3]) == (COUNT - 1, "instead")


async def test_what_is_too_large_is_not_taken_from_the_cache(full: World, tmp_path: Path) -> None:
    """The limit is that of this loader, whatever an earlier one has kept."""
    load = full.client.loader
    first = [s.media.name async for s in load(full.dataset_id, cache=tmp_path)]
    bounded = load(full.dataset_id, cache=tmp_path, max_bytes=1510, on_error="skip")
    small = [sample.media.name async for sample in bounded]

    assert sorted(first) == sorted(PHOTOS)
    assert sorted(small) == [name for name, photo in PHOTOS.items() if len(photo) <= 1510]


async def test_what_a_transform_raises_is_an_error_like_others(full: World) -> None:
    """A transform that fails is skipped, or raised as it is."""

    def fail(sample: Sample) -> int:
        return 1 // (sample.index % 2)

    load = full.client.loader
    left = [v async for v in load(full.dataset_id, transform=fail, on_error="skip")]
    assert left == [1] * (COUNT // 2)
    with pytest.raises(ZeroDivisionError):
        await anext(load(full.dataset_id, transform=fail))


class _Unsized:
    """A value whose size cannot be asked for."""

    @property
    def nbytes(self) -> int:
        """Fail, as an array whose memory was released does."""
        raise BufferError("released")


class _Outcome(BaseException):
    """An error that is no `Exception`, as those of test runners are."""


async def test_no_error_of_a_function_given_leaves_the_consumer_waiting(full: World) -> None:
    """Whatever its kind, it is raised for its sample, and the loader goes on from there."""
    media = sorted(each.id for each in await full.media())
    full.plan.add(Status(404), path=media[1])

    def cancelled(media_: DatasetMedia, error: Exception) -> object:
        raise asyncio.CancelledError

    def exhausted(media_: DatasetMedia, error: Exception) -> object:
        raise StopAsyncIteration

    def ended(end: type[BaseException], sample: Sample) -> Sample:
        if sample.media.id == media[1]:
            raise end
        return sample

    load = full.client.loader
    wrong: list[tuple[DatasetLoader[object], type[BaseException]]] = [
        (load(full.dataset_id, on_error=lambda *_: _Unsized()), BufferError),
        (load(full.dataset_id, on_error=cancelled), RuntimeError),
        (load(full.dataset_id, on_error=exhausted), RuntimeError),
    ]
    for loader, kind in wrong:
        await anext(loader)
        for _ in range(2):
            with pytest.raises(kind):
                await anext(loader)
    full.plan.faults.clear()
    for end in (_Outcome, SystemExit, KeyboardInterrupt):
        transformed = load(full.dataset_id, transform=partial(ended, end))
        await anext(transformed)
        with pytest.raises(end):
            await anext(transformed)
        assert workers() == 0


async def test_nothing_skips_a_refused_token(full: World) -> None:
    """An error that every media would meet is raised, whatever is asked for."""
    loader = full.client.loader(full.dataset_id, on_error="skip")
    await loader.length()
    full.plan.add(RefuseToken())

    with pytest.raises(PermissionDeniedError):
        await anext(loader)


@pytest.mark.looptime
async def test_nothing_skips_a_service_that_is_gone(full: World) -> None:
    """Where media after media meets no answer, skipping all of them would be no epoch."""
    loader = full.client.loader(full.dataset_id, on_error="skip")
    await loader.length()
    full.plan.add(Drop())

    with pytest.raises(APIConnectionError):
        await anext(loader)


async def test_link_images_are_not_asked_for_unasked() -> None:
    """To ask for a link can skip its tasks, so it takes a decision."""
    link = SeedMedia("a.jpg", url="http://127.0.0.1:9/a.jpg")
    async with world(link, SeedMedia("b.jpg", jpeg(2000))) as made:
        with pytest.raises(ConfigurationError, match="1 of 2 media are links"):
            await anext(made.client.loader(made.dataset_id))
        kept = [s.media.name async for s in made.client.loader(made.dataset_id, links="skip")]
        assert made.plan.count("GET", "/media/") == 1

    assert kept == ["b.jpg"]


async def test_a_state_of_another_listing_is_refused(full: World) -> None:
    """Positions in another listing mean other media: said, and nothing yielded."""
    async with full.client.loader(full.dataset_id) as loader:
        await anext(loader)
        state = loader.state_dict()
    await full.client.media.delete((await full.media())[0].id)

    later = full.client.loader(full.dataset_id)
    await later.load_state_dict(state)
    with pytest.raises(ConfigurationError, match="23 media, and there are 22 now"):
        await anext(later)


async def test_a_state_of_another_shuffle_is_refused(full: World) -> None:
    """A state says how it was shuffled."""
    state = full.client.loader(full.dataset_id, shuffle=1).state_dict()
    with pytest.raises(ConfigurationError, match="shuffle=1, and this one has shuffle=None"):
        await full.client.loader(full.dataset_id).load_state_dict(state)


async def test_states_that_do_not_say_what_is_left_are_refused(full: World) -> None:
    """Of all shards, two of three; twice one; of other numbers; and one that is out of order."""

    async def state_of(shard: int, shards: int) -> Mapping[str, object]:
        loader = full.client.loader(full.dataset_id, shard=(shard, shards))
        await anext(loader)
        return loader.state_dict()

    three = [await state_of(shard, 3) for shard in range(3)]
    last = await state_of(2, 4)
    wrong = [three[:2], [*three[:2], three[1]], [*three, three[0]], [*three[:2], last]]
    other = full.client.loader(full.dataset_id)
    for states in wrong:
        with pytest.raises(ConfigurationError, match="not those of all shards of one loader"):
            await other.load_state_dict(states)
    with pytest.raises(ConfigurationError, match="load the states of all shards"):
        await other.load_state_dict({**three[0], "ahead": "2"})

    await other.load_state_dict(three)
    assert len([sample async for sample in other]) == len(await full.media()) - 3


@pytest.mark.parametrize(
    "state", [{}, {"version": 1}, {"version": 2, "epoch": 0}, [], [None], None, 7, "state"]
)
async def test_what_is_no_state_is_refused(full: World, state: dict[str, object]) -> None:
    """What no loader has written is refused in a sentence."""
    with pytest.raises(ConfigurationError, match="pass what state_dict"):
        await full.client.loader(full.dataset_id).load_state_dict(state)


@pytest.mark.parametrize("epoch", [-1, 1.5, True, None, "1"])
async def test_what_is_no_epoch_is_refused(full: World, epoch: int) -> None:
    """A state could not hold it, and the loader stays where it is."""
    loader = full.client.loader(full.dataset_id)
    await loader.set_epoch(3)
    with pytest.raises(ConfigurationError, match=r"^epoch is .*; it must be a whole number, 0 or "):
        await loader.set_epoch(epoch)
    assert loader.state_dict()["epoch"] == loader.epoch == 3


@pytest.mark.parametrize(
    "change",
    [
        {"shards": 0},
        {"shard": 1},
        {"passed": 24},
        {"base": 24},
        {"ahead": "f" * 9},
        {"done": "f" * 9},
        {"media": 1 << 99},
    ],
)
async def test_a_state_that_cannot_be_is_refused(full: World, change: dict[str, object]) -> None:
    """Numbers that no loader stands at, in a state that is one but for them."""
    loader = full.client.loader(full.dataset_id)
    await anext(loader)
    state = loader.state_dict()
    await loader.load_state_dict(state)
    with pytest.raises(ConfigurationError, match="pass what state_dict"):
        await loader.load_state_dict(state | change)


async def test_a_loader_belongs_to_one_loop(full: World) -> None:
    """In another event loop it says so at once, as the client does, instead of hanging."""
    loader = full.client.loader(full.dataset_id)
    await anext(loader)

    def elsewhere() -> list[str]:
        said = []
        for call in (loader.__anext__, full.client.ping, loader.length, loader.__aenter__):
            with pytest.raises(ClientClosedError, match="belongs to another event loop") as raised:
                asyncio.run(call())
            said.append(str(raised.value))
        return said

    said = await asyncio.to_thread(elsewhere)
    await loader.aclose()

    assert [text.partition(" belongs")[0] for text in said] == [
        "This loader",
        "The client",
        "This loader",
        "This loader",
    ]


async def test_a_loader_needs_something_to_load(full: World) -> None:
    """A loader without dataset and project is refused, an unknown project when it is asked."""
    with pytest.raises(ConfigurationError, match="pass dataset_id, project_id or media"):
        full.client.loader()
    with pytest.raises(NotFoundError, match="no project"):
        await anext(full.client.loader(project_id="0" * 8))


async def test_closing_waits_for_what_runs_in_threads(full: World) -> None:
    """After a block that is left in the middle no worker and no transform is running."""
    running = 0

    def slow(sample: Sample) -> int:
        nonlocal running
        running += 1
        total = sum(bytes(sample.data * 200))
        running -= 1
        return total

    async with full.client.loader(full.dataset_id, transform=slow) as loader:
        await anext(loader)

    assert (workers(), running) == (0, 0)


async def test_a_cancelled_consumer_leaves_nothing_running(full: World) -> None:
    """A task that iterates and is cancelled takes the workers with it."""
    begun = asyncio.Event()

    async def consume() -> None:
        async with full.client.loader(full.dataset_id) as loader:
            async for _ in loader:
                begun.set()
                await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(consume())
        await begun.wait()
        task.cancel()

    assert workers() == 0


async def test_a_closed_client_ends_the_iteration(full: World) -> None:
    """A loader of a client that was closed says so; it does not hang."""
    async with DataGymClient(TOKEN, full.server.base_url) as client:
        loader = client.loader(full.dataset_id, prefetch=2)
        await anext(loader)

    with pytest.raises(ClientClosedError):
        await names(loader)


async def test_a_second_task_is_refused_and_a_closed_loader_ends_the_first(full: World) -> None:
    """Neither waits for ever, and no sample is lost."""
    full.plan.add(Hang(), path="/media/", first=1)
    async with full.client.loader(full.dataset_id) as loader:
        waiting = asyncio.ensure_future(anext(loader))
        await until(lambda: full.plan.count(path="/media/") > 0)
        with pytest.raises(ClientClosedError, match="Another task is iterating"):
            await anext(loader)
        await loader.aclose()
        with pytest.raises(ClientClosedError, match="closed while a sample was awaited"):
            await waiting

        assert len(await names(loader)) == COUNT


async def test_a_media_that_is_too_long_goes_to_on_error(full: World) -> None:
    """`max_bytes` bounds each media as it is downloaded."""
    most = sorted(map(len, PHOTOS.values()))[-4]
    loader = full.client.loader(full.dataset_id, max_bytes=most, on_error="skip")
    samples = [sample async for sample in loader]

    assert len(samples) == COUNT - 3
    assert max(len(sample.data) for sample in samples) == most
