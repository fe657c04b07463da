"""Upload images in bulk: plan, screen, send, settle, report.

In reading order:

* `_uploader`: the `Uploader`, a run of the engine from the sources to the report; `DryRun`, the
  same without sending.
* `_config`, `_values`: options; items, results, report and events. `_tally`: a run is counted, and
  its events are made.
* `sources/`: paths, globs, lists and streams, split into items. `plan/`: the plan of a run, and its
  journal.
* `_pictures`: arrays and PIL images as items.
* `_feeder`: plans the sources and yields items with backpressure; `_reading`, `_screening`:
  small files are read ahead, images are prepared in processes, and files that the service would
  certainly refuse are rejected.
* `_sending`: one request and its outcome; `_verdicts`: what an error means for an item.
* `_settling`: whether uploads with lost answers were stored, and whether stored bytes are those
  that were sent.
* `_target`: which dataset an image goes to; a family of datasets of limited size.
* `_advice`: what limited the run, and whether uploads take longer in a larger dataset.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.uploads._config import UploadConfig as UploadConfig
from datagym_async.uploads._uploader import (
    DryRun as DryRun,
    PlanSummary as PlanSummary,
    PlannedUpload as PlannedUpload,
    Uploader as Uploader,
)
from datagym_async.uploads._values import (
    DatasetCreated as DatasetCreated,
    DatasetShare as DatasetShare,
    Double as Double,
    ItemSettled as ItemSettled,
    LimitChanged as LimitChanged,
    Mismatch as Mismatch,
    Outcome as Outcome,
    Paused as Paused,
    RunEnded as RunEnded,
    RunStarted as RunStarted,
    UploadEvent as UploadEvent,
    UploadItem as UploadItem,
    UploadProgress as UploadProgress,
    UploadReport as UploadReport,
    UploadResult as UploadResult,
)
from datagym_async.uploads.plan._journal import (
    JobSummary as JobSummary,
    clean_jobs as clean_jobs,
    jobs_folder as jobs_folder,
    list_jobs as list_jobs,
    show_job as show_job,
)
from datagym_async.uploads.sources._leaves import Source as Source, failed_items as failed_items
from datagym_async.uploads.sources._watch import FolderWatch as FolderWatch

publish(globals())
