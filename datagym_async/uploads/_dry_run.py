"""Say what an upload would do: the same plan, read the same way, and nothing sent.

Only the dataset is listed, with its family if there is one, and links are requested if
`check_links` is set. A journal is not opened: the listing shows what earlier runs have stored.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Literal, Self, TypeAlias

import attrs

from datagym_async._printable import printable, quoted
from datagym_async._runs._needs import DatasetLookup
from datagym_async._runs._text import counted, size
from datagym_async._threads import in_thread
from datagym_async.exceptions import ClientClosedError
from datagym_async.uploads._config import UploadConfig, rules_of
from datagym_async.uploads._feeder import Feeder, Work
from datagym_async.uploads._sending import dead_links, prober_of
from datagym_async.uploads._tally import Tally
from datagym_async.uploads._target import Target
from datagym_async.uploads._values import (
    Outcome,
    UploadItem,
    said_left_out,
    said_repeated,
    said_turned,
)
from datagym_async.uploads.plan._plan import Plan
from datagym_async.uploads.sources._leaves import Source

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
            f"{said_left_out(self.left_out)}{said_repeated(self.repeated)}"
            f"{said_turned(self.turned)}"
        )


class DryRun:
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
        # Without the projects: nothing is attached.
        self._target = Target(datasets, None, dataset_id, config.max_per_dataset)
        self._sources = sources
        self._dataset_id = dataset_id
        self._counts: Counter[str] = Counter()
        self._plan = Plan(skip_existing=config.skip_existing, dedupe=config.dedupe)
        self._prober = prober_of(config)
        self._records: asyncio.Queue[PlannedUpload | Exception | None] = asyncio.Queue(READ_AHEAD)
        self._has_ended = self._complete = False
        rules = rules_of(config)
        if rules.on_clash == "error":
            rules = attrs.evolve(rules, on_clash="skip")
        self._tally = Tally(0)
        self._feeder = Feeder(self._plan, rules, config.batch_size, self._tally, self._record)
        self._group = asyncio.TaskGroup()
        self._feeding: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._feeding is not None:
            raise ClientClosedError("A plan can be used once; make a new one.")
        try:
            await in_thread(self._plan.open)
            await self._target.open(self._plan.listed)
            await self._group.__aenter__()
        except BaseException:
            await in_thread(self._plan.close)
            raise
        self._feeding = self._group.create_task(self._feed())
        return self

    async def _feed(self) -> None:
        try:
            await self._feeder.feed(self._sources)
        except Exception as error:
            await self._records.put(error)
        await self._records.put(None)

    async def __aexit__(self, *_: object) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            await in_thread(self._plan.close)
            if self._prober is not None:
                await self._prober.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PlannedUpload:
        if self._feeding is None:
            raise ClientClosedError("The plan is not open; use it in an `async with` block.")
        if self._has_ended:
            raise StopAsyncIteration
        record = await self._records.get()
        if isinstance(record, PlannedUpload):
            self._counts[record.action] += 1
            self._counts["warned"] += bool(record.warnings)
            if record.action == "send":
                self._counts["bytes"] += record.size or 0
            return record
        self._has_ended = True
        if record is not None:
            raise record
        self._complete = True
        raise StopAsyncIteration

    async def _record(self, portion: list[Work]) -> None:
        """Record what would happen to a portion; each record waits for its own room."""
        for work in portion:
            if isinstance(work, tuple):
                urls = [str(each.item.content) for each in work]
                dead = await dead_links(self._prober, urls)
                for at, each in enumerate(work):
                    action: Action = "reject" if at in dead else "send"
                    reason = dead.get(at, "")
                    record = PlannedUpload(item=each.item, action=action, reason=reason)
                    await self._records.put(record)
                continue
            verdict = work.verdict
            record = PlannedUpload(
                item=work.item,
                action="send" if verdict is None else _ACTIONS[verdict.outcome],
                size=work.size,
                reason="" if verdict is None else verdict.reason,
                warnings=work.warnings,
            )
            await self._records.put(record)

    @property
    def summary(self) -> PlanSummary:
        """Return the counts so far; final once the iteration has ended."""
        return PlanSummary(
            dataset_id=self._dataset_id,
            dataset_name=self._target.name,
            left_out=self._tally.left_out if self._complete else 0,
            repeated=self._tally.repeated if self._complete else 0,
            turned=self._tally.turned,
            complete=self._complete,
            **self._counts,
        )
