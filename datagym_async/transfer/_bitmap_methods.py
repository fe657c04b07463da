"""The methods of a client that are about bitmaps: kept apart, since a client has many others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from datagym_async.transfer._bitmap_jobs import (
    CONCURRENCY,
    BitmapSource,
    BitmapStream,
    save_bitmaps,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from datagym_async.transfer._bitmaps import BitmapFormat, BitmapReport, BitmapResult


class BitmapMethods(ABC):
    """Give a client its bitmaps."""

    @abstractmethod
    def _bitmap_source(self, project_id: str, keys: Sequence[str] | None) -> BitmapSource:
        """Return where the bitmaps of a project come from."""

    async def download_bitmaps(
        self,
        project_id: str,
        folder: str | os.PathLike[str],
        *,
        keys: str | Sequence[str] | None = None,
        format: BitmapFormat = "png",  # noqa: A002 -- what it is called everywhere
        resume: bool = True,
        concurrency: int = CONCURRENCY,
        on_result: Callable[[BitmapResult], None] | None = None,
    ) -> BitmapReport:
        """Download the segmentation bitmaps of a project's finished tasks and return the report.

        Each goes to ``folder/KEY/NAME.png``, with the name of its image made fit for a disk; where
        two would have the same name, the beginning of the task's id is in it. A bitmap that cannot
        be had does not stop the others; a task that leaves its state meanwhile has none, and says
        so. Cancelled, no half file is left, and the same call again goes on.

        Args:
            project_id: UUID of a project of images.
            folder: Where to; it is made if it is not there.
            keys: One key of an image segmentation, or several, for a bitmap of each finished task,
                black where nothing was segmented. None for those alone in which something is: the
                ones that the export names.
            format: ``"png"`` (needs ``datagym-async[images]``) or ``"bmp"``, as it is sent: 8 bits
                a pixel, 255 in the segment, 0 elsewhere.
            resume: Whether bitmaps whose file is there are skipped. False fetches all anew, for
                labels may have changed.
            concurrency: Bitmaps in flight, 1 to 64; the client's `max_downloads` bounds them too.
            on_result: Called with each result as it is settled; must not raise.

        Raises:
            ConfigurationError: A key is not of an image segmentation, or an option cannot be used.
            APIError: The project cannot be read, or the token does not count (any more).
            TransferError: The folder cannot be written to; its `report` says what was done.
        """
        return await save_bitmaps(
            self._bitmap_source(project_id, _several(keys)),
            folder,
            wanted=format,
            resume=resume,
            concurrency=concurrency,
            on_result=on_result,
        )

    def bitmaps(
        self, project_id: str, *, keys: str | Sequence[str] | None = None, ahead: int = CONCURRENCY
    ) -> BitmapStream:
        """Return the bitmaps of a project as arrays: ``async with client.bitmaps(...) as stream``.

        Needs numpy and ``datagym-async[images]``.

        Args:
            project_id: UUID of a project of images.
            keys: See `download_bitmaps`.
            ahead: Bitmaps fetched ahead, 1 to 64.
        """
        return BitmapStream(self._bitmap_source(project_id, _several(keys)), ahead=ahead)


def _several(keys: str | Sequence[str] | None) -> Sequence[str] | None:
    return (keys,) if isinstance(keys, str) else keys
