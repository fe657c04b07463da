"""The seam between the session and whatever carries its requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Protocol

import attrs

from datagym_async._wire._messages import Request, Response

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


class Payload(ABC):
    """Pieces of a body, of which the rest can be had at once."""

    @abstractmethod
    async def rest(self) -> bytes:
        """Return all that has not been given yet."""


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

    async def read(self) -> bytes:
        """Return the rest of the body.

        Raises:
            APIConnectionError: The answer broke off before its end.
        """
        if isinstance(self._chunks, Payload):
            return await self._chunks.rest()
        return b"".join([chunk async for chunk in self._chunks])

    async def whole(self) -> Response:
        """Return the answer with its body read to the end.

        Raises:
            APIConnectionError: The answer broke off before its end.
        """
        return Response(status=self.status, headers=self.headers, body=await self.read())


class Transport(Protocol):
    """Send requests, each exactly once as far as the HTTP library allows."""

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
        """Get an absolute URL of another origin, without the token.

        Raises:
            APIConnectionError: No answer.
        """

    async def aclose(self) -> None:
        """Close what this transport opened; may be called again."""
