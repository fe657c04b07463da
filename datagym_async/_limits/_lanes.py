"""A semaphore whose size can change while it is in use.

One lane: its places, the controller of their number, and the pins on it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from datagym_async._limits._adaptive import Gradient, LimiterState
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ResizableSemaphore:
    """Let at most `limit` holders in, in the order they came.

    Args:
        limit: Number of holders, 1 or more. Made smaller, it lets nobody new in until enough
            holders have left; nobody is thrown out.
    """

    __slots__ = ("_held", "_limit", "_waiters")

    def __init__(self, limit: int) -> None:
        self._limit = _checked(limit)
        self._held = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        """Return the state: holders, limit and waiters."""
        return f"<ResizableSemaphore {self._held}/{self._limit}, {len(self._waiters)} waiting>"

    @property
    def limit(self) -> int:
        """Return the number of holders allowed."""
        return self._limit

    @property
    def held(self) -> int:
        """Return the number of holders now."""
        return self._held

    def resize(self, limit: int) -> None:
        """Change the number of holders allowed, from now on."""
        self._limit = _checked(limit)
        self._admit()

    def take(self) -> bool:
        """Take a place if a newcomer has not to wait for one, and return whether it was so."""
        if self._held >= self._limit or self._waiters:
            return False
        self._held += 1
        return True

    async def acquire(self) -> None:
        """Wait for a place and take it. Safe to cancel: no place is lost."""
        if self.take():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # Admitted and cancelled in the same turn of the loop: the place goes on.
                self.release()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def release(self) -> None:
        """Leave, and let the next one in."""
        self._held -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiters and self._held < self._limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._held += 1
                waiter.set_result(None)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()


def _checked(limit: int) -> int:
    if limit < 1:
        msg = f"a semaphore needs room for 1 holder or more, not {limit}"
        raise ValueError(msg)
    return limit


_UNOBSERVED = -1


class BoundedLane:
    """Bound the requests of one kind: by a fixed number, or by one that a controller finds.

    Args:
        most: Upper bound of the controller, or the fixed number.
        adaptive: Whether there is a controller.
        pin: A pin that is never left, or None.

    While the lane is pinned, the number of places is the largest pin in force, whatever the
    controller found, and nothing is observed; with the last pin gone, the controller goes on with
    the number that it had.
    """

    def __init__(self, most: int, *, adaptive: bool, pin: int | None = None) -> None:
        self._gradient = Gradient(most) if adaptive else None
        self._most = most
        self._pins: list[int] = [] if pin is None else [pin]
        self.places = ResizableSemaphore(self._wanted())
        self.active = 0

    def __repr__(self) -> str:
        """Return the state of the places."""
        return repr(self.places)

    def enter(self) -> int:
        """Count a request that begins now, and return the epoch that it is observed with."""
        self.active += 1
        if self._pins or self._gradient is None:
            return _UNOBSERVED
        # Let in under an earlier, larger limit, it tells nothing about this one.
        return self._gradient.epoch - (self.active > self.places.limit)

    def leave(self) -> None:
        """Count a request off, and let the next one in."""
        self.active -= 1
        self.places.release()

    def state(self) -> LimiterState:
        """Return what the lane allows now, and why."""
        if self._gradient is not None and not self._pins:
            return self._gradient.state(in_flight=self.active)
        limit = self.places.limit
        reason = f"pinned at {limit}" if self._pins else "fixed"
        return LimiterState(limit, self.active, reason, maximum=limit, is_pinned=bool(self._pins))

    @contextmanager
    def pin(self, places: int) -> Iterator[None]:
        """Fix the number of places while the block runs.

        Raises:
            ConfigurationError: It is less than 1.
        """
        check_pin(places)
        self._pins.append(places)
        self._follow()
        try:
            yield
        finally:
            self._pins.remove(places)
            self._follow()

    def answered(self, kind: str, *, size: int, seconds: float, epoch: int) -> None:
        """Observe a request that was answered (see `Gradient.succeeded`)."""
        if epoch == _UNOBSERVED or self._pins or self._gradient is None:
            return
        self._gradient.succeeded(
            size=size, seconds=seconds, in_flight=self.active, epoch=epoch, kind=kind
        )
        # The epoch moves on with each decision; most answers lead to none.
        if self._gradient.epoch != epoch:
            self._follow()

    def overloaded(self, why: str, *, epoch: int) -> None:
        """Observe a sign of overload (see `Gradient.overloaded`)."""
        if epoch == _UNOBSERVED or self._pins or self._gradient is None:
            return
        self._gradient.overloaded(why, epoch=epoch)
        self._follow()

    def _wanted(self) -> int:
        if self._pins:
            return max(self._pins)
        return self._most if self._gradient is None else self._gradient.limit

    def _follow(self) -> None:
        if (wanted := self._wanted()) != self.places.limit:
            self.places.resize(wanted)


def check_pin(places: int) -> None:
    """Raise `ConfigurationError` if a lane cannot have so many places."""
    if places < 1:
        msg = f"concurrency is {places!r}; it must be 1 or more"
        raise ConfigurationError(msg)
