"""Count a run: the one place that numbers, progress and report come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async._runs._text import BulkTally
from datagym_async.uploads._values import (
    Double,
    Outcome,
    UploadProgress,
    UploadReport,
    UploadResult,
)

if TYPE_CHECKING:
    from datagym_async.uploads.plan._rows import Added


@attrs.define
class Tally(BulkTally[UploadResult]):
    """Count an upload: items and bytes as they are found, sent and settled.

    Attributes:
        reading_seconds: Time in which files were being read ahead.
        disk_seconds: Time that workers had nothing to send meanwhile, summed over workers.
    """

    bytes_found: int = 0
    total_known: bool = False
    bytes_uploaded: int = 0
    reading_seconds: float = 0.0
    disk_seconds: float = 0.0
    warned: int = 0
    left_out: int = 0
    unsettled: int = 0
    resumed: int = 0
    doubles: list[Double] = attrs.Factory(list)

    def added(self, added: Added) -> None:
        """Count items that the sources named, or that earlier runs have left."""
        self.planned += added.count
        self.bytes_found += added.bytes - added.resumed_bytes
        self.resumed += added.resumed
        self.unsettled += added.unsettled
        self.outcomes[Outcome.SKIPPED] += added.resumed

    def settled(self, result: UploadResult) -> None:
        """Count a result."""
        self.outcomes[result.outcome] += 1
        self.warned += bool(result.warnings)
        if result.outcome is Outcome.UPLOADED:
            self.bytes_uploaded += result.size or 0
        else:
            self.bytes_found -= result.size or 0
        if result.is_problem and len(self.problems) < self.max_problems:
            self.problems.append(attrs.evolve(result, item=result.item.without_data()))

    def vanished(self, result: UploadResult) -> None:
        """Count an uploaded item as failed after all.

        Args:
            result: Its new result.
        """
        self.outcomes[Outcome.UPLOADED] -= 1
        self.bytes_uploaded -= result.size or 0
        self.bytes_found += result.size or 0
        self.settled(result)

    @property
    def complete(self) -> bool:
        """Return whether all sources are read and every item has its outcome."""
        return self.total_known and self.done == self.planned

    def progress(self, *, seconds: float, sending: float) -> UploadProgress:
        """Return a snapshot.

        Args:
            seconds: Time since the run began.
            sending: Time since it began to send.
        """
        phase = "sending" if sending > 0 else "planning"
        return UploadProgress(
            phase="done" if self.complete else phase,
            bytes_total=max(self.bytes_found, self.bytes_uploaded),
            total_known=self.total_known,
            **self.counts(*Outcome),
            **self.pace(
                stored=self.outcomes[Outcome.UPLOADED],
                size=self.bytes_uploaded,
                tried=self.done if self.total_known else 0,
                seconds=seconds,
                working=sending,
            ),
        )

    def report(
        self, *, dataset_id: str, dataset_name: str, seconds: float, journal: str = ""
    ) -> UploadReport:
        """Return the account so far.

        Args:
            dataset_id: The dataset uploaded into.
            dataset_name: Its name.
            seconds: Length of the run so far.
            journal: Path of its journal, or empty.
        """
        return UploadReport(
            dataset_id=dataset_id,
            dataset_name=dataset_name,
            planned=self.planned,
            **self.counts(*Outcome),
            bytes=self.bytes_uploaded,
            seconds=seconds,
            complete=self.complete,
            warned=self.warned,
            left_out=self.left_out,
            unsettled=self.unsettled,
            resumed=self.resumed,
            doubles=tuple(self.doubles),
            journal=journal,
            problems=tuple(self.problems),
        )
