"""Every error of the HTTP library has one of ours, and nothing of it gets through."""

from __future__ import annotations

import errno
import inspect
import ssl

import aiohttp
import pytest
from aiohttp import client_exceptions
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from datagym_async._transport import FAILURES, translate
from datagym_async.exceptions import APIConnectionError, APITimeoutError
from tests.helpers.sentinel import TOKEN

PEER = "https://service.test"
_HEADERS = CIMultiDictProxy(CIMultiDict({"Authorization": f"Token {TOKEN}"}))
_URL = URL(f"https://service.test/?token={TOKEN}")
_INFO = RequestInfo(_URL, "GET", _HEADERS, _URL)
_KEY = ConnectionKey("service.test", 443, True, True, None, None, None)


def library_errors() -> list[type[Exception]]:
    """Return every error class of the HTTP library, exported or not."""
    return [
        each
        for _, each in inspect.getmembers(client_exceptions, inspect.isclass)
        if issubclass(each, client_exceptions.ClientError)
    ]


def instance(kind: type[Exception]) -> Exception:
    if issubclass(kind, aiohttp.ClientResponseError):
        return kind(_INFO, (), status=400, message="bad")
    if issubclass(kind, client_exceptions.UnixClientConnectorError):
        return kind("/socket", _KEY, OSError(111, "Connection refused"))
    if issubclass(kind, client_exceptions.ClientConnectorCertificateError):
        return kind(_KEY, ssl.SSLCertVerificationError("bad"))
    if issubclass(kind, client_exceptions.ClientConnectorError):
        return kind(_KEY, OSError(111, "Connection refused"))
    if issubclass(kind, client_exceptions.ServerFingerprintMismatch):
        return kind(b"a", b"b", "service.test", 443)
    if issubclass(kind, aiohttp.InvalidURL):
        return kind(str(_URL))
    return kind(f"text with {TOKEN}")


@pytest.mark.parametrize("kind", library_errors(), ids=lambda kind: kind.__name__)
def test_every_library_error_becomes_ours_without_the_token(kind: type[Exception]) -> None:
    """No error class of the HTTP library is unmapped, and none of its text gets through."""
    failure = instance(kind)

    error = translate(failure, peer=PEER, request_sent=True)

    assert isinstance(failure, FAILURES)
    assert isinstance(error, APITimeoutError) == isinstance(failure, TimeoutError)
    assert PEER in str(error)
    assert TOKEN not in repr(error) + str(error)


def test_refused_connections_sent_nothing() -> None:
    """An error before the connection stands says that the service cannot have acted."""
    for kind in (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        assert not translate(instance(kind), peer=PEER, request_sent=True).request_sent


def test_too_many_open_files_are_no_fault_of_the_address() -> None:
    """The limit of the system is named, and not `base_url`."""
    failure = aiohttp.ClientConnectorError(_KEY, OSError(errno.EMFILE, "Too many open files"))

    error = translate(failure, peer=PEER, request_sent=True)

    said = "Too many open files; raise the limit of open files (`ulimit -n`)"
    assert str(error) == f"Cannot connect to {PEER}: {said}"


def test_a_lost_answer_keeps_what_the_body_knows() -> None:
    """After the connection stood, the body's recipe says whether it was whole."""
    lost = aiohttp.ServerDisconnectedError()

    assert translate(lost, peer=PEER, request_sent=True).request_sent
    assert not translate(lost, peer=PEER, request_sent=False).request_sent


def test_a_bad_certificate_is_named() -> None:
    """A TLS failure says what is wrong with the certificate."""
    cause = ssl.SSLCertVerificationError("x")
    cause.verify_message = "certificate has expired"
    failure = client_exceptions.ClientConnectorCertificateError(_KEY, cause)

    error = translate(failure, peer=PEER, request_sent=True)

    assert "certificate has expired" in str(error)
    assert "trust it with ca_file" in str(error)
    assert isinstance(error, APIConnectionError)


def test_a_service_without_tls_has_no_certificate() -> None:
    """To trust one would not help."""
    cause = ssl.SSLError(1, "x")
    cause.reason = "WRONG_VERSION_NUMBER"
    failure = client_exceptions.ClientConnectorSSLError(_KEY, cause)

    error = translate(failure, peer=PEER, request_sent=False)

    assert str(error).endswith(": WRONG_VERSION_NUMBER; check base_url")
    assert not error.lasting
