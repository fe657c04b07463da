"""Large answers, parsed as they arrive, in small pieces between which the loop gets a turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from datagym_async._wire._codec import decode, decode_with, too_large, unexpected, unreadable
from datagym_async._wire._cutting import TASK, ElementCutter
from datagym_async._wire._errors import WEB_PAGE
from datagym_async._wire._messages import MAX_IN_PIECES, Request, Response
from datagym_async.labels import ExportReader, LabeledTask, LabelExport
from datagym_async.resources._base import ApiSession

if TYPE_CHECKING:
    from datagym_async._transport import StreamedResponse

T = TypeVar("T")

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
