"""Upload images in bulk: plan, screen, send, settle, report."""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.uploads._config import UploadConfig
from datagym_async.uploads._dry_run import DryRun, PlannedUpload, PlanSummary
from datagym_async.uploads._events import (
    DatasetCreated,
    ItemSettled,
    LimitChanged,
    Paused,
    RunEnded,
    RunStarted,
    UploadEvent,
)
from datagym_async.uploads._uploader import Uploader
from datagym_async.uploads._values import (
    DatasetShare,
    Double,
    Mismatch,
    Outcome,
    UploadItem,
    UploadProgress,
    UploadReport,
    UploadResult,
)
from datagym_async.uploads.plan._jobs import JobSummary, clean_jobs, list_jobs, show_job
from datagym_async.uploads.plan._journal import jobs_folder
from datagym_async.uploads.sources._failed import failed_items
from datagym_async.uploads.sources._leaves import Source
from datagym_async.uploads.sources._watch import FolderWatch

__all__ = [
    "DatasetCreated",
    "DatasetShare",
    "Double",
    "DryRun",
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

publish(globals())
