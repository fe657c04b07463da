"""`AiohttpTransport`: one aiohttp session, used once per attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import attrs
from yarl import URL

from datagym_async._transport._base import Payload, StreamedResponse
from datagym_async._transport._failures import FAILURES, translate
from datagym_async._transport._outgoing import BodyInMemory, OutgoingBody, StreamedBody
from datagym_async._version import __version__
from datagym_async._wire._messages import Body, Lane, Request

if TYPE_CHECKING:
    from types import TracebackType

    from datagym_async._transport._options import Timeout

# The service closes an idle connection after 54 to 60 seconds (observed); ours are given up
# earlier, so that no request is lost on a connection which the service is just closing.
_KEEPALIVE_SECONDS = 30.0
_DNS_CACHE_SECONDS = 300
_PAYLOAD_PIECE = 64 * 1024
_USER_AGENT = f"datagym-async/{__version__}"


@attrs.define
class _Payload(Payload):
    """The body of an answer on its way, as an async iterator."""

    content: aiohttp.StreamReader
    peer: str

    def __aiter__(self) -> _Payload:
        return self

    async def __anext__(self) -> bytes:
        failure: Exception = StopAsyncIteration()
        try:
            if piece := await self.content.read(_PAYLOAD_PIECE):
                return piece
        except FAILURES as raised:
            failure = translate(raised, peer=self.peer, request_sent=True)
        raise failure

    async def rest(self) -> bytes:
        """Return all that is left, as it came: cut into pieces it would be copied once more."""
        try:
            return await self.content.read()
        except FAILURES as raised:
            failure = translate(raised, peer=self.peer, request_sent=True)
        raise failure


@attrs.define
class _Exchange:
    """One request and its open answer; leaving closes the answer, then the request's body.

    A class, because an async generator on the way of every request costs a tenth of a small one.

    Args:
        start: Sends the request with the body given, and returns the open answer.
        body: The body's recipe, or None.
        peer: Scheme, host and port of the other side.
    """

    start: Callable[[OutgoingBody | None], Awaitable[aiohttp.ClientResponse]]
    body: Body | None
    peer: str
    _opened: AbstractAsyncContextManager[AsyncIterator[bytes]] | None = None
    _outgoing: OutgoingBody | None = None
    _answer: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> StreamedResponse:
        self._outgoing = await self._open()
        try:
            answer = self._answer = await self.start(self._outgoing)
        except BaseException as error:
            await self._close_body(type(error), error, error.__traceback__)
            raise
        chunks = _Payload(answer.content, self.peer)
        return StreamedResponse(status=answer.status, headers=answer.headers, chunks=chunks)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            # The connection is kept only if the answer was read to its end.
            if answer.content.at_eof():
                answer.release()
            else:
                answer.close()
        await self._close_body(kind, error, traceback)

    async def _open(self) -> OutgoingBody | None:
        body = self.body
        if body is None:
            return None
        if body.open is None:
            return BodyInMemory(body.data or b"")
        self._opened = body.open()
        return StreamedBody(await self._opened.__aenter__(), body.size)

    async def _close_body(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the body when nobody reads from it any more."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        try:
            if self._outgoing is not None:
                await self._outgoing.settle()
        finally:
            await opened.__aexit__(kind, error, traceback)


class AiohttpTransport:
    """Send requests over a pool of kept-alive connections.

    Args:
        base_url: Checked address, with a slash at its end (see `check_base_url`).
        token: Checked token; sent to the origin of `base_url` in the Authorization header only.
        timeout: Time limits of one attempt.
        trust_env: Whether to take proxies and their credentials from the environment and ~/.netrc.
        session: A session of the caller's; it is used as it is and never closed here.

    Must be made inside the event loop that uses it. TLS certificates are verified.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: str,
        timeout: Timeout,
        trust_env: bool = False,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._base_url = base_url
        self._peer = _peer(base_url)
        self._token = token
        self._timeout = timeout
        self._owns_http = session is None
        self._http = session if session is not None else _new_session(trust_env=trust_env)

    def __repr__(self) -> str:
        """Return the address and the state of the pool, without the token."""
        state = "closed" if self._http.closed else "open"
        return f"<AiohttpTransport {self._base_url} {state}>"

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request once and give its open answer (see `Transport.send`)."""
        return _Exchange(partial(self._start, request), request.body, self._peer)

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        """Get a foreign URL without credentials (see `Transport.fetch`)."""
        peer = _peer(url)
        return _Exchange(partial(self._start_fetch, url, peer), None, peer)

    async def aclose(self) -> None:
        """Close the pool, unless the session is the caller's."""
        if self._owns_http:
            await self._http.close()

    async def _start(self, request: Request, body: OutgoingBody | None) -> aiohttp.ClientResponse:
        try:
            return await self._http.request(
                request.method,
                _url(self._base_url, request),
                headers=self._headers(request),
                data=body,
                timeout=self._limits(request),
                # A redirect could lead the token to another origin.
                allow_redirects=False,
            )
        except FAILURES as raised:
            failure = translate(raised, peer=self._peer, request_sent=body is None or body.whole)
        # Raised here, outside the handler, so that aiohttp's error is not even its context.
        raise (body.failure if body is not None else None) or failure

    async def _start_fetch(
        self, url: str, peer: str, _: OutgoingBody | None
    ) -> aiohttp.ClientResponse:
        try:
            return await self._http.get(
                url, timeout=self._limits(None), headers={"User-Agent": _USER_AGENT}
            )
        except FAILURES as raised:
            failure = translate(raised, peer=peer, request_sent=True)
        raise failure

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {
            "User-Agent": _USER_AGENT,
            **request.headers,
            "Authorization": f"Token {self._token}",
        }
        if request.body is not None:
            headers["Content-Type"] = request.body.content_type
            headers["Content-Length"] = str(request.body.size)
        return headers

    def _limits(self, request: Request | None) -> aiohttp.ClientTimeout:
        total: float | None = None
        read: float | None = self._timeout.read
        if request is not None and request.lane is Lane.UPLOAD and request.body is not None:
            total = self._timeout.of_upload(request.body.size)
            if total <= self._timeout.read:
                read = None  # it could never end first, and a timer would be started all the same
        return _client_timeout(total, self._timeout.connect, read)


@lru_cache(maxsize=64)
def _client_timeout(
    total: float | None, connect: float, read: float | None
) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, sock_connect=connect, sock_read=read)


def _new_session(*, trust_env: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        # The lanes of the session bound concurrency; a second bound here would hide its waits.
        limit=0,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        ttl_dns_cache=_DNS_CACHE_SECONDS,
    )
    return aiohttp.ClientSession(
        connector=connector, trust_env=trust_env, cookie_jar=aiohttp.DummyCookieJar()
    )


def _url(base_url: str, request: Request) -> URL:
    query = f"?{urlencode(request.query, quote_via=quote)}" if request.query else ""
    return URL(f"{base_url}api/v1/{request.path}{query}", encoded=True)


def _peer(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
