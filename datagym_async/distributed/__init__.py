"""The same jobs on a Dask cluster; needs the extra ``distributed``.

Dask has the workers, carries requests and answers, and shows them on its dashboard. In reading
order:

* `_cluster`: opens a cluster, checks its workers, and runs functions on them
* `_jobs`: an actor on each worker that sends files and fetches media; `through`, a client whose
  jobs go through them; `predict`, one of these jobs
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.distributed._cluster import Scheduler as Scheduler
from datagym_async.distributed._jobs import predict as predict, through as through

publish(globals())
