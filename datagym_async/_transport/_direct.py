"""The fast path: requests on aiohttp's connections, without its session.

Nearly all requests of a client are alike: the service's origin, no proxy, a body in memory or none.
For these, aiohttp's session, request and response objects took more than half of the processor
time, because they are made for every case. Here a request takes a connection that aiohttp's pool
has opened (`Connector`: DNS, TLS), writes its head and body, and reads its answer with aiohttp's
own protocol and parser; between requests the connection is kept (`Kept`). Requests and answers are
the same on both paths; docs/decisions/0031-fast-path-through-aiohttp.md says how that is tested.

A request goes this way only if request and session allow it (`Direct.made`, `Direct.head`). If a
future aiohttp differs in what is used here, all take the usual path, and a line is logged.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from datagym_async._printable import logger
from datagym_async._transport._connections import (
    ALL_AT_ONCE,
    BodyInMemory,
    Connector,
    Hidden,
    Kept,
    OneAnswer,
)
from datagym_async._wire._messages import Request
from datagym_async._wire._redact import Secret

if TYPE_CHECKING:
    from aiohttp.connector import Connection


SWITCH = "DATAGYM_TRANSPORT"
"""Environment variable; with ``plain`` every request takes the usual path, for diagnosis."""

_REPEATED = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that aiohttp, too, sends once more on a new connection."""
_PARAMETERS = frozenset({"skip_payload", "read_until_eof", "auto_decompress", "read_bufsize"})

_log = logger(__name__)


