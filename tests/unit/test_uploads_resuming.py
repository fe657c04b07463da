"""What the next run of a job does with what the last one left, over a dataset in memory."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async.exceptions import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InternalServerError,
    TransferError,
)
from datagym_async.uploads import UploadConfig, Uploader, UploadItem
from datagym_async.uploads.plan import JobSummary, show_job
from tests.helpers.cancelling import cancelled_when
from tests.helpers.fake_service import DATASET_ID, FakeService

if TYPE_CHECKING:
    from datagym_async.uploads import Source, UploadReport

JPEG = b"\xff\xd8\xff\xe0" + b"x" * 60


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of ten images, a text and an empty file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.jpg").write_bytes(JPEG)
    (folder / "notes.txt").write_bytes(b"Not an image.")
    (folder / "zero.jpg").write_bytes(b"")
    return folder


def uploader(service: FakeService, sources: Source, journal: Path, **options: object) -> Uploader:
    """Return an uploader with a journal."""
    config = UploadConfig(journal=journal, check="signature", **options)  # type: ignore[arg-type]  # a table of options
    return Uploader(service, service, DATASET_ID, sources, config=config)


async def upload(
    service: FakeService, sources: Source, journal: Path, **options: object
) -> UploadReport:
    """Run to the end."""
    async with uploader(service, sources, journal, **options) as run:
        return await run.finish()


async def shown(journal: Path) -> JobSummary:
    """Return what a journal says; looking blocks."""
    return await asyncio.to_thread(show_job, journal)


def counts(report: UploadReport) -> tuple[int, ...]:
    """Return planned, uploaded, skipped, rejected, failed and resumed."""
    return (
        report.planned,
        report.uploaded,
        report.skipped,
        report.rejected,
        report.failed,
        report.resumed,
    )


def rewrite_unnoticed(path: Path, data: bytes) -> None:
    """Write other bytes of the same number into a file, and give it back its time."""
    before = path.stat()
    path.write_bytes(data[: before.st_size].ljust(before.st_size, b"x"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def test_what_is_done_is_counted_and_not_read_again(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """The rejected are checked again; nothing is sent, whatever the files hold."""
    first = await upload(service, photos, journal)
    rewrite_unnoticed(photos / "3.jpg", b"no image")

    again = await upload(service, photos, journal)

    assert counts(first) == (12, 10, 0, 2, 0, 0)
    assert counts(again) == (12, 0, 10, 2, 0, 10)
    assert (again.complete, again.journal, again.problems) == (True, str(journal), first.problems)
    assert service.listings == 2


@pytest.mark.parametrize("verify", ["all", "sample"])
async def test_what_the_sources_have_no_longer_is_not_compared(
    service: FakeService, photos: Path, journal: Path, verify: str
) -> None:
    """A folder is emptied each day: only images of this run are compared with the dataset."""
    await upload(service, photos, journal)
    for number in range(8):
        (photos / f"{number}.jpg").unlink()
    (photos / "new.jpg").write_bytes(JPEG)

    report = await upload(service, photos, journal, verify=verify)

    assert counts(report) == (5, 1, 2, 2, 0, 2)
    assert (report.verified, report.mismatches) == (3, ())


async def test_a_source_that_is_gone_leaves_the_journal_as_it_was(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """A drive that is not there today has no images; no run of it is kept."""
    first = await upload(service, photos, journal)
    before = await shown(journal)
    photos.rename(photos.with_name("elsewhere"))
    with pytest.raises(ConfigurationError, match="photos"):
        await upload(service, photos, journal)
    after = await shown(journal)
    photos.with_name("elsewhere").rename(photos)
    again = await upload(service, photos, journal)

    assert (after.runs, after.counts, after.complete) == (1, before.counts, True)
    assert (counts(first), counts(again)) == ((12, 10, 0, 2, 0, 0), (12, 0, 10, 2, 0, 10))


async def test_a_file_that_changed_before_it_was_read_is_known_as_it_was_sent(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """Between plan and turn; the next run takes it for unchanged, and says nothing."""
    sources: list[Source] = [*(UploadItem(f"first-{at}.jpg", JPEG) for at in range(300)), photos]

    async def change(name: str) -> None:
        if name == "first-0.jpg":
            await asyncio.to_thread((photos / "3.jpg").write_bytes, JPEG + b"more")

    service.before = change
    first = await upload(service, sources, journal, concurrency=1)
    again = await upload(service, sources, journal)

    assert (first.uploaded, service.stored["3.jpg"]) == (310, JPEG + b"more")
    assert (again.resumed, again.skipped, again.warned) == (310, 310, 0)


async def test_a_stopped_run_goes_on(service: FakeService, photos: Path, journal: Path) -> None:
    """Each image is stored once, and both reports add up."""
    service.delay = 0.001
    async with uploader(service, photos, journal, concurrency=2) as run:
        await anext(run)
        run.stop()
        async for _ in run:
            pass
    first = run.report
    job = await shown(journal)

    again = await upload(service, photos, journal)

    assert not first.complete
    assert first.pending + first.uploaded + first.rejected == first.planned
    assert (job.counts["uploaded"], job.counts["sending"], job.complete) == (
        first.uploaded,
        0,
        False,
    )
    assert (again.uploaded, again.skipped) == (10 - first.uploaded, first.uploaded)
    assert (again.complete, len(service.stored), (await shown(journal)).complete) == (
        True,
        10,
        True,
    )


async def test_what_is_left_is_sent_before_the_sources_are_read(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """A source that has not answered yet holds up nothing that the journal knows."""
    service.before = refuse_from(3)
    with pytest.raises(TransferError):
        await upload(service, silent_after(photos), journal, concurrency=1)
    service.before = None

    async with uploader(service, silent_for_ever(), journal, concurrency=1) as run:
        async for _ in run:
            if len(service.stored) == 10:
                break

    assert run.report.uploaded == 8


def refuse_from(nth: int) -> Callable[[str], Awaitable[None]]:
    """Return a hook that refuses the token from the n-th upload on."""
    seen = 0

    async def before(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen >= nth:
            raise AuthenticationError("The token is refused", status=401)

    return before


async def silent_after(photos: Path) -> AsyncIterator[Source]:
    """Give the folder."""
    yield photos


async def _silent() -> AsyncIterator[Source]:
    await asyncio.Event().wait()
    yield ""


def silent_for_ever() -> AsyncIterator[Source]:
    """Give nothing, by the same name as the other one has: they are one job."""
    return _silent()


async def test_a_changed_file_is_told_of_in_every_run(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """The dataset keeps what was uploaded; its state stays what it is."""
    await upload(service, photos, journal)
    (photos / "3.jpg").write_bytes(JPEG + b"changed")

    for _ in range(2):
        async with uploader(service, photos, journal) as run:
            told = [result async for result in run if result.name == "3.jpg"]

        assert [(each.outcome, each.reason[:38]) for each in told] == [
            ("skipped", "It has changed since this job uploaded")
        ]
        assert counts(run.report) == (12, 0, 10, 2, 0, 9)
        assert (run.progress.bytes_done, run.progress.bytes_total) == (0, 0)
    assert service.stored["3.jpg"] == JPEG


async def test_a_repaired_file_is_read_again(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """What was rejected for its bytes has other bytes now."""
    await upload(service, photos, journal)
    (photos / "zero.jpg").write_bytes(JPEG)

    again = await upload(service, photos, journal)
    third = await upload(service, photos, journal)

    assert counts(again) == (12, 1, 10, 1, 0, 10)
    assert counts(third) == (12, 0, 11, 1, 0, 11)


async def test_new_files_are_found(service: FakeService, photos: Path, journal: Path) -> None:
    """A folder may grow between runs; a name that is taken clashes as ever."""
    await upload(service, photos, journal)
    (photos / "sub").mkdir()
    (photos / "sub" / "new.jpg").write_bytes(JPEG)
    (photos / "sub" / "3.JPG").write_bytes(JPEG)

    again = await upload(service, photos, journal)

    assert counts(again) == (14, 1, 10, 3, 0, 10)
    assert any("clashes with" in each.reason for each in again.problems)


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ({"name": "{parent}_{name}"}, {}, {"photos_0.jpg", *(f"{at}.jpg" for at in range(10))}),
        ({}, {"exclude": ("5.jpg",)}, {f"{at}.jpg" for at in range(10) if at != 5}),
        ({}, {"dedupe": "skip"}, {"0.jpg"}),
        ({"include_hidden": True}, {"include": ("1.jpg",)}, {"0.jpg", "1.jpg"}),
    ],
)
async def test_what_was_not_sent_follows_the_options_of_this_run(
    service: FakeService,
    photos: Path,
    journal: Path,
    first: dict[str, Any],
    second: dict[str, Any],
    names: set[str],
) -> None:
    """An image that is left out or named otherwise now is not sent as it was planned before."""
    await upload(service, photos, journal, max_files=1, concurrency=1, **first)

    again = await upload(service, photos, journal, **second)

    assert again.complete
    assert set(service.stored) == names


@pytest.mark.parametrize(
    ("first", "counted"),
    [({}, (12, 0, 10, 2, 0, 9)), ({"max_files": 1, "concurrency": 1}, (13, 9, 1, 3, 0, 1))],
)
async def test_a_file_that_was_moved_is_stored_once(
    service: FakeService,
    photos: Path,
    journal: Path,
    first: dict[str, Any],
    counted: tuple[int, ...],
) -> None:
    """Its name is in the dataset, or was not sent: in both cases the old path does not keep it."""
    await upload(service, photos, journal, **first)
    (photos / "sub").mkdir()
    (photos / "3.jpg").rename(photos / "sub" / "3.jpg")

    again = await upload(service, photos, journal)

    assert counts(again) == counted
    assert len(service.stored) == 10


async def test_a_file_that_was_renamed_before_it_was_sent_is_not_equal_to_itself(
    service: FakeService, tmp_path: Path, journal: Path
) -> None:
    """The old path, which is tried first, does not keep its bytes from being sent."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(JPEG + name.encode())
    await upload(service, folder, journal, max_files=1, concurrency=1, dedupe="skip")
    (folder / "b.jpg").rename(folder / "c.jpg")

    again = await upload(service, folder, journal, dedupe="skip")

    assert counts(again) == (3, 1, 1, 1, 0, 1)
    assert set(service.stored) == {"a.jpg", "c.jpg"}


