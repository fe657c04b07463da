"""Turns a good answer (status 2xx) into a model, or into an `APIResponseValidationError`.

The error says where the answer has another shape. No answer may raise anything else, so all that
makes values of answers is called under one guard, `unreadable`: whatever is raised there is the
answer's fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import orjson

from datagym_async._json import loads
from datagym_async._wire._errors import WEB_PAGE, looks_like_html
from datagym_async._wire._messages import (
    MAX_BITMAP,
    MAX_DOCUMENT,
    MAX_IN_PIECES,
    MAX_VALUE,
    Request,
    Response,
)
from datagym_async._wire._redact import redact
from datagym_async._wire._structure import each, field_path, make_converter
from datagym_async.exceptions import APIError, APIResponseValidationError
from datagym_async.labels import LabelExport, VideoLabels, parse_export, parse_video
from datagym_async.labels._json import LARGEST, as_object, as_text
from datagym_async.models import DatasetMedia, Media, MediaSourceType
from datagym_async.models._names import decode_name

if TYPE_CHECKING:
    from cattrs import Converter


@attrs.frozen
class ImportAnswer:
    """The answer to an import: why nothing was stored, or an empty text if all was."""

    messages: str = ""


@attrs.frozen
class ClearedConfig:
    config_id: str


def _import_answer(value: object) -> ImportAnswer:
    if isinstance(value, list):  # older services: one object for each error
        return ImportAnswer("; ".join(each(value, _old_error)))
    messages = as_object(value).get("errorMessages", False)
    if messages is None:
        return ImportAnswer()
    return ImportAnswer(as_text(messages, path=".errorMessages"))


def _old_error(value: object) -> str:
    error = as_object(value)
    named = (error.get(name) for name in ("internal_media_ID", "internal_image_ID", "lcEntryKey"))
    where = " ".join(word for word in named if isinstance(word, str))
    return f"{where}: {error.get('message') or 'it does not say why'}"


_SOURCES: Final = {each.value: each for each in MediaSourceType}
_UPLOADED: Final = {
    *("id", "timestamp", "mediaSourceType", "mediaName"),
    *("valid", "reason", "url", "width", "height"),
}


def register_media(converter: Converter) -> None:
    """Add a fast way for media as current services write them: a listing may have a million."""
    listed, whole = (converter.get_structure_hook(kind) for kind in (DatasetMedia, Media))

    def listed_media(value: Any, kind: Any) -> Any:
        if not _is_listed(value):
            return listed(value, kind)
        stored, source = value["mediaName"], _SOURCES[value["mediaSourceType"]]
        return DatasetMedia(
            value["id"], value["timestamp"], source, decode_name(stored), stored_name=stored
        )

    def whole_media(value: Any, kind: Any) -> Any:
        if not _is_uploaded(value):
            return whole(value, kind)
        stored = value["mediaName"]
        return Media(
            id=value["id"],
            timestamp=value["timestamp"],
            source_type=_SOURCES[value["mediaSourceType"]],
            name=decode_name(stored),
            stored_name=stored,
            width=value["width"],
            height=value["height"],
        )

    converter.register_structure_hook(DatasetMedia, listed_media)
    converter.register_structure_hook(Media, whole_media)


def _is_listed(value: Any) -> bool:
    return (
        type(value) is dict
        and type(value.get("id")) is type(value.get("mediaName")) is str
        and type(timestamp := value.get("timestamp")) is int
        and -LARGEST <= timestamp <= LARGEST
        and type(source := value.get("mediaSourceType")) is str
        and source in _SOURCES
    )


def _is_uploaded(value: Any) -> bool:
    return (
        _is_listed(value)
        and value.keys() == _UPLOADED
        and value["valid"] is True
        and value["reason"] is value["url"] is None
        and type(width := value["width"]) is type(height := value["height"]) is int
        and 0 <= width <= LARGEST
        and 0 <= height <= LARGEST
    )


T = TypeVar("T")

_OUT_OF_PLACE: Final = "no answer to this call is that long: check base_url and any proxy"
_WAYS_OUT: Final = {
    MAX_VALUE: _OUT_OF_PLACE,
    MAX_BITMAP: _OUT_OF_PLACE,
    MAX_IN_PIECES: _OUT_OF_PLACE,
    MAX_DOCUMENT: "the methods iter, iter_parts and iter_export read it in parts, without a bound",
}

_MAX_TEXT = 300
"""Characters that are shown of a foreign error's text, and of a path, which may contain any key."""

