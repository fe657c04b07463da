"""Requests and bytes a second: each takes the next stretch of time.

Bytes are paced when a body is read, before the transport, so that one large body is paced like many
small ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from datagym_async._limits._statistics import Waited
from datagym_async._wire._messages import Body

# Pieces of about a tenth of a second: smooth for the line, cheap for the processor.
_PIECES_A_SECOND = 10
_LEAST_PIECE = 1024
_LARGEST_PIECE = 256 * 1024


class Pacer:
    """Keeps a rate: each request, or piece of so many bytes, has a stretch of time for itself.

    Stretches are given out in order, so that all bodies get equal shares. Idle time is not saved up
    for a burst. Safe to cancel: the latest stretch is given back; an earlier one stays empty, since
    others have theirs after it.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate  # requests, or bytes, a second
        self.free_at = 0.0  # when the next stretch can begin, by the event loop's clock
        # Bytes of a body that go out at once.
        self.piece = int(min(_LARGEST_PIECE, max(_LEAST_PIECE, rate / _PIECES_A_SECOND)))

    def take(self, now: float) -> bool:
        """Take a stretch for a request if it can begin now, and return whether it can."""
        if self.free_at > now:
            return False
        self.free_at = now + 1 / self._rate
        return True

    async def begin(self) -> float:
        """Wait until a request may begin; return the seconds waited."""
        now = asyncio.get_running_loop().time()
        if self.take(now):
            return 0.0
        begins = self.free_at
        return await self._until(begins, now, begins + 1 / self._rate)

    async def spend(self, count: int) -> float:
        """Wait for the time of so many bytes; return the seconds waited."""
        now = asyncio.get_running_loop().time()
        ends = max(self.free_at, now) + count / self._rate
        return await self._until(ends, now, ends)

    async def _until(self, moment: float, now: float, ends: float) -> float:
        before, self.free_at = self.free_at, ends
        try:
            await asyncio.sleep(moment - now)
        except asyncio.CancelledError:
            if self.free_at == ends:
                self.free_at = before
            raise
        return moment - now


def watched(body: Body, *, pacer: Pacer | None, waited: Waited) -> Body:
    """Return the same body, paced; the time that its source takes is noted in `waited`."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        if body.open is None:
            yield _Outgoing(None, pacer, waited, body.data or b"")
            return
        async with body.open() as source:
            yield _Outgoing(source, pacer, waited)

    return attrs.evolve(body, open=opened, data=None)


@attrs.define
class _Outgoing:
    """A body in paced pieces; no generator, because its reader may be cancelled in a wait."""

    source: AsyncIterator[bytes] | None
    pacer: Pacer | None
    waited: Waited
    _chunk: bytes = b""
    _start: int = 0

    def __aiter__(self) -> _Outgoing:
        return self

    async def __anext__(self) -> bytes:
        if self._start >= len(self._chunk):
            if self.source is None:
                raise StopAsyncIteration
            clock = asyncio.get_running_loop().time
            began = clock()
            self._chunk, self._start = await anext(self.source), 0
            self.waited.reading += clock() - began
        if self.pacer is None:
            self._start = len(self._chunk)
            return self._chunk
        piece = self._chunk[self._start : self._start + self.pacer.piece]
        self.waited.pace += await self.pacer.spend(len(piece))
        self._start += len(piece)
        return piece
