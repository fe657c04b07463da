"""What a session has done and where its time went: counters, latencies, and the value made of them.

Times are sums over requests: eight requests that wait one second each have waited eight.

One sentence on what limited a run, and what would help. A pure function of plain numbers.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping

import attrs

from datagym_async._limits._adaptive import LimiterState

_LATENCIES_KEPT = 256


@attrs.frozen
class SessionStatistics:
    """What a session has done so far.

    Times are sums over all requests, in seconds.

    Args:
        requests: Requests sent, repetitions included.
        retries: Repetitions among them.
        bytes: Bytes of bodies, sent and received.
        in_flight: Requests on their way now.
        waits: Requests that had to wait for a place in their lane or for the rate limit.
        lane_seconds: Waited for a place in a lane.
        rate_seconds: Waited for the rate limit of requests.
        pause_seconds: Waited because the service asked for a pause.
        pace_seconds: Waited for the limit of bytes a second.
        reading_seconds: Waited for streamed bodies to be read from their source.
        sending_seconds: From an attempt's start to the end of its answer, the two above included.
        overloads: Signs of overload, by kind: ``"429"``, ``"503"``, ``"500"`` (without a key),
            ``"504"``, ``"timeout"``.
        p50: Median of the latest 256 latencies.
        p95: 95th percentile of the same.
        retry_tokens: What is left of the retry budget; None where there is none.
    """

    __module__ = "datagym_async"  # what it is imported from

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    in_flight: int = 0
    waits: int = 0
    lane_seconds: float = 0.0
    rate_seconds: float = 0.0
    pause_seconds: float = 0.0
    pace_seconds: float = 0.0
    reading_seconds: float = 0.0
    sending_seconds: float = 0.0
    overloads: Mapping[str, int] = attrs.field(factory=dict)
    p50: float = 0.0
    p95: float = 0.0
    retry_tokens: float | None = None

    def since(self, earlier: SessionStatistics) -> SessionStatistics:
        """Return what was done since an earlier moment: counts and sums are differences.

        What has no difference, requests in flight, percentiles and tokens, is as of now.

        Args:
            earlier: Statistics of the same session, taken before.
        """
        less = {name: getattr(self, name) - getattr(earlier, name) for name in _SUMS}
        overloads = Counter(self.overloads)
        overloads.subtract(earlier.overloads)
        return attrs.evolve(self, **less, overloads=dict(+overloads))


_SUMS = (
    "requests",
    "retries",
    "bytes",
    "waits",
    "lane_seconds",
    "rate_seconds",
    "pause_seconds",
    "pace_seconds",
    "reading_seconds",
    "sending_seconds",
)


@attrs.define
class Waited:
    """Seconds that requests have spent, by what for, and how many had to wait at all."""

    count: int = 0
    lane: float = 0.0
    rate: float = 0.0
    pause: float = 0.0
    pace: float = 0.0
    reading: float = 0.0
    sending: float = 0.0
    overloads: Counter[str] = attrs.field(factory=Counter)
    latencies: deque[float] = attrs.field(factory=lambda: deque(maxlen=_LATENCIES_KEPT))

    def percentile(self, share: float) -> float:
        """Return a percentile of the latest latencies, 0 where there are none."""
        if not self.latencies:
            return 0.0
        return sorted(self.latencies)[
            min(len(self.latencies) - 1, int(len(self.latencies) * share))
        ]


_SHORTEST = 2.0
"""Seconds below which a run says nothing."""
_MUCH = 0.3
"""Part of the time from which on something counts as what limited the run."""
_BUSY_CPU = 0.85
_GROWN = 2.0
_OFTEN_OVERLOADED = 0.02


@attrs.frozen
class RunFacts:
    """What is known of a run at its end.

    Args:
        seconds: How long it took.
        cpu_seconds: Processor time of this process meanwhile (`time.process_time`).
        statistics: What its session did meanwhile (see `SessionStatistics.since`).
        limiter: The limiter of the lane, at the end.
        disk_seconds: Seconds in which a worker had nothing to send because files were being read,
            summed over workers.
        rate_limit: The client's requests a second, for the text.
        max_upload_rate: The client's bytes a second, for the text.
        is_upload: Whether images went up; downloads else.
    """

    seconds: float
    cpu_seconds: float
    statistics: SessionStatistics
    limiter: LimiterState
    disk_seconds: float = 0.0
    rate_limit: float | None = None
    max_upload_rate: float | None = None
    is_upload: bool = True

    @property
    def cpu_share(self) -> float:
        """Return the part of one processor core that was used; asyncio has no more than one."""
        return self.cpu_seconds / self.seconds

    @property
    def busy_seconds(self) -> float:
        """Return the time of all requests together, waits included, but not those for a place."""
        known = self.statistics
        waits = known.rate_seconds + known.pause_seconds + self.disk_seconds
        return max(known.sending_seconds + waits, 1e-9)

    def part(self, seconds: float) -> float:
        """Return the part of all requests' time that so many seconds are."""
        return seconds / self.busy_seconds


