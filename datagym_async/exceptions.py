"""Every error this package raises on purpose, one tree.

::

    DataGymError
    ├── APIError                              a call to the service did not succeed
    │   ├── APIConnectionError                no complete answer arrived         (a ConnectionError)
    │   │   └── APITimeoutError               ... within the time allowed        (a TimeoutError)
    │   ├── APIStatusError                    the service answered with an error
    │   │   ├── BadRequestError               400, 405, 406, 415
    │   │   ├── AuthenticationError           401: no token reached the service
    │   │   ├── LimitReachedError             402: a limit of the organisation's plan
    │   │   ├── PermissionDeniedError         403: bad token, or another organisation's object
    │   │   ├── NotFoundError                 404
    │   │   ├── ConflictError                 409, 412
    │   │   │   └── AlreadyExistsError        412 ex_alreadyexists: the name is taken
    │   │   ├── PayloadTooLargeError          413
    │   │   ├── RateLimitError                429
    │   │   ├── RequestRefusedError           500 ex_gen_*: a rule of the service, said with a 500
    │   │   ├── ServiceUnavailableError       503
    │   │   └── InternalServerError           every other 5xx
    │   └── APIResponseValidationError        a good status, but an answer of another shape
    ├── TransferError                         a whole job stopped; carries its report
    ├── FileChangedError                      a local file changed while it was read (an OSError)
    ├── FileWriteError                        a local file cannot be written        (an OSError)
    ├── StoreError                            an object store does not give or take (an OSError)
    ├── LabelConfigError                      a label configuration cannot be used   (a ValueError)
    ├── ConfigurationError                    an option or argument cannot be used   (a ValueError)
    └── ClientClosedError                     the client is not open                (a RuntimeError)

No error text, attribute or cause holds the token or a URL with a query. A text is printable
whatever it quotes: control characters of names and of the service's words show as escapes.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict, Unpack

import attrs

from datagym_async._printable import printable

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AlreadyExistsError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "DataGymError",
    "ErrorDetail",
    "FileChangedError",
    "FileWriteError",
    "InternalServerError",
    "LabelConfigError",
    "LimitReachedError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestRefusedError",
    "ServiceUnavailableError",
    "StoreError",
    "TransferError",
]


def _rebuild(cls: type[DataGymError], message: str, state: dict[str, Any]) -> DataGymError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    for name, value in state.items():
        setattr(error, name, value)
    return error


class DataGymError(Exception):
    """The base class of all errors that this package raises on purpose.

    Args:
        message: One or several sentences on one line; foreign text in it is escaped.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only constructors defeat the pickling of exceptions by their args.
        return _rebuild, (type(self), self.args[0], self.__dict__.copy())


class _Call(TypedDict, total=False):
    """What is known of a call; `APIError` explains it."""

    method: str
    path: str
    attempts: int
    unknown: bool


class APIError(DataGymError):
    """A call to the service failed.

    Attributes:
        method: HTTP method of the call, for example ``"GET"``.
        path: Path of the call below ``api/v1/``, without host and query.
        attempts: How many times this client sent the request (1 = no retry).
        unknown: True if the service may have carried out the request although the call failed. A
            request that is not safe to repeat is then not retried.
        remark: A further sentence, or empty.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        path: str = "",
        attempts: int = 1,
        unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.attempts = attempts
        self.unknown = unknown
        self.remark = ""

    def __str__(self) -> str:
        """Return the sentence, with what is known of the attempts behind it."""
        text = super().__str__()
        if self.attempts > 1:
            text = f"{text} (tried {self.attempts} times)"
        if self.remark:
            text = f"{text}. {self.remark}"
        if self.unknown:
            doubt = "The service may have carried out the request, so it was not retried."
            text = f"{text.removesuffix('.')}. {doubt}"
        return text


class APIConnectionError(APIError, ConnectionError):
    """No complete answer arrived: refused, unreachable, TLS failure, dropped connection.

    Attributes:
        request_sent: True if the complete request, with its body, may have reached the service;
            False if it certainly did not, so that the service has stored nothing (observed: nothing
            is stored of an incomplete body).
        lasting: True if each attempt would fail alike, so that there was only one: a certificate
            that is not accepted, or a proxy that refuses the password.
    """

    def __init__(
        self,
        message: str,
        *,
        request_sent: bool = True,
        lasting: bool = False,
        **call: Unpack[_Call],
    ) -> None:
        super().__init__(message, **call)
        self.request_sent = request_sent
        self.lasting = lasting


class APITimeoutError(APIConnectionError, TimeoutError):
    """No complete answer arrived within the time allowed."""


@attrs.frozen
class ErrorDetail:
    """One entry of the service's ``details``: the field, the broken rule and its parameters."""

    name: str
    key: str
    params: tuple[str, ...] = ()


