"""What becomes of attempts: counted, and told to the limits as a latency or a sign of overload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from datagym_async._limits import Limits, Slot, pause_asked
from datagym_async._logs import logger
from datagym_async._retry import Trouble, classify
from datagym_async._wire._messages import Lane, Request
from datagym_async.exceptions import APIError, APIStatusError, APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datagym_async._wire._messages import Response

_log = logger(__name__)


@attrs.define
class Observer:
    """Note what happens to attempts, and tell the limits.

    An answer is observed as one of its kind: the route's first word, and whether it was refused. A
    refusal (412, 400, ...) comes quickly, and compared with successes it would make those look
    slow. An attempt that was cancelled, or whose connection broke, says nothing about the load.
    """

    limits: Limits
    longest_pause: float
    now: Callable[[], datetime]
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    has_answered: bool = False

    def note_retry(self) -> None:
        """Count a repetition."""
        self.retries += 1

    def note_sent(self, request: Request) -> None:
        """Count a request that goes out, and its bytes."""
        self.requests += 1
        self.bytes += request.body.size if request.body is not None else 0

    def note_headers(self, headers: Mapping[str, str]) -> None:
        """Pause if an answer says that nothing is left of the rate limit."""
        self.has_answered = True
        seconds = pause_asked(headers, now=lambda: self.now().timestamp())
        if seconds is not None:
            self.limits.pause(min(seconds, self.longest_pause), "nothing is left of its rate limit")

    def note_answer(
        self, request: Request, response: Response, slot: Slot, *, failure: APIError | None
    ) -> None:
        """Log and count an answer, and tell its lane how long it took."""
        seconds, size = slot.seconds, len(response.body)
        _log.debug(
            "%s %s -> %d in %.0f ms",
            request.method,
            request.path,
            response.status,
            seconds * 1000,
        )
        self.bytes += size
        self.note_headers(response.headers)
        if request.body is not None and request.lane is Lane.UPLOAD:
            size = request.body.size
        if failure is None or _overload_sign(failure) is None:
            slot.answered(_kind(request, failure), size=size, seconds=seconds)

    def note_failure(self, error: APIError, slot: Slot) -> None:
        """Tell the lane of a sign of overload, and pause if the service asks for it."""
        if (sign := _overload_sign(error)) is not None:
            slot.overloaded(sign)
        if classify(error) is not Trouble.BUSY or not isinstance(error, APIStatusError):
            return
        # A longer one ends each request that meets it, in words; waiting would only put that off.
        if error.retry_after is not None and error.retry_after <= self.longest_pause:
            self.limits.pause(error.retry_after, f"it answered {error.status} with Retry-After")


@attrs.define
class Streamed:
    """Chunks on their way to the caller: counted, and observed at the end of the answer.

    Only the time spent on waiting for chunks counts; what the caller does with them is no latency.
    A stream that is left early is not observed, since nobody knows how long it would have taken.
    """

    source: AsyncIterator[bytes]
    seen: Observer
    request: Request
    slot: Slot | None = None
    seconds: float = 0.0
    size: int = 0

    def __aiter__(self) -> Streamed:
        return self

    async def __anext__(self) -> bytes:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            chunk = await anext(self.source)
        except StopAsyncIteration:
            self._end()
            raise
        except APIError as error:
            self._fail(error)
            raise
        self.seconds += clock() - began
        self.size += len(chunk)
        self.seen.bytes += len(chunk)
        return chunk

    def _end(self) -> None:
        slot, self.slot = self.slot, None
        if slot is not None:
            kind = _kind(self.request, None)
            slot.answered(kind, size=self.size, seconds=self.seconds)

    def _fail(self, error: APIError) -> None:
        slot, self.slot = self.slot, None
        if slot is not None:
            self.seen.note_failure(error, slot)


def _kind(request: Request, failure: APIError | None) -> str:
    """Return what an answer's latency can be compared with: the same route, ended the same way."""
    route = request.path.partition("/")[0]
    return route if failure is None else f"{route}, refused"


def _overload_sign(error: APIError) -> str | None:
    """Return the sign of overload that a failure is, or None.

    A 500 without a key is what the service answers when its pool of database connections is used
    up (observed), a 504 is a proxy's word for a timeout. A 502 and a lost connection are failures
    of the way, and whatever has a key was decided by the service at leisure.
    """
    if isinstance(error, APITimeoutError):
        return "timeout"
    if not isinstance(error, APIStatusError) or error.key:
        return None
    return str(error.status) if error.status in {429, 500, 503, 504} else None
