"""The controller that finds the best number of requests in flight.

It looks at requests in windows of about one round trip. It knows how long a request takes without a
queue (`Baselines`, measured while little is in flight). At the end of a window it computes the
*gradient*: the time that the window's requests should have taken, divided by the time they took.
While they take as long as they should, the limit grows. If they take longer, something queues, and
the limit goes towards the number that the service works on at once, plus a small queue that keeps
it busy.

* Slow start: the limit doubles with each window until requests slow down.
* Then ``limit * gradient + queue``, as in gradient limiters of server frameworks and in TCP Vegas.
* A sign of overload (429, 503, a timeout) halves the limit, once for all requests in flight.
* Now and then one window runs with half the limit, to measure the baseline again: services change,
  and this one takes longer the more media a dataset holds. The same happens if most requests of a
  window are of a kind or a size that was never measured.

Requests are compared with requests of the same kind, and their size is taken into account on a
straight line, so that a large file, an export or a quick refusal does not count as slow or fast.
The controller is pure: it reads no clock and does no I/O.
"""

from __future__ import annotations

import math
from operator import attrgetter

import attrs

Sample = tuple[str, int, float]
"""Kind, bytes and seconds of a request that was answered."""

# With each new measurement the earlier ones count half for the slope.
_FORGETTING = 0.5
# A line is used for sizes up to this many times the largest that was measured.
_REACH = 4
_SMALL = 64 * 1024
# Student's t above which larger requests count as slower because of their size.
_SURE_T = 3.0


@attrs.define
class _Line:
    """Seconds over bytes: the level is of the last measurement, the slope of all.

    The level changes with the service and must be found with few requests. The slope depends on the
    connection and needs requests of many sizes.
    """

    size: float = 0.0
    seconds: float = 0.0
    largest: int = 0
    count: int = 0
    _first: float = 0.0
    _spread: float = 0.0
    _trend: float = 0.0
    # Spread, trend and variation of the seconds in all measurements: how sure the slope is.
    _all: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def measure(self, points: list[tuple[int, float]]) -> None:
        """Add requests that met no queue."""
        self.size = sum(size for size, _ in points) / len(points)
        self.seconds = sum(seconds for _, seconds in points) / len(points)
        self.largest = max(self.largest, *(size for size, _ in points))
        self._spread *= _FORGETTING
        self._trend *= _FORGETTING
        spread = trend = varied = 0.0
        for size, seconds in points:
            spread += (size - self.size) ** 2
            trend += (size - self.size) * (seconds - self.seconds)
            varied += (seconds - self.seconds) ** 2
        self._spread += spread
        self._trend += trend
        self._all = (self._all[0] + spread, self._all[1] + trend, self._all[2] + varied)
        if not self.count:
            self._first = self.seconds - self.slope * self.size
        self.count += len(points)

    @property
    def slope(self) -> float:
        """Return seconds a byte; 0 if all sizes were alike but for rounding."""
        if self._spread <= 1e-6 * self.size * self.size:
            return 0.0
        return max(0.0, self._trend / self._spread)

    @property
    def is_of_the_size(self) -> bool:
        """Return whether larger ones surely took longer (the chance to be wrong is 1 in 300)."""
        spread, trend, varied = self._all
        explained = trend**2 / (spread * varied) if spread * varied > 0 else 0.0
        return trend > 0 and explained * (self.count - 2) >= _SURE_T**2 * (1 - explained)

    @property
    def growth(self) -> float:
        """Return how many times longer a request takes than at first, for the present size."""
        first = self._first + self.slope * self.size
        return self.seconds / first if first > 0 else 1.0

    @property
    def size_share(self) -> float:
        """Return the part of a request's time that depends on its bytes."""
        if self.seconds <= 0 or not self.is_of_the_size:
            return 0.0
        return min(1.0, self.slope * self.size / self.seconds)


