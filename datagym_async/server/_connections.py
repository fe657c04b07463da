"""Connections, which are counted and closed as the service does it.

The service closes a connection after its 100th request, and after every answer of 400, 500 or 503.
It refuses a header block above 8,192 bytes. A client that stops in the middle of a body and closes
its half only still gets its answer.
"""

import asyncio
from collections import Counter
from typing import Final, TypeAlias

import attrs
from aiohttp import StreamReader, web

from datagym_async.server._errors import BadRequestPage
from datagym_async.server._json import pretty

_HEADER_BLOCK: Final = 8192


@attrs.frozen
class ServerStatistics:
    """The counts of a server since its start."""

    requests: int = 0
    """Requests that reached it, refused ones included."""
    connections: int = 0
    """Connections that were opened."""
    open_connections: int = 0
    """Connections that are open now."""
    in_flight: int = 0
    """Requests being answered now."""
    peak_in_flight: int = 0
    """The most that were ever answered at once."""


# The same by the names of its fields.
Counters: TypeAlias = Counter[str]


class Connection(web.RequestHandler):
    __slots__ = ("_answered", "_counters", "_half_closed", "_most", "_receiving", "_served")

    def __init__(
        self, server: web.Server, counters: Counters, most: int, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=60,
            # We limit the whole block; these only limit a single line before that.
            max_line_size=4 * _HEADER_BLOCK,
            max_field_size=4 * _HEADER_BLOCK,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # None is aiohttp's documented "no log"
        )
        self._counters = counters
        self._most = most
        self._served = 0
        self._half_closed = False
        self._receiving: StreamReader | None = None
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._counters.update(["connections", "open_connections"])
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._counters["open_connections"] -= 1
        self._half_closed = True
        self._spoil_cut_body()
        super().connection_lost(exc)

    # asyncio reads the answer; aiohttp's own method declares none.
    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection open for the answer to a request that is being handled."""
        if self._waiter is not None and not self._waiter.done():
            return None
        self._half_closed = True
        self._spoil_cut_body()
        if not self._messages:
            # Nothing follows the answer that is being written.
            self.close()
        return True

    @property
    def is_last(self) -> bool:
        """Whether the connection ends after the present request."""
        return self._half_closed or self._served >= self._most

    def begin(self, body: StreamReader) -> None:
        self._served += 1
        self._receiving = body
        self._answered = False
        self._spoil_cut_body()

    def end(self) -> None:
        """Note that the answer is known, so that the rest of the body does not matter."""
        self._answered = True

    def _spoil_cut_body(self) -> None:
        """End a body that will never be complete."""
        body = self._receiving
        if not self._half_closed or body is None or body.is_eof():
            return
        if self._answered:
            body.feed_eof()  # only aiohttp reads it, to swallow it
        else:
            body.set_exception(ConnectionResetError("The body ended too early."))
            # aiohttp would wait for the rest, and log that there is none.
            self._lingering_time = 0.0

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed with the container's page."""
        if status != 400:
            return super().handle_error(request, status, exc, message)
        response = BadRequestPage().response(pretty)
        response.force_close()
        # Such a request counts as HTTP/1.0, for which aiohttp leaves this header out.
        response.headers["Connection"] = "close"
        return response


def header_block_fits(request: web.BaseRequest) -> bool:
    """Return whether the request line and the headers stay within the container's buffer."""
    line = len(request.method) + len(request.raw_path.encode()) + len("  HTTP/1.1\r\n")
    fields = sum(len(name) + len(value) + len(": \r\n") for name, value in request.raw_headers)
    return line + fields + len("\r\n") <= _HEADER_BLOCK
