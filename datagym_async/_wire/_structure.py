"""The converter from JSON values to models.

Unknown fields are ignored, ``null`` in a field with a default means the default, and a new word of
an enum becomes its UNKNOWN. Everything else that differs from the model is an error, whose path
`field_path` finds.

The service's names of fields are in camel case (``labelIterationId``) unless they are listed here.
Answers may mix current and older names (observed in the public documentation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from datagym_async._wire._cutting import BrokenTextError
from datagym_async.labels._json import (
    ShapeError,
    as_list,
    as_number,
    as_object,
    as_text,
    as_whole_number,
    kind_of,
)
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
    OpenEnum,
    ProjectDataset,
    Task,
    TaskDetail,
    UrlResult,
    ValueChange,
)
from datagym_async.models._names import decode_name

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
    stored = DECODED_NAMES.get(field)
    if stored is not None and stored in fields:
        return fields[stored]
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
