"""From an error answer to the exception that says it.

The service answers in four shapes, and a proxy in a fifth: its own error body, bean validation
(the same, but with ``code`` 0), the framework's body without a key, nothing at all, and HTML. The
class is chosen by the key first, since the service says plain rules with a 500, then by status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import orjson

from datagym_async._json import loads
from datagym_async._wire._redact import redact
from datagym_async._wire._sentences import (
    detail_phrase,
    sentence,
    status_sentence,
    unknown_key_sentence,
)
from datagym_async.exceptions import (
    AlreadyExistsError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ErrorDetail,
    InternalServerError,
    LimitReachedError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    RequestRefusedError,
    ServiceUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datagym_async._wire._messages import Request, Response

_BY_KEY: Mapping[str, type[APIStatusError]] = {
    "ex_unauthorized": AuthenticationError,
    "ex_forbidden": PermissionDeniedError,
    "ex_notfound": NotFoundError,
    "ex_alreadyexists": AlreadyExistsError,
    "ex_already_contains": ConflictError,
    "ex_limit": LimitReachedError,
    "ex_validation": BadRequestError,
    "ex_service_unavailable": ServiceUnavailableError,
    "ex_feature_not_for_open_core": ServiceUnavailableError,
}

_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    401: AuthenticationError,
    402: LimitReachedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    413: PayloadTooLargeError,
    429: RateLimitError,
    503: ServiceUnavailableError,
}

_MAX_TEXT = 300
"""Characters of one parameter that an error text shows."""

_LONGEST_MESSAGE = 3_000
"""Characters of a whole error text, however many fields are at fault."""

_LONGEST_KEPT = 10_000
"""Characters of one text of the service that an error keeps; the rest is cut off unread."""

_MOST_KEPT = 100
"""Parameters of a key, and details of an answer, that an error keeps."""

WEB_PAGE = (
    "A web page answered instead of the service's API; check that base_url is the service's own"
    " address and that no login page or proxy stands before it."
)


def decode_error(request: Request, response: Response) -> APIStatusError:
    """Return the exception for an answer with an error status.

    Its `retry_after` is None: reading that header is the business of the retry table.

    Args:
        request: The call that was answered.
        response: The answer; any status but 2xx, any body.
    """
    said = _read(response.body)
    key = said.get("key")
    key = _cut(redact(key[:_LONGEST_KEPT])) if isinstance(key, str) else ""
    params, details = _texts(said.get("params")), _details(said.get("details"))
    return _error_class(response.status, key)(
        # APIError adds its own words behind, and the full stop before them.
        _cut(_message(response, key, params, details), _LONGEST_MESSAGE).removesuffix("."),
        status=response.status,
        key=key,
        params=params,
        details=details,
        method=request.method,
        path=request.path,
    )


def looks_like_html(response: Response) -> bool:
    """Return whether a web page answered: a proxy, a login page, or a wrong address."""
    if response.content_type in {"text/html", "application/xhtml+xml"}:
        return True
    start = response.body[:256].lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


def _read(body: bytes) -> dict[str, object]:
    try:
        said = loads(body)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, object]", said) if isinstance(said, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(_text(item) for item in value[:_MOST_KEPT])


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        value = orjson.dumps(value).decode()
    return redact(value[:_LONGEST_KEPT])


def _details(value: object) -> tuple[ErrorDetail, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        ErrorDetail(
            name=_text(item.get("name")),
            key=_text(item.get("key")),
            params=_texts(item.get("params")),
        )
        for item in value[:_MOST_KEPT]
        if isinstance(item, dict)
    )


def _error_class(status: int, key: str) -> type[APIStatusError]:
    if status == 500 and key.startswith("ex_gen_"):
        return RequestRefusedError
    by_status = _BY_STATUS.get(status)
    if by_status is None:
        by_status = InternalServerError if status >= 500 else BadRequestError
    return _BY_KEY.get(key, by_status)


def _message(
    response: Response, key: str, params: Sequence[str], details: Sequence[ErrorDetail]
) -> str:
    if not key:
        text = status_sentence(response.status)
        return f"{text} {WEB_PAGE}" if looks_like_html(response) else text
    short = [_cut(param) for param in params]
    text = sentence(key, short) or unknown_key_sentence(response.status, key, short)
    if not details:
        return text
    phrases = (detail_phrase(_shown(detail)) for detail in details)
    return f"{text.removesuffix('.')}: {'; '.join(phrases)}."


def _shown(detail: ErrorDetail) -> ErrorDetail:
    params = tuple(_cut(param) for param in detail.params)
    return ErrorDetail(_cut(detail.name), _cut(detail.key), params)


def _cut(text: str, longest: int = _MAX_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
