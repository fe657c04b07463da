"""What the resources need of the session below them, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from datagym_async._wire._messages import Request, Response

T = TypeVar("T")


class OpenAnswer(Protocol):
    """An answer whose body is still on its way."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields, names in lower case."""

    def iter_chunks(self) -> AsyncIterator[bytes]:
        """Return the body piece by piece; it can be iterated once."""


class Door(Protocol):
    """The door to the network; `Session` is it."""

    @property
    def base_url(self) -> str:
        """Address of the service."""

    def settle_after(self) -> float:
        """Return the seconds within which the service may still carry a lost request out."""

    async def request(self, request: Request) -> Response:
        """Return the good answer to a request, retried by the table."""

    async def request_or_settle(
        self, request: Request, settle: Callable[[], Awaitable[T | None]]
    ) -> Response | T:
        """Return the good answer, or what settling found after a lost one."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[OpenAnswer]:
        """Give the open answer to a request."""

    async def read(self, request: Request, reading: Callable[[OpenAnswer], Awaitable[T]]) -> T:
        """Return what is read from the open answer, begun anew where it breaks off."""

    def stream_url(self, url: str) -> AbstractAsyncContextManager[OpenAnswer]:
        """Give the open answer of another origin, asked without our credentials."""
