"""The slots that requests run in: one bounded lane a kind of request, one rate for all."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
from aiolimiter import AsyncLimiter

from datagym_async._limits._semaphore import ResizableSemaphore
from datagym_async._wire._messages import Lane
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def _check_lane(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        msg = f"max_{attribute.name} is {value!r}; it must be 1 or more"
        raise ConfigurationError(msg)


def _check_rate(_: object, __: object, value: float | None) -> None:
    if value is not None and not value > 0:
        msg = f"rate_limit is {value!r}; give requests a second above 0, or None for no limit"
        raise ConfigurationError(msg)


@attrs.frozen
class LimitsConfig:
    """How much may be in flight, and how often a request may start.

    Args:
        calls: Small requests at once.
        uploads: File uploads at once. The service holds one of its 10 database connections for as
            long as a body takes to arrive (observed), so more than 8 can starve everybody else.
        downloads: Downloads and exports at once.
        rate: Requests a second over all lanes, evenly spaced; None for no limit.
    """

    calls: int = attrs.field(default=16, validator=_check_lane)
    uploads: int = attrs.field(default=8, validator=_check_lane)
    downloads: int = attrs.field(default=16, validator=_check_lane)
    rate: float | None = attrs.field(default=200.0, validator=_check_rate)


class Limits:
    """Give out slots: a place in a lane, then a moment by the rate.

    Must be made inside the event loop that uses it.
    """

    def __init__(self, config: LimitsConfig) -> None:
        self._lanes = {
            Lane.CALL: ResizableSemaphore(config.calls),
            Lane.UPLOAD: ResizableSemaphore(config.uploads),
            Lane.DOWNLOAD: ResizableSemaphore(config.downloads),
        }
        # One token at a time: aiolimiter lets up to twice the rate through in its first window
        # otherwise.
        self._rate = AsyncLimiter(1, 1 / config.rate) if config.rate is not None else None
        self.waits = 0

    def __repr__(self) -> str:
        """Return the state of each lane."""
        lanes = ", ".join(f"{lane.value} {places!r}" for lane, places in self._lanes.items())
        return f"<Limits {lanes}>"

    @property
    def in_flight(self) -> int:
        """Return the number of slots given out now."""
        return sum(places.held for places in self._lanes.values())

    def lane(self, lane: Lane) -> ResizableSemaphore:
        """Return the bound of one lane."""
        return self._lanes[lane]

    @asynccontextmanager
    async def slot(self, lane: Lane) -> AsyncIterator[None]:
        """Hold a slot; `waits` counts those that were not free at once."""
        places = self._lanes[lane]
        # The place comes first: a moment that was granted must not be spent waiting for a place.
        self.waits += places.locked() or not self._has_moment()
        async with places:
            if self._rate is not None:
                await self._rate.acquire()
            yield

    def _has_moment(self) -> bool:
        return self._rate is None or self._rate.has_capacity()
