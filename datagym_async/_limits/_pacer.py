"""Bytes a second: bodies on their way out, piece by piece.

The pace is kept where a body is read, in the recipe that the session hands to the transport, so
that one large body is paced like many small ones and the transport need not know of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs

from datagym_async._limits._statistics import Waited

if TYPE_CHECKING:
    from datagym_async._wire._messages import Body

# Pieces of about a tenth of a second: smooth for the line, cheap for the processor.
_PIECES_A_SECOND = 10
_LEAST_PIECE = 1024
_LARGEST_PIECE = 256 * 1024


class Pacer:
    """Let bytes go out at a rate: after n bytes at least n / rate seconds have passed.

    Whoever comes takes the next stretch of time, in the order they come, so that all bodies get
    equal shares. Idle time is not saved up for a burst.

    Args:
        rate: Bytes a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0
        self.piece = int(min(_LARGEST_PIECE, max(_LEAST_PIECE, rate / _PIECES_A_SECOND)))

    async def spend(self, count: int) -> float:
        """Wait until so many bytes have their turn and return the seconds that this took.

        Safe to cancel: bytes that do not go out are not counted.
        """
        now = asyncio.get_running_loop().time()
        turn = max(self._free_at, now) + count / self._rate
        self._free_at = turn
        try:
            await asyncio.sleep(turn - now)
        except asyncio.CancelledError:
            self._free_at -= count / self._rate
            raise
        return turn - now


def watched(body: Body, *, pacer: Pacer | None, waited: Waited) -> Body:
    """Return the same body, paced, and with the time noted that its source takes.

    Args:
        body: The recipe.
        pacer: The pace; None for none.
        waited: Where times are noted.
    """
    if pacer is None and body.open is None:
        return body

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        if body.open is None:
            yield _Outgoing(_Once(body.data or b""), pacer, waited)
            return
        async with body.open() as source:
            yield _Outgoing(source, pacer, waited)

    return attrs.evolve(body, open=opened, data=None)


@attrs.define
class _Once:
    """A body in memory, as one chunk."""

    data: bytes

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> bytes:
        if not self.data:
            raise StopAsyncIteration
        data, self.data = self.data, b""
        return data


@attrs.define
class _Outgoing:
    """A body's chunks, cut into pieces that are let go at the pace.

    No generator: whoever reads it may be cancelled while it waits, and reads no more then.
    """

    source: AsyncIterator[bytes]
    pacer: Pacer | None
    waited: Waited
    _chunk: bytes = b""
    _start: int = 0

    def __aiter__(self) -> _Outgoing:
        return self

    async def __anext__(self) -> bytes:
        if self._start >= len(self._chunk):
            await self._read()
        if self.pacer is None:
            self._start = len(self._chunk)
            return self._chunk
        piece = self._chunk[self._start : self._start + self.pacer.piece]
        self.waited.pace += await self.pacer.spend(len(piece))
        self._start += len(piece)
        return piece

    async def _read(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        self._chunk, self._start = await anext(self.source), 0
        self.waited.reading += clock() - began
