"""Count a run: the one place that numbers, progress and report come from."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

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
class Tally:
    """Count items and bytes as they are found, sent and settled.

    Args:
        max_problems: How many rejected and failed results to keep.

    Attributes:
        reading_seconds: Time in which files were being read ahead.
        disk_seconds: Time that workers had nothing to send meanwhile, summed over workers.
    """

    max_problems: int
    planned: int = 0
    bytes_found: int = 0
    total_known: bool = False
    in_flight: int = 0
    bytes_uploaded: int = 0
    reading_seconds: float = 0.0
    disk_seconds: float = 0.0
    warned: int = 0
    left_out: int = 0
    unsettled: int = 0
    resumed: int = 0
    doubles: list[Double] = attrs.Factory(list)
    _outcomes: Counter[Outcome] = attrs.Factory(Counter)
    _problems: list[UploadResult] = attrs.Factory(list)

    def added(self, added: Added) -> None:
        """Count items that the sources named, or that earlier runs have left."""
        self.planned += added.count
        self.bytes_found += added.bytes - added.resumed_bytes
        self.resumed += added.resumed
        self.unsettled += added.unsettled
        self._outcomes[Outcome.SKIPPED] += added.resumed

    def settled(self, result: UploadResult) -> None:
        """Count a result."""
        self._outcomes[result.outcome] += 1
        self.warned += bool(result.warnings)
        if result.outcome is Outcome.UPLOADED:
            self.bytes_uploaded += result.size or 0
        else:
            self.bytes_found -= result.size or 0
        if result.is_problem and len(self._problems) < self.max_problems:
            self._problems.append(attrs.evolve(result, item=result.item.without_data()))

    def vanished(self, result: UploadResult) -> None:
        """Count an uploaded item as failed after all.

        Args:
            result: Its new result.
        """
        self._outcomes[Outcome.UPLOADED] -= 1
        self.bytes_uploaded -= result.size or 0
        self.bytes_found += result.size or 0
        self.settled(result)

    @property
    def done(self) -> int:
        """Return the items that have an outcome."""
        return self._outcomes.total()

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
        uploaded = self._outcomes[Outcome.UPLOADED]
        rate = self.done / sending if sending > 0 else 0.0
        left = (self.planned - self.done) / rate if rate and self.total_known else None
        phase = "sending" if sending > 0 else "planning"
        return UploadProgress(
            phase="done" if self.complete else phase,
            items_done=self.done,
            items_total=self.planned,
            bytes_done=self.bytes_uploaded,
            bytes_total=max(self.bytes_found, self.bytes_uploaded),
            total_known=self.total_known,
            uploaded=uploaded,
            skipped=self._outcomes[Outcome.SKIPPED],
            rejected=self._outcomes[Outcome.REJECTED],
            failed=self._outcomes[Outcome.FAILED],
            in_flight=self.in_flight,
            seconds=seconds,
            items_per_second=uploaded / sending if sending > 0 else 0.0,
            bytes_per_second=self.bytes_uploaded / sending if sending > 0 else 0.0,
            seconds_left=left,
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
            uploaded=self._outcomes[Outcome.UPLOADED],
            skipped=self._outcomes[Outcome.SKIPPED],
            rejected=self._outcomes[Outcome.REJECTED],
            failed=self._outcomes[Outcome.FAILED],
            bytes=self.bytes_uploaded,
            seconds=seconds,
            complete=self.complete,
            warned=self.warned,
            left_out=self.left_out,
            unsettled=self.unsettled,
            resumed=self.resumed,
            doubles=tuple(self.doubles),
            journal=journal,
            problems=tuple(self._problems),
        )
