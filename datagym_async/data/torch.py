"""A loader as an ``IterableDataset``, for those who have torch; nothing else here imports torch.

::

    config = LoaderConfig(decode="numpy", shuffle=7)
    dataset = LoaderDataset(DataGymClient, dataset_id, transform=to_tensors, config=config)
    for images, targets in torch.utils.data.DataLoader(dataset, batch_size=32, num_workers=4):
        ...

Each worker process opens a client of its own, under an event loop in a thread of its own, when it
first iterates: nothing that belongs to a process or a loop is ever shared. The workers are the
shards, so that together they yield each media once; `rank` and `world_size` deal out the dataset to
several trainings before that.

Written against the documented interface of ``torch.utils.data``: `IterableDataset` and
`get_worker_info`.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import attrs

from datagym_async.data._config import LoaderConfig
from datagym_async.data._state import LoaderState
from datagym_async.exceptions import ConfigurationError
from datagym_async.models._ids import id_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from datagym_async.data._loader import DatasetLoader
    from datagym_async.data._samples import Sample
    from datagym_async.data._state import State
    from datagym_async.models import DatasetId, ProjectId

    class _WorkerInfo(Protocol):
        id: int
        num_workers: int

    T_co = TypeVar("T_co", covariant=True)

    class IterableDataset(Generic[T_co]):
        """What torch has under this name, as far as it matters here."""

    def get_worker_info() -> _WorkerInfo | None: ...
else:
    from torch.utils.data import IterableDataset, get_worker_info

T = TypeVar("T")

__all__ = ["LoaderDataset"]


class OpenClient(Protocol):
    """What is needed of an open client."""

    def loader(
        self,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        transform: Callable[[Sample], object] | None = None,
        config: LoaderConfig,
    ) -> DatasetLoader[object]:
        """Return a data loader."""


class LoaderDataset(IterableDataset[object]):
    """The samples of a dataset, for a ``torch.utils.data.DataLoader``.

    Each iteration is an epoch. One that is left early begins again the next time, unless
    `load_state_dict` was called.

    Args:
        client: Makes a client; `DataGymClient` itself takes address and token from the environment.
            With workers that are spawned it has to be picklable, as `transform` has.
        dataset_id: UUID of the dataset, or None for all of the project's.
        project_id: UUID of the project whose labels the samples carry, or None.
        transform: Called in a thread with each sample; what it returns is yielded instead.
        config: The options, but for `shard`, which follows from the workers. With a `batch_size`,
            give the DataLoader ``batch_size=None``.
        rank: Number of this training among several that share the dataset.
        world_size: How many there are.

    Raises:
        ConfigurationError: `config` names a shard, or the rank is not below the world size.
    """

    def __init__(
        self,
        client: Callable[[], AbstractAsyncContextManager[OpenClient]],
        dataset_id: DatasetId | None = None,
        *,
        project_id: ProjectId | None = None,
        transform: Callable[[Sample], object] | None = None,
        config: LoaderConfig | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._config = attrs.evolve(config or LoaderConfig(), shard=(rank, world_size))
        if config is not None and config.shard != (0, 1):
            raise ConfigurationError(
                f"shard is {config.shard!r}, and workers are the shards here; pass rank and "
                "world_size for several trainings"
            )
        self._client = client
        self._source = id_or_none(dataset_id, "dataset id"), id_or_none(project_id, "project id")
        self._transform = transform
        self._epoch = 0
        self._start: State | Sequence[State] | None = None
        self._last: State | None = None
        self._loader: DatasetLoader[object] | None = None

    def __iter__(self) -> Iterator[object]:
        with _LoopThread() as thread, ExitStack() as closing:
            stack = AsyncExitStack()
            closing.callback(lambda: thread.run(stack.aclose()))
            self._loader = loader = thread.run(self._open(stack, self._shard()))
            try:
                while True:
                    try:
                        value = thread.run(loader.__anext__())
                    except StopAsyncIteration:
                        break
                    yield value
                self._start = loader.state_dict()
            finally:
                self._loader, self._last = None, loader.state_dict()

    def state_dict(self) -> State:
        """Return where this worker's iteration stands, or stood last (see `DatasetLoader`).

        Of several workers each has a state of its own, and each process only its own.
        """
        if self._loader is not None:
            return self._loader.state_dict()
        begun = LoaderState(epoch=self._epoch, seed=self._config.shuffle, media=0, listing="")
        return self._last or begun.as_dict()

    def load_state_dict(self, state: State | Sequence[State]) -> None:
        """Have the next iteration resume where a loader stood (see `DatasetLoader`).

        The number of workers may be another one.
        """
        self._start, self._last = state, None

    def set_epoch(self, epoch: int) -> None:
        """Have the next iteration begin at an epoch, by its number from 0.

        Call it before each epoch where workers do not persist: they begin as copies of this.
        """
        self._epoch, self._start, self._last = epoch, None, None

    def _shard(self) -> tuple[int, int]:
        rank, world_size = self._config.shard
        if (info := get_worker_info()) is None:
            return rank, world_size
        return rank * info.num_workers + info.id, world_size * info.num_workers

    async def _open(self, stack: AsyncExitStack, shard: tuple[int, int]) -> DatasetLoader[object]:
        client = await stack.enter_async_context(self._client())
        dataset_id, project_id = self._source
        loader = client.loader(
            dataset_id,
            project_id=project_id,
            transform=self._transform,
            config=attrs.evolve(self._config, shard=shard),
        )
        await stack.enter_async_context(loader)
        if self._start is not None:
            await loader.load_state_dict(self._start)
        else:
            await loader.set_epoch(self._epoch)
        return loader


class _LoopThread:
    """An event loop in a thread of its own, until the block ends."""

    def __enter__(self) -> Self:
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._wait()), name="datagym-loader", daemon=True
        )
        self._thread.start()
        self._loop = self._ready.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def run(self, call: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    async def _wait(self) -> None:
        self._ended = asyncio.Event()
        self._ready.set_result(asyncio.get_running_loop())
        await self._ended.wait()
