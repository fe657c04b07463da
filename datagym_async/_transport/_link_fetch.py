"""Fetch images from foreign addresses: with no credentials, and not from just anywhere.

The same rules as for asking whether one is there (`_links`) hold for each hop.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from datagym_async._transport._failures import FAILURES, translate
from datagym_async._transport._links import (
    MAX_REDIRECTS,
    REDIRECTS,
    ForbiddenAddressError,
    forbidden,
    foreign_session,
    refusal,
)
from datagym_async._version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from aiohttp.abc import AbstractResolver

MAX_LINK_BYTES = 256 << 20
"""Bytes of a link image at most: whoever serves it may never stop."""
_CHUNK = 64 * 1024
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class LinkError(Exception):
    """Says why an image cannot be had from an address.

    Attributes:
        may_pass: Whether it may be over in a moment.
    """

    def __init__(self, sentence: str, *, may_pass: bool = False) -> None:
        super().__init__(sentence)
        self.may_pass = may_pass


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
        self._allow_private = allow_private
        self._timeout = aiohttp.ClientTimeout(sock_connect=timeout, sock_read=timeout)
        self._resolver = resolver
        self._http: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close all connections; may be called again."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes that lie at an address, in pieces.

        Raises:
            LinkError: They cannot be had, or broke off.
        """
        answer, here = await self._followed(url)
        try:
            async with aclosing(_pieces(answer, here)) as pieces:
                yield pieces
        finally:
            answer.close()

    async def _followed(self, url: str) -> tuple[aiohttp.ClientResponse, URL]:
        """Follow redirects to their end; return the open answer there, and where that is."""
        here, target = URL(), url
        for _ in range(MAX_REDIRECTS + 1):
            try:
                here = here.join(URL(target))
            except ValueError:
                raise LinkError("The link leads to what is no address.") from None
            if reason := refusal(here, allow_private=self._allow_private):
                raise LinkError(reason)
            answer = await self._asked(here)
            target = answer.headers.get("Location", "")
            if answer.status == 200:
                return answer, here
            answer.close()
            if answer.status not in REDIRECTS or not target:
                words = f"The link answers with status {answer.status}."
                raise LinkError(words, may_pass=answer.status in _PASSING)
        raise LinkError(f"The link redirects more than {MAX_REDIRECTS} times.")

    async def _asked(self, url: URL) -> aiohttp.ClientResponse:
        if self._http is None:
            self._http = foreign_session(self._resolver, allow_private=self._allow_private)
        headers = {"User-Agent": f"datagym-async/{__version__}", "Accept-Encoding": "identity"}
        try:
            return await self._http.get(
                url.with_user(None), headers=headers, allow_redirects=False, timeout=self._timeout
            )
        except ForbiddenAddressError:
            raise LinkError(forbidden(url)) from None
        except FAILURES as failure:
            raise _failed(failure, url) from None


async def _pieces(answer: aiohttp.ClientResponse, url: URL) -> AsyncGenerator[bytes, None]:
    arrived = 0
    try:
        async for chunk in answer.content.iter_chunked(_CHUNK):
            arrived += len(chunk)
            if arrived > MAX_LINK_BYTES:
                raise LinkError(f"The link gives more than {MAX_LINK_BYTES:,} bytes.")
            yield chunk
    except FAILURES as failure:
        raise _failed(failure, url) from None


def _failed(failure: BaseException, url: URL) -> LinkError:
    if isinstance(failure.__cause__, ForbiddenAddressError):
        return LinkError(forbidden(url))
    words = str(translate(failure, peer=f"{url.scheme}://{url.host}", request_sent=True))
    return LinkError(f"{words.partition(';')[0].partition(': check')[0]}.", may_pass=True)
