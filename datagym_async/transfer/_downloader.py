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
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Self

from datagym_async._retry import RetryPolicy
from datagym_async.exceptions import APIError, ClientClosedError, ConfigurationError, TransferError
from datagym_async.transfer._bulk_run import BulkRun, workers_of
from datagym_async.transfer._download_config import DownloadConfig
from datagym_async.transfer._download_endings import Endings, require_extras
from datagym_async.transfer._download_fetch import UNREACHABLE_AFTER, Fetcher
from datagym_async.transfer._download_items import DownloadResult
from datagym_async.transfer._download_listing import Listing
from datagym_async.transfer._download_manifest import Manifest
from datagym_async.transfer._download_pipeline import DownloadPipeline
from datagym_async.transfer._download_report import DownloadReport
from datagym_async.transfer._download_tally import DownloadTally
from datagym_async.transfer._threads import in_thread

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from datagym_async.transfer._bulk_run import RunLane
    from datagym_async.transfer._download_items import DownloadProgress
    from datagym_async.transfer._download_needs import DownloadSources
    from datagym_async.transfer._download_state import DownloadJob


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
        except BaseException:
            self._pinned.close()
            await in_thread(self._close_manifest)
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
            where = "" if isinstance(error, APIError) else f"the folder {self._root}: "
            words = str(error).rstrip(".")
            text = f"The download stopped: {where}{words}. {self.report.summary()}"
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
