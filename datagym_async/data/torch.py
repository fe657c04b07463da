"""A loader as an ``IterableDataset`` of torch; no other module imports torch.

Each worker process opens its own client, with an event loop in a separate thread, when it first
iterates. Nothing that belongs to a process or a loop is shared, except a few numbers (`_Board`) by
which `set_epoch` reaches running workers, and by which they detect errors. The workers are the
shards, so together they yield each media once; before that, `rank` and `world_size` divide the
dataset among several trainings.

Written against the documented interface of ``torch.utils.data``: `IterableDataset` and
`get_worker_info`.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from multiprocessing.context import get_spawning_popen
from multiprocessing.sharedctypes import RawValue
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import attrs

from datagym_async.data._config import LoaderConfig
from datagym_async.data._loader import DatasetLoader
from datagym_async.data._order import (
    Known,
    LoaderState,
    Position,
    State,
    rounds,
    states_in,
    to_number,
)
from datagym_async.data._samples import Sample
from datagym_async.exceptions import ConfigurationError
from datagym_async.models import DatasetId, ProjectId
from datagym_async.models._ids import id_or_none

if TYPE_CHECKING:

    class _WorkerInfo(Protocol):
        id: int
        num_workers: int

    T_co = TypeVar("T_co", covariant=True)

    class IterableDataset(Generic[T_co]):
        """The class of torch."""

    def get_worker_info() -> _WorkerInfo | None: ...
else:
    from torch.utils.data import IterableDataset, get_worker_info

T = TypeVar("T")

__all__ = ["LoaderDataset"]


class OpenClient(Protocol):
    """The needed part of an open client."""

    @property
    def loader(self) -> Callable[..., DatasetLoader[object]]: ...


_WATCHED = 1024  # workers; beyond that, a repeated epoch is not detected


class _Board(ctypes.Structure):
    """Shared memory for the process of a dataset and its workers."""

    _fields_ = (
        ("calls", ctypes.c_uint64),  # of set_epoch and load_state_dict
        ("loads", ctypes.c_uint64),  # of load_state_dict alone
        ("epoch", ctypes.c_uint64),
        ("workers", ctypes.c_uint64),  # that have begun since the last call; 0 for none
        ("media", ctypes.c_uint64),
        ("listing", ctypes.c_char * 16),
        ("begun", ctypes.c_uint64 * _WATCHED),  # by worker: 1 + the calls when it last began
    )


class LoaderDataset(IterableDataset[object]):
    """The samples of a dataset, for a ``torch.utils.data.DataLoader``.

    Call `set_epoch` before each epoch, with and without workers, persistent or not. If a worker
    would repeat an epoch, it raises an error instead. Without workers and without `set_epoch`, each
    complete iteration is one epoch; one that you leave early starts again the next time.

    Args:
        client: Creates a client; `DataGymClient` itself takes address and token from the
            environment. If workers are spawned, it and `transform` must be picklable.
        dataset_id: UUID of the dataset, or None for all datasets of the project.
        project_id: UUID of the project whose labels the samples have, or None.
        transform: Called in a thread with each sample; its result is yielded instead.
        config: The options, except `shard`, which follows from the workers. With a `batch_size`,
            pass ``batch_size=None`` to the DataLoader.
        rank: Number of this training among several that share the dataset. None takes rank and
            world size from ``torch.distributed`` if it is initialised now, else from the
            environment (``RANK`` and ``WORLD_SIZE``, as ``torchrun`` sets them), else there is only
            one.
        world_size: Number of these trainings; None if `rank` is None.
        num_workers: That of the DataLoader; `len` needs it, and another number is then refused.

    Raises:
        ConfigurationError: `config` has a shard, the rank is not below the world size, or only one
            of them is given.
    """

    def __init__(
        self,
        client: Callable[[], AbstractAsyncContextManager[OpenClient]],
        dataset_id: DatasetId | None = None,
        *,
        project_id: ProjectId | None = None,
        transform: Callable[[Sample], object] | None = None,
        config: LoaderConfig | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        num_workers: int | None = None,
    ) -> None:
        self._config = attrs.evolve(config or LoaderConfig(), shard=_place(rank, world_size))
        if config is not None and config.shard != (0, 1):
            raise ConfigurationError(
                f"shard is {config.shard!r}, and workers are the shards here; pass rank and "
                "world_size for several trainings"
            )
        self._client = client
        self._source = id_or_none(dataset_id, "dataset id"), id_or_none(project_id, "project id")
        self._transform = transform
        self._num_workers = num_workers
        self._board = RawValue(_Board)
        self._start: State | Sequence[State] | None = None  # where to resume
        self._is_used = False  # whether an iteration has begun there
        self._calls = self._loads = 0  # calls on the board that this process has seen
        self._process = 0  # that has begun an iteration
        self._last: State | None = None  # of an iteration that was left
        self._loader: DatasetLoader[object] | None = None

    def __getstate__(self) -> dict[str, object]:
        state = {**vars(self), "_loader": None}
        if get_spawning_popen() is None:  # a copy, not a worker: it has its own board
            state["_board"] = bytes(self._board)
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        if isinstance(copied := state["_board"], bytes):
            self._board = RawValue(_Board)
            ctypes.memmove(ctypes.addressof(self._board), copied, len(copied))

    def __iter__(self) -> Iterator[object]:
        # A new worker belongs to the calls before it was made, however late it begins.
        if self._process == os.getpid():
            self._sync()
        self._process = os.getpid()
        return self._iterate(self._calls)

    def _iterate(self, calls: int) -> Iterator[object]:
        self._enter(calls)
        begun = self._position().state(None)
        with _LoopThread() as thread, ExitStack() as closing:
            loader = self._open(thread, closing)
            if self._start is not None:
                thread.run(loader.load_state_dict(self._start))
            else:
                thread.run(loader.set_epoch(begun.epoch))
            self._loader, self._last = loader, None
            try:
                while True:
                    try:
                        value = thread.run(loader.__anext__())
                    except StopAsyncIteration:
                        break
                    yield value
            except BaseException:  # an error, or it was left early
                self._last = loader.state_dict()
                raise
            finally:
                self._loader = None
            if get_worker_info() is None:
                self._start, self._board.epoch = None, begun.epoch + 1
                return
            # The next epoch belongs to another worker, or begins when set_epoch says so.
            end = LoaderState.of(loader.state_dict())
            end = attrs.evolve(end, epoch=begun.epoch, base=begun.base, done=begun.done)
            self._last = attrs.evolve(end, passed=end.media, ahead=0).as_dict()

    def __len__(self) -> int:
        """Return how many values an epoch of this training has, of all its workers.

        Samples, or batches if the options have a `batch_size`. What cannot be loaded and is skipped
        is not known of. The media are listed if they have not been.

        Raises:
            TypeError: `num_workers` was not given, and no worker has begun.
            APIError: The media cannot be listed.
        """
        workers = self._num_workers
        if workers is None and (workers := self._board.workers or None) is None:
            raise TypeError("How many values each worker has depends on num_workers=; pass it")
        listing, config = self._known(), self._config
        values, size = 0, config.batch_size or 1
        for worker in range(max(1, workers)):
            samples = self._position(self._shard(worker, workers), resumes=False).length(listing)
            values += samples // size if config.drop_last else -(-samples // size)
        return values

    @property
    def epoch(self) -> int:
        """Return the number of the current or next epoch."""
        return int(self._board.epoch)

    def state_dict(self) -> State:
        """Return the position of the current or last iteration here (see `DatasetLoader`).

        Raises:
            ConfigurationError: Workers have started: each has its own state, and this process does
                not know how many of their samples were used. See `states_after`.
        """
        if self._loader is not None:
            return self._loader.state_dict()
        if get_worker_info() is None and self._board.workers:
            raise ConfigurationError(
                "The workers iterate, and this process has no state; call states_after(batches), "
                "or take the state of torchdata's StatefulDataLoader"
            )
        position = self._position()  # after a later call of set_epoch nothing is left of the last
        return self._last or position.state(None).as_dict()

    def states_after(self, batches: int) -> list[State]:
        """Return the states of all workers after a DataLoader has returned so many batches.

        Pass them to `load_state_dict` of a training with as many workers; or pass the states of all
        trainings in one list to change the numbers of trainings and workers.

        Args:
            batches: Batches received in this epoch, or since it was resumed.

        Raises:
            ConfigurationError: `batches` is not a whole number from 0 on. Or it is not known: there
                are workers, and the dataset does not make the batches, yields them without order,
                or skips samples that cannot be loaded.
        """
        batches = to_number("batches", batches)
        config, workers = self._config, self._board.workers
        if not workers:
            if self._start is None or self._is_used:
                return [self.state_dict()]
            return [self._start] if isinstance(self._start, Mapping) else list(self._start)
        size = config.batch_size
        if size is None or not config.ordered or (config.on_error != "raise" and not config.even):
            raise ConfigurationError(
                "What the workers gave is counted in batches, in order; that takes batch_size in "
                'the config (and None in the DataLoader), ordered=True, and on_error="raise" or '
                "even="
            )
        listing = self._known()
        shards = [self._position(self._shard(each, workers)) for each in range(workers)]
        pending = [shard.begin(listing).left for shard in shards]
        left = [each // size if config.drop_last else -(-each // size) for each in pending]
        for shard, most, given in zip(shards, pending, rounds(left, batches), strict=True):
            shard.begin(listing).advance(min(most, given * size))
        return [shard.state(listing).as_dict() for shard in shards]

    def load_state_dict(self, state: State | Sequence[State]) -> None:
        """Let the next iteration resume at the position of a state (see `DatasetLoader`).

        Call it before workers start; persistent workers refuse it later. The number of workers may
        change.

        Raises:
            ConfigurationError: It is not a state, or its epoch is not the one that was set.
        """
        epoch, board = _epoch_of(state), self._board
        self._start, self._last, self._is_used = state, None, False
        if get_worker_info() is None:
            board.calls, board.loads, board.epoch = board.calls + 1, board.loads + 1, epoch
            board.workers = 0
            self._loads = board.loads
        elif board.calls and epoch < board.epoch:  # of an epoch that has ended
            self._start = None
        elif board.calls and epoch > board.epoch:
            raise ConfigurationError(
                f"The state is of epoch {epoch}, and set_epoch({board.epoch}) was called; begin "
                "with the epoch of the state"
            )
        self._calls = board.calls

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration of all workers, by its number from 0.

        It begins at a loaded state if that is of this epoch, else at its beginning.

        Raises:
            ConfigurationError: It is not a whole number from 0 on.
        """
        board, epoch = self._board, to_number("epoch", epoch)
        has_begun = self._is_used or board.workers
        if self._start is not None and (has_begun or _epoch_of(self._start) != epoch):
            self._start = None
        board.calls, board.epoch, board.workers = board.calls + 1, epoch, 0
        self._last, self._calls = None, board.calls

    def _enter(self, calls: int) -> None:
        """Begin an iteration after this many calls, or refuse a wrong one."""
        board, info = self._board, get_worker_info()
        have = 0 if info is None else info.num_workers
        if self._num_workers not in {None, have}:
            raise ConfigurationError(
                f"num_workers is {self._num_workers}, and the DataLoader has {have}; pass the same"
            )
        self._sync()  # what was loaded is not used yet
        self._is_used = True
        if info is None:
            return
        if self._loads != board.loads:
            raise ConfigurationError(
                "load_state_dict was called after these workers had begun; call it before the "
                "first epoch, or make a new DataLoader"
            )
        if calls == board.calls:
            board.workers = info.num_workers
        if info.id < _WATCHED:
            began, board.begun[info.id] = board.begun[info.id], calls + 1
            depends = self._config.shuffle is not None or self._start is not None
            if began == calls + 1 and depends:
                raise ConfigurationError(
                    f"A worker begins epoch {board.epoch} again; call "
                    "dataset.set_epoch(...) before each epoch"
                )

    def _sync(self) -> None:
        """Follow later calls of set_epoch: a resume that has begun, or of another epoch, ends."""
        calls, epoch, start = self._board.calls, self._board.epoch, self._start
        if self._calls != calls:
            if self._is_used or (start is not None and _epoch_of(start) != epoch):
                self._start = None
            self._calls, self._is_used, self._last = calls, False, None

    def _position(self, shard: tuple[int, int] | None = None, *, resumes: bool = True) -> Position:
        """Return the position where a shard begins, by default that of this process."""
        self._sync()
        position = Position(attrs.evolve(self._config, shard=shard or self._shard()))
        if resumes and self._start is not None:
            position.load(self._start)
        else:
            position.go_to(self._board.epoch)
        return position

    def _shard(self, worker: int | None = None, workers: int = 0) -> tuple[int, int]:
        rank, world_size = self._config.shard
        if worker is None and (info := get_worker_info()) is not None:
            worker, workers = info.id, info.num_workers
        if not workers:
            return rank, world_size
        return rank * workers + (worker or 0), world_size * workers

    def _known(self) -> Known:
        """Return the data of the listing; list the media if there is none."""
        if not self._board.listing:
            with _LoopThread() as thread, ExitStack() as closing:
                self._open(thread, closing)
        return Known(self._board.media, self._board.listing.decode())

    def _open(self, thread: _LoopThread, closing: ExitStack) -> DatasetLoader[object]:
        """Return a loader in a thread; its media are listed and written to the board."""
        stack = AsyncExitStack()
        closing.callback(lambda: thread.run(stack.aclose()))

        async def opened() -> DatasetLoader[object]:
            client = await stack.enter_async_context(self._client())
            dataset_id, project_id = self._source
            loader = client.loader(
                dataset_id,
                project_id=project_id,
                transform=self._transform,
                config=attrs.evolve(self._config, shard=self._shard()),
            )
            await stack.enter_async_context(loader)
            await loader.length()
            return loader

        loader = thread.run(opened())
        found = LoaderState.of(loader.state_dict())
        self._board.media, self._board.listing = found.media, found.listing.encode()
        return loader


def _epoch_of(state: State | Sequence[State]) -> int:
    return min(each.epoch for each in states_in(state))


def _place(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Return rank and world size as given, or from torch or the environment."""
    if rank is not None and world_size is not None:
        return rank, world_size
    if rank is not None or world_size is not None:
        raise ConfigurationError(f"rank is {rank} and world_size {world_size}; pass both or none")
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    given = [os.environ.get(name) for name in ("RANK", "WORLD_SIZE")]
    if given == [None, None]:
        return 0, 1
    try:
        return int(given[0] or ""), int(given[1] or "")
    except ValueError:
        raise ConfigurationError(
            f"RANK is {given[0]!r} and WORLD_SIZE {given[1]!r} in the environment; set both to "
            "numbers, or pass rank and world_size"
        ) from None


class _LoopThread:
    """An event loop in its own thread, until the block ends."""

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
