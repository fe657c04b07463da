"""A session without a network: it remembers requests and answers what it was told."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import orjson

from datagym_async._transport import StreamedResponse
from datagym_async._wire import Request, Response, decode_error

T = TypeVar("T")


def answer(
    value: object = None, *, status: int = 200, content_type: str = "application/json"
) -> Response:
    """Return an answer: bytes as they are, None as an empty body, anything else as JSON."""
    if value is None:
        return Response(status, {"content-length": "0"}, b"")
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    headers = {"content-type": content_type, "content-length": str(len(body))}
    return Response(status, headers, body)


def refusal(status: int, key: str, *params: str) -> Response:
    """Return an error answer of the service."""
    value = {"key": key, "params": params, "msg": "", "code": status, "details": []}
    return answer(value, status=status)


class LostAnswerError(Exception):
    """Stands for an answer that was lost: the fake session then settles."""


def _queue(answers: Iterable[Response | Exception]) -> deque[Response | Exception]:
    return deque(answers)


@attrs.define
class FakeSession:
    """Answer requests from a queue, or by a function of the request; raise what is an exception.

    Args:
        answers: What to answer, in order.
        handler: Answers once the queue is empty.
        piece: Bytes of one chunk of a streamed answer.
        elsewhere: Answers of other origins, by URL.
    """

    answers: deque[Response | Exception] = attrs.field(factory=deque, converter=_queue)
    handler: Callable[[Request], Response | Exception] | None = None
    piece: int = 7
    elsewhere: dict[str, Response] = attrs.field(factory=dict)
    requests: list[Request] = attrs.field(factory=list)
    urls: list[str] = attrs.field(factory=list)
    streams_open: int = 0

    base_url: str = "https://fake.example/"

    def settle_after(self) -> float:
        return 0.0

    def _next(self, request: Request) -> Response:
        self.requests.append(request)
        if self.answers:
            found = self.answers.popleft()
        elif self.handler is not None:
            found = self.handler(request)
        else:
            raise AssertionError(f"no answer for {request.method} {request.path}")
        if isinstance(found, Exception):
            raise found
        if found.status >= 300:
            raise decode_error(request, found)
        return found

    async def request(self, request: Request) -> Response:
        return self._next(request)

    async def request_or_settle(
        self, request: Request, settle: Callable[[], Awaitable[T | None]]
    ) -> Response | T:
        try:
            return self._next(request)
        except LostAnswerError:
            found = await settle()
            return self._next(request) if found is None else found

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedResponse]:
        async with self._opened(self._next(request)) as opened:
            yield opened

    async def read(
        self, request: Request, reading: Callable[[StreamedResponse], Awaitable[T]]
    ) -> T:
        async with self.stream(request) as opened:
            return await reading(opened)

    @asynccontextmanager
    async def stream_url(self, url: str) -> AsyncIterator[StreamedResponse]:
        self.urls.append(url)
        async with self._opened(self.elsewhere[url]) as opened:
            yield opened

    @asynccontextmanager
    async def _opened(self, response: Response) -> AsyncIterator[StreamedResponse]:
        self.streams_open += 1
        try:
            yield StreamedResponse(response.status, response.headers, self._pieces(response.body))
        finally:
            self.streams_open -= 1

    async def _pieces(self, body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), self.piece):
            yield body[start : start + self.piece]

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Return the methods and paths of the requests so far."""
        return [(request.method, request.path) for request in self.requests]


def json_of(request: Request) -> object:
    """Return the JSON body of a request."""
    assert request.body is not None
    assert request.body.data is not None
    return orjson.loads(request.body.data)
