"""Label exports as they arrive: a streaming parser fed piece by piece.

The parser is synchronous; pieces are small, and the loop gets a turn after each of them.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import ijson

from datagym_async._wire._codec import decode_with, unexpected
from datagym_async._wire._errors import WEB_PAGE
from datagym_async.labels import ExportReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from datagym_async._wire._messages import Request
    from datagym_async.labels import LabeledTask
    from datagym_async.resources._ports import OpenAnswer

_PIECE = 32 * 1024
"""Bytes parsed in one step: about 1 ms of work."""


async def iter_tasks(request: Request, answer: OpenAnswer) -> AsyncGenerator[LabeledTask, None]:
    """Give the tasks of an export's answer.

    Raises:
        APIResponseValidationError: The answer is no export, or ends too early.
    """
    index, reader = 0, ExportReader()
    async with aclosing(iter_items(request, answer)) as values:
        async for value in values:
            task = decode_with(request, value, reader.read, at=f"[{index}]")
            index += 1
            if task is not None:
                yield task


async def iter_items(request: Request, answer: OpenAnswer) -> AsyncGenerator[Any, None]:
    """Give the elements of the array that a body is.

    Raises:
        APIResponseValidationError: The answer is no array, or ends too early.
    """
    found: Any = ijson.sendable_list()
    parser = ijson.items_coro(found, "item", use_float=True)
    started = False
    try:
        async for chunk in answer.iter_chunks():
            if not started and (text := chunk.lstrip()):
                _check_start(request, answer, text)
                started = True
            for start in range(0, len(chunk), _PIECE):
                parser.send(chunk[start : start + _PIECE])
                await asyncio.sleep(0)
                for item in found:
                    yield item
                found.clear()
        parser.close()
    except ijson.JSONError as error:
        raise unexpected(
            request, answer.status, f"the body is no JSON ({_words(error)})."
        ) from None
    for item in found:
        yield item


def _check_start(request: Request, answer: OpenAnswer, text: bytes) -> None:
    if text.startswith(b"<"):
        raise unexpected(request, answer.status, WEB_PAGE)
    if not text.startswith(b"["):
        raise unexpected(request, answer.status, "a list was expected")


def _words(error: Exception) -> str:
    """Return a parser's first line; the following ones quote the body."""
    text = error.args[0] if error.args else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return text.partition("\n")[0].strip()
