"""What limited a run: the numbers of its session from beginning to end, handed to the advisor."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from datagym_async._limits import LimiterState, RunFacts, SessionStatistics, advise


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
