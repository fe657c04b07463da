"""`AiohttpTransport`: one aiohttp session, used once per attempt."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Final, Self, TypeAlias, TypeVar, cast
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import getproxies

import aiohttp
import attrs
from multidict import CIMultiDict
from yarl import URL

from datagym_async._transport._base import (
    FAILURES,
    Deadline,
    Deadlines,
    Pace,
    StreamedResponse,
    bound_of,
    too_slow,
    translate,
    whole_answer,
)
from datagym_async._transport._connections import (
    LONGEST_FIELD,
    BodyInMemory,
    Connector,
    OnAiohttp,
    OutgoingBody,
    StreamedBody,
)
from datagym_async._transport._direct import Direct, DirectAnswer, all_of
from datagym_async._transport._foreign import GuardedSession, LinkError, Redirect, redirect_of
from datagym_async._transport._options import Auth, Timeout
from datagym_async._version import __version__
from datagym_async._wire._messages import Body, Lane, Request, Response
from datagym_async._wire._redact import Cleaner, HiddenField, Secret, Secrets
from datagym_async.exceptions import APIError, APIResponseValidationError

if TYPE_CHECKING:
    import ssl


T = TypeVar("T")

# The service closes an idle connection after 54 to 60 seconds (observed); ours are given up
# earlier, so that no request is lost on a connection which the service is just closing.
_KEEPALIVE_SECONDS = 30.0
_DNS_CACHE_SECONDS = 5  # so that the retries of a call find a service that has moved
_UPLOAD: Final = Lane.UPLOAD  # to ask an enum for its member costs as much as a call
_PAYLOAD_PIECE = 64 * 1024
_EVERYWHERE = {"User-Agent": f"datagym-async/{__version__}"}


class _Patience:
    """How long the other side is waited for: the bounds of the waits of an exchange."""

    def __init__(self, timeout: Timeout, deadlines: Deadlines | None = None) -> None:
        self._timeout = timeout
        self._deadlines = deadlines or Deadlines()
        # aiohttp bounds the opening of a connection, of which nobody else knows, and nothing else.
        seconds = None if math.isinf(timeout.connect) else timeout.connect  # aiohttp rounds it up
        self.of_connecting = aiohttp.ClientTimeout(total=None, sock_connect=seconds)

    def until(self, request: Request) -> float:
        """Return the moment at which an exchange has to be over."""
        if request.body is None or request.lane is not _UPLOAD:
            return math.inf
        return self._deadlines.now() + self._timeout.of_upload(request.body.size)

    def for_bytes(self, until: float = math.inf) -> Deadline:
        """Return the bound of a wait for the next bytes of an answer."""
        return Deadline(self._deadlines, min(until, self._deadlines.now() + self._timeout.read))

    def for_answer(self, body: OutgoingBody | None, until: float) -> Deadline:
        """Return the bound of the wait for an answer, which begins when the body has gone out.

        One that goes out with its head, in one piece, is as good as gone.
        """
        if body is None or body.whole or body.goes_with_head:
            # As `for_bytes` does, without the call: on the way of each small request.
            deadlines = self._deadlines
            return Deadline(deadlines, min(until, deadlines.now() + self._timeout.read))
        bound = Deadline(self._deadlines, until)
        body.when_sent = partial(bound.shorten, self._timeout.read)
        return bound

    def for_pace(self) -> Pace:
        return Pace(self._deadlines.now, self._timeout.read_rate, self._timeout.read_window)

    def with_timeout(self, timeout: Timeout) -> _Patience:
        return _Patience(timeout, self._deadlines)

    def end(self) -> None:
        self._deadlines.close()


@attrs.define
class _Payload:
    """The body of an answer on its way, as an async iterator."""

    content: aiohttp.StreamReader  # what aiohttp has received of it
    peer: str  # scheme, host and port of the other side
    patience: _Patience
    until: float = math.inf  # the moment at which all of it has to be here
    pace: Pace | None = None  # since the first wait for it
    secrets: Secrets | None = None  # what is removed from it; None for images and videos
    _cleaner: Cleaner | None = None

    def __aiter__(self) -> _Payload:
        return self

    async def __anext__(self) -> bytes:
        # Not from a name: an exception that its own frame holds keeps all callers until it is
        # collected, and this one ends every stream.
        if not (piece := await self._some(_PAYLOAD_PIECE)):
            raise StopAsyncIteration
        return piece

    async def rest(self, most: int) -> list[bytes]:
        """Return what was not read yet; a little more than `most` bytes if that is not all.

        It is in pieces, because joining them would take as much memory again. Bytes count unpacked.
        """
        pieces, arrived = [], 0
        while arrived <= most and (piece := await self._some()):
            pieces.append(piece)
            arrived += len(piece)
        return pieces

    async def _some(self, most: int = -1) -> bytes:
        """Return what has arrived, without secrets; nothing at the end."""
        if self.secrets is None:
            return await self._received(most)
        cleaner = self._cleaner = self._cleaner or Cleaner(self.secrets)
        while piece := await self._received(most):
            if clean := cleaner.feed(piece):
                return clean
        return cleaner.rest()

    async def _received(self, most: int) -> bytes:
        """Return what has arrived, `most` bytes of it or all; nothing at the end."""
        try:
            piece = self.content.read_nowait(most)
            if piece or self.content.at_eof():
                return piece
            pace = self.pace = self.pace or self.patience.for_pace()
            bound = self.patience.for_bytes(min(self.until, pace.begin()))
            try:
                with bound:
                    # Of what is compressed, aiohttp unpacks no more at once than is asked for.
                    piece = await (self.content.readany() if most < 0 else self.content.read(most))
            except TimeoutError:
                if bound.when != pace.ends + bound.lost:
                    raise aiohttp.SocketTimeoutError from None
                failure = too_slow(peer=self.peer, rate=pace.rate)
            else:
                pace.end(len(piece), lost=bound.lost)
                return piece
        except FAILURES as raised:
            failure = translate(raised, peer=self.peer, request_sent=True)
        raise failure


@attrs.define(repr=False)
class _Answer:
    """An open answer of aiohttp, whose own repr shows header fields as they came."""

    raw: aiohttp.ClientResponse
    status: int
    headers: Mapping[str, str]  # without secrets
    content: aiohttp.StreamReader

    def taken(self) -> bytes | None:
        return all_of(self.content)

    def leave(self) -> None:
        # At its end it has given its connection back by itself.
        if not self.raw.closed:
            self.raw.close()


_Open: TypeAlias = _Answer | DirectAnswer
"""An open answer of either way."""


@asynccontextmanager
async def _exchange(
    start: Callable[[OutgoingBody | None], Awaitable[_Open]],
    payload: Callable[[_Open], _Payload],
    body: Body | None = None,
) -> AsyncIterator[StreamedResponse]:
    """Send a request by `start` and give its open answer, whose body `payload` reads."""
    async with AsyncExitStack() as stack:
        outgoing: OutgoingBody | None = None
        if body is not None and body.open is not None:
            outgoing = StreamedBody(await stack.enter_async_context(body.open()), body.size)
            # The body is closed when nobody reads from it any more.
            stack.push_async_callback(outgoing.settle)
        elif body is not None:
            outgoing = BodyInMemory(body.data or b"")
        answer = await start(outgoing)
        stack.callback(answer.leave)
        yield StreamedResponse(answer.status, answer.headers, payload(answer))


@attrs.define
class _Said:
    """The credentials, shared by a transport and its copies with other time limits."""

    parameter: Secret = attrs.field(factory=lambda: Secret(""))
    number: int = 0


class AiohttpTransport:
    """Send requests over a pool of kept-alive connections; made inside the loop that uses it.

    Address, token, proxy and certificates are checked ones (`_options`). A caller's session is used
    as it is and never closed here; so is its pool, which may take what comes on an idle connection
    for the next request's answer. `allow_private_store` is about where pre-signed URLs may lead.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: str | Secret,
        timeout: Timeout,
        auth: Auth = "header",
        proxy: str | Secret = "",
        verify: ssl.SSLContext | bool = True,
        session: aiohttp.ClientSession | None = None,
        allow_private_store: bool = False,
    ) -> None:
        self._base_url = base_url
        self._api = URL(f"{base_url}api/v1/", encoded=True)
        self._path = self._api.raw_path
        self._peer = _peer(base_url)
        self._auth = auth
        self.secrets = _secrets_of(Secret(proxy), session=session)
        self._usual_headers = CIMultiDict(_EVERYWHERE)
        self._said = _Said()
        # Credentials of a proxy go to it alone: with the request where it sees that, else with the
        # one that asks it for a tunnel.
        self._proxy_headers: CIMultiDict[str] | None = None
        if field := _proxy_field(Secret(proxy)):
            if base_url.startswith("https:"):
                self._proxy_headers = CIMultiDict({"Proxy-Authorization": field})
            else:
                self._usual_headers["Proxy-Authorization"] = field
        self._patience = _Patience(timeout)
        self._owns_http = session is None
        self._http = session or _new_session(Secret(proxy), verify)
        self._last_fields: tuple[tuple[bytes, bytes], ...] | None = None
        self._last_headers: Mapping[str, str] = {}
        self._direct: Direct | None = None
        if self._owns_http:
            self._direct = Direct.made(self._http, base_url, _KEEPALIVE_SECONDS)
        self.use_token(Secret(token))
        del token, proxy  # a traceback with locals shows the names of this frame
        # Neither the caller's session nor the usual one: theirs may bring credentials and proxies.
        self._store = GuardedSession(
            allow_private=allow_private_store,
            switch="allow_private_store",
            what="The pre-signed URL",
            own=base_url,
            per_host=0,  # as many as the lanes let through
        )

    def with_timeout(self, timeout: Timeout) -> Self:
        """Return the same transport with other time limits; closing either closes both."""
        other = copy(self)
        other._patience = self._patience.with_timeout(timeout)
        return other

    @property
    def token_number(self) -> int:
        return self._said.number

    def use_token(self, token: Secret) -> None:
        """Send another token from now on; the one before stays a secret."""
        self._said.number += 1
        self.secrets.learn(token)
        if self._auth == "parameter":
            self._said.parameter = Secret(f"token={quote(token.reveal(), safe='')}")
        else:
            self._usual_headers["Authorization"] = HiddenField(f"Token {token.reveal()}")
        if self._direct is not None:
            self._direct.say(self._usual_headers, self._said.parameter)

    def __repr__(self) -> str:
        state = "closed" if self._http.closed else "open"
        return f"<AiohttpTransport {self._base_url} {state}>"

    async def exchange(self, request: Request) -> Response:
        body = request.body
        if body is not None and body.pages is not None:
            await body.pages.check()
        if body is not None and not body.is_at_hand:
            async with self.send(request) as streamed:
                return await streamed.whole(request)
        # Nearly all requests go this way: nothing is opened, so nothing has to be closed.
        until = self._patience.until(request)
        sent = None if body is None else BodyInMemory(body.data or b"", body.pages)
        answer = await self._start(request, until, sent)
        try:
            most = bound_of(request, answer.status)
            if (whole := answer.taken()) is not None:
                if not (request.gives_bytes and self._gives_bytes(request, answer)):
                    whole = self.secrets.clean(whole)
                if len(whole) <= most:
                    return Response(answer.status, answer.headers, whole)
                pieces = [whole]
            else:
                pieces = await self._payload(request, until, answer).rest(most)
            return whole_answer(request, answer.status, answer.headers, pieces)
        finally:
            answer.leave()

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        until = self._patience.until(request)
        return _exchange(
            partial(self._start, request, until),
            partial(self._payload, request, until),
            request.body,
        )

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        peer = self.secrets.hide(_peer(url))
        return _exchange(
            partial(self._start_fetch, url, peer),
            lambda answer: _Payload(answer.content, peer, self._patience),
        )

    async def aclose(self) -> None:
        self._patience.end()
        try:
            await self._store.aclose()
        finally:
            if self._direct is not None:
                self._direct.kept.close()
            if self._owns_http:
                await self._http.close()

    async def _start(self, request: Request, until: float, body: OutgoingBody | None) -> _Open:
        """Send a request and return its open answer; at `until` the exchange has to be over."""
        try:
            with self._patience.for_answer(body, until):
                # Not in a variable: what aiohttp has shows the fields that were sent.
                direct = None if isinstance(body, StreamedBody) else self._direct
                if direct is not None and (head := direct.head(request)) is not None:
                    sent = cast("BodyInMemory | None", body)
                    answer = await direct.start(
                        request.method, head, sent, self._patience.of_connecting
                    )
                    answer.headers = self._clean_fields(answer.headers, answer.raw_headers)
                    return answer
                return self._wrapped(
                    await self._http.request(
                        request.method,
                        self._url(request),
                        headers=self._headers(request),
                        data=None if body is None else OnAiohttp(body),
                        proxy_headers=self._proxy_headers,
                        timeout=self._patience.of_connecting,
                        # A redirect could lead the token to another origin.
                        allow_redirects=False,
                    )
                )
        except FAILURES as raised:
            failure = translate(raised, peer=self._peer, request_sent=body is None or body.whole)
        except BaseException as raised:
            # Names in frames of aiohttp hold header fields and the credentials of proxies.
            raised.__traceback__ = None
            raise
        # Raised here, outside the handler, so that aiohttp's error is not even its context.
        raise (body.failure if body is not None else None) or failure

    async def _start_fetch(self, url: str, peer: str, _: OutgoingBody | None) -> _Answer:
        async def ask(hop: URL) -> aiohttp.ClientResponse | Redirect:
            with self._patience.for_bytes():
                answer = await self._store.request("GET", hop, limits=self._patience.of_connecting)
            if redirect := redirect_of(answer):
                answer.close()
                return redirect
            return answer

        failure: APIError
        try:
            return self._wrapped(await self._store.follow(url, ask))
        except LinkError as refused:
            # What the service named is at fault, so that asking again would not help.
            failure = APIResponseValidationError(
                self.secrets.hide(str(refused)), method="GET", path=peer.partition("//")[2]
            )
        except FAILURES as raised:
            failure = translate(raised, peer=peer, request_sent=True)
        except BaseException as raised:
            raised.__traceback__ = None
            raise
        raise failure

    def _wrapped(self, raw: aiohttp.ClientResponse) -> _Answer:
        headers = self._clean_fields(raw.headers, raw.raw_headers)
        return _Answer(raw, raw.status, headers, raw.content)

    def _clean_fields(
        self, headers: Mapping[str, str], raw: tuple[tuple[bytes, bytes], ...]
    ) -> Mapping[str, str]:
        """Return header fields without secrets; for those of the last answer, the same object."""
        if raw != self._last_fields:
            self._last_headers = self.secrets.clean_fields(headers, raw)
            self._last_fields = raw
        return self._last_headers

    def _gives_bytes(self, request: Request, answer: _Open) -> bool:
        """Return whether an answer is an image or a video, which stays as it is."""
        if not request.gives_bytes or answer.status >= 300:
            return False
        kind = answer.headers.get("Content-Type", "").strip().lower()
        return not kind.startswith(("text/", "application/json"))

    def _payload(self, request: Request, until: float, answer: _Open) -> _Payload:
        secrets = None if self._gives_bytes(request, answer) else self.secrets
        return _Payload(answer.content, self._peer, self._patience, until, secrets=secrets)

    def _url(self, request: Request) -> URL:
        """Return the URL of a request; never kept in a name, since it may hold the token."""
        if request.query or self._said.parameter:
            query = urlencode(request.query, quote_via=quote)
            both = filter(None, (query, self._said.parameter.reveal()))
            return URL(f"{self._base_url}api/v1/{request.path}?{'&'.join(both)}", encoded=True)
        return self._api.with_path(self._path + request.path, encoded=True)

    def _headers(self, request: Request) -> CIMultiDict[str]:
        if request.body is None and not request.headers:
            return self._usual_headers
        headers = CIMultiDict(request.headers)
        headers.update(self._usual_headers)
        if request.body is not None:
            headers["Content-Type"] = request.body.content_type
            headers["Content-Length"] = str(request.body.size)
        return headers