class DirectAnswer:
    """An open answer, used like aiohttp's own; `headers` are as they arrived until cleaned."""

    __slots__ = "_connection", "_content", "_kept", "_writing", "headers", "raw_headers", "status"

    def __init__(
        self,
        kept: Kept,
        connection: Connection,
        writing: asyncio.Task[None] | None,
        message: Any,
        content: aiohttp.StreamReader | bytes,
    ) -> None:
        self._kept = kept
        self._connection: Connection | None = connection
        self._writing = writing
        self.status: int = message.code
        self.headers: Mapping[str, str] = message.headers
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        self._content = content  # bytes where it was all there at once

    @property
    def content(self) -> aiohttp.StreamReader:
        content = self._content
        if isinstance(content, bytes):
            protocol = cast("OneAnswer", self._connection and self._connection.protocol)
            reader = aiohttp.StreamReader(protocol, len(content), loop=protocol._loop)
            reader.feed_data(content)
            reader.feed_eof()
            self._content = content = reader
        return content

    def taken(self) -> bytes | None:
        content = self._content
        return content if isinstance(content, bytes) else all_of(content)

    def leave(self) -> None:
        """Keep the connection if request and answer are complete, or close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        content = self._content
        is_whole = isinstance(content, bytes) or (content.is_eof() and not content.exception())
        if self._writing is not None and not self._writing.done():
            self._writing.cancel()
            is_whole = False
        if is_whole:
            self._kept.keep(connection)
        else:
            connection.close()


def all_of(content: aiohttp.StreamReader) -> bytes | None:
    """Return a body if it has arrived completely, or None."""
    return content.read_nowait() if content.is_eof() and not content.exception() else None


Head: TypeAlias = tuple[Hidden, bytes]
"""What is sent before a body: the part that the latest requests share, and the rest."""


class Direct:
    """Send requests to one origin, on connections that the pool of a session opens."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str, keep_alive: float) -> None:
        url = URL(base_url, encoded=True)
        self._loop = asyncio.get_running_loop()
        self._connector = cast("Connector", http.connector)
        # The pool needs only the origin of a request, so one stands for all.
        self._origin = aiohttp.ClientRequest("GET", url, loop=self._loop)
        self._host = url.host_port_subcomponent
        self._fields = self._parameter = Hidden(b"")
        self._path = URL(f"{base_url}api/v1/", encoded=True).raw_path
        self._encodings = ""  # the field that a request may replace
        self._latest: tuple[Mapping[str, str], str] = {}, ""  # header fields, as they are sent
        self._route: tuple[str, str, str | None] | None = None
        self._of_route = Hidden(b"")
        self.kept = Kept(keep_alive, self._loop)

    def say(self, fields: Mapping[str, str], parameter: Secret) -> None:
        """Send these header fields, and this parameter if any, with each request from now on."""
        usual: dict[str, str] = {**fields}
        for name, value in aiohttp.ClientRequest.DEFAULT_HEADERS.items():
            usual.setdefault(str(name), value)
        self._encodings = f"Accept-Encoding: {usual.pop('Accept-Encoding')}\r\n"
        lines = [f"Host: {self._host}", *(f"{name}: {value!s}" for name, value in usual.items())]
        self._fields = Hidden("\r\n".join([*lines, ""]).encode("ascii"))
        self._parameter = Hidden(parameter.reveal().encode("ascii"))
        self._route = None
        self._latest = {}, ""

    @classmethod
    def made(cls, http: aiohttp.ClientSession, base_url: str, keep_alive: float) -> Direct | None:
        """Return the fast path; None if proxies, tracing or middlewares need the session itself."""
        if os.environ.get(SWITCH, "").strip().lower() == "plain":
            return None
        has_more = http.trust_env or http.trace_configs or http._middlewares or http._default_proxy
        if has_more or type(http.connector) is not Connector:
            return None
        if reason := _other_shape():
            _log.info("aiohttp %s has another structure (%s)", aiohttp.__version__, reason)
            return None
        return cls(http, base_url, keep_alive)

    def head(self, request: Request) -> Head | None:
        """Return what goes before a body, or None if a text needs the usual path."""
        body = request.body
        kind = None if body is None else body.content_type
        route = (request.method, request.path, kind)
        if route != self._route or request.query:
            path = self._path + request.path
            if request.query:
                path += f"?{urlencode(request.query, quote_via=quote)}"
            if " " in path or not (path.isascii() and path.isprintable()):
                return None
            first, then = f"{request.method} {path}", " HTTP/1.1\r\n"
            if self._parameter.value:
                first += "&" if request.query else "?"
            if kind is not None:
                then += f"Content-Type: {kind}\r\n"
            # Not in a variable, since it may hold the token.
            self._of_route = Hidden(
                b"".join((first.encode(), self._parameter.value, then.encode(), self._fields.value))
            )
            self._route = None if request.query else route
        if request.headers is self._latest[0]:  # those of a route are never changed
            own = self._latest[1]
        else:
            own = "" if "Accept-Encoding" in request.headers else self._encodings
            for name, value in request.headers.items():
                # No line break and no control character, as with aiohttp.
                if not (value.isascii() and value.isprintable() and name.isascii()):
                    return None
                own += f"{name}: {value}\r\n"
            if type(request.headers) is MappingProxyType:
                self._latest = request.headers, own
        if body is not None:
            own += f"Content-Length: {body.size}\r\n\r\n"
        elif request.method not in aiohttp.ClientRequest.GET_METHODS:
            own += "Content-Length: 0\r\n\r\n"
        else:
            own += "\r\n"
        return self._of_route, own.encode("ascii")

    async def start(
        self,
        method: str,
        head: Head,
        body: BodyInMemory | None,
        limits: aiohttp.ClientTimeout,  # for opening a connection
    ) -> DirectAnswer:
        """Send a request, and return its open answer; errors are those of aiohttp's session."""
        may_repeat = method in _REPEATED and (body is None or body.pages is None)
        while True:
            connection = self.kept.taken(may_repeat=may_repeat)
            if connection is None:
                connection = await self._connector.connect(self._origin, [], limits)
            writing: asyncio.Task[None] | None = None
            try:
                protocol: OneAnswer | None = connection.protocol  # type: ignore[assignment]
                transport = None if protocol is None else protocol.transport
                if protocol is None or transport is None or transport.is_closing():
                    raise aiohttp.ServerDisconnectedError  # nothing was sent
                protocol.ask(is_head=method == "HEAD")
                # Joined in the call, so that no variable of a frame holds the token. An empty body
                # is not passed on: from Python 3.12 on, asyncio sends an empty piece for ever.
                # (`whole` is true of one that is sent again, too.)
                if body is None or not body.size:
                    transport.write(head[0].value + head[1])
                else:
                    is_begun = body.pages is not None and protocol.begin(*head, body.pages)
                    body.load()  # what the socket did not take, usually nothing
                    if is_begun and len(body.data) <= ALL_AT_ONCE:
                        body.whole = True
                        if body.data:
                            transport.write(body.data)
                        body.when_sent()
                    elif not is_begun and body.goes_with_head:
                        # Set before it is handed over, since the rest is not in our hands.
                        body.whole = True
                        protocol.send(*head, body.data)
                    else:
                        if not is_begun:
                            transport.write(head[0].value + head[1])
                        writing = self._loop.create_task(_write(protocol, body))
                while True:
                    message, content = await protocol.read()
                    if not 100 <= message.code <= 199 or message.code == 101:
                        return DirectAnswer(self.kept, connection, writing, message, content)
            except BaseException as error:
                if writing is not None:
                    writing.cancel()
                connection.close()
                if isinstance(error, HttpProcessingError):
                    request_info = cast("aiohttp.RequestInfo", None)
                    raise aiohttp.ClientResponseError(request_info, (), message="no HTTP") from None
                # A kept connection may be closed by the other side at any moment. What may be
                # repeated is sent once more, as by aiohttp's session.
                is_gone = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
                if not (may_repeat and is_gone):
                    raise
                may_repeat = False


async def _write(protocol: ResponseHandler, body: BodyInMemory) -> None:
    """Write a large body as fast as the other side takes it; its errors show in the reading."""
    transport = protocol.transport
    if transport is None:
        return
    try:
        for piece in body.slices():
            transport.write(piece)
            await protocol._drain_helper()
            if protocol.transport is None:
                return
        body.when_sent()
    except (aiohttp.ClientError, OSError):
        return


def _other_shape() -> str:
    """Return what of aiohttp is used here and missing in this release; empty if nothing."""
    try:
        taken = inspect.signature(ResponseHandler.set_response_params).parameters.keys()
        if missing := _PARAMETERS - taken:
            return f"set_response_params without {', '.join(sorted(missing))}"
        for owner, name in (
            (ResponseHandler, "read"),
            (ResponseHandler, "_drain_helper"),
            (aiohttp.TCPConnector, "connect"),
            (aiohttp.ClientRequest, "DEFAULT_HEADERS"),
            (aiohttp.ClientRequest, "GET_METHODS"),
        ):
            if not hasattr(owner, name):
                return f"no {owner.__name__}.{name}"
        wanted = list(inspect.signature(aiohttp.TCPConnector.connect).parameters)
        return "" if wanted == ["self", "req", "traces", "timeout"] else "another connect"
    except (TypeError, ValueError, AttributeError) as error:
        return type(error).__name__
