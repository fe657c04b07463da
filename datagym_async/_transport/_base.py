"""The seam between the session and whatever carries its requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, Self

import attrs

from datagym_async._wire._codec import too_large
from datagym_async._wire._messages import MAX_ERROR, MAX_VALUE, Request, Response

if TYPE_CHECKING:
    from datagym_async._transport._options import Timeout


class Payload(ABC):
    """Pieces of a body, of which the rest can be had at once."""

    @abstractmethod
    async def rest(self, most: int) -> list[bytes]:
        """Return what has not been given yet; a little more than `most` bytes if that is not all.

        It comes in pieces: to join what is too long would take as much memory again. What is
        compressed counts unpacked.
        """


@attrs.frozen
class StreamedResponse:
    """An answer whose body is still on its way; valid inside its context manager only.

    Args:
        status: HTTP status.
        headers: Header fields, to be asked for by names in lower case.
        chunks: The body, in pieces of at most about 64 KiB; can be iterated once.
    """

    status: int
    headers: Mapping[str, str]
    _chunks: AsyncIterator[bytes] = attrs.field(repr=False)

    def iter_chunks(self) -> AsyncIterator[bytes]:
        """Return the body piece by piece.

        Raises:
            APIConnectionError: The answer broke off before its end.
        """
        return self._chunks

    async def read(self, most: int = MAX_VALUE) -> bytes:
        """Return the rest of the body; a little more than `most` bytes of it if that is not all.

        Raises:
            APIConnectionError: The answer broke off before its end.
        """
        return b"".join(await self._pieces(most))

    async def whole(self, request: Request) -> Response:
        """Return the answer with its body read to the end; that of an error is cut at its bound.

        Raises:
            APIConnectionError: The answer broke off before its end.
            APIResponseValidationError: It is longer than `request.max_bytes`.
        """
        pieces = await self._pieces(bound_of(request, self.status))
        return whole_answer(request, self.status, self.headers, pieces)

    async def _pieces(self, most: int) -> list[bytes]:
        if isinstance(self._chunks, Payload):
            return await self._chunks.rest(most)
        pieces, arrived = [], 0
        async for piece in self._chunks:
            pieces.append(piece)
            arrived += len(piece)
            if arrived > most:
                break
        return pieces


def bound_of(request: Request, status: int) -> int:
    """Return how many bytes of an answer are read: an error takes few words."""
    return request.max_bytes if status < 300 else MAX_ERROR


def whole_answer(
    request: Request, status: int, headers: Mapping[str, str], pieces: Sequence[bytes]
) -> Response:
    """Return the answer whose body was read up to its bound.

    Raises:
        APIResponseValidationError: It is no error, and goes on behind the bound.
    """
    is_error = status >= 300
    if not is_error and sum(map(len, pieces)) > request.max_bytes:
        raise too_large(request, status, request.max_bytes)
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return Response(status, headers, body[:MAX_ERROR] if is_error else body)


class Transport(Protocol):
    """Send requests, each exactly once as far as the HTTP library allows."""

    @property
    def token_number(self) -> int:
        """Return how many tokens were used so far, this one included."""

    def with_timeout(self, timeout: Timeout) -> Self:
        """Return the same transport with other time limits."""

    async def exchange(self, request: Request) -> Response:
        """Send a request to the service, with the token, and return its whole answer.

        Raises:
            APIConnectionError: No answer, or none that is whole; `request_sent` says whether the
                service can have acted.
        """

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request to the service, with the token, and give its open answer.

        Raises:
            APIConnectionError: No answer; `request_sent` says whether the service can have acted.
        """

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        """Get a pre-signed URL, without the token or any other credentials.

        Raises:
            APIConnectionError: No answer.
            APIResponseValidationError: It, or a redirect, leads to an address that is not asked.
        """

    async def aclose(self) -> None:
        """Close what this transport opened; may be called again."""
