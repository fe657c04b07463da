"""What is being sent: how it is counted, what is left when it is cut off, and what answers mean."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async._wire import Pages
from datagym_async.exceptions import APIConnectionError, RequestRefusedError
from datagym_async.models import UrlResult, UrlStatus
from datagym_async.uploads import UploadConfig, Uploader, UploadItem
from datagym_async.uploads.plan import show_job
from tests.helpers.cancelling import cancelled_when
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import SOUND_JPEG

if TYPE_CHECKING:
    from datagym_async.uploads import UploadReport

IMAGES = [UploadItem(f"{number}.jpg", SOUND_JPEG) for number in range(6)]
LINKS = [f"http://h/{number}.jpg" for number in range(6)]
Sources = list[UploadItem] | list[str]


def uploader(service: FakeService, sources: Sources, **options: object) -> Uploader:
    """Return an uploader that sends one image or four links at a time."""
    config = UploadConfig(concurrency=1, batch_size=4, **options)  # type: ignore[arg-type]  # a table of options
    return Uploader(service, service, DATASET_ID, sources, config=config)


async def upload(service: FakeService, sources: Sources, **options: object) -> UploadReport:
    """Upload all of them."""
    async with uploader(service, sources, **options) as run:
        return await run.finish()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.mark.parametrize(("sources", "counts"), [(IMAGES, [1] * 6), (LINKS, [4, 2])])
async def test_progress_counts_what_is_being_sent(
    service: FakeService, sources: Sources, counts: list[int]
) -> None:
    """Each image, and each link of a batch; none at the end."""
    seen: list[int] = []

    async def note(_: str) -> None:
        seen.append(run.progress.in_flight)

    service.before = note
    async with uploader(service, sources) as run:
        await run.finish()

    assert (seen, run.progress.in_flight) == (counts, 0)


@pytest.mark.skipif(not hasattr(os, "splice"), reason="only Linux moves pages")
async def test_an_image_that_was_not_sent_leaves_its_pipe_to_the_next(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many images are refused before their bytes are asked for."""
    for number in range(200):
        (tmp_path / f"{number}.jpg").write_bytes(SOUND_JPEG + bytes(40_000))
    dropped: list[int] = []
    drop = Pages.drop

    def count_and_drop(pages: Pages) -> None:
        dropped.append(pages.left)
        drop(pages)

    async def refuse(_: str) -> None:
        raise RequestRefusedError("no", status=412, method="POST", path="x", key="ex_x")

    monkeypatch.setattr(Pages, "drop", count_and_drop)
    service.before = refuse
    config = UploadConfig(concurrency=1)
    async with Uploader(service, service, DATASET_ID, tmp_path, config=config) as run:
        report = await run.finish()

    assert (report.failed, report.planned) == (200, 200)
    assert len(dropped) > 64  # more than there are pipes
    assert set(dropped) == {len(SOUND_JPEG) + 40_000}


@pytest.mark.parametrize(("sources", "done", "count"), [(IMAGES, 2, 1), (LINKS, 4, 2)])
async def test_what_is_cut_off_is_unsettled(
    service: FakeService, tmp_path: Path, sources: Sources, done: int, count: int
) -> None:
    """It may have arrived: the report and the journal say so, and the next run settles it."""
    journal, reached = tmp_path / "a.journal", asyncio.Event()

    async def hang(_: str) -> None:
        if len(service.stored) + len(service.urls) == done:
            reached.set()
            await asyncio.Event().wait()

    async def use() -> None:
        async with run:
            await run.finish()

    service.before = hang
    run = uploader(service, sources, journal=journal)
    await cancelled_when(reached, use())

    assert (run.report.unsettled, run.progress.in_flight) == (count, 0)
    left = (await asyncio.to_thread(show_job, journal)).counts
    assert (left["uploaded"], left["sending"], left["planned"]) == (done, count, 6 - done - count)
    service.before = None
    again = await upload(service, sources, journal=journal)
    assert (again.uploaded, again.unsettled, again.complete) == (6 - done, 0, True)


async def test_a_name_that_was_held_before_is_never_ours(
    service: FakeService, tmp_path: Path
) -> None:
    """Not even after an attempt of ours without an answer, which was refused as well."""
    journal, reached = tmp_path / "a.journal", asyncio.Event()
    service.hold("0.jpg")

    async def hang(_: str) -> None:
        reached.set()
        await asyncio.Event().wait()

    service.before = hang
    options = {"journal": journal, "skip_existing": False}
    await cancelled_when(reached, upload(service, IMAGES[:1], **options))
    service.before = None
    again = await upload(service, IMAGES[:1], **options)

    assert (again.uploaded, again.failed, service.stored) == (0, 1, {"0.jpg": b""})


async def test_a_refused_link_has_failed(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a duplicate may be our own of an attempt before."""

    def refuse(_: FakeService, url: str) -> UrlResult:
        return UrlResult(url, UrlStatus.FAILED)

    monkeypatch.setattr(FakeService, "_url_result", refuse)
    report = await upload(service, LINKS)

    assert (report.uploaded, report.failed) == (0, 6)


async def test_lost_answers_of_links_are_not_looked_up(service: FakeService) -> None:
    """The service lists no addresses: they have failed, and the next run sends them again."""

    async def lose(_: str) -> None:
        raise APIConnectionError("No answer", request_sent=True, unknown=True)

    service.before = lose
    report = await upload(service, LINKS[:4])

    assert (report.failed, report.unsettled, report.complete) == (4, 0, True)
    assert service.listings == 1
