"""What limited an upload, and what would help: one sentence, or none if that is not clear.

Rules over plain numbers; the first one that applies is used. Each rule looks at measurements of the
whole run, if possible at its time: a rate limits a run that reaches it, not one whose requests have
waited for it now and then. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import attrs

from datagym_async._limits import LimiterState, SessionStatistics
from datagym_async._runs._text import counted
from datagym_async.uploads._growth import Growth

_SHORTEST = 2.0  # seconds below which nothing is said of a run
_MUCH = 0.3  # part of the time from which on something counts as what limited the run
_MOST = 0.5
_REACHED = 0.8  # part of a limit from which on a run counts as having reached it
_BUSY_CPU = 0.85
_OFTEN_OVERLOADED = 0.02
_FEW = 3  # signs of trouble that any run may meet
_WORTH_IT = 0.9  # part of the time that smaller datasets may take at most, to be advised

_PARTS = (
    *((0.9, "nine tenths"), (0.8, "four fifths"), (0.75, "three quarters")),
    *((2 / 3, "two thirds"), (0.5, "half"), (1 / 3, "a third")),
    *((0.25, "a quarter"), (0.2, "a fifth"), (0.1, "a tenth"), (0.05, "a twentieth")),
)


@attrs.frozen(kw_only=True)
class RunFacts:
    """The measurements of a run at its end."""

    seconds: float
    cpu_seconds: float  # processor time of this process (`time.process_time`)
    statistics: SessionStatistics  # of its session, from the beginning of the run
    limiter: LimiterState  # of the lane, at the end
    sent: int = 1_000  # items, whatever their outcome
    workers: int = 8
    planning_seconds: float = 0.0  # before the first item was handed to the workers
    item_seconds: float = 0.0  # that items were under way, with all waits, summed over them
    disk_seconds: float = 0.0  # in which workers waited for files to be read, summed over them
    preparing_seconds: float = 0.0  # in which images were being prepared
    paused_seconds: float = 0.0  # in which the service had requested a pause
    growth: Growth | None = None
    max_per_dataset: int | str | None = None  # the option
    rate_limit: float | None = None  # the client's requests a second
    max_upload_rate: float | None = None  # the client's bytes a second

    @property
    def working_seconds(self) -> float:
        """Return the time since the first item was sent."""
        return max(self.seconds - self.planning_seconds, 1e-9)

    @property
    def in_flight(self) -> float:
        """Return how many requests were answered at a time on average."""
        return self.statistics.sending_seconds / self.working_seconds


def advise(facts: RunFacts) -> str:
    """Return what limited a run, and what would help; empty if it was short or nothing is clear."""
    if facts.seconds < _SHORTEST or not facts.sent:
        return ""
    # Options and certain measurements come first, then limits of this machine, then others.
    sentence = next(chain(_certain(facts), _of_this_machine(facts), _of_requests(facts)), None)
    return "" if sentence is None else f"{sentence}."


def _certain(facts: RunFacts) -> Iterator[str]:
    known, working = facts.statistics, facts.working_seconds
    if facts.paused_seconds >= _MUCH * facts.seconds:
        share = facts.paused_seconds / facts.seconds
        yield (
            f"The service limited this run: it asked to wait for {share:.0%} of the time; a lower "
            "rate_limit would avoid that, and only its operator can allow more"
        )
    if facts.growth is not None and facts.max_per_dataset != "auto":
        yield from _growing(facts.growth, is_one=facts.max_per_dataset is None)

    count = sum(known.overloads.values())
    if count >= _FEW and count >= _OFTEN_OVERLOADED * known.requests:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(known.overloads.items()))
        yield (
            f"The service limited this run: it was overloaded ({kinds}); a quieter hour or a "
            "stronger service would help"
        )
    # Attempts without an answer, and the time between attempts.
    waits = known.lane_seconds + known.rate_seconds + known.pause_seconds
    between = facts.item_seconds - waits - known.sending_seconds
    if known.retries >= _FEW and between > 0 and between >= _MUCH * facts.item_seconds:
        yield (
            f"Lost answers limited this run: {between / facts.item_seconds:.0%} of the time went "
            f"on requests without an answer and on {counted(known.retries, 'repetition')}; a "
            "steadier line or service would help"
        )
    rate, pace = facts.rate_limit, facts.max_upload_rate
    if rate is not None and known.requests / working >= _REACHED * rate:
        yield (
            f"The rate limit of {rate:g} requests a second limited this run; a higher rate_limit, "
            "or None, would help"
        )
    if pace is not None and known.pace_seconds and known.bytes / working >= _REACHED * pace:
        yield (
            f"The limit of {pace / 1e6:g} MB/s on uploaded bytes limited this run; a higher "
            "max_upload_rate would help"
        )


def _growing(growth: Growth, *, is_one: bool) -> Iterator[str]:
    most, mean = growth.size, growth.mean
    then = growth.mean_up_to(most)
    if growth.points[-1].held <= most or then > _WORTH_IT * mean:
        return
    part = min(_PARTS, key=lambda each: abs(each[0] - then / mean))[1]
    when = "at the end as at the beginning" if is_one else "in a full dataset as in an empty one"
    yield (
        f"The service limited this run: uploads took {growth.times:.1f} times as long {when}, as "
        f"they do the more a dataset holds; max_per_dataset={most} would have taken about {part} "
        f"of the time (estimated: {_time(then)} an image instead of {_time(mean)})"
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def _of_this_machine(facts: RunFacts) -> Iterator[str]:
    known, working = facts.statistics, facts.working_seconds
    share = facts.preparing_seconds / facts.seconds
    if share >= _REACHED:  # otherwise images that are ready wait for the senders
        yield (
            f"Preparing images limited this run: it took {share:.0%} of the time; a machine with "
            "more processors would help"
        )
    if facts.cpu_seconds >= _BUSY_CPU * facts.seconds:  # asyncio has no more than one core
        yield (
            "This machine's CPU limited this run; uvloop (the extra 'speed') or several "
            "processes, each with a part of the files, would help"
        )
    reading = known.reading_seconds / working
    is_reading = reading >= _MOST and reading >= _MOST * facts.in_flight
    if is_reading or facts.disk_seconds >= _MUCH * facts.workers * working:
        yield (
            "The disk limited this run: files came slower than they were sent; a faster one would "
            "help, or where they lie in a store, a machine that is nearer to it"
        )
    share = facts.planning_seconds / facts.seconds
    if share >= _MOST:
        yield f"Finding the images limited this run: it took {share:.0%} of the time"
    # Items that were under way on average, waits included.
    waits = known.rate_seconds + known.pause_seconds
    under_way = max(facts.item_seconds, known.sending_seconds + waits) / working
    if under_way < _MOST:
        share = 1 - under_way
        yield (
            f"Nothing here limited this run: for {share:.0%} of the time there was nothing to send"
        )


def _of_requests(facts: RunFacts) -> Iterator[str]:
    limiter, in_flight = facts.limiter, facts.in_flight
    if limiter.is_pinned and in_flight >= _REACHED * limiter.limit:
        yield (
            f"The pinned number of {counted(limiter.limit, 'request')} at once was in use all the "
            "time; without it the best number is found out"
        )
    if facts.growth is not None:
        return  # if uploads take longer and longer, the limiter cannot tell that from a queue
    if limiter.slowed >= _MUCH and limiter.size_share >= _MOST:
        yield (
            "The line limited this run: requests took as long as their bytes; a faster one would "
            "help"
        )
    if limiter.slowed >= _MUCH:
        yield (
            f"The service limited this run: with more than about {limiter.limit} requests at once "
            "it answers slower, not more; a stronger service, or a faster line to it, would help"
        )
    if limiter.limit >= limiter.maximum and in_flight >= _REACHED * limiter.maximum:
        yield (
            f"The maximum of {limiter.maximum} requests at once limited this run; a higher "
            "max_uploads would help; above 8, other users of the service may wait"
        )
