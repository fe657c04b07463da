"""What is told and advised of an upload: events while it runs, one sentence at its end.

Events are made for somebody who listens, and not otherwise. The advice compares the client's own
numbers at the run's beginning with those at its end; other work of the same client counts as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from datagym_async._limits import LimiterState, RunFacts, SessionStatistics, advise
from datagym_async.uploads._events import (
    DatasetCreated,
    Events,
    ItemSettled,
    OnEvent,
    Paused,
    RunEnded,
    RunStarted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datagym_async.uploads._target import Member
    from datagym_async.uploads._values import DatasetShare, UploadReport, UploadResult


@attrs.frozen(kw_only=True)
class Meters:
    """Where a run reads what its client is doing.

    Args:
        statistics: Gives what the client's session has done so far.
        limiter: Gives what the lane of uploads allows now.
        on_pause: Those who are told of a pause of the client.
        rate_limit: The client's requests a second, or None.
        max_upload_rate: The client's bytes a second, or None.
    """

    statistics: Callable[[], SessionStatistics]
    limiter: Callable[[], LimiterState]
    on_pause: list[Callable[[float, str], None]] = attrs.field(factory=list)
    rate_limit: float | None = None
    max_upload_rate: float | None = None


class Observer:
    """Tell of a run, and find out what limited it.

    Args:
        on_event: Who wants to be told, or None.
        meters: The client's meters, or None where there is no client: then there is no advice.

    Attributes:
        advice: One sentence on what limited the run, once it has ended; empty where nobody knows.
        is_wanted: Whether anybody is told.
    """

    def __init__(self, on_event: OnEvent | None, meters: Meters | None) -> None:
        self.advice = ""
        self.is_wanted = on_event is not None
        self._events = Events(on_event)
        self._meters = meters
        self._before = SessionStatistics()
        self._cpu = 0.0
        self._has_ended = False

    def begin(self) -> None:
        """Take the readings of the run's beginning, and listen for pauses."""
        self._cpu = time.process_time()
        if self._meters is not None:
            self._before = self._meters.statistics()
            self._meters.on_pause.append(self._paused)

    def close(self) -> None:
        """Listen for pauses no longer; closing twice is fine."""
        if self._meters is not None and self._paused in self._meters.on_pause:
            self._meters.on_pause.remove(self._paused)

    def limiter(self) -> LimiterState | None:
        """Return what may be in flight now, and why; None where there is no client."""
        return None if self._meters is None else self._meters.limiter()

    def opened(self, datasets: Sequence[DatasetShare]) -> None:
        """Tell that the run has begun, into these datasets."""
        names = tuple(each.name for each in datasets)
        held = sum(each.held for each in datasets)
        self._events.tell(RunStarted(datasets[0].dataset_id, names[0], names, held))
        self._watch_limiter()

    def settled(self, result: UploadResult) -> None:
        """Tell of an outcome, and of the limit where it has changed."""
        self._events.tell(ItemSettled(result))
        self._watch_limiter()

    def _watch_limiter(self) -> None:
        if self.is_wanted and (limiter := self.limiter()) is not None:
            self._events.watch(limiter)

    def created(self, member: Member) -> None:
        """Tell of a dataset that was added."""
        self._events.tell(DatasetCreated(member.dataset_id, member.name, member.number))

    def _paused(self, seconds: float, why: str) -> None:
        self._events.tell(Paused(seconds, why))

    def end(self, report: UploadReport, *, disk_seconds: float) -> None:
        """Find out what limited the run, and tell that it has ended; once.

        Args:
            report: The report, without advice.
            disk_seconds: Seconds in which workers had nothing to do since files were being read.
        """
        if self._has_ended:
            return
        self._has_ended = True
        self.close()
        if (meters := self._meters) is not None:
            self.advice = advise(
                RunFacts(
                    seconds=report.seconds,
                    cpu_seconds=time.process_time() - self._cpu,
                    statistics=meters.statistics().since(self._before),
                    limiter=meters.limiter(),
                    disk_seconds=disk_seconds,
                    rate_limit=meters.rate_limit,
                    max_upload_rate=meters.max_upload_rate,
                )
            )
        self._events.tell(RunEnded(attrs.evolve(report, advice=self.advice)))
