"""`Session`: the only door to the network, ring by ring, with what is observed of a request.

How a request travels: `request` -> `_send` (the retry table, `_retry`, under the request's budget)
-> `_attempt` (a slot of its lane, after pause and rate, `_limits`; then the answer is judged) ->
`Transport.exchange` and back. A slot is held for one attempt, not for the waits between attempts;
how it ended is observed, and the lanes follow. Whatever ends an attempt, cancellation included,
closes its answer and its body before the ring returns.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from copy import copy
from datetime import UTC, datetime
from functools import partial
from itertools import count
from logging import DEBUG
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import attrs

from datagym_async._home import Home
from datagym_async._limits import SessionStatistics, Slot, pause_asked
from datagym_async._logs import logger
from datagym_async._retry import (
    RetryLoop,
    RetryPolicy,
    RetryQuota,
    Trouble,
    classify,
    parse_retry_after,
)
from datagym_async._transport import Deadline, Deadlines
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

if TYPE_CHECKING:
    from datagym_async._limits import LimiterState, Limits
    from datagym_async._transport import StreamedResponse, Timeout, Transport

T = TypeVar("T")

_log = logger(__name__)

_SETTLE_SECONDS = (2.0, 60.0)
# An upload has a limit for all of it; a download may take as long as its bytes come.
_UPLOAD: Final = Lane.UPLOAD  # to ask an enum for its member costs as much as a call
_END_BY_THEMSELVES = frozenset({_UPLOAD, Lane.DOWNLOAD})
_OVERLOADS = frozenset({429, 500, 503, 504})
_REFUSED = (AuthenticationError, PermissionDeniedError)
OnAnswer: TypeAlias = Callable[[Request, Response], object]
# What a host is made of: a Location may hold anything, half characters of a wrong coding included.
_HOST = re.compile(r"[a-z0-9._:-]{1,253}")

__all__ = ["Session", "SessionStatistics"]


@attrs.define
class _Counts:
    """What is counted of a session, and of its likes with other options."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    is_closed: bool = False
    has_answered: bool = False  # whether the service has, whatever it was asked


