"""What limited an upload, and what would help: one sentence, or none if that is not clear. Pure.

**Advice**: rules over plain numbers; the first one that applies is used. Each rule looks at
measurements of the whole run, if possible at its time: a rate limits a run that reaches it, not one
whose requests have waited for it now and then.

**Growth**, how the time of an upload grows with the size of its dataset: a run gets a mark every so
many images, so that nothing is computed for each image. A part of the run is between two marks. The
cost of an image in a part is the busy time of the client, divided by the images stored: unlike the
time of a request, it does not grow with the number in flight. A line over the parts, ordered by the
size of the datasets, shows whether the cost grows with it. A part of the run that was slow for
another reason (a pause, other users, larger images) is not growth.
"""

from __future__ import annotations

import itertools
import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import attrs

from datagym_async._limits import LimiterState, SessionStatistics
from datagym_async._runs._text import counted

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
            f"The service limited this run: it was overloaded ({kinds}); a quieter time or a "
            "stronger service would help"
        )
    # Attempts without an answer, and the time between attempts.
    waits = known.lane_seconds + known.rate_seconds + known.pause_seconds
    between = facts.item_seconds - waits - known.sending_seconds
    if known.retries >= _FEW and between > 0 and between >= _MUCH * facts.item_seconds:
        yield (
            f"Lost answers limited this run: {between / facts.item_seconds:.0%} of the time went "
            f"on requests without an answer and on {counted(known.retries, 'retry', 'retries')}; a "
            "more reliable connection or service would help"
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
            "The disk limited this run: files were read more slowly than they were sent; a faster "
            "disk would help or, if they are in a store, a machine that is nearer to it"
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
            f"The fixed number of {counted(limiter.limit, 'request')} at once was in use all the "
            "time; without it the best number is found"
        )
    if facts.growth is not None:
        return  # if uploads take longer and longer, the limiter cannot tell that from a queue
    if limiter.slowed >= _MUCH and limiter.size_share >= _MOST:
        yield (
            "The network limited this run: larger images took longer in proportion; a faster "
            "connection would help"
        )
    if limiter.slowed >= _MUCH:
        yield (
            f"The service limited this run: with more than about {limiter.limit} requests at once "
            "it only answers more slowly; a stronger service, or a faster connection, would help"
        )
    if limiter.limit >= limiter.maximum and in_flight >= _REACHED * limiter.maximum:
        yield (
            f"The maximum of {limiter.maximum} requests at once limited this run; a higher "
            "max_uploads would help; above 8, other users of the service may wait"
        )


