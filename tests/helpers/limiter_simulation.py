"""A service in simulated time, and clients that keep as many requests in flight as they may.

A request's body shares a line with the others (if the line has a rate), then waits for one of the
service's places, then is worked on. Everything is seeded; nothing sleeps.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable

import attrs

from datagym_async._limits import Gradient


@attrs.frozen
class Service:
    """How a service behaves.

    Args:
        places: Requests it works on at once, by the time in seconds.
        latency: Seconds of work, by the number of requests answered so far.
        line: Bytes a second that all bodies share; 0 for a line that costs nothing.
        fails: Whether a request that is answered at a time in seconds is turned away.
        noise: Part by which the work differs up or down.
        stragglers: Part of the requests that take twice as long.
    """

    places: Callable[[float], int]
    latency: Callable[[int], float]
    line: float = 0.0
    fails: Callable[[float], bool] = lambda _: False
    noise: float = 0.1
    stragglers: float = 0.02


@attrs.frozen
class Done:
    """One request: when it was answered, how long it took, its bytes, and the limit then."""

    at: float
    seconds: float
    size: int
    limit: int
    failed: bool = False


@attrs.define
class _Waiting:
    size: int
    began: float
    epoch: int
    left: float = 0.0


@attrs.define
class Simulation:
    """Run clients against a service: adaptive, or with a fixed number in flight.

    Args:
        service: The service.
        gradient: The controller; None for `pinned`.
        pinned: The fixed number.
        size: Gives the size of the next body.
        seed: Of all chance.
        supply: Requests that the client has to send at once at most.
    """

    service: Service
    gradient: Gradient | None = None
    pinned: int = 1
    size: Callable[[random.Random], int] = lambda _: 8_000
    seed: int = 1
    supply: int = 1_000_000
    now: float = 0.0
    done: list[Done] = attrs.field(factory=list)
    _sending: list[_Waiting] = attrs.field(factory=list)
    _queue: deque[_Waiting] = attrs.field(factory=deque)
    _working: list[tuple[float, int, _Waiting]] = attrs.field(factory=list)
    _count: int = 0

    def run(self, seconds: float) -> list[Done]:
        """Simulate so many seconds and return all requests that were answered."""
        rng = random.Random(self.seed)
        while self.now < seconds:
            self._begin(rng)
            self._start_work(rng)
            self._advance()
        return self.done

    def _limit(self) -> int:
        return self.pinned if self.gradient is None else self.gradient.limit

    def _in_flight(self) -> int:
        return len(self._sending) + len(self._queue) + len(self._working)

    def _begin(self, rng: random.Random) -> None:
        epoch = 0 if self.gradient is None else self.gradient.epoch
        while self._in_flight() < min(self._limit(), self.supply):
            size = self.size(rng)
            request = _Waiting(size, self.now, epoch, float(size))
            if self.service.line:
                self._sending.append(request)
            else:
                self._queue.append(request)

    def _start_work(self, rng: random.Random) -> None:
        while self._queue and len(self._working) < self.service.places(self.now):
            noise = self.service.noise
            seconds = self.service.latency(len(self.done)) * rng.uniform(1 - noise, 1 + noise)
            seconds *= 2 if rng.random() < self.service.stragglers else 1
            self._count += 1
            heapq.heappush(self._working, (self.now + seconds, self._count, self._queue.popleft()))

    def _advance(self) -> None:
        """Go to the next event: a body that has arrived, or an answer."""
        share = self.service.line / len(self._sending) if self._sending else 0.0
        arrives = min((body.left for body in self._sending), default=0.0) / share if share else None
        answers = self._working[0][0] - self.now if self._working else None
        step = min(moment for moment in (arrives, answers) if moment is not None)
        self.now += step
        for body in self._sending:
            body.left -= step * share
        self._queue.extend(body for body in self._sending if body.left <= 1e-6)
        self._sending = [body for body in self._sending if body.left > 1e-6]
        if answers is not None and step >= answers:
            self._answer(heapq.heappop(self._working)[2])

    def _answer(self, request: _Waiting) -> None:
        took = self.now - request.began
        failed = self.service.fails(self.now)
        if self.gradient is not None and failed:
            self.gradient.overloaded("503", epoch=request.epoch)
        elif self.gradient is not None:
            self.gradient.succeeded(
                size=request.size,
                seconds=took,
                in_flight=self._in_flight() + 1,
                epoch=request.epoch,
            )
        self.done.append(Done(self.now, took, request.size, self._limit(), failed))


def throughput(done: list[Done], since: float, until: float) -> float:
    """Return the good answers a second between two times."""
    return sum(since < one.at <= until and not one.failed for one in done) / (until - since)


def p95(done: list[Done], since: float, until: float) -> float:
    """Return the 95th percentile of the seconds of requests answered between two times."""
    seconds = sorted(one.seconds for one in done if since < one.at <= until)
    return seconds[int(0.95 * len(seconds))] if seconds else 0.0


def best_pinned(
    service: Service, among: tuple[int, ...], *, since: float, until: float
) -> tuple[float, float]:
    """Return throughput and p95 of the smallest number that is within 2 % of the best."""
    best = (0.0, 0.0)
    for pinned in among:
        done = Simulation(service, pinned=pinned).run(until)
        rate = throughput(done, since, until)
        if rate > best[0] * 1.02:
            best = rate, p95(done, since, until)
    return best
