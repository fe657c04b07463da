"""The bulk uploader: a whole job, iterated item by item or run to its end.

One task, the feeder, plans and reads the sources; N workers send. An upload whose answer is lost
keeps its worker until it is settled, but no slot of the client: others are sent meanwhile as long
as there are more workers than slots.

A dry run says what an upload would do: the same plan, read the same way, and nothing sent. Only the
dataset is listed, with its family if there is one, and links are requested if `check_links` is set.
A journal is not opened: the listing shows what earlier runs have stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from contextlib import aclosing
from typing import Final, Literal, TypeAlias

import attrs

from datagym_async._limits import LimiterState
from datagym_async._printable import printable, quoted, told
from datagym_async._runs._engine import BulkRun, DatasetLookup, MediaUploads
from datagym_async._runs._options import DRAIN_SECONDS, Stops
from datagym_async._runs._text import counted, size
from datagym_async._threads import in_thread
from datagym_async._wire._pages import Pipes
from datagym_async.exceptions import APIError, ClientClosedError, StoreError, TransferError
from datagym_async.uploads._config import AUTO, UploadConfig, rules_of
from datagym_async.uploads._feeder import Feeder, Work
from datagym_async.uploads._sending import Sender, dead_links, prober_of
from datagym_async.uploads._settling import Settler, SharedListing, images_of, verify
from datagym_async.uploads._tally import Meters, Observer, Tally
from datagym_async.uploads._target import Attachments, Target
from datagym_async.uploads._values import (
    Outcome,
    UploadItem,
    UploadProgress,
    UploadReport,
    UploadResult,
    said_remarks,
)
from datagym_async.uploads.plan import _journal as journal_file
from datagym_async.uploads.plan._journal import Job, journal_path
from datagym_async.uploads.plan._plan import Plan
from datagym_async.uploads.sources._leaves import Source, check_there
from datagym_async.uploads.sources._watch import FolderWatch

_FAILED: Final = Outcome.FAILED  # looking up a member of an enum costs as much as a call


class Uploader(BulkRun[Work, UploadResult, UploadReport]):
    """Upload whatever the sources name into one dataset: an async context manager and iterator.

    Entering looks the dataset up: an unknown dataset, a refused token or an unreachable service is
    the plain error of that call, before anything is read or sent.

    ::

        async with client.uploader(dataset_id, "photos/") as run:
            async for result in run:
                print(result.outcome, result.name)
        print(run.report.summary())

    Each item of the sources gets exactly one result. The iteration ends early with an error:

    * `ConfigurationError` if all sources do not exist, are empty or cannot be read; nothing was
      sent. Among other sources, such a source is a rejected result.
    * `TransferError` (with the report so far) if the token is refused, the dataset vanishes, a
      limit of the service is reached or it stops answering. The same upload resumes.
    * Whatever an iterable given as a source raises, unchanged.

    Leaving the block early stops the run: requests in flight get up to 30 seconds to end, so that
    each has its outcome in the report (a cancelled request may still be carried out). If the block
    is left by an exception or a cancellation, they are cancelled.

    See `Source` for the sources; a sync iterator is advanced in a thread. Projects are needed for
    ``attach_to`` alone. Without meters there is no advice, and only the number of workers limits
    the uploads. If files are sent from elsewhere, only their first bytes are read here.
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
        sent_elsewhere: bool = False,
    ) -> None:
        self._config = config = config or UploadConfig()
        rules = rules_of(config)
        self._pipes = Pipes()
        screening = rules.screening
        if sent_elsewhere:
            screening = attrs.evolve(screening, small=0)
        elif rules.steps is None and screening.check != "decode":  # nobody else needs the bytes
            screening = attrs.evolve(screening, pipes=self._pipes)
        self._rules = attrs.evolve(rules, screening=screening)
        super().__init__(None if meters is None else meters.lane, config.concurrency, config)
        self._media = media
        self._dataset_id = dataset_id
        self._sources = sources
        self._observer = Observer(config.on_event, meters)
        created = self._observer.created
        self._target = Target(
            datasets, projects, dataset_id, config.max_per_dataset, config.attach_to, created
        )
        self._plan = Plan(
            skip_existing=config.skip_existing,
            by_hash=config.identity == "sha256",
            keeps_hashes=config.verify is not None,
            dedupe=config.dedupe,
        )
        self._tally = Tally(config.max_problems, next_mark=1, on_mark=self._mark)
        self._prober = prober_of(config)
        self._listing = SharedListing(self._target.find, media.settle_after)
        self._sender = Sender(
            media, self._target, self._listing, config, self._tally, self._judge, self._prober
        )
        self._settler = Settler(
            self._plan, media, self._target, self._tally, self._settled, config.remove_doubles
        )

    def __repr__(self) -> str:
        tally = self._tally
        return f"<Uploader {tally.done} of {tally.planned} items done, {tally.in_flight} in flight>"

    async def _open(self) -> None:
        await in_thread(self._open_plan)
        self._observer.begin()
        await self._target.open(self._plan.listed)
        # At once: the report of a run that is stopped before it reads anything counts them, too.
        self._tally.added(await in_thread(self._plan.resume))
        self._observer.opened(self._target.shares(self._tally.stored))

    def _open_plan(self) -> None:
        config = self._config
        if config.journal is None or config.journal is False:
            self._plan.open()
        else:
            job = Job.of(self._media.base_url, self._dataset_id, self._sources, config=config)
            path = journal_path(config.journal, job)
            if config.fresh or not path.exists():
                check_there(self._sources, self._rules)
            self._plan.open(journal_file.journal(path, job, fresh=config.fresh))

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.stop()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DRAIN_SECONDS):
                        while self._ended is None:
                            await self._next()
        finally:
            await self._leave()

    async def _close(self, *, complete: bool) -> None:
        self._observer.close()
        in_flight = frozenset(self._sender.in_flight)
        self._pipes.close()
        try:
            if self._prober is not None:
                await self._prober.aclose()
        finally:
            complete = complete and self._tally.complete
            await in_thread(self._plan.close, complete=complete, doubtful=in_flight)

    # Called by the engine.

    async def _feed(self) -> None:
        size, settle = self._config.batch_size, self._settler.at_start
        feeder = Feeder(self._plan, self._rules, size, self._tally, self._hand_out, settle)
        await feeder.feed(self._sources)

    async def _hand_out(self, portion: list[Work]) -> None:
        """Hand a portion to the workers, and settle the items that are not sent."""
        for work in portion:
            if isinstance(work, tuple) or (verdict := work.verdict) is None:
                self._hand_over(work)
                continue
            dataset_id, media_id = work.there
            result = UploadResult(
                item=work.item,
                outcome=verdict.outcome,
                dataset_id=dataset_id or self._target.members[0].dataset_id,
                media_id=media_id or None,
                size=work.size,
                reason=verdict.reason,
                warnings=work.warnings,
            )
            await self._settled(work.seq, result)
        await self._room()

    async def _do(self, work: Work) -> None:
        if isinstance(work, tuple):
            most = self._config.max_files
            links = work if most is None else work[: max(0, most - self.begun)]
            self.begun += len(links)
            if len(links) < len(work):  # perhaps nothing comes after it, for which we would ask
                self._has_reached_a_limit()
            for each in await self._sender.send_links(links):
                self._note(*each)
            return
        self.begun += 1
        self._begun_bytes += work.size or 0
        if (sent := await self._sender.send_file(work)) is not None:
            self._note(*sent)

    def _note(self, seq: int, result: UploadResult, is_lost: bool = False) -> None:
        """Record, count, report and yield an outcome; a lost one waits to be settled."""
        if is_lost:
            self._tally.unsettled += 1
            self._plan.outcomes.note(seq, result, lost=True)
            self._noted.set()
            return
        self._plan.outcomes.note(seq, result)
        self._tally.settled(result)
        if result.outcome is _FAILED:
            self.failed += 1
        if self._observer.is_wanted:
            self._observer.settled(result)
        self._give_out(result)

    async def _settled(self, seq: int, result: UploadResult) -> None:
        """Record the outcome of one of many, and wait while the iteration is slow."""
        self._note(seq, result)
        await self._while_full()

    async def _next_work(self) -> Work | None:
        """Wait for work, and measure how long the disk was the reason."""
        began, read = self._now(), self._tally.reading_seconds
        work = await super()._next_work()
        if work is not None:
            waited, reading = self._now() - began, self._tally.reading_seconds - read
            self._tally.disk_seconds += min(waited, reading)
        return work

    async def _keep_writing(self) -> None:
        if self._plan.path:  # without a journal, nobody needs to know soon
            await super()._keep_writing()

    def _write_down(self) -> None:
        self._plan.outcomes.settle_after = self._media.settle_after()
        self._plan.outcomes.flush()

    async def _finish(self) -> None:
        """Settle and confirm, unless an error has ended the run."""
        if self.error is not None:
            return
        if isinstance(self._sources, FolderWatch):  # to be stopped is its end
            self._tally.total_known = True
        await self._settler.at_end(any_lost=self._listing.was_used)
        config = self._config
        if config.verify is not None:
            sample = config.verify_sample if config.verify == "sample" else None
            steps, stores = self._rules.steps, self._rules.stores
            chosen = images_of(
                self._plan.using, sample, self._dataset_id, stores, self._plan.earlier
            )
            async with aclosing(chosen) as images:
                await verify(self._media.stream, images, self._tally, steps, stores)

    def _outcome_of(self, error: Exception) -> Exception:
        if isinstance(error, APIError | StoreError | ClientClosedError | sqlite3.Error):
            words = str(error)
            if isinstance(error, sqlite3.Error):
                words = self._plan.failure_text(error)
            text = f"The upload stopped: {words.rstrip('.')}. {self.report.summary()}"
            return TransferError(text, report=self.report)
        return error

    def _tell_end(self) -> None:
        began = self.working_since
        self._observer.end(
            self.report,
            self._tally,
            workers=self._workers,
            planning_seconds=0.0 if began is None else began - self._began,
            max_per_dataset=self._config.max_per_dataset,
        )

    def _mark(self) -> None:
        """Record the progress of the run; with `"auto"`, limit the datasets by it."""
        self._observer.mark(self._tally, self._target.held_sum(self._tally.stored))
        if self._config.max_per_dataset == AUTO and (growth := self._observer.growth()):
            self._target.bound(growth.size)

    # Progress and report.

    @property
    def progress(self) -> UploadProgress:
        """Return a snapshot of how far the run is; cheap enough for every frame of a display."""
        now, since = self._now(), self.working_since
        return self._tally.progress(
            seconds=now - self._began,
            sending=0.0 if since is None else now - since,
            has_ended=self._ended is not None,
        )

    @property
    def report(self) -> UploadReport:
        """Return the report of the run so far; final once the iteration has ended."""
        return self._tally.report(
            dataset_id=self._dataset_id,
            dataset_name=self._target.name,
            seconds=self._now() - self._began,
            journal=self._plan.path,
            stopped_by=self.stopped_by,
            datasets=self._target.shares(self._tally.stored),
            advice=self._observer.advice,
        )

    @property
    def limiter(self) -> LimiterState | None:
        """Return how many uploads may be in flight now, how many are, and why; None if unknown."""
        return self._observer.limiter()


