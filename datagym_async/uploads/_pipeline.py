"""Send what the feeder hands out: N workers on one queue, results through a bounded other.

The queue of work is bounded by portions: the feeder reads the next one when the last one is nearly
used up. A bound on each item would wake the feeder for each.

The first error that every other item would meet as well (token revoked, dataset gone, service out
of reach) stops the run: nothing new is begun, what is in flight ends in its own way, so that
nothing is left half done, and the error is kept for the uploader to raise.

An upload whose answer is lost keeps its worker until it is settled, but no place in the client's
lane: others are sent meanwhile as long as there are more workers than places.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import attrs

from datagym_async._groups import first_of
from datagym_async._runs._engine import UNREACHABLE_AFTER, is_fatal, is_unreachable
from datagym_async._runs._needs import MediaUploads
from datagym_async._threads import in_thread
from datagym_async.exceptions import APIError
from datagym_async.uploads._config import UploadConfig
from datagym_async.uploads._observer import Hooks
from datagym_async.uploads._sending import FileWork, LinkCheck, Sender, Work
from datagym_async.uploads._settling import Settler, SharedListing
from datagym_async.uploads._tally import Tally
from datagym_async.uploads._target import Target
from datagym_async.uploads._values import Outcome, UploadResult
from datagym_async.uploads.plan._plan import NOWHERE, Plan

if TYPE_CHECKING:
    from datagym_async.uploads._feeder import Feeder
    from datagym_async.uploads._reading import Ready
    from datagym_async.uploads.plan._plan import Planned


MAX_READY = 8
"""Items that may wait for a worker while the next portion is read."""
WRITE_EVERY = 0.1
"""Seconds after which an outcome is in the journal at the latest."""


@attrs.define
class Pipeline:
    """Run the workers of one upload.

    Args:
        media: Stores images.
        target: Where they go.
        plan: Told of what became of the items.
        config: The options.
        tally: Told of what is sent and settled.
        hooks: Who else takes part.
    """

    _media: MediaUploads
    _target: Target
    _plan: Plan
    _config: UploadConfig
    _tally: Tally
    _workers: int
    _hooks: Hooks = attrs.field(factory=Hooks)
    error: Exception | None = attrs.field(default=None, init=False)
    stopped: bool = attrs.field(default=False, init=False)
    sending_since: float | None = attrs.field(default=None, init=False)
    _unanswered: int = attrs.field(default=0, init=False)
    _feeding: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _noted: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _has_room: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _work: asyncio.Queue[Work | None] = attrs.field(init=False)
    _results: asyncio.Queue[UploadResult | None] = attrs.field(init=False)
    _listing: SharedListing = attrs.field(init=False)
    _links: LinkCheck | None = attrs.field(init=False)
    _sender: Sender = attrs.field(init=False)
    _settler: Settler = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._work = asyncio.Queue()
        self._results = asyncio.Queue(2 * self._workers)
        self._listing = SharedListing(self._target.find, self._media.settle_after)
        self._links = LinkCheck.of(self._config)
        self._sender = Sender(
            self._media,
            self._target,
            self._listing,
            self._config,
            self._tally,
            self._hooks.watcher,
            self._judge,
            self._links,
        )
        self._settler = Settler(
            self._plan, self._media, self._target, self._tally, self._config.remove_doubles
        )

    @property
    def cut_off(self) -> frozenset[int]:
        """Return the items that were cut off while they were sent, by their numbers."""
        return frozenset(self._sender.in_flight)

    async def run(self, feeder: Feeder, source: object) -> None:
        """Upload everything to the end, or until an error stops it; then end the results."""
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self._write_outcomes())
                await self._send_everything(feeder, source)
                await self._finish()
                writing.cancel()
        except ExceptionGroup as errors:  # a slip of ours, or of the media given to us
            self.error = self.error or first_of(errors)
        finally:
            if self._links is not None:
                await self._links.aclose()
        await self._results.put(None)

    async def _send_everything(self, feeder: Feeder, source: object) -> None:
        async with asyncio.TaskGroup() as group:
            self._feeding = group.create_task(self._feed(feeder, source))
            for _ in range(self._workers):
                group.create_task(self._send_all())

    async def _finish(self) -> None:
        """Settle and confirm, unless the run broke off: then there is nobody to ask."""
        try:
            await in_thread(self._plan.outcomes.flush)
            if self.error is None:
                await self._settler.at_end(self._give_out, any_lost=self._listing.was_used)
                for ending in self._hooks.endings:
                    await ending()
        except (APIError, sqlite3.Error) as error:
            self.error = self.error or error

    async def next_result(self) -> UploadResult | None:
        """Return the next result as it is known, or None at the end."""
        return await self._results.get()

    def stop(self) -> None:
        """Begin nothing new; what is in flight ends in its own way, and then the results do."""
        self.stopped = True
        if self._feeding is not None:
            self._feeding.cancel()

    def _stop(self, error: Exception) -> None:
        self.error = self.error or error
        self.stop()

    # The feeder's side.

    async def _feed(self, feeder: Feeder, source: object) -> None:
        try:
            await feeder.feed(source)
        except asyncio.CancelledError:
            if not self.stopped:  # else we cancelled it ourselves
                raise
        except Exception as error:
            self.error = self.error or first_of(error)
        self._feeding = None  # from here on it must not be cancelled, or the workers would wait
        for _ in range(self._workers):
            self._work.put_nowait(None)

    @property
    def _is_nearly_used_up(self) -> bool:
        """Return whether hardly any work waits for a worker."""
        return self._work.qsize() <= min(self._workers, MAX_READY)

    async def room(self) -> None:
        """Wait until hardly any work waits for a worker."""
        while not self._is_nearly_used_up:
            self._has_room.clear()
            await self._has_room.wait()

    async def send_file(self, planned: Planned, ready: Ready) -> None:
        """Hand an item to the next free worker."""
        if ready.body is not None:
            self._hand_over(FileWork(planned.ticket, ready.item, ready.body, ready.warnings))

    async def send_links(self, links: tuple[Planned, ...]) -> None:
        """Hand a batch of links to the next free worker."""
        self._hand_over(links)

    def _hand_over(self, work: Work) -> None:
        if self.sending_since is None:
            self.sending_since = asyncio.get_running_loop().time()
        self._work.put_nowait(work)

    async def settle(self, planned: Planned, ready: Ready) -> None:
        """Give out a result that needs no sending."""
        if ready.verdict is not None:
            is_skipped = ready.verdict.outcome is Outcome.SKIPPED
            dataset_id, media_id = planned.there if is_skipped else NOWHERE
            result = UploadResult(
                item=ready.item,
                outcome=ready.verdict.outcome,
                dataset_id=dataset_id or self._target.members[0].dataset_id,
                media_id=media_id or None,
                size=ready.size,
                reason=ready.verdict.reason,
                warnings=ready.warnings,
            )
            await self._give_out(planned.ticket.seq, result)

    async def settle_lost(self) -> None:
        """Settle what earlier runs have left without an answer."""
        await self._settler.at_start(self._give_out)

    async def _give_out(self, seq: int, result: UploadResult) -> None:
        self._note(seq, result)
        self._tally.settled(result)
        self._hooks.watcher.ended(result)
        await self._results.put(result)

    def _note(self, seq: int, result: UploadResult, *, lost: bool = False) -> None:
        self._plan.outcomes.note(seq, result, lost=lost)
        self._noted.set()

    async def _write_outcomes(self) -> None:
        """Write what no portion of the plan has taken along."""
        while self._plan.path:
            await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(WRITE_EVERY)
            self._plan.outcomes.settle_after = self._media.settle_after()
            try:
                await in_thread(self._plan.outcomes.flush)
            except sqlite3.Error as error:
                self._stop(error)
                return

    # The workers' side.

    async def _send_all(self) -> None:
        while (work := await self._next_work()) is not None:
            if not self.stopped and self._hooks.stops(self._tally):
                self.stop()
            if self.stopped:
                continue
            if isinstance(work, tuple):
                work = work[: self._hooks.room()]
            for sent in await self._sender.send(work):
                if sent.is_lost:
                    self._tally.unsettled += 1
                    self._note(sent.ticket.seq, sent.result, lost=True)
                else:
                    await self._give_out(sent.ticket.seq, sent.result)

    async def _next_work(self) -> Work | None:
        """Return what to do next; notes how long the disk kept the worker waiting for it."""
        clock, tally = asyncio.get_running_loop().time, self._tally
        asked, read = clock(), tally.reading_seconds
        work = await self._work.get()
        if self._is_nearly_used_up:
            self._has_room.set()
        if work is not None:
            tally.disk_seconds += min(clock() - asked, tally.reading_seconds - read)
        return work

    def _judge(self, error: Exception | None) -> None:
        """Stop the run for an error that every other item would meet as well."""
        is_lost = error is not None and is_unreachable(error)
        self._unanswered = self._unanswered + 1 if is_lost else 0
        patience = max(UNREACHABLE_AFTER, self._workers)
        if error is not None and (is_fatal(error) or self._unanswered >= patience):
            self._stop(error)
