"""The events of an upload while it runs, and its advice at the end.

Events are made only if somebody listens. The advice compares the client's own numbers at the run's
beginning with those at its end; other work of the same client counts as well.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import attrs

from datagym_async._limits import BoundedLane, LimiterState, Limits, SessionStatistics
from datagym_async._runs._options import Listener
from datagym_async._wire._messages import Lane
from datagym_async.uploads._advice import RunFacts, advise
from datagym_async.uploads._growth import Course, Growth, Mark, growth_of
from datagym_async.uploads._tally import Tally
from datagym_async.uploads._target import Member
from datagym_async.uploads._values import (
    DatasetCreated,
    DatasetShare,
    ItemSettled,
    LimitChanged,
    Outcome,
    Paused,
    RunEnded,
    RunStarted,
    UploadEvent,
    UploadReport,
    UploadResult,
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
                    # A watched folder, or another source that goes on, was waited for.
                    planning_seconds=planning_seconds if tally.total_known else 0.0,
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
