"""Foreign addresses: links of anybody's choice, and pre-signed URLs of the service.

Such an address may come from anybody, and we ask from inside somebody's network. So only addresses
of the public internet are asked. A numeric host is looked at as it is; a name when it is resolved,
and the address that was looked at is the one connected to: a second answer of the name server does
not count. Each hop of a redirect is checked again. There are no cookies, no proxies, and no
credentials, neither from the environment nor from the URL.

`GuardedSession` holds these rules. `LinkProber` asks by it whether an image is there, and
`LinkFetcher` fetches it; little is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from datagym_async._printable import printable
from datagym_async._transport._connections import Connector
from datagym_async._transport._deadlines import Pace
from datagym_async._transport._failures import FAILURES, translate
from datagym_async._transport._options import Timeout, is_host
from datagym_async._version import __version__

T = TypeVar("T")

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A store or a proxy may undo an encoding as it likes: the bytes are wanted as they lie there.
_HEADERS = {"User-Agent": f"datagym-async/{__version__}", "Accept-Encoding": "identity"}

# What is public, by IANA's registries of special-purpose addresses. The table is ours because
# `ipaddress` knows other ranges in each version of Python. Of IPv6 only 2000::/3 has been given
# out: all else is refused, and with it each form that hides an IPv4 address, save two.
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
"""Bytes of an image that are read, where its header fields do not tell enough."""
_CHUNK = 64 * 1024
_ATTEMPTS = 2
_PAUSE = 0.5
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_TYPES = frozenset({"image/jpeg", "image/jpg", "image/png"})
# Of a probe, which makes a second attempt at once, and of a fetch, which waits between its own.
_BAD_MOMENTS = frozenset({429, 500, 502, 503, 504})
_PASSING = _BAD_MOMENTS | {408, 425}


class LinkError(Exception):
    """Says why nothing can be had from an address.

    Attributes:
        may_pass: Whether it may be over in a moment.
    """

    def __init__(self, sentence: str, *, may_pass: bool = False) -> None:
        super().__init__(sentence)
        self.may_pass = may_pass


class ForbiddenAddressError(OSError):
    """Says that a name leads to an address which is not to be asked."""


def check_public(address: str) -> None:
    """Refuse an address that belongs to this machine, a private network or no host at all.

    Args:
        address: A numeric address; IPv6 perhaps with its zone.

    Raises:
        ForbiddenAddressError: It is not public.
        ValueError: It is no numeric address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # Those that the system or the network turns into the IPv4 address within.
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
    """Resolve names to addresses of the public internet alone.

    Args:
        inner: Resolves names.
        own: Host and port that may be anywhere; None for no such exception.
    """

    _inner: AbstractResolver
    _own: tuple[str | None, int | None] | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host, if all of them are public.

        Raises:
            ForbiddenAddressError: One of them is not.
        """
        found = await self._inner.resolve(host, port, family)
        if (host, port) != self._own:
            for each in found:
                check_public(each["host"])
        return found

    async def close(self) -> None:
        """Close the resolver within."""
        await self._inner.close()


@attrs.frozen
class Redirect:
    """Where an answer leads to, as it is written there."""

    target: str


def redirect_of(answer: aiohttp.ClientResponse) -> Redirect | None:
    """Return where an answer leads to, or None if it is no redirect."""
    target = answer.headers.get("Location")
    return Redirect(target) if answer.status in _REDIRECTS and target else None


class GuardedSession:
    """Ask foreign addresses, as the rules of this module allow.

    Args:
        allow_private: Whether to ask private, loopback and other special addresses, too.
        switch: The option that allows them, as sentences name it.
        what: What an address is called in sentences.
        own: An address whose host and port are asked anyway, wherever they are; empty for none.
        per_host: Connections to one host at once; 0 for as many as are wanted.
        resolver: Resolves names; None for the system's.

    Opened by its first use inside an event loop; whoever made it closes it.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        switch: str = "allow_private_links",
        what: str = "The link",
        own: str = "",
        per_host: int = 8,
        resolver: AbstractResolver | None = None,
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
        """Return what is found at the end of an address's redirects.

        Args:
            url: The address, of anybody's choice.
            ask: Asks one hop by `request`; a `Redirect` leads to the next.

        Raises:
            LinkError: A hop must not or cannot be asked, or there are too many.
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
        """Return the open answer of one hop, which `follow` has looked at.

        Raises:
            LinkError: Its name leads to no public address.
            aiohttp.ClientError: As all `FAILURES`: it cannot be asked.
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
        """Refuse what the address itself shows; names are checked when they are resolved."""
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
    """Return the failure of the HTTP library as an error of the address."""
    words = str(translate(failure, peer=f"{url.scheme}://{url.host}", request_sent=True))
    return LinkError(f"{words.partition(';')[0].partition(': check')[0]}.", may_pass=True)


