"""`Session`: the steps of every request to the service.

A request goes through `request`, `_send` (retries by the table, within the request's budget),
`_attempt` (a slot of its lane, after pause and rate; then its answer is judged) and
`Transport.exchange`. A slot is held for one attempt, not for the waits between attempts; how the
attempt ended is noted, and the lanes adapt. Whatever ends an attempt, also a cancellation, closes
its answer and its body first.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from datetime import UTC, datetime
from functools import partial
from itertools import count
from logging import DEBUG
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import attrs

from datagym_async._home import Home
from datagym_async._limits import LimiterState, Limits, SessionStatistics, Slot
from datagym_async._printable import logger
from datagym_async._retry import (
    RetryLoop,
    RetryPolicy,
    RetryQuota,
    Trouble,
    classify,
    parse_retry_after,
    pause_asked,
    said_at,
)
from datagym_async._transport import Deadline, Deadlines, StreamedResponse, Timeout, Transport
from datagym_async._wire._codec import decode_with, unreadable
from datagym_async._wire._errors import decode_error
from datagym_async._wire._messages import Lane, Request, Response
from datagym_async._wire._redact import Secrets
from datagym_async.exceptions import (
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ClientClosedError,
    PermissionDeniedError,
)

T = TypeVar("T")

_log = logger(__name__)

_SETTLE_SECONDS = (2.0, 60.0)
# An upload has its own limit; a download may take as long as its bytes arrive.
_UPLOAD: Final = Lane.UPLOAD  # to ask an enum for its member costs as much as a call
_END_BY_THEMSELVES = frozenset({_UPLOAD, Lane.DOWNLOAD})
# Seconds of the pause after a 429 that names none, at most: one that is not worth telling.
_LONGEST_BREATH = 0.5
_OVERLOADS = frozenset({429, 500, 503, 504})
_REFUSED = (AuthenticationError, PermissionDeniedError)
OnAnswer: TypeAlias = Callable[[Request, Response], object]
# A Location may contain anything, also halves of characters in a wrong coding.
_HOST = re.compile(r"[a-z0-9._:-]{1,253}")


@attrs.define
class _Counts:
    """The counts of a session and of its copies with other options."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    is_closed: bool = False
    has_answered: bool = False  # whether the service has, whatever it was asked


