"""The values of the service, as frozen objects. Nothing here does I/O.

In reading order:

* `_basics`: the service's words, its instants, and what long or secret fields look like
* `_names`: names of media: as they travel, and which of them the service holds for one
* `_media`: datasets and media
* `_projects`: projects and their label configurations
* `_tasks`: labelling tasks and the label values in them
* `_ids`: what may stand for an id of each noun
"""

from __future__ import annotations

from datagym_async._public import publish
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
from datagym_async.models._ids import (
    ConfigId,
    DatasetId,
    EntryId,
    MediaId,
    ProjectId,
    TaskId,
    ValueId,
)
from datagym_async.models._media import Dataset, DatasetMedia, Media, UrlResult
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
    "ConfigId",
    "ConfigStakes",
    "Dataset",
    "DatasetId",
    "DatasetMedia",
    "EntryId",
    "EntryType",
    "FrameType",
    "LabelConfiguration",
    "LabelEntry",
    "LabelIteration",
    "LabelValue",
    "Media",
    "MediaId",
    "MediaInvalidReason",
    "MediaSourceType",
    "MediaType",
    "OpenEnum",
    "PointRing",
    "PreLabelState",
    "Project",
    "ProjectDataset",
    "ProjectId",
    "StoredPoint",
    "Task",
    "TaskDetail",
    "TaskId",
    "TaskState",
    "TaskType",
    "UrlResult",
    "UrlStatus",
    "ValueChange",
    "ValueId",
]

publish(globals())
