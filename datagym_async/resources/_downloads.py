"""Follow the service to the bytes of a media.

Images arrive as they are. For a video the answer is a text: a pre-signed URL of another origin,
which is fetched without our credentials.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from datagym_async._wire._codec import too_large, unexpected
from datagym_async._wire._errors import WEB_PAGE
from datagym_async.exceptions import APIConnectionError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from datagym_async._wire._messages import Request, Response
    from datagym_async.resources._ports import Door, OpenAnswer

_MAX_URL = 8192
"""Bytes of the longest body that can be a URL."""

_DIGITS = 20
"""Digits that no announced length reaches."""


def url_of(request: Request, answer: Response) -> str | None:
    """Return where the bytes of a media are to be fetched, or None if the answer holds them.

    Raises:
        APIResponseValidationError: A web page answered.
    """
    return None if _is_media(request, answer) else _as_url(answer.body)


async def fetch(session: Door, request: Request, url: str) -> bytes:
    """Return the bytes of a media that are elsewhere.

    Args:
        session: The door to the network.
        request: What was answered with the URL.
        url: Where they are.

    Raises:
        APIError: They cannot be had.
    """
    async with session.stream_url(url) as elsewhere:
        chunks = _counted(request, elsewhere, elsewhere.iter_chunks())
        return b"".join([chunk async for chunk in chunks])


@asynccontextmanager
async def opened(session: Door, request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
    """Give the chunks of a media, followed to where they are.

    Raises:
        APIResponseValidationError: A web page answered, or it is longer than `request.max_bytes`.
        APIError: The service cannot be asked, refuses, or the answer broke off.
    """
    async with session.stream(request) as answer:
        chunks = answer.iter_chunks()
        start = b"" if _is_media(request, answer) else await _take(chunks)
        url = _as_url(start)
        if url is None:
            async with aclosing(_counted(request, answer, chunks, start=start)) as counted:
                yield counted
            return
        async with (
            session.stream_url(url) as elsewhere,
            aclosing(_counted(request, elsewhere, elsewhere.iter_chunks())) as counted,
        ):
            yield counted


def _is_media(request: Request, answer: Response | OpenAnswer) -> bool:
    """Return whether an answer is an image or a video; else it may be the URL of one.

    Raises:
        APIResponseValidationError: It is a web page.
    """
    kind = answer.headers.get("content-type", "").strip().lower()
    if kind.startswith(("image/", "video/")):
        return True
    if "html" in kind.partition(";")[0]:
        raise unexpected(request, answer.status, WEB_PAGE)
    return False


async def _take(chunks: AsyncIterator[bytes]) -> bytes:
    """Return the start of a body: all of it if it is short enough to be a URL."""
    start = b""
    async for chunk in chunks:
        start += chunk
        if len(start) > _MAX_URL:
            break
    return start


def _as_url(body: bytes) -> str | None:
    """Return a whole body as an http or https URL, or None if it is none."""
    if len(body) > _MAX_URL:
        return None
    try:
        url = body.decode("ascii").strip().strip('"')
        parts = urlsplit(url)
    except ValueError:
        return None
    good = parts.scheme in {"http", "https"} and parts.hostname and url.isprintable()
    return url if good and " " not in url else None


async def _counted(
    request: Request, answer: OpenAnswer, chunks: AsyncIterator[bytes], *, start: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """Give the chunks, and raise if there are fewer or more bytes than announced, or too many."""
    announced, arrived = answer.headers.get("content-length", ""), len(start)
    if start:
        yield start
    async for chunk in chunks:
        arrived += len(chunk)
        if arrived > request.max_bytes:
            raise too_large(request, answer.status, request.max_bytes, is_media=True)
        yield chunk
    encoded = answer.headers.get("content-encoding", "identity") != "identity"
    is_number = announced.isdecimal() and len(announced) < _DIGITS
    if is_number and int(announced) != arrived and not encoded:
        raise APIConnectionError(
            f"{request.method} {request.path} broke off after {arrived} of {announced} bytes; try"
            " again",
            method=request.method,
            path=request.path,
        )
