"""Whole jobs on resources: the bulk uploader, its plan, its progress and its report."""

from datagym_async.transfer._config import UploadConfig
from datagym_async.transfer._items import Outcome, UploadItem, UploadProgress, UploadResult
from datagym_async.transfer._report import UploadReport
from datagym_async.transfer._sources import Source
from datagym_async.transfer._uploader import Uploader

__all__ = [
    "Outcome",
    "Source",
    "UploadConfig",
    "UploadItem",
    "UploadProgress",
    "UploadReport",
    "UploadResult",
    "Uploader",
]
