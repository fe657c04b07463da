"""The values of a task as labels: every digit of their coordinates, unlike an export; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from datagym_async.labels import (
    Annotation,
    Classification,
    Incomplete,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import EntryType
from datagym_async.resources._base import points_body

if TYPE_CHECKING:
    from datagym_async.labels import Shape
    from datagym_async.models import LabelValue, StoredPoint, TaskDetail

QUESTIONS = frozenset({EntryType.SELECT, EntryType.CHECKLIST, EntryType.FREETEXT})


def labels_of(task: TaskDetail) -> LabeledImage:
    """Return the labels that a task's values say."""
    values = task.label_iteration.values
    return LabeledImage(
        media_id=task.media.id,
        media_name=task.media.name,
        annotations=_annotations(values),
        classifications=_answers(values),
        width=task.media.width,
        height=task.media.height,
    )


def _annotations(values: Iterable[LabelValue]) -> list[Annotation]:
    return [
        Annotation(
            value.entry_key, shape_of(value), _answers(value.children), _annotations(value.children)
        )
        for value in values
        if value.entry_type not in QUESTIONS
    ]


def _answers(values: Iterable[LabelValue]) -> list[Classification]:
    return [answer_of(value) for value in values if value.entry_type in QUESTIONS]


def answer_of(value: LabelValue) -> Classification:
    """Return what the value of a classification says."""
    children = _answers(value.children)
    if value.entry_type is EntryType.CHECKLIST:
        return Classification.checklist(value.entry_key, value.checked_values, *children)
    if value.entry_type is EntryType.SELECT:
        return Classification.select(value.entry_key, value.select_key, *children)
    return Classification.freetext(value.entry_key, value.text, *children)


def shape_of(value: LabelValue) -> Shape:
    """Return what a value draws; an incomplete shape where a coordinate was never set."""
    corner = _points([value.point] if value.point else [])
    match value.entry_type:
        case EntryType.POINT if corner:
            return corner[0]
        case EntryType.RECTANGLE if corner and None not in (value.width, value.height):
            return Rectangle(corner[0].x, corner[0].y, value.width or 0.0, value.height or 0.0)
        case EntryType.LINE if (points := _points(value.points)) is not None:
            return Line(points)
        case EntryType.POLYGON if (points := _points(value.points)) is not None:
            return Polygon(points)
        case EntryType.IMAGE_SEGMENTATION:
            rings = [_points(ring.points) for ring in value.rings]
            if None not in rings:
                return Segmentation(ring for ring in rings if ring is not None)
    return Incomplete(value.entry_type, _payload(value))


def _points(stored: Iterable[StoredPoint]) -> list[Point] | None:
    """Return the points, or None if a coordinate of one is missing."""
    pairs = [(each.x, each.y) for each in stored]
    points = [Point(x, y) for x, y in pairs if x is not None and y is not None]
    return points if len(points) == len(pairs) else None


def _payload(value: LabelValue) -> list[Any]:
    """Return what there is of a shape, as an export writes it."""
    if value.rings:
        return [points_body(ring.points) for ring in value.rings]
    points = points_body([value.point] if value.point else value.points)
    if value.entry_type is EntryType.RECTANGLE:
        [corner] = points or [{"x": None, "y": None}]
        return [{**corner, "w": value.width, "h": value.height}]
    return [*points]
