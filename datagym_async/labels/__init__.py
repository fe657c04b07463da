"""Labels as values, and label configurations: pure, without any I/O."""

from __future__ import annotations

from datagym_async.labels._config import LabelConfig
from datagym_async.labels._config_building import EntryHandle
from datagym_async.labels._config_diff import ConfigDiff, EntryChange, diff
from datagym_async.labels._config_entries import ConfigEntry, EntryLike
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
    "ConfigDiff",
    "ConfigEntry",
    "EntryChange",
    "EntryHandle",
    "EntryLike",
    "Incomplete",
    "LabelConfig",
    "LabeledImage",
    "LabeledTask",
    "Line",
    "Point",
    "Polygon",
    "Rectangle",
    "Segmentation",
    "Shape",
    "diff",
]
