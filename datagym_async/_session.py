"""`Session`: the only door to the network, ring by ring.

How a request travels: `request` -> `_send_with_retries` (the retry table, `_retry`) ->
`_send_limited` (a slot of its lane, after pause and rate, `_limits`; then the status is looked at)
-> `Transport.exchange` and back. A slot is held for one attempt, not for the waits between
attempts; how it ended is observed (`_observing`), and the lanes follow. Whatever ends an attempt,
cancellation included, closes its answer and its body before the ring returns.
"""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import attrs

from datagym_async._home import Home
from datagym_async._limits import SessionStatistics
from datagym_async._observing import Observer, Streamed
from datagym_async._retry import (
    RetryLoop,
    RetryPolicy,
    RetryQuota,
    Settling,
    parse_retry_after,
)
from datagym_async._wire._codec import unreadable
from datagym_async._wire._errors import decode_error
from datagym_async._wire._messages import Lane, Request, Response
from datagym_async._wire._redact import Secrets
from datagym_async.exceptions import (
    APIError,
    APIResponseValidationError,
    APIStatusError,
    ClientClosedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from contextlib import AbstractContextManager

    from datagym_async._limits import LimiterState, Limits, Slot
    from datagym_async._transport import StreamedResponse, Timeout, Transport

T = TypeVar("T")

_SETTLE_SECONDS = (2.0, 60.0)
# An upload has a limit for all of it; a download may take as long as its bytes come.
_END_BY_THEMSELVES = frozenset({Lane.UPLOAD, Lane.DOWNLOAD})
# What a host is made of: a Location may hold anything, half characters of a wrong coding included.
_HOST = re.compile(r"[a-z0-9._:-]{1,253}")

__all__ = ["Session", "SessionStatistics"]


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
    ) -> None:
        self.base_url = base_url
        self._transport = transport
        self._limits = limits
        self._retry = retry
        self._timeout = timeout
        self._now = now
        self._secrets = secrets
        self._first_retry = retry
        if retry.max_first_retries is not None:
            self._first_retry = attrs.evolve(retry, max_retries=retry.max_first_retries)
        self._quota = RetryQuota(retry.quota) if retry.quota is not None else None
        self._seen = Observer(limits, retry.max_retry_after, now)
        self._home = Home("The client")
        self._closed = False

    def __repr__(self) -> str:
        """Return address and state, without the token."""
        state = "closed" if self._closed else "open"
        return f"<Session {self.base_url} {state}, {self._limits!r}>"

    def request(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Return the answer to a request.

        Raises:
            APIError: It failed, and the retry table knows no further way.
            ClientClosedError: The session is closed.
        """
        return self._send_with_retries(request)

    async def request_or_settle(
        self, request: Request, settle: Callable[[], Awaitable[T | None]]
    ) -> Response | T:
        """Return the answer to a request, or what became of it when its answer was lost.

        Args:
            request: A request of the kind `Replay.SETTLE`.
            settle: Looks the request's outcome up in the service: the outcome, or None if it was
                not carried out; it is then sent again.

        Raises:
            APIError: It failed, and the retry table knows no further way.
            ClientClosedError: The session is closed.
        """
        return await self._send_with_retries(request, settle)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Give the open answer to a request; retried until its headers are here.

        The slot in the request's lane is held until the context is left.

        Raises:
            APIError: It failed, or broke off while it was read.
            ClientClosedError: The session is closed.
        """
        async with AsyncExitStack() as stack:
            yield await self._loop(request, lambda: self._open(request, stack)).run(
                budget=self._budget(request)
            )

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

        async def attempt() -> T:
            async with AsyncExitStack() as stack:
                return await reading(await self._open(request, stack))

        return await self._loop(request, attempt).run(budget=self._budget(request))

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
            yield await self._loop(request, lambda: self._open_url(url, request, stack)).run(
                budget=self._budget(request)
            )

    def statistics(self) -> SessionStatistics:
        """Return what the session has done so far."""
        waited = self._limits.waited
        return SessionStatistics(
            requests=self._seen.requests,
            retries=self._seen.retries,
            bytes=self._seen.bytes,
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

    def pin(self, lane: Lane, places: int) -> AbstractContextManager[None]:
        """Fix the places of a lane while the block runs (see `Limits.pin`)."""
        return self._limits.pin(lane, places)

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
        self._closed = True
        if self._home.is_in_process:
            await self._transport.aclose()

    async def _send_with_retries(
        self, request: Request, settle: Callable[[], Awaitable[T | None]] | None = None
    ) -> Response | T:
        clock = self._limits.clock
        began, failure = clock(), None
        if request.lane in _END_BY_THEMSELVES:
            self._home.check()  # as `_loop` does, which most of these never reach
            # What succeeds at once, as most do, needs neither a loop nor a limit around it.
            try:
                return self._succeeded(await self._send_limited(request))
            except APIError as error:
                failure = error
        settling: Settling[Response | T] | None = None
        if settle is not None:
            settling = Settling(look=settle, after=self.settle_after)
        loop = self._loop(request, lambda: self._send_limited(request), settling)
        return await loop.run(budget=self._budget(request), failure=failure, spent=clock() - began)

    def _succeeded(self, response: Response) -> Response:
        if self._quota is not None:
            self._quota.succeeded(0.0)
        return response

    async def _send_limited(self, request: Request) -> Response:
        with self._limits.free_slot(request.lane) or await self._limits.slot(request.lane) as slot:
            try:
                self._note_sent(request)
                response = await self._transport.exchange(self._outgoing(request))
                self._judge(request, response, slot)
            except APIError as error:
                self._seen.note_failure(error, slot)
                raise
            return response

    async def _open(self, request: Request, stack: AsyncExitStack) -> StreamedResponse:
        async with AsyncExitStack() as attempt:
            slot = attempt.enter_context(await self._limits.slot(request.lane))
            try:
                answer = await self._open_once(request, attempt, slot)
            except APIError as error:
                self._seen.note_failure(error, slot)
                raise
            stack.push_async_exit(attempt.pop_all())
            chunks = Streamed(answer.iter_chunks(), self._seen, request, slot, slot.seconds)
            return attrs.evolve(answer, chunks=chunks)

    async def _open_once(
        self, request: Request, attempt: AsyncExitStack, slot: Slot
    ) -> StreamedResponse:
        self._note_sent(request)
        answer = await attempt.enter_async_context(self._transport.send(self._outgoing(request)))
        if answer.status >= 300:
            self._judge(request, await answer.whole(request), slot)
        try:
            self._seen.note_headers(answer.headers)
        except Exception as error:
            failure = unreadable(request, answer.status, error)
        else:
            return answer
        raise failure

    async def _open_url(
        self, url: str, request: Request, stack: AsyncExitStack
    ) -> StreamedResponse:
        self._note_sent(request)
        async with AsyncExitStack() as attempt:
            answer = await attempt.enter_async_context(self._transport.fetch(url))
            if answer.status >= 300:
                msg = f"{request.path} answered {answer.status} for a pre-signed download"
                raise APIStatusError(msg, status=answer.status, method="GET", path=request.path)
            stack.push_async_exit(attempt.pop_all())
            chunks = Streamed(answer.iter_chunks(), self._seen, request)
            return attrs.evolve(answer, chunks=chunks)

    def _loop(
        self,
        request: Request,
        send: Callable[[], Awaitable[T]],
        settling: Settling[T] | None = None,
    ) -> RetryLoop[T]:
        self._home.check()  # before anything waits for a lane, which elsewhere would hang
        return RetryLoop(
            policy=self._retry if self._seen.has_answered else self._first_retry,
            replay=request.replay,
            send=send,
            quota=self._quota,
            settling=settling,
            on_retry=self._seen.note_retry,
            what=f"{request.method} {request.path}",
        )

    def _budget(self, request: Request) -> float:
        """Return the seconds for a request with all its repetitions; a large body needs more."""
        size = request.body.size if request.body is not None else 0
        return max(self._retry.budget, 2 * self._timeout.of_upload(size))

    def _note_sent(self, request: Request) -> None:
        if self._closed:
            msg = "The client is closed; open a new one with `async with DataGymClient(...)`"
            raise ClientClosedError(msg)
        self._seen.note_sent(request)

    def _outgoing(self, request: Request) -> Request:
        if request.body is None:
            return request
        body = self._limits.outgoing(request.lane, request.body)
        return request if body is request.body else attrs.evolve(request, body=body)

    def _judge(self, request: Request, response: Response, slot: Slot) -> None:
        """Raise the error that an answer stands for, if it does; tell the observer of it."""
        try:
            failure = self._failure(request, response) if response.status >= 300 else None
            self._seen.note_answer(request, response, slot, failure=failure)
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


def _redirected(request: Request, response: Response) -> APIResponseValidationError:
    where = _origin(response.headers.get("location", "")) or "another path"
    msg = (
        f"{request.method} {request.path} is redirected to {where}, and a token is not sent "
        "elsewhere; set base_url to the address that the service really has"
    )
    return APIResponseValidationError(
        msg, status=response.status, method=request.method, path=request.path
    )


def _origin(location: str) -> str:
    """Return scheme and host of a Location, if there are any that can be shown."""
    try:
        target = urlsplit(location)
    except ValueError:  # brackets that hold no address
        return ""
    host = target.hostname or ""
    return f"{target.scheme}://{host}" if _HOST.fullmatch(host) else ""
