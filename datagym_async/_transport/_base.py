"""The interface between the session and whatever sends its requests: answers and errors.

Errors of aiohttp and of the system are turned into ours by one table.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

import aiohttp
import attrs
from yarl import URL

from datagym_async._transport._options import Timeout
from datagym_async._wire._codec import too_large
from datagym_async._wire._messages import MAX_ERROR, Request, Response
from datagym_async.exceptions import APIConnectionError, APITimeoutError


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
        aiohttp.ClientSSLError,
        "No secure connection to {peer}: {reason}; check its certificate and base_url",
    ),
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
    error = APITimeoutError if isinstance(failure, TimeoutError) else APIConnectionError
    return error(
        sentence.format(
            peer=peer,
            reason=_reason(failure),
            proxy=f"{getattr(failure, 'host', '')}:{getattr(failure, 'port', '')}",
            status=getattr(failure, "status", ""),
        ),
        request_sent=request_sent and not isinstance(failure, _NOTHING_SENT),
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
        return cause.strerror
    return type(cause).__name__
