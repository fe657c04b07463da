"""Importing predictions while the service fails: what is stored, and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from datagym_async import ImportOutcome, RetryPolicy
from datagym_async.exceptions import APIConnectionError, APIError
from datagym_async.server import SeedMedia
from datagym_async.testing import CommitThenDrop, Drop, Hang, RetryAfter, ServiceError, Status
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from datagym_async.testing import Action

pytestmark = pytest.mark.looptime

PREDICTION = r"/prediction$"
ENTRIES = [{"entryKey": "spot", "entryValue": "Spot", "type": "POINT"}]
PHOTO = jpeg(2000)


@attrs.frozen
class Bench:
    """A world with a configured project of some images."""

    here: World
    media: tuple[str, ...]

    def predictions(self) -> list[dict[str, Any]]:
        """One point for each image."""
        spot = [{"point": [{"x": 1, "y": 2}]}]
        return [{"internal_media_ID": each, "labels": {"spot": spot}} for each in self.media]

    def fail(self, action: Action, *, nth: int | None = None) -> None:
        """Let imports fail: all, or the n-th."""
        self.here.plan.add(action, method="POST", path=PREDICTION, nth=nth)

    @property
    def requests(self) -> int:
        """How many imports the service has seen."""
        return self.here.plan.count("POST", PREDICTION)

    async def spots(self) -> list[int]:
        """How many points each image has, faults taken away."""
        self.here.plan.clear()
        client, found = self.here.client, []
        for name in sorted(self.here.project.task_ids):
            task = await client.tasks.get(self.here.project.task_ids[name])
            found.append(sum(each.entry_type == "POINT" for each in task.label_iteration.values))
        return found


@asynccontextmanager
async def bench(images: int) -> AsyncIterator[Bench]:
    names = [f"{n:02}.jpg" for n in range(images)]
    retry = RetryPolicy(initial_delay=0.1, settle_after=0.1)
    async with world(*(SeedMedia(name, content=PHOTO) for name in names), retry=retry) as here:
        await here.client.label_configs.upload(here.project.label_configuration_id, ENTRIES)
        ids = here.project.datasets[0].media_ids
        yield Bench(here, tuple(ids[name] for name in names))


async def test_a_lost_answer_is_repeated_where_labels_are_replaced() -> None:
    """Replacing twice is replacing once."""
    async with bench(2) as there:
        there.fail(CommitThenDrop(), nth=1)
        report = await there.here.client.labels.import_predictions(
            there.here.project_id, there.predictions(), keep_data=False
        )
        assert (report.stored, there.requests) == (2, 2)
        assert await there.spots() == [1, 1]


async def test_a_lost_answer_is_unknown_where_labels_are_appended() -> None:
    """Appending twice doubles: it is not sent again, it is said, and the import goes on."""
    async with bench(4) as there:
        there.fail(CommitThenDrop(), nth=1)
        report = await there.here.client.labels.import_predictions(
            there.here.project_id, there.predictions(), keep_data=True, batch_size=2
        )
        assert [each.outcome for each in report.results] == ["unknown"] * 2 + ["stored"] * 2
        assert "may have carried out the request" in report.results[0].reasons[0]
        assert (report.ok, there.requests) == (False, 2)
        assert await there.spots() == [1, 1, 1, 1]


@pytest.mark.parametrize(("keep_data", "lost"), [(True, 3), (False, 1)])
async def test_nobody_there_ends_an_import(keep_data: bool, lost: int) -> None:
    """What was lost is unknown; an append goes on until three are lost in a row."""
    async with bench(5) as there:
        there.fail(CommitThenDrop())
        results = there.here.client.labels.iter_import_predictions(
            there.here.project_id, there.predictions(), keep_data=keep_data, batch_size=1
        )
        seen: list[str] = []
        note = seen.append

        async def run() -> None:
            async for each in results:
                note(each.outcome.value)

        with pytest.raises(APIConnectionError):
            await run()
        assert seen == ["unknown"] * lost
        assert there.requests == lost or not keep_data
        assert await there.spots() == [1] * lost + [0] * (5 - lost)


async def test_a_refused_connection_ends_an_import() -> None:
    """A service that never answers is given up after the repetitions; nothing is doubled."""
    async with bench(2) as there:
        there.fail(Drop())
        with pytest.raises(APIError) as caught:
            await there.here.client.labels.import_predictions(
                there.here.project_id, there.predictions(), keep_data=False, batch_size=1
            )
        assert caught.value.__notes__ == ["0 predictions had been stored before"]
        assert await there.spots() == [0, 0]


@pytest.mark.parametrize("keep_data", [True, False])
@pytest.mark.parametrize(
    "fault", [RetryAfter(429, 1), RetryAfter(503, 1), Status(503)], ids=["429", "503 after", "503"]
)
async def test_a_service_that_asks_to_wait_is_waited_for(fault: Action, keep_data: bool) -> None:
    """Nothing was done, so that it is safe to send again in both ways."""
    async with bench(1) as there:
        there.fail(fault, nth=1)
        report = await there.here.client.labels.import_predictions(
            there.here.project_id, there.predictions(), keep_data=keep_data
        )
        assert (report.stored, there.requests) == (1, 2)
        assert await there.spots() == [1]


@pytest.mark.parametrize(
    ("keep_data", "outcome", "requests"),
    [(False, ImportOutcome.STORED, 2), (True, ImportOutcome.FAILED, 1)],
)
async def test_ex_system_once(keep_data: bool, outcome: ImportOutcome, requests: int) -> None:
    """The database's deadlock is repeated where labels are replaced, and failed otherwise."""
    async with bench(2) as there:
        there.fail(ServiceError(500, "ex_system"), nth=1)
        report = await there.here.client.labels.import_predictions(
            there.here.project_id, there.predictions(), keep_data=keep_data
        )
        assert {each.outcome for each in report.results} == {outcome}
        assert there.requests == requests
        assert await there.spots() == [int(not keep_data)] * 2


