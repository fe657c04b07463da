"""Count a run: the one place that numbers, progress and report come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import attrs

from datagym_async._runs._text import BulkTally
from datagym_async.uploads._values import (
    Double,
    Mismatch,
    Outcome,
    UploadProgress,
    UploadReport,
    UploadResult,
)
from datagym_async.uploads.plan._rows import Added

_UPLOADED: Final = Outcome.UPLOADED  # looking up a member of an enum costs as much as a call


@attrs.define
class Tally(BulkTally[UploadResult]):
    """Count an upload. The members without a comment are those of the report."""

    bytes_found: int = 0
    total_known: bool = False
    bytes_uploaded: int = 0
    reading_seconds: float = 0.0  # in which files were being read ahead
    preparing_seconds: float = 0.0  # in which images were being prepared
    disk_seconds: float = 0.0  # in which workers had nothing to send meanwhile, summed over them
    item_seconds: float = 0.0  # from start to outcome, summed over files
    next_mark: float = math.inf  # number of uploaded images at which `on_mark` is called
    on_mark: Callable[[], None] = lambda: None  # records the progress, and sets `next_mark`
    warned: int = 0
    turned: int = 0
    duplicates: int = 0
    left_out: int = 0
    repeated: int = 0
    unsettled: int = 0
    resumed: int = 0
    is_resuming: bool = False  # only items of an earlier run are known: no source is read yet
    _earlier: int = 0
    doubles: list[Double] = attrs.Factory(list)
    compared: int = 0  # with the dataset, or could not be
    mismatch_count: int = 0
    mismatches: list[Mismatch] = attrs.Factory(list)  # at most `max_problems`

    def added(self, added: Added) -> None:
        """Count items from the sources, or left by earlier runs."""
        self.planned += added.count
        self.bytes_found += added.bytes - added.resumed_bytes
        self.resumed += added.resumed
        self.is_resuming = added.earlier is not None
        self._earlier = max(0, self._earlier - added.resumed) + (added.earlier or 0)
        self.unsettled += added.unsettled
        self.repeated += added.repeated
        self.outcomes[Outcome.SKIPPED] += added.resumed

    def settled(self, result: UploadResult) -> None:
        outcome, size = result.outcome, result.size
        count = self.outcomes[outcome] + 1
        self.outcomes[outcome] = count
        if result.warnings:
            self.warned += 1
        if size is not None:  # the links of a batch share their time
            self.item_seconds += result.seconds
        if outcome is _UPLOADED:
            self.bytes_uploaded += size or 0
            if count >= self.next_mark:
                self.on_mark()
            return
        self.bytes_found -= size or 0
        if result.is_problem and len(self.problems) < self.max_problems:
            self.problems.append(attrs.evolve(result, item=result.item.without_data()))

    def vanished(self, result: UploadResult) -> None:
        """Count an uploaded item as failed after all; the result is its new one."""
        self.outcomes[Outcome.UPLOADED] -= 1
        self.bytes_uploaded -= result.size or 0
        self.bytes_found += result.size or 0
        self.settled(result)

    def verified(self, mismatch: Mismatch | None) -> None:
        """Count a comparison; None where the bytes are equal."""
        self.compared += 1
        if mismatch is not None:
            self.mismatch_count += 1
            if len(self.mismatches) < self.max_problems:
                self.mismatches.append(mismatch)

    @property
    def complete(self) -> bool:
        """Return whether all sources are read and every item has its outcome."""
        return self.total_known and self.done == self.planned

    @property
    def earlier(self) -> int:
        """Return how many items done by earlier runs the sources have not yielded again so far."""
        return 0 if self.total_known else self._earlier

    def progress(
        self, *, seconds: float, sending: float, has_ended: bool = False
    ) -> UploadProgress:
        """Return a snapshot: so long after the beginning, and after the first item was sent."""
        phase = "stopped" if has_ended else "sending" if sending > 0 else "planning"
        known = self._with_earlier(self.counts(*Outcome))
        known |= self.pace(
            stored=self.outcomes[Outcome.UPLOADED],
            size=self.bytes_uploaded,
            # Items done by an earlier run took no time in this one.
            tried=self.done - self.resumed if self.total_known or self.is_resuming else 0,
            seconds=seconds,
            working=sending,
        )
        known["items_done"] += self.earlier
        known["items_total"] += self.earlier
        return UploadProgress(
            phase="done" if self.complete else phase,
            bytes_total=max(self.bytes_found, self.bytes_uploaded),
            total_known=self.total_known,
            resumed=self.resumed + self.earlier,
            **known,
        )

    def _with_earlier(self, counts: dict[str, Any]) -> dict[str, Any]:
        return counts | {Outcome.SKIPPED.value: counts[Outcome.SKIPPED.value] + self.earlier}

    def report(self, *, stopped_by: str = "", **run: Any) -> UploadReport:
        """Return the report so far; `run` are the members that only the run knows."""
        return UploadReport(
            planned=self.planned + self.earlier,
            **self._with_earlier(self.counts(*Outcome)),
            bytes=self.bytes_uploaded,
            complete=self.complete,
            warned=self.warned,
            turned=self.turned,
            duplicates=self.duplicates,
            left_out=self.left_out,
            repeated=self.repeated,
            unsettled=self.unsettled,
            resumed=self.resumed + self.earlier,
            doubles=tuple(self.doubles),
            stopped_by="" if self.complete else stopped_by,
            verified=self.compared,
            mismatched=self.mismatch_count,
            mismatches=tuple(self.mismatches),
            problems=tuple(self.problems),
            **run,
        )
