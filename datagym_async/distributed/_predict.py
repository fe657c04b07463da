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
    """Show the images of a project to a model on every worker, and import what it says of them.

    Each worker loads images by itself, with a client that it opens, and a model of its own.
    Predictions come here and are imported one request at a time. Workers may come and go; what
    one had that is lost is shown to another.

    Args:
        client: An open client; it lists the project and imports the predictions.
        project_id: UUID of a project of images.
        model: As for ``client.predict``; it travels as Dask sends functions.
        scheduler: The address of a scheduler, or an asynchronous client of Dask.
        connect: Makes a client on a worker; None takes address and token from the worker's
            environment, as `DataGymClient` does. What limits it has counts for each worker.
        **options: Those of ``client.predict``, except for `processes` and `client`.

    Raises:
        ConfigurationError: There is no such scheduler, or it has no workers, or they have other
            versions; or as for ``client.predict``.
        TransferError: The run had to stop before its end; its `report` says what was done.
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
    """Run a chunk on a worker; one that has come later may have other versions, and tells them."""
    theirs = versions()
    return run_chunk(job, media) if theirs[:2] == ours[:2] else theirs
