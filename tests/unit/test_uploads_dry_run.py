"""A dry run says of each item what the upload then does, and sends nothing."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async.exceptions import (
    ClientClosedError,
    ConfigurationError,
    NotFoundError,
    TransferError,
)
from datagym_async.uploads import DryRun, UploadConfig, Uploader, UploadItem
from datagym_async.uploads.plan import Plan
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import SOUND_JPEG

if TYPE_CHECKING:
    from datagym_async.uploads import Source

SAME = {"send": "uploaded", "skip": "skipped", "reject": "rejected"}


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """Return sources with something of everything."""
    for path, data in {
        "a.jpg": SOUND_JPEG,
        "held.jpg": SOUND_JPEG,
        "notes.txt": b"Not an image.",
        "sub/A.jpg": SOUND_JPEG + b"2",
        "sub/cut.jpg": SOUND_JPEG[:9],
        "sub/large.jpg": SOUND_JPEG + bytes(4_500_000),
    }.items():
        file = tmp_path / "photos" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return [
        tmp_path / "photos",
        "http://host.example/x.jpg",
        "http://host.example/x.jpg?size=1",
        UploadItem("bytes.jpg", SOUND_JPEG),
        iter([UploadItem("stream.jpg", io.BytesIO(SOUND_JPEG))]),
    ]


@pytest.mark.parametrize("on_clash", ["skip", "rename"])
async def test_the_upload_does_as_was_said(
    service: FakeService, sources: list[Source], on_clash: str
) -> None:
    """Item by item, with the same reasons, names and sizes."""
    service.hold("HELD.jpg")
    config = UploadConfig(on_clash=on_clash)  # type: ignore[arg-type]  # one of two
    again = [*sources[:-1], iter([UploadItem("stream.jpg", io.BytesIO(SOUND_JPEG))])]

    async with DryRun(service, DATASET_ID, sources, config=config) as plan:
        said = {
            (each.source, each.name, SAME[each.action], each.reason, each.size, each.warnings)
            async for each in plan
        }
    assert (service.batches, list(service.stored)) == ([], ["HELD.jpg"])
    async with Uploader(service, service, DATASET_ID, again, config=config) as run:
        done = {
            (each.source, each.name, each.outcome.value, each.reason, each.size, each.warnings)
            async for each in run
        }

    assert said == done
    summary, report = plan.summary, run.report
    assert (summary.send, summary.skip, summary.reject) == (
        report.uploaded,
        report.skipped,
        report.rejected,
    )
    assert (summary.bytes, summary.warned, summary.complete) == (report.bytes, report.warned, True)


async def test_the_summary_is_a_sentence(service: FakeService, sources: list[Source]) -> None:
    """Counts, bytes and the dataset."""
    async with DryRun(service, DATASET_ID, sources) as plan:
        async for _ in plan:
            pass

    assert str(plan.summary) == (
        "10 items for 'Photos': 6 to send (4.5 MB), 0 to skip, 4 to reject."
    )
    assert plan.summary.planned == 10
    assert repr(plan) == "<DryRun 10 items found>"


async def test_clashes_are_records_where_the_upload_would_refuse(
    service: FakeService, sources: list[Source]
) -> None:
    """It is here that all of them can be seen."""
    config = UploadConfig(on_clash="error")
    async with DryRun(service, DATASET_ID, sources[:1], config=config) as plan:
        clashes = [each.name async for each in plan if "clashes with" in each.reason]

    assert clashes == ["A.jpg"]


async def test_errors_come_as_the_upload_gives_them(service: FakeService, tmp_path: Path) -> None:
    """Nothing to upload, no such dataset, a broken source."""
    async with DryRun(service, DATASET_ID, tmp_path / "gone") as plan:
        with pytest.raises(ConfigurationError, match="Nothing to upload"):
            await anext(plan)
        with pytest.raises(StopAsyncIteration):
            await anext(plan)
    with pytest.raises(NotFoundError):
        await DryRun(service, "0d8f8d2e-0000-4000-8000-000000000002", "x").__aenter__()
    assert not plan.summary.complete


@pytest.mark.parametrize("fails", [False, True])
async def test_several_tasks_may_iterate(service: FakeService, tmp_path: Path, fails: bool) -> None:
    """Each record comes to one of them, and the end to all; an error to one."""
    sources = tmp_path / "gone" if fails else [UploadItem(f"{n}.jpg", SOUND_JPEG) for n in range(5)]
    async with DryRun(service, DATASET_ID, sources) as plan:

        async def count() -> int:
            return len([record async for record in plan])

        ended = await asyncio.gather(count(), count(), count(), return_exceptions=True)
    assert sum(isinstance(each, ConfigurationError) for each in ended) == fails
    assert sum(each for each in ended if isinstance(each, int)) == (0 if fails else 5)
    assert plan.summary.complete is not fails


async def test_it_can_be_left_early_and_runs_once(service: FakeService) -> None:
    """A million records need not be read, and nothing stays open."""
    items = (UploadItem(f"{number}.jpg", SOUND_JPEG) for number in range(1_000_000))
    plan = DryRun(service, DATASET_ID, items)
    with pytest.raises(ClientClosedError):
        await anext(plan)
    async with plan:
        first = await anext(plan)
    with pytest.raises(ClientClosedError):
        await plan.__aenter__()

    assert (first.action, plan.summary.send) == ("send", 1)


async def test_a_full_disk_under_the_plan_is_said(
    service: FakeService, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error of ours, which names the way out; it was one of SQLite."""

    def full(*_: object, **_options: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Plan, "add", full)
    plan = DryRun(service, DATASET_ID, sources)
    with pytest.raises(TransferError, match=r"file failed: .* is full; free .* SQLITE_TMPDIR"):
        async with plan:
            await plan.finish()
    assert (plan.summary.complete, len(asyncio.all_tasks())) == (False, 1)
