"""A semaphore whose size can change while it is in use."""

from __future__ import annotations

import asyncio
from collections import deque


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
