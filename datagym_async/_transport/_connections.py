"""Both halves of a connection, where aiohttp is not enough.

**Bodies going out.** Whether the service can have carried out a request depends on whether the body
was sent whole, and the caller must see what the body's source raised; aiohttp reports neither. So
our bodies know how far they got.

**Answers coming in.** aiohttp keeps whatever arrives on an idle connection, and takes it for the
answer to the next request. If a server answers twice, or a proxy mixes up two clients, one call
would get what was meant for another. Here the second answer closes its connection.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from datagym_async._public import NotCopied

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection

    from datagym_async._wire._pages import Pages

# A body in memory is sent in slices, and the last one only after the others have left, so that we
# know if it was cut short. Each slice takes a turn of the event loop.
_SLICE = 1024 * 1024
# Up to this size it is sent together with the headers: two packets cost more than the copy that
# some event loops make.
ALL_AT_ONCE = 256 * 1024
LONGEST_FIELD = 64 * 1024
"""Bytes of a header field that are read: gateways set cookies of more than aiohttp's 8 kB."""
_SHORT = 4096
"""Bytes of an answer up to which its head is remembered."""
_MOST_HEADS = 16
# Only Linux reports it; on other systems the event loop does, one turn later.
_HUNG_UP: int = getattr(select, "POLLRDHUP", 0)
_CORK: int = getattr(socket, "TCP_CORK", 0)


def _nothing() -> None:
    pass


class OutgoingBody:
    """The body of one attempt; `OnAiohttp` passes it to aiohttp's session."""

    __slots__ = ("failure", "goes_with_head", "when_sent", "whole")

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole  # whether its last byte was handed over
        self.goes_with_head = False  # whether it is sent together with the head of its request
        self.failure: Exception | None = None  # what its source raised
        self.when_sent: Callable[[], None] = _nothing

    async def write(self, writer: AbstractStreamWriter) -> None:
        raise NotImplementedError

    async def settle(self) -> None:
        """Wait until nobody reads from the source any more."""


