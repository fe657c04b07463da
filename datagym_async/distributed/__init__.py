"""The same jobs on a Dask cluster; needs the extra ``distributed``.

Dask has the workers, carries what they are told and what they find, and shows it on its dashboard;
there is no membership, queue or transport of our own. In reading order:

* `_cluster`: a cluster is opened and looked at, and what is asked of its workers
* `_predict`: `predict`, a model on every worker
* `_hands`: an actor on each worker that sends files and fetches media
* `_jobs`: `through`, a client whose jobs go through the workers
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.distributed._cluster import Scheduler
from datagym_async.distributed._jobs import through
from datagym_async.distributed._predict import predict

__all__ = ["Scheduler", "predict", "through"]

publish(globals())
