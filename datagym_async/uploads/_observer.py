"""Where others take part in an upload: its watcher, what stops it, what ends it.

The pipeline tells a `Watcher` what happens, asks `StopCheck` before each item whether to go on, and
awaits each `Ending` when all is sent. All of them are called in the event loop; what they do there
must be short, or be awaited.

What limited a run: the numbers of its session from beginning to end, handed to the advisor.

What the options of an upload ask for besides uploading: limits, events, comparison, advice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from datagym_async._limits import LimiterState, RunFacts, SessionStatistics, advise
from datagym_async._runs._engine import Stops
from datagym_async.uploads._events import (
    DatasetCreated,
    Events,
    ItemSettled,
    Paused,
    RunEnded,
    RunStarted,
)
from datagym_async.uploads._values import Outcome
from datagym_async.uploads._verification import Verification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datagym_async.uploads._config import UploadConfig
    from datagym_async.uploads._tally import Tally
    from datagym_async.uploads._target import Member
    from datagym_async.uploads._values import DatasetShare, UploadItem, UploadReport, UploadResult


class Watcher(Protocol):
    """Is told what happens, as it happens; must not raise."""

    def began(self, item: UploadItem, size: int | None) -> None:
        """A worker begins to send an item."""
        ...

    def lost(self, item: UploadItem) -> None:
        """An answer was lost; the item is about to be looked up."""
        ...

    def ended(self, result: UploadResult) -> None:
        """An item has its outcome."""
        ...


class Silent:
    """The watcher that nobody asked for."""

    def began(self, item: UploadItem, size: int | None) -> None:
        """Say nothing."""

    def lost(self, item: UploadItem) -> None:
        """Say nothing."""

    def ended(self, result: UploadResult) -> None:
        """Say nothing."""


StopCheck: TypeAlias = Callable[["Tally"], str]
"""Asked before each item is begun: why the run is to end here, as a sentence, or empty."""

Room: TypeAlias = Callable[[], int | None]
"""Asked before a batch of links: how many may still be begun, or None for any number."""

Ending: TypeAlias = Callable[[], Awaitable[None]]
"""Awaited once everything is sent and settled, before the results end."""


def go_on(tally: Tally) -> str:
    """Never stop."""
    del tally
    return ""


def no_bound() -> int | None:
    """Let any number begin."""
    return None


@attrs.frozen
class Hooks:
    """Who takes part in a run besides the pipeline itself.

    Args:
        watcher: Is told what happens.
        stops: Says when to stop before the end.
        room: Says how many links may still be begun.
        endings: Awaited in order when all is sent.
    """

    watcher: Watcher = attrs.field(factory=Silent)
    stops: StopCheck = go_on
    room: Room = no_bound
    endings: tuple[Ending, ...] = ()


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


@attrs.define
class Advisor:
    """Say at the end of a run what limited it. Other work of the same client counts as well.

    Args:
        meters: The client's meters, or None where there is no client: then there is no advice.
    """

    _meters: Meters | None = None
    _before: SessionStatistics = attrs.field(factory=SessionStatistics, init=False)
    _cpu: float = attrs.field(default=0.0, init=False)
    _told: Callable[[float, str], None] | None = attrs.field(default=None, init=False)

    def begin(self, on_pause: Callable[[float, str], None]) -> None:
        """Take the readings of the run's beginning.

        Args:
            on_pause: Told of each pause until the end.
        """
        self._cpu, self._told = time.process_time(), on_pause
        if self._meters is not None:
            self._before = self._meters.statistics()
            self._meters.on_pause.append(on_pause)

    def end(self) -> None:
        """Listen for pauses no longer; ending twice is fine."""
        if self._meters is not None and self._told is not None:
            self._meters.on_pause.remove(self._told)
        self._told = None

    def limiter(self) -> LimiterState | None:
        """Return what may be in flight now, and why."""
        return None if self._meters is None else self._meters.limiter()

    def advice(self, *, seconds: float, disk_seconds: float) -> str:
        """Return one sentence, or nothing where nobody knows.

        Args:
            seconds: Length of the run.
            disk_seconds: Seconds in which workers had nothing to do since files were being read.
        """
        meters = self._meters
        if meters is None:
            return ""
        return advise(
            RunFacts(
                seconds=seconds,
                cpu_seconds=time.process_time() - self._cpu,
                statistics=meters.statistics().since(self._before),
                limiter=meters.limiter(),
                disk_seconds=disk_seconds,
                rate_limit=meters.rate_limit,
                max_upload_rate=meters.max_upload_rate,
            )
        )


@attrs.define
class Participant:
    """Watch a run, tell of it, say when it has to stop, and add to its report.

    Args:
        stops: The limits of the run.
        events: Where to tell of it.
        advisor: Knows the client's limiter.
        verification: What the comparison at the end finds.

    Attributes:
        stopped_by: Which limit was reached, in words; empty while none is.
    """

    _stops: Stops
    _events: Events
    advisor: Advisor
    verification: Verification
    stopped_by: str = attrs.field(default="", init=False)
    _advice: str = attrs.field(default="", init=False)
    _begun: int = attrs.field(default=0, init=False)
    _begun_bytes: int = attrs.field(default=0, init=False)
    _failed: int = attrs.field(default=0, init=False)
    _began: float = attrs.field(default=0.0, init=False)
    _has_ended: bool = attrs.field(default=False, init=False)
    _timer: asyncio.TimerHandle | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, config: UploadConfig, meters: Meters | None = None) -> Participant:
        """Return the one that the options ask for."""
        stops = Stops(
            max_files=config.max_files,
            max_bytes_total=config.max_bytes_total,
            max_failures=config.max_failures,
            max_duration=config.max_duration,
        )
        events, found = Events(config.on_event), Verification(config.max_problems)
        return cls(stops, events, Advisor(meters), found)

    def hooks(self, *endings: Ending) -> Hooks:
        """Return how it takes part.

        Args:
            endings: Awaited when all is sent.
        """
        return Hooks(self, self.stop, self._room, endings)

    def begin(self, stop: Callable[[], None]) -> None:
        """Start the clock of the run.

        Args:
            stop: Called when its time is up: sources may be silent, and nothing asks then.
        """
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        if self._stops.max_duration is not None:
            self._timer = loop.call_later(self._stops.max_duration, self._expire, stop)
        self.advisor.begin(self.paused)

    def _expire(self, stop: Callable[[], None]) -> None:
        seconds = self._stops.max_duration
        self.stopped_by = self.stopped_by or f"max_duration: {seconds:,g} s have passed"
        stop()

    def close(self) -> None:
        """Stop the clock, and listen to the client no longer; closing twice is fine."""
        self.advisor.end()
        if self._timer is not None:
            self._timer.cancel()

    def opened(self, datasets: Sequence[DatasetShare]) -> None:
        """Tell that the run has begun, into these datasets."""
        names = tuple(each.name for each in datasets)
        held = sum(each.held for each in datasets)
        self._events.tell(RunStarted(datasets[0].dataset_id, names[0], names, held))
        self._watch_limiter()

    def _room(self) -> int | None:
        """Return how many images and links may still be begun; None for any number."""
        most = self._stops.max_files
        return None if most is None else max(0, most - self._begun)

    def stop(self, tally: Tally) -> str:
        """Return why nothing new is begun, in words, or empty; asked before each item."""
        del tally  # counts what is settled, and this has to count what is begun
        self.stopped_by = self.stopped_by or self._stops.reason(
            begun=self._begun,
            begun_bytes=self._begun_bytes,
            failed=self._failed,
            seconds=asyncio.get_running_loop().time() - self._began,
        )
        return self.stopped_by

    # As a watcher.

    def began(self, item: UploadItem, size: int | None) -> None:
        """Count an item that is being sent."""
        del item
        self._begun += 1
        self._begun_bytes += size or 0

    def lost(self, item: UploadItem) -> None:
        """Say nothing: its outcome will be told."""

    def ended(self, result: UploadResult) -> None:
        """Tell of an outcome, and of the limit where it has changed."""
        self._failed += result.outcome is Outcome.FAILED
        self._events.tell(ItemSettled(result))
        self._watch_limiter()

    def _watch_limiter(self) -> None:
        if self._events.is_wanted and (limiter := self.advisor.limiter()) is not None:
            self._events.watch(limiter)

    def created(self, member: Member) -> None:
        """Tell of a dataset that was added."""
        self._events.tell(DatasetCreated(member.dataset_id, member.name, member.number))

    def paused(self, seconds: float, why: str) -> None:
        """Tell of a pause that the service asked for."""
        self._events.tell(Paused(seconds, why))

    # The report.

    def completed(self, report: UploadReport, shares: tuple[DatasetShare, ...]) -> UploadReport:
        """Return the report with what was seen here, and with the share of each dataset."""
        found = self.verification
        return attrs.evolve(
            report,
            stopped_by="" if report.complete else self.stopped_by,
            datasets=shares,
            verified=found.compared,
            mismatched=found.mismatch_count,
            mismatches=tuple(found.mismatches),
            advice=self._advice,
        )

    def end(self, report: UploadReport, *, disk_seconds: float) -> None:
        """Find out what limited the run, and tell that it has ended; once.

        Args:
            report: The report, without advice.
            disk_seconds: See `Advisor.advice`.
        """
        if not self._has_ended:
            self._has_ended = True
            self.close()
            self._advice = self.advisor.advice(seconds=report.seconds, disk_seconds=disk_seconds)
            self._events.tell(RunEnded(attrs.evolve(report, advice=self._advice)))
