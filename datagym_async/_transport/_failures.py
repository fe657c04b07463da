"""Errors of aiohttp and of the system, turned into ours by one table."""

from __future__ import annotations

import ssl

import aiohttp
from yarl import URL

from datagym_async.exceptions import APIConnectionError, APITimeoutError

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
