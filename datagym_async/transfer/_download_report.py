"""The report of a bulk download: counts, and the media that somebody should look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from datagym_async._printable import printable
from datagym_async.transfer._download_items import DownloadResult
from datagym_async.transfer._report_text import csv_text, json_text, said_counts

if TYPE_CHECKING:
    import os

SCHEMA = "datagym_async.download_report/1"
COLUMNS = ("outcome", "name", "path", "media_id", "status", "key", "attempts", "seconds", "reason")


@attrs.frozen(kw_only=True)
class DownloadReport:
    """Account for every media of a run.

    ``planned == downloaded + present + skipped + failed + pending``, and nothing is pending in a
    complete run.

    Attributes:
        name: Name of the dataset or project.
        folder: The folder.
        planned: Media that the service listed.
        downloaded: Media that this run has downloaded.
        present: Media that earlier runs have downloaded, and that are still there.
        skipped: Link images that were left alone (``DownloadConfig.links``).
        failed: Media that could not be downloaded.
        bytes: Bytes downloaded by this run.
        seconds: Length of the run.
        complete: Whether each media has an outcome, and the labels and bitmaps that were asked for
            are written.
        labelled: Media whose labels were written, or 0.
        bitmaps: Bitmaps that are in the folder, or 0.
        bitmaps_failed: Bitmaps that could not be fetched, or 0.
        written: Files with labels, relative to the folder.
        notes: What should be known of the labels and bitmaps, in sentences.
        stopped_by: Which limit ended the run before its end, in words, or empty.
        problems: The failed results, at most ``DownloadConfig.max_problems``.
    """

    name: str
    folder: str
    planned: int
    downloaded: int
    present: int
    skipped: int
    failed: int
    bytes: int
    seconds: float
    complete: bool
    labelled: int = 0
    bitmaps: int = 0
    bitmaps_failed: int = 0
    written: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stopped_by: str = ""
    problems: tuple[DownloadResult, ...] = attrs.field(default=(), repr=False)

    @property
    def pending(self) -> int:
        """Return the media that were not begun, or were cut off: 0 in a complete run."""
        return self.planned - self.downloaded - self.present - self.skipped - self.failed

    @property
    def items_per_second(self) -> float:
        """Return the downloaded media a second."""
        return self.downloaded / self.seconds if self.seconds > 0 else 0.0

    @property
    def ok(self) -> bool:
        """Return whether the run is complete and nothing failed."""
        return self.complete and not (self.failed or self.bitmaps_failed)

    def summary(self) -> str:
        """Return the report as one sentence, and a second one where links were left alone."""
        counts = said_counts(
            ("downloaded", self.downloaded),
            ("present", self.present),
            ("skipped", self.skipped),
            ("failed", self.failed),
            ("pending", self.pending),
        )
        return (
            f"{self.planned:,} media of {printable(self.name)!r}: {counts} "
            f"({self.bytes / 1e6:,.1f} MB in {self.seconds:,.1f} s, "
            f"{self.items_per_second:,.1f} media/s).{''.join(self._remarks())}"
        )

    def _remarks(self) -> list[str]:
        return [
            f" {sentence}"
            for sentence, is_said in (
                (f"It stopped at {self.stopped_by}.", self.stopped_by),
                (f"Labels of {self.labelled:,} media were written.", self.written),
                (f"{self.bitmaps:,} bitmaps are there.", self.bitmaps),
                (f"{self.bitmaps_failed:,} bitmaps failed.", self.bitmaps_failed),
                ('Link images are skipped; links="source" fetches them.', self.skipped),
            )
            if is_said
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, in the schema of `to_json`."""
        value = attrs.asdict(self, filter=lambda field, _: field.name != "problems")
        return {
            "schema": SCHEMA,
            **value,
            "folder": printable(self.folder),
            "seconds": round(self.seconds, 3),
            "pending": self.pending,
            "items_per_second": round(self.items_per_second, 3),
            "summary": self.summary(),
            "problems": [_row(each) for each in self.problems],
            "problems_omitted": self.failed - len(self.problems),
        }

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as JSON text, and write it to a file if one is given.

        The schema is named in the member ``schema`` and only ever grows.

        Args:
            path: File to write, as UTF-8; an existing one is replaced. Writing blocks.
        """
        return json_text(self.to_dict(), path)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the failed media as CSV text, and write it if a file is given.

        Columns: outcome, name, path, media_id, status, key, attempts, seconds, reason.

        Args:
            path: File to write, as UTF-8; an existing one is replaced. Writing blocks.
        """
        return csv_text(COLUMNS, map(_row, self.problems), path)


def _row(result: DownloadResult) -> dict[str, Any]:
    return {
        "outcome": result.outcome.value,
        "name": result.printable_name,
        "path": result.path,
        "media_id": result.media_id,
        "status": result.status,
        "key": result.key,
        "attempts": result.attempts,
        "seconds": round(result.seconds, 3),
        "reason": printable(result.reason),
    }
