"""What limited an upload, and what would help: one sentence, or none if that is not clear.

A table of rules over plain numbers; the first one that applies is used. Each rule looks at
measurements of the whole run, if possible at its time: a rate limits a run that reaches it, not one
whose requests have waited for it now and then. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from datagym_async._limits import LimiterState, SessionStatistics
from datagym_async._runs._text import counted
from datagym_async.uploads._growth import Growth

_SHORTEST = 2.0
"""Seconds below which nothing is said of a run."""
_MUCH = 0.3
"""Part of the time from which on something counts as what limited the run."""
_MOST = 0.5
_REACHED = 0.8
"""Part of a bound from which on a run counts as having reached it."""
_BUSY_CPU = 0.85
_OFTEN_OVERLOADED = 0.02
_FEW = 3
"""Signs of trouble that any run may meet."""
_WORTH_IT = 0.9
"""Part of the time that smaller datasets may take at most, to be advised."""

_PARTS = (
    *((0.9, "nine tenths"), (0.8, "four fifths"), (0.75, "three quarters")),
    *((2 / 3, "two thirds"), (0.5, "half"), (1 / 3, "a third")),
    *((0.25, "a quarter"), (0.2, "a fifth"), (0.1, "a tenth"), (0.05, "a twentieth")),
)


@attrs.frozen(kw_only=True)
class RunFacts:
    """The measurements of a run at its end.

    Args:
        seconds: How long it took.
        cpu_seconds: Processor time of this process in that time (`time.process_time`).
        statistics: What its session did in that time (see `SessionStatistics.since`).
        limiter: The limiter of the lane, at the end.
        sent: Items that were sent, whatever their outcome.
        workers: How many items could be under way at once.
        planning_seconds: Seconds before the first item was handed to them.
        item_seconds: Seconds that items were under way, all waits included, summed over them.
        disk_seconds: Seconds in which a worker had nothing to send because files were being read,
            summed over workers.
        preparing_seconds: Seconds in which images were being prepared.
        paused_seconds: Seconds in which the service had asked to send nothing.
        growth: How the time of an upload has grown with the size of its dataset, if it has.
        max_per_dataset: The option.
        rate_limit: The client's requests a second.
        max_upload_rate: The client's bytes a second.
    """

    seconds: float
    cpu_seconds: float
    statistics: SessionStatistics
    limiter: LimiterState
    sent: int = 1_000
    workers: int = 8
    planning_seconds: float = 0.0
    item_seconds: float = 0.0
    disk_seconds: float = 0.0
    preparing_seconds: float = 0.0
    paused_seconds: float = 0.0
    growth: Growth | None = None
    max_per_dataset: int | str | None = None
    rate_limit: float | None = None
    max_upload_rate: float | None = None

    @property
    def working_seconds(self) -> float:
        """Return the time since the first item was sent."""
        return max(self.seconds - self.planning_seconds, 1e-9)

    @property
    def between_seconds(self) -> float:
        """Return what items spent on attempts without an answer, and between attempts."""
        known = self.statistics
        waits = known.lane_seconds + known.rate_seconds + known.pause_seconds
        return max(0.0, self.item_seconds - waits - known.sending_seconds)

    @property
    def under_way(self) -> float:
        """Return how many items were under way on average, waits included."""
        known = self.statistics
        waits = known.rate_seconds + known.pause_seconds
        return max(self.item_seconds, known.sending_seconds + waits) / self.working_seconds

    @property
    def in_flight(self) -> float:
        """Return how many requests were answered at a time on average."""
        return self.statistics.sending_seconds / self.working_seconds


def _paused(facts: RunFacts) -> str | None:
    if facts.paused_seconds < _MUCH * facts.seconds:
        return None
    share = facts.paused_seconds / facts.seconds
    return (
        f"The service limited this run: it asked to wait for {share:.0%} of the time; a lower "
        "rate_limit would avoid that, and only its operator can allow more"
    )


def _growth(facts: RunFacts) -> str | None:
    growth = facts.growth
    if growth is None or facts.max_per_dataset == "auto":
        return None
    most, mean = growth.size, growth.mean
    then = growth.mean_up_to(most)
    if growth.most_held <= most or then > _WORTH_IT * mean:
        return None
    part = min(_PARTS, key=lambda each: abs(each[0] - then / mean))[1]
    is_one = facts.max_per_dataset is None
    when = "at the end as at the beginning" if is_one else "in a full dataset as in an empty one"
    return (
        f"The service limited this run: uploads took {growth.times:.1f} times as long {when}, as "
        f"they do the more a dataset holds; max_per_dataset={most} would have taken about {part} "
        f"of the time (estimated: {_time(then)} an image instead of {_time(mean)})"
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def _overloaded(facts: RunFacts) -> str | None:
    signs = facts.statistics.overloads
    count = sum(signs.values())
    if count < _FEW or count < _OFTEN_OVERLOADED * facts.statistics.requests:
        return None
    kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(signs.items()))
    return (
        f"The service limited this run: it was overloaded ({kinds}); a quieter hour or a stronger "
        "service would help"
    )


def _repeated(facts: RunFacts) -> str | None:
    between, retries = facts.between_seconds, facts.statistics.retries
    if retries < _FEW or not between or between < _MUCH * facts.item_seconds:
        return None
    return (
        f"Lost answers limited this run: {between / facts.item_seconds:.0%} of the time went on "
        f"requests without an answer and on {counted(retries, 'repetition')}; a steadier line or "
        "service would help"
    )


def _rate(facts: RunFacts) -> str | None:
    limit, reached = facts.rate_limit, facts.statistics.requests / facts.working_seconds
    if limit is None or reached < _REACHED * limit:
        return None
    return (
        f"The rate limit of {limit:g} requests a second limited this run; a higher rate_limit, or "
        "None, would help"
    )


def _pace(facts: RunFacts) -> str | None:
    limit, known = facts.max_upload_rate, facts.statistics
    reached = known.bytes / facts.working_seconds
    if limit is None or not known.pace_seconds or reached < _REACHED * limit:
        return None
    return (
        f"The limit of {limit / 1e6:g} MB/s on uploaded bytes limited this run; a higher "
        "max_upload_rate would help"
    )


def _preparing(facts: RunFacts) -> str | None:
    share = facts.preparing_seconds / facts.seconds
    if share < _REACHED:  # images that are ready would wait for the senders
        return None
    return (
        f"Preparing images limited this run: it took {share:.0%} of the time; a machine with more "
        "processors would help"
    )


def _cpu(facts: RunFacts) -> str | None:
    if facts.cpu_seconds < _BUSY_CPU * facts.seconds:  # asyncio has no more than one core
        return None
    return (
        "This machine's CPU limited this run; uvloop (the extra 'speed') or several processes, "
        "each with a part of the files, would help"
    )


def _disk(facts: RunFacts) -> str | None:
    idle = facts.disk_seconds / (facts.workers * facts.working_seconds)
    reading = facts.statistics.reading_seconds / facts.working_seconds
    if idle < _MUCH and (reading < _MOST or reading < _MOST * facts.in_flight):
        return None
    return (
        "The disk limited this run: files came slower than they were sent; a faster one would help"
        ", or where they lie in a store, a machine that is nearer to it"
    )


def _sources(facts: RunFacts) -> str | None:
    share = facts.planning_seconds / facts.seconds
    if share < _MOST:
        return None
    return f"Finding the images limited this run: it took {share:.0%} of the time"


def _idle(facts: RunFacts) -> str | None:
    if facts.under_way >= _MOST:
        return None
    share = 1 - facts.under_way
    return f"Nothing here limited this run: for {share:.0%} of the time there was nothing to send"


def _pin(facts: RunFacts) -> str | None:
    limiter = facts.limiter
    if not limiter.is_pinned or facts.in_flight < _REACHED * limiter.limit:
        return None
    return (
        f"The pinned number of {counted(limiter.limit, 'request')} at once was in use all the "
        "time; without it the best number is found out"
    )


def _line(facts: RunFacts) -> str | None:
    if facts.growth is not None or facts.limiter.slowed < _MUCH or facts.limiter.size_share < _MOST:
        return None
    return (
        "The line limited this run: requests took as long as their bytes; a faster one would help"
    )


def _service(facts: RunFacts) -> str | None:
    # If uploads take longer and longer, the limiter cannot distinguish that from a queue.
    if facts.growth is not None or facts.limiter.slowed < _MUCH:
        return None
    return (
        f"The service limited this run: with more than about {facts.limiter.limit} requests at "
        "once it answers slower, not more; a stronger service, or a faster line to it, would help"
    )


def _maximum(facts: RunFacts) -> str | None:
    limiter = facts.limiter
    if facts.growth is not None or limiter.slowed >= _MUCH:
        return None  # the service cannot do more at once
    if limiter.limit < limiter.maximum or facts.in_flight < _REACHED * limiter.maximum:
        return None
    return (
        f"The maximum of {limiter.maximum} requests at once limited this run; a higher max_uploads "
        "would help; above 8, other users of the service may wait"
    )


# Options and certain measurements come first, then limits of this machine, then others.
_RULES: tuple[Callable[[RunFacts], str | None], ...] = (
    _paused,
    _growth,
    _overloaded,
    _repeated,
    _rate,
    _pace,
    _preparing,
    _cpu,
    _disk,
    _sources,
    _idle,
    _pin,
    _line,
    _service,
    _maximum,
)


def advise(facts: RunFacts) -> str:
    """Return one sentence on what limited a run, and what would help.

    It is empty if that is not clear, or if the run was too short or has sent nothing.

    Args:
        facts: The measurements of the run.
    """
    if facts.seconds < _SHORTEST or not facts.sent:
        return ""
    found = (rule(facts) for rule in _RULES)
    sentence = next((text for text in found if text is not None), None)
    return "" if sentence is None else f"{sentence}."
