"""Converters between label values and files of other formats.

In reading order:

* `_losses`: the result of a conversion: `Conversion`, `LossReport` with its kinds, `FormatError`;
  names made valid for a target
* `_raw`: the results of readers; `_masks`: masks to outlines with holes and back, pixel for pixel,
  and to the outlines of the official SDK, for people who move from it
* `_classes`: keys by name, and names in a label configuration; `_mapping`: how classes and shapes
  are mapped (`LabelMapping`), and their places in a configuration; `_labelled`: label values
* `_writing`: label values as files of any format; `_label_texts`: the texts in these; `_written`:
  classes with their numbers, objects; `_splits`: the part of an image
* `_reading`: what all readers share; `_reading_lines`: label files of YOLO and DOTA, and KITTI;
  `_reading_yolo`: datasets of YOLO and DOTA; `_reading_xml`: Pascal VOC and CVAT; `_reading_json`:
  LabelMe and Labelbox
* `_table`: the table of formats, their detection, and reading any of them
* `coco/`: COCO, both ways, and the label configuration that its labels need
* `_prediction_files`: files in all formats of an import, and their media

Everything blocks, except the iteration of a `PredictionFile`: callers with an event loop use
`asyncio.to_thread`.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.formats._classes import service_key as service_key
from datagym_async.formats._losses import (
    Conversion as Conversion,
    FormatError as FormatError,
    Loss as Loss,
    LossKind as LossKind,
    LossReport as LossReport,
)
from datagym_async.formats._mapping import By as By, LabelMapping as LabelMapping, Shape as Shape
from datagym_async.formats._prediction_files import (
    Matching as Matching,
    PredictionFile as PredictionFile,
    match as match,
)
from datagym_async.formats._raw import Category as Category
from datagym_async.formats._splits import shares_of as shares_of, split_of as split_of
from datagym_async.formats._table import (
    FORMATS as FORMATS,
    FormatInfo as FormatInfo,
    FormatName as FormatName,
    label_config as label_config,
    read as read,
    sniff as sniff,
)
from datagym_async.formats._writing import (
    Placing as Placing,
    WrittenFormat as WrittenFormat,
    write as write,
)
from datagym_async.formats._written import classes_from as classes_from

publish(globals())
