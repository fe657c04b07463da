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
    __all__: list[str]
    from datagym_async._client import DataGymClient as DataGymClient, RawAnswer as RawAnswer
    from datagym_async._limits import LimiterState as LimiterState
    from datagym_async._retry import RetryPolicy as RetryPolicy
    from datagym_async._session import SessionStatistics as SessionStatistics
    from datagym_async._transport import Timeout as Timeout
    from datagym_async._version import __version__ as __version__
    from datagym_async.data import (
        DatasetLoader as DatasetLoader,
        LoaderConfig as LoaderConfig,
        Sample as Sample,
    )
    from datagym_async.downloads import (
        DownloadConfig as DownloadConfig,
        DownloadEnded as DownloadEnded,
        Downloader as Downloader,
        DownloadEvent as DownloadEvent,
        DownloadOutcome as DownloadOutcome,
        DownloadProgress as DownloadProgress,
        DownloadReport as DownloadReport,
        DownloadResult as DownloadResult,
        DownloadStarted as DownloadStarted,
        MediaSettled as MediaSettled,
    )
    from datagym_async.exceptions import (
        AlreadyExistsError as AlreadyExistsError,
        APIConnectionError as APIConnectionError,
        APIError as APIError,
        APIResponseValidationError as APIResponseValidationError,
        APIStatusError as APIStatusError,
        APITimeoutError as APITimeoutError,
        AuthenticationError as AuthenticationError,
        BadRequestError as BadRequestError,
        ClientClosedError as ClientClosedError,
        ConfigurationError as ConfigurationError,
        ConflictError as ConflictError,
        DataGymError as DataGymError,
        ErrorDetail as ErrorDetail,
        FileChangedError as FileChangedError,
        FileWriteError as FileWriteError,
        InternalServerError as InternalServerError,
        LabelConfigError as LabelConfigError,
        LimitReachedError as LimitReachedError,
        NotFoundError as NotFoundError,
        PayloadTooLargeError as PayloadTooLargeError,
        PermissionDeniedError as PermissionDeniedError,
        RateLimitError as RateLimitError,
        RequestRefusedError as RequestRefusedError,
        ServiceUnavailableError as ServiceUnavailableError,
        StoreError as StoreError,
        TransferError as TransferError,
    )
    from datagym_async.exports import (
        Bitmap as Bitmap,
        BitmapReport as BitmapReport,
        BitmapResult as BitmapResult,
        BitmapSample as BitmapSample,
        BitmapStream as BitmapStream,
        ExportedLabels as ExportedLabels,
        ExportProgress as ExportProgress,
    )
    from datagym_async.imports import ImportedLabels as ImportedLabels
    from datagym_async.labels import (
        Annotation as Annotation,
        Classification as Classification,
        ConfigDiff as ConfigDiff,
        ConfigEntry as ConfigEntry,
        Incomplete as Incomplete,
        Keyframe as Keyframe,
        LabelClass as LabelClass,
        LabelConfig as LabelConfig,
        LabeledImage as LabeledImage,
        LabeledTask as LabeledTask,
        LabelExport as LabelExport,
        Line as Line,
        Point as Point,
        Polygon as Polygon,
        Rectangle as Rectangle,
        Segmentation as Segmentation,
        VideoLabels as VideoLabels,
        VideoObject as VideoObject,
    )
    from datagym_async.models import (
        AiSegResult as AiSegResult,
        CompleteResult as CompleteResult,
        ConfigBackup as ConfigBackup,
        ConfigStakes as ConfigStakes,
        Dataset as Dataset,
        DatasetMedia as DatasetMedia,
        EntryType as EntryType,
        FrameType as FrameType,
        LabelConfiguration as LabelConfiguration,
        LabelEntry as LabelEntry,
        LabelIteration as LabelIteration,
        LabelValue as LabelValue,
        Media as Media,
        MediaInvalidReason as MediaInvalidReason,
        MediaSourceType as MediaSourceType,
        MediaType as MediaType,
        OpenEnum as OpenEnum,
        PointRing as PointRing,
        PreLabelState as PreLabelState,
        Project as Project,
        ProjectDataset as ProjectDataset,
        StoredPoint as StoredPoint,
        Task as Task,
        TaskDetail as TaskDetail,
        TaskState as TaskState,
        TaskType as TaskType,
        UrlResult as UrlResult,
        UrlStatus as UrlStatus,
        ValueChange as ValueChange,
    )
    from datagym_async.resources import (
        ImportOutcome as ImportOutcome,
        ImportRemark as ImportRemark,
        ImportReport as ImportReport,
        ImportResult as ImportResult,
        TaskOutcome as TaskOutcome,
        TasksReport as TasksReport,
        ValueOutcome as ValueOutcome,
        WriteReport as WriteReport,
    )
    from datagym_async.uploads import (
        DatasetCreated as DatasetCreated,
        DatasetShare as DatasetShare,
        Double as Double,
        DryRun as DryRun,
        FolderWatch as FolderWatch,
        ItemSettled as ItemSettled,
        JobSummary as JobSummary,
        LimitChanged as LimitChanged,
        Mismatch as Mismatch,
        Outcome as Outcome,
        Paused as Paused,
        PlannedUpload as PlannedUpload,
        PlanSummary as PlanSummary,
        RunEnded as RunEnded,
        RunStarted as RunStarted,
        UploadConfig as UploadConfig,
        Uploader as Uploader,
        UploadEvent as UploadEvent,
        UploadItem as UploadItem,
        UploadProgress as UploadProgress,
        UploadReport as UploadReport,
        UploadResult as UploadResult,
        clean_jobs as clean_jobs,
        failed_items as failed_items,
        jobs_folder as jobs_folder,
        list_jobs as list_jobs,
        show_job as show_job,
    )
else:
    __getattr__, __dir__, __all__ = when_asked(
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
