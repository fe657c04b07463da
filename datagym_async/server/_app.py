"""The application: connections, the route of each request, and errors that become answers.

The service closes a connection after its 100th request, and after every answer of 400, 500 or 503.
It refuses a header block above 8,192 bytes. A client that stops in the middle of a body and closes
its half only still gets its answer.

Paths are read as the service reads them: repeated slashes count once, `;matrix=parameters` are
dropped, a trailing slash is allowed, and a `%2F` or a character that is not allowed in a URL is a
bad request.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, cast
from urllib.parse import unquote

import attrs
from aiohttp import HttpVersion10, HttpVersion11, StreamReader, hdrs, web
from aiohttp.http_exceptions import PayloadEncodingError
from aiohttp.typedefs import Handler, Middleware

from datagym_async._printable import logger
from datagym_async.server._answers import (
    Answer,
    BadRequestPage,
    Dialect,
    EmptyAnswer,
    Refusal,
    UnknownRoute,
    pretty,
    refuse,
)
from datagym_async.server._service import LARGEST_BODY, Call, Route, Service
from datagym_async.server._store import now
from datagym_async.server.routes import ROUTES

_LOGGER = logger(__name__)

_HEADER_BLOCK: Final = 8192
_CLOSING: Final = frozenset({400, 413, 500, 503})
_SWALLOWED: Final = 2 * 1024 * 1024
_VERSIONS: Final = (HttpVersion10, HttpVersion11)
_NEVER_IN_A_URL: Final = re.compile(r'[\[\]{}|\\^`"<>\x00-\x20\x7f]|[^\x00-\x7f]')
_ENCODED_SLASH: Final = re.compile(r"%2f|%5c", re.IGNORECASE)


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
        self.close()  # nothing follows the answer that is being written
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
        # Such a request counts as HTTP/1.0, for which aiohttp leaves this header out.
        response.headers["Connection"] = "close"
        return response


def check_head(request: web.Request) -> None:
    """Refuse an unknown version, headers that are too large, and a host that is missing."""
    is_known = request._version in _VERSIONS  # `version` caches its first value
    if not is_known:
        request._version = HttpVersion11  # for the answer
    has_host = request.version != HttpVersion11 or hdrs.HOST in request.headers
    # The request line and the headers have to stay within the container's buffer.
    line = len(request.method) + len(request.raw_path.encode()) + len("  HTTP/1.1\r\n")
    fields = sum(len(name) + len(value) + len(": \r\n") for name, value in request.raw_headers)
    fits = line + fields + len("\r\n") <= _HEADER_BLOCK
    if not (is_known and has_host and fits):
        raise BadRequestPage


def make_app(
    service: Service, counters: Counters, middlewares: Iterable[Middleware]
) -> web.Application:
    """Return the application of a service; `middlewares` see each request before it does."""
    router = Router(ROUTES, service.dialect)

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)  # the only kind that the server makes
        connection.begin(request.content)
        counters.update(["requests", "in_flight"])
        counters["peak_in_flight"] = max(counters["peak_in_flight"], counters["in_flight"])
        try:
            return await handler(request)
        finally:
            counters["in_flight"] -= 1
            connection.end()

    async def serve(request: web.Request) -> web.StreamResponse:
        """Answer with the route's response, or with the `Answer` that was raised."""
        try:
            # In the container's order: version and headers, path, method, token.
            check_head(request)
            route, ids = router.find(request.raw_path, request.method)
            # Exactly this spelling; another scheme than `Token` is not a token.
            scheme, blank, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            token = given if scheme + blank == "Token " else request.query.get("token")
            if token is not None and token not in service.tokens:
                raise refuse("ex_forbidden")
            call = Call(request, service, route, ids, has_token=token is not None)
            if call.route.anonymous != "allow":
                call.authenticate()
            return await call.route.handler(call)
        except Answer as raised:
            answer = raised
        except (ConnectionError, PayloadEncodingError):
            # The body was cut off, or is not chunked although it says so. A client that has closed
            # its half only reads this.
            answer = Refusal("ex_system")
        except Exception:
            _LOGGER.exception("The server failed to answer a %s request", request.method)
            answer = Refusal("ex_system")
        response = answer.response(service.render)
        if answer.chunked and request.version >= HttpVersion11 and request.method != "HEAD":
            response.enable_chunked_encoding()
        return response

    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.popall(hdrs.SERVER, None)
        if response.headers.get(hdrs.CONTENT_LENGTH) == "0":
            response.headers.popall(hdrs.CONTENT_TYPE, None)
        # A refused body is read to its end and the connection stays open; a larger one closes it.
        unread = not request.content.is_eof() and (request.content_length or 0) > _SWALLOWED
        is_last = cast("Connection", request.protocol).is_last
        if unread or is_last or response.status in _CLOSING:
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"

    app = web.Application(middlewares=[count, *middlewares], client_max_size=LARGEST_BODY)
    app.router.add_route(hdrs.METH_ANY, "/{path:.*}", serve)
    app.on_response_prepare.append(finish)
    return app


class Router:
    def __init__(self, routes: Iterable[Route], dialect: Dialect) -> None:
        table: dict[str, dict[str, Route]] = {}
        for route in routes:
            path = route.prefix + route.path
            if not route.path.startswith("/media"):
                spellings = [path]
            elif dialect == "legacy":
                spellings = [path.replace("/media", "/image", 1)]
            else:
                spellings = [path, path.replace("/media", "/image", 1)]
            for spelling in spellings:
                table.setdefault(spelling, {})[route.method] = route
        # A literal segment is preferred to a variable one.
        self._table = [
            (re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)), table[path])
            for path in sorted(table, key=lambda path: path.count("{"))
        ]

    def find(self, target: str, method: str) -> tuple[Route, Mapping[str, str]]:
        """Return the route of a request line, and the variable parts of its path.

        The `Answer` that it raises is a 400, a 404, a 405 with the known methods, or 200 with the
        same for OPTIONS.
        """
        path = target.partition("?")[0]
        if _NEVER_IN_A_URL.search(target) or _ENCODED_SLASH.search(path):
            raise BadRequestPage
        bare = (segment.partition(";")[0] for segment in path.split("/"))
        # No slash is decoded here: an encoded one has been refused.
        plain = "/".join(["", *(unquote(segment) for segment in bare if segment)])
        for pattern, routes in self._table:
            match = pattern.fullmatch(plain)
            if match is None:
                continue
            if method == "OPTIONS":
                methods = [*routes, "OPTIONS"]
                if "GET" in routes:
                    methods.insert(methods.index("GET") + 1, "HEAD")
                raise EmptyAnswer(200, {"Allow": ",".join(methods), "Accept-Patch": ""})
            route = routes.get("GET" if method == "HEAD" else method)
            if route is None:
                raise EmptyAnswer(405, {"Allow": ",".join(routes)})
            return route, match.groupdict()
        raise UnknownRoute(path, now())
