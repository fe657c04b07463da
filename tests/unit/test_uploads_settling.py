"""Looking up what became of lost answers: shared listings, doubles, and what has vanished."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from datagym_async.exceptions import AlreadyExistsError, APIConnectionError
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType
from datagym_async.uploads import UploadConfig, Uploader, UploadItem
from datagym_async.uploads._settling import SharedListing
from datagym_async.uploads._target import find_media
from tests.helpers.cancelling import cancelled_when
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.parts import parts_of

if TYPE_CHECKING:
    from datagym_async.uploads import UploadReport

JPEG = b"\xff\xd8\xff\xe0" + b"x" * 60
T = TypeVar("T")
LINK = MediaSourceType.SHAREABLE_LINK
LOCAL = MediaSourceType.LOCAL


class Listings:
    """A target whose listings take a second, and are counted."""

    def __init__(self, *media: DatasetMedia, error: Exception | None = None) -> None:
        self.count = 0
        self.media = media
        self._error = error

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        self.count += 1
        await asyncio.sleep(1)
        if self._error is not None:
            raise self._error
        return await reading(parts_of(Dataset(str(dataset_id), "Photos", 0, media=self.media)))

    async def find(self, wanted: Collection[str]) -> dict[str, DatasetMedia]:
        return await find_media(self, ["d"], wanted)

    def shared(self, settle_after: float = 2.0) -> SharedListing:
        return SharedListing(self.find, lambda: settle_after)


def media(name: str, media_id: str, at: int = 0, kind: MediaSourceType = LOCAL) -> DatasetMedia:
    """Return a listed media."""
    return DatasetMedia(media_id, at, kind, name)


@pytest.mark.looptime
async def test_many_that_ask_together_share_one_listing() -> None:
    """Names are compared as the service does; the oldest copy is ours, and links are not."""
    listings = Listings(
        media("A.jpg", "late", 2), media("a.JPG", "early", 1), media("b.jpg", "link", kind=LINK)
    )
    shared = listings.shared()

    async with asyncio.TaskGroup() as group:
        found = [group.create_task(shared.find(name)) for name in ("a.jpg", "b.jpg") * 20]

    assert listings.count == 1
    assert {(each.result().id if (each.result()) else None) for each in found} == {"early", None}  # type: ignore[union-attr]  # just asked


@pytest.mark.looptime
async def test_who_asks_while_a_listing_is_made_waits_for_the_next() -> None:
    """What was stored in between may be missing in it."""
    listings = Listings()
    shared = listings.shared()

    async with asyncio.TaskGroup() as group:
        group.create_task(shared.find("a.jpg"))
        await asyncio.sleep(1.0)  # half a second of company, then half of the listing
        group.create_task(shared.find("b.jpg"))
        group.create_task(shared.find("c.jpg"))

    assert listings.count == 2


@pytest.mark.looptime
async def test_a_listing_that_fails_fails_for_all_that_wait_for_it() -> None:
    """One failing listing with all its repetitions is enough."""
    listings = Listings(error=APIConnectionError("Gone"))
    shared = listings.shared()

    found = await asyncio.gather(
        *(shared.find(name) for name in ("a.jpg", "b.jpg")), return_exceptions=True
    )

    assert [type(each) for each in found] == [APIConnectionError] * 2
    assert listings.count == 1


@pytest.mark.looptime
async def test_a_cancelled_one_leaves_the_listing_to_the_next() -> None:
    """Whoever began it may go; nobody waits for ever, or gets what was found before."""
    listings = Listings(media("b.jpg", "m"))
    shared = listings.shared()
    assert await shared.find("b.jpg") is not None
    listings.media = (media("b.jpg", "new"),)

    async with asyncio.TaskGroup() as group:
        first = group.create_task(shared.find("a.jpg"))
        second = group.create_task(shared.find("b.jpg"))
        await asyncio.sleep(1.0)
        first.cancel()

    assert (found := second.result()) is not None
    assert (found.id, listings.count) == ("new", 3)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


def losing(service: FakeService, name: str) -> Callable[[str], Awaitable[None]]:
    """Return a hook that stores one image, and loses its answer for good."""

    async def before(what: str) -> None:
        if what == name:
            service.hold(what)
            raise APIConnectionError("No answer", request_sent=True, unknown=True)

    return before


async def upload(
    service: FakeService, folder: Path | None = None, **options: object
) -> UploadReport:
    """Upload three images, as files if there is a folder for them."""
    items = [UploadItem(f"{name}.jpg", JPEG) for name in "abc"]
    if folder is not None:
        paths = [folder / item.name for item in items]
        for path in paths:
            await asyncio.to_thread(path.write_bytes, JPEG)
        items = [UploadItem(None, path) for path in paths]
    config = UploadConfig(check="signature", concurrency=1, **options)  # type: ignore[arg-type]  # a table of options
    async with Uploader(service, service, DATASET_ID, items, config=config) as run:
        return await run.finish()


async def test_a_lost_answer_is_settled_at_the_end(service: FakeService) -> None:
    """It is found, and counts as uploaded, with its id."""
    service.before = losing(service, "b.jpg")

    report = await upload(service)

    assert (report.uploaded, report.unsettled, report.ok) == (3, 0, True)
    assert service.listings == 2


async def test_a_lost_one_that_is_not_there_failed(service: FakeService) -> None:
    """With the words of its loss."""

    async def before(what: str) -> None:
        if what == "b.jpg":
            raise APIConnectionError("No answer", request_sent=True, unknown=True)

    service.before = before

    report = await upload(service)

    assert (report.uploaded, report.failed, report.complete) == (2, 1, True)
    assert report.failures[0].reason.startswith("No answer")


@pytest.mark.parametrize(
    ("data", "removes", "removed"),
    [(JPEG, False, ()), (JPEG, True, ("copy",)), (JPEG + b"!", True, ())],
)
async def test_extra_copies_are_told_and_removed(
    service: FakeService, data: bytes, *, removes: bool, removed: tuple[str, ...]
) -> None:
    """A copy with the same bytes goes; one with other bytes stays, whoever made it."""
    lose = losing(service, "b.jpg")

    async def before(what: str) -> None:
        service.copies["copy"] = ("A.JPG", data)
        await lose(what)

    service.before = before

    report = await upload(service, remove_doubles=removes)

    (double,) = report.doubles
    assert (double.name, double.kept, double.extras) == ("a.jpg", "m-a.jpg", ("copy",))
    assert double.removed == removed
    assert service.deleted == list(removed)
    assert report.to_dict()["doubles"][0]["extras"] == ("copy",)


async def test_a_copy_that_cannot_be_deleted_stays_and_is_told(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was deleted before is told as well, and the images are uploaded all the same."""
    lose, delete = losing(service, "b.jpg"), FakeService.delete

    async def before(what: str) -> None:
        service.copies |= {"one": ("A.JPG", JPEG), "two": ("a.JPG", JPEG)}
        await lose(what)

    async def only_one(fake: FakeService, media_id: str) -> bool:
        if fake.deleted:
            raise APIConnectionError("Gone")
        return await delete(fake, media_id)

    service.before = before
    monkeypatch.setattr(FakeService, "delete", only_one)

    report = await upload(service, remove_doubles=True)

    (double,) = report.doubles
    assert (double.extras, double.removed) == (("one", "two"), ("one",))
    assert [*service.copies] == ["two"]
    assert (report.uploaded, report.failed, report.complete) == (3, 0, True)
    assert "An extra copy of 'a.jpg' could not be removed: Gone" in caplog.text