def _new_session(proxy: Secret, verify: ssl.SSLContext | bool) -> aiohttp.ClientSession:
    connector = Connector(
        # The lanes of the session bound concurrency; a second bound here would hide its waits.
        limit=0,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        ttl_dns_cache=_DNS_CACHE_SECONDS,
        ssl=verify,
    )
    return aiohttp.ClientSession(
        connector=connector,
        proxy=URL(proxy.reveal()).with_user(None) if proxy else None,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=LONGEST_FIELD,
        max_field_size=LONGEST_FIELD,
    )


def _peer(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _secrets_of(proxy: Secret, session: aiohttp.ClientSession | None = None) -> Secrets:
    """Return the credentials of a proxy: the given one, and what a caller's session may use."""
    urls = [proxy.reveal(), getattr(session, "_default_proxy", None)]
    if session is not None and session.trust_env:
        urls += getproxies().values()
    pairs: list[tuple[str, str]] = []
    for url in filter(None, urls):
        with suppress(ValueError):
            parts = urlsplit(str(url))
            pairs.append((unquote(parts.username or ""), unquote(parts.password or "")))
    auth: aiohttp.BasicAuth | None = getattr(session, "_default_proxy_auth", None)
    if auth is not None:
        pairs.append((auth.login, auth.password))
    # User, password, and both as a Basic header encodes them.
    return Secrets(*(each for a, b in pairs for each in (a, b, f"{a}:{b}")))


def _proxy_field(proxy: Secret) -> HiddenField | None:
    """Return the credentials for a proxy, or None if its URL has none."""
    if not proxy or (url := URL(proxy.reveal())).user is None:
        return None
    return HiddenField(aiohttp.encode_basic_auth(url.user or "", url.password or ""))