class APIStatusError(APIError):
    """The service answered with an error status.

    Attributes:
        status: HTTP status. The ``code`` in the body is not used: it is 0 for validation errors.
        key: The service's error key, for example ``"ex_notfound"``; empty if the answer has none.
        params: The key's parameters, as the service sent them, without secrets; at most 100, each
            of at most 10,000 characters.
        details: What is wrong with each field of the request, for ``ex_validation``; at most 100.
        retry_after: Seconds after which the service asks to try again, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        key: str = "",
        params: Sequence[str] = (),
        details: Sequence[ErrorDetail] = (),
        retry_after: float | None = None,
        **call: Unpack[_Call],
    ) -> None:
        super().__init__(message, **call)
        self.status = status
        self.key = key
        self.params: tuple[str, ...] = tuple(params)
        self.details: tuple[ErrorDetail, ...] = tuple(details)
        self.retry_after = retry_after


class BadRequestError(APIStatusError):
    """The service did not accept the request (400, 405, 406, 415)."""


class AuthenticationError(APIStatusError):
    """No usable token reached the service (401)."""


class LimitReachedError(APIStatusError):
    """A limit of the organisation's plan is reached (402)."""


class PermissionDeniedError(APIStatusError):
    """The token is wrong, or the object belongs to another organisation (403).

    The service gives one answer for both.
    """


class NotFoundError(APIStatusError):
    """The service knows no such object, or no such route (404)."""


class ConflictError(APIStatusError):
    """The request contradicts what the service already holds (409, 412)."""


class AlreadyExistsError(ConflictError):
    """The name is taken (412 ``ex_alreadyexists``)."""


class PayloadTooLargeError(APIStatusError):
    """The body is larger than the service, or a proxy before it, takes (413)."""


class RateLimitError(APIStatusError):
    """The service, or a proxy before it, asks for fewer requests (429)."""


class RequestRefusedError(APIStatusError):
    """The request breaks a rule of the service (500 with a key ``ex_gen_*``).

    The answer is final: the same request gets the same answer.
    """


class ServiceUnavailableError(APIStatusError):
    """The service, or a part of it that the call needs, is not available (503)."""


class InternalServerError(APIStatusError):
    """The service failed (500 ``ex_system`` or without a key, 502, 504 and other 5xx)."""


class APIResponseValidationError(APIError):
    """The service answered with a success status, but the body is not as expected.

    Attributes:
        status: HTTP status of the answer.
        field_path: Where in the body the problem is, for example ``"[3].media[0].id"``.
    """

    def __init__(
        self, message: str, *, status: int = 200, field_path: str = "", **call: Unpack[_Call]
    ) -> None:
        super().__init__(message, **call)
        self.status = status
        self.field_path = field_path


class TransferError(DataGymError):
    """A whole job stopped early.

    Attributes:
        report: What was done before it stopped, as the job would have returned it (an
            ``UploadReport``, a ``DownloadReport`` and so on), or None if it had not begun.
    """

    def __init__(self, message: str, *, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class FileChangedError(DataGymError, OSError):
    """A local file was deleted, grew or shrank while it was sent; nothing of it was stored."""


RAISE_OPEN_FILES = "raise the limit of open files (`ulimit -n`)"
MOVE_TEMPORARY = "free some space, or name another folder for it in the variable SQLITE_TMPDIR"


class FileWriteError(DataGymError, OSError):
    """A local file or folder cannot be written: the disk is full, or permission is missing.

    Its ``errno``, ``strerror`` and ``filename`` are those of the system's error.
    """

    @classmethod
    def of(cls, place: Path, error: OSError) -> FileWriteError:
        """Return the error for a place, with what the system said of it."""
        way_out = "use another path"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            way_out = "free some space on its disk, or use another path"
        elif error.errno in {errno.EMFILE, errno.ENFILE}:
            way_out = RAISE_OPEN_FILES
        elif error.errno == errno.EFBIG:
            way_out = "raise the limit of file sizes (`ulimit -f`), or use another disk"
        made = cls(f"{place} cannot be written ({error.strerror or error}); {way_out}")
        made.errno, made.strerror, made.filename = error.errno, error.strerror, str(place)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        known = {name: getattr(self, name) for name in ("errno", "strerror", "filename")}
        return _rebuild, (type(self), str(self), self.__dict__ | known)

    def __str__(self) -> str:
        """Return the sentence, where an `OSError` with a number would make its own."""
        return str(self.args[0])


Trouble: TypeAlias = Literal["gone", "denied", "changed", "wrong", "passing"]


class StoreError(DataGymError, OSError):
    """An object store does not return or accept an object; the text has no words of it.

    Attributes:
        trouble: The kind of problem: ``"gone"``, ``"denied"``, ``"changed"``, ``"wrong"`` or
            ``"passing"`` (the store did not answer, or could not, in all attempts).
    """

    def __init__(self, message: str, *, trouble: Trouble = "passing") -> None:
        super().__init__(message)
        self.trouble = trouble


class LabelConfigError(DataGymError, ValueError):
    """A label configuration breaks a rule of the service, or could not be replaced.

    Attributes:
        problems: What is wrong with the configuration, each as a sentence; empty if nothing is.
        backup: The folder with the previous configuration and labels, or None if nothing was lost.
        left: Which configuration the project has now: ``"old"``, ``"new"``, or ``"unknown"`` if the
            service could not be asked any more.
    """

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[str] = (),
        backup: Path | None = None,
        left: Literal["old", "new", "unknown"] = "old",
    ) -> None:
        super().__init__(message)
        self.problems: tuple[str, ...] = tuple(problems)
        self.backup = backup
        self.left = left


class ConfigurationError(DataGymError, ValueError):
    """An option, argument or environment setting cannot be used."""


class ClientClosedError(DataGymError, RuntimeError):
    """The client is not open: not entered yet, or already closed."""
