"""COCO files as label values, and label values as COCO files.

`read` returns values and what the service cannot hold; `write` writes a file and returns what COCO
cannot hold. Masks need the extra ``formats``. In reading order:

* `_objects`: JSON, and the PNGs of panoptic files, as categories and objects
* `_reading`: files joined by image and converted to values; the label configuration for them
* `_writing`: values converted to COCO and written; the body of the official SDK
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.formats.coco._reading import label_config as label_config, read as read
from datagym_async.formats.coco._writing import (
    CocoDocument as CocoDocument,
    sdk_items as sdk_items,
    to_document as to_document,
    write as write,
)

publish(globals())
