"""One class for each noun of the service, one method for each of its calls.

In reading order:

* `_base`: the interface of the session, models from answers, also from large ones in pieces, work
  on many items at once, and work that ends although its caller is cancelled;
* `_projects`, `_datasets` (with their listings in parts), `_ai_segmentation`: one noun each;
* `_media`: images and videos, uploads of files; `_links`: uploads of links, which are checked, in
  batches;
* `_labels`: exports, videos, bitmaps and imports; `_predictions` checks predictions, sends them in
  batches, and reports;
* `_label_configs`: read, upload, save with the labels, replace, restore;
* `_tasks`: single tasks and many at once;
* `_values`: single label values, labels of them, and writing the labels of an image.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.resources._ai_segmentation import (
    AiSegmentationResource as AiSegmentationResource,
)
from datagym_async.resources._datasets import DatasetsResource as DatasetsResource
from datagym_async.resources._label_configs import LabelConfigsResource as LabelConfigsResource
from datagym_async.resources._labels import LabelsResource as LabelsResource
from datagym_async.resources._media import (
    Dialect as Dialect,
    MediaResource as MediaResource,
    file_body as file_body,
)
from datagym_async.resources._predictions import (
    ImportOutcome as ImportOutcome,
    ImportRemark as ImportRemark,
    ImportReport as ImportReport,
    ImportResult as ImportResult,
)
from datagym_async.resources._projects import ProjectsResource as ProjectsResource
from datagym_async.resources._tasks import (
    TaskOutcome as TaskOutcome,
    TasksReport as TasksReport,
    TasksResource as TasksResource,
)
from datagym_async.resources._values import (
    ValueOutcome as ValueOutcome,
    ValuesResource as ValuesResource,
    WriteReport as WriteReport,
)

publish(globals())
