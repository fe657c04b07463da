"""Labels as values, and label configurations: pure, without any I/O.

In reading order:

* `_values`: shapes, and the labels of an image and of a task; `_video`: those of a video
* `_geometry`: shapes cut off at the edges of their image, and scaled with it
* `_payload_annotations`: answers, shapes and annotations, read and written
* `_payload`: classes, images, tasks, videos and whole exports, read and written
* `_config_entries`: entries of a label configuration, put together or read from JSON values
* `_config_yaml`: a label configuration read from YAML
* `_config`: `LabelConfig`, what it must obey, and what differs between two of them
* `_check`, `_check_parts`: would the service store a prediction as meant?
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.labels._check import (
    Prepared as Prepared,
    check_prediction as check_prediction,
    prepare_prediction as prepare_prediction,
)
from datagym_async.labels._check_parts import Finding as Finding, Severity as Severity
from datagym_async.labels._config import (
    ConfigDiff as ConfigDiff,
    EntryChange as EntryChange,
    LabelConfig as LabelConfig,
    diff as diff,
)
from datagym_async.labels._config_entries import (
    ConfigEntry as ConfigEntry,
    EntryHandle as EntryHandle,
    EntryLike as EntryLike,
)
from datagym_async.labels._payload import (
    ExportReader as ExportReader,
    LabelClass as LabelClass,
    LabelExport as LabelExport,
    class_types as class_types,
    parse_export as parse_export,
    parse_image as parse_image,
    parse_task as parse_task,
    parse_video as parse_video,
    to_payload as to_payload,
    to_prediction as to_prediction,
    to_video_payload as to_video_payload,
    with_keys as with_keys,
)
from datagym_async.labels._values import (
    Annotation as Annotation,
    Bounds as Bounds,
    Classification as Classification,
    Incomplete as Incomplete,
    LabeledImage as LabeledImage,
    LabeledTask as LabeledTask,
    Line as Line,
    Point as Point,
    Polygon as Polygon,
    Rectangle as Rectangle,
    Segmentation as Segmentation,
    Shape as Shape,
)
from datagym_async.labels._video import (
    FrameRange as FrameRange,
    Keyframe as Keyframe,
    VideoLabels as VideoLabels,
    VideoObject as VideoObject,
)

publish(globals())
