"""The common options of jobs: the limits at which a run ends, and `on_event`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs

from datagym_async._checks import above_zero, one_or_more
from datagym_async._printable import logger

_log = logger(__name__)

DRAIN_SECONDS = 30.0
"""How long requests in flight get to end when a run is left early or interrupted; less than what
service managers wait after SIGTERM."""


@attrs.frozen(kw_only=True)
class Stops:
    """The limits at which a run ends early, which is no error: the same job resumes."""

    verb = "sent"  # what is done with the images

    max_files: int | None = attrs.field(default=None, validator=one_or_more)
    max_bytes_total: int | None = attrs.field(default=None, validator=one_or_more)
    max_failures: int | None = attrs.field(default=None, validator=one_or_more)
    max_duration: float | None = attrs.field(default=None, validator=above_zero)

    def limit_reached(self, *, begun: int, begun_bytes: int, failed: int, seconds: float) -> str:
        """Return which limit is reached, in words, or an empty text; `seconds` have passed."""
        if self.max_files is not None and begun >= self.max_files:
            return f"max_files: {begun:,} were {self.verb}"
        if self.max_bytes_total is not None and begun_bytes >= self.max_bytes_total:
            return f"max_bytes_total: {begun_bytes:,} bytes were {self.verb}"
        if self.max_failures is not None and failed >= self.max_failures:
            return f"max_failures: {failed:,} failed"
        if self.max_duration is not None and seconds >= self.max_duration:
            return f"max_duration: {self.max_duration:,g} s have passed"
        return ""


class Listener:
    """Passes events to the user's callable, if there is one; its errors are logged."""

    def __init__(
        self, on_event: Callable[[Any], object] | None, job: str, option: str = "on_event"
    ) -> None:
        self._names = option, job
        self.is_wanted = on_event is not None
        self._on_event = on_event
        self._has_failed = False

    def tell(self, event: object) -> None:
        """Call the callable; its first error is logged."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except (Exception, asyncio.CancelledError):  # not of a task: nothing is awaited here
            if not self._has_failed:
                self._has_failed = True
                _log.exception("%s failed, and the %s continues; this is logged once", *self._names)
