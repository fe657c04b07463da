"""What requests take when nothing queues: for each kind a straight line over the size. Pure."""

from __future__ import annotations

import attrs

Sample = tuple[str, int, float]
"""A request that was answered: its kind, its bytes, its seconds."""

# What earlier measurements say about the slope counts half with each new one.
_FORGETTING = 0.5
# A line says something about sizes up to this many times the largest that it was measured with.
_REACH = 4
_SMALL = 64 * 1024


@attrs.define
class _Line:
    """Seconds over bytes: a level of the last measurement, a slope of all of them.

    The level changes when the service does, and has to be found in a few requests; the slope is the
    way the bytes go, and needs requests of different sizes, which a few are not.
    """

    size: float = 0.0
    seconds: float = 0.0
    largest: int = 0
    count: int = 0
    _first: float = 0.0
    _spread: float = 0.0
    _trend: float = 0.0

    def measure(self, points: list[tuple[int, float]]) -> None:
        """Take requests into account that met no queue."""
        self.size = sum(size for size, _ in points) / len(points)
        self.seconds = sum(seconds for _, seconds in points) / len(points)
        self.largest = max(self.largest, *(size for size, _ in points))
        self._spread *= _FORGETTING
        self._trend *= _FORGETTING
        for size, seconds in points:
            self._spread += (size - self.size) ** 2
            self._trend += (size - self.size) * (seconds - self.seconds)
        if not self.count:
            self._first = self.seconds - self.slope * self.size
        self.count += len(points)

    @property
    def slope(self) -> float:
        """Return seconds a byte; 0 where all sizes were alike."""
        # A spread of nothing but rounding says nothing about the slope.
        if self._spread <= 1e-6 * self.size * self.size:
            return 0.0
        return max(0.0, self._trend / self._spread)

    @property
    def growth(self) -> float:
        """Return how many times longer a request takes than at first, by today's slope and size."""
        first = self._first + self.slope * self.size
        return self.seconds / first if first > 0 else 1.0

    def at(self, size: int) -> float:
        """Return the seconds that a request of `size` bytes should take."""
        return max(0.0, self.seconds + self.slope * (size - self.size))


@attrs.define
class Baselines:
    """A line for each kind of request."""

    _lines: dict[str, _Line] = attrs.field(factory=dict)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was measured yet."""
        return not self._lines

    @property
    def growth(self) -> float:
        """Return how many times longer the most usual requests take than at first."""
        line = self._usual()
        return 1.0 if line is None else line.growth

    @property
    def size_share(self) -> float:
        """Return the part of the most usual requests' time that goes with their bytes."""
        line = self._usual()
        if line is None or line.seconds <= 0:
            return 0.0
        return min(1.0, line.slope * line.size / line.seconds)

    def measure(self, samples: list[Sample]) -> None:
        """Take a window of requests into account that met no queue."""
        by_kind: dict[str, list[tuple[int, float]]] = {}
        for kind, size, seconds in samples:
            by_kind.setdefault(kind, []).append((size, seconds))
        for kind, points in by_kind.items():
            self._lines.setdefault(kind, _Line()).measure(points)

    def knows(self, sample: Sample) -> bool:
        """Return whether requests like this one were measured."""
        line = self._lines.get(sample[0])
        return line is not None and sample[1] <= _REACH * max(line.largest, _SMALL)

    def expected(self, sample: Sample) -> float:
        """Return the seconds that a known request should take."""
        return self._lines[sample[0]].at(sample[1])

    def _usual(self) -> _Line | None:
        return max(self._lines.values(), key=_count_of, default=None)


def _count_of(line: _Line) -> int:
    return line.count
