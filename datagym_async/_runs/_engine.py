"""What uploads and downloads have in common as runs: begun once, timed, iterated to their end.

The limits at which a run ends of its own accord, as it was asked to: pure.

Reaching one is no error: nothing new is begun, what is in flight ends in its own way, the
report says which limit it was, and the same upload again goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import attrs

from datagym_async._retry import SEEMS_DOWN
from datagym_async.exceptions import (
    APIConnectionError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    LimitReachedError,
    NotFoundError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


Result = TypeVar("Result")
Report = TypeVar("Report")
Result_co = TypeVar("Result_co", covariant=True)


DEFAULT_WORKERS = 8
"""Workers of a run that has neither a number of its own nor a client's lane to ask."""


class RunLane(Protocol):
    """Where the requests of a run wait for their turn; the client's limits have two."""

    @property
    def most(self) -> int:
        """Return how many may ever be in flight at once."""
        ...

    def pin(self, places: int) -> AbstractContextManager[None]:
        """Fix how many may be in flight while the block runs."""
        ...


class Results(Protocol[Result_co]):
    """What gives the results of a run as they are known; the pipelines do."""

    @property
    def error(self) -> Exception | None:
        """Return what ended the run before its end, or None."""
        ...

    async def next_result(self) -> Result_co | None:
        """Return the next result, or None at the end."""
        ...


class BulkRun(ABC, Generic[Result, Report]):
    """Run once: the iteration over the results of a bulk job, its clock, and its tasks."""

    def __init__(self) -> None:
        self._pinned = contextlib.ExitStack()
        self._group = asyncio.TaskGroup()
        self._running: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = 0.0
        self._ended: float | None = None
        self._has_raised = False

    @property
    @abstractmethod
    def report(self) -> Report:
        """Return the account of the run so far; final once the iteration has ended."""

    @abstractmethod
    def _results(self) -> Results[Result] | None:
        """Return what gives the results, or None before the run is open."""

    @abstractmethod
    def _outcome_of(self, error: Exception) -> Exception:
        """Return what is raised when an error has ended the run."""

    def _begin(self) -> None:
        """Start the clock."""
        if self._loop is not None:
            name = type(self).__name__
            raise ClientClosedError(f"Each {name} runs once; make a new one for another run.")
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def _pin(self, lane: RunLane | None, places: int | None) -> None:
        """Fix how many requests may be in flight, if a number was given."""
        if lane is not None and places is not None:
            self._pinned.enter_context(lane.pin(places))

    async def _leave_group(self) -> None:
        """Cancel what still runs, and wait for its end."""
        if self._running is not None:
            self._running.cancel()
        # Not told of the body's error, which the group would wrap; it goes on its way as it is.
        await self._group.__aexit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        results = self._opened_results()
        if (result := await self._next()) is not None:
            return result
        if results.error is not None and not self._has_raised:
            self._has_raised = True
            raise self._outcome_of(results.error) from results.error
        raise StopAsyncIteration

    def _opened_results(self) -> Results[Result]:
        results = self._results()
        if results is None:
            name = type(self).__name__
            raise ClientClosedError(f"The {name} is not open; use it in an `async with` block.")
        return results

    async def _next(self) -> Result | None:
        """Return the next result, or None at the end and ever after."""
        if self._ended is not None:
            result = None
        else:
            result = await self._opened_results().next_result()
        if result is None:
            self._end()
        return result

    def _end(self) -> None:
        """Stop the clock."""
        if self._ended is None:
            self._ended = self._now()

    async def finish(self) -> Report:
        """Run to the end and return the report, without a look at the single results.

        Raises:
            ConfigurationError: See the class.
            TransferError: See the class.
        """
        async for _ in self:
            pass
        return self.report

    def _now(self) -> float:
        if self._ended is not None:
            return self._ended
        return self._began if self._loop is None else self._loop.time()


def workers_of(lane: RunLane | None, places: int | None) -> int:
    """Return how many workers a run has: as many as may ever be in flight.

    Args:
        lane: Where the requests wait, or None.
        places: The number that was asked for, or None.
    """
    if places is not None:
        return places
    return DEFAULT_WORKERS if lane is None else lane.most


def above_zero(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    """Refuse a limit that no run could keep."""
    if value is not None and not value > 0:
        msg = f"{attribute.name} is {value}; it must be above 0, or None for no limit."
        raise ConfigurationError(msg)


@attrs.frozen(kw_only=True)
class Stops:
    """Say when a run has reached one of its limits.

    Args:
        max_files: Images and links that are sent, whatever becomes of them.
        max_bytes_total: Bytes of the images that are sent: the one that reaches it is the last.
        max_failures: Failed items; the rejected ones do not count.
        max_duration: Seconds from the run's beginning, after which nothing new is begun.
        verb: What is done with the images, for the words of a reason.
    """

    max_files: int | None = attrs.field(default=None, validator=above_zero)
    max_bytes_total: int | None = attrs.field(default=None, validator=above_zero)
    max_failures: int | None = attrs.field(default=None, validator=above_zero)
    max_duration: float | None = attrs.field(default=None, validator=above_zero)
    verb: str = "sent"

    def reason(self, *, begun: int, begun_bytes: int, failed: int, seconds: float) -> str:
        """Return why nothing new is begun, in words, or empty.

        Args:
            begun: Images and links that were sent, or are being sent.
            begun_bytes: Bytes of the images among them.
            failed: Items that failed.
            seconds: Time since the run began.
        """
        if self.max_files is not None and begun >= self.max_files:
            return f"max_files: {begun:,} were {self.verb}"
        if self.max_bytes_total is not None and begun_bytes >= self.max_bytes_total:
            return f"max_bytes_total: {begun_bytes:,} bytes were {self.verb}"
        if self.max_failures is not None and failed >= self.max_failures:
            return f"max_failures: {failed:,} failed"
        if self.max_duration is not None and seconds >= self.max_duration:
            return f"max_duration: {self.max_duration:,g} s have passed"
        return ""


UNREACHABLE_AFTER = 8
"""Requests without an answer, one after the other, after which the service counts as gone."""

# The next item would get the same answer, after its whole body was sent in vain.
_FATAL = (
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    LimitReachedError,
    ClientClosedError,
)


def is_fatal(error: Exception) -> bool:
    """Return whether the error would meet every other item as well.

    So does the end of the client's retry budget: then nearly everything has failed of late.
    """
    return (
        isinstance(error, _FATAL)
        or getattr(error, "ends_run", False)
        or getattr(error, "remark", "") == SEEMS_DOWN
    )


def is_unreachable(error: Exception) -> bool:
    """Return whether no answer came: if that goes on, the service is gone."""
    return isinstance(error, APIConnectionError)
