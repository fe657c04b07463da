"""The slots of requests: a lane for each kind, one rate, one pause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Self

import attrs

from datagym_async._checks import check_one_or_more, is_number, shown
from datagym_async._limits._lanes import BoundedLane
from datagym_async._limits._pacer import Pacer, watched
from datagym_async._limits._statistics import Waited
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
        if pacer is None and body.open is None:
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

    @property
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
