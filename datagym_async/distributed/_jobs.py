"""`through`: a client whose jobs run here, and send and fetch through the workers of a cluster.

Planning, names, limits, retries, settling, journal and report are those of a job on one machine,
and stay with the caller. A worker does one attempt: it sends a file, or fetches a media. So limits
are those of the job, pauses hold for all workers, and a worker that dies is a lost answer, which is
settled by a listing like any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Self, cast

import attrs

from datagym_async import DataGymClient
from datagym_async._opened import Fetch, RemoteJobs
from datagym_async._transport import StreamedResponse, Timeout, Transport
from datagym_async._wire import Request, Response
from datagym_async._wire._messages import Lane
from datagym_async.distributed._actors import Connect, WorkerActors
from datagym_async.distributed._cluster import Cluster, Scheduler, check_versions, opened, versions
from datagym_async.downloads import DownloadConfig, DownloadResult
from datagym_async.downloads._manifest import Wanted
from datagym_async.exceptions import APIConnectionError
from datagym_async.models import DatasetMedia, ProjectId
from datagym_async.predict._models import Job, Model, Predicted, run_chunk
from datagym_async.predict._run import PredictReport, Runner

_ATTEMPTS = 3  # workers that may be lost with a media before its download fails
_AHEAD = 2  # chunks of a prediction that wait for each worker
_ROOM = 64  # more of them, for workers that come later


@attrs.frozen
class ClusterTransport:
    """A `Transport` whose workers send the files of uploads; all other requests start here."""

    _base: Transport
    _actors: WorkerActors
    _spend: Callable[[int], Awaitable[None]]  # waits until so many bytes may be sent

    @property
    def token_number(self) -> int:
        return self._base.token_number

    def with_timeout(self, timeout: Timeout) -> Self:
        return attrs.evolve(self, base=self._base.with_timeout(timeout))

    async def exchange(self, request: Request) -> Response:
        body = request.body
        if request.lane is not Lane.UPLOAD or body is None or body.again is None:
            return await self._base.exchange(request)
        await self._spend(body.size)
        name = request.headers.get("X-filename", "")
        bare = attrs.evolve(request, body=None)
        return Response(*await self._actors.ask(name, "exchange", bare, body.again))

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        return self._base.send(request)

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        return self._base.fetch(url)

    async def aclose(self) -> None:
        await self._base.aclose()


@asynccontextmanager
async def through(
    client: DataGymClient, *, scheduler: Scheduler, connect: Connect | None = None
) -> AsyncIterator[DataGymClient]:
    """Yield a client whose uploads, downloads and predictions run through the workers of a cluster.

    ::

        async with through(client, scheduler="tcp://10.0.0.1:8786") as there:
            await there.upload(dataset_id, "/shared/photos")
            await there.download_dataset(dataset_id, "/shared/out")

    All other calls are those of the client that you pass, and its limits are the limits of the
    jobs. Files and folders must have the same paths on each worker: only the first bytes of files
    are read here. Everything that is not a file (bytes, open files, prepared images, links) is sent
    from here.

    Args:
        client: An open client.
        scheduler: The address of a scheduler, or an asynchronous client of Dask.
        connect: Creates a client on a worker; None takes address and token from the worker's
            environment, as `DataGymClient` does. Its limits and retries are not used.

    Raises:
        ConfigurationError: There is no such scheduler, it has no workers, they have other versions,
            or cannot open their clients.
    """
    limits, retry = client._opened.limits, client._settings.retry
    async with (
        opened(scheduler) as cluster,
        WorkerActors(cluster, connect or type(client), client.media.base_url) as actors,
    ):

        def fetching(place: str, config: DownloadConfig) -> Fetch:
            config = attrs.evolve(config, on_event=None)

            async def fetch(wanted: Wanted) -> DownloadResult:
                """Have a media fetched; if its worker is lost, by another one."""
                lost = 0
                with await limits.slot(Lane.DOWNLOAD):
                    while True:
                        arguments = (place, wanted, config, retry)
                        try:
                            found = await actors.ask(wanted.media_id, "fetch", *arguments)
                        except APIConnectionError as error:
                            lost += 1
                            # Without a cause the service is gone, not the worker.
                            if lost == _ATTEMPTS or error.__cause__ is None:
                                raise
                        else:
                            return cast("DownloadResult", found)

            return fetch

        yield client._elsewhere(
            RemoteJobs(
                transport=lambda base: ClusterTransport(base, actors, limits.spend),
                fetch=fetching,
                workers=partial(_workers_of, cluster),
                connect=connect,
            )
        )


async def predict(
    client: DataGymClient,
    project_id: ProjectId,
    model: Model,
    *,
    scheduler: Scheduler,
    connect: Connect | None = None,
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
        ConfigurationError: As for `through`, or as for ``client.predict``.
        TransferError: The run had to stop early; its `report` says what was done.
        APIError: The project cannot be listed.
    """
    async with through(client, scheduler=scheduler, connect=connect) as there:
        return await there.predict(project_id, model, **options)


@asynccontextmanager
async def _workers_of(cluster: Cluster, job: Job) -> AsyncIterator[tuple[Runner, int]]:
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
