"""The interface between the session and whatever sends its requests: answers, errors, deadlines.

Errors of aiohttp and of the system are turned into ours by one table.

**Deadlines** of waits have one timer for all of them. An HTTP library starts a timer for each
request and for each piece of an answer, and cancels it again: a tenth of the cost of a small
request. Nearly all waits end long before their deadline. So a wait only registers its deadline
here, and one timer is set for the earliest.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Protocol, Self

import aiohttp
import attrs
from yarl import URL

from datagym_async._files import TOO_MANY_OPEN
from datagym_async._transport._options import Timeout
from datagym_async._wire._codec import too_large
from datagym_async._wire._messages import MAX_ERROR, Request, Response
from datagym_async.exceptions import RAISE_OPEN_FILES, APIConnectionError, APITimeoutError


@attrs.frozen
class StreamedResponse:
    """An answer whose body is still arriving; valid inside its context manager only.

    Reading raises `APIConnectionError` if the answer breaks off before its end.
    """

    status: int
    headers: Mapping[str, str]  # by names in lower case
    chunks: AsyncIterator[bytes] = attrs.field(repr=False)
    """The body in pieces of at most about 64 KiB; can be iterated once."""

    async def whole(self, request: Request) -> Response:
        """Return the answer with its whole body, within `bound_of` (see `whole_answer`)."""
        pieces, arrived, most = [], 0, bound_of(request, self.status)
        async for piece in self.chunks:
            pieces.append(piece)
            arrived += len(piece)
            if arrived > most:
                break
        return whole_answer(request, self.status, self.headers, pieces)


def bound_of(request: Request, status: int) -> int:
    """Return how many bytes of an answer are read; of an error, fewer."""
    return request.max_bytes if status < 300 else MAX_ERROR


def whole_answer(
    request: Request, status: int, headers: Mapping[str, str], pieces: Sequence[bytes]
) -> Response:
    """Return the answer whose body was read up to its bound; longer is an error."""
    is_error = status >= 300
    if not is_error and sum(map(len, pieces)) > request.max_bytes:
        raise too_large(request, status, request.max_bytes)
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return Response(status, headers, body[:MAX_ERROR] if is_error else body)


class Transport(Protocol):
    """Send requests, each exactly once as far as the HTTP library allows.

    If no complete answer arrives, that is an `APIConnectionError`, the `request_sent` of which says
    whether the service can have acted.
    """

    @property
    def token_number(self) -> int:
        """Return how many tokens were used so far, with the present one."""

    def with_timeout(self, timeout: Timeout) -> Self:
        """Return the same transport with other time limits."""

    async def exchange(self, request: Request) -> Response:
        """Send a request to the service, with the token, and return its whole answer."""

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request to the service, with the token, and give its open answer."""

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        """Get a pre-signed URL, without the token or any other credentials.

        If it, or a redirect, leads to a forbidden address, that is an `APIResponseValidationError`.
        """

    async def aclose(self) -> None:
        """Close what this transport opened; may be called again."""


# What a proxy refuses is the tunnel: nothing has gone to the service.
_NOTHING_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
)

_LASTING = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    UnicodeError,
)

_NO_HOST_OF_A_PROXY = (
    "The host of the proxy {proxy} in front of {peer} is not known: check the proxy and the network"
)

