"""Local files, opened, read and written without holding up the event loop."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from aiofiles.threadpool import wrap

from datagym_async._regular_files import regular_only

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from aiofiles.threadpool.binary import AsyncBufferedReader


@asynccontextmanager
async def open_file(path: Path, mode: str) -> AsyncIterator[AsyncBufferedReader]:
    """Give an open file; it is closed even if the wait for its opening is cancelled.

    Args:
        path: The file.
        mode: ``"rb"`` or ``"xb"``.

    Raises:
        OSError: It cannot be opened.
    """
    # Not aiofiles.open: cancelled while its thread opens the file, it leaves the file open.
    opening = asyncio.get_running_loop().run_in_executor(None, _open, path, mode)
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise
    wrapped = cast("AsyncBufferedReader", wrap(cast("Any", file)))
    try:
        yield wrapped
    finally:
        await finish(file.close)


def _open(path: Path, mode: str) -> BinaryIO:
    opener = regular_only if mode == "rb" else None
    return cast("BinaryIO", open(path, mode, opener=opener))


async def finish(work: Callable[[], None]) -> None:
    """Do blocking work beside the loop, to its end even if the wait for it is cancelled."""
    await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, work))


def _close(opening: asyncio.Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


@asynccontextmanager
async def replaced_file(path: Path) -> AsyncIterator[AsyncBufferedReader]:
    """Give a new file that takes the place of `path` when all went well, and else vanishes.

    The new content is written beside `path`, so that nobody ever sees half a file there.

    Raises:
        OSError: The folder cannot be written to.
    """
    part = path.with_name(f".datagym-{secrets.token_hex(8)}.part")
    try:
        async with open_file(part, "xb") as file:
            yield file
        await asyncio.to_thread(os.replace, part, path)
    except BaseException:
        await finish(partial(part.unlink, missing_ok=True))
        raise
