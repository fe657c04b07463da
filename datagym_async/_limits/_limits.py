"""The slots of requests: a lane for each kind, one rate and one pause for all of them.

Requests and bytes a second are paced: each takes the next stretch of time. Bytes are paced when a
body is read, before the transport, so that one large body is paced like many small ones. It is
counted how long requests have waited for what, and shown as `SessionStatistics`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self

import attrs

from datagym_async._checks import check_one_or_more, is_number, shown
from datagym_async._limits._adaptive import Gradient, LimiterState
from datagym_async._wire._messages import Body, Lane
from datagym_async.exceptions import ConfigurationError

_RATES = {"rate": ("rate_limit", "requests"), "upload_rate": ("max_upload_rate", "bytes")}
_UPLOAD: Final = Lane.UPLOAD  # to ask an enum for its member costs as much as a call
_SAME_PAUSE = 1.0
"""Pauses that end within this many seconds of each other are one."""
_TICK = 1e-4
"""A timer may fire one step of the clock early; do not wait again for that step."""


def _check_lane(_: object, attribute: attrs.Attribute[int], value: Any) -> None:
    check_one_or_more(f"max_{attribute.name}", value)


def _check_rate(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not (is_number(value) and value > 0):
        option, unit = _RATES[attribute.name]
        raise ConfigurationError(
            f"{option} is {shown(value)}; give {unit} a second above 0, or None for no limit"
        )


_check_pin = attrs.validators.optional(lambda _, own, value: check_one_or_more(own.name, value))


@attrs.frozen
class LimitsConfig:
    """How much may be in flight, and how often a request may start."""

    calls: int = attrs.field(default=16, validator=_check_lane)
    """Small requests at once."""
    uploads: int = attrs.field(default=8, validator=_check_lane)
    """File uploads at once, at most. The service holds one of its 10 database connections for as
    long as a body takes to arrive (observed), so more than 8 can starve everybody else."""
    downloads: int = attrs.field(default=16, validator=_check_lane)
    """Downloads and exports at once, at most."""
    rate: float | None = attrs.field(default=200.0, validator=_check_rate)
    """Requests a second over all lanes, evenly spaced; None for no limit."""
    upload_rate: float | None = attrs.field(default=None, validator=_check_rate)
    """Bytes of file uploads a second; None for no limit."""
    concurrency: int | None = attrs.field(default=None, validator=_check_pin)
    """Uploads at once, pinned for good, whatever `uploads` is."""
    adaptive: bool = True
    """Whether the numbers of uploads and downloads are found out, or are the largest allowed."""


class Limits:
    """Gives out slots: first of a lane, then after the pause and at the rate of requests.

    Must be made inside the event loop that uses it.
    """

    def __init__(self, config: LimitsConfig) -> None:
        self.config: LimitsConfig = config
        adaptive = config.adaptive
        self.lanes: dict[Lane, BoundedLane] = {
            Lane.CALL: BoundedLane(config.calls, adaptive=False),
            Lane.UPLOAD: BoundedLane(config.uploads, adaptive=adaptive, pin=config.concurrency),
            Lane.DOWNLOAD: BoundedLane(config.downloads, adaptive=adaptive),
        }
        self._rate = Pacer(config.rate) if config.rate is not None else None
        self._pacer = Pacer(config.upload_rate) if config.upload_rate is not None else None
        self._paused_until = 0.0  # by the event loop's clock
        self.waited: Waited = Waited()
        self.clock: Callable[[], float] = asyncio.get_running_loop().time
        # Called with the seconds and the reason of each new pause; must not raise.
        self.on_pause: list[Callable[[float, str], None]] = []

    def __repr__(self) -> str:
        lanes = ", ".join(f"{lane.value} {bound!r}" for lane, bound in self.lanes.items())
        return f"<Limits {lanes}>"

    @property
    def in_flight(self) -> int:
        return sum(lane.held for lane in self.lanes.values())

    def pause(self, seconds: float, why: str = "") -> None:
        """Begin no request for so many seconds, or longer; a new pause calls `on_pause`."""
        is_new = seconds > self._pause_left() + _SAME_PAUSE
        self._paused_until = max(self._paused_until, self.clock() + seconds)
        if is_new:
            for tell in tuple(self.on_pause):
                tell(seconds, why)

    def outgoing(self, lane: Lane, body: Body) -> Body:
        """Return a body that notes its reading time, and keeps the pace if it is a file upload."""
        pacer = self._pacer if lane is _UPLOAD else None
        if pacer is None and body.is_at_hand:
            return body
        return watched(body, pacer=pacer, waited=self.waited)

    async def spend(self, count: int) -> None:
        """Wait until so many bytes of a file upload may be sent, by somebody else."""
        if self._pacer is not None:
            self.waited.pace += await self._pacer.spend(count)

    def free_slot(self, lane: Lane) -> Slot | None:
        """Return a slot if that needs no wait, or None."""
        bound, rate, now = self.lanes[lane], self._rate, self.clock()
        if (
            self._paused_until > now
            or (rate is not None and rate.free_at > now)
            or not bound.take()
        ):
            return None
        if rate is not None:
            rate.take(now)
        return Slot(self.waited, bound, self.clock, now)

    async def slot(self, lane: Lane) -> Slot:
        """Wait for a slot, to be held for one attempt: ``with await limits.slot(lane) as slot``."""
        bound, asked = self.lanes[lane], self.clock()
        if bound.take():
            self.waited.count += self._rate is not None and self._rate.free_at > asked
        else:
            self.waited.count += 1
            await bound.acquire()
            self.waited.lane += self.clock() - asked
        # The lane comes first: a turn of the rate must not be spent on waiting for a slot.
        try:
            while True:
                while left := self._pause_left():
                    self.waited.pause += left
                    await asyncio.sleep(left)
                if self._rate is not None:
                    self.waited.rate += await self._rate.begin()
                # If a pause began meanwhile, the turn is given up, or all would start at once.
                if not self._pause_left():
                    break
        except BaseException:
            bound.release()
            raise
        return Slot(self.waited, bound, self.clock, self.clock())

    def _pause_left(self) -> float:
        left = self._paused_until - self.clock()
        return left if left > _TICK else 0.0


class Slot:
    """The permission for one attempt, from `began` to the end of the block."""

    __slots__ = ("_clock", "_epoch", "_lane", "_waited", "began")

    def __init__(
        self, waited: Waited, lane: BoundedLane, clock: Callable[[], float], began: float
    ) -> None:
        self._waited = waited
        self._lane = lane
        self._clock = clock
        self._epoch = lane.begin()
        self.began: float = began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lane.active -= 1
        self._lane.release()

    def seconds(self) -> float:
        return self._clock() - self.began

    def answered(self, kind: str, *, size: int, seconds: float) -> None:
        """Note that the attempt got a complete answer (see `Gradient.succeeded`)."""
        self._waited.sending += seconds
        self._waited.latencies.append(seconds)
        self._lane.answered(kind, size=size, seconds=seconds, epoch=self._epoch)

    def overloaded(self, why: str) -> None:
        self._waited.overloads[why] += 1
        self._lane.overloaded(why, epoch=self._epoch)


_LATENCIES_KEPT = 256


@attrs.frozen
class SessionStatistics:
    """Counts of a session so far.

    Times are sums over all requests, in seconds.

    Args:
        requests: Requests sent, including retries.
        retries: Retries among them.
        bytes: Bytes of bodies, sent and received.
        in_flight: Requests in flight now.
        waits: Requests that had to wait for a slot or for the rate limit.
        lane_seconds: Time waited for a slot.
        rate_seconds: Time waited for the rate limit of requests.
        pause_seconds: Time waited because the service asked for a pause.
        pace_seconds: Time waited for the limit of bytes a second.
        reading_seconds: Time waited for streamed bodies to be read from their source.
        sending_seconds: Time from an attempt's start to the end of its answer, including the two
            above.
        overloads: Signs of overload, by kind: ``"429"``, ``"503"``, ``"500"`` (without a key),
            ``"504"``, ``"timeout"``.
        p50: Median of the latest 256 latencies.
        p95: 95th percentile of the same.
        retry_tokens: What is left of the retry budget; None if there is none.
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

        Values without a difference (requests in flight, percentiles and tokens) are those of now.

        Args:
            earlier: Earlier statistics of the same session.
        """
        names = {"requests", "retries", "bytes", "waits"}
        names |= {each for each in attrs.fields_dict(type(self)) if each.endswith("_seconds")}
        less = {name: getattr(self, name) - getattr(earlier, name) for name in names}
        overloads = Counter(self.overloads)
        overloads.subtract(earlier.overloads)
        return attrs.evolve(self, **less, overloads=dict(+overloads))


@attrs.define
class Waited:
    """Seconds that requests have waited for something; `count` of them had to wait."""

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
        """Return a percentile of the latest latencies, 0 if there are none."""
        known = sorted(self.latencies)  # once: a thread may ask while the loop adds some
        return known[min(len(known) - 1, int(len(known) * share))] if known else 0.0


# Pieces of about a tenth of a second: smooth for the line, cheap for the processor.
_PIECES_A_SECOND = 10
_LEAST_PIECE = 1024
_LARGEST_PIECE = 256 * 1024


class Pacer:
    """Keeps a rate: each request, or piece of so many bytes, has a stretch of time for itself.

    Stretches are given out in order, so that all bodies get equal shares. Idle time is not saved up
    for a burst. Safe to cancel: the latest stretch is given back; an earlier one stays empty, since
    others have theirs after it.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate  # requests, or bytes, a second
        self.free_at = 0.0  # when the next stretch can begin, by the event loop's clock
        # Bytes of a body that go out at once.
        self.piece = int(min(_LARGEST_PIECE, max(_LEAST_PIECE, rate / _PIECES_A_SECOND)))

    def take(self, now: float) -> bool:
        """Take a stretch for a request if it can begin now, and return whether it can."""
        if self.free_at > now:
            return False
        self.free_at = now + 1 / self._rate
        return True

    async def begin(self) -> float:
        """Wait until a request may begin; return the seconds waited."""
        now = asyncio.get_running_loop().time()
        if self.take(now):
            return 0.0
        begins = self.free_at
        return await self._until(begins, now, begins + 1 / self._rate)

    async def spend(self, count: int) -> float:
        """Wait for the time of so many bytes; return the seconds waited."""
        now = asyncio.get_running_loop().time()
        ends = max(self.free_at, now) + count / self._rate
        return await self._until(ends, now, ends)

    async def _until(self, moment: float, now: float, ends: float) -> float:
        before, self.free_at = self.free_at, ends
        try:
            await asyncio.sleep(moment - now)
        except asyncio.CancelledError:
            if self.free_at == ends:
                self.free_at = before
            raise
        return moment - now


