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

# ruff: noqa: F403 -- of these packages all that they export can be imported from here as well
if TYPE_CHECKING:
    __all__: list[str]
    from datagym_async._client import DataGymClient as DataGymClient, RawAnswer as RawAnswer
    from datagym_async._limits import (
        LimiterState as LimiterState,
        SessionStatistics as SessionStatistics,
    )
    from datagym_async._retry import RetryPolicy as RetryPolicy
    from datagym_async._transport import Timeout as Timeout
    from datagym_async._version import __version__ as __version__
    from datagym_async.data import *
    from datagym_async.downloads import *
    from datagym_async.exceptions import *
    from datagym_async.exports import *
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
    from datagym_async.models import *
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
    from datagym_async.uploads import *
else:
    __getattr__, __dir__, __all__ = when_asked(
        __name__,
        _client="DataGymClient RawAnswer",
        _limits="LimiterState SessionStatistics",
        _retry="RetryPolicy",
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
            "ExportFormat ExportProgress"
        ),
        imports="ImportedLabels",
        labels=(
            "Annotation Classification ConfigDiff ConfigEntry Incomplete Keyframe LabelClass "
            "LabelConfig LabeledImage LabeledTask LabelExport Line Point Polygon Rectangle "
            "Segmentation VideoLabels VideoObject"
        ),
        models=(
            "AiSegResult CompleteResult ConfigBackup ConfigId ConfigStakes Dataset DatasetId "
            "DatasetMedia EntryId EntryType FrameType LabelConfiguration LabelEntry "
            "LabelIteration LabelValue Media MediaId MediaInvalidReason MediaSourceType MediaType "
            "OpenEnum PointRing PreLabelState Project ProjectDataset ProjectId StoredPoint Task "
            "TaskDetail TaskId TaskState TaskType UrlResult UrlStatus ValueChange ValueId"
        ),
        resources=(
            "ImportOutcome ImportRemark ImportReport ImportResult TaskOutcome TasksReport "
            "ValueOutcome WriteReport"
        ),
        uploads=(
            "DatasetCreated DatasetShare Double DryRun FolderWatch ItemSettled JobSummary "
            "LimitChanged Mismatch Outcome Paused PlanSummary PlannedUpload RunEnded RunStarted "
            "Source UploadConfig UploadEvent UploadItem UploadProgress UploadReport UploadResult "
            "Uploader clean_jobs failed_items jobs_folder list_jobs show_job"
        ),
        formats="",
        look="",
        server="",
        testing="",
    )
