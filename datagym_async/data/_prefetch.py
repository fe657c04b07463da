"""Load the samples of one epoch ahead of their consumer: a fixed number of workers, with limits.

Free workers take samples in order, and only while loaded and loading samples stay within the
limits. So the sample that the consumer waits for began before those behind it, and the limits
cannot block it. Workers never fail: the error of a sample is its result, so errors reach only the
consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager

import attrs

from datagym_async.data._config import LoaderConfig
from datagym_async.data._order import Progress
from datagym_async.exceptions import ClientClosedError

_FIRST_ESTIMATE = 1 << 20
_FORGETTING = 1 / 64  # how fast smaller samples replace the size of the largest one
# Maximum lead over the slowest sample, in multiples of `prefetch`, if order does not matter.
_WINDOW = 4


@attrs.define  # a frozen one takes three times as long to make
class Loaded:
    """What happened to a sample: a value of about `weight` bytes, nothing to yield, or an error."""

    value: object = None
    weight: int = 0
    skipped: bool = False
    error: Exception | None = None


@attrs.define
class Prefetcher:
    """Load samples for the consumer.

    It loads the pending samples of `progress` with a number of workers, by a `load` that raises
    only cancellations. The consumer may keep a batch before it marks it as done.
    """

    _load: Callable[[int], Awaitable[Loaded]]
    _progress: Progress
    _config: LoaderConfig
    _workers: int
    _pending: Iterator[int] = attrs.field(
        default=attrs.Factory(lambda self: self._progress.pending(), takes_self=True), init=False
    )
    _group: asyncio.TaskGroup = attrs.field(factory=asyncio.TaskGroup, init=False)
    _tasks: list[asyncio.Task[None]] = attrs.field(factory=list, init=False)
    _pins: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack, init=False)
    _idle: deque[asyncio.Future[None]] = attrs.field(factory=deque, init=False)
    _arrived: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    # The numbers of samples in the order of delivery: in the order of the epoch they are queued
    # when they are taken, otherwise when they are loaded.
    _queue: deque[int] = attrs.field(factory=deque, init=False)
    _loaded: dict[int, Loaded] = attrs.field(factory=dict, init=False)
    _next: int | None = attrs.field(default=None, init=False)
    _outstanding: int = attrs.field(default=0, init=False)
    _weight: float = attrs.field(default=0.0, init=False)
    _estimate: float = attrs.field(default=_FIRST_ESTIMATE, init=False)
    clock: Callable[[], float] = attrs.field(
        factory=lambda: asyncio.get_running_loop().time, init=False
    )

    async def start(self, pin: AbstractContextManager[object] | None) -> None:
        """Begin to load; `pin` lasts until this is closed."""
        await self._group.__aenter__()
        if pin is not None:
            self._pins.enter_context(pin)
        self._next = next(self._pending, None)
        self._tasks += [self._group.create_task(self._work()) for _ in range(self._workers)]

    @property
    def has_ready(self) -> bool:
        if not self._config.ordered:
            return bool(self._queue)
        return bool(self._queue) and self._queue[0] in self._loaded

    def take(self) -> tuple[int, Loaded]:
        """Return the next sample's number and result; it must be ready."""
        number = self._queue.popleft()
        loaded = self._loaded.pop(number)
        self._outstanding -= 1
        self._weight -= loaded.weight
        self._wake()
        return number, loaded

    async def next(self) -> tuple[int, Loaded] | None:
        """Return the next number and result, None at the end. A cancellation loses nothing."""
        while not self.has_ready:
            if not self._tasks:
                raise ClientClosedError("The loader was closed while a sample was awaited.")
            if self._next is None and not self._outstanding:
                return None
            self._wake()  # samples that the consumer marked as done may have made room, too
            self._arrived.clear()
            await self._arrived.wait()
        return self.take()

    def abandon(self) -> None:
        """Cancel all tasks soon: for a finaliser, which may run in any thread."""
        if self._tasks:
            with contextlib.suppress(RuntimeError):  # the loop is closed, with all tasks
                self._tasks[0].get_loop().call_soon_threadsafe(self.stop)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._pins.close()

    async def aclose(self) -> None:
        """Cancel all tasks and wait for their end; may be called again."""
        self.stop()
        if self._tasks:
            self._tasks.clear()
            self._arrived.set()  # for a consumer in another task
            await self._group.__aexit__(None, None, None)

    # The workers' side.

    async def _work(self) -> None:
        while True:
            while (number := self._claimed()) is None:  # until there may be room
                self._idle.append(woken := asyncio.get_running_loop().create_future())
                await woken
            reserved = self._estimate
            loaded = await self._load(number)
            # It counted as much as the largest recent sample; from now on its own size counts.
            self._weight += loaded.weight - reserved
            faded = self._estimate + (loaded.weight - self._estimate) * _FORGETTING
            self._estimate = max(loaded.weight, faded)
            self._loaded[number] = loaded
            if not self._config.ordered:
                self._queue.append(number)
            self._arrived.set()

    def _claimed(self) -> int | None:
        """Return the number of the next sample if there is room for it, or None."""
        number = self._next
        if number is None or not self._has_room(number):
            return None
        if self._config.ordered:
            self._queue.append(number)
        self._outstanding += 1
        self._weight += self._estimate
        self._next = next(self._pending, None)
        self._wake()  # there may be room for more than one
        return number

    def _has_room(self, number: int) -> bool:
        if not self._outstanding:
            return True
        config, weight = self._config, self._weight + self._estimate
        if self._outstanding >= config.prefetch or weight > config.prefetch_bytes:
            return False
        # If order does not matter: the maximum lead over the slowest sample.
        window = _WINDOW * config.prefetch + (config.batch_size or 1)
        return config.ordered or number < self._progress.passed + window

    def _wake(self) -> None:
        """Wake a worker if one is idle and there is room."""
        if not self._idle or self._next is None or not self._has_room(self._next):
            return
        while self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                return
