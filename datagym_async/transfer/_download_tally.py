"""The counts of a bulk download, that its progress and its report are made from."""

from __future__ import annotations

from collections import Counter

import attrs

from datagym_async.transfer._download_items import (
    DownloadOutcome,
    DownloadProgress,
    DownloadResult,
)
from datagym_async.transfer._download_report import DownloadReport


@attrs.define
class DownloadTally:
    """Count a run: the one place that numbers, progress and report come from.

    Args:
        max_problems: How many failed results to keep.
    """

    max_problems: int
    phase: str = "listing"
    planned: int = 0
    begun: int = 0
    in_flight: int = 0
    bytes_arrived: int = 0
    bytes_downloaded: int = 0
    stopped_by: str = ""
    labelled: int = 0
    bitmaps: int = 0
    bitmaps_failed: int = 0
    written: list[str] = attrs.Factory(list)
    notes: list[str] = attrs.Factory(list)
    _outcomes: Counter[DownloadOutcome] = attrs.Factory(Counter)
    _problems: list[DownloadResult] = attrs.Factory(list)

    def present(self, count: int) -> None:
        """Count media that earlier runs have downloaded."""
        self._outcomes[DownloadOutcome.PRESENT] += count

    def settled(self, result: DownloadResult) -> None:
        """Count a result."""
        self._outcomes[result.outcome] += 1
        if result.outcome is DownloadOutcome.DOWNLOADED:
            self.bytes_downloaded += result.size or 0
        if result.is_problem and len(self._problems) < self.max_problems:
            self._problems.append(result)

    @property
    def done(self) -> int:
        """Return the media that have an outcome."""
        return self._outcomes.total()

    @property
    def failed(self) -> int:
        """Return the media that failed."""
        return self._outcomes[DownloadOutcome.FAILED]

    @property
    def complete(self) -> bool:
        """Return whether nothing is left to be done."""
        return self.phase == "done" and self.done == self.planned

    def progress(self, *, seconds: float, fetching: float) -> DownloadProgress:
        """Return a snapshot.

        Args:
            seconds: Time since the run began.
            fetching: Time since it began to fetch.
        """
        downloaded = self._outcomes[DownloadOutcome.DOWNLOADED]
        tried = downloaded + self.failed
        rate = tried / fetching if fetching > 0 else 0.0
        return DownloadProgress(
            phase=self.phase,
            items_done=self.done,
            items_total=self.planned,
            bytes_done=self.bytes_arrived,
            downloaded=downloaded,
            present=self._outcomes[DownloadOutcome.PRESENT],
            skipped=self._outcomes[DownloadOutcome.SKIPPED],
            failed=self.failed,
            in_flight=self.in_flight,
            seconds=seconds,
            items_per_second=downloaded / fetching if fetching > 0 else 0.0,
            bytes_per_second=self.bytes_arrived / fetching if fetching > 0 else 0.0,
            seconds_left=(self.planned - self.done) / rate if rate else None,
        )

    def report(self, *, name: str, folder: str, seconds: float, ended: bool) -> DownloadReport:
        """Return the account so far.

        Args:
            name: Name of the dataset or project.
            folder: The folder.
            seconds: Length of the run so far.
            ended: Whether it came to its end without an error.
        """
        return DownloadReport(
            name=name,
            folder=folder,
            planned=self.planned,
            downloaded=self._outcomes[DownloadOutcome.DOWNLOADED],
            present=self._outcomes[DownloadOutcome.PRESENT],
            skipped=self._outcomes[DownloadOutcome.SKIPPED],
            failed=self.failed,
            bytes=self.bytes_downloaded,
            seconds=seconds,
            complete=ended and self.complete,
            labelled=self.labelled,
            bitmaps=self.bitmaps,
            bitmaps_failed=self.bitmaps_failed,
            written=tuple(self.written),
            notes=tuple(self.notes),
            stopped_by=self.stopped_by,
            problems=tuple(self._problems),
        )
