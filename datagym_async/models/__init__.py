"""The values of the service, as frozen objects. Nothing here does I/O.

In reading order:

* `_basics`: the service's words, its instants, and what long or secret fields look like
* `_names`: names of media: as they travel, and which of them the service holds for one
* `_media`: datasets and their media, projects and their label configurations
* `_tasks`: labelling tasks and the label values in them
* `_ids`: what may stand for an id of each noun
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.models._basics import (
    EntryType as EntryType,
    FrameType as FrameType,
    MediaInvalidReason as MediaInvalidReason,
    MediaSourceType as MediaSourceType,
    MediaType as MediaType,
    OpenEnum as OpenEnum,
    PreLabelState as PreLabelState,
    TaskState as TaskState,
    TaskType as TaskType,
    UrlStatus as UrlStatus,
)
from datagym_async.models._ids import (
    ConfigId as ConfigId,
    DatasetId as DatasetId,
    EntryId as EntryId,
    MediaId as MediaId,
    ProjectId as ProjectId,
    TaskId as TaskId,
    ValueId as ValueId,
)
from datagym_async.models._media import (
    ConfigBackup as ConfigBackup,
    ConfigStakes as ConfigStakes,
    Dataset as Dataset,
    DatasetMedia as DatasetMedia,
    LabelConfiguration as LabelConfiguration,
    LabelEntry as LabelEntry,
    Media as Media,
    Project as Project,
    ProjectDataset as ProjectDataset,
    UrlResult as UrlResult,
)
from datagym_async.models._tasks import (
    AiSegResult as AiSegResult,
    CompleteResult as CompleteResult,
    LabelIteration as LabelIteration,
    LabelValue as LabelValue,
    PointRing as PointRing,
    StoredPoint as StoredPoint,
    Task as Task,
    TaskDetail as TaskDetail,
    ValueChange as ValueChange,
)

publish(globals())
