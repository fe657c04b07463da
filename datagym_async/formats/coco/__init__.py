"""COCO: instances, captions and keypoints as label values, and label values as COCO.

`read` gives values and a report of what the service cannot hold, `write` a file and a report of
what COCO cannot hold. `CocoMapping` says what becomes what, `label_config` makes the label
configuration that the values need. Masks need the extra ``formats``.
"""

from __future__ import annotations

from datagym_async.formats.coco._config import label_config
from datagym_async.formats.coco._mapping import CocoCategory, CocoMapping
from datagym_async.formats.coco._reading import read
from datagym_async.formats.coco._sdk import sdk_items
from datagym_async.formats.coco._writing import CocoDocument, to_document, write

__all__ = [
    "CocoCategory",
    "CocoDocument",
    "CocoMapping",
    "label_config",
    "read",
    "sdk_items",
    "to_document",
    "write",
]