class Session:
    """Sends requests: limited, retried by the table, each answer checked and closed.

    It belongs to the event loop in which it was made. What sends something raises an `APIError` if
    the request failed and the table allows no retry, and `ClientClosedError` once it is closed.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        limits: Limits,
        retry: RetryPolicy,
        timeout: Timeout,
        base_url: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        secrets: Secrets = Secrets(),  # noqa: B008 -- has none, and never changes
        # Asks for another token than that of this number, which was refused: is there one?
        renew: Callable[[int], Awaitable[bool]] | None = None,
    ) -> None:
        self.base_url = base_url
        self._transport = transport
        self._limits = limits
        self._retry = retry
        self._timeout = timeout
        self._now = now
        self._secrets = secrets
        self._renew = renew
        self._on_answer: OnAnswer | None = None
        self._first_retry = _first(retry)
        self._quota = RetryQuota(retry.quota) if retry.quota is not None else None
        self._deadlines = Deadlines()
        self._home = Home("The client")
        self._home.check()  # from now on it is this loop, also before the first request
        self._counts = _Counts()
        self._is_of_job = False
        self._heeded: Mapping[str, str] | None = None

    def with_options(
        self,
        *,
        retry: RetryPolicy | None = None,
        timeout: Timeout | None = None,
        on_answer: OnAnswer | None = None,
    ) -> Session:
        """Return a session that shares everything with this one except what is given."""
        other = copy(self)
        if retry is not None:
            other._retry, other._first_retry = retry, _first(retry)
        if timeout is not None:
            other._timeout = timeout
            other._transport = self._transport.with_timeout(timeout)
        other._on_answer = on_answer or self._on_answer
        return other

    def for_jobs(self) -> Session:
        """Return a session that shares everything with this one, and waits for outages to end."""
        other = copy(self)
        other._is_of_job = True
        return other

    def over(self, wrap: Callable[[Transport], Transport]) -> Session:
        """Return a session that shares everything with this one except its transport."""
        other = copy(self)
        other._transport = wrap(self._transport)
        return other

    def exchange_once(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Return the answer to one attempt, without limits and retries: others see to that."""
        return self._transport.exchange(request)

    @property
    def is_closed(self) -> bool:
        """Return whether it, or the session that it shares its connections with, was closed."""
        return self._counts.is_closed

    def __repr__(self) -> str:
        state = "closed" if self._counts.is_closed else "open"
        return f"<Session {self.base_url} {state}, {self._limits!r}>"

    def request(self, request: Request) -> Coroutine[Any, Any, Response]:
        return self._send(request, partial(self._attempt, request, count(1)))

    def request_or_settle(
        self, request: Request, settle: Callable[[], Awaitable[T | None]]
    ) -> Coroutine[Any, Any, Response | T]:
        """Return the answer to a `Replay.SETTLE` request, or what `settle` finds if it was lost.

        If `settle` returns None, the request was not carried out, and is sent again.
        """
        attempt: Callable[[], Awaitable[Response | T]] = partial(self._attempt, request, count(1))
        return self._send(request, attempt, settle)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Give the open answer, retried until its headers arrive; the block keeps its slot."""
        async with AsyncExitStack() as stack:
            yield await self._send(request, partial(self._open, request, stack, count(1)))

    async def read(
        self, request: Request, reading: Callable[[StreamedResponse], Awaitable[T]]
    ) -> T:
        """Return what `reading` reads from the open answer to a request that is safe to repeat.

        If the answer breaks off, the request is sent again, and `reading` is called again.
        """
        numbers = count(1)

        async def attempt() -> T:
            async with AsyncExitStack() as stack:
                return await reading(await self._open(request, stack, numbers))

        return await self._send(request, attempt)

    @asynccontextmanager
    async def stream_url(self, url: str) -> AsyncIterator[StreamedResponse]:
        """Give the open answer to a pre-signed URL of another origin, without our credentials."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        request = Request("GET", self._secrets.hide(host))
        async with AsyncExitStack() as stack:
            yield await self._send(request, partial(self._open_url, url, request, stack))

    def statistics(self) -> SessionStatistics:
        waited = self._limits.waited
        return SessionStatistics(
            requests=self._counts.requests,
            retries=self._counts.retries,
            bytes=self._counts.bytes,
            in_flight=self._limits.in_flight,
            waits=waited.count,
            lane_seconds=waited.lane,
            rate_seconds=waited.rate,
            pause_seconds=waited.pause,
            pace_seconds=waited.pace,
            reading_seconds=waited.reading,
            sending_seconds=waited.sending,
            overloads=dict(waited.overloads),
            p50=waited.percentile(0.5),
            p95=waited.percentile(0.95),
            retry_tokens=None if self._quota is None else self._quota.tokens,
        )

    def limiter(self, lane: Lane) -> LimiterState:
        """Return how many requests of a lane may be in flight, how many are, and why."""
        state = self._limits.lanes[lane].state()
        if self._quota is not None and self._quota.in_outage:
            return attrs.evolve(
                state, reason="waiting for the service, which is down or overloaded"
            )
        return state

    def settle_after(self) -> float:
        """Return the seconds in which the service may still carry out a lost request."""
        if self._retry.settle_after is not None:
            return self._retry.settle_after
        least, most = _SETTLE_SECONDS
        return min(most, max(least, 4 * self._limits.waited.percentile(0.95)))

    def check_closing(self) -> None:
        """Raise `ClientClosedError` in another event loop, which cannot close the connections."""
        if self._home.is_in_process:
            self._home.check()

    async def aclose(self) -> None:
        """Close the transport, except in a forked process: the connections are not of that one."""
        self._counts.is_closed = True
        if self._home.is_in_process:
            self._deadlines.close()
            await self._transport.aclose()

    # --- retries ---------------------------------------------------------------------------------

    async def _send(
        self,
        request: Request,
        attempt: Callable[[], Awaitable[T]],
        look: Callable[[], Awaitable[T | None]] | None = None,
    ) -> T:
        """Return what an attempt returns, retried by the table within the request's budget."""
        self._home.check()  # first, because a wait for a lane of another loop would hang
        began = self._limits.clock()
        if self._renew is not None:
            attempt = partial(self._renewing, attempt, self._renew)
        failure: APIError | None = None
        loop: RetryLoop[T] | None = None
        budget = None
        try:
            if request.lane in _END_BY_THEMSELVES:
                answer = await attempt()
            else:
                budget = Deadline(self._deadlines, began + self._budget(request))
                with budget:
                    answer = await attempt()
        except APIError as error:
            failure = error
        except TimeoutError:
            if budget is None or not budget.is_over:
                raise
        else:
            quota = self._quota
            if quota is not None and quota.tokens < quota.capacity:
                quota.succeeded(0.0)
            return answer
        if failure is not None:
            # Only now: setting up tenacity costs as much as the rest of a small request, and most
            # succeed at once.
            loop = RetryLoop(
                failure=failure,
                policy=self._retry if self._counts.has_answered else self._first_retry,
                replay=request.replay,
                send=attempt,
                look=look,
                settle_after=self.settle_after,
                quota=self._quota,
                on_retry=self._count_retry,
                what=f"{request.method} {request.path}",
                is_of_job=self._is_of_job and self._counts.has_answered,
            )
            budget = Deadline(self._deadlines, began + self._budget(request))
            try:
                with budget:
                    return await loop.run()
            except TimeoutError:
                if not budget.is_over:
                    raise
        raise APITimeoutError(
            f"{request.method} {request.path} was stopped after {self._budget(request):.0f} "
            "seconds in all",
            attempts=loop.sent if loop else 1,
            unknown=loop is None or loop.is_doubtful,
        )

    async def _renewing(
        self, attempt: Callable[[], Awaitable[T]], renew: Callable[[int], Awaitable[bool]]
    ) -> T:
        """Try once more if the token was refused and replaced; it may expire before any retry."""
        number = self._transport.token_number
        try:
            return await attempt()
        except _REFUSED as refusal:
            try:
                is_another = await renew(number)
            except Exception as error:  # the caller's own function
                text = self._secrets.hide(repr(error))
                refusal.remark = f"The function that gives the token raised {text}."
                raise refusal from error
            if not is_another:
                raise
        return await attempt()

    def _budget(self, request: Request) -> float:
        """Return the seconds for a request with all its retries; a large body needs more."""
        size = request.body.size if request.body is not None else 0
        return max(self._retry.budget, 2 * self._timeout.of_upload(size))

    def _count_retry(self) -> None:
        self._counts.retries += 1

    # --- attempts --------------------------------------------------------------------------------

    async def _attempt(self, request: Request, numbers: Iterator[int]) -> Response:
        """Send a request once and return its whole answer; `numbers` counts the attempts."""
        limits = self._limits
        with limits.free_slot(request.lane) or await limits.slot(request.lane) as slot:
            try:
                number = next(numbers)
                response = await self._transport.exchange(self._outgoing(request))
                self._judge(request, response, slot, number)
            except APIError as error:
                self._note_failure(error, slot)
                raise
            return response

    async def _open(
        self, request: Request, stack: AsyncExitStack, numbers: Iterator[int]
    ) -> StreamedResponse:
        """Send a request once and return its open answer, which is closed with the stack."""
        number = next(numbers)
        async with AsyncExitStack() as attempt:
            slot = attempt.enter_context(await self._limits.slot(request.lane))
            try:
                sending = self._transport.send(self._outgoing(request))
                answer = await attempt.enter_async_context(sending)
                if answer.status >= 300:
                    self._judge(request, await answer.whole(request), slot, number)
                decode_with(
                    request, None, lambda _: self._heed(answer.headers), status=answer.status
                )
            except APIError as error:
                self._note_failure(error, slot)
                raise
            stack.push_async_exit(attempt.pop_all())
            chunks = _Streamed(
                answer.chunks, self, request, slot, slot.seconds(), answer.status, number
            )
            return attrs.evolve(answer, chunks=chunks)

    async def _open_url(
        self, url: str, request: Request, stack: AsyncExitStack
    ) -> StreamedResponse:
        """Send a request to another origin once; it has no lane, and is not observed."""
        self._outgoing(request)
        async with AsyncExitStack() as attempt:
            answer = await attempt.enter_async_context(self._transport.fetch(url))
            if answer.status >= 300:
                msg = f"{request.path} answered {answer.status} for a pre-signed download"
                raise APIStatusError(msg, status=answer.status, method="GET", path=request.path)
            stack.push_async_exit(attempt.pop_all())
            return attrs.evolve(answer, chunks=_Streamed(answer.chunks, self, request))

    def _check_open(self) -> None:
        if self._counts.is_closed:
            msg = "The client is closed; open a new one with `async with DataGymClient(...)`"
            raise ClientClosedError(msg)

    def _outgoing(self, request: Request) -> Request:
        """Count a request, and return it with its body paced."""
        self._check_open()
        self._counts.requests += 1
        if request.body is None:
            return request
        self._counts.bytes += request.body.size
        body = self._limits.outgoing(request.lane, request.body)
        return request if body is request.body else attrs.evolve(request, body=body)

    # --- what answers say ------------------------------------------------------------------------

    def _judge(self, request: Request, response: Response, slot: Slot, number: int) -> None:
        """Raise the error of an answer, if it is one, and note how long it took.

        Its kind is the first word of the route, and whether it was refused: refusals (412, 400) are
        quick, and would make successes look slow. Attempts that were cancelled or broke off say
        nothing about the load.
        """
        failure: APIError | None = None
        try:
            if response.status >= 300:
                failure = self._failure(request, response)
            seconds, size = slot.seconds(), len(response.body)
            if _log.isEnabledFor(DEBUG):
                _tell(request, response.status, size, seconds, number)
            if self._on_answer is not None:
                self._on_answer(request, response)
            self._counts.bytes += size
            # The transport returns the same object for the same fields, which asked for nothing.
            if response.headers is not self._heeded:
                self._heed(response.headers)
            if request.body is not None and request.lane is _UPLOAD:
                size = request.body.size
            kind = request.path.partition("/")[0]
            if failure is None:
                slot.answered(kind, size=size, seconds=seconds)
            elif _overload_sign(failure) is None:
                slot.answered(f"{kind}, refused", size=size, seconds=seconds)
        except Exception as error:
            failure = unreadable(request, response.status, error)
        if failure is not None:
            raise failure

    def _failure(self, request: Request, response: Response) -> APIError:
        if response.status < 400:
            return _redirected(request, response)
        error = decode_error(request, response)
        headers = response.headers
        now = said_at(headers, self._now)
        error.retry_after = parse_retry_after(headers.get("retry-after"), now=now)
        return error

    def _heed(self, headers: Mapping[str, str]) -> None:
        """Pause if an answer says that the rate limit is used up."""
        self._counts.has_answered = True
        seconds = pause_asked(headers, now=lambda: said_at(headers, self._now).timestamp())
        self._heeded = headers if seconds is None else None
        if seconds is not None:
            longest = self._retry.max_retry_after
            self._limits.pause(min(seconds, longest), "its rate limit is used up")

    def _note_failure(self, error: APIError, slot: Slot) -> None:
        """Note a sign of overload, and pause if the service asks for it."""
        if (sign := _overload_sign(error)) is not None:
            slot.overloaded(sign)
        if classify(error) is not Trouble.BUSY or not isinstance(error, APIStatusError):
            return
        if error.retry_after is None:
            # 503 says nothing of our pace, and one bad backend of several should not stop us.
            if error.status == 429:
                self._limits.pause(min(self._retry.initial_delay, _LONGEST_BREATH))
        # A longer pause ends each request with a message; waiting would only delay that.
        elif error.retry_after <= self._retry.max_retry_after:
            self._limits.pause(error.retry_after, f"it answered {error.status} with Retry-After")


