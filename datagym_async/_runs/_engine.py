"""The engine of every bulk job: one feeder, N workers on one queue, results through another.

An upload and a download are subclasses with their own parts. The engine does the rest: it starts
once, measures the time, limits what is read ahead and what is not yet consumed, stops at a limit or
at the first error that every other item would get as well, and ends with no task and no file open.

* The queue of work is limited by portions: `_room` waits until the last portion is nearly used up.
  A limit by items would wake the feeder for each item.
* The queue of results is limited by items: while it is full, no worker begins anything new.
* After a stop nothing new begins, and requests in flight finish.
* Outcomes are written a moment after they are known, many at once, and all at the end.

The protocols, at the end, are what jobs and the loader need from the resources below them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Generic, Protocol, Self, TypeVar, cast

import attrs

from datagym_async._public import NotCopied
from datagym_async._retry import SEEMS_DOWN, is_outage
from datagym_async._runs._options import Stops
from datagym_async._threads import TaskGroup, in_thread, together, ungrouped
from datagym_async._wire._messages import Body
from datagym_async.exceptions import (
    APIError,
    AuthenticationError,
    ClientClosedError,
    LimitReachedError,
    NotFoundError,
    PermissionDeniedError,
    StoreError,
)
from datagym_async.labels import LabeledTask
from datagym_async.models import Dataset, DatasetMedia, Project, UrlResult
from datagym_async.resources import LabelsResource, MediaResource, TasksResource

T = TypeVar("T")
Work = TypeVar("Work")
Result = TypeVar("Result")
Report = TypeVar("Report")

DEFAULT_WORKERS = 8  # of a run that has neither its own number nor a client's lane
MAX_READY = 8  # pieces of work that may wait for a worker while the next portion is read
WRITE_EVERY = 0.1  # seconds after which an outcome is written at the latest

# The next item would get the same answer, after sending its whole body in vain.
_FATAL = (
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    LimitReachedError,
    ClientClosedError,
)


class BulkRun(NotCopied, ABC, Generic[Work, Result, Report]):
    """One run of a job: an async context manager, and an iterator over its results.

    Requests wait for their slots in the lane, if there is one; `concurrency` of them are pinned in
    flight, or as many as the lane finds out.
    """

    def __init__(self, lane: RunLane | None, concurrency: int | None, stops: Stops) -> None:
        self.error: Exception | None = None  # the error that ended the run early
        self.stopped: bool = False  # whether nothing new is begun any more
        self.stopped_by: str = ""  # which limit was reached, in words
        self.begun = self.failed = 0  # items
        self._begun_bytes: int = 0  # of images
        self.working_since: float | None = None  # when a worker got the first work, loop time
        self._lane, self._concurrency, self._stops = lane, concurrency, stops
        limits = (stops.max_files, stops.max_bytes_total, stops.max_failures, stops.max_duration)
        self._has_limits = any(limit is not None for limit in limits)
        # As many workers as may ever be in flight.
        self._workers = concurrency or (DEFAULT_WORKERS if lane is None else lane.most)
        self._patience = Patience()
        self._patience.most = max(self._patience.most, self._workers)
        self._few = min(self._workers, MAX_READY)
        self._pending: Channel[Work | None] = Channel()
        self._results: Channel[Result | None] = Channel()
        self._most_results = 2 * self._workers
        self._is_taken = asyncio.Event()  # whether a result was, since somebody waits for that
        self._has_room = asyncio.Event()
        self._noted = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._running: asyncio.Task[None] | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened = contextlib.ExitStack()
        self._began = 0.0
        self._ended: float | None = None
        self._has_raised = False

    # Methods of the job.

    @property
    @abstractmethod
    def report(self) -> Report:
        """Return the report of the run so far; final once the iteration has ended."""

    @abstractmethod
    async def _open(self) -> None:
        """Open what the run needs; if it fails, `_close` is called anyway."""

    @abstractmethod
    async def _feed(self) -> None:
        """Hand all work over (`_hand_over`), waiting for room (`_room`) before each portion."""

    @abstractmethod
    async def _do(self, work: Work) -> None:
        """Do work and yield its results (`_give_out`); an exception ends the run."""

    @abstractmethod
    async def _close(self, *, complete: bool) -> None:
        """Close everything; called once, also if `_open` failed. `complete`: without an error."""

    # Those that a job may do without.

    def _write_down(self) -> None:
        """Write the outcomes that are not written yet; blocks."""

    async def _finish(self) -> None:
        """Finish the job once the workers are done, also after a stop."""

    def _tell_end(self) -> None:
        """Report the end of the run, whose clock has stopped."""

    def _outcome_of(self, error: Exception) -> Exception:
        """Return the exception to raise after an error has ended the run."""
        return error

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self._leave()

    # The life of a run.

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ClientClosedError(
                f"Each {type(self).__name__} runs once; make a new one for another run."
            )
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        keep_freed_memory()
        try:
            if self._lane is not None and self._concurrency is not None:
                self._opened.enter_context(self._lane.pin(self._concurrency))
            if self._stops.max_duration is not None:
                # A timer, because a silent source triggers no check.
                seconds = self._stops.max_duration  # a timer may fire one step of the clock early
                timer = self._loop.call_later(seconds, self._has_reached_a_limit, seconds)
                self._opened.callback(timer.cancel)
            await self._open()
            await self._group.__aenter__()
        except BaseException as error:
            self._opened.close()
            await self._close(complete=False)
            if isinstance(error, sqlite3.Error) and (said := self._outcome_of(error)) is not error:
                raise said from error
            raise
        self._tasks = TaskGroup(self._group, asyncio.current_task())
        self._running = self._tasks.create_task(self._run())
        return self

    async def _leave(self) -> None:
        """Cancel all running tasks, wait for their end, and close everything."""
        try:
            if self._running is not None:
                self._tasks.is_ending = True
                self._running.cancel()
            # Without the body's error, which the group would wrap; it is raised as it is, and so is
            # what is no `Exception`.
            with ungrouped():
                await self._group.__aexit__(None, None, None)
        finally:
            self._opened.close()
            self._end()
            self._results.put(None)  # for another task that still iterates
            await self._close(complete=self.error is None)

    async def _run(self) -> None:
        """Work until the end, or until something stops the run; then end the results."""
        try:
            async with together() as group:
                writing = group.create_task(self._keep_writing())
                async with together() as workers:
                    workers.create_task(self._feed_all())
                    for _ in range(self._workers):
                        workers.create_task(self._work())
                try:
                    await in_thread(self._write_down)
                    await self._finish()
                except (APIError, OSError, sqlite3.Error) as error:
                    self.error = self.error or error
                group.is_ending = True
                writing.cancel()
        except Exception as error:  # a bug of ours or of the caller's code
            self.error = self.error or error
        finally:
            self._results.put(None)

    def stop(self) -> None:
        """Begin nothing new; requests in flight finish, and then the iteration ends.

        The report is incomplete then; the same job again resumes. Signal handlers and other threads
        may call it too.
        """
        self.stopped = True
        if self._loop is not None and self._ended is None:
            self._loop.call_soon_threadsafe(self._stop_feeding)

    def _stop_feeding(self) -> None:
        if self._feeding is not None:  # otherwise it has not begun
            self._feeding.cancel()

    def _stop(self, error: Exception) -> None:
        """Stop for an error, which is raised at the end of the results."""
        self.error = self.error or error
        self.stop()

    def _judge(self, error: Exception | None) -> None:
        """Stop the run for an error that every other item would get as well; None is an answer."""
        if error is None:
            self._patience.in_a_row = 0
        elif self._patience.is_over(error) or is_fatal(error):
            self._stop(error)

    def _has_reached_a_limit(self, seconds: float | None = None) -> bool:
        """Return whether a limit of the run is reached; stops the run then."""
        seconds = self._now() - self._began if seconds is None else seconds
        self.stopped_by = self.stopped_by or self._stops.limit_reached(
            begun=self.begun, begun_bytes=self._begun_bytes, failed=self.failed, seconds=seconds
        )
        if self.stopped_by:
            self.stop()
        return bool(self.stopped_by)

    # The feeder's side.

    async def _feed_all(self) -> None:
        self._feeding = asyncio.current_task()
        if self.stopped:  # before it began
            self._stop_feeding()
        try:
            await self._feed()
        except asyncio.CancelledError:
            if not self.stopped:  # otherwise we cancelled it ourselves
                raise
        except Exception as error:
            self.error = self.error or error
        for _ in range(self._workers):
            self._pending.put(None)

    def _hand_over(self, work: Work) -> None:
        if self.working_since is None:
            self.working_since = self._now()
        self._pending.put(work)

    async def _room(self) -> None:
        """Wait until hardly any work waits for a worker; until then nothing is read."""
        while len(self._pending.ready) > self._few:
            self._has_room.clear()
            await self._has_room.wait()

    # The workers' side.

    async def _work(self) -> None:
        ready, few = self._pending.ready, self._few
        while True:
            # Ready work is taken directly; the clock is read only for a wait.
            work = ready.popleft() if ready else await self._next_work()
            if len(ready) <= few:
                self._has_room.set()
            if work is None:
                return
            if self.stopped or (self._has_limits and self._has_reached_a_limit()):
                continue
            try:
                await self._do(work)
            except (APIError, OSError) as error:
                self._stop(error)
            if len(self._results.ready) >= self._most_results:
                await self._while_full()

    async def _next_work(self) -> Work | None:
        return await self._pending.get()

    def _give_out(self, result: Result) -> None:
        """Pass a result to the iteration; with many results, wait in between (`_while_full`)."""
        self._noted.set()
        self._results.put(result)

    async def _while_full(self) -> None:
        """Wait while the iteration is slow."""
        while len(self._results.ready) >= self._most_results:
            self._is_taken.clear()
            await self._is_taken.wait()

    async def _keep_writing(self) -> None:
        """Write outcomes soon after they are known, unless another write has included them."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(WRITE_EVERY)
            try:
                await in_thread(self._write_down)
            except (OSError, sqlite3.Error) as error:
                self._stop(error)
                return

    # The side of the iteration.

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        if self._running is None:
            name = type(self).__name__
            raise ClientClosedError(f"The {name} is not open; use it in an `async with` block.")
        ready = self._results.ready
        if ready and ready[0] is not None:  # the usual case, without a call
            self._is_taken.set()
            return cast("Result", ready.popleft())
        if (result := await self._next()) is not None:
            return result
        if self.error is not None and not self._has_raised:
            self._has_raised = True
            outcome = self._outcome_of(self.error)
            try:
                if outcome is self.error:  # which would be its own cause, and lose what it has
                    raise outcome
                raise outcome from self.error
            finally:
                del outcome  # its traceback has this frame
        raise StopAsyncIteration

    async def _next(self) -> Result | None:
        """Return the next result, or None at the end and always after it."""
        if self._ended is not None:
            return None
        result = await self._results.get()
        self._is_taken.set()
        if result is None:
            self._end()
            self._results.put(None)  # for other tasks that iterate over this run
        return result

    async def finish(self) -> Report:
        """Run to the end and return the report, without a look at the single results.

        It raises what the iteration does (see the class).
        """
        async for _ in self:
            pass
        return self.report

    def _end(self) -> None:
        """Stop the clock, and report the end of the run, once."""
        if self._ended is None:
            self._ended = self._now()
            self._tell_end()

    def _now(self) -> float:
        if self._ended is not None:
            return self._ended
        return self._began if self._loop is None else self._loop.time()


