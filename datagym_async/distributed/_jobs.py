"""`through`: the ordinary jobs of a client here, their bytes through the workers of a cluster.

Planning, names, limits, repetitions, settling, journal and report are those of a job on one
machine, and stay with the caller. What is done elsewhere is one attempt: a worker opens the file
and sends it, or fetches a media into its place. So a limit is that of the job, whoever comes or
goes, a pause that the service asks for holds for all, and a worker that dies is a lost answer,
which is settled by a listing like any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

import attrs

from datagym_async._opened import Fetch, RemoteJobs
from datagym_async._transport import Transport
from datagym_async._wire import Response
from datagym_async._wire._messages import Lane
from datagym_async.distributed._cluster import Scheduler, opened
from datagym_async.distributed._hands import Connect, WorkerActors
from datagym_async.distributed._predict import workers_of
from datagym_async.exceptions import APIConnectionError

if TYPE_CHECKING:
    from datagym_async import DataGymClient
    from datagym_async._retry import RetryPolicy
    from datagym_async._transport import StreamedResponse, Timeout
    from datagym_async._wire import Request
    from datagym_async.downloads import DownloadConfig, DownloadResult
    from datagym_async.downloads._manifest import Wanted

_ATTEMPTS = 3  # workers that may be lost with a media before the run is told


@attrs.frozen
class ClusterTransport:
    """Have workers send the files of uploads; all other requests go out from here.

    Args:
        base: The transport of this process.
        hands: The workers.
        spend: Waits until so many bytes may go.
    """

    _base: Transport
    _hands: WorkerActors
    _spend: Callable[[int], Awaitable[None]]

    @property
    def token_number(self) -> int:
        """Return how many tokens were used here so far."""
        return self._base.token_number

    def with_timeout(self, timeout: Timeout) -> Self:
        """Return the same transport with other time limits, for what goes out from here."""
        return attrs.evolve(self, base=self._base.with_timeout(timeout))

    async def exchange(self, request: Request) -> Response:
        """Send a request once; see `Transport`."""
        body = request.body
        if request.lane is not Lane.UPLOAD or body is None or body.again is None:
            return await self._base.exchange(request)
        await self._spend(body.size)
        about = request.headers.get("X-filename", "")
        bare = attrs.evolve(request, body=None)
        return Response(*await self._hands.ask(about, "exchange", bare, body.again))

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request from here, and give its open answer."""
        return self._base.send(request)

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        """Get a pre-signed URL from here."""
        return self._base.fetch(url)

    async def aclose(self) -> None:
        """Close the transport of this process."""
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
        WorkerActors(cluster, connect or type(client), client.media.base_url) as hands,
    ):

        def fetching(place: str, config: DownloadConfig) -> Fetch:
            told = attrs.evolve(config, on_event=None)

            async def fetch(wanted: Wanted) -> DownloadResult:
                with await limits.slot(Lane.DOWNLOAD):
                    return await _fetched(hands, place, wanted, told, retry)

            return fetch

        yield client._elsewhere(
            RemoteJobs(
                transport=lambda base: ClusterTransport(base, hands, limits.spend),
                fetch=fetching,
                workers=partial(workers_of, cluster),
                connect=connect,
            )
        )


async def _fetched(
    hands: WorkerActors, place: str, wanted: Wanted, config: DownloadConfig, retry: RetryPolicy
) -> DownloadResult:
    """Return what became of a media; one whose worker is lost is fetched by another one."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            found: DownloadResult = await hands.ask(
                wanted.media_id, "fetch", place, wanted, config, retry
            )
            return found
        except APIConnectionError as error:
            if not left or error.__cause__ is None:  # the service is gone, not the worker
                raise
    raise AssertionError("unreachable")
