"""Labels as values, and label configurations: pure, without any I/O."""

from __future__ import annotations

from datagym_async.labels._classes import LabelClass, class_types
from datagym_async.labels._payload import parse_image, parse_task, to_payload, to_prediction
from datagym_async.labels._shapes import (
    Bounds,
    Incomplete,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
from datagym_async.labels._values import Annotation, Classification, LabeledImage, LabeledTask

__all__ = [
    "Annotation",
    "Bounds",
    "Classification",
    "Incomplete",
    "LabelClass",
    "LabeledImage",
    "LabeledTask",
    "Line",
    "Point",
    "Polygon",
    "Rectangle",
    "Segmentation",
    "Shape",
    "class_types",
    "parse_image",
    "parse_task",
    "to_payload",
    "to_prediction",
]
