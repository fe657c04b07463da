"""Count a run: the one place that numbers, progress, events and report come from.

Events are made only if somebody listens. The advice at the end compares the client's own numbers at
the run's beginning with those at its end; other work of the same client counts as well.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from datagym_async._limits import BoundedLane, LimiterState, Limits, SessionStatistics
from datagym_async._runs._options import Listener
from datagym_async._runs._text import BulkTally
from datagym_async._wire._messages import Lane
from datagym_async.uploads._advice import Course, Growth, Mark, RunFacts, advise, growth_of
from datagym_async.uploads._target import Member
from datagym_async.uploads._values import (
    DatasetCreated,
    DatasetShare,
    Double,
    ItemSettled,
    LimitChanged,
    Mismatch,
    Outcome,
    Paused,
    RunEnded,
    RunStarted,
    UploadEvent,
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
    streamed: bool = False  # a watched folder, or another source that goes on, was waited for
    bytes_uploaded: int = 0
    stored: defaultdict[str, int] = attrs.Factory(lambda: defaultdict(int))  # by dataset
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
            self.stored[result.dataset_id] += 1
            if count >= self.next_mark:
                self.on_mark()
            return
        self.bytes_found -= size or 0
        if result.is_problem and len(self.problems) < self.max_problems:
            self.problems.append(attrs.evolve(result, item=result.item.without_data()))

    def vanished(self, result: UploadResult) -> None:
        """Count an uploaded item as failed after all; the result is its new one."""
        self.outcomes[Outcome.UPLOADED] -= 1
        self.stored[result.dataset_id] -= 1
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
            # What was found is measured before it is read, when it may have changed.
            bytes_total=max(0 if self.complete else self.bytes_found, self.bytes_uploaded),
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


@attrs.frozen
class Meters:
    """Where a run reads the counts and limits of its client."""

    statistics: Callable[[], SessionStatistics]  # of the client's session so far
    limits: Limits
    lane: BoundedLane = attrs.field(init=False)  # asked for each item

    @lane.default
    def _lane_of_uploads(self) -> BoundedLane:
        return self.limits.lanes[Lane.UPLOAD]


class Observer(Listener):
    """Pass events to the user's callable, and find out at the end what limited the run."""

    def __init__(
        self,
        on_event: Callable[[UploadEvent], object] | None = None,
        meters: Meters | None = None,  # of the client; without them there is no advice
    ) -> None:
        super().__init__(on_event, "upload")
        self.advice = ""
        self._limiter: LimiterState | None = None
        self._meters = meters
        self._before = SessionStatistics()
        self._course = Course()
        self._paused_seconds = self._paused_until = 0.0
        self._cpu = 0.0

    def watch(self, limiter: LimiterState | None) -> None:
        known, self._limiter = self._limiter, limiter
        if known is not None and limiter is not None and known.limit != limiter.limit:
            self.tell(LimitChanged(limiter))

    def begin(self) -> None:
        """Read the meters at the beginning of the run, and listen for pauses."""
        self._cpu = time.process_time()
        if self._meters is not None:
            self._before = self._meters.statistics()
            self._meters.limits.on_pause.append(self._paused)

    def close(self) -> None:
        """Stop listening for pauses; closing twice is fine."""
        if self._meters is not None and self._paused in self._meters.limits.on_pause:
            self._meters.limits.on_pause.remove(self._paused)

    def limiter(self) -> LimiterState | None:
        """Return how many uploads may be in flight now, and why; None without a client."""
        return None if self._meters is None else self._meters.lane.state()

    def opened(self, datasets: Sequence[DatasetShare]) -> None:
        """Report that the run has begun, into these datasets."""
        names = tuple(each.name for each in datasets)
        held = sum(each.held for each in datasets)
        self.tell(RunStarted(datasets[0].dataset_id, names[0], names, held))
        if self.is_wanted:
            self.watch(self.limiter())

    def settled(self, result: UploadResult) -> None:
        """Report an outcome, and the limit if it has changed."""
        self.tell(ItemSettled(result))
        known, meters = self._limiter, self._meters
        if meters is not None and (known is None or known.limit != meters.lane.limit):
            self.watch(meters.lane.state())

    def created(self, member: Member) -> None:
        self.tell(DatasetCreated(member.dataset_id, member.name, member.number))

    def _paused(self, seconds: float, why: str) -> None:
        now = asyncio.get_running_loop().time()
        until = max(self._paused_until, now + seconds)
        self._paused_seconds += until - max(self._paused_until, now)
        self._paused_until = until
        self.tell(Paused(seconds, why))

    def _paused_by(self, now: float) -> float:
        """Return the seconds of all pauses up to now."""
        return self._paused_seconds - max(0.0, self._paused_until - now)

    def mark(self, tally: Tally, held: float) -> None:
        """Record the progress of the run, and set when to record it next; for `held` see `Mark`."""
        if self._meters is None:
            tally.next_mark = math.inf
            return
        now = asyncio.get_running_loop().time()
        self._course.add(
            Mark(
                now - self._paused_by(now),
                tally.outcomes[Outcome.UPLOADED],
                self._meters.limits.waited.sending,
                held,
                tally.bytes_uploaded,
            )
        )
        tally.next_mark = self._course.next

    def growth(self) -> Growth | None:
        """Return how the time of an upload has grown so far with the size of its dataset."""
        return growth_of(self._course.parts())

    def end(
        self,
        report: UploadReport,
        tally: Tally,
        *,
        workers: int,
        planning_seconds: float,
        max_per_dataset: int | str | None,
    ) -> None:
        """Find out what limited the run, and report its end; the report has no advice yet."""
        self.close()
        if (meters := self._meters) is not None:
            self.advice = advise(
                RunFacts(
                    seconds=report.seconds,
                    cpu_seconds=time.process_time() - self._cpu,
                    statistics=meters.statistics().since(self._before),
                    limiter=meters.lane.state(),
                    sent=report.uploaded + report.failed,
                    workers=workers,
                    planning_seconds=0.0 if tally.streamed else planning_seconds,
                    item_seconds=tally.item_seconds,
                    disk_seconds=tally.disk_seconds,
                    preparing_seconds=tally.preparing_seconds,
                    paused_seconds=self._paused_by(asyncio.get_running_loop().time()),
                    growth=self.growth(),
                    max_per_dataset=max_per_dataset,
                    rate_limit=meters.limits.config.rate,
                    max_upload_rate=meters.limits.config.upload_rate,
                )
            )
        self.tell(RunEnded(attrs.evolve(report, advice=self.advice)))
