"""Lost answers: one listing for many, nothing doubled, and what cannot be known is said."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async import RetryPolicy
from datagym_async.exceptions import APIConnectionError, TransferError
from datagym_async.server import SeedMedia
from datagym_async.testing import CommitThenDrop, Drop, chance
from datagym_async.uploads import UploadConfig, UploadItem, UploadReport
from datagym_async.uploads.plan import show_job
from tests.helpers.photos import jpeg
from tests.helpers.world import UPLOADS, World, world

if TYPE_CHECKING:
    from aiohttp import web

pytestmark = pytest.mark.looptime

LISTINGS = r"/dataset/"
PATIENT = RetryPolicy(settle_after=4.0)
ITEMS = [UploadItem(f"{number:02}.jpg", jpeg(2000, seed=number)) for number in range(12)]
EVERY_NAME = Counter(item.name for item in ITEMS)


async def upload(w: World, journal: Path | None = None, **options: object) -> UploadReport:
    """Upload all items."""
    config = UploadConfig(journal=journal, **options)  # type: ignore[arg-type]  # a table of options
    return await w.client.upload(w.dataset_id, ITEMS, config=config)


def listings(w: World) -> int:
    """Return how often the dataset was listed."""
    return w.plan.count("GET", LISTINGS)


async def test_one_listing_settles_all_that_were_lost_together() -> None:
    """It begins when the last of them has waited, and a last one confirms."""
    async with world(retry=PATIENT, concurrency=6) as w:
        w.plan.add(CommitThenDrop(), method="POST", path=UPLOADS, first=6)

        report = await upload(w, concurrency=6)

        assert (report.uploaded, report.ok, report.doubles) == (12, True, ())
        assert listings(w) == 3  # at the start, for the six, at the end
        assert await w.held() == EVERY_NAME


async def test_without_a_lost_answer_nothing_is_listed_again() -> None:
    """The listing at the end is for runs that need it."""
    async with world() as w:
        await upload(w)

        assert listings(w) == 1


async def test_what_cannot_be_looked_up_is_settled_at_the_end() -> None:
    """The listing fails within the run, and works at its end."""
    async with world(retry=RetryPolicy(max_retries=0, settle_after=0.5)) as w:
        w.plan.add(CommitThenDrop(), method="POST", path=UPLOADS, nth=3)
        w.plan.add(Drop(), method="GET", path=LISTINGS, nth=2)

        report = await upload(w)

        assert (report.uploaded, report.failed, report.unsettled) == (12, 0, 0)
        assert report.complete
        assert await w.held() == EVERY_NAME


async def test_a_name_that_was_there_before_says_nothing_of_a_lost_answer() -> None:
    """Of an image that is sent all the same: the service refuses it, so it is not uploaded."""
    async with world(SeedMedia("00.jpg", jpeg(2000)), retry=PATIENT) as w:
        w.plan.add(Drop(), method="POST", path=UPLOADS, nth=1)

        report = await upload(w, skip_existing=False, concurrency=1)

        assert (report.uploaded, [each.name for each in report.failures]) == (11, ["00.jpg"])
        assert report.failures[0].key == "ex_alreadyexists"
        assert await w.held() == EVERY_NAME


async def test_what_cannot_be_looked_up_at_all_is_unsettled(tmp_path: Path) -> None:
    """The run says so, and the next one settles it."""
    journal = tmp_path / "a.journal"
    async with world(retry=RetryPolicy(max_retries=0, settle_after=0.5)) as w:
        w.plan.add(CommitThenDrop(), method="POST", path=UPLOADS, nth=3)
        w.plan.add(Drop(), method="GET", path=LISTINGS, when=later_than(1))

        with pytest.raises(TransferError) as caught:
            await upload(w, journal)

        report = caught.value.report
        assert isinstance(report, UploadReport)
        assert isinstance(caught.value.__cause__, APIConnectionError)
        assert (report.uploaded, report.unsettled, report.pending) == (11, 1, 0)
        assert "1 unsettled" in report.summary()
        counts = (await asyncio.to_thread(show_job, journal)).counts
        assert (counts["uploaded"], counts["sending"]) == (11, 1)

        w.plan.clear()
        again = await upload(w, journal)

        assert (again.planned, again.complete, again.failed) == (12, True, 0)
        assert await w.held() == EVERY_NAME


def later_than(count: int) -> Callable[[web.Request], bool]:
    """Return a condition that is true for every request but the first so many."""
    seen = 0

    def is_later(_: web.Request) -> bool:
        nonlocal seen
        seen += 1
        return seen > count

    return is_later


async def test_lost_answers_and_a_kill(tmp_path: Path) -> None:
    """A run that is cancelled while answers are lost goes on without a double."""
    journal = tmp_path / "a.journal"
    async with world(retry=PATIENT) as w:
        w.plan.add(CommitThenDrop(), method="POST", path=UPLOADS, when=chance(0.5, seed=3))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await upload(w, journal)
        held = len(await w.held())
        assert held > 0

        again = await upload(w, journal)

        assert (again.planned, again.uploaded + again.skipped, again.complete) == (12, 12, True)
        assert await w.held() == EVERY_NAME


async def test_a_lost_answer_of_links_is_asked_for_again_when_it_is_over() -> None:
    """Two requests at once would store an address twice; the second says what the first did."""
    links = [f"http://h.example/{number}.jpg" for number in range(7)]
    async with world(retry=PATIENT) as w:
        w.plan.add(CommitThenDrop(), method="POST", path=r"/url$", nth=1)
        began = asyncio.get_running_loop().time()

        report = await w.client.upload(w.dataset_id, links)

        assert (report.uploaded, report.skipped, report.ok) == (7, 0, True)
        assert asyncio.get_running_loop().time() - began >= 4.0
        assert await w.held() == Counter(f"{number}.jpg" for number in range(7))
