"""Segmentation bitmaps beside downloaded media: those of the media in the manifest alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from datagym_async._printable import printable
from datagym_async.transfer._bitmap_images import check_format
from datagym_async.transfer._bitmap_jobs import CONCURRENCY, BitmapSource, save_bitmaps
from datagym_async.transfer._download_manifest import Manifest
from datagym_async.transfer._threads import in_thread

if TYPE_CHECKING:
    from datagym_async.models import Project
    from datagym_async.transfer._bitmaps import Bitmap, BitmapResult
    from datagym_async.transfer._download_config import DownloadConfig
    from datagym_async.transfer._download_needs import DownloadSources
    from datagym_async.transfer._download_tally import DownloadTally

_BATCH: Final = 500
_NAMED: Final = 20
"""So many failed bitmaps are named in the notes; the count is exact."""


def require_bitmaps() -> None:
    """Refuse to begin what could not be ended.

    Raises:
        ConfigurationError: Pillow is not installed.
    """
    check_format("png")


@attrs.frozen
class _OfThisDownload(BitmapSource):
    """The bitmaps of the media that a manifest lists, named after their files."""

    manifest: Manifest = attrs.field(kw_only=True)

    async def find(self) -> list[Bitmap]:
        """Return the bitmaps that there are."""
        found, kept = await super().find(), []
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            ids = [each.media_id for each in batch]
            files = await in_thread(self.manifest.files_of, ids)
            kept += [
                attrs.evolve(each, media_name=files[each.media_id] or each.media_name)
                for each in batch
                if each.media_id in files
            ]
        return kept


async def write_bitmaps(
    sources: DownloadSources,
    project: Project,
    manifest: Manifest,
    config: DownloadConfig,
    tally: DownloadTally,
) -> None:
    """Fetch the bitmaps of a project's finished tasks into the folder ``bitmaps``.

    Args:
        sources: The client's resources.
        project: Whose bitmaps.
        manifest: Which file each media has; bitmaps of other media are left out.
        config: Says whether those that are there are fetched anew (``verify``).
        tally: Told of what became of them.

    Raises:
        APIError: They cannot be listed.
        TransferError: The folder cannot be written to.
    """

    def note(result: BitmapResult) -> None:
        tally.bitmaps += result.outcome != "failed"
        tally.bitmaps_failed += result.outcome == "failed"
        if result.error is not None and tally.bitmaps_failed <= _NAMED:
            name = printable(result.bitmap.media_name)
            tally.notes.append(f"The bitmap {result.bitmap.key!r} of {name!r}: {result.error}")

    await save_bitmaps(
        _OfThisDownload(sources.labels, sources.tasks, project.id, manifest=manifest),
        manifest.root / "bitmaps",
        wanted="png",
        resume=not config.verify,
        concurrency=config.concurrency or CONCURRENCY,
        on_result=note,
    )
