"""`upload --dry-run`: what an upload would do, a line an item."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

import attrs

from datagym_async._client import DataGymClient
from datagym_async.cli._errors import SOME_FAILED, WELL, CommandError, hint_in_shell_words
from datagym_async.cli._screen import Output, size
from datagym_async.models import Dataset
from datagym_async.uploads import DryRun, PlannedUpload, PlanSummary, Source, UploadConfig

T = TypeVar("T")

SCHEMA: Final = "datagym_async.upload_plan/1"


@attrs.frozen
class Imagined:
    """A dataset that the upload would make, empty, among those that there are."""

    name: str
    client: DataGymClient

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        """Read it, or all others: further datasets of its family may be there."""
        if dataset_id is None:
            return await self.client.datasets.read_parts(reading)
        return await reading(self._parts())

    async def _parts(self) -> AsyncGenerator[Dataset, None]:
        yield Dataset(id="", name=self.name, timestamp=0)

    async def ensure(self, name: str) -> Dataset:
        """Refuse, for nothing is made."""
        raise CommandError(f"Dataset {name!r} is not made by a dry run.")


def plan_of(
    client: DataGymClient, dataset: Dataset | Imagined, source: Source, config: UploadConfig
) -> DryRun:
    """Return what an upload into a dataset would do."""
    if isinstance(dataset, Imagined):
        return DryRun(dataset, "", source, config=config)
    return client.plan(dataset.id, source, config=config)


async def show_plan(output: Output, run: DryRun) -> int:
    """Say each item and the summary; return the exit status."""
    async with run as plan:
        async for record in plan:
            if output.as_json:
                output.json_line(record_of(record))
            else:
                output.result(line_of(record))
    if output.as_json:
        output.json_line(summary_of(plan.summary))
    else:
        output.result(str(plan.summary))
    return SOME_FAILED if plan.summary.reject else WELL


def line_of(record: PlannedUpload) -> str:
    """Return what would be done with an item as one line."""
    weight = "" if record.size is None else f" ({size(record.size)})"
    origin = f" from {record.source}" if record.source and record.source != record.name else ""
    warned = "".join(f" [{each}]" for each in record.warnings)
    why = f": {hint_in_shell_words(record.reason)}" if record.reason else f"{weight}{origin}"
    return f"{record.action:<7}{record.name}{why}{warned}"


def record_of(record: PlannedUpload) -> dict[str, Any]:
    """Return what would be done with an item as JSON takes it."""
    return {
        "action": record.action,
        "name": record.name,
        "source": record.source,
        "size": record.size,
        "reason": record.reason,
        "warnings": list(record.warnings),
    }


def summary_of(summary: PlanSummary) -> dict[str, Any]:
    """Return the last line of a plan as JSON takes it."""
    counts = {"planned": summary.planned} | attrs.asdict(summary)
    return {"schema": SCHEMA} | counts | {"summary": str(summary)}