Action: TypeAlias = Literal["send", "skip", "reject"]

READ_AHEAD = 64
_ACTIONS: dict[Outcome, Action] = {Outcome.SKIPPED: "skip", Outcome.REJECTED: "reject"}


@attrs.frozen(kw_only=True)
class PlannedUpload:
    """What an upload would do with one item: send, skip (the dataset holds its name) or reject.

    The size is None if it is unknown (links, unread files); the reason says why it would not be
    sent, and the warnings are those of the upload.
    """

    item: UploadItem  # named as it would be sent
    action: Action
    size: int | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the item's name, safe to print."""
        return printable(self.item.name)

    @property
    def source(self) -> str:
        """Return where the item comes from, safe to print."""
        return self.item.source

    def __str__(self) -> str:
        return told(self.action, self.name, self.reason)


@attrs.frozen(kw_only=True)
class PlanSummary:
    """Counts of what an upload would do: items to send, skip and reject, and those with a warning.

    `left_out` are files that `include` and `exclude` leave out, `repeated` counts items that are
    named again and `turned` images with an EXIF orientation (see `UploadReport`), `bytes` are those
    of the files that would be sent; `complete` says whether all sources were read.
    """

    dataset_id: str
    dataset_name: str
    send: int = 0
    skip: int = 0
    reject: int = 0
    warned: int = 0
    turned: int = 0
    left_out: int = 0
    repeated: int = 0
    bytes: int = 0
    complete: bool = False

    @property
    def planned(self) -> int:
        """Return the number of all items."""
        return self.send + self.skip + self.reject

    def __str__(self) -> str:
        return (
            f"{counted(self.planned, 'item')} for {quoted(self.dataset_name)}: "
            f"{self.send:,} to send ({size(self.bytes)}), "
            f"{self.skip:,} to skip, {self.reject:,} to reject."
            f"{said_remarks(self.left_out, self.repeated, self.turned)}"
        )