async def test_one_bad_prediction_of_fifty() -> None:
    """The service refuses a batch as a whole; 49 are stored once, and the bad one is named."""
    async with bench(50) as there:
        given = there.predictions()
        given[21]["labels"] = {"typo": given[21]["labels"]["spot"]}
        report = await there.here.client.labels.import_predictions(
            there.here.project_id, given, keep_data=True, check=False
        )
        (bad,) = report.problems
        assert (bad.index, bad.media_id, bad.key) == (21, there.media[21], "ex_gen_wrong_entry_id")
        assert report.stored == 49
        assert there.requests <= 13
        assert await there.spots() == [int(n != 21) for n in range(50)]


async def test_a_media_without_a_task() -> None:
    """A media that is not in the project is refused by the service, and nothing else is."""
    async with bench(3) as there:
        given = there.predictions()
        given[1]["internal_media_ID"] = "6a7d5d4c-5a0f-4f5e-8d3f-0b1c2d3e4f50"
        report = await there.here.client.labels.import_predictions(
            there.here.project_id, given, keep_data=False
        )
        assert [each.outcome for each in report.results] == ["stored", "failed", "stored"]
        assert report.results[1].key == "ex_gen_json_upload_not_found_task"
        assert await there.spots() == [1, 0, 1]


async def test_cancelled_in_the_middle() -> None:
    """What was stored before is said, and what was on its way; nothing more is sent."""
    async with bench(6) as there:
        there.fail(Hang(), nth=2)

        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(5):
                await there.here.client.labels.import_predictions(
                    there.here.project_id, there.predictions(), keep_data=True, batch_size=2
                )
        assert caught.value.__cause__ is not None
        assert caught.value.__cause__.__notes__ == [
            (
                "2 predictions had been stored before; whether those of predictions[2] to [3] were,"
                " which were on their way, is not known"
            )
        ]
        assert there.requests == 2
        assert (await there.spots())[:2] == [1, 1]
        assert (await there.spots())[4:] == [0, 0]


async def test_cancelled_while_it_waits_for_predictions() -> None:
    """Nothing is on its way then, and what was stored is said all the same."""

    async def slow(given: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        for each in given:
            yield each
        await asyncio.sleep(3600)

    async with bench(2) as there:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(5):
                await there.here.client.labels.import_predictions(
                    there.here.project_id, slow(there.predictions()), keep_data=True, batch_size=1
                )
        assert caught.value.__cause__ is not None
        assert caught.value.__cause__.__notes__ == ["2 predictions had been stored before"]
        assert await there.spots() == [1, 1]
