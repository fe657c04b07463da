"""The answers that are no plain objects: exports, a video's labels, the answer to an import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from cattrs.errors import BaseValidationError

from datagym_async._wire._structure import each, field_path
from datagym_async.labels._json import ShapeError, as_list, as_object, as_text
from datagym_async.models import LabelClass, LabelExport, TaskLabels, VideoLabels

if TYPE_CHECKING:
    from cattrs import Converter


@attrs.frozen
class ImportAnswer:
    """The answer to an import: why nothing was stored, or an empty text if all was."""

    messages: str = ""


@attrs.frozen
class ClearedConfig:
    """The answer to clearing a label configuration: its id."""

    config_id: str


@attrs.frozen
class ExportItem:
    """One element of an export: the overview of classes, or the labels of a task."""

    label_classes: tuple[LabelClass, ...] = ()
    task: TaskLabels | None = None


def register_documents(converter: Converter) -> None:
    """Teach a converter the whole documents."""
    converter.register_structure_hook(ExportItem, lambda value, _: _export_item(converter, value))
    converter.register_structure_hook(LabelExport, lambda value, _: _export(converter, value))
    converter.register_structure_hook(VideoLabels, lambda value, _: _video_labels(value))
    converter.register_structure_hook(ImportAnswer, lambda value, _: _import_answer(value))


def _export_item(converter: Converter, value: object) -> ExportItem:
    if isinstance(value, dict) and "label_classes" in value:
        return ExportItem(label_classes=_label_classes(converter, value["label_classes"]))
    return ExportItem(task=converter.structure(value, TaskLabels))


def _label_classes(converter: Converter, value: object) -> tuple[LabelClass, ...]:
    try:
        return each(value, lambda item: converter.structure(item, LabelClass))
    except (BaseValidationError, ShapeError) as error:
        path, text = field_path(error)
        raise ShapeError(text, path=f".label_classes{path}") from None


def _export(converter: Converter, value: object) -> LabelExport:
    items = each(value, lambda item: converter.structure(item, ExportItem))
    return LabelExport(
        label_classes=tuple(cls for item in items for cls in item.label_classes),
        tasks=tuple(item.task for item in items if item.task is not None),
    )


def _video_labels(value: object) -> VideoLabels:
    document = as_object(value)
    frames = as_object(document.get("frames") or {}, path=".frames")
    objects = as_object(document.get("object") or {}, path=".object")
    return VideoLabels(
        frames={_frame(frame, ".frames"): _visible(frame, ids) for frame, ids in frames.items()},
        objects={
            key: _keyframes(keyframes, f".object.{key}") for key, keyframes in objects.items()
        },
    )


def _visible(frame: str, value: object) -> tuple[str, ...]:
    path = f".frames.{frame}"
    ids = []
    for index, item in enumerate(as_list(value, path=path)):
        seen = as_object(item, path=f"{path}[{index}]").get("visibleObjectId")
        ids.append(as_text(seen, path=f"{path}[{index}].visibleObjectId"))
    return tuple(ids)


def _keyframes(value: object, path: str) -> dict[int, Any]:
    return {
        _frame(frame, path): as_object(keyframe, path=f"{path}.{frame}")
        for frame, keyframe in as_object(value, path=path).items()
    }


def _frame(number: str, path: str) -> int:
    if number.isascii() and number.isdecimal() and len(number) < 20:
        return int(number)
    raise ShapeError("the number of a frame was expected", path=f"{path}.{number}")


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
