"""Deadlines of waits, watched by one timer for all of them.

An HTTP library starts a timer for each request and again for each piece of an answer, and calls it
off: a tenth of what a small request costs. Nearly all waits end long before their deadline. So a
wait only says here when it would be too long, and one timer rings where the earliest one would.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Deadlines:
    """Watch over the deadlines of an event loop's tasks, by its clock."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waits: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.rings = math.inf
        self.now = self.loop.time

    def close(self) -> None:
        """Stop the timer: waits that still go on have no deadline any more."""
        self.waits.clear()
        self.ring_at(math.inf)

    def ring_at(self, when: float) -> None:
        """Look at the waits at a moment. It stays when a wait ends: the next one will need it."""
        if self._timer is not None:
            self._timer.cancel()
        self.rings = when
        self._timer = None if when == math.inf else self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        for wait in [each for each in self.waits if each.when <= self.rings]:
            self.waits.discard(wait)
            wait.expire()
        self.ring_at(min((wait.when for wait in self.waits), default=math.inf))


class Pace:
    """The least pace of what comes, so that nobody holds us by a byte now and then.

    It is looked at over windows of the time that is spent on waiting: what comes in one is to be
    as much as the rate says, or all there is.

    Args:
        now: The event loop's clock.
        rate: Bytes a second.
        window: Seconds.
    """

    __slots__ = ("_began", "_due", "_left", "_now", "_window", "ends", "rate")

    def __init__(self, now: Callable[[], float], rate: float, window: float) -> None:
        self.rate = rate
        self._now = now
        self._window = self._left = window
        self._due = rate * window
        self.ends = math.inf

    def begin(self) -> float:
        """Note that a wait begins; return when it is too long."""
        self._began = self._now()
        self.ends = self._began + self._left
        return self.ends

    def end(self, size: int) -> bool:
        """Note that a wait has ended with so many bytes; return whether the pace is kept so far."""
        self._due -= size
        self._left -= self._now() - self._began
        if self._due <= 0:
            self._due, self._left = self.rate * self._window, self._window
        return self._left > 0


class Deadline:
    """The bound of a wait, which does what `asyncio.timeout_at` does: ``with Deadline(...): ...``.

    Args:
        deadlines: Watches over it.
        when: The moment from which on the wait is cancelled and raises a `TimeoutError`, by the
            event loop's clock; infinite for none.

    Attributes:
        is_over: Whether it has ended the wait.
    """

    __slots__ = ("_cancelling", "_deadlines", "_task", "is_over", "when")

    def __init__(self, deadlines: Deadlines, when: float) -> None:
        self._deadlines = deadlines
        self.is_over = False
        self.when = when

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._deadlines.loop)
        if task is None:
            raise RuntimeError("a deadline bounds the waits of a task")
        self._task = task
        self._cancelling = task.cancelling()
        deadlines = self._deadlines
        deadlines.waits.add(self)
        if self.when < deadlines.rings:
            deadlines.ring_at(self.when)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadlines.waits.discard(self)
        # As in `asyncio.timeout`: a cancellation from elsewhere goes before one of ours.
        is_ours = self.is_over and self._task.uncancel() <= self._cancelling
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def move(self, when: float) -> None:
        """Have the wait end at another moment; without effect where it is over."""
        self.when = when
        if self in self._deadlines.waits and when < self._deadlines.rings:
            self._deadlines.ring_at(when)

    def shorten(self, seconds: float) -> None:
        """Have the wait end in so many seconds, if it does not end before."""
        self.move(min(self.when, self._deadlines.now() + seconds))

    def expire(self) -> None:
        """End the wait."""
        self.is_over = True
        self._task.cancel()
