"""Download datasets and projects into folders.

In reading order:

* `_downloader`: the `Downloader`, a run of the engine from the listing to the labels; the listing
  of the service, and the project of a dataset.
* `_values`: its options, results, progress, report and events, and their tally.
* `_plan`: which file each media gets.
* `_manifest`: the state of a folder, and its export.
* `_prefix`: a prefix in an object store instead of a folder.
* `_fetching`: downloads one media into its file, or into a shard of samples, which is a tar.
* `_labels`: labels and bitmaps beside the media.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.downloads._values import (
    DownloadConfig as DownloadConfig,
    DownloadEnded as DownloadEnded,
    DownloadEvent as DownloadEvent,
    DownloadOutcome as DownloadOutcome,
    DownloadProgress as DownloadProgress,
    DownloadReport as DownloadReport,
    DownloadResult as DownloadResult,
    DownloadStarted as DownloadStarted,
    MediaSettled as MediaSettled,
)
from datagym_async.downloads._downloader import Downloader as Downloader

publish(globals())
