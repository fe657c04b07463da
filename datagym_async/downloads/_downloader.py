"""The bulk downloader: a whole dataset or project into a folder, item by item or to its end.

How it works:

* Entering locks the folder, lists what there is and allots a file to each media in the manifest
  (`_download_manifest`): an unknown dataset, a refused token or a folder that is not ours is the
  plain error of that call, before anything is fetched.
* One task, the feeder, takes media from the manifest in portions and looks which of them are on
  the disk already; N workers fetch the others (`_download_pipeline`, `_download_fetch`). There is
  never a task a file, and memory does not grow with their number.
* Results come out as they are known, through a bounded queue: a slow reader slows the run.
* A file is written aside, verified, and renamed into its place. Whatever ends the run leaves whole
  files alone in the folder; the same download again goes on.

Fetch what the manifest plans: N workers on one bounded queue, results through another.

The first error that every other media would meet as well (token revoked, disk full, service out
of reach) stops the run: nothing new is begun, what is in flight ends in its own way, and the
error is kept for the downloader to raise.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs

from datagym_async._groups import first_of
from datagym_async._retry import RetryPolicy
from datagym_async._runs._engine import UNREACHABLE_AFTER, BulkRun, workers_of
from datagym_async._runs._soundness import DamagedError
from datagym_async._threads import in_thread
from datagym_async.downloads._config import DownloadConfig
from datagym_async.downloads._fetching import Fetcher
from datagym_async.downloads._labels import Endings, require_extras
from datagym_async.downloads._listing import Listing
from datagym_async.downloads._manifest import (
    Manifest,
    Wanted,
    export_manifest,
    manifest_path,
    trouble,
)
from datagym_async.downloads._report import DownloadReport, DownloadResult, DownloadTally
from datagym_async.exceptions import (
    APIError,
    ClientClosedError,
    ConfigurationError,
    DataGymError,
    FileWriteError,
    TransferError,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

    from datagym_async._runs._engine import RunLane
    from datagym_async._runs._needs import DownloadSources
    from datagym_async.downloads._manifest import DownloadJob
    from datagym_async.downloads._report import DownloadProgress


class Downloader(BulkRun[DownloadResult, DownloadReport]):
    """Download a dataset or a project into a folder: an async context manager and iterator.

    ::

        async with client.downloader(dataset_id, "out/") as run:
            async for result in run:
                print(result.outcome, result.path)
        print(run.report.summary())

    Every media that the service lists has one outcome; all but those that an earlier run has
    downloaded have a result. The iteration ends early with a `TransferError` (with the report so
    far) if going on makes no sense: the token is refused, the disk is full, the service stops
    answering. The same download again goes on where this one stopped.

    Leaving the block early cuts off what is in flight: of a file that was not whole, nothing stays.

    Args:
        sources: The resources of a client.
        job: What is downloaded.
        folder: Where to; new, empty, or of the same download.
        config: The options.
        retry: How often, and with which waits, an answer that broke off is asked for again.
        lane: Where the client's downloads wait; without it nothing but the workers bounds them.
    """

    def __init__(
        self,
        sources: DownloadSources,
        job: DownloadJob,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
        retry: RetryPolicy | None = None,
        lane: RunLane | None = None,
    ) -> None:
        super().__init__()
        self._config = config = config or DownloadConfig()
        self._sources = sources
        self._job = job
        self._root = Path(folder).expanduser().absolute()
        self._retry = retry or RetryPolicy()
        self._lane = lane
        self._tally = DownloadTally(config.max_problems)
        self._listing = Listing(job, sources, config, self._tally)
        self._endings = Endings(sources, self._listing, config, self._tally)
        self._manifest: Manifest | None = None
        self._pipeline: DownloadPipeline | None = None

    def __repr__(self) -> str:
        return f"<Downloader {self._tally.done} of {self._tally.planned} media done>"

    async def __aenter__(self) -> Self:
        require_extras(self._config)
        self._begin()
        try:
            self._pin(self._lane, self._config.concurrency)
            await in_thread(self._open_manifest)
            await self._listing.enter(self._opened)
            await self._group.__aenter__()
        except BaseException as error:
            self._pinned.close()
            await in_thread(self._close_manifest)
            if isinstance(error, sqlite3.Error):
                raise self._outcome_of(error) from error
            raise
        self._pipeline = self._made_pipeline()
        self._running = self._group.create_task(
            self._pipeline.run(self._endings.asked(self._opened))
        )
        return self

    def _open_manifest(self) -> None:
        self._manifest = Manifest.open(self._root, self._job)

    @property
    def _opened(self) -> Manifest:
        if self._manifest is None:
            raise ClientClosedError("The Downloader is not open; use it in an `async with` block.")
        return self._manifest

    def _made_pipeline(self) -> DownloadPipeline:
        manifest, config = self._opened, self._config
        workers = workers_of(self._lane, config.concurrency)
        fetcher = Fetcher(
            self._root,
            self._sources,
            config,
            self._retry,
            self._tally,
            patience=max(UNREACHABLE_AFTER, workers),
        )
        return DownloadPipeline(manifest, fetcher, config, self._tally, workers)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._leave_group()
        finally:
            self._pinned.close()
            self._end()
            await in_thread(self._close_manifest)

    def _close_manifest(self) -> None:
        manifest = self._manifest
        if manifest is None:
            return
        try:
            if self._pipeline is not None:
                with contextlib.suppress(sqlite3.Error):  # what is not noted is fetched again
                    self._pipeline.flush()
        finally:
            manifest.close()

    def stop(self) -> None:
        """Begin nothing new; what is in flight ends in its own way, and then the iteration does.

        The report is incomplete then; the same download again goes on.
        """
        if self._pipeline is not None:
            self._pipeline.stop()

    def _results(self) -> DownloadPipeline | None:
        return self._pipeline

    def _outcome_of(self, error: Exception) -> Exception:
        if isinstance(error, ConfigurationError):
            return error
        if isinstance(error, APIError | OSError | sqlite3.Error):
            words = str(error)
            if isinstance(error, sqlite3.Error):
                words = trouble(manifest_path(self._root), error)
            elif not isinstance(error, DataGymError):
                words = str(FileWriteError.of(self._root, error))
            text = f"The download stopped: {words.rstrip('.')}. {self.report.summary()}"
            return TransferError(text, report=self.report)
        return error

    @property
    def progress(self) -> DownloadProgress:
        """Return a snapshot of how far the run is; cheap enough for every frame of a display."""
        now = self._now()
        since = None if self._pipeline is None else self._pipeline.fetching_since
        return self._tally.progress(
            seconds=now - self._began, fetching=0.0 if since is None else now - since
        )

    @property
    def report(self) -> DownloadReport:
        """Return the account of the run so far; final once the iteration has ended."""
        pipeline = self._pipeline
        return self._tally.report(
            name=self._listing.name,
            folder=str(self._root),
            seconds=self._now() - self._began,
            ended=pipeline is not None and pipeline.error is None,
        )


PORTION = 100
"""Media that are looked for on the disk in one go."""
HASHED_PORTION = 8
"""Media whose files are hashed in one go: a cancellation waits for its end."""
WRITE_EVERY = 0.1
"""Seconds after which an outcome is in the manifest at the latest."""


@attrs.define
class DownloadPipeline:
    """Run the workers of one download.

    Args:
        manifest: What is to be fetched; told of what became of it.
        fetcher: Fetches it.
        config: The options.
        tally: Told of what is settled.
        workers: How many fetch at once.
    """

    _manifest: Manifest
    _fetcher: Fetcher
    _config: DownloadConfig
    _tally: DownloadTally
    _workers: int
    error: Exception | None = attrs.field(default=None, init=False)
    stopped: bool = attrs.field(default=False, init=False)
    fetching_since: float | None = attrs.field(default=None, init=False)
    _began: float = attrs.field(default=0.0, init=False)
    _feeding: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _noted: deque[DownloadResult] = attrs.field(factory=deque, init=False)
    _work: asyncio.Queue[Wanted | None] = attrs.field(init=False)
    _results: asyncio.Queue[DownloadResult | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._work = asyncio.Queue(self._workers)
        self._results = asyncio.Queue(2 * self._workers)

    async def run(self, endings: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        """Fetch everything to the end, or until an error stops it; then end the results.

        Args:
            endings: What follows once all media are settled, and if nothing has stopped the run.
        """
        self._began = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self._write_outcomes())
                await self._fetch_everything()
                await self._finish(endings)
                writing.cancel()
        except ExceptionGroup as errors:  # a slip of ours, or of what was given to us
            self.error = self.error or first_of(errors)
        finally:
            await self._fetcher.aclose()
        await self._results.put(None)

    async def next_result(self) -> DownloadResult | None:
        """Return the next result as it is known, or None at the end."""
        return await self._results.get()

    def stop(self) -> None:
        """Begin nothing new; what is in flight ends in its own way, and then the results do."""
        self.stopped = True
        if self._feeding is not None:
            self._feeding.cancel()

    def flush(self) -> None:
        """Write down what is not yet written; blocks."""
        noted = [self._noted.popleft() for _ in range(len(self._noted))]
        if noted:
            self._manifest.note(noted)

    async def _fetch_everything(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._feeding = group.create_task(self._feed())
            for _ in range(self._workers):
                group.create_task(self._fetch_all())

    async def _finish(self, endings: Sequence[Callable[[], Awaitable[None]]]) -> None:
        try:
            await in_thread(self.flush)
            if self.error is None and not self.stopped:
                self._tally.phase = "labels"
                for ending in endings:
                    await ending()
                self._tally.phase = "done"
            await in_thread(export_manifest, self._manifest)
        except (APIError, OSError, sqlite3.Error) as error:
            self.error = self.error or error

    async def _write_outcomes(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY)
            try:
                await in_thread(self.flush)
            except sqlite3.Error as error:
                self._stop(error)
                return

    def _stop(self, error: Exception) -> None:
        self.error = self.error or error
        self.stop()

    async def _feed(self) -> None:
        try:
            await self._feed_all()
        except asyncio.CancelledError:
            if not self.stopped:  # else we cancelled it ourselves
                raise
        except Exception as error:
            self.error = self.error or error
        self._feeding = None  # from here on it must not be cancelled, or the workers would wait
        for _ in range(self._workers):
            await self._work.put(None)

    async def _feed_all(self) -> None:
        self._tally.phase = "fetching"
        last, taken, verify = 0, 0, self._config.verify
        count = HASHED_PORTION if verify else PORTION
        while True:
            portion = await in_thread(self._manifest.take, last, count, verify=verify)
            if not portion.last:
                break
            last = portion.last
            taken += portion.present + len(portion.wanted)
            self._tally.present(portion.present)
            for wanted in portion.wanted:
                await self._work.put(wanted)
        if taken != self._tally.planned:
            listed = self._tally.planned
            raise DamagedError(f"it holds {taken:,} of the {listed:,} media that are listed")

    async def _fetch_all(self) -> None:
        clock = asyncio.get_running_loop().time
        while (wanted := await self._work.get()) is not None:
            if self.stopped or self._has_reached_a_limit(clock()):
                continue
            self.fetching_since = self.fetching_since or clock()
            self._tally.begun += 1
            self._tally.in_flight += 1
            try:
                result = await self._fetcher.fetch(wanted)
            except (APIError, OSError) as error:
                self._stop(error)
                continue
            finally:
                self._tally.in_flight -= 1
            await self._give_out(result)

    def _has_reached_a_limit(self, now: float) -> bool:
        tally = self._tally
        tally.stopped_by = self._config.stops.reason(
            begun=tally.begun,
            begun_bytes=tally.bytes_arrived,
            failed=tally.failed,
            seconds=now - self._began,
        )
        if tally.stopped_by:
            self.stop()
        return bool(tally.stopped_by)

    async def _give_out(self, result: DownloadResult) -> None:
        self._noted.append(result)
        self._tally.settled(result)
        await self._results.put(result)