class Session:
    """Send requests: retried by the table, inside bounds, each answer checked and closed.

    Args:
        transport: What carries the requests; closed with this session.
        limits: Lanes and rate.
        retry: Counts, waits and budget of repetitions.
        timeout: Time limits of one attempt; says how much more time a large upload is given.
        base_url: The service's address, for texts and for resources that build on it.
        now: Gives the current time with its zone, for Retry-After dates.
        secrets: What no text may hold, where an answer leads elsewhere.
        renew: Asks for another token when one is refused, given its number; says whether there is
            another one now.

    Belongs to the event loop that it was made in.
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
        secrets: Secrets = Secrets(),  # noqa: B008 -- knows nothing, and never changes
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
        self._counts = _Counts()
        self._heeded: Mapping[str, str] | None = None

    def with_options(
        self,
        *,
        retry: RetryPolicy | None = None,
        timeout: Timeout | None = None,
        on_answer: OnAnswer | None = None,
    ) -> Session:
        """Return a session that shares everything with this one but what is given."""
        other = copy(self)
        if retry is not None:
            other._retry, other._first_retry = retry, _first(retry)
        if timeout is not None:
            other._timeout = timeout
            other._transport = self._transport.with_timeout(timeout)
        other._on_answer = on_answer or self._on_answer
        return other

    def over(self, wrap: Callable[[Transport], Transport]) -> Session:
        """Return a session that shares everything with this one but its transport."""
        other = copy(self)
        other._transport = wrap(self._transport)
        return other

    def exchange_once(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Return the answer to one attempt, neither limited nor repeated: others see to that."""
        return self._transport.exchange(request)

    @property
    def is_closed(self) -> bool:
        """Return whether it, or one that it shares everything with, was closed."""
        return self._counts.is_closed

    def __repr__(self) -> str:
        """Return address and state, without the token."""
        state = "closed" if self._counts.is_closed else "open"
        return f"<Session {self.base_url} {state}, {self._limits!r}>"

    def request(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Return the answer to a request.

        Raises:
            APIError: It failed, and the retry table knows no further way.
            ClientClosedError: The session is closed.
        """
        return self._send(request, partial(self._attempt, request, count(1)))

    def request_or_settle(
        self, request: Request, settle: Callable[[], Awaitable[T | None]]
    ) -> Coroutine[Any, Any, Response | T]:
        """Return the answer to a request, or what became of it when its answer was lost.

        Args:
            request: A request of the kind `Replay.SETTLE`.
            settle: Looks the request's outcome up in the service: the outcome, or None if it was
                not carried out; it is then sent again.

        Raises:
            APIError: It failed, and the retry table knows no further way.
            ClientClosedError: The session is closed.
        """
        attempt: Callable[[], Awaitable[Response | T]] = partial(self._attempt, request, count(1))
        return self._send(request, attempt, settle)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Give the open answer to a request; retried until its headers are here.

        The slot in the request's lane is held until the context is left.

        Raises:
            APIError: It failed, or broke off while it was read.
            ClientClosedError: The session is closed.
        """
        async with AsyncExitStack() as stack:
            yield await self._send(request, partial(self._open, request, stack, count(1)))

    async def read(
        self, request: Request, reading: Callable[[StreamedResponse], Awaitable[T]]
    ) -> T:
        """Return what is read from the open answer to a request, which must be safe to repeat.

        Args:
            request: The request.
            reading: Reads the answer. Where it breaks off, the request is sent again by the retry
                table, and this called anew.

        Raises:
            APIError: It failed, and the retry table knows no further way.
            ClientClosedError: The session is closed.
        """

        numbers = count(1)

        async def attempt() -> T:
            async with AsyncExitStack() as stack:
                return await reading(await self._open(request, stack, numbers))

        return await self._send(request, attempt)

    @asynccontextmanager
    async def stream_url(self, url: str) -> AsyncIterator[StreamedResponse]:
        """Give the open answer of another origin, asked without our credentials.

        Args:
            url: A pre-signed http or https URL.

        Raises:
            APIResponseValidationError: It, or a redirect, leads to an address that is not asked.
            APIError: It failed, or broke off while it was read.
            ClientClosedError: The session is closed.
        """
        host = urlsplit(url).netloc.rpartition("@")[2]
        request = Request("GET", self._secrets.hide(host))
        async with AsyncExitStack() as stack:
            yield await self._send(request, partial(self._open_url, url, request, stack))

    def statistics(self) -> SessionStatistics:
        """Return what the session has done so far."""
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
        return self._limits.state(lane)

    def pin(self, lane: Lane, limit: int) -> AbstractContextManager[None]:
        """Fix the limit of a lane while the block runs (see `Limits.pin`)."""
        return self._limits.pin(lane, limit)

    def settle_after(self) -> float:
        """Return the seconds within which the service may still be carrying a lost request out."""
        if self._retry.settle_after is not None:
            return self._retry.settle_after
        least, most = _SETTLE_SECONDS
        return min(most, max(least, 4 * self._limits.waited.percentile(0.95)))

    async def aclose(self) -> None:
        """Close the transport; may be called again.

        In a forked process it is left alone: its connections are the other process's.
        """
        self._counts.is_closed = True
        if self._home.is_in_process:
            self._deadlines.close()
            await self._transport.aclose()

    # --- the ring of repetitions -----------------------------------------------------------------

    async def _send(
        self,
        request: Request,
        attempt: Callable[[], Awaitable[T]],
        look: Callable[[], Awaitable[T | None]] | None = None,
    ) -> T:
        """Return what an attempt gives, repeated by the retry table within the request's budget."""
        self._home.check()  # before anything waits for a lane, which elsewhere would hang
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
            # Only now: to set tenacity up costs as much as the rest of a small request, and most
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
        """Return what an attempt gives; once more where the token was refused and there is another.

        Below the repetitions: any of them may meet a token that has run out meanwhile, and what
        meets the next one may have to be repeated in its turn.
        """
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
        """Return the seconds for a request with all its repetitions; a large body needs more."""
        size = request.body.size if request.body is not None else 0
        return max(self._retry.budget, 2 * self._timeout.of_upload(size))

    def _count_retry(self) -> None:
        self._counts.retries += 1

    # --- the ring of slots -----------------------------------------------------------------------

    async def _attempt(self, request: Request, numbers: Iterator[int]) -> Response:
        """Send a request once and return its whole answer.

        Args:
            request: The request.
            numbers: Gives the number of the attempt.
        """
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
        """Send a request once and give its open answer, which is closed with the stack."""
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
                answer.iter_chunks(), self, request, slot, slot.seconds, answer.status, number
            )
            return attrs.evolve(answer, chunks=chunks)

    async def _open_url(
        self, url: str, request: Request, stack: AsyncExitStack
    ) -> StreamedResponse:
        """Ask another origin once; it has no lane, and nothing is observed of it."""
        self._outgoing(request)
        async with AsyncExitStack() as attempt:
            answer = await attempt.enter_async_context(self._transport.fetch(url))
            if answer.status >= 300:
                msg = f"{request.path} answered {answer.status} for a pre-signed download"
                raise APIStatusError(msg, status=answer.status, method="GET", path=request.path)
            stack.push_async_exit(attempt.pop_all())
            return attrs.evolve(answer, chunks=_Streamed(answer.iter_chunks(), self, request))

    def _outgoing(self, request: Request) -> Request:
        """Return a request as it goes out, counted: with its body at its pace."""
        if self._counts.is_closed:
            msg = "The client is closed; open a new one with `async with DataGymClient(...)`"
            raise ClientClosedError(msg)
        self._counts.requests += 1
        if request.body is None:
            return request
        self._counts.bytes += request.body.size
        body = self._limits.outgoing(request.lane, request.body)
        return request if body is request.body else attrs.evolve(request, body=body)

    # --- what is observed ------------------------------------------------------------------------

    def _judge(self, request: Request, response: Response, slot: Slot, number: int) -> None:
        """Raise the error that an answer stands for, if it does; tell its lane how long it took.

        An answer is observed as one of its kind: the route's first word, and whether it was
        refused. A refusal (412, 400, ...) comes quickly, and compared with successes it would make
        those look slow. An attempt that was cancelled, or whose connection broke, says nothing
        about the load.
        """
        failure: APIError | None = None
        try:
            if response.status >= 300:
                failure = self._failure(request, response)
            seconds, size = slot.seconds, len(response.body)
            if _log.isEnabledFor(DEBUG):
                _tell(request, response.status, size, seconds, number)
            if self._on_answer is not None:
                self._on_answer(request, response)
            self._counts.bytes += size
            # What the transport gives once more says the same, and asked for nothing before.
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
        error.retry_after = parse_retry_after(response.headers.get("retry-after"), now=self._now())
        return error

    def _heed(self, headers: Mapping[str, str]) -> None:
        """Pause if an answer says that nothing is left of the rate limit."""
        self._counts.has_answered = True
        seconds = pause_asked(headers, now=lambda: self._now().timestamp())
        self._heeded = headers if seconds is None else None
        if seconds is not None:
            longest = self._retry.max_retry_after
            self._limits.pause(min(seconds, longest), "its rate limit is used up")

    def _note_failure(self, error: APIError, slot: Slot) -> None:
        """Tell the lane of a sign of overload, and pause if the service asks for it."""
        if (sign := _overload_sign(error)) is not None:
            slot.overloaded(sign)
        if classify(error) is not Trouble.BUSY or not isinstance(error, APIStatusError):
            return
        # A longer one ends each request that meets it, in words; waiting would only put that off.
        if error.retry_after is not None and error.retry_after <= self._retry.max_retry_after:
            self._limits.pause(error.retry_after, f"it answered {error.status} with Retry-After")


