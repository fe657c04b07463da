"""Thumbnails, made in worker processes: they take most of the time of a gallery."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import BrokenExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs

from datagym_async._extras import silence_pillow
from datagym_async._files import telling
from datagym_async._runs._images import UPRIGHT, in_turn, orientation_of
from datagym_async._threads import in_thread
from datagym_async.exceptions import ConfigurationError
from datagym_async.look._marks import in_colors, opened, why_unreadable

if TYPE_CHECKING:
    from datagym_async._processes import WorkerProcesses


@attrs.frozen
class Thumbnail:
    """The stored size of an image in pixels (0 if it cannot be decoded), and what to know of it."""

    width: int = 0
    height: int = 0
    is_upright: bool = True  # a browser shows it as it is stored: it has no EXIF orientation
    problem: str = ""  # why it cannot be decoded


Maker: TypeAlias = Callable[[bytes | Path, Path], Awaitable[Thumbnail]]
"""Makes the thumbnail of an image (its bytes or file) as a file."""


def make(source: bytes | Path, target: Path, size: int) -> Thumbnail:
    """Write an image as WebP, at most `size` pixels a side, without EXIF; blocks.

    It raises only a `FileWriteError`: all that follow would have it, too.
    """
    made = io.BytesIO()
    try:
        image = opened(source)
        width, height = image.size
        with in_turn(image):
            image.draft("RGB", (size, size))  # a JPEG is read at the next larger eighth of its size
            orientation = orientation_of(image)
            if image.mode not in {"RGB", "L"}:
                image = in_colors(image)
            image.thumbnail((size, size), reducing_gap=2.0)
        in_colors(image).save(made, "WEBP", quality=72, method=2)
    except Exception as error:
        return Thumbnail(problem=why_unreadable(error))
    with telling(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(made.getvalue())
    return Thumbnail(width, height, orientation == UPRIGHT)


def _pool(count: int) -> WorkerProcesses:
    from datagym_async._processes import WorkerProcesses  # in a thread, see there

    return WorkerProcesses(count, _begin)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    silence_pillow()


@asynccontextmanager
async def thumbnails(size: int, workers: int | None) -> AsyncIterator[Maker]:
    """Give what makes thumbnails, in `workers` processes: None for one a core, 0 for threads."""
    if workers == 0:
        yield lambda source, target: in_thread(make, source, target, size)
        return
    pool = await in_thread(_pool, workers or os.cpu_count() or 1)

    async def in_processes(source: bytes | Path, target: Path) -> Thumbnail:
        try:
            submitted = await in_thread(pool.submit, make, source, target, size)
            return await asyncio.wrap_future(submitted)
        except BrokenExecutor:
            from datagym_async._processes import GUARD

            raise ConfigurationError(
                f"The processes that make thumbnails ended. {GUARD}; or make them in threads, "
                "workers=0"
            ) from None

    try:
        yield in_processes
    finally:
        await in_thread(pool.end)
