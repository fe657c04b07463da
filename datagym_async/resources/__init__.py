"""One class for each noun of the service, one method for each of its calls."""

from __future__ import annotations

from datagym_async.resources._ai_segmentation import AiSegmentationResource
from datagym_async.resources._bodies import file_body
from datagym_async.resources._datasets import DatasetsResource
from datagym_async.resources._dialect import Dialect
from datagym_async.resources._import_report import ImportOutcome, ImportReport, ImportResult
from datagym_async.resources._label_configs import LabelConfigsResource
from datagym_async.resources._labels import LabelsResource
from datagym_async.resources._media import MediaResource
from datagym_async.resources._projects import ProjectsResource
from datagym_async.resources._task_outcomes import TaskOutcome, TasksReport
from datagym_async.resources._tasks import TasksResource
from datagym_async.resources._value_writing import ValueOutcome, WriteReport
from datagym_async.resources._values import ValuesResource

__all__ = [
    "AiSegmentationResource",
    "DatasetsResource",
    "Dialect",
    "ImportOutcome",
    "ImportReport",
    "ImportResult",
    "LabelConfigsResource",
    "LabelsResource",
    "MediaResource",
    "ProjectsResource",
    "TaskOutcome",
    "TasksReport",
    "TasksResource",
    "ValueOutcome",
    "ValuesResource",
    "WriteReport",
    "file_body",
]
