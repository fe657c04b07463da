"""A Dask cluster: opened, looked at before anything is asked of it, and asked.

A worker opens a client of its own by what the caller gives (`Job.connect`), so that no token
travels. What a worker raises comes back as it is; a worker that is gone is a `WorkerLostError`.
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
from datagym_async._logs import logger
from datagym_async._printable import printable
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
_PATIENCE = 10.0  # seconds that a scheduler may take to answer, and the first worker to come
_WITHOUT_WORKERS = 30.0  # seconds that the last worker may be gone before another one comes
LOOK_EVERY = 2.0  # seconds after which it is looked who has come and who is gone


def versions() -> tuple[str, str, str]:
    """Return the version of this package, of Python and of Dask; runs on a worker."""
    python = ".".join(platform.python_version_tuple()[:2])  # functions travel as pickles of these
    return __version__, python, extra_module("distributed").__version__


def check_versions(who: str, theirs: Any) -> None:
    """Refuse another version of this package or of Python; one of Dask is only told of.

    Args:
        who: Whose they are.
        theirs: What `versions` gave there, or what came instead: who has no such package cannot
            even read the question.
    """
    ours = versions()
    if isinstance(theirs, Exception):
        raise ConfigurationError(
            f"{who} cannot run datagym_async {ours[0]}: {printable(str(theirs))}; install the same "
            "version there"
        )
    said = (
        f"{who} has {{}}, and the caller has {{}}; install the same versions on both sides".format
    )
    if theirs[:2] != ours[:2]:
        both = f"datagym_async {theirs[0]} on Python {theirs[1]}", f"{ours[0]} on {ours[1]}"
        raise ConfigurationError(said(*both))
    if theirs[2] != ours[2]:
        _log.warning("%s if anything fails", said(f"Dask {theirs[2]}", ours[2]))


class ClusterLostError(APIError):
    """There is no scheduler any more, or no worker for long: all that is asked would meet it."""

    ends_run = True


@attrs.define
class Cluster:
    """An open cluster, by an asynchronous client of Dask, whose types say little of that."""

    client: Any
    _fit: set[str] = attrs.field(factory=set, init=False)
    _looked: float = attrs.field(default=float("-inf"), init=False)
    _seen: float = attrs.field(factory=lambda: asyncio.get_running_loop().time(), init=False)

    async def workers(self) -> list[str]:
        """Return the addresses of the workers that there are now, sorted.

        Raises:
            OSError: The scheduler does not answer.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                known = await self.client.scheduler.identity(n_workers=-1)
        except (RuntimeError, AttributeError) as error:  # of a client that Dask has given up
            raise OSError(f"the scheduler is lost ({error})") from error
        return sorted(known["workers"])

    def seen(self, *, is_there: bool) -> None:
        """Note whether there is a worker.

        Raises:
            ClusterLostError: There was none for long; nobody has anything to wait for.
        """
        now = asyncio.get_running_loop().time()
        if is_there:
            self._seen = now
        elif now - self._seen > _WITHOUT_WORKERS:
            raise ClusterLostError("The cluster has no workers, or no scheduler")

    async def check(self, workers: Sequence[str]) -> None:
        """Refuse workers with other versions; whom this has seen before is not asked again."""
        unseen = [each for each in workers if each not in self._fit]
        found = await self.client.run(versions, workers=unseen, on_error="return")
        for worker, theirs in found.items():
            check_versions(f"The worker {worker}", theirs)
            self._fit.add(worker)

    async def _look(self) -> None:
        """See whether there is a worker, once for all that wait."""
        now = asyncio.get_running_loop().time()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked, is_there = now, False
        with suppress(OSError):
            is_there = bool(await self.workers())
        self.seen(is_there=is_there)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns, run on some worker.

        Dask runs it again where a worker dies of it, so it must do no harm to run twice.

        Raises:
            WorkerLostError: It was begun on several workers, and each of them was lost.
            ClusterLostError: The scheduler is lost, or all workers were for long.
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
        except CancelledError as error:  # of Dask; that of a task is another one
            raise ClusterLostError("The scheduler of the cluster is lost") from error
        finally:
            result.cancel()
            if not future.done():
                with suppress(OSError):  # the scheduler is gone, and the future with it
                    await future.cancel()


@asynccontextmanager
async def opened(scheduler: Scheduler) -> AsyncIterator[Cluster]:
    """Give a cluster whose workers can do what they will be asked.

    Raises:
        ConfigurationError: The scheduler cannot be reached, there is no worker, or one of them has
            another version of this package or of Python.
    """
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
            async with asyncio.timeout(2 * _PATIENCE):  # Dask waits for ever for who says nothing
                await client
        except (OSError, ValueError, MemoryError) as error:
            # Of a web server's answer, Dask takes the first letters for a size.
            said = "" if isinstance(error, MemoryError) else printable(str(error))
            said = said or "it is not a scheduler"
            raise ConfigurationError(
                f"No scheduler answers at {printable(scheduler)} ({said}); start one with "
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
    scheduler: Any
    try:
        # It reads what goes to the workers.
        scheduler = await cluster.client.run_on_scheduler(versions)
    except Exception as error:
        scheduler = error
    check_versions("The scheduler", scheduler)
    await cluster.check(await cluster.workers())
    return cluster