# First match counts: subclasses stand before their bases. {peer} is scheme, host and port alone.
_SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "{peer} did not take a connection in time"),
    (aiohttp.SocketTimeoutError, "{peer} stopped sending its answer"),
    (TimeoutError, "{peer} did not answer in time"),
    (
        aiohttp.ClientProxyConnectionError,
        "The proxy {proxy} in front of {peer} cannot be reached: {reason}; check the proxy",
    ),
    (
        aiohttp.ClientHttpProxyError,
        "The proxy of {peer} refused the connection ({status}); check its user and password",
    ),
    (
        aiohttp.ClientConnectorDNSError,
        "The host of {peer} is not known: check base_url and the network",
    ),
    (
        aiohttp.ClientConnectorCertificateError,
        "No secure connection to {peer}: {reason}; check base_url, or trust it with ca_file (PEM)",
    ),
    (aiohttp.ClientSSLError, "No secure connection to {peer}: {reason}; check base_url"),
    (aiohttp.ServerFingerprintMismatch, "{peer} showed another certificate than expected"),
    (
        aiohttp.ClientConnectorError,
        "Cannot connect to {peer}: {reason}; check base_url and that the service runs",
    ),
    (aiohttp.ClientPayloadError, "The answer of {peer} was cut off"),
    (aiohttp.ServerDisconnectedError, "{peer} closed the connection without an answer"),
    (aiohttp.TooManyRedirects, "{peer} redirects in a loop"),
    (aiohttp.ClientResponseError, "{peer} did not answer in HTTP: check base_url"),
    (aiohttp.InvalidURL, "{peer} names a URL that cannot be opened"),
    (aiohttp.NonHttpUrlClientError, "{peer} names a URL that is not http or https"),
    (aiohttp.ClientError, "The connection to {peer} broke"),
    (OSError, "The connection to {peer} broke: {reason}"),
    (UnicodeError, "The host of {peer} is not a valid host name: check base_url"),
    (Exception, "The request to {peer} failed in the HTTP library: {reason}"),
)

FAILURES = (aiohttp.ClientError, OSError, ValueError, LookupError, ArithmeticError, TypeError)
"""What the library raises on purpose, and what the language does where foreign fields are odd."""


def translate(failure: BaseException, *, peer: str, request_sent: bool) -> APIConnectionError:
    """Return our error for what the HTTP library raised, one of `FAILURES`.

    Nothing of it is kept, because aiohttp's errors hold headers and URLs. `peer` is scheme, host
    and port of the other side; `request_sent` says whether the whole request may have left.
    """
    sentence = next(text for kind, text in _SENTENCES if isinstance(failure, kind))
    # aiohttp has one error for service and proxy; the host says which one it was.
    if isinstance(failure, aiohttp.ClientConnectorDNSError) and failure.host != URL(peer).raw_host:
        sentence = _NO_HOST_OF_A_PROXY
    if getattr(getattr(failure, "os_error", failure), "errno", 0) in TOO_MANY_OPEN:
        sentence = f"Cannot connect to {{peer}}: {{reason}}; {RAISE_OPEN_FILES}"
    error = APITimeoutError if isinstance(failure, TimeoutError) else APIConnectionError
    return error(
        sentence.format(
            peer=peer,
            reason=_reason(failure),
            proxy=f"{getattr(failure, 'host', '')}:{getattr(failure, 'port', '')}",
            status=getattr(failure, "status", ""),
        ),
        request_sent=request_sent and not isinstance(failure, _NOTHING_SENT),
        lasting=isinstance(failure, _LASTING) or getattr(failure, "status", 0) == 407,
    )


def too_slow(*, peer: str, rate: float) -> APIConnectionError:
    """Return the error for an answer that arrives at less than `rate` bytes a second."""
    return APITimeoutError(
        f"{peer} sends its answer at less than {rate:,.0f} bytes a second; "
        "Timeout(read_rate=...) sets the limit",
        request_sent=True,
    )


def _reason(failure: BaseException) -> str:
    """Return the words of the system or TLS library, which contain neither URL nor header."""
    cause = getattr(failure, "os_error", failure)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return getattr(cause, "verify_message", "") or "its certificate is not accepted"
    if isinstance(cause, ssl.SSLError):
        return cause.reason or "TLS handshake failed"
    if isinstance(cause, OSError) and cause.strerror:
        # The text of asyncio is for programmers; Windows has texts for its own numbers only there.
        is_known = sys.platform != "win32" and cause.errno in errno.errorcode
        return os.strerror(cause.errno) if is_known and cause.errno else cause.strerror
    return type(cause).__name__


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
