"""A transport that answers from a script: the narrowest fake there is of a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs

from datagym_async._transport import StreamedResponse, Timeout
from datagym_async._wire import Request, Response, Secrets

Step = StreamedResponse | Exception | Callable[[Request], Awaitable[StreamedResponse]]


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def answer(
    status: int = 200, body: bytes = b"{}", *, headers: dict[str, str] | None = None
) -> StreamedResponse:
    """Return an answer with lower-case header names."""
    fields = {"content-type": "application/json", **(headers or {})}
    return StreamedResponse(status=status, headers=fields, chunks=_pieces(body))


@attrs.define
class FakeTransport:
    """Answer each request with the next step of a script; keep what was asked."""

    script: list[Step]
    requests: list[Request] = attrs.field(factory=list)
    fetched: list[str] = attrs.field(factory=list)
    open_now: int = 0
    closed: bool = False
    secrets: Secrets = attrs.field(factory=Secrets)
    token_number: int = 1
    timeouts: list[Timeout] = attrs.field(factory=list)

    def with_timeout(self, timeout: Timeout) -> FakeTransport:
        """Remember other time limits, and go on with the same script."""
        self.timeouts.append(timeout)
        return self

    async def exchange(self, request: Request) -> Response:
        """Take the next step of the script, whole."""
        async with self.send(request) as streamed:
            return await streamed.whole(request)

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Take the next step of the script."""
        self.requests.append(request)
        self.open_now += 1
        try:
            yield await self._step(request)
        finally:
            self.open_now -= 1

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[StreamedResponse]:
        """Take the next step of the script for a foreign URL."""
        self.fetched.append(url)
        async with self.send(Request("GET", "foreign")) as streamed:
            yield streamed

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    async def _step(self, request: Request) -> StreamedResponse:
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, StreamedResponse):
            return step
        return await step(request)
