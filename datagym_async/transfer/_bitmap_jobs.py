"""All bitmaps of a project at once: into a folder, or one after another as arrays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence  # attrs may want it at run time
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import attrs

from datagym_async.exceptions import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    TransferError,
)
from datagym_async.resources._many import for_each
from datagym_async.transfer import _bitmap_images as images
from datagym_async.transfer._bitmaps import (
    Bitmap,
    BitmapLabels,
    BitmapReport,
    BitmapResult,
    BitmapTasks,
    find_bitmaps,
    placed,
)
from datagym_async.transfer._threads import in_thread

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from datagym_async.transfer._bitmaps import BitmapFormat

CONCURRENCY = 16
"""Bitmaps in flight at most; how many really are is the client's own bound on downloads."""


class BitmapSample(NamedTuple):
    """One bitmap as an array, to be taken apart: ``async for bitmap, array in stream``.

    Args:
        bitmap: Which one.
        array: Shape (height, width), 255 in the segment, 0 elsewhere.
    """

    bitmap: Bitmap
    array: NDArray[np.uint8]


@attrs.frozen
class BitmapSource:
    """Where the bitmaps of one project come from.

    Args:
        labels: Exports and bitmaps.
        tasks: The tasks.
        project_id: UUID of the project.
        keys: Keys of segmentations; None for what is segmented.
    """

    labels: BitmapLabels
    tasks: BitmapTasks
    project_id: str
    keys: Sequence[str] | None = None

    async def find(self) -> list[Bitmap]:
        """Return the bitmaps that there are; a name and two ids each."""
        finding = find_bitmaps(self.labels, self.tasks, self.project_id, self.keys)
        async with aclosing(finding) as found:
            return [each async for each in found]

    async def fetch(self, bitmap: Bitmap) -> bytes:
        """Return a bitmap as the service sends it."""
        return await self.labels.bitmap(bitmap.task_id, bitmap.key)


async def save_bitmaps(
    source: BitmapSource,
    folder: str | os.PathLike[str],
    *,
    wanted: BitmapFormat,
    resume: bool,
    concurrency: int,
    on_result: Callable[[BitmapResult], None] | None,
) -> BitmapReport:
    """Bring all bitmaps into a folder and return the report."""
    images.check_format(wanted)
    target = Path(folder)
    results: list[BitmapResult] = []

    async def settle(placed_bitmap: tuple[Bitmap, Path]) -> None:
        bitmap, path = placed_bitmap[0], target / placed_bitmap[1]
        result = await _settled(source, bitmap, path, wanted=wanted, resume=resume)
        results.append(result)
        if on_result is not None:
            on_result(result)

    try:
        found = await source.find()
        await for_each(placed(found, wanted), settle, concurrency=concurrency)
    except OSError as error:
        report = BitmapReport(folder=target, results=tuple(results), complete=False)
        msg = f"The bitmaps cannot be written to {target}: {error.strerror or error}."
        raise TransferError(msg, report=report) from error
    return BitmapReport(folder=target, results=tuple(results))


async def _settled(
    source: BitmapSource, bitmap: Bitmap, path: Path, *, wanted: BitmapFormat, resume: bool
) -> BitmapResult:
    # A file has its name only when it is whole.
    if resume and await in_thread(path.is_file):
        return BitmapResult(bitmap, "skipped", path)
    try:
        await in_thread(images.save, await source.fetch(bitmap), path, wanted)
    except AuthenticationError:  # it would be the same with every other one
        raise
    except APIError as error:
        return BitmapResult(bitmap, "failed", path, error)
    return BitmapResult(bitmap, "saved", path)


class BitmapStream:
    """The bitmaps of a project as arrays, fetched ahead while the caller works with one.

    Use as ``async with client.bitmaps(project_id) as stream: async for sample in stream: ...``. The
    samples come in the order in which they arrive; an error of the service ends the iteration. Few
    samples are held at a time, however many there are.

    Args:
        source: Where they come from.
        ahead: How many are in flight, and how many may wait, at most.
    """

    def __init__(self, source: BitmapSource, *, ahead: int) -> None:
        self._source = source
        self._ahead = ahead
        self._queue: asyncio.Queue[BitmapSample | BaseException | None] = asyncio.Queue(ahead)
        self._group: asyncio.TaskGroup | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        images.check_arrays()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._fetching = self._group.create_task(self._fetch_all())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop fetching."""
        group, self._group, self._ended = self._group, None, True
        if self._fetching is not None:
            self._fetching.cancel()
        if group is not None:
            # The caller's own error goes on as it is, not in a group.
            with suppress(BaseExceptionGroup):
                await group.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BitmapSample:
        """Return the next sample.

        Raises:
            APIError: The service could not be asked, or refused one.
            ConfigurationError: The stream was not entered, or a key is unknown.
        """
        if self._ended:
            raise StopAsyncIteration
        if self._group is None:
            raise ConfigurationError("Enter the stream first: `async with client.bitmaps(...)`.")
        match await self._queue.get():
            case BitmapSample() as sample:
                return sample
            case BaseException() as error:
                self._ended = True
                raise error
        self._ended = True
        raise StopAsyncIteration

    async def _fetch_all(self) -> None:
        try:
            await for_each(await self._source.find(), self._fetch, concurrency=self._ahead)
        except Exception as error:  # whoever iterates is to have it
            await self._queue.put(error)
        else:
            await self._queue.put(None)

    async def _fetch(self, bitmap: Bitmap) -> None:
        content = await self._source.fetch(bitmap)
        await self._queue.put(BitmapSample(bitmap, await in_thread(images.to_array, content)))
