"""One actor of Dask on each worker, with an open client: it sends files and fetches media.

Calls of an actor do not wait for other tasks, and Dask never repeats them: a worker that dies is a
lost answer, which the caller settles. `WorkerActors` chooses a worker by a hash of the name, so a
name goes to the same worker as long as that one lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias

import attrs

from datagym_async import DataGymClient
from datagym_async._extras import extra_module
from datagym_async._logs import logger
from datagym_async._printable import printable
from datagym_async._retry import RetryPolicy
from datagym_async._runs._disk import tidy
from datagym_async._runs._engine import UNREACHABLE_AFTER
from datagym_async._runs._needs import DownloadSources
from datagym_async._runs._stores import is_stored
from datagym_async._wire import Request
from datagym_async._wire._messages import Body
from datagym_async.distributed._cluster import LOOK_EVERY, Cluster
from datagym_async.downloads import DownloadConfig
from datagym_async.downloads._fetching import Fetcher
from datagym_async.downloads._manifest import Wanted
from datagym_async.downloads._prefix import STATE_FOLDER, Prefix
from datagym_async.downloads._report import DownloadResult, DownloadTally
from datagym_async.exceptions import APIConnectionError, APIError, ConfigurationError, DataGymError

Connect: TypeAlias = "Callable[[], AbstractAsyncContextManager[DataGymClient]]"
"""Makes a client on a worker; `DataGymClient` itself uses the environment there."""

_log = logger(__name__)
_PATIENCE = 10.0  # seconds that a worker may take to open its client before the others begin


class WorkerActor:
    """Lives on a worker. It returns our errors, so that those it raises are of Dask."""

    def __init__(self, connect: Connect) -> None:
        self._connect, self._opened = connect, AsyncExitStack()
        self._client: DataGymClient | None = None
        self._fetchers: dict[str, Fetcher] = {}
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
        if (fetcher := self._fetchers.get(place)) is None:
            prefix, root = None, Path(place)
            if is_stored(place):
                prefix = Prefix.of(place, config.store_options, f"worker {os.getpid()}")
                root = prefix.root
                await asyncio.to_thread(tidy, root / STATE_FOLDER)
            sources = DownloadSources(
                client.media, client.datasets, client.projects, client.tasks, client.labels
            )
            tally = DownloadTally(1)
            fetcher = Fetcher(root, sources, config, retry, tally, UNREACHABLE_AFTER, prefix)
            self._fetchers[place] = fetcher
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
