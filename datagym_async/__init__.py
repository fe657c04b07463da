"""The asyncio-native Python client for the DataGym image-annotation platform.

Start with `DataGymClient`::

    async with DataGymClient(token="...") as client:
        report = await client.upload(dataset_id, "photos/")

The values of the service are in `datagym_async.models`, labels and their shapes in
`datagym_async.labels`, errors in `datagym_async.exceptions`; they can be imported from here as
well. `datagym_async.formats` converts labels from and to files of other formats.
`datagym_async.server` is a compatible service for tests and offline work, `datagym_async.testing`
makes it fail on demand.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: F401 -- annotations of what is exported name it
from typing import TYPE_CHECKING

from datagym_async._public import when_asked

if TYPE_CHECKING:
    from datagym_async._client import DataGymClient, RawAnswer
    from datagym_async._limits import LimiterState
    from datagym_async._retry import RetryPolicy
    from datagym_async._session import SessionStatistics
    from datagym_async._transport import Timeout
    from datagym_async._version import __version__
    from datagym_async.data import DatasetLoader, LoaderConfig, Sample
    from datagym_async.downloads import (
        DownloadConfig,
        DownloadEnded,
        Downloader,
        DownloadEvent,
        DownloadOutcome,
        DownloadProgress,
        DownloadReport,
        DownloadResult,
        DownloadStarted,
        MediaSettled,
    )
    from datagym_async.exceptions import (
        AlreadyExistsError,
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ClientClosedError,
        ConfigurationError,
        ConflictError,
        DataGymError,
        ErrorDetail,
        FileChangedError,
        FileWriteError,
        InternalServerError,
        LabelConfigError,
        LimitReachedError,
        NotFoundError,
        PayloadTooLargeError,
        PermissionDeniedError,
        RateLimitError,
        RequestRefusedError,
        ServiceUnavailableError,
        StoreError,
        TransferError,
    )
    from datagym_async.exports import (
        Bitmap,
        BitmapReport,
        BitmapResult,
        BitmapSample,
        BitmapStream,
        ExportedLabels,
        ExportProgress,
    )
    from datagym_async.imports import ImportedLabels
    from datagym_async.labels import (
        Annotation,
        Classification,
        ConfigDiff,
        ConfigEntry,
        Incomplete,
        Keyframe,
        LabelClass,
        LabelConfig,
        LabeledImage,
        LabeledTask,
        LabelExport,
        Line,
        Point,
        Polygon,
        Rectangle,
        Segmentation,
        VideoLabels,
        VideoObject,
    )
    from datagym_async.models import (
        AiSegResult,
        CompleteResult,
        ConfigBackup,
        ConfigStakes,
        Dataset,
        DatasetMedia,
        EntryType,
        FrameType,
        LabelConfiguration,
        LabelEntry,
        LabelIteration,
        LabelValue,
        Media,
        MediaInvalidReason,
        MediaSourceType,
        MediaType,
        OpenEnum,
        PointRing,
        PreLabelState,
        Project,
        ProjectDataset,
        StoredPoint,
        Task,
        TaskDetail,
        TaskState,
        TaskType,
        UrlResult,
        UrlStatus,
        ValueChange,
    )
    from datagym_async.resources import (
        ImportOutcome,
        ImportRemark,
        ImportReport,
        ImportResult,
        TaskOutcome,
        TasksReport,
        ValueOutcome,
        WriteReport,
    )
    from datagym_async.uploads import (
        DatasetCreated,
        DatasetShare,
        Double,
        DryRun,
        FolderWatch,
        ItemSettled,
        JobSummary,
        LimitChanged,
        Mismatch,
        Outcome,
        Paused,
        PlannedUpload,
        PlanSummary,
        RunEnded,
        RunStarted,
        UploadConfig,
        Uploader,
        UploadEvent,
        UploadItem,
        UploadProgress,
        UploadReport,
        UploadResult,
        clean_jobs,
        failed_items,
        jobs_folder,
        list_jobs,
        show_job,
    )
else:
    __getattr__, __dir__ = when_asked(
        __name__,
        _client="DataGymClient RawAnswer",
        _limits="LimiterState",
        _retry="RetryPolicy",
        _session="SessionStatistics",
        _transport="Timeout",
        _version="__version__",
        data="DatasetLoader LoaderConfig Sample",
        downloads=(
            "DownloadConfig DownloadEnded Downloader DownloadEvent DownloadOutcome "
            "DownloadProgress DownloadReport DownloadResult DownloadStarted MediaSettled"
        ),
        exceptions=(
            "AlreadyExistsError APIConnectionError APIError APIResponseValidationError "
            "APIStatusError APITimeoutError AuthenticationError BadRequestError "
            "ClientClosedError ConfigurationError ConflictError DataGymError ErrorDetail "
            "FileChangedError FileWriteError InternalServerError LabelConfigError "
            "LimitReachedError NotFoundError PayloadTooLargeError PermissionDeniedError "
            "RateLimitError RequestRefusedError ServiceUnavailableError StoreError TransferError"
        ),
        exports=(
            "Bitmap BitmapReport BitmapResult BitmapSample BitmapStream ExportedLabels "
            "ExportProgress"
        ),
        imports="ImportedLabels",
        labels=(
            "Annotation Classification ConfigDiff ConfigEntry Incomplete Keyframe LabelClass "
            "LabelConfig LabeledImage LabeledTask LabelExport Line Point Polygon Rectangle "
            "Segmentation VideoLabels VideoObject"
        ),
        models=(
            "AiSegResult CompleteResult ConfigBackup ConfigStakes Dataset DatasetMedia "
            "EntryType FrameType LabelConfiguration LabelEntry LabelIteration LabelValue "
            "Media MediaInvalidReason MediaSourceType MediaType OpenEnum PointRing "
            "PreLabelState Project ProjectDataset StoredPoint Task TaskDetail TaskState "
            "TaskType UrlResult UrlStatus ValueChange"
        ),
        resources=(
            "ImportOutcome ImportRemark ImportReport ImportResult TaskOutcome TasksReport "
            "ValueOutcome WriteReport"
        ),
        uploads=(
            "DatasetCreated DatasetShare Double DryRun FolderWatch ItemSettled JobSummary "
            "LimitChanged Mismatch Outcome Paused PlannedUpload PlanSummary RunEnded "
            "RunStarted UploadConfig Uploader UploadEvent UploadItem UploadProgress "
            "UploadReport UploadResult clean_jobs failed_items jobs_folder list_jobs show_job"
        ),
        formats="",
        look="",
        server="",
        testing="",
    )

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AiSegResult",
    "AlreadyExistsError",
    "Annotation",
    "AuthenticationError",
    "BadRequestError",
    "Bitmap",
    "BitmapReport",
    "BitmapResult",
    "BitmapSample",
    "BitmapStream",
    "Classification",
    "ClientClosedError",
    "CompleteResult",
    "ConfigBackup",
    "ConfigDiff",
    "ConfigEntry",
    "ConfigStakes",
    "ConfigurationError",
    "ConflictError",
    "DataGymClient",
    "DataGymError",
    "Dataset",
    "DatasetCreated",
    "DatasetLoader",
    "DatasetMedia",
    "DatasetShare",
    "Double",
    "DownloadConfig",
    "DownloadEnded",
    "DownloadEvent",
    "DownloadOutcome",
    "DownloadProgress",
    "DownloadReport",
    "DownloadResult",
    "DownloadStarted",
    "Downloader",
    "DryRun",
    "EntryType",
    "ErrorDetail",
    "ExportProgress",
    "ExportedLabels",
    "FileChangedError",
    "FileWriteError",
    "FolderWatch",
    "FrameType",
    "ImportOutcome",
    "ImportRemark",
    "ImportReport",
    "ImportResult",
    "ImportedLabels",
    "Incomplete",
    "InternalServerError",
    "ItemSettled",
    "JobSummary",
    "Keyframe",
    "LabelClass",
    "LabelConfig",
    "LabelConfigError",
    "LabelConfiguration",
    "LabelEntry",
    "LabelExport",
    "LabelIteration",
    "LabelValue",
    "LabeledImage",
    "LabeledTask",
    "LimitChanged",
    "LimitReachedError",
    "LimiterState",
    "Line",
    "LoaderConfig",
    "Media",
    "MediaInvalidReason",
    "MediaSettled",
    "MediaSourceType",
    "MediaType",
    "Mismatch",
    "NotFoundError",
    "OpenEnum",
    "Outcome",
    "Paused",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PlanSummary",
    "PlannedUpload",
    "Point",
    "PointRing",
    "Polygon",
    "PreLabelState",
    "Project",
    "ProjectDataset",
    "RateLimitError",
    "RawAnswer",
    "Rectangle",
    "RequestRefusedError",
    "RetryPolicy",
    "RunEnded",
    "RunStarted",
    "Sample",
    "Segmentation",
    "ServiceUnavailableError",
    "SessionStatistics",
    "StoreError",
    "StoredPoint",
    "Task",
    "TaskDetail",
    "TaskOutcome",
    "TaskState",
    "TaskType",
    "TasksReport",
    "Timeout",
    "TransferError",
    "UploadConfig",
    "UploadEvent",
    "UploadItem",
    "UploadProgress",
    "UploadReport",
    "UploadResult",
    "Uploader",
    "UrlResult",
    "UrlStatus",
    "ValueChange",
    "ValueOutcome",
    "VideoLabels",
    "VideoObject",
    "WriteReport",
    "__version__",
    "clean_jobs",
    "failed_items",
    "jobs_folder",
    "list_jobs",
    "show_job",
]
