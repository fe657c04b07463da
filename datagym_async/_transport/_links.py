"""Ask foreign addresses whether an image is there: with no credentials, and not just anywhere.

The list of addresses may come from anybody, and we ask from inside somebody's network. So each
address that a name resolves to is looked at before it is connected to (the very one: a second
answer of the name server does not count), on each hop of a redirect anew; there are no cookies, no
proxies, no credentials from the environment or from the URL, and little is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from datagym_async._transport._failures import FAILURES, translate
from datagym_async._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REDIRECTS = 5
HEAD_SIZE = 8
"""Bytes of an image that are read, where its header fields do not tell enough."""
_ATTEMPTS = 2
_PAUSE = 0.5
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_TYPES = frozenset({"image/jpeg", "image/jpg", "image/png"})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses of an answer that leads elsewhere."""


class ForbiddenAddressError(OSError):
    """Says that a name leads to an address which is not to be asked."""


@attrs.define
class PublicResolver(AbstractResolver):
    """Resolve names to addresses of the public internet alone.

    Args:
        inner: Resolves names.
    """

    _inner: AbstractResolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host, if all of them are public.

        Raises:
            ForbiddenAddressError: One of them is not.
        """
        found = await self._inner.resolve(host, port, family)
        for each in found:
            check_public(each["host"])
        return found

    async def close(self) -> None:
        """Close the resolver within."""
        await self._inner.close()


def check_public(address: str) -> None:
    """Refuse an address that belongs to this machine, a private network or no host at all.

    Args:
        address: A numeric address; IPv6 perhaps with its zone.

    Raises:
        ForbiddenAddressError: It is not public.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        ip = ip.ipv4_mapped or ip.sixtofour or inner or ip
    if not ip.is_global or ip.is_multicast:
        raise ForbiddenAddressError


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
        self._allow_private = allow_private
        self._timeout = timeout
        self._turns = asyncio.Semaphore(concurrency)
        self._resolver = resolver
        self._http: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close all connections; may be called again."""
        if self._http is not None:
            await self._http.close()
            self._http = None

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
                return await self._follow(url)
            except _TryAgainError as error:
                reason = str(error)
        return reason

    async def _follow(self, url: str) -> str:
        """Follow redirects to their end; return what is wrong with it, or an empty text."""
        here, target = URL(), url
        for _ in range(MAX_REDIRECTS + 1):
            try:
                here = here.join(URL(target))
            except ValueError:
                return "The link leads to what is no address."
            if reason := refusal(here, allow_private=self._allow_private):
                return reason
            answer = await self._answer_of(here)
            if isinstance(answer, str):
                return answer
            target = answer.target
        return f"The link redirects more than {MAX_REDIRECTS} times."

    async def _answer_of(self, url: URL) -> str | _Redirect:
        """Return what is wrong with an address or an empty text, or where it redirects to."""
        for method in ("HEAD", "GET"):
            found = await self._request(method, url)
            if found is not None:
                return found
        return "The link leads to no JPEG or PNG image."

    async def _request(self, method: str, url: URL) -> str | _Redirect | None:
        headers = {"User-Agent": f"datagym-async/{__version__}", "Accept-Encoding": "identity"}
        if method == "GET":
            headers["Range"] = f"bytes=0-{HEAD_SIZE - 1}"
        try:
            async with self._session().request(
                method, url.with_user(None), headers=headers, allow_redirects=False
            ) as answer:
                try:
                    return await _judge(method, answer)
                finally:
                    answer.close()  # the rest of it may be long
        except ForbiddenAddressError:
            return forbidden(url)
        except FAILURES as failure:
            if isinstance(failure.__cause__, ForbiddenAddressError):
                return forbidden(url)
            words = str(translate(failure, peer=f"{url.scheme}://{url.host}", request_sent=True))
        raise _TryAgainError(f"{words.partition(';')[0].partition(': check')[0]}.")

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = foreign_session(self._resolver, allow_private=self._allow_private)
        return self._http


def foreign_session(
    resolver: AbstractResolver | None, *, allow_private: bool
) -> aiohttp.ClientSession:
    """Return a session for foreign addresses: no cookies, no proxies, no credentials.

    Args:
        resolver: Resolves names; None for the system's.
        allow_private: Whether names may lead to private, loopback and other special addresses.
    """
    resolver = resolver or aiohttp.ThreadedResolver()
    connector = aiohttp.TCPConnector(
        limit=0,
        limit_per_host=8,
        resolver=resolver if allow_private else PublicResolver(resolver),
    )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    )


def refusal(url: URL, *, allow_private: bool) -> str:
    """Return why an address is not asked, or an empty text.

    Args:
        url: The address.
        allow_private: Whether it may be private, loopback or another special one.
    """
    if url.scheme not in {"http", "https"} or not url.host:
        return f"The link leads to {url.scheme or 'no'}://, and only http and https are asked."
    if allow_private:
        return ""
    try:
        check_public(url.host)
    except ForbiddenAddressError:
        return forbidden(url)
    except ValueError:
        pass  # a name: it is looked at when it is resolved
    return ""


@attrs.frozen
class _Redirect:
    """Where an answer leads to, as it is written there."""

    target: str


class _TryAgainError(Exception):
    """Says what may be over in a moment."""


async def _judge(method: str, answer: aiohttp.ClientResponse) -> str | _Redirect | None:
    """Return as `_answer_of` does, or None where the answer does not tell."""
    status = answer.status
    if status in REDIRECTS and (target := answer.headers.get("Location")):
        return _Redirect(target)
    if status in {429, 500, 502, 503, 504}:
        raise _TryAgainError(f"The link answers with status {status}.")
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


def forbidden(url: URL) -> str:
    """Return the sentence that says of an address that it is not public."""
    return (
        f"The link leads to {url.host}, which is no public address; "
        "allow_private_links=True asks such hosts, too."
    )
