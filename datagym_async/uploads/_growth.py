"""How the time of an upload grows with the size of its dataset, and the best size for a dataset.

A run gets a mark every so many images, so that nothing is computed for each image. A part of the
run is between two marks. The cost of an image in a part is the busy time of the client, divided
by the images stored: unlike the time of a request, it does not grow with the number in flight. A
line over the parts, ordered by the size of the datasets, shows whether the cost grows with it. A
part of the run that was slow for another reason (a pause, other users, larger images) is not
growth. Pure.
"""

from __future__ import annotations

import itertools
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import attrs

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
