"""YOLO, Pascal VOC and other formats as label values, and label values as these, by labelformat.

It needs the extra ``formats``. COCO, which knows more, has a package of its own.

* `_formats`: the table of formats: what reads and writes each, and what it can hold
* `_reading`: from what labelformat reads to label values
* `_writing`: from label values to what labelformat writes
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.formats.convert._formats import FORMATS, FormatInfo, FormatName
from datagym_async.formats.convert._reading import read
from datagym_async.formats.convert._writing import write

__all__ = ["FORMATS", "FormatInfo", "FormatName", "read", "write"]

publish(globals())
