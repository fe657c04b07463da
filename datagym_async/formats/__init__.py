"""Converters between label values and other formats.

Pure but for the files that they read and write; all of it blocks, so that callers with an event
loop use `asyncio.to_thread`. `formats.coco` reads and writes COCO, `formats.convert` other formats.
Each conversion returns a `LossReport`.
"""

from __future__ import annotations

from datagym_async.formats._conversion import Conversion
from datagym_async.formats._errors import FormatError
from datagym_async.formats._keys import service_key
from datagym_async.formats._losses import Loss, LossKind, LossReport
from datagym_async.formats._matching import Matching, match

__all__ = [
    "Conversion",
    "FormatError",
    "Loss",
    "LossKind",
    "LossReport",
    "Matching",
    "match",
    "service_key",
]
