"""Labels as values, and label configurations: pure, without any I/O.

In reading order:

* `_values`: shapes, and the labels of an image and of a task; `_video`: those of a video
* `_geometry`: shapes cut off at the edges of their image, and scaled with it
* `_json`: checks of the kinds of JSON values, and the error that says where one is wrong
* `_payload_annotations`: answers, shapes and annotations, read and written
* `_payload`: classes, images, tasks, videos and whole exports, read and written
* `_config_entries`: entries of a label configuration, put together or read from JSON values
* `_config_rules`: what a label configuration must obey
* `_config_yaml`: a label configuration read from YAML
* `_config`: `LabelConfig`, and what differs between two of them
* `_check`, `_check_parts`: would the service store a prediction as meant?
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.labels._check import Prepared, check_prediction, prepare_prediction
from datagym_async.labels._check_parts import Finding, Severity
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
    parse_video,
    to_payload,
    to_prediction,
    to_video_payload,
    with_keys,
)
from datagym_async.labels._values import (
    Annotation,
    Bounds,
    Classification,
    Incomplete,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
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

publish(globals())
