"""Deadlines of waits, with one timer for all of them.

An HTTP library starts a timer for each request and for each piece of an answer, and cancels it
again: a tenth of the cost of a small request. Nearly all waits end long before their deadline. So a
wait only registers its deadline here, and one timer is set for the earliest.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_LATE: Final = 1.0  # seconds after which a timer is late because nothing ran, not because of load


class Deadlines:
    """The deadlines of an event loop's tasks, by its clock."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waits: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.rings = math.inf
        self.now = self.loop.time
        self._was_late = False

    def close(self) -> None:
        """Stop the timer; pending waits have no deadline any more."""
        self.waits.clear()
        self.ring_at(math.inf)

    def ring_at(self, when: float) -> None:
        """Set the timer. It stays when a wait ends, because the next one will need it."""
        if self._timer is not None:
            self._timer.cancel()
        self.rings = when
        self._timer = None if when == math.inf else self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        late = self.now() - self.rings
        if late > _LATE and not self._was_late:
            # The process was stopped (a laptop that sleeps), or the loop was blocked. Answers may
            # have come meanwhile, and are not read yet: each wait gets that time again. Not twice
            # in a row, so that a loop that is often blocked ends its waits, too.
            self._was_late = True
            for wait in self.waits:
                wait.when += late
                wait.lost += late
        else:
            self._was_late = False
            for wait in [each for each in self.waits if each.when <= self.rings]:
                self.waits.discard(wait)
                wait.expire()
        self.ring_at(min((wait.when for wait in self.waits), default=math.inf))


class Pace:
    """The slowest pace of an answer, so that nobody holds us up with a byte now and then.

    It is checked over windows of the time spent on waiting, `window` seconds each: in each of them
    as many bytes must arrive as `rate` (bytes a second) says.
    """

    __slots__ = ("_began", "_due", "_left", "_now", "_window", "ends", "rate")

    def __init__(self, now: Callable[[], float], rate: float, window: float) -> None:
        self.rate = rate
        self._now = now
        self._window = self._left = window
        self._due = rate * window
        self.ends = math.inf

    def begin(self) -> float:
        """Begin a wait; return the moment at which it is too long."""
        self._began = self._now()
        self.ends = self._began + self._left
        return self.ends

    def end(self, size: int, *, lost: float = 0.0) -> bool:
        """Note that a wait has ended with so many bytes; return whether the pace is kept so far.

        In the `lost` seconds of it this process did not run.
        """
        self._due -= size
        self._left -= self._now() - self._began - lost
        if self._due <= 0:
            self._due, self._left = self.rate * self._window, self._window
        return self._left > 0


class Deadline:
    """The limit of a wait, like `asyncio.timeout_at`: ``with Deadline(...): ...``.

    At the moment `when` of the event loop's clock the wait is cancelled and raises a
    `TimeoutError`; `is_over` says whether that has happened. In `lost` seconds of the wait this
    process did not run; it may take so much longer.
    """

    __slots__ = ("_cancelling", "_deadlines", "_task", "is_over", "lost", "when")

    def __init__(self, deadlines: Deadlines, when: float) -> None:
        self._deadlines = deadlines
        self.is_over = False
        self.lost = 0.0
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
        """Move the end of the wait; without effect if it is over."""
        self.when = when
        if self in self._deadlines.waits and when < self._deadlines.rings:
            self._deadlines.ring_at(when)

    def shorten(self, seconds: float) -> None:
        """End the wait in so many seconds, unless it ends before."""
        self.move(min(self.when, self._deadlines.now() + seconds))

    def expire(self) -> None:
        self.is_over = True
        self._task.cancel()