class OnAiohttp(aiohttp.Payload):
    """A body as aiohttp's session takes it."""

    _autoclose = True  # what it reads from is closed by whoever opened it

    def __init__(self, body: OutgoingBody) -> None:
        super().__init__(None)
        self._body = body

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        raise TypeError("a body on its way out is not decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self._body.write(writer)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        await self._body.write(writer)


class BodyInMemory(OutgoingBody):
    """A body that is all there, in our memory or in `pages` of the system."""

    __slots__ = "data", "pages", "size"

    def __init__(self, data: bytes, pages: Pages | None = None) -> None:
        # Written out: one is made for each of many small uploads.
        self.size = size = len(data) if pages is None else pages.left
        self.whole = not size
        self.goes_with_head = size <= ALL_AT_ONCE
        self.failure = None
        self.when_sent = _nothing
        self.data = data
        self.pages = pages

    def load(self) -> None:
        """Take into our memory what is left of the pages."""
        if self.pages is not None:
            self.data, self.pages = self.pages.rest(), None

    async def write(self, writer: AbstractStreamWriter) -> None:
        self.load()
        if self.goes_with_head:
            # Set before the last piece is handed over, since the rest is not in our hands.
            self.whole = True
            await writer.write(self.data)
        else:
            self.whole = False
            writer.send_headers()
            for piece in self.slices():
                await writer.write(piece)
        self.when_sent()

    def slices(self) -> Iterator[memoryview]:
        """Yield a large body in slices; it counts as sent when the last one is asked for."""
        view = memoryview(self.data)
        end = max(0, len(view) - ALL_AT_ONCE)
        for start in range(0, end, _SLICE):
            yield view[start : min(start + _SLICE, end)]
        self.whole = True
        yield view[end:]


class StreamedBody(OutgoingBody):
    """A body of `size` bytes that is read from a source while it is sent."""

    __slots__ = ("_left", "_reading", "_source")

    def __init__(self, source: AsyncIterator[bytes], size: int) -> None:
        super().__init__(whole=size == 0)
        self._source = source
        self._left = size
        self._reading = asyncio.Lock()

    async def write(self, writer: AbstractStreamWriter) -> None:
        while (chunk := await self._next()) is not None:
            self._left -= len(chunk)
            self.whole = self._left <= 0
            await writer.write(chunk)
        self.when_sent()

    async def settle(self) -> None:
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


class Hidden(NotCopied):
    """Bytes that no repr, and no pickle, shows."""

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = value


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
        # That of the connection, if what is written goes into it as it is, without TLS.
        self._socket: socket.socket | None = None
        # Whether the transport would copy several pieces into one before it writes them, as that of
        # asyncio does before Python 3.12.
        self._joins = False
        self._parser_is_of_head: bool | None = None  # None: aiohttp's session has made it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        under = transport.get_extra_info("socket")
        if under is not None and _HUNG_UP:
            self._poll = select.poll()
            self._poll.register(under.fileno(), _HUNG_UP)
        if hasattr(os, "writev") and transport.get_extra_info("sslcontext") is None:
            self._socket = under
        usual = asyncio.WriteTransport.writelines
        self._joins = getattr(type(transport), "writelines", None) is usual

    def send(self, secret: Hidden, head: bytes, data: bytes) -> None:
        """Write a whole request; no variable of a frame holds the secret part of its head."""
        transport, sent = self.transport, 0
        assert transport is not None  # noqa: S101 -- who sends has looked
        if self._joins and self._socket is not None and not transport.get_write_buffer_size():
            with suppress(OSError):  # the transport gets the same error, or waits
                sent = os.writev(self._socket.fileno(), (secret.value, head, data))
        if not sent:
            transport.writelines((secret.value, head, data))
        elif sent < len(secret.value) + len(head) + len(data):
            transport.write(memoryview(b"".join((secret.value, head, data)))[sent:])

    def begin(self, secret: Hidden, head: bytes, pages: Pages) -> bool:
        """Write a head, and of a body what the socket takes at once; False if it takes no pages."""
        transport, under, sent = self.transport, self._socket, 0
        if under is None or not _CORK or transport is None or transport.get_write_buffer_size():
            return False
        size = len(secret.value) + len(head)
        with suppress(OSError):  # the transport gets the same error, or waits
            # Held back until the body follows: a packet of its own would wake the receiver up.
            under.setsockopt(socket.IPPROTO_TCP, _CORK, 1)
            sent = os.writev(under.fileno(), (secret.value, head))
            if sent == size:
                pages.move(under.fileno())
        if sent < size:
            transport.write(memoryview(b"".join((secret.value, head)))[sent:])
        with suppress(OSError):
            under.setsockopt(socket.IPPROTO_TCP, _CORK, 0)
        return True

    def is_hung_up(self) -> bool:
        """Return whether the other side has closed, also where the event loop does not know yet."""
        return self._poll is not None and bool(self._poll.poll(0))

    def close(self) -> None:
        self._leave_reader()
        super().close()

    def abort(self) -> None:
        self._leave_reader()
        super().abort()

    def _leave_reader(self) -> None:
        """Tell who reads an answer that no more of it will come, as the connection is closed here.

        aiohttp would let them wait for ever, or take half of an answer without a length for all.
        """
        if (content := self._payload) is not None and not (content.is_eof() or content.exception()):
            content.set_exception(aiohttp.ClientConnectionError())

    def set_exception(self, exc: BaseException, *exc_cause: BaseException) -> None:
        """Keep what went wrong for who waits for a head, and also tell who reads a body."""
        super().set_exception(exc, *exc_cause)
        if isinstance(exc, HttpProcessingError):  # a body that is not HTTP is forgotten by aiohttp
            self._leave_reader()

    def set_response_params(self, **params: Any) -> None:
        """Prepare for an answer; aiohttp calls this right before each request."""
        self._is_asked, self._is_fresh, self._parser_is_of_head = True, False, None
        super().set_response_params(**params)

    def ask(self, *, is_head: bool) -> None:
        """Prepare for an answer, with the parser of the last one if that was of the same kind.

        With `is_head` it has no body, whatever its head says.
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
        """Take what has arrived, or close the connection if nothing was asked for.

        Small answers arrive in one piece, and many have the same head, byte for byte. The parser
        would say the same of it again, so its body is passed on without parsing.
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
        """Read on; aiohttp calls this at each end of a body, although it nearly always reads."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of an answer, or close the connection if nothing was asked for."""
        if not self._is_asked:
            self._hang_up()
            return
        # 1xx come before the answer, but for 101.
        status = data[0].code
        self._is_asked = 100 <= status < 200 and status != 101
        self._latest = data
        super().feed_data(data, size)

    def _remember(self, head: bytes, body: bytes) -> None:
        """Remember a head if the answer was nothing but it and a body of the announced length."""
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
    """A pool of connections, each of which is closed by an answer that was not asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp has no other way to choose what reads from a connection.
        self._factory = cast("partial[ResponseHandler]", partial(OneAnswer, loop=self._loop))


_HANG_UPS = 3
"""After so many kept connections were closed early, ours are kept for a shorter time."""
_FORGOTTEN_AFTER = 30.0
"""Seconds after which connections are kept for longer again."""


class Kept:
    """Idle connections for the next requests of the fast path (`_direct`).

    The last one kept is used first: it is the least likely to be closed by now. One without a
    request for `keep_alive` seconds is closed.
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
        """Return a kept connection that is still open, or None.

        A request that may not be sent twice gets none that the other side has just closed, and none
        that it is about to close: if some were closed early, connections are kept for half that
        time only. The time grows again little by little.
        """
        while self._kept:
            connection, protocol, since = self._kept.pop()
            now = monotonic()
            if self._most_idle < self._keep_alive and now - self._learned > _FORGOTTEN_AFTER:
                self._most_idle = min(self._keep_alive, 4 * self._most_idle)
                self._hang_ups, self._learned = 0, now
            if now - since < self._most_idle:
                if protocol.is_connected() and (may_repeat or not protocol.is_hung_up()):
                    return connection
                self._hang_ups += 1
                if self._hang_ups >= _HANG_UPS:
                    # Never 0: the clock of some systems goes in steps.
                    self._most_idle, self._learned = max(0.001, (now - since) / 2), now
            connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Keep a connection whose answer is complete."""
        protocol = cast("OneAnswer | None", connection.protocol)
        if protocol is None or protocol.should_close or self._is_closed:
            connection.close()
            return
        self._kept.append((connection, protocol, monotonic()))
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._keep_alive, self._sweep)

    def _sweep(self) -> None:
        """Close those that are idle for too long; the oldest are at the front."""
        before, self._sweeping = monotonic() - self._keep_alive, None
        late = [each for each in self._kept if each[2] <= before]
        self._kept = self._kept[len(late) :]
        for connection, _, _ in late:
            connection.close()
        if self._kept:
            self._sweeping = self._loop.call_later(self._kept[0][2] - before, self._sweep)

    def close(self) -> None:
        """Close all, and keep none from now on."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._kept:
            self._kept.pop()[0].close()
