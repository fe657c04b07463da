"""Download datasets and projects into folders.

In reading order:

* `_downloader`: the `Downloader`, a run of the engine from the listing to the labels.
* `_config`, `_report`, `_events`: its options; results, progress, report and the tally behind them;
  what a listener is told.
* `_listing`: what the service lists, and the project that a dataset belongs to.
* `_plan`: which file each media gets.
* `_manifest`: the state of a folder, and what is written out of it.
* `_prefix`, `_shards`: a prefix in an object store, or tars, in place of a folder.
* `_fetching`: one media, from where its bytes lie into its file.
* `_labels`: labels and bitmaps beside the media.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.downloads._config import DownloadConfig
from datagym_async.downloads._downloader import Downloader
from datagym_async.downloads._events import (
    DownloadEnded,
    DownloadEvent,
    DownloadStarted,
    MediaSettled,
)
from datagym_async.downloads._report import (
    DownloadOutcome,
    DownloadProgress,
    DownloadReport,
    DownloadResult,
)

__all__ = [
    "DownloadConfig",
    "DownloadEnded",
    "DownloadEvent",
    "DownloadOutcome",
    "DownloadProgress",
    "DownloadReport",
    "DownloadResult",
    "DownloadStarted",
    "Downloader",
    "MediaSettled",
]

publish(globals())
