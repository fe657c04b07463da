"""`through`: a client whose jobs run here, and send and fetch through the workers of a cluster.

Planning, names, limits, retries, settling, journal and report are those of a job on one machine,
and stay with the caller. A worker does one attempt: it sends a file, or fetches a media. So limits
are those of the job, and pauses hold for all workers.

A worker has one actor of Dask with an open client. Calls of an actor do not wait for other tasks,
and Dask never repeats them: a worker that dies is a lost answer, which the caller settles by a
listing like any other. `WorkerActors` chooses a worker by a hash of the name, so a name goes to the
same worker as long as that one lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias, cast

import attrs

from datagym_async import DataGymClient
from datagym_async._extras import extra_module
from datagym_async._opened import Fetch, RemoteJobs
from datagym_async._printable import logger, printable
from datagym_async._retry import RetryPolicy
from datagym_async._runs._disk import tidy
from datagym_async._runs._engine import DownloadSources, Patience
from datagym_async._runs._stores import is_stored
from datagym_async._transport import StreamedResponse, Timeout, Transport
from datagym_async._wire import Request, Response
from datagym_async._wire._messages import Body, Lane
from datagym_async.distributed._cluster import (
    LOOK_EVERY,
    Cluster,
    Scheduler,
    check_versions,
    opened,
    versions,
)
from datagym_async.downloads import DownloadConfig
from datagym_async.downloads._fetching import Fetcher
from datagym_async.downloads._manifest import Wanted
from datagym_async.downloads._prefix import STATE_FOLDER, Prefix
from datagym_async.downloads._values import DownloadResult, DownloadTally
from datagym_async.exceptions import APIConnectionError, APIError, ConfigurationError, DataGymError
from datagym_async.models import DatasetMedia, ProjectId
from datagym_async.predict._models import Job, Model, Predicted, run_chunk
from datagym_async.predict._run import PredictReport, Runner

Connect: TypeAlias = "Callable[[], AbstractAsyncContextManager[DataGymClient]]"
"""Makes a client on a worker; `DataGymClient` itself uses the environment there."""

_log = logger(__name__)
_PATIENCE = 10.0  # seconds that a worker may take to open its client before the others begin
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


class WorkerActor:
    """Lives on a worker. It returns our errors, so that those it raises are of Dask."""

    def __init__(self, connect: Connect) -> None:
        self._connect, self._opened = connect, AsyncExitStack()
        self._client: DataGymClient | None = None
        self._fetchers: dict[tuple[str, DownloadConfig], Fetcher] = {}
        self._worker: Any = extra_module("distributed", ConfigurationError).get_worker()
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> str | DataGymError:
        """Open the client and return the address of its service."""
        try:
            self._client = await self._opened.enter_async_context(self._connect())
        except DataGymError as error:
            return error
        self._watching = asyncio.create_task(self._watch())
        return self._client.media.base_url

    async def _watch(self) -> None:
        """Close once Dask has forgotten this actor, because its caller is gone."""
        while any(each is self for each in self._worker.state.actors.values()):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY / 2)
        await self._opened.aclose()

    async def exchange(
        self, request: Request, again: Callable[[], Body]
    ) -> tuple[int, dict[str, str], bytes] | DataGymError | OSError:
        """Send a request once, with a body that is opened here; return the parts of its answer."""
        assert self._client is not None  # noqa: S101 -- `open` comes first
        try:
            whole = attrs.evolve(request, body=again())
            answer = await self._client._opened.session.exchange_once(whole)
        except (DataGymError, OSError) as error:
            return error
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, headers, bytes(answer.body)

    async def fetch(
        self, place: str, wanted: Wanted, config: DownloadConfig, retry: RetryPolicy
    ) -> DownloadResult | DataGymError | OSError:
        """Fetch a media into a folder that all workers and the caller share, or into a store."""
        assert self._client is not None  # noqa: S101 -- as above
        client = self._client
        if (fetcher := self._fetchers.get((place, config))) is None:
            prefix, root = None, Path(place)
            if is_stored(place):
                prefix = Prefix.of(place, config.store_options, f"worker {os.getpid()}")
                root = prefix.root
                await asyncio.to_thread(tidy, root / STATE_FOLDER)
            parts = client._opened.for_jobs
            sources = DownloadSources(
                parts.media, parts.datasets, parts.projects, parts.tasks, parts.labels
            )
            tally = DownloadTally(1)
            fetcher = Fetcher(root, sources, config, retry, tally, Patience(), prefix)
            self._fetchers[place, config] = fetcher
            self._opened.push_async_callback(fetcher.aclose)
        try:
            return await fetcher.fetch(wanted)
        except (DataGymError, OSError) as error:
            return error

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await self._opened.aclose()


@attrs.define
class WorkerActors:
    """The actors of a cluster, for one job: an async context manager."""

    _cluster: Cluster
    _connect: Connect
    _base_url: str  # of the service that each worker must use
    # By address of the worker: its actor, with the future that keeps it, ...
    _actors: dict[str, tuple[Any, Any]] = attrs.field(factory=dict, init=False)
    # ... and the task that makes the actor, or has found that it cannot.
    _opening: dict[str, asyncio.Task[None]] = attrs.field(factory=dict, init=False)
    _looked: float = attrs.field(default=float("-inf"), init=False)
    _is_silent: bool = attrs.field(default=False, init=False)  # the scheduler, which was logged

    async def __aenter__(self) -> Self:
        """Give each worker its actor; one that is busy takes part as soon as it is free."""
        await self._look()
        if self._opening:
            await asyncio.wait(self._opening.values(), timeout=_PATIENCE)
        try:
            for each in [*self._opening.values()]:
                if each.done():
                    each.result()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        opening = [*self._opening.values()]
        for each in opening:
            each.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for actor, _future in self._actors.values():
            with suppress(OSError, RuntimeError, TimeoutError):  # the worker is gone
                async with asyncio.timeout(_PATIENCE):
                    await actor.close()
        self._actors.clear()

    async def ask(self, about: str, method: str, *arguments: object) -> Any:
        """Return the answer of the worker that has this part of the work, or raise its error.

        If the worker is lost, nobody knows what it has done: an `APIConnectionError` with a cause.
        """
        address = await self._address(about)
        actor, _ = self._actors[address]
        try:
            answer = await getattr(actor, method)(*arguments)
        except (Exception, asyncio.CancelledError) as error:
            # Dask also cancels the calls of a lost scheduler; ours are counted by their task.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            if self._actors.pop(address, None) is not None:  # it gets a new one if it is there
                self._opening.pop(address, None)
                self._looked = float("-inf")
            text = f"The worker {address} was lost while it had this ({printable(repr(error))})"
            _log.warning("%s", text)
            raise APIConnectionError(text, request_sent=True) from error
        if isinstance(answer, DataGymError) and not isinstance(answer, APIError):
            # It is about what is installed, set or mounted there.
            answer.args = (f"On the worker {address}: {answer}",)
        if isinstance(answer, DataGymError | OSError):
            raise answer
        return answer

    async def _address(self, about: str) -> str:
        """Return the worker for a part of the work: the one with the highest hash for it."""
        while True:
            if asyncio.get_running_loop().time() - self._looked > LOOK_EVERY:
                await self._look()
            self._cluster.seen(is_there=bool(self._actors))
            if self._actors:
                break
            await asyncio.sleep(0.2)
        key = about.encode()
        return max(
            self._actors,
            key=lambda each: hashlib.blake2b(each.encode() + b"\0" + key, digest_size=8).digest(),
        )

    async def _look(self) -> None:
        """Start to make actors on new workers, and forget those that are gone."""
        self._looked = asyncio.get_running_loop().time()  # at once: others need not look, too
        try:
            present = await self._cluster.workers()
        except OSError as error:
            if not self._is_silent:
                _log.warning("The scheduler does not answer (%s)", printable(repr(error)))
            self._is_silent = True
            return
        self._is_silent = False
        for address in self._opening.keys() - set(present):
            self._opening.pop(address).cancel()
            self._actors.pop(address, None)
        for address in present:
            if address not in self._opening:
                self._opening[address] = task = asyncio.create_task(self._open(address))
                task.add_done_callback(partial(_note, address))

    async def _open(self, address: str) -> None:
        """Make the actor of a worker, once that has a free thread; `ConfigurationError` if not."""
        await self._cluster.check([address])
        future = self._cluster.client.submit(
            WorkerActor,
            self._connect,
            actor=True,
            workers=[address],
            allow_other_workers=False,
            pure=False,
        )
        await future
        # An actor uses the client that is current when it is made; that may be the caller's own.
        with self._cluster.client.as_current():
            actor: Any = extra_module("distributed", ConfigurationError).Actor(
                WorkerActor, address, future.key
            )
        answer = await actor.open()
        if isinstance(answer, DataGymError):
            text = f"The worker {address} cannot open a client: {answer}"
            raise ConfigurationError(text) from answer
        if answer != self._base_url:
            raise ConfigurationError(
                f"The worker {address} has a client of {answer}, and the caller uses "
                f"{self._base_url}; set DATAGYM_BASE_URL there, or pass connect="
            )
        self._actors[address] = actor, future


def _note(address: str, opening: asyncio.Task[None]) -> None:
    if not opening.cancelled() and (error := opening.exception()) is not None:
        _log.warning("The worker %s is not used: %s", address, printable(str(error)))
