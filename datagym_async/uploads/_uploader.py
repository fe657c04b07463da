"""The bulk uploader: a whole job, observed item by item or run to its end.

How it works:

* Entering looks the dataset up: an unknown dataset, a refused token or a service out of reach is
  the plain error of that call, before anything is read or sent. The names it holds go into the
  plan.
* One task, the feeder, plans the sources (`_plan`), reads small files several at a time
  (`_reading`) and fills a short queue; N workers send from it (`_pipeline`). There is never a task
  a file, and memory does not grow with their number.
* Results come out as they are known, through a bounded queue: a slow reader slows the run.
* Leaving the block early begins nothing new and lets what is in flight end (a request that is cut
  off may be carried out all the same, and the next run would double its image). Leaving it by an
  exception or a cancellation cancels what runs. Neither leaves a task or a file open.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import TYPE_CHECKING, Self

from datagym_async._runs._engine import BulkRun, workers_of
from datagym_async._threads import in_thread
from datagym_async.exceptions import APIError, TransferError
from datagym_async.uploads._config import UploadConfig
from datagym_async.uploads._feeder import Feeder
from datagym_async.uploads._observer import Participant
from datagym_async.uploads._pipeline import Pipeline
from datagym_async.uploads._tally import Tally
from datagym_async.uploads._target import Target
from datagym_async.uploads._values import UploadReport, UploadResult
from datagym_async.uploads._verification import Comparison
from datagym_async.uploads.plan import _journal as journal_file
from datagym_async.uploads.plan._jobs import Job, journal_path
from datagym_async.uploads.plan._plan import Plan
from datagym_async.uploads.sources._candidates import Rules

if TYPE_CHECKING:
    from types import TracebackType

    from datagym_async._limits import LimiterState
    from datagym_async._runs._engine import RunLane
    from datagym_async._runs._needs import DatasetLookup, MediaUploads
    from datagym_async.uploads._observer import Meters
    from datagym_async.uploads._target import Attachments
    from datagym_async.uploads._values import UploadProgress
    from datagym_async.uploads.sources._leaves import Source


DRAIN_SECONDS = 30.0
"""Time that requests in flight get to end when the block is left early."""


class Uploader(BulkRun[UploadResult, UploadReport]):
    """Upload whatever the sources name into one dataset: an async context manager and iterator.

    ::

        async with client.uploader(dataset_id, "photos/") as run:
            async for result in run:
                print(result.outcome, result.name)
        print(run.report.summary())

    Every item that the sources name gets exactly one result. The iteration ends early with an
    error if going on makes no sense:

    * `ConfigurationError` if the sources name nothing but things that do not exist, are empty or
      cannot be read; nothing was sent. Among other sources, such a one is a rejected result.
    * `TransferError` (with the report so far) if the token is refused, the dataset vanishes, the
      plan's limit is reached or the service stops answering in the midst of the run. What was in
      flight has then ended in its own way; the same upload again goes on where this one stopped.
    * Whatever an iterable given as a source raises, unchanged.

    Leaving the block early stops the run: requests in flight get up to 30 seconds to end, so that
    each of them has its outcome in the report. When the block is left by an exception or a
    cancellation they are cut off, and an image whose bytes were all sent may yet be stored.

    Args:
        media: Stores the images.
        datasets: Looks the dataset up.
        dataset_id: UUID of the dataset.
        sources: What to upload (see `Source`). A sync iterator is advanced in a thread.
        config: The options.
        projects: Attaches datasets to projects; needed for ``attach_to`` alone.
        meters: Where the run reads what its client is doing; without them there is no advice.
        lane: Where the client's uploads wait; without it nothing but the workers bounds them.
    """

    def __init__(
        self,
        media: MediaUploads,
        datasets: DatasetLookup,
        dataset_id: str,
        sources: Source,
        *,
        config: UploadConfig | None = None,
        projects: Attachments | None = None,
        meters: Meters | None = None,
        lane: RunLane | None = None,
    ) -> None:
        super().__init__()
        self._lane = lane
        self._config = config = config or UploadConfig()
        self._dataset_id = dataset_id
        self._participant = Participant.of(config, meters)
        self._target = Target.of(config, datasets, projects, dataset_id, self._participant.created)
        self._sources = sources
        self._media = media
        self._plan = Plan(
            skip_existing=config.skip_existing,
            by_hash=config.identity == "sha256",
            keeps_hashes=config.verify is not None,
            screening=f"{config.check}, at most {config.max_bytes} bytes",
        )
        self._tally = Tally(config.max_problems)
        verification = self._participant.verification
        comparison = Comparison(config, self._plan.using, media, verification, seed=dataset_id)
        self._pipeline = Pipeline(
            media,
            self._target,
            self._plan,
            config,
            self._tally,
            workers_of(lane, config.concurrency),
            self._participant.hooks(comparison),
        )

    def __repr__(self) -> str:
        tally = self._tally
        return f"<Uploader {tally.done} of {tally.planned} items done, {tally.in_flight} in flight>"

    async def __aenter__(self) -> Self:
        self._begin()
        try:
            self._pin(self._lane, self._config.concurrency)
            await in_thread(self._open_plan)
            self._participant.begin(self.stop)
            await self._target.open(self._plan.listed)
            self._participant.opened(self._target.shares)
            await self._group.__aenter__()
        except BaseException as error:
            self._pinned.close()
            self._participant.close()
            await in_thread(self._plan.close)
            if isinstance(error, sqlite3.Error):
                raise self._outcome_of(error) from error
            raise
        self._running = self._group.create_task(self._run())
        return self

    def _open_plan(self) -> None:
        config = self._config
        if config.journal is None or config.journal is False:
            self._plan.open()
            return
        job = Job.of(self._media.base_url, self._dataset_id, self._sources, config=config)
        path = journal_path(config.journal, job)
        self._plan.open(journal_file.journal(path, job, fresh=config.fresh))

    async def _run(self) -> None:
        rules = Rules.of(self._config)
        feeder = Feeder(self._plan, rules, self._config.batch_size, self._tally, self._pipeline)
        await self._pipeline.run(feeder, self._sources)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                await self._drain()
        finally:
            await self._close()

    def stop(self) -> None:
        """Begin nothing new; what is in flight ends in its own way, and then the iteration does.

        The report is incomplete then; with a journal the same upload again goes on.
        """
        self._pipeline.stop()

    async def _drain(self) -> None:
        """End what is in flight: a request that is cut off may be carried out all the same."""
        self.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._ended is None:
                    await self._next()

    async def _close(self) -> None:
        try:
            await self._leave_group()
        finally:
            self._pinned.close()
            complete = self._tally.complete and self._pipeline.error is None
            cut_off = self._pipeline.cut_off
            self._end()
            await in_thread(self._plan.close, complete=complete, doubtful=cut_off)

    def _results(self) -> Pipeline | None:
        return None if self._running is None else self._pipeline

    def _end(self) -> None:
        """Stop the clock, and tell that the run is over."""
        super()._end()
        self._participant.end(self.report, disk_seconds=self._tally.disk_seconds)

    def _outcome_of(self, error: Exception) -> Exception:
        if isinstance(error, APIError | sqlite3.Error):
            words = str(error) if isinstance(error, APIError) else self._plan.told_failed(error)
            text = f"The upload stopped: {words.rstrip('.')}. {self.report.summary()}"
            return TransferError(text, report=self.report)
        return error

    @property
    def progress(self) -> UploadProgress:
        """Return a snapshot of how far the run is; cheap enough for every frame of a display."""
        now = self._now()
        since = self._pipeline.sending_since
        return self._tally.progress(
            seconds=now - self._began,
            sending=0.0 if since is None else now - since,
        )

    @property
    def report(self) -> UploadReport:
        """Return the account of the run so far; final once the iteration has ended."""
        now = self._now()
        report = self._tally.report(
            dataset_id=self._dataset_id,
            dataset_name=self._target.name,
            seconds=now - self._began,
            journal=self._plan.path,
        )
        return self._participant.completed(report, self._target.shares)

    @property
    def limiter(self) -> LimiterState | None:
        """Return how many uploads may be in flight now, how many are, and why; None if unknown."""
        return self._participant.advisor.limiter()