class DryRun(BulkRun[Work, PlannedUpload, PlanSummary]):
    """Iterate over what an upload would do: an async context manager and iterator.

    ::

        async with client.plan(dataset_id, "photos/") as plan:
            async for record in plan:
                print(record.action, record.name, record.reason)
        print(plan.summary)

    It raises the errors that the upload would raise before it sends anything, except clashes: with
    ``on_clash="error"`` each of them is a record. See `Source` for the sources.
    """

    def __init__(
        self,
        datasets: DatasetLookup,
        dataset_id: str,
        sources: Source,
        *,
        config: UploadConfig | None = None,
    ) -> None:
        config = config or UploadConfig()
        # One worker keeps the order. The limits of an upload are for what is sent.
        super().__init__(None, 1, Stops())
        self._most_results = READ_AHEAD
        # Without the projects: nothing is attached.
        self._target = Target(datasets, None, dataset_id, config.max_per_dataset)
        self._sources = sources
        self._dataset_id = dataset_id
        self._counts: Counter[str] = Counter()
        self._plan = Plan(skip_existing=config.skip_existing, dedupe=config.dedupe)
        self._prober = prober_of(config)
        rules = rules_of(config)
        if rules.on_clash == "error":
            rules = attrs.evolve(rules, on_clash="skip")
        self._tally = Tally(0)
        self._feeder = Feeder(self._plan, rules, config.batch_size, self._tally, self._hand_out)

    def __repr__(self) -> str:
        return f"<DryRun {self._tally.planned} items found>"

    async def __anext__(self) -> PlannedUpload:
        record = await super().__anext__()
        self._counts[record.action] += 1
        self._counts["warned"] += bool(record.warnings)
        if record.action == "send":
            self._counts["bytes"] += record.size or 0
        return record

    # Called by the engine.

    async def _open(self) -> None:
        await in_thread(self._plan.open)
        await self._target.open(self._plan.listed)

    async def _feed(self) -> None:
        await self._feeder.feed(self._sources)

    async def _hand_out(self, portion: list[Work]) -> None:
        for work in portion:
            self._hand_over(work)
        await self._room()

    async def _do(self, work: Work) -> None:
        if isinstance(work, tuple):
            dead = await dead_links(self._prober, [str(each.item.content) for each in work])
            for at, each in enumerate(work):
                action: Action = "reject" if at in dead else "send"
                reason = dead.get(at, "")
                self._give_out(PlannedUpload(item=each.item, action=action, reason=reason))
            return
        verdict = work.verdict
        record = PlannedUpload(
            item=work.item,
            action="send" if verdict is None else _ACTIONS[verdict.outcome],
            size=work.size,
            reason="" if verdict is None else verdict.reason,
            warnings=work.warnings,
        )
        self._give_out(record)

    def _outcome_of(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            return TransferError(self._plan.failure_text(error), report=self.report)
        return error

    async def _close(self, *, complete: bool) -> None:
        del complete
        try:
            await in_thread(self._plan.close)
        finally:
            if self._prober is not None:
                await self._prober.aclose()

    @property
    def summary(self) -> PlanSummary:
        """Return the counts so far; final once the iteration has ended."""
        counts, tally = self._counts, self._tally
        done = sum(counts[action] for action in ("send", "skip", "reject"))
        complete = tally.total_known and done == tally.planned
        return PlanSummary(
            dataset_id=self._dataset_id,
            dataset_name=self._target.name,
            left_out=tally.left_out if complete else 0,
            repeated=tally.repeated if complete else 0,
            turned=tally.turned,
            complete=complete,
            **counts,
        )

    @property
    def report(self) -> PlanSummary:
        """Return the `summary`."""
        return self.summary