def _paused(facts: RunFacts) -> str | None:
    if facts.part(facts.statistics.pause_seconds) < _MUCH:
        return None
    return (
        "The service limited this run: it asked to wait; a lower rate_limit would avoid that, and "
        "only its operator can allow more"
    )


def _overloaded(facts: RunFacts) -> str | None:
    signs = facts.statistics.overloads
    count = sum(signs.values())
    if count < 3 or count < _OFTEN_OVERLOADED * facts.statistics.requests:
        return None
    kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(signs.items()))
    return (
        f"The service limited this run: it was overloaded ({kinds}); a quieter hour or a stronger "
        "service would help"
    )


def _rate(facts: RunFacts) -> str | None:
    if facts.part(facts.statistics.rate_seconds) < _MUCH:
        return None
    rate = "" if facts.rate_limit is None else f" of {facts.rate_limit:g} requests a second"
    return f"The rate limit{rate} limited this run; a higher rate_limit, or None, would help"


def _pace(facts: RunFacts) -> str | None:
    if facts.part(facts.statistics.pace_seconds) < _MUCH:
        return None
    rate = "" if facts.max_upload_rate is None else f" of {facts.max_upload_rate / 1e6:g} MB/s"
    return (
        f"The limit{rate} on uploaded bytes limited this run; a higher max_upload_rate would help"
    )


def _cpu(facts: RunFacts) -> str | None:
    if facts.cpu_share < _BUSY_CPU:
        return None
    return (
        "This machine's CPU limited this run; uvloop (pip install 'datagym-async[speed]') or "
        "several processes, each with a part of the files, would help"
    )


def _disk(facts: RunFacts) -> str | None:
    if facts.part(facts.disk_seconds + facts.statistics.reading_seconds) < _MUCH:
        return None
    return (
        "The disk limited this run: files came slower than they were sent; a faster one would help"
    )


def _growth(facts: RunFacts) -> str | None:
    grown = facts.limiter.growth
    if not facts.is_upload or grown < _GROWN:
        return None
    return (
        f"The service limited this run: an upload takes {grown:.1f} times what it took at first, "
        "as it does the more images a dataset holds; max_per_dataset=1000 would help"
    )


def _pin(facts: RunFacts) -> str | None:
    if not facts.limiter.is_pinned:
        return None
    return (
        f"The pinned number of {facts.limiter.limit} requests at once may have limited this run; "
        "without it the best number is found out"
    )


def _line(facts: RunFacts) -> str | None:
    if facts.limiter.slowed < _MUCH or facts.limiter.size_share < 0.5:
        return None
    return (
        "The line limited this run: requests took as long as their bytes; a faster one would help"
    )


def _service(facts: RunFacts) -> str | None:
    if facts.limiter.slowed < _MUCH:
        return None
    return (
        f"The service limited this run: with more than about {facts.limiter.limit} requests at "
        "once it answers slower, not more; a stronger service, or a faster line to it, would help"
    )


def _maximum(facts: RunFacts) -> str | None:
    limiter = facts.limiter
    if limiter.limit < limiter.maximum:
        return None
    option = "max_uploads" if facts.is_upload else "max_downloads"
    caution = "; above 8, other users of the service may wait" if facts.is_upload else ""
    return (
        f"The maximum of {limiter.maximum} requests at once limited this run; a higher {option} "
        f"would help{caution}"
    )


# First match counts: what was asked for or forbidden, then what was short here, then elsewhere.
_RULES: tuple[Callable[[RunFacts], str | None], ...] = (
    _paused,
    _overloaded,
    _rate,
    _pace,
    _cpu,
    _disk,
    _growth,
    _pin,
    _line,
    _service,
    _maximum,
)


def advise(facts: RunFacts) -> str:
    """Return one sentence on what limited a run, and what would help; empty if it was too short.

    Args:
        facts: What is known of the run.
    """
    if facts.seconds < _SHORTEST:
        return ""
    found = (rule(facts) for rule in _RULES)
    sentence = next((text for text in found if text is not None), None)
    if sentence is None:
        return "Nothing here limited this run: there was seldom more to do at once."
    return f"{sentence}."
