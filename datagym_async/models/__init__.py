"""The values of the service, as frozen objects. Nothing here does I/O."""

from __future__ import annotations

from datagym_async.models._basics import (
    EntryType,
    FrameType,
    MediaInvalidReason,
    MediaSourceType,
    MediaType,
    OpenEnum,
    PreLabelState,
    TaskState,
    TaskType,
    UrlStatus,
)
from datagym_async.models._media import (
    Dataset,
    DatasetMedia,
    Media,
    UrlResult,
)
from datagym_async.models._projects import (
    ConfigBackup,
    ConfigStakes,
    LabelConfiguration,
    LabelEntry,
    Project,
    ProjectDataset,
)
from datagym_async.models._tasks import (
    AiSegResult,
    CompleteResult,
    LabelIteration,
    LabelValue,
    PointRing,
    StoredPoint,
    Task,
    TaskDetail,
    ValueChange,
)

__all__ = [
    "AiSegResult",
    "CompleteResult",
    "ConfigBackup",
    "ConfigStakes",
    "Dataset",
    "DatasetMedia",
    "EntryType",
    "FrameType",
    "LabelConfiguration",
    "LabelEntry",
    "LabelIteration",
    "LabelValue",
    "Media",
    "MediaInvalidReason",
    "MediaSourceType",
    "MediaType",
    "OpenEnum",
    "PointRing",
    "PreLabelState",
    "Project",
    "ProjectDataset",
    "StoredPoint",
    "Task",
    "TaskDetail",
    "TaskState",
    "TaskType",
    "UrlResult",
    "UrlStatus",
    "ValueChange",
]