@attrs.define
class Baselines:
    lines: dict[str, _Line] = attrs.field(factory=dict)

    def usual(self) -> _Line:
        """Return the line of the most frequent kind, or one without a measurement."""
        return max(self.lines.values(), key=attrgetter("count"), default=_Line())

    def measure(self, samples: list[Sample]) -> None:
        by_kind: dict[str, list[tuple[int, float]]] = {}
        for kind, size, seconds in samples:
            by_kind.setdefault(kind, []).append((size, seconds))
        for kind, points in by_kind.items():
            self.lines.setdefault(kind, _Line()).measure(points)

    def compare(self, samples: list[Sample]) -> list[tuple[float, float]]:
        """Return expected and real seconds of those requests whose kind and size are known."""
        known = []
        slopes = {kind: line.slope for kind, line in self.lines.items()}
        for kind, size, seconds in samples:
            line = self.lines.get(kind)
            if line is not None and size <= _REACH * max(line.largest, _SMALL):
                expected = max(0.0, line.seconds + slopes[kind] * (size - line.size))
                known.append((expected, seconds))
        return known


# The limit still grows if requests take up to this much longer than they should. Latency is never
# quite even; and if the processor or the network takes part of the time, answers get slower long
# before the throughput stops growing. The price is a queue of four for ten worked on; the 95th
# percentile stays below twice the best.
_TOLERANCE = 1.4
# A single slow request counts as this many times too slow at most.
_SLOWEST = 3.0
_LEAST_GRADIENT = 0.5
# Latency alone does not bring the limit below this; a sign of overload does. A client whose own CPU
# is slow would only slow itself down further.
_HARMLESS = 4.0
# Up to this maximum (the service has 10 database connections), latency does not lower the limit.
_BORNE = 8
_LEAST_SAMPLES = 8
# In shorter windows a single delay of this machine's scheduler would decide. In the slow start it
# can only end the doubling, and a fast service should not be kept waiting.
_SHORTEST_WINDOW = 0.05
_SHORTEST_START = 0.02
_WINDOWS_BETWEEN_PROBES = 40
# Requests of a window that are looked at, about: of thousands a second, every n-th says as much.
_ENOUGH_SAMPLES = 64
_SLOW = 0.8
_ENOUGH_KNOWN = 0.5


@attrs.frozen
class LimiterState:
    """The current limit, and the reason.

    `limit` requests may be in flight at once, and that may grow to `maximum`; `reason` is the last
    decision, in words. If the number is fixed (`is_pinned`), nothing is measured. `slowed` is the
    share of the time (0 to 1) in which requests took longer than expected, so that more of them
    would not have helped. A request without waiting takes `growth` times as long as at the first
    measurement, and `size_share` of its time (0 to 1) depends on its bytes; 0 if all sizes were
    alike.
    """

    __module__ = "datagym_async"  # what it is imported from

    limit: int
    in_flight: int
    reason: str
    maximum: int = 0
    is_pinned: bool = False
    slowed: float = 0.0
    growth: float = 1.0
    size_share: float = 0.0


