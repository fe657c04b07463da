"""One class for each noun of the service, one method for each of its calls.

In reading order:

* `_base`: what a resource needs of the session, and how an answer becomes a model;
* `_projects`, `_datasets` (with their listings in parts), `_ai_segmentation`: one noun each;
* `_media`: images and videos, and uploads made of files; `_urls` screens and batches links;
* `_labels`: exports, videos, bitmaps and imports; `_exports` cuts large answers; `_predictions`
  says which predictions are sent, sends them batch by batch, and reports;
* `_label_configs`: read, upload, save with the labels, replace, restore;
* `_tasks`: tasks, one by one and many at once;
* `_values`: single label values, labels made of them, and whole images planned and written;
* `_work`: many things at once, and work that ends although its caller is cancelled.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.resources._ai_segmentation import AiSegmentationResource
from datagym_async.resources._datasets import DatasetsResource
from datagym_async.resources._label_configs import LabelConfigsResource
from datagym_async.resources._labels import LabelsResource
from datagym_async.resources._media import Dialect, MediaResource, file_body
from datagym_async.resources._predictions import (
    ImportOutcome,
    ImportRemark,
    ImportReport,
    ImportResult,
)
from datagym_async.resources._projects import ProjectsResource
from datagym_async.resources._tasks import TaskOutcome, TasksReport, TasksResource
from datagym_async.resources._values import ValueOutcome, ValuesResource, WriteReport

__all__ = [
    "AiSegmentationResource",
    "DatasetsResource",
    "Dialect",
    "ImportOutcome",
    "ImportRemark",
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

publish(globals())
