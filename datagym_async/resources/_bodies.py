"""Bodies of uploads made of local files, opened and read without holding up the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiofiles.threadpool import wrap

from datagym_async._regular_files import regular_only
from datagym_async._threads import in_thread
from datagym_async._wire._messages import Body
from datagym_async.exceptions import FileChangedError

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncBufferedReader


@asynccontextmanager
async def open_file(path: Path) -> AsyncIterator[AsyncBufferedReader]:
    """Give an open file; it is closed even if the wait for its opening is cancelled."""
    opened: list[BufferedReader] = []
    try:
        # Not aiofiles.open: cancelled while its thread opens the file, it leaves the file open.
        await in_thread(lambda: opened.append(_open(path)))
        yield cast("AsyncBufferedReader", wrap(cast("Any", opened[0])))
    finally:
        for file in opened:
            await in_thread(file.close)


def _open(path: Path) -> BufferedReader:
    return open(path, "rb", opener=regular_only)


CHUNK_SIZE = 1024 * 1024
"""Bytes read at once: chunks of 64 KiB through a thread cost 3 times the CPU (measured)."""


def file_body(path: str | os.PathLike[str], size: int) -> Body:
    """Return the body that sends a file in chunks of about 1 MiB, opened again for each attempt.

    Sending it raises `FileChangedError` if the file is not of that size, vanishes, grows, shrinks
    or is written to meanwhile. It is raised before the last chunk is sent, so that the service
    stores nothing.

    Args:
        path: The file.
        size: Its size in bytes, as it was when it was looked at.
    """
    return Body(size=size, open=partial(_open_body, Path(path), size))


@asynccontextmanager
async def _open_body(path: Path, size: int) -> AsyncIterator[AsyncIterator[bytes]]:
    try:
        async with open_file(path) as file:
            yield _read_chunks(path, file, size)
    except FileNotFoundError:
        raise FileChangedError(
            f"The file {str(path)!r} vanished before it was sent; put it back, or leave it out"
        ) from None


async def _read_chunks(path: Path, file: AsyncBufferedReader, size: int) -> AsyncIterator[bytes]:
    async def look() -> int:
        """Return when the file was last written to; its size must be the same."""
        found = await asyncio.to_thread(os.fstat, file.fileno())
        _check_size(path, found.st_size, size)
        return found.st_mtime_ns

    before, left = await look(), size
    while left:
        chunk = await file.read(min(CHUNK_SIZE, left))
        left -= len(chunk)
        if not chunk:
            _check_size(path, size - left, size)
        # Before the last chunk is sent, so that nothing is stored.
        if not left and await look() != before:
            raise FileChangedError(
                f"The file {str(path)!r} was written to while it was sent; send it again"
            )
        yield chunk


def _check_size(path: Path, found: int, size: int) -> None:
    if found != size:
        raise FileChangedError(
            f"The file {str(path)!r} was {size} bytes long when it was looked at and is {found}"
            " bytes now; send it again when nothing writes to it"
        )