async def test_an_archive_that_is_gone_by_the_end_is_a_mismatch(
    service: FakeService, tmp_path: Path
) -> None:
    """Its images are uploaded and cannot be compared: each says why, without a number of errors."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("a.jpg", "b.jpg"):
            file.writestr(name, JPEG)

    async def before(what: str) -> None:
        if what == "b.jpg":
            await asyncio.to_thread(archive.unlink)

    service.before = before
    config = UploadConfig(check="signature", concurrency=1, verify="all")
    async with Uploader(service, service, DATASET_ID, archive, config=config) as run:
        report = await run.finish()

    assert (report.uploaded, report.verified, report.ok) == (2, 2, False)
    words = f"cannot be read: No such file or directory: '{archive}'."
    assert sorted(each.reason for each in report.mismatches) == [
        f"{archive}!//{name} {words}" for name in ("a.jpg", "b.jpg")
    ]


async def test_two_runs_that_remove_the_copies_of_each_other_lose_none_silently(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run takes ours for the extra copy: that is noticed, and the image has failed."""
    lose = losing(service, "b.jpg")

    async def before(what: str) -> None:
        service.copies["copy"] = ("A.JPG", JPEG)
        await lose(what)

    async def delete(_: FakeService, media_id: str) -> bool:
        service.stored.pop("a.jpg")
        return service.copies.pop(media_id, None) is not None

    service.before = before
    monkeypatch.setattr(FakeService, "delete", delete)

    report = await upload(service, remove_doubles=True)

    assert (report.uploaded, report.failed, report.complete) == (2, 1, True)
    assert [each.name for each in report.failures] == ["a.jpg"]


