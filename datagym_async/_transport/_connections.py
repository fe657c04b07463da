"""Both halves of a connection, where aiohttp falls short.

**What goes out.** Whether a request can have been carried out depends on whether its body went out
whole, and what a body's source raised is the caller's to see; aiohttp tells neither. So bodies are
payloads that know how far they got.

**What comes in.** aiohttp keeps whatever comes on an idle connection, and hands it to the next
request as its answer. A server that answers twice, or a proxy that mixes two clients up, so tells
one call what was meant for another. Here the second answer closes its connection.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection

# A body in memory goes out in slices, and its end only when what is before it has gone: so one
# that was cut short is known to have been. Each slice takes a turn of the loop.
_SLICE = 1024 * 1024
# Up to here it goes out with the headers, in one piece: a packet of their own costs more than the
# copy that some event loops make of both.
_ALL_AT_ONCE = 256 * 1024
LONGEST_FIELD = 64 * 1024
"""Bytes of a header field that are read: gateways set cookies of more than aiohttp's 8 kB."""
_SHORT = 4096
"""Bytes of an answer up to which its head is remembered."""
_MOST_HEADS = 16
# Linux alone tells it; elsewhere the event loop does, a turn later.
_HUNG_UP: int = getattr(select, "POLLRDHUP", 0)


def _nothing() -> None:
    """Do nothing."""


class OutgoingBody:
    """One attempt's body; `OnAiohttp` hands it to aiohttp's session.

    Attributes:
        whole: Whether its last byte was handed over.
        goes_with_head: Whether it goes out in one piece with the head of its request.
        failure: What its source raised, or None.
        when_sent: Called when all of it has gone.
    """

    __slots__ = ("failure", "goes_with_head", "when_sent", "whole")

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.goes_with_head = False
        self.failure: Exception | None = None
        self.when_sent: Callable[[], None] = _nothing

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body."""
        raise NotImplementedError

    async def settle(self) -> None:
        """Wait until nobody reads from the source any more."""


class OnAiohttp(aiohttp.Payload):
    """A body as aiohttp's session takes it.

    Args:
        body: The body.
    """

    _autoclose = True  # what it reads from is closed by whoever opened it

    def __init__(self, body: OutgoingBody) -> None:
        super().__init__(None)
        self._body = body

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        """Refuse: a body is written, never read back."""
        raise TypeError("a body on its way out is not decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body; aiohttp's older entry."""
        await self._body.write(writer)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body; the announced length is its own."""
        await self._body.write(writer)


class BodyInMemory(OutgoingBody):
    """A body in memory.

    Args:
        data: All of it.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        # Written out: one is made for each of many small uploads.
        self.whole = not data
        self.goes_with_head = len(data) <= _ALL_AT_ONCE
        self.failure = None
        self.when_sent = _nothing
        self.data = data

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body."""
        data = self.data
        if self.goes_with_head:
            # Noted before the last piece is handed over: what comes after is out of our hands.
            self.whole = True
            await writer.write(data)
            self.when_sent()
            return
        self.whole = False
        writer.send_headers()
        for piece in self.slices():
            await writer.write(piece)
        self.when_sent()

    def slices(self) -> Iterator[memoryview]:
        """Give a large body in slices; it counts as gone when the last one is asked for."""
        view = memoryview(self.data)
        end = max(0, len(view) - _ALL_AT_ONCE)
        for start in range(0, end, _SLICE):
            yield view[start : min(start + _SLICE, end)]
        self.whole = True
        yield view[end:]


class StreamedBody(OutgoingBody):
    """A body read from a source while it goes out.

    Args:
        source: Gives its chunks.
        size: Bytes that they should be.
    """

    __slots__ = ("_left", "_reading", "_source")

    def __init__(self, source: AsyncIterator[bytes], size: int) -> None:
        super().__init__(whole=size == 0)
        self._source = source
        self._left = size
        self._reading = asyncio.Lock()

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write what the source gives, to its end."""
        while (chunk := await self._next()) is not None:
            self._left -= len(chunk)
            self.whole = self._left <= 0
            await writer.write(chunk)
        self.when_sent()

    async def settle(self) -> None:
        """Wait until nobody reads from the source any more."""
        async with self._reading:
            pass

    async def _next(self) -> bytes | None:
        """Return the next chunk, or None at the end.

        The lock is held while the source is read: aiohttp's writer may be cancelled meanwhile, and
        a source that is still running cannot be closed.
        """
        async with self._reading:
            try:
                return await anext(self._source, None)
            except Exception as failure:
                self.failure = failure
                raise