@attrs.define
class Patience:
    """Tells what fails for single items from a service, or store, that is gone for all of them.

    It counts as gone after `most` failures of an outage in a row.
    """

    most: int = 8
    in_a_row: int = 0

    def is_over(self, error: Exception) -> bool:
        """Note a failure, and return whether the service counts as gone; an answer sets it to 0."""
        is_down = is_outage(error) or isinstance(error, StoreError)
        self.in_a_row = self.in_a_row + 1 if is_down else 0
        return self.in_a_row >= self.most


def is_fatal(error: Exception) -> bool:
    """Return whether every other item would get the error as well.

    A spent retry budget is such an error: then nearly everything has failed recently.
    """
    return (
        isinstance(error, _FATAL)
        or getattr(error, "ends_run", False)
        or getattr(error, "remark", "") == SEEMS_DOWN
    )


def check_reachable(error: Exception, patience: Patience) -> None:
    """Raise the error of one item if every other would get it as well; it alone may be gone."""
    if patience.is_over(error) or (is_fatal(error) and not isinstance(error, NotFoundError)):
        raise error


class Channel(Generic[Work]):
    """A queue between tasks of one event loop, at a third of the cost of asyncio's.

    Elements are put into `ready` and taken from it without a call. A call is needed only to wait,
    or to wake one that waits.
    """

    __slots__ = ("_loop", "_waiters", "ready")

    def __init__(self) -> None:
        self.ready: deque[Work] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def put(self, item: Work) -> None:
        self.ready.append(item)
        if self._waiters:
            self._wake()

    async def get(self) -> Work:
        """Wait for an element, and remove it. Safe to cancel: nothing is lost."""
        while not self.ready:
            # Looked up once: in Python 3.11 this is a system call.
            loop = self._loop = self._loop or asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.cancelled():
                    with contextlib.suppress(ValueError):
                        self._waiters.remove(waiter)
                elif self.ready:  # woken and cancelled in the same turn of the loop
                    self._wake()
                raise
        return self.ready.popleft()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


