"""From an answer to a model, or to one error that says where the answer has another shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from cattrs.errors import BaseValidationError

from datagym_async._wire._documents import register_documents
from datagym_async._wire._errors import WEB_PAGE, looks_like_html
from datagym_async._wire._structure import each, field_path, make_converter
from datagym_async._wire._usual_media import register_media
from datagym_async.exceptions import APIResponseValidationError
from datagym_async.labels._json import ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from datagym_async._wire._messages import Request, Response

T = TypeVar("T")

_converter = make_converter()
register_documents(_converter)
register_media(_converter)


def decode(request: Request, response: Response, kind: type[T]) -> T:
    """Return a good answer's JSON as a model.

    Args:
        request: The call that was answered.
        response: The answer, with a 2xx status.
        kind: A model, or a tuple of models.

    Raises:
        APIResponseValidationError: The body is no JSON, or is not what the model says.
    """
    return decode_value(request, read_json(request, response), kind, status=response.status)


def decode_value(
    request: Request, value: object, kind: type[T], *, status: int = 200, at: str = ""
) -> T:
    """Return a JSON value, already read, as a model.

    Args:
        request: The call that was answered.
        value: What JSON gave.
        kind: A model, or a tuple of models.
        status: The answer's status.
        at: Where in the body the value stands, for example ``[7]``.

    Raises:
        APIResponseValidationError: The value is not what the model says.
    """
    return decode_with(
        request, value, lambda given: _converter.structure(given, kind), status=status, at=at
    )


def decode_items(
    request: Request, values: list[Any], kind: type[T], *, status: int = 200, at: str, first: int
) -> tuple[T, ...]:
    """Return some items of a JSON list, already read, as models.

    Args:
        request: The call that was answered.
        values: What JSON gave.
        kind: A model.
        status: The answer's status.
        at: Where in the body the list stands, for example ``media``.
        first: Index of the first of the values in that list.

    Raises:
        APIResponseValidationError: A value is not what the model says.
    """
    structure = _converter.get_structure_hook(kind)

    def read(given: object) -> tuple[T, ...]:
        return each(given, lambda item: structure(item, kind), first=first)

    return decode_with(request, values, read, status=status, at=at)


def decode_with(
    request: Request, value: object, read: Callable[[object], T], *, status: int = 200, at: str = ""
) -> T:
    """Return what a function makes of a JSON value; see `decode_value`.

    Args:
        request: The call that was answered.
        value: What JSON gave.
        read: Raises `ShapeError`, or what cattrs does, where the value is something else.
        status: The answer's status.
        at: Where in the body the value stands, for example ``[7]``.

    Raises:
        APIResponseValidationError: The value is something else.
    """
    try:
        return read(value)
    except (BaseValidationError, ShapeError) as error:
        path, text = field_path(error)
    except RecursionError:
        path, text = "", "it is nested too deep"
    raise unexpected(request, status, text, field_path=_join(at, path)) from None


def _join(at: str, path: str) -> str:
    return f"{at}.{path}" if at and path and not path.startswith("[") else at + path


def check_empty(request: Request, response: Response) -> None:
    """Accept the answer of a call that answers nothing, unless a web page answered.

    Raises:
        APIResponseValidationError: A web page answered: the address is not the service's.
    """
    if looks_like_html(response):
        raise unexpected(request, response.status, WEB_PAGE)


def check_image(request: Request, response: Response) -> None:
    """Accept an answer that is due to be an image.

    Raises:
        APIResponseValidationError: It is a web page, a text or nothing.
    """
    check_empty(request, response)
    if not response.body or response.content_type.startswith(("text/", "application/json")):
        raise unexpected(request, response.status, "an image was expected")


def unexpected(
    request: Request, status: int, text: str, *, field_path: str = ""
) -> APIResponseValidationError:
    """Return the error for a good status with a body that is not what it should be."""
    where = f"at {field_path}, " if field_path else ""
    return APIResponseValidationError(
        f"{request.method} {request.path} was answered with {status}, but not as expected: {where}"
        f"{text.removesuffix('.')}",
        status=status,
        field_path=field_path,
        method=request.method,
        path=request.path,
    )


def read_json(request: Request, response: Response) -> Any:
    """Return a good answer's JSON.

    Args:
        request: The call that was answered.
        response: The answer, with a 2xx status.

    Raises:
        APIResponseValidationError: The body is no JSON.
    """
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError as error:
        check_empty(request, response)
        text = f"the body is no JSON ({error})"
    if not response.body:
        text = "the body is empty where JSON is due"
    raise unexpected(request, response.status, text)