async def test_what_has_vanished_failed_after_all(service: FakeService) -> None:
    """The listing at the end has the last word."""
    lose = losing(service, "c.jpg")

    async def before(what: str) -> None:
        if what == "b.jpg":
            await service.delete("m-a.jpg")
        await lose(what)

    service.before = before

    report = await upload(service)

    assert (report.planned, report.uploaded, report.failed, report.complete) == (3, 2, 1, True)
    (failure,) = report.failures
    assert (failure.name, failure.reason[:29]) == ("a.jpg", "It was uploaded, but the data")


async def test_what_an_earlier_run_uploaded_has_not_vanished_from_this_one(
    service: FakeService, tmp_path: Path
) -> None:
    """Its file has changed, so it was skipped; the next run finds that it is gone, and sends it."""
    config = UploadConfig(check="signature", journal=tmp_path / "a.journal", include="*.jpg")
    (tmp_path / "a.jpg").write_bytes(JPEG)
    lose = losing(service, "b.jpg")

    async def run() -> UploadReport:
        async with Uploader(service, service, DATASET_ID, tmp_path, config=config) as run:
            return await run.finish()

    async def before(what: str) -> None:
        service.drop("a.jpg")
        await lose(what)

    await run()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(JPEG + b"!")
    service.before = before
    report = await run()
    service.before = None
    again = await run()

    assert (report.uploaded, report.skipped, report.failed, report.planned) == (1, 1, 0, 2)
    assert (again.uploaded, service.stored["a.jpg"]) == (1, JPEG + b"!")


async def test_an_item_with_two_turns_vanishes_once(service: FakeService, tmp_path: Path) -> None:
    """It was refused, repaired and named again."""
    path, is_refused = tmp_path / "a.jpg", asyncio.Event()
    path.write_bytes(b"no image")
    lose = losing(service, "b.jpg")

    async def before(what: str) -> None:
        if what == "b.jpg":
            service.drop("a.jpg")
        await lose(what)

    async def source() -> AsyncIterator[UploadItem]:
        yield UploadItem(None, path)
        await is_refused.wait()
        await asyncio.to_thread(path.write_bytes, JPEG)
        yield UploadItem(None, path)
        yield UploadItem("b.jpg", JPEG)

    service.before = before
    config = UploadConfig(check="signature", concurrency=1, journal=tmp_path / "a.journal")
    async with Uploader(service, service, DATASET_ID, source(), config=config) as run:
        outcomes = [(await anext(run)).outcome]
        is_refused.set()
        outcomes += [each.outcome async for each in run]

    report = run.report
    assert outcomes == ["rejected", "uploaded", "uploaded"]
    assert (report.planned, report.rejected, report.uploaded, report.failed) == (3, 1, 1, 1)


async def test_copies_of_a_lost_one_are_told(service: FakeService) -> None:
    """A repeated attempt and a late one: the usual way to two copies."""
    lose = losing(service, "b.jpg")

    async def before(what: str) -> None:
        service.copies["copy"] = ("B.JPG", JPEG)
        await lose(what)

    service.before = before
    report = await upload(service)

    assert [(each.name, len(each.extras)) for each in report.doubles] == [("b.jpg", 1)]


async def test_once_a_copy_is_removed_the_dataset_is_listed_again(service: FakeService) -> None:
    """Also where the last one stays, since it has other bytes."""
    lose = losing(service, "b.jpg")

    async def before(what: str) -> None:
        service.copies |= {"copy": ("A.JPG", JPEG), "other": ("C.JPG", JPEG + b"!")}
        await lose(what)

    service.before = before
    report = await upload(service, remove_doubles=True)

    assert [each.removed for each in report.doubles] == [("copy",), ()]
    assert (service.listings, report.ok) == (3, True)


