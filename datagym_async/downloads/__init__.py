"""Download datasets and projects into folders."""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.downloads._config import DownloadConfig
from datagym_async.downloads._downloader import Downloader
from datagym_async.downloads._report import (
    DownloadOutcome,
    DownloadProgress,
    DownloadReport,
    DownloadResult,
)

__all__ = [
    "DownloadConfig",
    "DownloadOutcome",
    "DownloadProgress",
    "DownloadReport",
    "DownloadResult",
    "Downloader",
]

publish(globals())
