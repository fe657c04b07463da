"""A Dask cluster: opened, looked at before anything is asked of it, and asked.

A worker opens a client of its own by what the caller gives (`Job.connect`), so that no token
travels. What a worker raises comes back as it is; a worker that is gone is a `WorkerLostError`.
"""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

import attrs

from datagym_async._extras import extra_module
from datagym_async._printable import printable
from datagym_async._threads import in_thread
from datagym_async._version import __version__
from datagym_async.exceptions import ConfigurationError
from datagym_async.predict._run import WorkerLostError

if TYPE_CHECKING:
    from distributed import Client

P = ParamSpec("P")
T = TypeVar("T")

Scheduler: TypeAlias = "str | Client"
"""The address of a scheduler, for example ``"tcp://10.0.0.1:8786"``, or an asynchronous client."""

_PATIENCE = 10.0  # seconds that a scheduler may take to answer, and the first worker to come


def versions() -> tuple[str, str]:
    """Return the version of this package and of Python; runs on a worker."""
    return __version__, platform.python_version()


@attrs.define
class Cluster:
    """An open cluster, by an asynchronous client of Dask, whose types say little of that."""

    client: Any

    async def workers(self) -> list[str]:
        """Return the addresses of the workers that there are now, sorted."""
        known = await self.client.scheduler.identity(n_workers=-1)
        return sorted(known["workers"])

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns, run on some worker.

        Dask runs it again where a worker dies of it, so it must do no harm to run twice.

        Raises:
            WorkerLostError: It was begun on several workers, and each of them was lost.
        """
        dask = extra_module("distributed", ConfigurationError)
        future = self.client.submit(function, *args, pure=False, **kwargs)
        try:
            return cast("T", await future)
        except dask.KilledWorker as error:
            raise WorkerLostError("each worker ended while it had this image") from error
        finally:
            if not future.done():
                with suppress(OSError):  # the scheduler is gone, and the future with it
                    await future.cancel()


@asynccontextmanager
async def opened(scheduler: Scheduler) -> AsyncIterator[Cluster]:
    """Give a cluster whose workers can do what they will be asked.

    Raises:
        ConfigurationError: The scheduler cannot be reached, there is no worker, or a worker has
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
            await client
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigurationError(
                f"No scheduler answers at {printable(scheduler)} ({printable(str(error))}); start "
                "one with `dask scheduler`, and give its address, for example tcp://10.0.0.1:8786"
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
    ours = versions()
    # Anything may come back: a worker without this package cannot even read the question.
    found = await cluster.client.run(versions, on_error="return")
    for worker, theirs in found.items():
        if isinstance(theirs, Exception):
            raise ConfigurationError(
                f"The worker {worker} cannot run datagym_async {ours[0]}: {printable(str(theirs))};"
                " install the same version there"
            )
        # Functions and values travel as pickles, which other minor versions may read otherwise.
        same_python = theirs[1].rpartition(".")[0] == ours[1].rpartition(".")[0]
        if theirs[0] != ours[0] or not same_python:
            raise ConfigurationError(
                f"The worker {worker} has datagym_async {theirs[0]} on Python {theirs[1]}, and "
                f"here is {ours[0]} on {ours[1]}; install the same versions on both sides"
            )
    return cluster
