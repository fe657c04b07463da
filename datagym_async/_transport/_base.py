"""The interface between the session and whatever sends its requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

import attrs

from datagym_async._transport._options import Timeout
from datagym_async._wire._codec import too_large
from datagym_async._wire._messages import MAX_ERROR, Request, Response


@attrs.frozen
class StreamedResponse:
    """An answer whose body is still arriving; valid inside its context manager only.

    Reading raises `APIConnectionError` if the answer breaks off before its end.
    """

    status: int
    headers: Mapping[str, str]  # by names in lower case
    chunks: AsyncIterator[bytes] = attrs.field(repr=False)
    """The body in pieces of at most about 64 KiB; can be iterated once."""

    async def whole(self, request: Request) -> Response:
        """Return the answer with its whole body, within `bound_of` (see `whole_answer`)."""
        pieces, arrived, most = [], 0, bound_of(request, self.status)
        async for piece in self.chunks:
            pieces.append(piece)
            arrived += len(piece)
            if arrived > most:
                break
        return whole_answer(request, self.status, self.headers, pieces)


def bound_of(request: Request, status: int) -> int:
    """Return how many bytes of an answer are read; of an error, fewer."""
    return request.max_bytes if status < 300 else MAX_ERROR


def whole_answer(
    request: Request, status: int, headers: Mapping[str, str], pieces: Sequence[bytes]
) -> Response:
    """Return the answer whose body was read up to its bound; longer is an error."""
    is_error = status >= 300
    if not is_error and sum(map(len, pieces)) > request.max_bytes:
        raise too_large(request, status, request.max_bytes)
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return Response(status, headers, body[:MAX_ERROR] if is_error else body)


class Transport(Protocol):
    """Send requests, each exactly once as far as the HTTP library allows.

    If no complete answer arrives, that is an `APIConnectionError`, the `request_sent` of which says
    whether the service can have acted.
    """

    @property
    def token_number(self) -> int:
        """Return how many tokens were used so far, with the present one."""

    def with_timeout(self, timeout: Timeout) -> Self:
        """Return the same transport with other time limits."""

    async def exchange(self, request: Request) -> Response:
        """Send a request to the service, with the token, and return its whole answer."""

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request to the service, with the token, and give its open answer."""

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        """Get a pre-signed URL, without the token or any other credentials.

        If it, or a redirect, leads to a forbidden address, that is an `APIResponseValidationError`.
        """

    async def aclose(self) -> None:
        """Close what this transport opened; may be called again."""
