"""Converters between label values and files of other formats.

In reading order:

* `_losses`: the result of a conversion: `Conversion`, `LossReport` with its kinds, `FormatError`;
  names made valid for a target
* `_raw`: the results of readers; `_masks`: masks to outlines with holes and back, pixel for pixel
* `_classes`: keys by name, and names in a label configuration; `_mapping`: how classes and shapes
  are mapped (`LabelMapping`), and their places in a configuration; `_labelled`: label values;
  `_sdk`: results of the official SDK, for people who move from it
* `_writing`: label values as files of any format; `_label_texts`: the texts in these; `_written`:
  classes with their numbers, objects; `_splits`: the part of an image
* `_reading`: what all readers share; `_reading_lines`: YOLO; `_reading_kitti`: KITTI;
  `_reading_xml`: Pascal VOC and CVAT; `_reading_json`: LabelMe and Labelbox
* `_table`: the table of formats, their detection, and reading any of them
* `coco/`: COCO, both ways, and the label configuration that its labels need
* `_prediction_files`: files in all formats of an import, and their media

Everything blocks, except the iteration of a `PredictionFile`: callers with an event loop use
`asyncio.to_thread`.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.formats._classes import service_key
from datagym_async.formats._losses import Conversion, FormatError, Loss, LossKind, LossReport
from datagym_async.formats._mapping import By, LabelMapping, Shape
from datagym_async.formats._prediction_files import Matching, PredictionFile, match
from datagym_async.formats._raw import Category
from datagym_async.formats._splits import shares_of, split_of
from datagym_async.formats._table import FORMATS, FormatInfo, FormatName, label_config, read, sniff
from datagym_async.formats._writing import Placing, WrittenFormat, write
from datagym_async.formats._written import classes_from

__all__ = [
    "FORMATS",
    "By",
    "Category",
    "Conversion",
    "FormatError",
    "FormatInfo",
    "FormatName",
    "LabelMapping",
    "Loss",
    "LossKind",
    "LossReport",
    "Matching",
    "Placing",
    "PredictionFile",
    "Shape",
    "WrittenFormat",
    "classes_from",
    "label_config",
    "match",
    "read",
    "service_key",
    "shares_of",
    "sniff",
    "split_of",
    "write",
]

publish(globals())
