"""Run a model on the images of a project, and import its predictions.

In reading order:

* `_run`: chooses the images, imports the predictions as they arrive, and reports; its journal says
  what happened to each image, so that the same call resumes
* `_models`: a model, the images that are shown to it, also in other processes, and its answers
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.predict._models import ModelError as ModelError
from datagym_async.predict._run import (
    PredictOutcome as PredictOutcome,
    PredictProblem as PredictProblem,
    PredictProgress as PredictProgress,
    PredictReport as PredictReport,
)

publish(globals())