_converter = make_converter()
_converter.register_structure_hook(LabelExport, lambda value, _: parse_export(value))
_converter.register_structure_hook(VideoLabels, lambda value, _: parse_video(value))
_converter.register_structure_hook(ImportAnswer, lambda value, _: _import_answer(value))
register_media(_converter)


def decode(request: Request, response: Response, kind: type[T]) -> T:
    """Return an answer's JSON as a model, or a tuple of models."""
    try:
        return _converter.structure(read_json(request, response), kind)
    except Exception as error:
        failure = unreadable(request, response.status, error)
    raise failure


def decode_value(
    request: Request, value: object, kind: type[T], *, status: int = 200, at: str = ""
) -> T:
    """Return a JSON value as a model or a tuple of models; see `decode_with`."""
    return decode_with(
        request, value, lambda given: _converter.structure(given, kind), status=status, at=at
    )


def decode_items(
    request: Request, values: list[Any], kind: type[T], *, status: int = 200, at: str, first: int
) -> tuple[T, ...]:
    """Return items of the JSON list at `at` as models; `first` is the index of the first there."""
    structure = _converter.get_structure_hook(kind)

    def read(given: object) -> tuple[T, ...]:
        return each(given, lambda item: structure(item, kind), first=first)

    return decode_with(request, values, read, status=status, at=at)


def decode_with(
    request: Request, value: object, read: Callable[[object], T], *, status: int = 200, at: str = ""
) -> T:
    """Return what `read` makes of a JSON value; it may raise anything if the value is wrong.

    `at` is the place of the value in the body, for example ``[7]``.
    """
    try:
        return read(value)
    except Exception as error:
        failure = unreadable(request, status, error, at=at)
    raise failure


def unreadable(request: Request, status: int, error: Exception, *, at: str = "") -> APIError:
    """Return the error for an answer whose handling raised something.

    Only its kind and the beginning of its text are kept, without secrets, because it may contain
    the body. Raise it outside the handler, so that the other is not even its context. An `APIError`
    is returned as it is.
    """
    if isinstance(error, APIError):
        return error
    path, text = field_path(error)
    dot = "." if at and path and not path.startswith("[") else ""
    where = f"{at}{dot}{path}"[:_MAX_TEXT]
    return unexpected(request, status, redact(text[:_MAX_TEXT]), field_path=where)


def check_empty(request: Request, response: Response) -> None:
    """Refuse a web page where nothing is expected: the address is not the service's."""
    if looks_like_html(response):
        raise unexpected(request, response.status, WEB_PAGE)


def check_image(request: Request, response: Response) -> None:
    """Refuse a web page, a text or nothing where an image is expected."""
    check_empty(request, response)
    if not response.body or response.content_type.startswith(("text/", "application/json")):
        raise unexpected(request, response.status, "an image was expected")


def unexpected(
    request: Request, status: int, text: str, *, field_path: str = ""
) -> APIResponseValidationError:
    """Return the error for a good status with a body that is not as expected."""
    where = f"at {field_path}, " if field_path else ""
    return APIResponseValidationError(
        f"{request.method} {request.path} was answered with {status}, but not as expected: {where}"
        f"{text.removesuffix('.')}",
        status=status,
        field_path=field_path,
        method=request.method,
        path=request.path,
    )


def too_large(
    request: Request, status: int, most: int, *, is_media: bool = False
) -> APIResponseValidationError:
    """Return the error for an answer above `most` bytes; for a media that is the caller's bound."""
    own = "max_bytes=... sets the limit"
    way = own if is_media else _WAYS_OUT.get(most, own)
    return unexpected(request, status, f"it has more than {most:,} bytes; {way}")


def read_json(request: Request, response: Response) -> Any:
    """Return an answer's JSON, unless it is nested too deep."""
    try:
        return loads(response.body)
    except orjson.JSONDecodeError as error:
        check_empty(request, response)
        text = f"the body is not JSON ({error})"
    if not response.body:
        text = "the body is empty, but JSON was expected"
    raise unexpected(request, response.status, text)