class LinkProber:
    """Ask whether addresses lead to JPEG or PNG images.

    Args:
        allow_private: Whether to ask private, loopback and other special addresses, too.
        timeout: Seconds for one address, all hops and attempts included.
        concurrency: Addresses asked at once.
        resolver: Resolves names; None for the system's.

    Opened by its first use inside an event loop; whoever made it closes it.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout: float = 15.0,
        concurrency: int = 32,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._timeout = timeout
        self._turns = asyncio.Semaphore(concurrency)
        self._http = GuardedSession(allow_private=allow_private, resolver=resolver)

    async def aclose(self) -> None:
        """Close all connections; may be called again."""
        await self._http.aclose()

    async def probe(self, url: str) -> str:
        """Return why no image can be had from an address, or an empty text."""
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
                return await self._http.follow(url, self._answer_of)
            except LinkError as error:
                reason = str(error)
                if not error.may_pass:
                    break
        return reason

    async def _answer_of(self, url: URL) -> str | Redirect:
        """Return what is wrong with an address or an empty text, or where it redirects to."""
        for method in ("HEAD", "GET"):
            found = await self._request(method, url)
            if found is not None:
                return found
        return "The link does not lead to a JPEG or PNG image."

    async def _request(self, method: str, url: URL) -> str | Redirect | None:
        headers = {"Range": f"bytes=0-{HEAD_SIZE - 1}"} if method == "GET" else None
        try:
            answer = await self._http.request(method, url, headers=headers)
            try:
                return await _judge(method, answer)
            finally:
                answer.close()  # the rest of it may be long
        except FAILURES as failure:
            raise failed(failure, url) from None


async def _judge(method: str, answer: aiohttp.ClientResponse) -> str | Redirect | None:
    """Return as `_answer_of` does, or None where the answer does not tell."""
    status = answer.status
    if redirect := redirect_of(answer):
        return redirect
    if status in _BAD_MOMENTS:
        raise LinkError(f"The link answers with status {status}.", may_pass=True)
    if method == "HEAD":
        return "" if status == 200 and _is_image(answer.headers) else None
    if status not in {200, 206}:
        return f"The link answers with status {status}."
    try:
        head = await answer.content.readexactly(HEAD_SIZE)
    except asyncio.IncompleteReadError as short:
        head = short.partial
    return "" if head.startswith(_SIGNATURES) else None


def _is_image(headers: Mapping[str, str]) -> bool:
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in _TYPES and headers.get("Content-Length") != "0"


class LinkFetcher:
    """Fetch what lies at foreign addresses.

    Args:
        allow_private: Whether to ask private, loopback and other special addresses, too.
        timeout: Seconds without a byte after which it is given up.
        resolver: Resolves names; None for the system's.

    Opened by its first use inside an event loop; whoever made it closes it.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout: float = 30.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(sock_connect=timeout, sock_read=timeout)
        self._http = GuardedSession(allow_private=allow_private, resolver=resolver)

    async def aclose(self) -> None:
        """Close all connections; may be called again."""
        await self._http.aclose()

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes that lie at an address, in pieces.

        Raises:
            LinkError: They cannot be had, or broke off.
        """
        answer, here = await self._http.follow(url, self._asked)
        try:
            async with aclosing(_pieces(answer, here)) as pieces:
                yield pieces
        finally:
            answer.close()

    async def _asked(self, url: URL) -> tuple[aiohttp.ClientResponse, URL] | Redirect:
        try:
            answer = await self._http.request("GET", url, limits=self._timeout)
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
    try:
        while True:
            pace.begin()
            if not (chunk := await answer.content.read(_CHUNK)):
                return
            arrived += len(chunk)
            if arrived > MAX_LINK_BYTES:
                raise LinkError(f"The link sends more than {MAX_LINK_BYTES:,} bytes.")
            # After the wait: one that brings no byte at all is ended by the session's own limit.
            if not pace.end(len(chunk)):
                raise LinkError(f"The link sends less than {pace.rate:,.0f} bytes a second.")
            yield chunk
    except FAILURES as failure:
        raise failed(failure, url) from None