@functools.cache  # once in a process
def keep_freed_memory() -> None:
    """Let the allocator use the memory of one image for the next one.

    That of glibc returns freed memory to the system, which clears each page before it gives it out
    again: up to a fifth of the time of an upload of 200 kB. When a large block is freed, glibc
    raises its limits: here to 32 MiB of free memory that it may keep. The pages of the block are
    never touched. With other allocators, or limits that the user has set, nothing changes.
    """
    bytes(16 << 20)


# --- what jobs and the loader need from the resources below them ----------------------------------


class MediaUploads(Protocol):
    """Store images in a dataset; `MediaResource` does."""

    @property
    def base_url(self) -> str: ...

    def settle_after(self) -> float:
        """Return the seconds within which the service may still be storing a lost upload."""

    def upload_body(
        self,
        dataset_id: str,
        name: str,
        body: Body,
        *,
        settle: Callable[[], Awaitable[DatasetMedia | None]],
    ) -> Coroutine[Any, Any, DatasetMedia]:
        """Store one image, retried, and settled by `settle`; the name is unencoded."""

    async def upload_urls(
        self, dataset_id: str, urls: Sequence[str], *, batch_size: int
    ) -> list[UrlResult]:
        """Store links; one result for each URL, in request order."""

    def stream(self, media_id: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]: ...
    async def delete(self, media_id: str) -> bool: ...


class DatasetLookup(Protocol):
    """List the media of datasets; `DatasetsResource` does."""

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        """Return the result of `reading` a dataset's parts; it is called again if they break off.

        Without an id these are the parts of all datasets, one dataset after the other.
        """


class ProjectLookup(Protocol):
    """List projects; `ProjectsResource` does."""

    async def list(self) -> Sequence[Project]: ...


class LabelExports(Protocol):
    """Export labels; `LabelsResource` does."""

    def iter_export(self, project_id: str) -> AsyncGenerator[LabeledTask, None]: ...


@attrs.frozen
class DownloadSources:
    """The resources of a client that a download needs."""

    media: MediaResource
    datasets: DatasetLookup
    projects: ProjectLookup
    tasks: TasksResource  # knows the addresses of link images
    labels: LabelsResource  # exports labels and bitmaps


class RunLane(Protocol):
    """Where the requests of a run wait for their slots; the client's limits have two."""

    @property
    def most(self) -> int:
        """Return how many may ever be in flight at once."""

    def pin(self, limit: int) -> AbstractContextManager[None]:
        """Fix how many may be in flight while the block runs."""
