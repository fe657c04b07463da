"""Export labels and bitmaps into files."""

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