@attrs.define
class _Streamed:
    """The chunks of an answer, which are counted, and whose time is noted at the end.

    Only waiting for chunks counts, not what the caller does with them. The time of a stream that
    is left early is not noted.
    """

    source: AsyncIterator[bytes]
    session: Session
    request: Request
    slot: Slot | None = None
    seconds: float = 0.0
    status: int = 200
    number: int = 1
    size: int = 0

    def __aiter__(self) -> _Streamed:
        return self

    async def __anext__(self) -> bytes:
        clock = self.session._limits.clock
        began = clock()
        try:
            chunk = await anext(self.source)
        except StopAsyncIteration:
            slot, self.slot = self.slot, None
            if _log.isEnabledFor(DEBUG):
                _tell(self.request, self.status, self.size, self.seconds, self.number)
            if slot is not None:
                kind = self.request.path.partition("/")[0]
                slot.answered(kind, size=self.size, seconds=self.seconds)
            raise
        except APIError as error:
            slot, self.slot = self.slot, None
            self.session._check_open()
            if slot is not None:
                self.session._note_failure(error, slot)
            raise
        self.seconds += clock() - began
        self.size += len(chunk)
        self.session._counts.bytes += len(chunk)
        return chunk


def _first(retry: RetryPolicy) -> RetryPolicy:
    """Return how requests are retried before the service has answered anything."""
    if retry.max_first_retries is None:
        return retry
    return attrs.evolve(retry, max_retries=retry.max_first_retries)


