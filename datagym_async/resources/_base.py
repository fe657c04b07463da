"""What all resources share: the session, models from answers, and work on many items.

Large answers are parsed as they arrive, in small pieces between which the loop gets a turn. Work
on many items goes on at once, and some of it ends although its caller is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from datagym_async._checks import listed
from datagym_async._threads import OnlyCancelledByUs, together
from datagym_async._wire._codec import (
    check_empty,
    decode,
    decode_with,
    too_large,
    unexpected,
    unreadable,
)
from datagym_async._wire._cutting import TASK, ElementCutter
from datagym_async._wire._errors import WEB_PAGE
from datagym_async._wire._messages import MAX_IN_PIECES, Request, Response
from datagym_async.exceptions import APIStatusError, ConfigurationError
from datagym_async.labels import ExportReader, LabeledTask, LabelExport, Point
from datagym_async.models import Dataset, Project, StoredPoint
from datagym_async.models._names import fold_name

if TYPE_CHECKING:  # it loads modules that reading and writing of files do not need
    from datagym_async._transport import StreamedResponse


T = TypeVar("T")

DEFAULT_CONCURRENCY = 8
MOST = 64  # items that may be worked on at once


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


_PIECE = 32 * 1024  # bytes parsed in one step: about 1 ms of work


def iter_tasks(
    session: ApiSession, request: Request, reader: ExportReader | None = None
) -> AsyncGenerator[LabeledTask, None]:
    read = partial(decode_with, request, read=(reader or ExportReader()).read)
    return iter_items(session, request, read, beginning=TASK)


def read_export(request: Request, response: Response) -> LabelExport:
    """Return a whole export, parsed element by element to save memory."""
    if response.body.lstrip()[:1] != b"[":
        return decode(request, response, LabelExport)  # for its error
    reader, body = ExportReader(), response.body
    pieces = (body[start : start + _PIECE] for start in range(0, len(body), _PIECE))
    elements = ElementCutter(TASK).elements(pieces)
    try:
        read = (
            decode_with(request, element, reader.read, at=f"[{index}]")
            for index, element in enumerate(elements)
        )
        tasks = [task for task in read if task is not None]
        return LabelExport(reader.classes, tasks, reader.form)
    except Exception as error:
        failure = unreadable(request, response.status, error)
    raise failure


async def iter_items(
    session: ApiSession, request: Request, read: Callable[..., T | None], *, beginning: bytes = b""
) -> AsyncGenerator[T, None]:
    """Yield what `read` returns for each element of an array as it arrives, except None.

    It is called with the element and ``at``, its place.
    """
    index, cutter, started = 0, ElementCutter(beginning), False

    def items(elements: Iterable[Any]) -> Iterator[T]:
        nonlocal index
        for element in elements:
            item = read(element, at=f"[{index}]")
            index += 1
            if item is not None:
                yield item

    async with session.stream(request) as answer:
        try:
            async for chunk in answer.chunks:
                if not started and (text := chunk.lstrip()):
                    _check_start(request, answer, text, b"[")
                    started = True
                for start in range(0, len(chunk), _PIECE):
                    for item in items(cutter.feed(chunk[start : start + _PIECE])):
                        yield item
                    await asyncio.sleep(0)
            for item in items(cutter.close()):
                yield item
        except Exception as error:
            failure = unreadable(request, answer.status, error)
        else:
            return
        raise failure


async def whole_chunks(
    session: ApiSession, request: Request, brackets: bytes = b"[]", *, empty: bool = True
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of an answer as they arrive, and raise if it lacks these brackets."""
    last, arrived, seen = b"", 0, 0
    async with session.stream(request) as answer:
        async for chunk in answer.chunks:
            arrived += len(chunk)
            if arrived > MAX_IN_PIECES:
                raise too_large(request, answer.status, MAX_IN_PIECES)
            if text := chunk.strip():
                if not seen:
                    _check_start(request, answer, text, brackets[:1])
                seen += len(text)
                last = text[-1:]
            yield chunk
        if last != brackets[1:]:
            raise unexpected(request, answer.status, "the document ends too early")
        if seen == len(brackets) and not empty:
            raise unexpected(request, answer.status, "the list is empty, although there are labels")


def _check_start(request: Request, answer: StreamedResponse, text: bytes, bracket: bytes) -> None:
    if text.startswith(b"<"):
        raise unexpected(request, answer.status, WEB_PAGE)
    if not text.startswith(bracket):
        kind = "a list" if bracket == b"[" else "an object"
        raise unexpected(request, answer.status, f"{kind} was expected")


async def in_batches(source: AsyncIterable[T], size: int) -> AsyncGenerator[list[T], None]:
    batch: list[T] = []
    async for item in source:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def check_concurrency(**given: int) -> None:
    """Raise `ConfigurationError` for a number of requests at once that is not from 1 to 64."""
    for name, value in given.items():
        if not 1 <= value <= MOST:
            raise ConfigurationError(f"{name} is {value}; it must be between 1 and {MOST}.")


async def for_each(
    items: Iterable[T] | AsyncIterable[T],
    work: Callable[[T], Awaitable[None]],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> None:
    """Do the work on each item, a few at once, in constant memory; an error ends all of it."""
    check_concurrency(concurrency=concurrency)
    source, turn = one_by_one(items), asyncio.Lock()

    async def run_worker() -> None:
        while True:
            async with turn:  # they share one iteration
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    return
            await work(item)

    async with aclosing(source), together() as group:
        for _ in range(concurrency):
            group.create_task(run_worker())


async def one_by_one(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """Yield the items of any kind of iterable."""
    with OnlyCancelledByUs():
        if isinstance(items, AsyncIterable):
            async for item in items:
                yield item
        else:
            for item in items:
                yield item


async def finish_call(call: Coroutine[Any, Any, T], *, within: float) -> T:
    """Return the result of a call; after a cancellation, wait for its end for `within` seconds.

    The service does not notice that its caller has gone, and would carry out the request after the
    caller has tidied up.
    """
    task = asyncio.get_running_loop().create_task(call)  # awaited here in every case
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await run_to_end(_ended(task, within))
        raise
    return task.result()


async def _ended(task: asyncio.Task[Any], within: float) -> None:
    await asyncio.wait([task], timeout=within)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # or the loop would warn; its caller looks for itself


async def run_to_end(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """Return the result of work that no cancellation ends, and the cancellation, to be raised.

    The work must have its own limit in time.
    """
    # A task group would cancel it. It is always awaited here.
    task = asyncio.get_running_loop().create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    return task.result(), cancelled
