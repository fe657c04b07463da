"""Labels as values, and label configurations: pure, without any I/O."""

from __future__ import annotations

from datagym_async.labels._check import Prepared, check_prediction, prepare_prediction
from datagym_async.labels._check_answers import Finding, Severity
from datagym_async.labels._config import ConfigDiff, EntryChange, LabelConfig, diff
from datagym_async.labels._config_entries import ConfigEntry, EntryHandle, EntryLike
from datagym_async.labels._payload import (
    ExportReader,
    LabelClass,
    LabelExport,
    class_types,
    parse_export,
    parse_image,
    parse_task,
    to_payload,
    to_prediction,
)
from datagym_async.labels._payload_video import parse_video, to_video_payload, with_keys
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
from datagym_async.labels._video import FrameRange, Keyframe, VideoLabels, VideoObject

__all__ = [
    "Annotation",
    "Bounds",
    "Classification",
    "ConfigDiff",
    "ConfigEntry",
    "EntryChange",
    "EntryHandle",
    "EntryLike",
    "ExportReader",
    "Finding",
    "FrameRange",
    "Incomplete",
    "Keyframe",
    "LabelClass",
    "LabelConfig",
    "LabelExport",
    "LabeledImage",
    "LabeledTask",
    "Line",
    "Point",
    "Polygon",
    "Prepared",
    "Rectangle",
    "Segmentation",
    "Severity",
    "Shape",
    "VideoLabels",
    "VideoObject",
    "check_prediction",
    "class_types",
    "diff",
    "parse_export",
    "parse_image",
    "parse_task",
    "parse_video",
    "prepare_prediction",
    "to_payload",
    "to_prediction",
    "to_video_payload",
    "with_keys",
]