def watched(body: Body, *, pacer: Pacer | None, waited: Waited) -> Body:
    """Return the same body, paced; the time that its source takes is noted in `waited`."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        data = body.data or b""
        if body.pages is not None:
            await body.pages.check()
            data = body.pages.rest()
        if body.open is None or data:
            yield _Outgoing(None, pacer, waited, data)
            return
        async with body.open() as source:
            yield _Outgoing(source, pacer, waited)

    return attrs.evolve(body, open=opened, data=None, pages=None)


@attrs.define
class _Outgoing:
    """A body in paced pieces; no generator, because its reader may be cancelled in a wait."""

    source: AsyncIterator[bytes] | None
    pacer: Pacer | None
    waited: Waited
    _chunk: bytes = b""
    _start: int = 0

    def __aiter__(self) -> _Outgoing:
        return self

    async def __anext__(self) -> bytes:
        if self._start >= len(self._chunk):
            if self.source is None:
                raise StopAsyncIteration
            clock = asyncio.get_running_loop().time
            began = clock()
            self._chunk, self._start = await anext(self.source), 0
            self.waited.reading += clock() - began
        if self.pacer is None:
            self._start = len(self._chunk)
            return self._chunk
        piece = self._chunk[self._start : self._start + self.pacer.piece]
        self.waited.pace += await self.pacer.spend(len(piece))
        self._start += len(piece)
        return piece


class Admission:
    """Admit sizes in the order in which they come, up to a limit together.

    One above the limit is admitted alone. Nobody overtakes, so that a large one gets its turn.
    After the limit has fallen, none is admitted until enough have left.
    """

    __slots__ = ("_waiters", "held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self.held: int = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, size: int = 1) -> bool:
        """Admit a size if that needs no wait, and return whether it was admitted."""
        held = self.held + size
        if self._waiters or (self.held and held > self.limit):
            return False
        self.held = held
        return True

    async def acquire(self, size: int = 1) -> None:
        """Wait until a size is admitted, until `release`. Safe to cancel: nothing is lost."""
        if self.take(size):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((size, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._admit()  # it may have been the large one at the front
            else:
                self.release(size)  # admitted and cancelled in the same turn of the loop
            raise

    def release(self, size: int = 1) -> None:
        self.held -= size
        if self._waiters:
            self._admit()

    def _admit(self) -> None:
        while self._waiters:
            size, waiter = self._waiters[0]
            if not waiter.done():  # otherwise it was cancelled
                if self.held and self.held + size > self.limit:
                    return
                self.held += size
                waiter.set_result(None)
            self._waiters.popleft()


class BoundedLane(Admission):
    """Limits the requests of one kind: by a fixed number, or by one that a controller finds.

    While the lane is pinned, its limit is the largest of its pins, and nothing is observed; after
    the last one the controller resumes with its own number. A `pin` that is given at the start
    stays. Each job has its own pin, since each has its own number of workers; a pin may be above
    the lane's maximum, since it was asked for.
    """

    __slots__ = ("_gradient", "_most", "_pins", "active")

    def __init__(self, most: int, *, adaptive: bool, pin: int | None = None) -> None:
        self._gradient = Gradient(most) if adaptive else None
        self._most = most
        self._pins: list[int] = [] if pin is None else [pin]
        super().__init__(self._wanted())
        self.active: int = 0  # requests that have begun; the others wait for a pause or the rate

    def __repr__(self) -> str:
        return f"{self.held}/{self.limit}, {len(self._waiters)} waiting"

    def begin(self) -> int:
        """Count a request that begins now, and return its epoch for the controller."""
        self.active += 1
        if self._gradient is None or self._pins:
            return -1  # which the controller ignores
        # One that entered under an earlier, larger limit says nothing about this one.
        return self._gradient.epoch - (self.active > self.limit)

    @property
    def most(self) -> int:
        """Return how many requests may ever be in flight at once."""
        return self.state().maximum

    def state(self) -> LimiterState:
        if self._gradient is not None and not self._pins:
            return self._gradient.state(in_flight=self.active)
        limit = self.limit
        reason = f"pinned at {limit}" if self._pins else "fixed"
        return LimiterState(limit, self.active, reason, maximum=limit, is_pinned=bool(self._pins))

    @contextmanager
    def pin(self, limit: int) -> Iterator[None]:
        """Fix the limit while the block runs: ``with lane.pin(...)``."""
        check_one_or_more("concurrency", limit)
        self._pins.append(limit)
        self._follow()
        try:
            yield
        finally:
            self._pins.remove(limit)
            self._follow()

    def answered(self, kind: str, *, size: int, seconds: float, epoch: int) -> None:
        if self._pins or self._gradient is None:
            return
        self._gradient.succeeded(
            size=size, seconds=seconds, in_flight=self.active, epoch=epoch, kind=kind
        )
        # Each decision changes the epoch; most answers lead to none.
        if self._gradient.epoch != epoch:
            self._follow()

    def overloaded(self, why: str, *, epoch: int) -> None:
        if self._pins or self._gradient is None:
            return
        self._gradient.overloaded(why, epoch=epoch)
        self._follow()

    def _wanted(self) -> int:
        if self._pins:
            return max(self._pins)
        return self._most if self._gradient is None else self._gradient.limit

    def _follow(self) -> None:
        self.limit: int = self._wanted()
        self._admit()
