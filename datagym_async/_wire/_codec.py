"""Turns a good answer (status 2xx) into a model, or into an `APIResponseValidationError`.

The error says where the answer has another shape. No answer may raise anything else, so all that
makes values of answers is called under one guard, `unreadable`: whatever is raised there is the
answer's fault.

**The converter** from JSON values to models. Unknown fields are ignored, ``null`` in a field with a
default means the default, and a new word of an enum becomes its UNKNOWN. Everything else that
differs from the model is an error, whose path `field_path` finds. The service's names of fields are
in camel case (``labelIterationId``) unless they are listed here. Answers may mix current and older
names (observed in the public documentation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar, get_args, get_origin

import attrs
import orjson
from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from datagym_async._json import (
    LARGEST,
    ShapeError,
    as_list,
    as_number,
    as_object,
    as_text,
    as_whole_number,
    kind_of,
    loads,
)
from datagym_async._wire._cutting import BrokenTextError
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
from datagym_async.exceptions import APIError, APIResponseValidationError
from datagym_async.labels import LabelExport, VideoLabels, parse_export, parse_video
from datagym_async.models import (
    AiSegResult,
    CompleteResult,
    Dataset,
    DatasetMedia,
    LabelConfiguration,
    LabelEntry,
    LabelIteration,
    LabelValue,
    Media,
    MediaSourceType,
    OpenEnum,
    ProjectDataset,
    Task,
    TaskDetail,
    UrlResult,
    ValueChange,
)
from datagym_async.models._names import decode_name

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


# --- the converter --------------------------------------------------------------------------------

_MEDIA: Mapping[str, tuple[str, ...]] = {
    "source_type": ("mediaSourceType", "imageType"),
    "stored_name": ("mediaName", "imageName"),
}

# Current names first, then older ones.
_FIELDS: Mapping[type[Any], Mapping[str, tuple[str, ...]]] = {
    ProjectDataset: {"media_count": ("mediaCount", "imagesCount")},
    Dataset: {"media": ("media", "images")},
    DatasetMedia: _MEDIA,
    Media: {
        **_MEDIA,
        "last_error_timestamp": ("lastErrorTimeStamp",),
        "frame_rate": ("rFrameRate",),
    },
    UrlResult: {
        "url": ("imageUrl",),
        "status": ("mediaUploadStatus", "imageUploadStatus"),
        "media_id": ("internal_media_ID", "internal_image_ID"),
        "name": ("external_media_ID", "external_image_ID"),
    },
    LabelEntry: {
        "key": ("entryKey",),
        "value": ("entryValue",),
        "parent_id": ("lcEntryParentId",),
    },
    LabelConfiguration: {
        "completed_tasks": ("numberOfCompletedTasks",),
        "reviewed_tasks": ("numberOfReviewedTasks",),
    },
    Task: {
        "id": ("taskId",),
        "state": ("labelTaskState",),
        "type": ("labelTaskType",),
        "media_id": ("mediaId", "imageId"),
        "stored_media_name": ("mediaName", "imageName"),
    },
    TaskDetail: {
        "id": ("taskId",),
        "state": ("labelTaskState",),
        "media": ("media", "image"),
    },
    LabelIteration: {"values": ("entryValues",)},
    LabelValue: {
        "entry_id": ("lcEntryId",),
        "entry_type": ("entryTypeLcEntry",),
        "entry_key": ("entryKeyLcEntry",),
        "entry_value": ("entryValueLcEntry",),
        "parent_id": ("lcEntryValueParentId",),
        "iteration_id": ("labelIterationId",),
        "media_id": ("mediaId", "imageId"),
        "rings": ("pointsCollection",),
        "changes": ("change",),
    },
    ValueChange: {"frame_type": ("type",)},
    CompleteResult: {
        "label_config_changed": ("hasLabelConfigChanged",),
        "task_id": ("currentTaskId",),
    },
    AiSegResult: {"media_id": ("imageId", "mediaId"), "points": ("result",)},
}

DECODED_NAMES: Mapping[str, str] = {"name": "stored_name", "media_name": "stored_media_name"}
"""Fields that no answer has: each is decoded from the stored name."""


def wire_names(cls: type[Any], field: str) -> tuple[str, ...]:
    """Return the service's names of a model's field, the current one first."""
    fields = _FIELDS.get(cls, {})
    first, *rest = field.split("_")
    return fields.get(field) or (first + "".join(word.capitalize() for word in rest),)


Hook: TypeAlias = Callable[[Any, Any], Any]


def make_converter() -> Converter:
    """Return the converter for all models except whole documents."""
    converter = Converter(detailed_validation=True)
    for kind, hook in _SCALARS.items():
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook_factory(attrs.has, lambda cls: _model_hook(converter, cls))
    converter.register_structure_hook_func(_is(tuple), _tuple_hook(converter))
    converter.register_structure_hook(OpenEnum, lambda value, kind: kind(_text(value, str)))
    converter.register_structure_hook_func(_is(dict, Mapping), _dictionary)
    return converter


def field_path(error: Exception) -> tuple[str, str]:
    """Return place (``[3].media[0].id``) and description of the first unexpected value."""
    path = ""
    while isinstance(error, ClassValidationError | IterableValidationError):
        owner, error = error, error.exceptions[0]
        for note in getattr(error, "__notes__", []):
            if isinstance(note, IterableValidationNote):
                path += f"[{note.index}]"
                break
            if isinstance(note, AttributeValidationNote):
                path += f".{wire_names(owner.cl, note.name)[0]}"
                break
    if isinstance(error, ShapeError):
        path += error.path
    return path.removeprefix("."), _words(error)


def _words(error: Exception) -> str:
    match error:
        case ShapeError():
            return error.text
        case BrokenTextError():
            return f"the body is not JSON ({error})"
        case KeyError():
            return "it is missing"
        case RecursionError():
            return "it is nested too deep"
    return f"it cannot be read ({type(error).__name__}: {error})"


# --- models --------------------------------------------------------------------------------------


def _model_hook(converter: Converter, model: type[Any]) -> Hook:
    """Return a function that makes a model of an answer: by our names, nulls as the defaults."""
    fields = {field.name: field for field in attrs.fields(model)}
    decoded = {own: stored for own, stored in DECODED_NAMES.items() if stored in fields}
    names = {name: wire_names(model, name) for name in fields if name not in decoded}
    current = {candidates[0]: name for name, candidates in names.items()}
    older = {old: name for name, candidates in names.items() for old in candidates[1:]}
    optional = {name for name, field in fields.items() if field.default is not attrs.NOTHING}
    structure = make_dict_structure_fn(model, converter)

    def hook(value: object, _: object) -> object:
        own: dict[str, Any] = {}
        for name, item in as_object(value).items():
            field = current.get(name)
            if field is None:
                field = older.get(name)
                if field is None or field in own:
                    continue
            if item is not None or field not in optional:
                own[field] = item
        for name, stored in decoded.items():
            if isinstance(own.get(stored), str):
                own[name] = decode_name(own[stored])
        return structure(own, model)

    return hook


# --- scalars -------------------------------------------------------------------------------------


def _text(value: object, _: object) -> str:
    if isinstance(value, str):
        return value
    raise ShapeError(f"a text was expected, not {kind_of(value)}")


def _truth(value: object, _: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ShapeError(f"true or false was expected, not {kind_of(value)}")


_SCALARS: Mapping[type, Hook] = {
    str: _text,
    int: lambda value, _: as_whole_number(value),
    float: lambda value, _: as_number(value),
    bool: _truth,
}


# --- containers ----------------------------------------------------------------------------------


def _is(*origins: type) -> Callable[[object], bool]:
    return lambda kind: get_origin(kind) in origins


def _tuple_hook(converter: Converter) -> Hook:
    def hook(value: object, kind: Any) -> tuple[object, ...]:
        item_type = get_args(kind)[0]
        structure = converter.get_structure_hook(item_type)
        return each(value, lambda item: structure(item, item_type))

    return hook


def each(value: object, structure: Callable[[Any], Any], *, first: int = 0) -> tuple[Any, ...]:
    """Structure each item of a JSON list; an error has the item's index, counted from `first`."""
    items = []
    for index, item in enumerate(as_list(value), first):
        try:
            items.append(structure(item))
        except Exception as error:
            error.add_note(IterableValidationNote(f"At index {index}", index, None))
            raise IterableValidationError("in a list", [error], list) from None
    return tuple(items)


def _dictionary(value: object, _: object) -> dict[str, Any]:
    """Check a dictionary of texts and return it."""
    entries = as_object(value)
    for key, entry in entries.items():
        as_text(entry, path=f".{key}")
    return entries


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


_converter = make_converter()
_converter.register_structure_hook(LabelExport, lambda value, _: parse_export(value))
_converter.register_structure_hook(VideoLabels, lambda value, _: parse_video(value))
_converter.register_structure_hook(ImportAnswer, lambda value, _: _import_answer(value))
register_media(_converter)
