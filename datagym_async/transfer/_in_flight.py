"""Bound the bytes that are on their way at once."""

from __future__ import annotations

import asyncio
from collections import deque

import attrs


@attrs.frozen
class _Held:
    """The bytes of one body, for the length of a block."""

    bound: BytesInFlight
    size: int

    async def __aenter__(self) -> None:
        if not self.bound.take(self.size):
            await self.bound.acquire(self.size)

    async def __aexit__(self, *_: object) -> None:
        self.bound.release(self.size)


class BytesInFlight:
    """Let bodies in while they have at most so many bytes together, in the order they came.

    One that is larger than the bound goes alone. Whoever waits is overtaken by nobody, so that a
    large body gets its turn.

    Open files need no bound of their own: a worker has one open at most, and what is read ahead is
    closed before it is handed over.

    Args:
        most: The bound; None for none.
    """

    __slots__ = ("_held", "_most", "_waiters")

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._held = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Return the bytes on their way now."""
        return self._held

    def hold(self, size: int) -> _Held:
        """Wait until a body may be sent, and keep its bytes: ``async with bound.hold(size)``."""
        return _Held(self, size)

    def _fits(self, size: int) -> bool:
        return self._most is None or self._held == 0 or self._held + size <= self._most

    def take(self, size: int) -> bool:
        """Let a body of this size in if it may be sent at once, and return whether it was so."""
        if self._waiters or not self._fits(size):
            return False
        self._held += size
        return True

    async def acquire(self, size: int) -> None:
        """Wait until a body of this size may be sent; `release` gives its bytes back."""
        if self.take(size):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((size, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # Let in and cancelled in the same turn of the loop: the bytes go on.
                self.release(size)
            else:
                # The one that left may have been the large one at the front.
                self._admit()
            raise

    def release(self, size: int) -> None:
        """Give the bytes of a body back."""
        self._held -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiters:
            size, waiter = self._waiters[0]
            if waiter.done():  # cancelled
                self._waiters.popleft()
            elif self._fits(size):
                self._waiters.popleft()
                self._held += size
                waiter.set_result(None)
            else:
                return
