"""What all bulk jobs share, without knowledge of uploads or downloads.

In reading order:

* `_engine`: `BulkRun`, one feeder and N workers between two queues, and when a run ends; what jobs
  and the loader need from the resources below them.
* `_options`: checks of options, and the limits at which a run ends.
* `_text`: texts for counts and sizes; the tally and the report of a run.
* `_disk`: reading, locking, and putting files in their places; journals and manifests as databases:
  used by one thread at a time, sealed, checked.
* `_stores`: object stores, and what their errors mean.
* `_images`: decodes images with Pillow, and prepares them before they are sent.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._public import when_asked

if TYPE_CHECKING:
    from datagym_async._runs._disk import Database, HashedPart, lock_path
    from datagym_async._runs._engine import BulkRun, is_fatal
    from datagym_async._runs._images import Findings, decode
    from datagym_async._runs._options import DRAIN_SECONDS, Stops
    from datagym_async._runs._stores import Stores
    from datagym_async._runs._text import counted, csv_cells, plain_cell, share_of_bytes, size
else:
    __getattr__, __dir__, _ = when_asked(
        __name__,
        _disk="Database HashedPart lock_path",
        _engine="BulkRun is_fatal",
        _images="Findings decode",
        _options="DRAIN_SECONDS Stops",
        _stores="Stores",
        _text="counted csv_cells plain_cell share_of_bytes size",
    )
