"""Thumbnails, made in processes of their own: nothing else of a gallery takes so long."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from concurrent.futures import BrokenExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from datagym_async._printable import printable
from datagym_async._runs._decode import UPRIGHT, orientation_of
from datagym_async._threads import in_thread
from datagym_async.exceptions import ConfigurationError
from datagym_async.look._drawing import in_colors, opened, silence_size_warnings

if TYPE_CHECKING:
    from datagym_async._processes import WorkerProcesses


@attrs.frozen
class Thumbnail:
    """What came of an image: its size as it is stored, or why there is none.

    Args:
        width: Pixels; 0 where it cannot be decoded.
        height: Pixels.
        is_upright: Whether a browser shows it as it is stored: it has no EXIF orientation.
        problem: Why it cannot be decoded; empty if it can.
    """

    width: int = 0
    height: int = 0
    is_upright: bool = True
    problem: str = ""


def make(source: bytes | Path, target: Path, size: int) -> Thumbnail:
    """Write an image as WebP, `size` pixels at most on its longer side, EXIF left out; blocking.

    What a hostile file provokes is a problem of that image alone.
    """
    try:
        image = opened(source)
        width, height = image.size
        image.draft("RGB", (size, size))  # a JPEG is read at the next larger eighth of its size
        orientation = orientation_of(image)
        if max(image.size) > size:
            share = size / max(image.size)
            wanted = (max(1, round(image.width * share)), max(1, round(image.height * share)))
            reduced = image if image.mode in {"RGB", "L"} else in_colors(image)
            image = reduced.resize(wanted, reducing_gap=2.0)
        in_colors(image).save(target, "WEBP", quality=72, method=2)
    except Exception as error:
        if type(error).__name__ == "UnidentifiedImageError":  # its text is of no use to people
            return Thumbnail(problem="It is not an image that can be read.")
        return Thumbnail(problem=printable(str(error) or type(error).__name__))
    return Thumbnail(width, height, orientation == UPRIGHT)


def _pool(count: int) -> WorkerProcesses:
    from datagym_async._processes import WorkerProcesses  # in a thread, see there

    return WorkerProcesses(count, _begin)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    silence_size_warnings()


class Thumbnails:
    """Makes thumbnails, several at once."""

    def __init__(self, executor: WorkerProcesses | None, size: int) -> None:
        self._executor, self._size = executor, size

    @classmethod
    @asynccontextmanager
    async def within(cls, size: int, workers: int | None) -> AsyncIterator[Thumbnails]:
        """Give one with processes of its own, which end with the block.

        Args:
            size: Pixels of the longer side.
            workers: How many processes; None for one a core, 0 for threads of this process.
        """
        if workers == 0:
            yield cls(None, size)
            return
        executor = await in_thread(_pool, workers or os.cpu_count() or 1)
        try:
            yield cls(executor, size)
        finally:
            await in_thread(executor.end)

    async def make(self, source: bytes | Path, target: Path) -> Thumbnail:
        """Return what came of an image; see `make`.

        Raises:
            ConfigurationError: The processes cannot be started, or were ended.
        """
        if self._executor is None:
            return await in_thread(make, source, target, self._size)
        try:
            submitted = await in_thread(self._executor.submit, make, source, target, self._size)
            return await asyncio.wrap_future(submitted)
        except BrokenExecutor:
            raise ConfigurationError(
                "The processes that make thumbnails ended. A program that starts some runs its "
                'own code below `if __name__ == "__main__":`; or make them in threads, workers=0'
            ) from None
