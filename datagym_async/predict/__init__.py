"""A model over the images of a project, and its predictions into their tasks.

``client.predict(...)`` is the loop in one call. In reading order:

* `_run`: which images, in chunks; predictions checked and imported as they come; the report
* `_models`: a model called with a batch, and what it may give back
* `_chunk`: the images of one chunk loaded and shown to the model, here or in a worker process
* `_journal`: what became of each image, so that the same call resumes
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.predict._models import ModelError
from datagym_async.predict._run import (
    PredictOutcome,
    PredictProblem,
    PredictProgress,
    PredictReport,
)

__all__ = [
    "ModelError",
    "PredictOutcome",
    "PredictProblem",
    "PredictProgress",
    "PredictReport",
]

publish(globals())
