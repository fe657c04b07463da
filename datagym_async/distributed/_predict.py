"""A model on every worker of a cluster, its predictions imported from here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from datagym_async.distributed._cluster import Cluster, Scheduler, check_versions, opened, versions
from datagym_async.predict._chunk import Job, Loading, run_chunk

if TYPE_CHECKING:
    from datagym_async import DataGymClient
    from datagym_async.models import DatasetMedia, ProjectId
    from datagym_async.predict._models import Model, Predicted
    from datagym_async.predict._run import PredictReport, Runner

_AHEAD = 2  # chunks that wait for each worker
_ROOM = 64  # more of them, for workers that come later


async def predict(
    client: DataGymClient,
    project_id: ProjectId,
    model: Model,
    *,
    scheduler: Scheduler,
    connect: Callable[[], AbstractAsyncContextManager[Loading]] | None = None,
    **options: Any,
) -> PredictReport:
    """Run a model on every worker of a cluster, and import its predictions.

    Each worker loads images with its own client and its own model. Predictions are imported from
    here, one request at a time. Workers may come and go; images of a lost worker are given to
    another one.

    Args:
        client: An open client; it lists the project and imports the predictions.
        project_id: UUID of an image project.
        model: As for ``client.predict``; Dask sends it to the workers.
        scheduler: The address of a scheduler, or an asynchronous client of Dask.
        connect: Creates a client on a worker; None takes address and token from the worker's
            environment, as `DataGymClient` does. Its limits are for each worker.
        **options: Those of ``client.predict``, except `processes` and `client`.

    Raises:
        ConfigurationError: There is no such scheduler, or it has no workers, or they have other
            versions; or as for ``client.predict``.
        TransferError: The run had to stop early; its `report` says what was done.
        APIError: The project cannot be listed.
    """
    async with opened(scheduler) as cluster:
        return await client.predict(
            project_id, model, client=connect, workers=partial(workers_of, cluster), **options
        )


@asynccontextmanager
async def workers_of(cluster: Cluster, job: Job) -> AsyncIterator[tuple[Runner, int]]:
    """Give a runner whose chunks go to the workers of a cluster."""

    async def run(media: Sequence[DatasetMedia]) -> list[Predicted]:
        found = await cluster.call(_run_chunk, versions(), job, media)
        if not isinstance(found, tuple):
            return found
        check_versions("A worker", found)
        raise AssertionError("unreachable")

    yield run, _AHEAD * len(await cluster.workers()) + _ROOM


def _run_chunk(
    ours: tuple[str, str, str], job: Job, media: Sequence[DatasetMedia]
) -> list[Predicted] | tuple[str, str, str]:
    """Run a chunk on a worker, or return the versions there if they are different."""
    theirs = versions()
    return run_chunk(job, media) if theirs[:2] == ours[:2] else theirs
