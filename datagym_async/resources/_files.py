"""Local files, opened and read without holding up the event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from aiofiles.threadpool import wrap

from datagym_async._regular_files import regular_only
from datagym_async._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiofiles.threadpool.binary import AsyncBufferedReader


@asynccontextmanager
async def open_file(path: Path) -> AsyncIterator[AsyncBufferedReader]:
    """Give an open file; it is closed even if the wait for its opening is cancelled.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be opened.
    """
    # Not aiofiles.open: cancelled while its thread opens the file, it leaves the file open.
    opening = asyncio.get_running_loop().run_in_executor(None, _open, path)
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise
    wrapped = cast("AsyncBufferedReader", wrap(cast("Any", file)))
    try:
        yield wrapped
    finally:
        await in_thread(file.close)


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", open(path, "rb", opener=regular_only))


def _close(opening: asyncio.Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
