"""`DatasetLoader`: the samples of a dataset as an async iterator that can be put down anywhere.

How it works: the listing and the labels are fetched once and held compactly. An epoch is a global
order (`Order`), of which this shard has its part (`Progress`); a run of workers (`Run`) loads it
ahead of the consumer. What was yielded is marked, and nothing else: so the state says exactly what
is left, wherever the loader is stopped.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

import attrs

from datagym_async._home import Home
from datagym_async.data._cache import DiskCache
from datagym_async.data._config import LoaderConfig
from datagym_async.data._labels import JoinedLabels, joined_labels
from datagym_async.data._listing import Listing
from datagym_async.data._loading import SampleLoader
from datagym_async.data._position import Position
from datagym_async.data._run import Bounds, Run
from datagym_async.data._source import list_media
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from datagym_async._runs._engine import RunLane
    from datagym_async.data._needs import Library
    from datagym_async.data._run import Loaded
    from datagym_async.data._sample import Sample
    from datagym_async.data._state import State

T_co = TypeVar("T_co", covariant=True)

_BUSY = 0.001
"""Seconds of the consumer that are worth a turn of the loop each."""
_MOST_TURNS = 8


@attrs.define
class _Held:
    """Samples that the consumer is about to get, and those passed over before them."""

    numbers: list[int] = attrs.field(factory=list)
    values: list[object] = attrs.field(factory=list)

    def add(self, number: int, loaded: Loaded) -> int:
        """Hold one more, and return how many there are to yield."""
        self.numbers.append(number)
        if not loaded.skipped:
            self.values.append(loaded.value)
        return len(self.values)

    def given_out(self) -> tuple[list[int], list[object]]:
        """Return all of them; from now on nothing is held."""
        given = self.numbers, self.values
        self.numbers, self.values = [], []
        return given


@attrs.frozen
class _Job:
    """What is loaded: fetched once, the same in all epochs."""

    listing: Listing
    samples: SampleLoader


class DatasetLoader(Generic[T_co]):
    """Iterate over the samples of a dataset, loaded ahead; made by ``client.loader(...)``.

    ::

        async with client.loader(dataset_id, project_id=project_id, shuffle=7) as loader:
            for _ in range(epochs):
                async for sample in loader:
                    train(sample.data, sample.labels)

    It is one iterator: an epoch ends the ``async for``, and the next one begins the next epoch. One
    that is left early goes on at the very next sample. Leaving the ``async with`` block, or
    `aclose`, ends what runs; ``async for ... in client.loader(...)`` without a block does so when
    the loader is dropped.

    A sample that cannot be loaded raises its error (see ``on_error``); iterating again begins with
    that sample.

    Belongs to the event loop in which it is used first, and to one process. One task at a time may
    iterate.

    Args:
        library: The parts of a client.
        dataset_id: UUID of the dataset, or None for all of the project's.
        project_id: UUID of the project whose labels the samples carry, or None.
        transform: Called in a thread with each sample; what it returns is yielded instead.
        config: The options.
    """

    def __init__(
        self,
        library: Library,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        transform: Callable[[Sample], object] | None = None,
        config: LoaderConfig | None = None,
    ) -> None:
        if dataset_id is None and project_id is None:
            raise ConfigurationError("There is nothing to load; pass dataset_id or project_id")
        self._library = library
        self._config = config or LoaderConfig()
        self._source = dataset_id, project_id
        self._transform = transform
        self._home = Home("This loader")
        self._position = Position(self._config)
        self._job: _Job | None = None
        self._run: Run | None = None
        self._held = _Held()
        self._turned = 0.0

    def __repr__(self) -> str:
        return f"<DatasetLoader {self._position}>"

    def __del__(self) -> None:
        run = getattr(self, "_run", None)
        if run is not None and self._home.is_in_process:
            run.abandon()

    async def __aenter__(self) -> Self:
        self._home.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        self._home.check()
        run = self._run or await self._begin()
        while True:
            found = run.take() if self._takes_at_once(run) else await self._next(run)
            if found is None:
                return await self._last(run)
            number, loaded = found
            if loaded.error is not None:
                await self.aclose()
                raise loaded.error
            if self._held.add(number, loaded) == (self._config.batch_size or 1):
                return self._given_out()

    async def aclose(self) -> None:
        """End what runs; what was loaded and not yielded is let go. May be called again.

        The loader can be used again: it goes on at the very next sample.
        """
        run, self._run = self._run, None
        self._held = _Held()
        if run is not None and self._home.is_in_process:
            await run.aclose()

    async def length(self) -> int:
        """Return how many samples this shard has in a whole epoch; the media are listed if need be.

        Raises:
            APIError: They cannot be listed.
        """
        self._home.check()
        return self._position.length((await self._opened()).listing)

    @property
    def epoch(self) -> int:
        """Return the number of the epoch that is iterated over, or comes next, from 0."""
        return self._position.epoch

    async def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; what runs is ended.

        Args:
            epoch: Its number; the shuffle depends on it.
        """
        await self.aclose()
        self._position.go_to(epoch)

    def state_dict(self) -> dict[str, object]:
        """Return where the loader stands: what was yielded, not what was loaded ahead.

        A handful of numbers and texts, whatever the size of the dataset; JSON can hold it.
        """
        return self._position.state(self._job.listing if self._job else None).as_dict()

    async def load_state_dict(self, state: State | Sequence[State]) -> None:
        """Go on where a loader stood; what runs is ended.

        Args:
            state: What `state_dict` returned: for this shard; or, for any number of shards, the
                state of one shard where all had yielded the same number of samples in order, or
                the states of all shards.

        Raises:
            ConfigurationError: The state does not fit this loader, or does not tell enough. That
                the dataset has changed since is found out when it is listed.
        """
        await self.aclose()
        self._position.load(state)
        if self._job is not None:
            self._position.check(self._job.listing)

    # Inside.

    async def _begin(self) -> Run:
        job = await self._opened()
        progress = self._position.begin(job.listing)
        order, epoch = self._position.order(job.listing), self._position.epoch

        def load(number: int) -> Awaitable[Loaded]:
            return job.samples.load(order.at(progress.position(number)), epoch=epoch)

        config, lane = self._config, self._library.lane
        bounds = Bounds(
            samples=config.prefetch,
            bytes=config.prefetch_bytes,
            ordered=config.ordered,
            slack=config.batch_size or 1,
        )
        run = Run(load, progress.pending(), lambda: progress.passed, bounds, _workers(config, lane))
        self._run = run
        await run.start(lane.pin(config.concurrency) if config.concurrency else None)
        return run

    async def _opened(self) -> _Job:
        if self._job is None:
            self._job = await self._fetched()
        return self._job

    async def _fetched(self) -> _Job:
        library, config = self._library, self._config
        dataset_id, project_id = self._source
        listing = await list_media(library, dataset_id, project_id, links=config.links)
        self._position.check(listing)
        labels = JoinedLabels()
        if project_id is not None and config.labels:
            labels = await joined_labels(library.labels, project_id, listing)
        cache = None if config.cache is None else DiskCache(config.cache, config.cache_bytes)
        samples = SampleLoader(library.media, listing, labels, config, cache, self._transform)
        return _Job(listing, samples)

    async def _next(self, run: Run) -> tuple[int, Loaded] | None:
        """Return the run's next sample, or None at its end.

        A consumer that does not await anything keeps the loop from loading. It gets no sample that
        is ready before the loop has had turns in proportion.
        """
        if run.has_ready:
            kept = run.clock() - self._turned
            for _ in range(min(_MOST_TURNS, int(kept / _BUSY))):
                await asyncio.sleep(0)
        found = await run.next()
        self._turned = run.clock()
        return found

    def _takes_at_once(self, run: Run) -> bool:
        return run.has_ready and run.clock() - self._turned < _BUSY

    def _given_out(self) -> T_co:
        numbers, values = self._held.given_out()
        for number in numbers:
            self._position.mark(number)
        return cast("T_co", values[0] if self._config.batch_size is None else tuple(values))

    async def _last(self, run: Run) -> T_co:
        """Return the rest as a batch, or end the epoch."""
        if self._held.values and not self._config.drop_last:
            return self._given_out()
        await run.aclose()
        await self.set_epoch(self._position.epoch + 1)
        raise StopAsyncIteration


def _workers(config: LoaderConfig, lane: RunLane) -> int:
    """Return how many samples are loaded at once: as many as may ever be in flight."""
    return min(config.prefetch, config.concurrency or lane.most)
