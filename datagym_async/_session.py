"""`Session`: the only door to the network, ring by ring.

How a request travels: `request` -> `_send_with_retries` (the retry table, `_retry`) ->
`_send_limited` (a slot of its lane and of the rate, `_limits`) -> `_send_once` (`Transport.send`,
then the status is looked at) and back. A slot is held for one attempt, not for the waits between
attempts. Whatever ends an attempt, cancellation included, closes its answer and its body before
the ring returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import attrs

from datagym_async._retry import RetryLoop, RetryPolicy, Settling, parse_retry_after
from datagym_async._wire._errors import decode_error
from datagym_async._wire._messages import Request, Response
from datagym_async.exceptions import APIResponseValidationError, APIStatusError, ClientClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from datagym_async._limits import Limits
    from datagym_async._transport import StreamedResponse, Timeout, Transport

_log = logging.getLogger(__name__)
T = TypeVar("T")

_LATENCIES_KEPT = 256
_SETTLE_SECONDS = (2.0, 60.0)


@attrs.frozen
class SessionStatistics:
    """What a session has done so far.

    Args:
        requests: Requests sent, repetitions included.
        retries: Repetitions among them.
        bytes: Bytes of bodies, sent and received.
        in_flight: Requests on their way now.
        waits: Requests that had to wait for a place in their lane or for the rate limit.
    """

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    in_flight: int = 0
    waits: int = 0


@attrs.define
class _Counters:
    requests: int = 0
    retries: int = 0
    bytes: int = 0

    def note_retry(self) -> None:
        self.retries += 1


class Session:
    """Send requests: retried by the table, inside bounds, each answer checked and closed.

    Args:
        transport: What carries the requests; closed with this session.
        limits: Lanes and rate.
        retry: Counts, waits and budget of repetitions.
        timeout: Time limits of one attempt; says how much more time a large upload is given.
        base_url: The service's address, for texts and for resources that build on it.
        now: Gives the current time with its zone, for Retry-After dates.

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
    ) -> None:
        self.base_url = base_url
        self._transport = transport
        self._limits = limits
        self._retry = retry
        self._timeout = timeout
        self._now = now
        self._counters = _Counters()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._closed = False

    def __repr__(self) -> str:
        """Return address and state, without the token."""
        state = "closed" if self._closed else "open"
        return f"<Session {self.base_url} {state}, {self._limits!r}>"

    async def request(self, request: Request) -> Response:
        """Return the answer to a request.

        Raises:
            APIError: It failed, and the retry table knows no further way.
            ClientClosedError: The session is closed.
        """
        return await self._send_with_retries(request, settling=None)

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
        settling: Settling[Response | T] = Settling(look=settle, after=self.settle_after)
        return await self._send_with_retries(request, settling=settling)

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

    @asynccontextmanager
    async def stream_url(self, url: str) -> AsyncIterator[StreamedResponse]:
        """Give the open answer of another origin, asked without our credentials.

        Args:
            url: A pre-signed http or https URL.

        Raises:
            APIError: It failed, or broke off while it was read.
            ClientClosedError: The session is closed.
        """
        request = Request("GET", urlsplit(url).netloc.rpartition("@")[2])
        async with AsyncExitStack() as stack:
            yield await self._loop(request, lambda: self._open_url(url, request, stack)).run(
                budget=self._budget(request)
            )

    def statistics(self) -> SessionStatistics:
        """Return what the session has done so far."""
        return SessionStatistics(
            requests=self._counters.requests,
            retries=self._counters.retries,
            bytes=self._counters.bytes,
            in_flight=self._limits.in_flight,
            waits=self._limits.waits,
        )

    def settle_after(self) -> float:
        """Return the seconds within which the service may still be carrying a lost request out."""
        if self._retry.settle_after is not None:
            return self._retry.settle_after
        least, most = _SETTLE_SECONDS
        return min(most, max(least, 4 * _percentile(self._latencies, 0.95)))

    async def aclose(self) -> None:
        """Close the transport; may be called again."""
        self._closed = True
        await self._transport.aclose()

    async def _send_with_retries(
        self, request: Request, *, settling: Settling[Response | T] | None
    ) -> Response | T:
        loop = self._loop(request, lambda: self._send_limited(request), settling)
        return await loop.run(budget=self._budget(request))

    async def _send_limited(self, request: Request) -> Response:
        async with self._limits.slot(request.lane):
            return await self._send_once(request)

    async def _send_once(self, request: Request) -> Response:
        began = asyncio.get_running_loop().time()
        self._note_sent(request)
        async with self._transport.send(request) as answer:
            response = await answer.whole()
        seconds = asyncio.get_running_loop().time() - began
        self._note_answer(request, response, seconds)
        self._check(request, response)
        return response

    async def _open(self, request: Request, stack: AsyncExitStack) -> StreamedResponse:
        async with AsyncExitStack() as attempt:
            await attempt.enter_async_context(self._limits.slot(request.lane))
            self._note_sent(request)
            answer = await attempt.enter_async_context(self._transport.send(request))
            if answer.status >= 300:
                self._check(request, await answer.whole())
            stack.push_async_exit(attempt.pop_all())
            return attrs.evolve(answer, chunks=_Counted(answer.iter_chunks(), self._counters))

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
            return attrs.evolve(answer, chunks=_Counted(answer.iter_chunks(), self._counters))

    def _loop(
        self,
        request: Request,
        send: Callable[[], Awaitable[T]],
        settling: Settling[T] | None = None,
    ) -> RetryLoop[T]:
        return RetryLoop(
            policy=self._retry,
            replay=request.replay,
            send=send,
            settling=settling,
            on_retry=self._counters.note_retry,
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
        self._counters.requests += 1
        self._counters.bytes += request.body.size if request.body is not None else 0

    def _note_answer(self, request: Request, response: Response, seconds: float) -> None:
        self._counters.bytes += len(response.body)
        self._latencies.append(seconds)
        _log.debug(
            "%s %s -> %d in %.0f ms",
            request.method,
            request.path,
            response.status,
            seconds * 1000,
        )

    def _check(self, request: Request, response: Response) -> None:
        """Raise the error that an answer stands for, if it does."""
        if response.status < 300:
            return
        if response.status < 400:
            raise _redirected(request, response)
        error = decode_error(request, response)
        error.retry_after = parse_retry_after(response.headers.get("retry-after"), now=self._now())
        raise error


@attrs.define
class _Counted:
    """Chunks on their way to the caller, counted."""

    source: AsyncIterator[bytes]
    counters: _Counters

    def __aiter__(self) -> _Counted:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self.source)
        self.counters.bytes += len(chunk)
        return chunk


def _redirected(request: Request, response: Response) -> APIResponseValidationError:
    target = urlsplit(response.headers.get("location", ""))
    where = f"{target.scheme}://{target.hostname}" if target.hostname else "another path"
    msg = (
        f"{request.method} {request.path} is redirected to {where}, and a token is not sent "
        "elsewhere; set base_url to the address that the service really has"
    )
    return APIResponseValidationError(
        msg, status=response.status, method=request.method, path=request.path
    )


def _percentile(values: deque[float], share: float) -> float:
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
