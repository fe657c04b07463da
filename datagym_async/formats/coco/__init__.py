"""COCO: all that its files hold as label values, and label values as COCO.

`read` gives values and a report of what the service cannot hold, `write` a file and a report of
what COCO cannot hold. Masks need the extra ``formats``. In reading order:

* `_objects`: JSON as categories and objects, each part of them for itself; `_panoptic`: those of
  PNGs
* `_reading`: files joined by image, converted to values; the label configuration these need
* `_writing`: values converted to objects of COCO, and written; the body that the official SDK sends
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.formats.coco._reading import label_config, read
from datagym_async.formats.coco._writing import CocoDocument, sdk_items, to_document, write

__all__ = [
    "CocoDocument",
    "label_config",
    "read",
    "sdk_items",
    "to_document",
    "write",
]

publish(globals())
