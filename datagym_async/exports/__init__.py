"""Export labels and bitmaps into files. In reading order:

* `_label_files`: the labels of a project, in one of the formats there are, and their images.
* `_tasks`: which tasks those are, and their labels: as an export has them, or exact.
* `_bitmaps`: its segmentation bitmaps, into a folder or as arrays.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.exports._bitmaps import (
    Bitmap as Bitmap,
    BitmapReport as BitmapReport,
    BitmapResult as BitmapResult,
    BitmapSample as BitmapSample,
    BitmapStream as BitmapStream,
)
from datagym_async.exports._label_files import (
    ExportedLabels as ExportedLabels,
    ExportFormat as ExportFormat,
    ExportProgress as ExportProgress,
)

publish(globals())
