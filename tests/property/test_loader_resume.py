"""Property: shards are a partition, and a loader that goes on gives exactly the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

import attrs
from hypothesis import given
from hypothesis import strategies as st

from datagym_async.data import DatasetLoader, LoaderConfig, Sample
from datagym_async.data._config import Even
from datagym_async.data._order import rounds
from tests.helpers.fake_library import DATASET, FakeLibrary

if TYPE_CHECKING:
    State: TypeAlias = Mapping[str, object]

SHARDS = st.integers(1, 7)
SEEDS = st.one_of(st.none(), st.integers(0, 1000))


@attrs.frozen
class Job:
    """A dataset and how it is loaded."""

    count: int
    seed: int | None
    ordered: bool
    prefetch: int
    batch_size: int | None = None
    even: Even | None = None

    def loader(self, shard: int, shards: int) -> DatasetLoader[object]:
        """Return the loader of one shard; each sees the service in its own way."""
        config = LoaderConfig(
            shuffle=self.seed,
            ordered=self.ordered,
            prefetch=self.prefetch,
            batch_size=self.batch_size,
            shard=(shard, shards),
            even=self.even,
        )
        return DatasetLoader(FakeLibrary(self.count, seed=shard).library, DATASET, config=config)


JOBS = st.builds(
    Job,
    count=st.integers(0, 40),
    seed=SEEDS,
    ordered=st.booleans(),
    prefetch=st.integers(1, 12),
    batch_size=st.one_of(st.none(), st.integers(1, 5)),
)


async def take(loader: DatasetLoader[object], most: int | None = None) -> list[int]:
    """Return the indexes of the next so many values, or of all that is left of the epoch."""
    found: list[int] = []
    values = 0
    while values != most:
        try:
            value = await anext(loader)
        except StopAsyncIteration:
            break
        values += 1
        samples = value if isinstance(value, tuple) else (value,)
        found += [cast("Sample", sample).index for sample in samples]
    return found


async def begun(job: Job, steps: Sequence[int]) -> tuple[list[list[int]], list[State]]:
    """Return what each shard yielded in its number of steps, and its state then."""
    seen, states = [], []
    for shard, most in enumerate(steps):
        async with job.loader(shard, len(steps)) as loader:
            seen.append(await take(loader, most))
            states.append(saved(loader))
    return seen, states


def saved(loader: DatasetLoader[object]) -> Mapping[str, object]:
    """Return a loader's state as a file would give it back."""
    text = json.dumps(loader.state_dict())
    assert len(text) < 600
    return cast("dict[str, object]", json.loads(text))


async def ended(
    job: Job, shards: int, state: Mapping[str, object] | Sequence[Mapping[str, object]]
) -> list[list[int]]:
    """Return what each of so many shards yields from a state on."""
    rest = []
    for shard in range(shards):
        async with job.loader(shard, shards) as loader:
            await loader.load_state_dict(state)
            rest.append(await take(loader))
    return rest


def flat(parts: Sequence[Sequence[int]]) -> list[int]:
    """Return all numbers, sorted."""
    return sorted(number for part in parts for number in part)


