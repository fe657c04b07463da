"""Foreign addresses: links, and pre-signed URLs of the service.

Such an address may come from anybody, and we send requests from inside somebody's network. So only
addresses of the public internet are allowed. A numeric host is checked as it is. A name is checked
when it is resolved, and the checked address is the one that is connected to, so a second answer of
the name server does not count. Each hop of a redirect is checked again. There are no cookies, no
proxies, and no credentials, neither from the environment nor from the URL.

`GuardedSession` has these rules. `LinkProber` finds out whether a link leads to an image, and
`LinkFetcher` fetches it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from datagym_async._printable import printable
from datagym_async._transport._base import FAILURES, Pace, translate
from datagym_async._transport._connections import Connector
from datagym_async._transport._options import Timeout, is_host
from datagym_async._version import __version__

T = TypeVar("T")

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A store or a proxy may undo an encoding at will, and we want the bytes as they are stored.
_HEADERS = {"User-Agent": f"datagym-async/{__version__}", "Accept-Encoding": "identity"}

# By IANA's registries of special-purpose addresses. The table is ours because `ipaddress` differs
# between versions of Python. Of IPv6 only 2000::/3 has been assigned: all else is refused, and with
# it each form that hides an IPv4 address, except two.
_IPV6_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SPECIAL_IPV6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocols: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_SPECIAL_IPV4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # behind a provider's NAT
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local; where clouds keep their credentials
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocols
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4, given up
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)


MAX_LINK_BYTES = 256 << 20
"""Bytes of a link image at most: its server may never stop."""
HEAD_SIZE = 8
"""Bytes of an image that are read if its header fields do not say enough."""
_CHUNK = 64 * 1024
_PROBES_AT_ONCE = 32
_ATTEMPTS = 2
_PAUSE = 0.5
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_TYPES = frozenset({"image/jpeg", "image/jpg", "image/png"})
# For a probe, which makes a second attempt soon, and for a fetch, which waits longer.
_BAD_MOMENTS = frozenset({429, 500, 502, 503, 504})
_PASSING = _BAD_MOMENTS | {408, 425}


class LinkError(Exception):
    """Says why an address gives nothing; it may work later if `may_pass` is True."""

    def __init__(self, sentence: str, *, may_pass: bool = False) -> None:
        super().__init__(sentence)
        self.may_pass = may_pass


class ForbiddenAddressError(OSError):
    """Says that a name leads to an address that is not allowed."""


def check_public(address: str) -> None:
    """Raise `ForbiddenAddressError` for an address that is not public, `ValueError` for a name."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # The system or the network turns these into the IPv4 address that they contain.
        within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        ip = ip.ipv4_mapped or ip.sixtofour or within or ip
    if isinstance(ip, ipaddress.IPv4Address):
        is_public = not any(ip in network for network in _SPECIAL_IPV4)
    else:
        is_public = ip in _IPV6_GIVEN_OUT and not any(ip in network for network in _SPECIAL_IPV6)
    if not is_public:
        raise ForbiddenAddressError


