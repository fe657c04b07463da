"""Labelled images and tasks as exports and imports write them.

Reading and writing again gives the file that was read, member by member: the members of older
services, those that this package does not know, and empty lists are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from datagym_async.labels._classes import class_types
from datagym_async.labels._json import ShapeError, as_list, as_number, as_object, as_text
from datagym_async.labels._json import as_whole_number as as_whole
from datagym_async.labels._payload_annotations import read_annotations, write_annotations
from datagym_async.labels._payload_classifications import (
    read_classifications,
    write_classifications,
)
from datagym_async.labels._values import Form, LabeledImage, LabeledTask
from datagym_async.models import TaskState
from datagym_async.models._names import decode_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from datagym_async.labels._classes import ClassTypes, LabelClass

_ID, _NAME = "internal_media_ID", "external_media_ID"
_OLD: Final = {_ID: "internal_image_ID", _NAME: "external_image_ID"}
_STATUS, _GLOBALS, _LABELS = "status", "global_classifications", "labels"
_VIDEO: Final[Mapping[str, Callable[..., Any]]] = {
    "task_export_url": as_text,
    "video_height": as_whole,
    "video_width": as_whole,
    "video_total_frames": as_whole,
    "video_frame_rate": as_text,
    "video_duration": as_number,
}
_KNOWN: Final = frozenset(
    {*_OLD, *_OLD.values(), _STATUS, _GLOBALS, _LABELS, "labeler", "segmentations", *_VIDEO}
)
_TASK_ID: Final = re.compile(r"/export(?:/bitmap|VideoTask)/([^/?#]+)")


# --- reading -------------------------------------------------------------------------------------


def parse_task(element: object, classes: Iterable[LabelClass] | ClassTypes = ()) -> LabeledTask:
    """Return an exported task as values.

    Args:
        element: An element of an export, as JSON values; current or of an older service.
        classes: The classes that the export lists, or (faster for many tasks) their `class_types`.
            They say the types of classifications, and of shapes in older files.

    Raises:
        ConfigurationError: The element is no exported task; the text says where it is not, for
            example ``labels.car[0].polygon[1].x``.
    """
    task = as_object(element)
    types = classes if isinstance(classes, Mapping) else class_types(classes)
    stored = _first(task, _NAME)
    urls = _urls(task.get("segmentations"))
    video = {} if _VIDEO.keys().isdisjoint(task) else _video(task)
    state = TaskState(as_text(task.get(_STATUS), path=f".{_STATUS}"))
    return LabeledTask(
        media_id=_first(task, _ID),
        media_name=decode_name(stored),
        stored_media_name=stored,
        labeler=_optional(task, "labeler", as_text),
        state=state,
        segmentations=urls,
        task_id=_task_id(urls, video),
        annotations=_below(task, _LABELS, read_annotations, types),
        classifications=_below(task, _GLOBALS, read_classifications, types),
        extra={name: value for name, value in task.items() if name not in _KNOWN},
        form=Form(tuple(task), tuple(task.get(_LABELS) or ()), _raw(task, state, video)),
        **video,
    )


def parse_image(item: object, classes: Iterable[LabelClass] | ClassTypes = ()) -> LabeledImage:
    """Return the labels of an item of an import (or an export) as values.

    Args:
        item: As JSON values. Members other than the media, labels and classifications are left out.
        classes: See `parse_task`.

    Raises:
        ConfigurationError: See `parse_task`.
    """
    image = as_object(item)
    types = classes if isinstance(classes, Mapping) else class_types(classes)
    return LabeledImage(
        media_id=_first(image, _ID, default=""),
        media_name=decode_name(_first(image, _NAME, default="")),
        annotations=_below(image, _LABELS, read_annotations, types),
        classifications=_below(image, _GLOBALS, read_classifications, types),
    )


def _below(
    task: dict[str, Any], member: str, read: Callable[..., tuple[Any, ...]], types: ClassTypes
) -> tuple[Any, ...]:
    try:
        return read(task.get(member), types)
    except ShapeError as error:
        raise error.below(f".{member}") from None


def _first(task: dict[str, Any], member: str, *, default: str | None = None) -> str:
    """Return a text under its current or its older name."""
    for name in (member, _OLD[member]):
        if name in task:
            return as_text(task[name], path=f".{name}")
    if default is None:
        raise ShapeError("it is missing", path=f".{member}")
    return default


def _optional(task: dict[str, Any], member: str, read: Callable[..., Any]) -> Any:
    value = task.get(member)
    return None if value is None else read(value, path=f".{member}")


def _urls(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    urls = as_list(value, path=".segmentations")
    return tuple(as_text(url, path=f".segmentations[{n}]") for n, url in enumerate(urls))


def _video(task: dict[str, Any]) -> dict[str, Any]:
    return {member: _optional(task, member, read) for member, read in _VIDEO.items()}


def _task_id(urls: tuple[str, ...], video: Mapping[str, Any]) -> str | None:
    """Return the id of the task, which is nowhere but in addresses."""
    found = _TASK_ID.search(video.get("task_export_url") or (urls[0] if urls else ""))
    return found[1] if found else None


def _raw(
    task: dict[str, Any], state: TaskState, video: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    raw = {member: (task[member], value) for member, value in video.items() if member in task}
    if state.value.lower() != task[_STATUS]:
        raw[_STATUS] = (task[_STATUS], state)
    return raw


# --- writing -------------------------------------------------------------------------------------


def to_payload(labels: LabeledImage) -> dict[str, Any]:
    """Return labels as an export has them; a task that was read gives what was read.

    Args:
        labels: An image or a task.

    Raises:
        ConfigurationError: There are two classifications with one key.
    """
    if not isinstance(labels, LabeledTask):
        return {_ID: labels.media_id, _NAME: labels.media_name, **_labels(labels, Form())}
    form = labels.form or Form()
    names = {name: old if form.has(old) else name for name, old in _OLD.items()}
    values = {
        names[_ID]: labels.media_id,
        names[_NAME]: labels.stored_media_name,
        "labeler": labels.labeler,
        _STATUS: form.written(_STATUS, labels.state, lambda state: state.value.lower()),
        "segmentations": [*labels.segmentations],
        **_labels(labels, form),
        **{name: form.written(name, getattr(labels, name), _as_text) for name in _VIDEO},
        **labels.extra,
    }
    shown = () if labels.task_export_url else (_GLOBALS, _LABELS)
    return form.ordered(values, usual=(*names.values(), "labeler", _STATUS, *shown))


def to_prediction(labels: LabeledImage, keep_data: bool | None = None) -> dict[str, Any]:
    """Return labels as an import takes them, in the current form and without what it ignores.

    Shapes that cannot be imported (segmentations, incomplete ones) are written all the same;
    whether the service takes a prediction is not decided here.

    Args:
        labels: An image or a task.
        keep_data: Whether the service is to keep the labels it has; None leaves it out.

    Raises:
        ConfigurationError: There are two classifications with one key.
    """
    kept = {} if keep_data is None else {"keepData": keep_data}
    return {
        _ID: labels.media_id,
        **kept,
        _GLOBALS: write_classifications(labels.classifications),
        _LABELS: write_annotations(labels.annotations, as_read=False, nested=False),
    }


def _labels(labels: LabeledImage, form: Form) -> dict[str, Any]:
    return {
        _GLOBALS: write_classifications(labels.classifications),
        _LABELS: write_annotations(labels.annotations, keys=form.keys, as_read=True, nested=False),
    }


def _as_text(value: object) -> str | None:
    """Return a number as the service writes those of videos."""
    return None if value is None else str(value)
