"""`DatasetLoader`: the samples of a dataset as an async iterator that can stop and resume anywhere.

The listing and the labels are fetched once and stored compactly. An epoch is a global order
(`Order`), of which this shard has its part (`Progress`); a `Prefetcher` loads it ahead of the
consumer. Only yielded samples are marked, so the state says exactly what remains.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, Self, TypeVar, cast

from datagym_async._checks import listed
from datagym_async._home import Home
from datagym_async._printable import logger
from datagym_async._public import NotCopied
from datagym_async._runs._engine import keep_freed_memory
from datagym_async._threads import in_thread
from datagym_async.data._cache import DiskCache
from datagym_async.data._config import LoaderConfig, refuse_coroutines
from datagym_async.data._listing import Library, Listing, export_labels, list_media, pack
from datagym_async.data._order import Order, Position, State, to_number
from datagym_async.data._samples import Loaded, Prefetcher, Sample, SampleLoader
from datagym_async.exceptions import ClientClosedError, ConfigurationError
from datagym_async.models import DatasetMedia

T_co = TypeVar("T_co", covariant=True)

_log = logger(__name__)
# Seconds of the consumer before the event loop gets a turn, and one more turn for each.
_BUSY = 0.001
_MOST_TURNS = 8


class DatasetLoader(NotCopied, Generic[T_co]):
    """Iterate over the samples of a dataset, loaded in advance; made by ``client.loader(...)``.

    ::

        async with client.loader(dataset_id, project_id=project_id, shuffle=7) as loader:
            for _ in range(epochs):
                async for sample in loader:
                    train(sample.data, sample.labels)

    It is one iterator: each complete ``async for`` is one epoch. If you leave it early, the next
    ``async for`` resumes at the next sample. Leaving the ``async with`` block, or `aclose`, stops
    all downloads; without a block, they stop when the loader is deleted.

    A sample that cannot be loaded raises its error (see ``on_error``); if you iterate again, the
    loader starts with that sample.

    A loader belongs to one process and to the event loop in which it is first used. Only one task
    at a time may iterate.

    Args:
        library: The parts of a client.
        dataset_id: UUID of the dataset, or None for all datasets of the project.
        project_id: UUID of the project whose labels the samples have, or None.
        media: Media to load, as a listing returns them; None to list the dataset or project.
        transform: Called in a thread with each sample; its result is yielded instead.
        config: The options.
    """

    def __init__(
        self,
        library: Library,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        media: Iterable[DatasetMedia] | None = None,
        transform: Callable[[Sample], object] | None = None,
        config: LoaderConfig | None = None,
    ) -> None:
        if dataset_id is None and project_id is None and media is None:
            raise ConfigurationError(
                "There is nothing to load; pass dataset_id, project_id or media"
            )
        if dataset_id is not None and media is not None:
            raise ConfigurationError("pass either dataset_id or media, not both")
        refuse_coroutines("transform", transform)
        self._library = library
        self._media = (
            None if media is None else tuple(map(pack, listed("media", media, DatasetMedia)))
        )
        self._config = config or LoaderConfig()
        self._source = dataset_id, project_id
        self._transform = transform
        self._home = Home("This loader")
        self._position = Position(self._config)
        self._samples: SampleLoader | None = None
        self._prefetcher: Prefetcher | None = None
        # Called when the loader is deleted. It holds the prefetcher, which would else be deleted
        # together with a loader in a reference cycle, and tasks that wait do not survive that.
        self._deletion: weakref.finalize[..., DatasetLoader[T_co]] | None = None
        # What the consumer gets next: the values so far, and the numbers of all samples up to
        # there, also skipped ones, which are done when the consumer has them.
        self._values: list[object] = []
        self._numbers: list[int] = []
        self._is_awaited = False
        self._last_turn = 0.0  # when the event loop last had a turn, as far as we know

    def __repr__(self) -> str:
        return f"<DatasetLoader {self._position}>"

    async def __aenter__(self) -> Self:
        self._home.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        self._home.check()
        if self._is_awaited:
            raise ClientClosedError(
                "Another task is iterating over this loader, and only one may at a time; make a "
                "loader for each task, with shard=..."
            )
        self._is_awaited = True
        try:
            prefetcher = self._prefetcher or await self._begin()
            while True:
                # For a ready sample nothing is awaited, unless the event loop needs a turn.
                at_once = prefetcher.has_ready and prefetcher.clock() - self._last_turn < _BUSY
                found = prefetcher.take() if at_once else await self._next(prefetcher)
                if found is None:
                    if self._values and not self._config.drop_last:
                        return self._give()
                    await self.set_epoch(self._position.epoch + 1)
                    raise StopAsyncIteration
                number, loaded = found
                if loaded.error is not None:
                    await self.aclose()
                    raise loaded.error
                self._numbers.append(number)
                if loaded.skipped:
                    continue
                self._values.append(loaded.value)
                if len(self._values) == (self._config.batch_size or 1):
                    return self._give()
        finally:
            self._is_awaited = False

    async def aclose(self) -> None:
        """Stop all downloads and drop what was loaded but not yielded. May be called again.

        The loader can be used again: it resumes at the next sample.
        """
        prefetcher, self._prefetcher = self._prefetcher, None
        self._values, self._numbers = [], []
        if self._deletion is not None:
            self._deletion.detach()
        if prefetcher is not None and self._home.is_in_process:
            await prefetcher.aclose()

    async def length(self) -> int:
        """Return the number of samples of this shard in an epoch; lists the media if needed.

        Raises:
            APIError: They cannot be listed.
        """
        self._home.check()
        return self._position.length((await self._fetched()).listing)

    @property
    def epoch(self) -> int:
        """Return the number of the current or next epoch, from 0."""
        return self._position.epoch

    async def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch, by its number from 0; stops what is running.

        Raises:
            ConfigurationError: It is not a whole number from 0 on.
        """
        epoch = to_number("epoch", epoch)
        await self.aclose()
        self._position.go_to(epoch)

    def state_dict(self) -> dict[str, object]:
        """Return the position of the loader: what was yielded, not what was loaded in advance.

        It is small, whatever the size of the dataset, and JSON can hold it.
        """
        listing = self._samples.listing if self._samples else None
        return self._position.state(listing).as_dict()

    async def load_state_dict(self, state: State | Sequence[State]) -> None:
        """Resume at the position of a state; stops what is running.

        Args:
            state: What `state_dict` returned, for this shard. With another number of shards: the
                state of one shard if all had yielded the same number of samples in order, or a list
                with the states of all shards.

        Raises:
            ConfigurationError: The state does not fit this loader, or is not enough. If the dataset
                has changed, this is found when it is listed.
        """
        await self.aclose()
        self._position.load(state)
        if self._samples is not None:
            self._position.check(self._samples.listing)

    async def _fetched(self) -> SampleLoader:
        """Return the loading function, with the listing and the labels, which are fetched once."""
        if self._samples is not None:
            return self._samples
        library, config = self._library, self._config
        dataset_id, project_id = self._source
        if self._media is None:
            listing = await list_media(library, dataset_id, project_id, links=config.links)
        else:
            listing = await in_thread(Listing, self._media)
        self._position.check(listing)
        labels = None
        if project_id is not None and config.labels:
            labels = await export_labels(library.labels, project_id, listing)
            if labels.is_empty and listing:
                _log.warning(
                    "no sample has labels: no task in project %s is finished, or the dataset is "
                    "not attached to it",
                    project_id,
                )
        cache = None if config.cache is None else DiskCache(config.cache, config.cache_bytes)
        self._samples = SampleLoader(library.media, listing, labels, config, cache, self._transform)
        return self._samples

    async def _begin(self) -> Prefetcher:
        samples = await self._fetched()
        progress = self._position.begin(samples.listing)
        epoch = self._position.epoch
        order = Order(len(samples.listing), self._config.shuffle, epoch)  # of all shards' samples
        # The loader holds them, and their `transform` may lead back to it.
        held: SampleLoader = weakref.proxy(samples)

        def load(number: int) -> Awaitable[Loaded]:
            return held.load(order.at(progress.position(number)), epoch=epoch)

        keep_freed_memory()
        config, lane = self._config, self._library.lane
        # As many workers as requests may ever be in flight; the lane decides how many are.
        workers = min(config.prefetch, config.concurrency or lane.most)
        prefetcher = Prefetcher(load, progress, config, workers)
        self._prefetcher = prefetcher
        self._deletion = weakref.finalize(self, _abandon, self._home, prefetcher)
        prefetcher.start(lane.pin(config.concurrency) if config.concurrency else None)
        return prefetcher

    async def _next(self, prefetcher: Prefetcher) -> tuple[int, Loaded] | None:
        """Return the next sample's number and result, or None at the end.

        A consumer that never awaits blocks the event loop, which then cannot load. So after a slow
        step it gets a ready sample only after the loop has had turns in proportion.
        """
        if prefetcher.has_ready:
            taken = prefetcher.clock() - self._last_turn
            for _ in range(min(_MOST_TURNS, int(taken / _BUSY))):
                await asyncio.sleep(0)
        found = await prefetcher.next()
        self._last_turn = prefetcher.clock()
        return found

    def _give(self) -> T_co:
        """Return the collected values, and mark their samples as done."""
        values, numbers = self._values, self._numbers
        self._values, self._numbers = [], []
        for number in numbers:
            self._position.mark(number)
        return cast("T_co", values[0] if self._config.batch_size is None else tuple(values))


def _abandon(home: Home, prefetcher: Prefetcher) -> None:
    if home.is_in_process:
        prefetcher.abandon()