@attrs.define
class PublicResolver(AbstractResolver):
    """Resolve names to addresses of the public internet only."""

    _inner: AbstractResolver
    _own: tuple[str | None, int | None] | None = None  # host and port that are allowed anyway

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; one that is not public is a `ForbiddenAddressError`."""
        found = await self._inner.resolve(host, port, family)
        if (host, port) != self._own:
            for each in found:
                check_public(each["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


@attrs.frozen
class Redirect:
    target: str


def redirect_of(answer: aiohttp.ClientResponse) -> Redirect | None:
    target = answer.headers.get("Location")
    return Redirect(target) if answer.status in _REDIRECTS and target else None


class GuardedSession:
    """Sends requests to foreign addresses; opens with the first one, inside an event loop."""

    def __init__(
        self,
        *,
        allow_private: bool,  # private, loopback and other special addresses, too
        switch: str = "allow_private_links",  # the option that allows them, for messages
        what: str = "The link",  # the name of an address in messages
        own: str = "",  # an address whose host and port are allowed in any case
        per_host: int = 8,  # connections at once; 0 for no limit
        resolver: AbstractResolver | None = None,  # None for the system's
    ) -> None:
        self._allow_private = allow_private
        self._switch = switch
        self._what = what
        self._own = (URL(own).raw_host, URL(own).port) if own else None
        self._per_host = per_host
        self._resolver = resolver
        self._http: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close all connections; may be called again."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def follow(self, url: str, ask: Callable[[URL], Awaitable[T | Redirect]]) -> T:
        """Return what `ask` returns at the end of an address's redirects.

        It requests one hop by `request`; a `Redirect` leads to the next. A hop that is not allowed,
        or too many of them, is a `LinkError`.
        """
        here, target = URL(), url
        for _ in range(MAX_REDIRECTS + 1):
            try:
                here = here.join(URL(target))
            except ValueError:
                raise LinkError(f"{self._what} does not lead to a valid address.") from None
            self._check(here)
            answer = await ask(here)
            if not isinstance(answer, Redirect):
                return answer
            target = answer.target
        raise LinkError(f"{self._what} redirects more than {MAX_REDIRECTS} times.")

    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: dict[str, str] | None = None,
        limits: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.ClientResponse:
        """Return the open answer of one hop, which `follow` has checked.

        A name that leads to no public address is a `LinkError`; other errors are `FAILURES`.
        """
        http = self._http = self._http or self._opened()
        try:
            return await http.request(
                method,
                url.with_user(None),
                headers={**_HEADERS, **(headers or {})},
                allow_redirects=False,
                timeout=limits,
            )
        except FAILURES as failure:
            if isinstance(failure.__cause__ or failure, ForbiddenAddressError):
                raise self._forbidden(url) from None
            raise

    def _opened(self) -> aiohttp.ClientSession:
        resolver = self._resolver or aiohttp.ThreadedResolver()
        if not self._allow_private:
            resolver = PublicResolver(resolver, self._own)
        connector = Connector(limit=0, limit_per_host=self._per_host, resolver=resolver)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    def _check(self, url: URL) -> None:
        """Check the address itself; names are checked when they are resolved."""
        host = url.raw_host or ""
        if url.scheme not in {"http", "https"} or not host:
            scheme = url.scheme or "no"
            raise LinkError(
                f"{self._what} leads to {printable(scheme)}://, but only http and https are "
                "allowed."
            )
        if not is_host(host):
            raise LinkError(f"{self._what} leads to {printable(host)}, which is not a host name.")
        if self._allow_private or (host, url.port) == self._own:
            return
        try:
            check_public(host)
        except ForbiddenAddressError:
            raise self._forbidden(url) from None
        except ValueError:
            pass  # a name

    def _forbidden(self, url: URL) -> LinkError:
        return LinkError(
            f"{self._what} leads to {printable(url.host or '')}, which is not a public address; "
            f"{self._switch}=True allows it."
        )


def failed(failure: BaseException, url: URL) -> LinkError:
    words = str(translate(failure, peer=f"{url.scheme}://{url.host}", request_sent=True))
    return LinkError(f"{words.partition(';')[0].partition(': check')[0]}.", may_pass=True)


class LinkProber(GuardedSession):
    """Finds out whether links lead to JPEG or PNG images; `timeout` counts for all attempts."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout: float = 15.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        super().__init__(allow_private=allow_private, resolver=resolver)
        self._timeout = timeout
        self._turns = asyncio.Semaphore(_PROBES_AT_ONCE)

    async def probe(self, url: str) -> str:
        """Return why a link gives no image, or an empty text."""
        async with self._turns:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._asked(url)
            except TimeoutError:
                return f"The link did not answer within {self._timeout:g} s."

    async def _asked(self, url: str) -> str:
        reason = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_PAUSE)
            try:
                return await self.follow(url, self._answer_of)
            except LinkError as error:
                reason = str(error)
                if not error.may_pass:
                    break
        return reason

    async def _answer_of(self, url: URL) -> str | Redirect:
        """Return what is wrong with a link or an empty text, or where it redirects to."""
        for method in ("HEAD", "GET"):
            headers = {"Range": f"bytes=0-{HEAD_SIZE - 1}"} if method == "GET" else None
            try:
                answer = await self.request(method, url, headers=headers)
                try:
                    found = await _judge(method, answer)
                finally:
                    answer.close()  # the rest of it may be long
            except FAILURES as failure:
                raise failed(failure, url) from None
            if found is not None:
                return found
        return "The link does not lead to a JPEG or PNG image."


async def _judge(method: str, answer: aiohttp.ClientResponse) -> str | Redirect | None:
    """Return as `_answer_of` does, or None if the answer does not say enough."""
    status = answer.status
    if redirect := redirect_of(answer):
        return redirect
    if status in _BAD_MOMENTS:
        raise LinkError(f"The link answers with status {status}.", may_pass=True)
    if method == "HEAD":
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        is_image = kind in _TYPES and answer.headers.get("Content-Length") != "0"
        return "" if status == 200 and is_image else None
    if status not in {200, 206}:
        return f"The link answers with status {status}."
    try:
        head = await answer.content.readexactly(HEAD_SIZE)
    except asyncio.IncompleteReadError as short:
        head = short.partial
    return "" if head.startswith(_SIGNATURES) else None


class LinkFetcher(GuardedSession):
    """Fetches what links lead to; `timeout` is in seconds without a byte."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout: float = 30.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        super().__init__(allow_private=allow_private, resolver=resolver)
        self._timeout = aiohttp.ClientTimeout(sock_connect=timeout, sock_read=timeout)

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes of a link in pieces; `LinkError` if there are none, or they break off."""
        answer, here = await self.follow(url, self._asked)
        try:
            async with aclosing(_pieces(answer, here)) as pieces:
                yield pieces
        finally:
            answer.close()

    async def _asked(self, url: URL) -> tuple[aiohttp.ClientResponse, URL] | Redirect:
        try:
            answer = await self.request("GET", url, limits=self._timeout)
        except FAILURES as failure:
            raise failed(failure, url) from None
        if answer.status == 200:
            return answer, url
        answer.close()
        if redirect := redirect_of(answer):
            return redirect
        words = f"The link answers with status {answer.status}."
        raise LinkError(words, may_pass=answer.status in _PASSING)


async def _pieces(answer: aiohttp.ClientResponse, url: URL) -> AsyncGenerator[bytes, None]:
    arrived, limits = 0, Timeout()
    pace = Pace(asyncio.get_running_loop().time, limits.read_rate, limits.read_window)
    too_much = LinkError(f"The link sends more than {MAX_LINK_BYTES:,} bytes.")
    if (answer.content_length or 0) > MAX_LINK_BYTES:  # before the part that is allowed
        raise too_much
    try:
        while True:
            pace.begin()
            if not (chunk := await answer.content.read(_CHUNK)):
                return
            arrived += len(chunk)
            if arrived > MAX_LINK_BYTES:
                raise too_much
            # After the wait: if no byte arrives at all, the session's own limit ends it.
            if not pace.end(len(chunk)):
                raise LinkError(f"The link sends less than {pace.rate:,.0f} bytes a second.")
            yield chunk
    except FAILURES as failure:
        raise failed(failure, url) from None