class OneAnswer(ResponseHandler):
    """The reading half of a connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        # Whether an answer is due, and nothing of it has come yet.
        self._is_asked = self._is_fresh = False
        # Heads as they came, with what the parser has said of each, and the length of the body.
        self._heads: dict[bytes, tuple[Any, int]] = {}
        self._latest: tuple[Any, aiohttp.StreamReader] | None = None
        self._poll: select.poll | None = None
        self._parser_is_of_head: bool | None = None  # None: aiohttp's session has made it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember how to ask the system whether the other side has hung up."""
        super().connection_made(transport)
        socket = transport.get_extra_info("socket")
        if socket is not None and _HUNG_UP:
            self._poll = select.poll()
            self._poll.register(socket.fileno(), _HUNG_UP)

    @property
    def is_hung_up(self) -> bool:
        """Return whether the other side has closed, also where the event loop does not know yet."""
        return self._poll is not None and bool(self._poll.poll(0))

    def set_response_params(self, **params: Any) -> None:
        """Prepare for an answer; aiohttp does so right before each request."""
        self._is_asked, self._is_fresh, self._parser_is_of_head = True, False, None
        super().set_response_params(**params)

    def ask(self, *, is_head: bool) -> None:
        """Prepare for an answer; with the parser of the last one, where that was alike.

        Args:
            is_head: Whether it has no body, whatever its head says.
        """
        if self._parser_is_of_head is is_head and self._parser is not None:
            self._is_asked, self._is_fresh = True, not is_head
            return
        is_fresh = not (is_head or self._tail)  # which goes into the parser before all else
        self.set_response_params(
            skip_payload=is_head,
            read_until_eof=True,
            auto_decompress=True,
            max_line_size=LONGEST_FIELD,
            max_field_size=LONGEST_FIELD,
        )
        self._parser_is_of_head, self._is_fresh = is_head, is_fresh

    def data_received(self, data: bytes) -> None:
        """Take what has come, or close the connection if nobody has asked for anything.

        Small answers come in one piece, with heads that are those of earlier ones byte for byte.
        What the parser has said of such a head it would say again: its body is handed on as it is.
        """
        if self._is_fresh and data:
            self._is_fresh = False
            if len(data) <= _SHORT:
                head, _, body = data.partition(b"\r\n\r\n")
                if (found := self._heads.get(head)) is not None and found[1] == len(body):
                    self._is_asked = False
                    super().feed_data((found[0], cast("Any", body)))
                    return
                self._latest = None
                super().data_received(data)
                self._remember(head, body)
                return
        if not self._is_asked and data and (known := self._payload) is not None and known.is_eof():
            self._hang_up()
        else:
            super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on; aiohttp asks for it at each end of a body, and nearly always reads already."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of an answer, or close the connection if nobody has asked."""
        if not self._is_asked:
            self._hang_up()
            return
        # Those of 1xx come before the answer; 101 is one.
        status = data[0].code
        self._is_asked = 100 <= status < 200 and status != 101
        self._latest = data
        super().feed_data(data, size)

    def _remember(self, head: bytes, body: bytes) -> None:
        """Remember a head, if the answer was nothing but it and a body of the length it says."""
        if self._latest is None or not body:
            return
        message, content = self._latest
        is_plain = not (message.should_close or message.upgrade or message.chunked)
        if not is_plain or message.compression or not 200 <= message.code <= 299:
            return
        if content.is_eof() and content.total_bytes == len(body) and not self._upgraded:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            self._heads[head] = message, len(body)

    def _hang_up(self) -> None:
        self.force_close()
        if self.transport is not None:
            self.transport.close()


class Connector(aiohttp.TCPConnector):
    """A pool of connections, each of which is closed by an answer that nobody has asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp offers no other way to choose what reads from a connection.
        self._factory = cast("partial[ResponseHandler]", partial(OneAnswer, loop=self._loop))


_HANG_UPS = 3
"""Kept connections that the other side has closed, from which on that is its way."""
_FORGOTTEN_AFTER = 30.0
"""Seconds after which it is tried whether a connection may be kept for longer again."""


class Kept:
    """Connections that wait for the next request of the short way (`_direct`).

    The last one kept is the first one taken: it is the least likely to be closed by now.

    Args:
        keep_alive: Seconds that one is kept without a request.
        loop: Closes those that nobody needs.
    """

    def __init__(self, keep_alive: float, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Each with its protocol, and the moment it was kept at.
        self._kept: list[tuple[Connection, OneAnswer, float]] = []
        self._keep_alive = self._most_idle = keep_alive
        self._hang_ups, self._learned = 0, 0.0
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    def taken(self, *, may_repeat: bool) -> Connection | None:
        """Return a kept connection that still stands, or None.

        What may not be sent twice is sent on none that the other side has closed a moment ago, nor
        on one that it is about to: who is found to hang up early, some times, is not let wait for
        longer than half as long. That is forgotten little by little.
        """
        while self._kept:
            connection, protocol, since = self._kept.pop()
            now = monotonic()
            if self._most_idle < self._keep_alive and now - self._learned > _FORGOTTEN_AFTER:
                self._most_idle = min(self._keep_alive, 4 * self._most_idle)
                self._hang_ups, self._learned = 0, now
            if now - since < self._most_idle:
                if protocol.is_connected() and (may_repeat or not protocol.is_hung_up):
                    return connection
                self._hang_ups += 1
                if self._hang_ups >= _HANG_UPS:
                    # Never nothing: the clock of some systems goes in steps.
                    self._most_idle, self._learned = max(0.001, (now - since) / 2), now
            connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Keep a connection whose answer has come whole, for the next request."""
        protocol = cast("OneAnswer | None", connection.protocol)
        if protocol is None or protocol.should_close or self._is_closed:
            connection.close()
            return
        self._kept.append((connection, protocol, monotonic()))
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._keep_alive, self._sweep)

    def _sweep(self) -> None:
        """Close what nobody has needed for long; the oldest are at the front."""
        before, self._sweeping = monotonic() - self._keep_alive, None
        late = [each for each in self._kept if each[2] <= before]
        self._kept = self._kept[len(late) :]
        for connection, _, _ in late:
            connection.close()
        if self._kept:
            self._sweeping = self._loop.call_later(self._kept[0][2] - before, self._sweep)

    def close(self) -> None:
        """Close all connections that are kept, and keep none from now on."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._kept:
            self._kept.pop()[0].close()