@attrs.define
class _Streamed:
    """Chunks on their way to the caller: counted, and observed at the end of the answer.

    Only the time spent on waiting for chunks counts; what the caller does with them is no latency.
    A stream that is left early is not observed, since nobody knows how long it would have taken.
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
            if slot is not None:
                self.session._note_failure(error, slot)
            raise
        self.seconds += clock() - began
        self.size += len(chunk)
        self.session._counts.bytes += len(chunk)
        return chunk


def _first(retry: RetryPolicy) -> RetryPolicy:
    """Return how requests are repeated before the service has answered anything."""
    if retry.max_first_retries is None:
        return retry
    return attrs.evolve(retry, max_retries=retry.max_first_retries)


def _tell(request: Request, status: int, size: int, seconds: float, number: int) -> None:
    """Log an answer that has come whole."""
    text = "%s %s -> %d, %d bytes in %.0f ms (attempt %d)"
    _log.debug(text, request.method, request.path, status, size, seconds * 1000, number)


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
    return str(error.status) if error.status in _OVERLOADS else None


def _redirected(request: Request, response: Response) -> APIResponseValidationError:
    """Return the error for a redirect; scheme and host of where it leads, if they can be shown."""
    where = "another path"
    try:
        target = urlsplit(response.headers.get("location", ""))
        if _HOST.fullmatch(host := target.hostname or ""):
            where = f"{target.scheme}://{host}{'' if target.port is None else f':{target.port}'}"
    except ValueError:  # brackets that hold no address, a port that is none
        pass
    msg = (
        f"{request.method} {request.path} is redirected to {where}, and the token is not "
        "sent there; set base_url to the real address of the service"
    )
    return APIResponseValidationError(
        msg, status=response.status, method=request.method, path=request.path
    )
