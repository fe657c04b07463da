"""Large answers as they arrive: parsers fed piece by piece.

The parsers are synchronous; pieces are small, and the loop gets a turn after each of them.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from datagym_async._wire._codec import decode, decode_with, too_large, unexpected, unreadable
from datagym_async._wire._elements import AnyCutter, ElementCutter
from datagym_async._wire._errors import WEB_PAGE
from datagym_async._wire._messages import MAX_IN_PIECES
from datagym_async.labels import ExportReader, LabelExport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from datagym_async._wire._messages import Request, Response
    from datagym_async.labels import LabeledTask
    from datagym_async.resources._base import OpenAnswer

_PIECE = 32 * 1024
"""Bytes parsed in one step: about 1 ms of work."""

_PORTION = 1024 * 1024
"""Bytes of an answer that is whole cut in one step, beside the loop."""


class Cutter(Protocol):
    """What cuts an array into its elements."""

    def feed(self, piece: bytes) -> Iterator[Any]:
        """Give the elements that are whole now."""

    def close(self) -> Iterator[Any]:
        """Give the last element."""


async def iter_tasks(request: Request, answer: OpenAnswer) -> AsyncGenerator[LabeledTask, None]:
    """Give the tasks of an export's answer.

    Raises:
        APIResponseValidationError: The answer is no export, or ends too early.
    """
    index, reader = 0, ExportReader()
    async with aclosing(_iter_elements(request, answer, ElementCutter())) as elements:
        async for element in elements:
            task = decode_with(request, element, reader.read, at=f"[{index}]")
            index += 1
            if task is not None:
                yield task


def read_export(request: Request, response: Response) -> LabelExport:
    """Return a whole export's answer, element by element: its JSON values never lie there at once.

    Raises:
        APIResponseValidationError: The answer is no export.
    """
    if response.body.lstrip()[:1] != b"[":
        return decode(request, response, LabelExport)  # it has the words for what is wrong
    try:
        return _read_elements(request, response)
    except Exception as error:
        failure = unreadable(request, response.status, error)
    raise failure


def _read_elements(request: Request, response: Response) -> LabelExport:
    reader, tasks = ExportReader(), []
    for index, element in enumerate(_elements(response.body)):
        task = decode_with(request, element, reader.read, at=f"[{index}]")
        if task is not None:
            tasks.append(task)
    return LabelExport(reader.classes, tasks, reader.form)


def _elements(body: bytes) -> Iterator[Any]:
    cutter = ElementCutter()
    for start in range(0, len(body), _PORTION):
        yield from cutter.feed(body[start : start + _PORTION])
    yield from cutter.close()


async def iter_items(request: Request, answer: OpenAnswer) -> AsyncGenerator[Any, None]:
    """Give the elements of the array that a body is.

    Raises:
        APIResponseValidationError: The answer is no array, or ends too early.
    """
    async with aclosing(_iter_elements(request, answer, AnyCutter())) as elements:
        async for element in elements:
            yield element


async def _iter_elements(
    request: Request, answer: OpenAnswer, cutter: Cutter
) -> AsyncGenerator[Any, None]:
    started = False
    try:
        async for chunk in answer.iter_chunks():
            if not started and (text := chunk.lstrip()):
                _check_start(request, answer, text)
                started = True
            for start in range(0, len(chunk), _PIECE):
                for element in cutter.feed(chunk[start : start + _PIECE]):
                    yield element
                await asyncio.sleep(0)
        for element in cutter.close():
            yield element
    except Exception as error:
        failure = unreadable(request, answer.status, error)
    else:
        return
    raise failure


async def whole_chunks(request: Request, answer: OpenAnswer) -> AsyncGenerator[bytes, None]:
    """Give the bytes of an export's answer as they are.

    Raises:
        APIResponseValidationError: As far as its first and last byte tell, the answer is no export,
            or ends too early.
    """
    first, last, arrived = b"", b"", 0
    async for chunk in answer.iter_chunks():
        arrived += len(chunk)
        if arrived > MAX_IN_PIECES:
            raise too_large(request, answer.status, MAX_IN_PIECES)
        text = chunk.strip()
        if text and not first:
            _check_start(request, answer, text)
            first = text[:1]
        last = text[-1:] or last
        yield chunk
    if last != b"]":
        raise unexpected(request, answer.status, "the list ends too early")


def _check_start(request: Request, answer: OpenAnswer, text: bytes) -> None:
    if text.startswith(b"<"):
        raise unexpected(request, answer.status, WEB_PAGE)
    if not text.startswith(b"["):
        raise unexpected(request, answer.status, "a list was expected")