def _tell(request: Request, status: int, size: int, seconds: float, number: int) -> None:
    text = "%s %s -> %d, %d bytes in %.0f ms (attempt %d)"
    _log.debug(text, request.method, request.path, status, size, seconds * 1000, number)


def _overload_sign(error: APIError) -> str | None:
    """Return which sign of overload a failure is, or None.

    The service answers 500 without a key if its database connections are used up (observed); 504
    is a proxy's timeout. 502 and lost connections are faults of the network, and an answer with a
    key is a decision of the service.
    """
    if isinstance(error, APITimeoutError):
        return "timeout"
    if not isinstance(error, APIStatusError) or error.key:
        return None
    return str(error.status) if error.status in _OVERLOADS else None


def _redirected(request: Request, response: Response) -> APIResponseValidationError:
    """Return the error for a redirect, with scheme and host of its target if they can be shown."""
    where = "another path"
    try:
        target = urlsplit(response.headers.get("location", ""))
        if _HOST.fullmatch(host := target.hostname or ""):
            where = f"{target.scheme}://{host}{'' if target.port is None else f':{target.port}'}"
    except ValueError:  # an invalid address or port
        pass
    msg = (
        f"{request.method} {request.path} is redirected to {where}, and the token is not "
        "sent there; set base_url to the real address of the service"
    )
    return APIResponseValidationError(
        msg, status=response.status, method=request.method, path=request.path
    )