@attrs.define
class Gradient:
    """Decides how many requests may be in flight, between `least` and `most`."""

    most: int
    least: int = 1
    start: int = 2
    limit: int = attrs.field(init=False)
    epoch: int = attrs.field(default=0, init=False)
    """Decisions so far; a request remembers the number from when it began."""
    reason: str = attrs.field(default="starting", init=False)
    _limit: float = attrs.field(init=False)
    _halved_in: int = attrs.field(default=-1, init=False)
    _is_starting: bool = attrs.field(default=True, init=False)
    _is_probing: bool = attrs.field(default=True, init=False)
    _windows: int = attrs.field(default=0, init=False)
    _slow_windows: int = attrs.field(default=0, init=False)
    _before_probe: tuple[float, str] = attrs.field(init=False)
    _baselines: Baselines = attrs.field(factory=Baselines, init=False)
    # Of this window: how many requests, those looked at, the most in flight, and all seconds.
    _count: int = attrs.field(default=0, init=False)
    _samples: list[Sample] = attrs.field(factory=list, init=False)
    _peak: int = attrs.field(default=0, init=False)
    _seconds: float = attrs.field(default=0.0, init=False)
    # Every n-th request is looked at.
    _each: int = attrs.field(default=1, init=False)

    def __attrs_post_init__(self) -> None:
        self._limit = float(min(max(self.start, self.least), self.most))
        self.limit = round(self._limit)
        self._before_probe = self._limit, self.reason

    def state(self, *, in_flight: int) -> LimiterState:
        usual = self._baselines.usual()
        return LimiterState(
            limit=self.limit,
            in_flight=in_flight,
            reason=self.reason,
            maximum=self.most,
            slowed=self._slow_windows / max(1, self._windows),
            growth=usual.growth,
            size_share=usual.size_share,
        )

    def succeeded(
        self, *, size: int, seconds: float, in_flight: int, epoch: int, kind: str = ""
    ) -> None:
        """Note a request that was answered.

        `size` is the bytes of its body or answer; the seconds are without the wait for a slot, and
        `in_flight` counts itself. One that began in an earlier `epoch` says nothing about this
        limit.
        """
        if epoch != self.epoch:
            return
        self._count = count = self._count + 1
        self._seconds += seconds
        if in_flight > self._peak:
            self._peak = in_flight
        # A window is about a round trip, and not too short. With `limit` requests at a time, their
        # seconds add up `limit` times as fast as the clock.
        limit = self.limit
        shortest = _SHORTEST_START if self._is_starting else _SHORTEST_WINDOW
        is_long = self._seconds >= shortest * limit
        if is_long or count % self._each == 0:  # if a service has become slow, each one counts
            self._samples.append((kind, size, seconds))
            if is_long and count >= limit and len(self._samples) >= _LEAST_SAMPLES:
                self._close_window()

    def overloaded(self, why: str, *, epoch: int) -> None:
        """Halve the limit after a sign of overload ("429"), once for all that were in flight."""
        # A timeout comes late; it counts unless the limit was halved since the request began.
        if epoch <= self._halved_in:
            return
        self._halved_in = self.epoch
        self._is_starting = False
        # A first baseline is still needed; a better one can wait.
        self._is_probing = not self._baselines.lines
        self._decide(self._limit / 2, f"halved after {why}")
        self._before_probe = self._limit, self.reason

    def _close_window(self) -> None:
        self._windows += 1
        if self._is_probing:
            self._is_probing = False
            self._baselines.measure(self._samples)
            self._decide(*self._before_probe)
            return
        known = self._baselines.compare(self._samples)
        is_time = self._windows % _WINDOWS_BETWEEN_PROBES == 0 and not self._is_starting
        if is_time or len(known) < _ENOUGH_KNOWN * len(self._samples):
            self._is_probing = True
            self._before_probe = self._limit, self.reason
            self._decide(self._limit / 2, "measuring how fast the service answers fewer requests")
        else:
            self._follow(_gradient(known))

    def _follow(self, gradient: float) -> None:
        self._slow_windows += gradient < 1
        if self._is_starting and gradient > _SLOW and self._limit < self.most:
            self._grow(self._limit * 2, "slow start: answers come as fast as ever")
            return
        self._is_starting = False
        doublings = math.log2(max(1.0, self._limit))
        # A step up if nothing queued; else a queue that keeps the service busy.
        more = 1.0 + doublings / 4 if gradient >= 1 else 0.25 + doublings / 10
        wanted = self._limit * gradient + more
        if wanted > self._limit:
            self._grow(wanted, "answers come as fast as ever")
        else:
            harmless = self.most if self.most <= _BORNE else _HARMLESS
            self._decide(
                max(wanted, min(self._limit, harmless)),
                f"answers take {1 / gradient:.1f} times what they should",
            )

    def _grow(self, wanted: float, why: str) -> None:
        if self._peak < self.limit:
            self._decide(self._limit, "not all of it was used")
        elif self._limit >= self.most:
            self._decide(self._limit, "at the maximum")
        else:
            self._decide(wanted, why)

    def _decide(self, limit: float, reason: str) -> None:
        self._limit = min(float(self.most), max(float(self.least), limit))
        self.limit = round(self._limit)
        self.epoch += 1
        self._each = max(1, self._count // _ENOUGH_SAMPLES)
        self._count, self._samples, self._peak, self._seconds = 0, [], 0, 0.0
        self.reason = reason


def _gradient(known: list[tuple[float, float]]) -> float:
    """Return expected divided by real time: 1 if nothing queues."""
    should = took = 0.0
    for expected, seconds in known:
        should += expected
        took += min(seconds, _SLOWEST * expected)
    if took <= 0:
        return 1.0
    return min(1.0, max(_LEAST_GRADIENT, _TOLERANCE * should / took))
