"""Say what an upload would do: the same plan, read the same way, and nothing sent.

Only the dataset is listed, with its family if there is one, and links are requested if
`check_links` is set. A journal is not opened: the listing shows what earlier runs have stored.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias

import attrs

from datagym_async._printable import printable, quoted, told
from datagym_async._runs._engine import BulkRun
from datagym_async._runs._needs import DatasetLookup
from datagym_async._runs._options import Stops
from datagym_async._runs._text import counted, size
from datagym_async._threads import in_thread
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
            f"{said_left_out(self.left_out)}{said_repeated(self.repeated)}"
            f"{said_turned(self.turned)}"
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

    async def _close(self, *, complete: bool) -> None:
        del complete
        await in_thread(self._plan.close)
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
