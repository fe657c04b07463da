"""A Dask cluster: opened, its workers checked, and functions run on them.

What a worker raises is raised here; a worker that is gone is a `WorkerLostError`.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

import attrs

from datagym_async._extras import extra_module
from datagym_async._printable import logger, printable
from datagym_async._threads import in_thread
from datagym_async._version import __version__
from datagym_async.exceptions import APIError, ConfigurationError
from datagym_async.predict._run import WorkerLostError

if TYPE_CHECKING:
    from distributed import Client

P = ParamSpec("P")
T = TypeVar("T")

Scheduler: TypeAlias = "str | Client"
"""The address of a scheduler, for example ``"tcp://10.0.0.1:8786"``, or an asynchronous client."""

_log = logger(__name__)
_PATIENCE = 10.0  # seconds to wait for the answer of a scheduler, and for the first worker
_WITHOUT_WORKERS = 30.0  # seconds to wait for another worker when the last one is gone
LOOK_EVERY = 2.0  # seconds between two looks at which workers there are


def versions() -> tuple[str, str, str]:
    """Return the version of this package, of Python and of Dask; also runs on a worker."""
    python = ".".join(platform.python_version_tuple()[:2])  # whose pickles are exchanged
    return __version__, python, extra_module("distributed").__version__


def check_versions(who: str, theirs: Any) -> None:
    """Refuse another version of this package or of Python; warn of another one of Dask.

    `theirs` is the result of `versions` there, or the error of a worker without this package.
    """
    ours = versions()
    if isinstance(theirs, Exception):
        raise ConfigurationError(
            f"{who} cannot run datagym_async {ours[0]}: {printable(str(theirs))}; install the same "
            "version there"
        )
    what_to_do = "install the same versions on both sides"
    if theirs[:2] != ours[:2]:
        raise ConfigurationError(
            f"{who} has datagym_async {theirs[0]} on Python {theirs[1]}, and the caller has "
            f"{ours[0]} on {ours[1]}; {what_to_do}"
        )
    if theirs[2] != ours[2]:
        text = "%s has Dask %s, and the caller has %s; %s if anything fails"
        _log.warning(text, who, theirs[2], ours[2], what_to_do)


class ClusterLostError(APIError):
    """There is no scheduler any more, or no worker for a long time."""

    ends_run = True


@attrs.define
class Cluster:
    """An open cluster: an asynchronous client of Dask, which has no useful types."""

    client: Any
    _fit: set[str] = attrs.field(factory=set, init=False)
    _looked: float = attrs.field(default=float("-inf"), init=False)
    _seen: float = attrs.field(factory=lambda: asyncio.get_running_loop().time(), init=False)

    async def workers(self) -> list[str]:
        """Return the addresses of all workers, sorted; `OSError` if the scheduler is silent."""
        try:
            async with asyncio.timeout(_PATIENCE):
                known = await self.client.scheduler.identity(n_workers=-1)
        except (RuntimeError, AttributeError) as error:  # Dask has given up this client
            raise OSError(f"the scheduler is lost ({error})") from error
        return sorted(known["workers"])

    def seen(self, *, is_there: bool) -> None:
        """Note whether there is a worker; `ClusterLostError` if there was none for too long."""
        now = asyncio.get_running_loop().time()
        if is_there:
            self._seen = now
        elif now - self._seen > _WITHOUT_WORKERS:
            raise ClusterLostError("The cluster has no workers, or no scheduler")

    async def check(self, workers: Sequence[str]) -> None:
        """Refuse workers with other versions; each is asked once."""
        unseen = [each for each in workers if each not in self._fit]
        found = await self.client.run(versions, workers=unseen, on_error="return")
        for worker, theirs in found.items():
            check_versions(f"The worker {worker}", theirs)
            self._fit.add(worker)

    async def _look(self) -> None:
        """Note whether there is a worker; one request serves all calls that wait."""
        now = asyncio.get_running_loop().time()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked, is_there = now, False
        with suppress(OSError):
            is_there = bool(await self.workers())
        self.seen(is_there=is_there)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of a function that runs on any worker.

        It must do no harm if it runs twice: if its worker dies, Dask runs it again on another one.
        If several of them died, this is a `WorkerLostError`.
        """
        dask = extra_module("distributed", ConfigurationError)
        if self.client.status != "running":
            raise ClusterLostError("The scheduler of the cluster is lost")
        future = self.client.submit(function, *args, pure=False, **kwargs)
        result = asyncio.ensure_future(future.result())
        try:
            while not (await asyncio.wait((result,), timeout=LOOK_EVERY))[0]:
                await self._look()
            return cast("T", await result)
        except dask.KilledWorker as error:
            raise WorkerLostError("each worker ended while it had this image") from error
        except CancelledError as error:  # Dask's own, not that of asyncio
            raise ClusterLostError("The scheduler of the cluster is lost") from error
        finally:
            result.cancel()
            if not future.done():
                with suppress(OSError):  # the scheduler is gone, and the future with it
                    await future.cancel()


@asynccontextmanager
async def opened(scheduler: Scheduler) -> AsyncIterator[Cluster]:
    """Give a cluster that answers, with workers of the right versions, or `ConfigurationError`."""
    dask = await in_thread(extra_module, "distributed", ConfigurationError)
    if not isinstance(scheduler, str):
        if not getattr(scheduler, "asynchronous", False):
            raise ConfigurationError(
                f"scheduler is {printable(repr(scheduler))}; give the address of one, or a "
                "distributed.Client that is made with asynchronous=True"
            )
        yield await _checked(Cluster(scheduler), "the cluster")
        return
    client = dask.Client(scheduler, asynchronous=True, timeout=_PATIENCE)
    try:
        try:
            async with asyncio.timeout(2 * _PATIENCE):  # Dask would wait for a silent one for ever
                await client
        except (OSError, ValueError, MemoryError) as error:
            # Dask takes the first letters of a web server's answer for a size.
            text = "" if isinstance(error, MemoryError) else printable(str(error))
            raise ConfigurationError(
                f"No scheduler answers at {printable(scheduler)} "
                f"({text or 'it is not a scheduler'}); start one with "
                "`dask scheduler`, and give its address, for example tcp://10.0.0.1:8786"
            ) from error
        yield await _checked(Cluster(client), scheduler)
    finally:
        await client.close()


async def _checked(cluster: Cluster, name: str) -> Cluster:
    try:
        await cluster.client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        raise ConfigurationError(
            f"{printable(name)} has no workers; start one with `dask worker ADDRESS`"
        ) from None
    theirs: Any
    try:  # the scheduler reads what goes to the workers
        theirs = await cluster.client.run_on_scheduler(versions)
    except Exception as error:
        theirs = error
    check_versions("The scheduler", theirs)
    await cluster.check(await cluster.workers())
    return cluster