_MOST_MARKS = 64
_FIRST_STEP = 4
_BINS = 12  # points that the line is laid through: enough for a line, and each of many images
_LEAST_SPAN = 100  # media between the smallest and the largest dataset, or nothing is said
_GROWN = 1.5  # times longer, from where on an upload counts as slower
_SURE = 0.5  # part of all differences between the points that the line has to explain
_STEADY = 0.2  # part of the whole rise that either half of the points must have: no single step
_MUCH_LONGER = 1.75  # times that an image may take of what it takes in an empty dataset
SIZES = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""Limits of a dataset; smaller ones would make a crowd of datasets for little."""


class Mark(NamedTuple):
    """The counts of a run up to one moment."""

    seconds: float  # without pauses
    uploaded: int  # images stored
    sending: float  # time of all requests together
    held: float  # the sum, over these images, of the size of the dataset when each was stored
    bytes: int


class Part(NamedTuple):
    """Some images: the average size of their dataset, and the average cost and bytes of one."""

    held: float
    cost: float
    size: float
    images: int


@attrs.define
class Course:
    """The marks of a run. Their number is limited, so they get further apart."""

    next: int = 1  # stored images at which the next mark is due; a run needs time to begin
    _step: int = _FIRST_STEP
    _marks: list[Mark] = attrs.field(factory=list)

    def add(self, mark: Mark) -> None:
        self._marks.append(mark)
        if len(self._marks) > _MOST_MARKS:
            del self._marks[1::2]
            self._step *= 2
        self.next = mark.uploaded + self._step

    def parts(self) -> list[Part]:
        found = []
        for one, two in itertools.pairwise(self._marks):
            count = two.uploaded - one.uploaded
            # With more than one request at a time, the times of requests add up to more than the
            # clock: then the client was always busy. With less, it was idle in between.
            busy = min(two.seconds - one.seconds, two.sending - one.sending)
            held, size = (two.held - one.held) / count, (two.bytes - one.bytes) / count
            found.append(Part(held, busy / count, size, count))
        return found


@attrs.frozen
class Growth:
    """How the cost of an image grows with the size of its dataset."""

    points: tuple[Part, ...]  # of the run, from the smallest dataset to the largest
    times: float  # how many times longer it took in the largest than in the smallest

    @property
    def mean(self) -> float:
        return _mean(self.points, "cost")

    def cost(self, held: float) -> float:
        """Return the seconds of an image: measured, or beyond the measurements extrapolated."""
        points = self.points
        first, last = points[0], points[-1]
        if held <= first.held:
            slope = max(0.0, _line(points[: _BINS // 3])[0])
            return max(first.cost - slope * (first.held - held), first.cost / 20)
        if held >= last.held:
            slope = max(0.0, _line(points[-(_BINS // 3) :])[0])
            return last.cost + slope * (held - last.held)
        at = bisect_left(points, held, key=attrgetter("held"))
        low, high = points[at - 1], points[at]
        share = (held - low.held) / (high.held - low.held)
        return low.cost + share * (high.cost - low.cost)

    def mean_up_to(self, most: int) -> float:
        """Return the average seconds of an image if datasets are filled from 0 to this number."""
        steps = 20
        return statistics.fmean(self.cost((step + 0.5) / steps * most) for step in range(steps))

    @property
    def size(self) -> int:
        """Return the best limit of a dataset: with a larger one there are fewer datasets."""
        longest = _MUCH_LONGER * self.cost(0)
        fast = (each for each in reversed(SIZES) if self.mean_up_to(each) <= longest)
        return next(fast, SIZES[0])


def growth_of(parts: Sequence[Part]) -> Growth | None:
    """Return how an image's cost has grown with the size of its dataset; None if not clear."""
    points = _points(sorted(parts, key=attrgetter("held")))
    if len(points) < _BINS or points[-1].held - points[0].held < _LEAST_SPAN:
        return None
    few, many = points[: _BINS // 4], points[-(_BINS // 4) :]
    times = _mean(many, "cost") / max(_mean(few, "cost"), 1e-9)
    larger = max(1.0, _mean(many, "size") / max(_mean(few, "size"), 1.0))
    slope, explained = _line(points)
    halves = (points[: _BINS // 2], points[_BINS // 2 :])
    is_steady = all(_line(half)[0] >= _STEADY * slope for half in halves)
    if times < _GROWN * larger or slope <= 0 or explained < _SURE or not is_steady:
        return None
    return Growth(tuple(points), times)


def _points(parts: list[Part]) -> list[Part]:
    """Return the parts joined to this many points, each with about as many images."""
    total, seen = sum(part.images for part in parts), 0
    bins: list[list[Part]] = [[] for _ in range(_BINS)]
    for part in parts:
        bins[min(_BINS - 1, _BINS * seen // total)].append(part)
        seen += part.images
    return [
        Part(
            _mean(some, "held"),
            _mean(some, "cost"),
            _mean(some, "size"),
            sum(part.images for part in some),
        )
        for some in bins
        if some
    ]


def _mean(parts: Sequence[Part], name: str) -> float:
    images = sum(part.images for part in parts)
    return float(sum(getattr(part, name) * part.images for part in parts)) / images


def _line(points: Sequence[Part]) -> tuple[float, float]:
    """Return the slope of cost over size, and the share of all differences that it explains."""
    held, cost = _mean(points, "held"), _mean(points, "cost")
    spread = sum((p.held - held) ** 2 for p in points)
    varied = sum((p.cost - cost) ** 2 for p in points)
    trend = sum((p.held - held) * (p.cost - cost) for p in points)
    if not spread or not varied:
        return 0.0, 0.0
    return trend / spread, trend * trend / (spread * varied)