async def test_what_somebody_deleted_is_sent_again(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """The dataset is the truth, and the journal a memory."""
    await upload(service, photos, journal)
    await service.delete("m-3.jpg")
    service._folded.discard("3.jpg")

    again = await upload(service, photos, journal)

    assert counts(again) == (12, 1, 9, 2, 0, 9)
    assert len(service.stored) == 10


async def test_failed_items_are_tried_again(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """The next run begins with them."""

    async def refuse(name: str) -> None:
        if name == "3.jpg":
            raise APIConnectionError("No answer")

    service.before = refuse
    first = await upload(service, photos, journal)
    service.before = None

    again = await upload(service, photos, journal)

    assert counts(first) == (12, 9, 0, 2, 1, 0)
    assert counts(again) == (12, 1, 9, 2, 0, 9)


async def test_what_an_earlier_run_sent_is_known_by_its_bytes(
    service: FakeService, tmp_path: Path, journal: Path
) -> None:
    """Also where that run asked for no hashes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(JPEG)
    await upload(service, folder, journal)
    (folder / "b.jpg").write_bytes(JPEG)

    again = await upload(service, folder, journal, dedupe="skip")

    assert counts(again) == (2, 0, 2, 0, 0, 1)
    assert (again.duplicates, list(service.stored)) == (1, ["a.jpg"])


@pytest.mark.parametrize("state", ["sent", "deleted", "failed", "cut off"])
async def test_equal_bytes_are_those_of_what_is_stored_or_comes_first(
    service: FakeService, tmp_path: Path, journal: Path, state: str
) -> None:
    """Of an earlier run, too: also if its file is gone, but not if the dataset lost the image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "b.jpg").write_bytes(JPEG)

    async def fail(_: str) -> None:
        raise InternalServerError("It broke.", status=500)

    stored = asyncio.Event()

    async def hang(name: str) -> None:
        service.hold(name)
        stored.set()
        await asyncio.Event().wait()

    first = upload(service, folder, journal, dedupe="skip")
    service.before = {"failed": fail, "cut off": hang}.get(state)
    await (cancelled_when(stored, first) if state == "cut off" else first)
    service.before = None
    (folder / "a.jpg").write_bytes(JPEG)
    if state != "failed":
        (folder / "b.jpg").unlink()
    if state == "deleted":
        service.drop("b.jpg")
    again = await upload(service, folder, journal, dedupe="skip")

    assert list(service.stored) == (["a.jpg"] if state == "deleted" else ["b.jpg"])
    assert (again.uploaded, again.duplicates) == {
        "sent": (0, 1),
        "deleted": (1, 0),
        "failed": (1, 1),
        "cut off": (1, 1),
    }[state]


async def test_bytes_are_those_of_earlier_runs_that_are_still_there(
    service: FakeService, tmp_path: Path, journal: Path
) -> None:
    """Several may have the same; those of an image that somebody deleted are sent again."""
    photos, data = tmp_path / "some", {name: JPEG + name.encode() for name in "acg"}
    photos.mkdir()
    service.hold("g.jpg", data=data["g"])
    for name, same in ("a.jpg", "a"), ("b.jpg", "a"), ("c.jpg", "c"), ("g.jpg", "g"):
        (photos / name).write_bytes(data[same])
    first = await upload(service, photos, journal, identity="sha256")
    service.drop("c.jpg")
    (photos / "c.jpg").rename(photos / "e.jpg")
    (photos / "f.jpg").write_bytes(data["a"])
    (photos / "g.jpg").rename(photos / "h.jpg")

    async with uploader(service, photos, journal, identity="sha256", dedupe="skip") as run:
        results = {each.item.name: each async for each in run}

    assert counts(first) == (4, 3, 1, 0, 0, 0)
    assert {name: each.outcome.value for name, each in results.items()} == {
        "e.jpg": "uploaded",
        "f.jpg": "skipped",
        "h.jpg": "skipped",
    }
    assert results["f.jpg"].reason.startswith(f"It is equal to {photos}/a.jpg, byte for byte")
    assert results["h.jpg"].reason.startswith(f"It is equal to {photos}/g.jpg, byte for byte")
    assert (run.report.resumed, run.report.complete) == (2, True)


async def test_what_is_done_counts_before_the_sources_are_read(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """A million files may have to be walked first; the total is known once they are."""
    is_read, goes_on = asyncio.Event(), asyncio.Event()

    async def arriving() -> AsyncIterator[Source]:
        is_read.set()
        await goes_on.wait()
        yield photos

    service.hold("9.jpg")
    goes_on.set()
    await upload(service, arriving(), journal)
    is_read.clear()
    goes_on.clear()
    async with uploader(service, arriving(), journal) as run:
        await is_read.wait()
        before = run.progress
        goes_on.set()
        report = await run.finish()

    assert (before.items_done, before.items_total, before.total_known) == (10, 10, False)
    assert (before.skipped, before.resumed) == (10, 10)
    assert counts(report) == (12, 0, 10, 2, 0, 10)


async def test_what_is_done_and_named_twice_counts_once(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """However much later it is named again."""
    sent = asyncio.Queue[None]()

    async def arriving(*names: str) -> AsyncIterator[Source]:
        for name in names:
            yield photos / name
            if name != "0.jpg":
                await sent.get()

    await upload(service, arriving("0.jpg"), journal)
    async with uploader(service, arriving("0.jpg", "1.jpg", "0.jpg"), journal) as run:
        async for _ in run:
            sent.put_nowait(None)

    assert counts(run.report) == (2, 1, 1, 0, 0, 1)
    assert (run.report.repeated, run.report.pending) == (1, 0)


async def test_a_touched_file_is_the_same_by_its_hash(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """Size and time are what a file is known by, unless its bytes are asked for."""
    await upload(service, photos, journal, identity="sha256")
    os.utime(photos / "3.jpg", (1, 1))

    by_hash = await upload(service, photos, journal, identity="sha256")
    by_time = await upload(service, photos, journal)

    assert counts(by_hash) == (12, 0, 10, 2, 0, 10)
    assert counts(by_time) == (12, 0, 10, 2, 0, 9)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such times")
@pytest.mark.parametrize("identity", ["size+mtime", "sha256"])
async def test_a_file_with_a_damaged_time_is_known_by_it(
    service: FakeService, photos: Path, journal: Path, identity: str
) -> None:
    """A time after 2262 has more nanoseconds than a database stores, and tells versions apart."""
    os.utime(photos / "3.jpg", (0, 2**33 + 2**30))

    first = await upload(service, photos, journal, identity=identity)
    again = await upload(service, photos, journal, identity=identity)

    assert counts(first) == (12, 10, 0, 2, 0, 0)
    assert counts(again) == (12, 0, 10, 2, 0, 10)


async def test_bytes_in_memory_resume_by_their_hash(service: FakeService, journal: Path) -> None:
    """They wait to be named again: a journal does not hold them."""
    items = [UploadItem(f"{number}.jpg", JPEG + bytes([number])) for number in range(6)]
    async with uploader(service, items, journal, concurrency=1) as run:
        await anext(run)
    left = 6 - run.report.uploaded
    assert left > 0

    again = await upload(service, items, journal)
    items[2] = UploadItem("2.jpg", JPEG + b"other")
    third = await upload(service, items, journal)

    assert counts(again) == (6, left, 6 - left, 0, 0, 6 - left)
    assert counts(third) == (6, 0, 6, 0, 0, 5)


async def test_what_was_refused_and_is_repaired_is_known_as_it_is_now(
    service: FakeService, journal: Path
) -> None:
    """Bytes in memory by their new hash: the third run finds them done."""
    await upload(service, [UploadItem("a.jpg", b"no image")], journal)
    runs = [await upload(service, [UploadItem("a.jpg", JPEG)], journal) for _ in range(2)]

    assert [counts(each) for each in runs] == [(1, 1, 0, 0, 0, 0), (1, 0, 1, 0, 0, 1)]


async def test_what_was_refused_is_looked_at_again_though_its_name_is_there_now(
    service: FakeService, journal: Path
) -> None:
    """Somebody else has stored that image: it has a result, and is not one that we have done."""
    await upload(service, [UploadItem("a.jpg", b"no image")], journal)
    service.hold("a.jpg")

    again = await upload(service, [UploadItem("a.jpg", b"no image")], journal)

    assert counts(again) == (1, 0, 1, 0, 0, 0)


async def test_what_was_skipped_and_is_gone_is_sent(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """Somebody deletes what had been there before the first run."""
    service.hold("3.jpg")
    first = await upload(service, photos, journal)
    service.drop("3.jpg")
    again = await upload(service, photos, journal)

    assert (counts(first), counts(again)) == ((12, 9, 1, 2, 0, 0), (12, 1, 9, 2, 0, 9))
    assert service.stored["3.jpg"] == JPEG


async def test_bytes_in_memory_that_arrived_are_known_when_they_are_named_again(
    service: FakeService, journal: Path
) -> None:
    """The last run was cut off before their answer; what is found waits for its source."""
    items = [UploadItem(name, JPEG + name.encode()) for name in ("a.jpg", "b.jpg")]
    stored = asyncio.Event()

    async def store_and_hang(name: str) -> None:
        if name == "b.jpg":
            service.hold(name, data=JPEG)
            stored.set()
            await asyncio.Event().wait()

    service.before = store_and_hang
    await cancelled_when(stored, upload(service, items, journal, concurrency=1))
    service.before = None

    again = await upload(service, items, journal)
    third = await upload(service, items, journal)

    assert counts(again) == (2, 0, 2, 0, 0, 2)
    assert counts(third) == (2, 0, 2, 0, 0, 2)


async def test_links_resume(service: FakeService, journal: Path) -> None:
    """What an interrupted batch had stored is uploaded, since the target did not hold it before."""
    links = [f"http://h/{number}.jpg" for number in range(6)]
    service.urls = ["http://h/0.jpg"]

    begun = asyncio.Event()

    async def cut(_: str) -> None:
        service.urls += links[1:3]
        begun.set()
        await asyncio.Event().wait()

    service.before = cut
    await cancelled_when(begun, upload(service, links, journal))
    service.before = None

    again = await upload(service, links, journal)
    third = await upload(service, links, journal)

    assert counts(again) == (6, 5, 1, 0, 0, 0)
    assert counts(third) == (6, 0, 6, 0, 0, 6)
    assert len(service.urls) == 6


async def test_a_link_that_somebody_deleted_is_sent_again(
    service: FakeService, journal: Path
) -> None:
    """As a file; one that failed, too, although the dataset holds its name for another address."""
    links = [f"http://h/{number}/{number % 2}.jpg" for number in range(4)]
    service.urls = links[:1]

    async def refused(_: str) -> None:
        raise BadRequestError("no", status=400)

    service.before = refused
    first = await upload(service, links[1:], journal)
    service.before = None
    second = await upload(service, links[1:], journal)
    service.urls = [links[0], links[2]]
    third = await upload(service, links[1:], journal)
    service.urls = [links[2], links[3]]  # which has the name of the one that is gone
    fourth = await upload(service, links[1:], journal)

    assert counts(first) == (3, 0, 0, 0, 3, 0)
    assert counts(second) == (3, 3, 0, 0, 0, 0)
    assert counts(third) == (3, 2, 1, 0, 0, 1)
    assert counts(fourth) == (3, 1, 2, 0, 0, 2)
    assert sorted(service.urls) == links[1:]


async def test_fresh_forgets(service: FakeService, photos: Path, journal: Path) -> None:
    """The dataset is still listed: nothing is doubled."""
    await upload(service, photos, journal)

    again = await upload(service, photos, journal, fresh=True)

    assert counts(again) == (12, 0, 10, 2, 0, 0)
    assert (await shown(journal)).runs == 1


async def test_two_at_once_on_one_journal(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """The second is told before it asks the service anything; the first goes on."""
    async with uploader(service, photos, journal) as run:
        with pytest.raises(ConfigurationError, match=r"^Another upload is using"):
            await upload(service, photos, journal)
        report = await run.finish()

    assert (report.uploaded, service.listings) == (10, 1)


async def test_a_full_disk_ends_the_run_and_loses_nothing(
    service: FakeService, photos: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal says what is known; what is not is found by listing when there is room again."""
    for number in range(3000):
        (photos / f"more-{number:04}.jpg").write_bytes(JPEG)
    connect = sqlite3.connect

    def small(name: str, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(name, **options)
        connection.execute("PRAGMA max_page_count = 60")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(TransferError) as caught:
        await upload(service, photos, journal)
    monkeypatch.undo()

    assert "database or disk is full" in str(caught.value)
    assert "free some space there and in the folder for temporary files" in str(caught.value)
    assert (await shown(journal)).problem == ""
    again = await upload(service, photos, journal)
    assert (again.complete, len(service.stored)) == (True, 3010)


async def test_a_journal_that_is_damaged_in_mid_run(
    service: FakeService, photos: Path, journal: Path
) -> None:
    """What was sent and could not be written down is found again, and stored once."""
    service.delay = 0.001
    async with uploader(service, photos, journal, concurrency=1) as run:
        await anext(run)
        await asyncio.to_thread(damage, run)
        with pytest.raises(
            TransferError, match="fresh=True: what the dataset holds is skip"
        ) as caught:
            await run.finish()
    assert "is damaged (database disk image is malformed)" in str(caught.value)

    again = await upload(service, photos, journal)

    assert (again.complete, len(service.stored)) == (True, 10)
    assert again.uploaded + again.skipped == 10


def damage(run: Uploader) -> None:
    """Let no outcome be written any more."""
    with run._plan.using() as database:
        database.execute(
            "CREATE TEMP TRIGGER full BEFORE UPDATE ON main.item BEGIN "
            "SELECT RAISE(ABORT, 'database disk image is malformed'); END"
        )
