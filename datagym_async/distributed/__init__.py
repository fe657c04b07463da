"""The same jobs on a Dask cluster; needs the extra ``distributed``.

Dask has the workers, carries requests and answers, and shows them on its dashboard. In reading
order:

* `_cluster`: opens a cluster, checks its workers, and runs functions on them
* `_jobs`: `through`, a client whose jobs go through the workers; `predict`, one of these jobs; an
  actor on each worker, which sends files and fetches media
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.distributed._cluster import Scheduler as Scheduler
from datagym_async.distributed._jobs import predict as predict, through as through

publish(globals())