@given(JOBS, SHARDS)
def test_shards_are_a_partition(job: Job, shards: int) -> None:
    """Together the shards yield each media once, and none has two more than another."""

    async def run() -> list[list[int]]:
        return [await take(job.loader(shard, shards)) for shard in range(shards)]

    parts = asyncio.run(run())
    assert flat(parts) == list(range(job.count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(JOBS, SHARDS, st.integers(0, 6), st.integers(0, 40))
def test_a_shard_goes_on_at_the_very_next_sample(
    job: Job, shards: int, shard: int, steps: int
) -> None:
    """After any number of values a new loader of the shard yields exactly the others, in order."""
    shard %= shards

    async def run() -> tuple[list[int], list[int], list[int]]:
        whole = await take(job.loader(shard, shards))
        async with job.loader(shard, shards) as loader:
            first = await take(loader, min(steps, -(-len(whole) // (job.batch_size or 1))))
            state = saved(loader)
        async with job.loader(shard, shards) as loader:
            await loader.load_state_dict(state)
            return whole, first, await take(loader)

    whole, first, rest = asyncio.run(run())
    if job.ordered:
        assert [*first, *rest] == whole
    assert sorted([*first, *rest]) == sorted(whole)


@given(JOBS, SHARDS, SHARDS, st.integers(0, 8))
def test_one_state_is_enough_where_all_did_the_same(
    job: Job, before: int, after: int, steps: int
) -> None:
    """In order, the state of any shard deals out the rest to any number of shards."""
    job = attrs.evolve(job, ordered=True)
    least = job.count // before // (job.batch_size or 1)
    steps = min(steps, least)

    async def run() -> tuple[list[list[int]], list[list[list[int]]]]:
        seen, states = await begun(job, [steps] * before)
        return seen, [await ended(job, after, state) for state in states]

    seen, rests = asyncio.run(run())
    for rest in rests:
        assert flat([*seen, *rest]) == list(range(job.count))


@given(JOBS, st.lists(st.integers(0, 8), min_size=1, max_size=5), SHARDS, SHARDS, st.integers(0, 3))
def test_all_states_are_enough_whatever_each_did(
    job: Job, steps: list[int], after: int, later: int, more: int
) -> None:
    """The states of all shards deal out the rest exactly, also out of order, also twice."""
    least = job.count // len(steps) // (job.batch_size or 1)
    steps = [min(each, least) for each in steps]

    async def run() -> list[list[int]]:
        seen, states = await begun(job, steps)
        again, newer = [], []
        for shard in range(after):
            async with job.loader(shard, after) as loader:
                await loader.load_state_dict(states)
                most = min(more, values_left(job, seen, after))
                again.append(await take(loader, most))
                newer.append(saved(loader))
        return [*seen, *again, *await ended(job, later, newer)]

    assert flat(asyncio.run(run())) == list(range(job.count))


def values_left(job: Job, seen: Sequence[Sequence[int]], shards: int) -> int:
    """Return how many values each shard has at least in what is left."""
    left = job.count - sum(map(len, seen))
    return left // shards // (job.batch_size or 1)


@given(JOBS, SHARDS, SHARDS, st.sampled_from(["pad", "drop"]), st.integers(0, 8))
def test_even_shards_are_equal(job: Job, shards: int, after: int, even: Even, steps: int) -> None:
    """All shards yield the same number, before a resume and after it, whatever their number.

    Padding repeats media and leaves none out; dropping repeats none.
    """
    job = attrs.evolve(job, even=even)
    least = job.count // shards // (job.batch_size or 1)

    async def run() -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
        whole = [await take(job.loader(shard, shards)) for shard in range(shards)]
        seen, states = await begun(job, [min(steps, least)] * shards)
        return whole, seen, await ended(job, after, states)

    whole, seen, rest = asyncio.run(run())
    size = -(-job.count // shards) if even == "pad" else job.count // shards
    assert {len(part) for part in whole} == {size}
    assert len({len(part) for part in rest}) == 1
    for each in (flat(whole), flat([*seen, *rest])):
        if even == "pad":
            assert set(each) == set(range(job.count))
        else:
            assert len(set(each)) == len(each) >= job.count - max(shards, after) + 1


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
    st.integers(0, 40),
)
def test_workers_give_in_turn(left: list[int], values: int) -> None:
    """What each worker gave is what a loop over all of them says."""
    values = min(values, sum(left))
    given_, turn = [0] * len(left), 0
    for _ in range(values):
        while given_[turn % len(left)] == left[turn % len(left)]:
            turn += 1
        given_[turn % len(left)] += 1
        turn += 1

    assert rounds(left, values) == given_
