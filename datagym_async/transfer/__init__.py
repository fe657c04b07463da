"""Whole jobs on resources: bulk uploader and downloader, their plans, progress and reports."""

from datagym_async.transfer._bitmap_jobs import BitmapSample, BitmapStream
from datagym_async.transfer._bitmaps import Bitmap, BitmapReport, BitmapResult
from datagym_async.transfer._config import UploadConfig
from datagym_async.transfer._download_config import DownloadConfig
from datagym_async.transfer._download_items import (
    DownloadOutcome,
    DownloadProgress,
    DownloadResult,
)
from datagym_async.transfer._download_report import DownloadReport
from datagym_async.transfer._downloader import Downloader
from datagym_async.transfer._dry_run import DryRun, PlannedUpload, PlanSummary
from datagym_async.transfer._events import (
    DatasetCreated,
    ItemSettled,
    LimitChanged,
    Paused,
    RunEnded,
    RunStarted,
    UploadEvent,
)
from datagym_async.transfer._export import ExportedLabels, ExportFormat, ExportProgress
from datagym_async.transfer._failed import failed_items
from datagym_async.transfer._items import Outcome, UploadItem, UploadProgress, UploadResult
from datagym_async.transfer._jobs import (
    JobSummary,
    clean_jobs,
    jobs_folder,
    list_jobs,
    show_job,
)
from datagym_async.transfer._report import Double, UploadReport
from datagym_async.transfer._sources import Source
from datagym_async.transfer._target import DatasetShare
from datagym_async.transfer._uploader import Uploader
from datagym_async.transfer._verify import Mismatch
from datagym_async.transfer._watch import FolderWatch

__all__ = [
    "Bitmap",
    "BitmapReport",
    "BitmapResult",
    "BitmapSample",
    "BitmapStream",
    "DatasetCreated",
    "DatasetShare",
    "Double",
    "DownloadConfig",
    "DownloadOutcome",
    "DownloadProgress",
    "DownloadReport",
    "DownloadResult",
    "Downloader",
    "DryRun",
    "ExportFormat",
    "ExportProgress",
    "ExportedLabels",
    "FolderWatch",
    "ItemSettled",
    "JobSummary",
    "LimitChanged",
    "Mismatch",
    "Outcome",
    "Paused",
    "PlanSummary",
    "PlannedUpload",
    "RunEnded",
    "RunStarted",
    "Source",
    "UploadConfig",
    "UploadEvent",
    "UploadItem",
    "UploadProgress",
    "UploadReport",
    "UploadResult",
    "Uploader",
    "clean_jobs",
    "failed_items",
    "jobs_folder",
    "list_jobs",
    "show_job",
]
