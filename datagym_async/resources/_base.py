"""What all resources share: the interface of the session, and models from answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from datagym_async._checks import listed
from datagym_async._wire._codec import check_empty, decode
from datagym_async._wire._messages import Request, Response
from datagym_async.exceptions import APIStatusError
from datagym_async.labels import Point
from datagym_async.models import Dataset, Project, StoredPoint
from datagym_async.models._names import fold_name

if TYPE_CHECKING:  # it loads modules that reading and writing of files do not need
    from datagym_async._transport import StreamedResponse

T = TypeVar("T")


class ApiSession(Protocol):
    """The session to the service; see `Session`."""

    @property
    def base_url(self) -> str: ...
    def settle_after(self) -> float: ...
    async def request(self, request: Request) -> Response: ...
    async def request_or_settle(
        self, request: Request, settle: Callable[[], Awaitable[T | None]]
    ) -> Response | T: ...
    def stream(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]: ...
    async def read(
        self, request: Request, reading: Callable[[StreamedResponse], Awaitable[T]]
    ) -> T: ...
    def stream_url(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]: ...


AnyPoint: TypeAlias = Point | StoredPoint  # a point of a shape, or one as the service has shown it


def points_body(points: Iterable[AnyPoint]) -> list[dict[str, float | None]]:
    found = listed("points", points, Point, StoredPoint)
    return [{"x": point.x, "y": point.y} for point in found]


def first_few(findings: Sequence[object], most: int) -> tuple[str, ...]:
    """Return the first findings as sentences, and the number of the others."""
    more = len(findings) - most
    return (*map(str, findings[:most]), *([f"and {more} more"] if more > 0 else ()))


DECODED_ON_THE_LOOP = 256 * 1024
"""Bytes of a body that are decoded without a thread: about 3 ms of work."""


class Resource:
    """The calls about one noun of the service; the session is not closed here."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session

    async def _fetch(self, request: Request, kind: type[T]) -> T:
        return await read(request, await self._session.request(request), kind)

    async def _fetch_or_settle(
        self,
        request: Request,
        kind: type[T],
        settle: Callable[[], Awaitable[T | None]] | None = None,
    ) -> T:
        """Return the answer to a request as a model, or what `settle` finds if it was lost.

        Without `settle` the request is sent again after a wait.
        """
        answer = await self._session.request_or_settle(request, settle or _nothing)
        return await read(request, answer, kind) if isinstance(answer, Response) else answer

    async def _do(self, request: Request, *done: str) -> bool:
        """Send a request; return False if an error with a key of `done` says that it was done."""
        try:
            check_empty(request, await self._session.request(request))
        except APIStatusError as error:
            if error.key not in done:
                raise
            return False
        return True


async def read(request: Request, response: Response, kind: type[T]) -> T:
    """Return an answer as a model; a large one is decoded in a thread."""
    if len(response.body) <= DECODED_ON_THE_LOOP:
        return decode(request, response, kind)
    return await asyncio.to_thread(decode, request, response, kind)


async def _nothing() -> None:
    """Find nothing: only the wait before settling is needed."""


N = TypeVar("N", Dataset, Project)


def find_by_name(items: Iterable[N], name: str) -> N | None:
    """Return the item with a name, as the service compares names: an exact match, else the oldest.

    Names can repeat, because creations at the same time both succeed (observed).
    """
    folded = fold_name(name)
    same = [item for item in items if fold_name(item.name) == folded]
    return min(same, key=lambda item: (item.name != name, item.timestamp, item.id), default=None)
