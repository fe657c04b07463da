"""Export labels and bitmaps into files.

* `_label_files`: the labels of a project, in one of the formats there are, and their images.
* `_tasks`: which tasks those are, and their labels: as an export has them, or exact.
* `_bitmaps`: its segmentation bitmaps, into a folder or as arrays.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.exports._bitmaps import (
    Bitmap,
    BitmapReport,
    BitmapResult,
    BitmapSample,
    BitmapStream,
)
from datagym_async.exports._label_files import ExportedLabels, ExportFormat, ExportProgress

__all__ = [
    "Bitmap",
    "BitmapReport",
    "BitmapResult",
    "BitmapSample",
    "BitmapStream",
    "ExportFormat",
    "ExportProgress",
    "ExportedLabels",
]

publish(globals())
