"""Who waits for room: `Admission`, and a lane with the controller of its limit and its pins."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from datagym_async._checks import check_one_or_more
from datagym_async._limits._adaptive import Gradient, LimiterState

_UNOBSERVED = -1


class Admission:
    """Admit sizes in the order in which they come, up to a limit together.

    One above the limit is admitted alone. Nobody overtakes, so that a large one gets its turn.
    After the limit has fallen, none is admitted until enough have left.
    """

    __slots__ = ("_waiters", "held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self.held: int = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, size: int = 1) -> bool:
        """Admit a size if that needs no wait, and return whether it was admitted."""
        held = self.held + size
        if self._waiters or (self.held and held > self.limit):
            return False
        self.held = held
        return True

    async def acquire(self, size: int = 1) -> None:
        """Wait until a size is admitted, until `release`. Safe to cancel: nothing is lost."""
        if self.take(size):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((size, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):
                    self._waiters.remove((size, waiter))
                self._admit()  # it may have been the large one at the front
            else:
                self.release(size)  # admitted and cancelled in the same turn of the loop
            raise

    def release(self, size: int = 1) -> None:
        self.held -= size
        if self._waiters:
            self._admit()

    def _admit(self) -> None:
        while self._waiters:
            size, waiter = self._waiters[0]
            if not waiter.done():  # otherwise it was cancelled
                if self.held and self.held + size > self.limit:
                    return
                self.held += size
                waiter.set_result(None)
            self._waiters.popleft()


class BoundedLane(Admission):
    """Limits the requests of one kind: by a fixed number, or by one that a controller finds.

    While the lane is pinned, its limit is the largest of its pins, and nothing is observed; after
    the last one the controller resumes with its own number. A `pin` that is given at the start
    stays. Each job has its own pin, since each has its own number of workers; a pin may be above
    the lane's maximum, since it was asked for.
    """

    __slots__ = ("_gradient", "_most", "_pins", "active")

    def __init__(self, most: int, *, adaptive: bool, pin: int | None = None) -> None:
        self._gradient = Gradient(most) if adaptive else None
        self._most = most
        self._pins: list[int] = [] if pin is None else [pin]
        super().__init__(self._wanted())
        self.active: int = 0  # requests that have begun; the others wait for a pause or the rate

    def __repr__(self) -> str:
        return f"{self.held}/{self.limit}, {len(self._waiters)} waiting"

    def begin(self) -> int:
        """Count a request that begins now, and return its epoch for the controller."""
        self.active += 1
        if self._gradient is None or self._pins:
            return _UNOBSERVED
        # One that entered under an earlier, larger limit says nothing about this one.
        return self._gradient.epoch - (self.active > self.limit)

    @property
    def most(self) -> int:
        """Return how many requests may ever be in flight at once."""
        return self.state().maximum

    def state(self) -> LimiterState:
        if self._gradient is not None and not self._pins:
            return self._gradient.state(in_flight=self.active)
        limit = self.limit
        reason = f"pinned at {limit}" if self._pins else "fixed"
        return LimiterState(limit, self.active, reason, maximum=limit, is_pinned=bool(self._pins))

    @contextmanager
    def pin(self, limit: int) -> Iterator[None]:
        """Fix the limit while the block runs: ``with lane.pin(...)``."""
        check_one_or_more("concurrency", limit)
        self._pins.append(limit)
        self._follow()
        try:
            yield
        finally:
            self._pins.remove(limit)
            self._follow()

    def answered(self, kind: str, *, size: int, seconds: float, epoch: int) -> None:
        if epoch == _UNOBSERVED or self._pins or self._gradient is None:
            return
        self._gradient.succeeded(
            size=size, seconds=seconds, in_flight=self.active, epoch=epoch, kind=kind
        )
        # Each decision changes the epoch; most answers lead to none.
        if self._gradient.epoch != epoch:
            self._follow()

    def overloaded(self, why: str, *, epoch: int) -> None:
        if epoch == _UNOBSERVED or self._pins or self._gradient is None:
            return
        self._gradient.overloaded(why, epoch=epoch)
        self._follow()

    def _wanted(self) -> int:
        if self._pins:
            return max(self._pins)
        return self._most if self._gradient is None else self._gradient.limit

    def _follow(self) -> None:
        self.limit: int = self._wanted()
        self._admit()