class Held:
    """A hook that holds one image for ever."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.reached = asyncio.Event()

    async def __call__(self, what: str) -> None:
        if what == self._name:
            self.reached.set()
            await asyncio.Event().wait()


async def leave_sending(
    service: FakeService, name: str, journal: Path, folder: Path | None = None
) -> None:
    """Cancel a run while one image is on its way."""
    service.before = held_at = Held(name)
    await cancelled_when(held_at.reached, upload(service, folder, journal=journal))


async def test_already_there_is_ours_only_after_an_attempt_of_ours(
    service: FakeService, tmp_path: Path
) -> None:
    """An attempt of the last run arrives late; what somebody else stored is skipped."""
    journal = tmp_path / "a.journal"

    await leave_sending(service, "b.jpg", journal)

    async def late(what: str) -> None:
        if what not in service.stored:
            service.hold(what)
            raise AlreadyExistsError("There is one", status=412, key="ex_alreadyexists")

    service.before = late
    again = await upload(service, journal=journal)

    assert (again.planned, again.uploaded, again.skipped) == (3, 1, 2)


@pytest.mark.looptime
@pytest.mark.parametrize("stores", [True, False])
@pytest.mark.parametrize("is_file", [True, False])
async def test_what_the_last_run_left_is_waited_for_and_looked_up(
    service: FakeService, tmp_path: Path, *, stores: bool, is_file: bool
) -> None:
    """The service may store it until it must be done with it; then it is found, or sent again."""
    journal, sent, folder = tmp_path / "a.journal", list[str](), tmp_path if is_file else None
    service.patience = 40.0
    await leave_sending(service, "b.jpg", journal, folder)

    async def note(what: str) -> None:
        sent.append(what)

    async def store_late() -> None:
        await asyncio.sleep(30)
        if stores:
            service.hold("b.jpg")

    service.before = note
    storing = asyncio.create_task(store_late())
    report = await upload(service, folder, journal=journal)
    await storing

    assert sorted(sent) == (["c.jpg"] if stores else ["b.jpg", "c.jpg"])
    # Bytes in memory count when they are named again: then it was done before.
    uploaded = 1 if stores and not is_file else 2
    assert (report.uploaded, report.skipped, report.unsettled) == (uploaded, 3 - uploaded, 0)
    assert report.complete
    assert service.listings == 1 + 3, "at the start, once it was waited for, and at the end"


@pytest.mark.looptime
async def test_a_run_stopped_while_it_waits_leaves_what_the_last_run_left(
    service: FakeService, tmp_path: Path
) -> None:
    """It may still be stored: it has not failed, and the next run looks it up."""
    journal = tmp_path / "a.journal"
    service.patience = 40.0
    await leave_sending(service, "c.jpg", journal, tmp_path)
    service.before = losing(service, "")

    stopped = await upload(service, tmp_path, journal=journal, max_duration=20.0)
    service.hold("c.jpg")
    again = await upload(service, tmp_path, journal=journal)

    assert (stopped.planned, stopped.resumed, stopped.unsettled) == (3, 2, 1)
    assert (again.uploaded, again.skipped, again.unsettled, again.complete) == (1, 2, 0, True)


@pytest.mark.looptime
async def test_what_was_lost_last_is_waited_for_at_the_end(service: FakeService) -> None:
    """The last listing begins when the service must be done with what it was sent."""
    service.patience, late = 20.0, asyncio.get_running_loop()

    async def before(what: str) -> None:
        if what == "c.jpg":
            late.call_later(15, service.hold, what)
            raise APIConnectionError("No answer", request_sent=True, unknown=True)

    service.before = before
    report = await upload(service)

    assert (report.uploaded, report.failed, report.unsettled) == (3, 0, 0)


@pytest.mark.looptime
@pytest.mark.parametrize(("settle_after", "company"), [(2.0, 0.5), (60.0, 1.0)])
async def test_a_listing_waits_for_company(settle_after: float, company: float) -> None:
    """A quarter of what a lost upload may take, and a second at most."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await Listings().shared(settle_after).find("a.jpg")

    assert loop.time() - began == pytest.approx(company + 1)


@pytest.mark.looptime
async def test_a_listing_is_asked_for_what_is_waited_for() -> None:
    """Names that were looked up before are wanted no longer."""
    asked: list[set[str]] = []

    async def find(wanted: Collection[str]) -> dict[str, DatasetMedia]:
        asked.append({*wanted})
        return {}

    shared = SharedListing(find, lambda: 2.0)
    assert not shared.was_used
    await shared.find("a.jpg")
    await shared.find("b.jpg")

    assert (asked, shared.was_used) == ([{"a.jpg"}, {"b.jpg"}], True)
