"""Links of anybody's choice: ask whether an image is there, and fetch it; little is read.

Both go through the guard of `_foreign`.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp

from datagym_async._transport._deadlines import Pace
from datagym_async._transport._failures import FAILURES
from datagym_async._transport._foreign import (
    GuardedSession,
    LinkError,
    Redirect,
    failed,
    redirect_of,
)
from datagym_async._transport._options import Timeout

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from aiohttp.abc import AbstractResolver
    from yarl import URL

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
        return "The link leads to no JPEG or PNG image."

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
                raise LinkError(f"The link gives more than {MAX_LINK_BYTES:,} bytes.")
            # After the wait: one that brings no byte at all is ended by the session's own limit.
            if not pace.end(len(chunk)):
                raise LinkError(f"The link gives less than {pace.rate:,.0f} bytes a second.")
            yield chunk
    except FAILURES as failure:
        raise failed(failure, url) from None
