"""Downloads that meet trouble: what is on the disk, what is said, and that the next run goes on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async import DataGymClient, DownloadConfig, RetryPolicy, TransferError
from datagym_async._runs import HashedPart
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from datagym_async.testing import (
    Delay,
    Drop,
    DropMidBody,
    Hang,
    Html,
    RefuseToken,
    RetryAfter,
    ServiceError,
    Status,
    Truncate,
)
from tests.helpers.leaks import open_descriptors
from tests.helpers.photos import jpeg
from tests.helpers.world import world

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from datagym_async import DownloadReport
    from datagym_async.testing import Action
    from tests.helpers.world import World

pytestmark = pytest.mark.looptime

COUNT = 12
MEDIA = r"/media/[0-9a-f-]{36}$"
"""Pattern of the path of downloads."""
IMAGES = {
    f"{number:02}.jpg": jpeg(1_300_000 if number == 5 else 3_000, seed=number)
    for number in range(COUNT)
}
SEEDED = [SeedMedia(name, content) for name, content in IMAGES.items()]


async def run(here: World, out: Path, **options: Any) -> DownloadReport:
    """Download; a run that has to stop gives its report all the same."""
    config = DownloadConfig(concurrency=4, **options)
    try:
        return await here.client.download_dataset(here.dataset_id, out, config=config)
    except TransferError as error:
        return cast("DownloadReport", error.report)


def images_in(out: Path) -> dict[str, bytes]:
    """Return the images in the folder."""
    return {path.name: path.read_bytes() for path in out.glob("*.jpg")}


def check_end_state(here: World, out: Path, report: DownloadReport) -> None:
    """Check what holds after every run: counts, whole files alone, nothing left open or over."""
    settled = report.downloaded + report.present + report.skipped + report.failed
    assert report.planned == settled + report.pending
    assert report.pending >= 0
    assert not report.complete or report.pending == 0
    found = images_in(out)
    assert {name: IMAGES[name] == data for name, data in found.items()} == dict.fromkeys(
        found, True
    )
    assert len(found) >= report.downloaded + report.present
    assert [*(out / ".datagym" / "parts").iterdir()] == []
    assert [path for path in open_descriptors().values() if path.startswith(str(out))] == []
    assert here.client.statistics().in_flight == 0


async def check_resumed(here: World, out: Path, *, whole: Sequence[str] = tuple(IMAGES)) -> None:
    """Check that the same download again, faults taken away, has everything, and says so."""
    here.plan.clear()
    report = await run(here, out, verify=True)

    assert (report.complete, report.failed, report.planned) == (True, 0, len(whole))
    check_end_state(here, out, report)
    assert images_in(out) == {name: IMAGES[name] for name in whole}
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    hashes = {row["file"]: row["sha256"] for row in rows if row["listed"]}
    assert hashes == {name: hashlib.sha256(IMAGES[name]).hexdigest() for name in whole}


class HalfPacked:
    """A gateway that packs what the client takes packed, and breaks off without a word."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer with half of the packed bytes, as if they were all; see `Action`."""
        answer = await handler(request)
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        if "gzip" in request.headers["Accept-Encoding"]:
            packed = gzip.compress(answer.body)
            answer.headers["Content-Encoding"] = "gzip"
            answer.body = packed[: len(packed) // 2]
        return answer


async def test_a_gateway_that_packs_images_has_no_occasion_to_halve_them(tmp_path: Path) -> None:
    """Half of a gzip body looks whole to aiohttp, and an image has no size to compare it with."""
    async with world(*SEEDED) as here:
        here.plan.add(HalfPacked(), method="GET", path=MEDIA)
        report = await run(here, tmp_path / "out")
        async with here.client.loader(here.dataset_id, decode="bytes") as loader:
            loaded = {sample.media.name: sample.data async for sample in loader}

    assert (report.downloaded, images_in(tmp_path / "out"), loaded) == (COUNT, IMAGES, IMAGES)


@pytest.mark.parametrize(
    "fault",
    [
        Drop(),
        DropMidBody(),
        DropMidBody(100),
        Truncate(),
        Truncate(2_000),
        Status(500),
        Status(502),
        Html(502),
        RetryAfter(429, after=2),
        RetryAfter(503, after="soon"),
        Hang(),
    ],
    ids=lambda fault: repr(fault)[:24],
)
async def test_passing_trouble_costs_nothing(tmp_path: Path, fault: Action) -> None:
    """What goes wrong a few times is asked for again, and every file is whole in the end."""
    async with world(*SEEDED) as here:
        here.plan.add(fault, method="GET", path=MEDIA, first=3)

        report = await run(here, tmp_path)

        assert (report.downloaded, report.ok) == (COUNT, True)
        check_end_state(here, tmp_path, report)
        assert images_in(tmp_path) == IMAGES


async def test_a_listing_that_breaks_off_is_read_anew(tmp_path: Path) -> None:
    """What was entered of it counts once."""
    async with world(*SEEDED) as here:
        here.plan.add(DropMidBody(900), method="GET", path=r"/dataset/", first=2)

        report = await run(here, tmp_path)

        assert (report.planned, report.downloaded, report.ok) == (COUNT, COUNT, True)
        check_end_state(here, tmp_path, report)
        assert images_in(tmp_path) == IMAGES


@pytest.mark.parametrize(
    ("fault", "status", "key"),
    [
        (ServiceError(404, "ex_notfound"), 404, "ex_notfound"),
        (Status(404), 404, ""),
        (ServiceError(400, "ex_invalid"), 400, "ex_invalid"),
        (ServiceError(500, "ex_gen_file_stream"), 500, "ex_gen_file_stream"),
        (ServiceError(500, "ex_system"), 500, "ex_system"),
        (Status(500), 500, ""),
        (DropMidBody(100), None, ""),
        (Truncate(), None, ""),
        (Html(200), None, ""),
        (Status(200), None, ""),
        (Status(204), None, ""),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_lasting_trouble_of_one_media_is_its_own(
    tmp_path: Path, fault: Action, status: int | None, key: str
) -> None:
    """It is failed, with the service's word and no file; the others go on; the next run has it."""
    async with world(*SEEDED) as here:
        media = {each.name: each.id for each in await here.media()}
        here.plan.add(fault, method="GET", path=media["04.jpg"])

        report = await run(here, tmp_path)

        assert (report.downloaded, report.failed, report.complete) == (COUNT - 1, 1, True)
        (problem,) = report.problems
        assert (problem.name, problem.status, problem.key) == ("04.jpg", status, key)
        assert problem.reason
        assert ("The media was deleted" in problem.reason) == (status == 404 and bool(key))
        assert "cannot fetch the link" not in problem.reason
        assert "file cannot be written" not in problem.reason
        check_end_state(here, tmp_path, report)
        assert "04.jpg" not in images_in(tmp_path)
        await check_resumed(here, tmp_path)


@attrs.frozen
class Deleting:
    """Delete an image that is asked for."""

    client: DataGymClient
    media_id: str

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Delete it before the service looks; see `Action`."""
        await self.client.media.delete(self.media_id)
        return await handler(request)


async def test_a_media_deleted_meanwhile_is_failed_and_then_gone(tmp_path: Path) -> None:
    """The listing named it; the next one does not, and the run is complete without it."""
    async with world(*SEEDED) as here:
        (gone,) = (each.id for each in await here.media() if each.name == "11.jpg")
        here.plan.add(Deleting(here.client, gone), method="GET", path=gone)
        report = await run(here, tmp_path)

        assert (report.downloaded, report.failed) == (COUNT - 1, 1)
        assert report.problems[0].reason == "The media was deleted after it was listed."
        check_end_state(here, tmp_path, report)
        await check_resumed(here, tmp_path, whole=[name for name in IMAGES if name != "11.jpg"])


async def test_a_dataset_deleted_meanwhile_is_said(tmp_path: Path) -> None:
    """The next run cannot list it; what is on the disk stays."""
    async with world(*SEEDED) as here:
        await run(here, tmp_path)
        await here.server.delete_dataset(here.dataset_id)

        with pytest.raises(NotFoundError):
            await here.client.download_dataset(here.dataset_id, tmp_path)

    assert images_in(tmp_path) == IMAGES


async def test_a_dataset_of_a_project_deleted_meanwhile_is_a_note(tmp_path: Path) -> None:
    """The project was listed with it: the others come all the same, and what is here stays."""
    async with world() as here:
        datasets = [SeedDataset(name, SEEDED[:3]) for name in ("Day", "Night")]
        (project,) = await here.server.seed(SeedProject("Streets", datasets=datasets))
        gone = f"/dataset/{project.datasets[0].id}$"
        here.plan.add(ServiceError(404, "ex_notfound"), path=gone)

        first = await here.client.download_project(project.id, tmp_path)
        here.plan.clear()
        whole = await here.client.download_project(project.id, tmp_path)
        here.plan.add(ServiceError(404, "ex_notfound"), path=gone)
        last = await here.client.download_project(project.id, tmp_path)

    note = "The dataset 'Day' of the project is gone."
    assert (first.downloaded, first.planned, note in first.notes) == (3, 3, True)
    assert (whole.downloaded, whole.present, whole.ok, whole.notes) == (3, 3, True, ())
    assert (last.downloaded, last.present, note in last.notes) == (0, 3, True)
    assert len([*tmp_path.glob("*/*.jpg")]) == 6


async def test_a_revoked_token_stops_the_run(tmp_path: Path) -> None:
    """It is no matter of one media; with a good token the next run goes on."""
    async with world(*SEEDED) as here:
        here.plan.add(RefuseToken(), method="GET", path=MEDIA, nth=6)

        with pytest.raises(TransferError, match="The download stopped") as caught:
            await here.client.download_dataset(
                here.dataset_id, tmp_path, config=DownloadConfig(concurrency=1)
            )

        report = cast("DownloadReport", caught.value.report)
        assert (report.downloaded, report.pending, report.complete) == (5, COUNT - 5, False)
        check_end_state(here, tmp_path, report)
        await check_resumed(here, tmp_path)


async def test_a_client_closed_in_mid_run_stops_it(tmp_path: Path) -> None:
    """The report says what was done; another client ends the download."""
    async with world(*SEEDED) as here:
        own = await DataGymClient(here.server.token, here.server.base_url, rate_limit=None).open()
        running = own.downloader(here.dataset_id, tmp_path)

        async def close_it() -> None:
            async with running:
                async for _ in running:
                    await own.aclose()

        with pytest.raises(TransferError, match="stopped: The client is closed") as caught:
            await close_it()

        assert caught.value.report == running.report
        assert not running.report.complete
        check_end_state(here, tmp_path, running.report)
        await check_resumed(here, tmp_path)


@pytest.mark.parametrize(("fault", "attempts"), [(DropMidBody(100), 3), (Drop(), 18)])
async def test_a_media_that_breaks_off_is_asked_for_again_after_a_wait(
    tmp_path: Path, fault: Action, attempts: int
) -> None:
    """As often as the policy says; without an answer, as often as any request in an outage."""
    policy = RetryPolicy(max_retries=2, initial_delay=10, max_delay=10, quota=None)
    async with world(*SEEDED, retry=policy) as here:
        media = {each.name: each.id for each in await here.media()}
        here.plan.add(fault, method="GET", path=media["04.jpg"])
        began = asyncio.get_running_loop().time()
        report = await run(here, tmp_path)
        seconds = asyncio.get_running_loop().time() - began

        assert (report.downloaded, report.problems[0].attempts) == (COUNT - 1, attempts)
        asked = here.plan.count("GET", media["04.jpg"])
        assert attempts <= asked <= 2 * attempts  # aiohttp asks again after a disconnect
        assert seconds >= 10


async def test_media_that_fail_between_others_do_not_stop_the_run(tmp_path: Path) -> None:
    """Each that comes shows that the service is there."""
    async with world(*SEEDED, retry=RetryPolicy(max_retries=0, quota=None)) as here:
        # As they are fetched: images of one millisecond go by their ids.
        fetched = sorted(await here.media(), key=lambda each: (each.timestamp, each.id))
        for each in {*fetched} - {fetched[5], fetched[11]}:
            here.plan.add(Drop(), method="GET", path=each.id)
        report = await here.client.download_dataset(
            here.dataset_id, tmp_path, config=DownloadConfig(concurrency=1)
        )

        assert (report.downloaded, report.failed, report.complete) == (2, COUNT - 2, True)


async def test_little_of_a_large_media_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written while it arrives, and a small one at once."""
    write, sizes = HashedPart.write, list[int]()

    def noted(part: HashedPart, chunks: Sequence[bytes]) -> None:
        if part.target.suffix == ".jpg":
            sizes.append(sum(map(len, chunks)))
        write(part, chunks)

    monkeypatch.setattr(HashedPart, "write", noted)
    async with world(*SEEDED) as here:
        await run(here, tmp_path)

    assert (len(sizes), sum(sizes)) == (COUNT + 1, sum(map(len, IMAGES.values())))
    assert 1 << 20 <= max(sizes) < 1_250_000


async def test_a_service_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    """After some media in a row without any answer the others are not tried."""
    async with world(*SEEDED, retry=RetryPolicy(max_retries=1, quota=None)) as here:
        here.plan.add(Drop(), method="GET", path=MEDIA)

        report = await run(here, tmp_path)

        assert not report.complete
        assert report.failed < COUNT
        assert report.downloaded == 0
        check_end_state(here, tmp_path, report)
        await check_resumed(here, tmp_path)


async def test_only_failures_in_a_row_stop_the_run(tmp_path: Path) -> None:
    """One media that arrives says that the service is there: eleven failures of twelve are told."""
    async with world(*SEEDED, retry=RetryPolicy.none()) as here:
        for nth in range(1, COUNT + 1):
            if nth != 7:
                here.plan.add(Status(503), method="GET", path=MEDIA, nth=nth)

        config = DownloadConfig(concurrency=1)
        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=config)

        assert (report.downloaded, report.failed) == (1, COUNT - 1)
        check_end_state(here, tmp_path, report)
        await check_resumed(here, tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
async def test_a_full_disk_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is said with the folder's name; with room again the next run goes on."""
    write, written = HashedPart.write, 0

    def full(part: HashedPart, chunks: Sequence[bytes]) -> None:
        nonlocal written
        written += 1
        if written > 5:
            raise OSError(number, "No space left on device")
        write(part, chunks)

    async with world(*SEEDED) as here:
        monkeypatch.setattr(HashedPart, "write", full)
        with pytest.raises(TransferError, match="No space left") as caught:
            await here.client.download_dataset(here.dataset_id, tmp_path)

        monkeypatch.setattr(HashedPart, "write", write)
        report = cast("DownloadReport", caught.value.report)
        assert (report.failed, report.complete) == (0, False)
        check_end_state(here, tmp_path, report)
        await check_resumed(here, tmp_path)


async def test_a_disk_that_is_full_at_the_end_leaves_no_manifest_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lists are written in parts; the same call again resumes, while the error is still known.

    A query that was left in the middle would keep the database open, and locked.
    """
    write, written = HashedPart.write, 0

    def full(part: HashedPart, chunks: Sequence[bytes]) -> None:
        nonlocal written
        written += part.target.name == "manifest.jsonl"
        if written == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(part, chunks)

    monkeypatch.setattr("datagym_async.downloads._manifest._EXPORTED", 2)
    async with world(*SEEDED) as here:
        monkeypatch.setattr(HashedPart, "write", full)
        with pytest.raises((TransferError, OSError), match="No space left") as caught:
            await here.client.download_dataset(here.dataset_id, tmp_path)
        monkeypatch.setattr(HashedPart, "write", write)

        opened = (await asyncio.to_thread(open_descriptors)).values()
        assert [path for path in opened if path.startswith(str(tmp_path))] == []
        assert list((tmp_path / ".datagym" / "parts").iterdir()) == []
        assert images_in(tmp_path) == IMAGES
        await check_resumed(here, tmp_path)
        assert "No space left" in str(caught.value)


async def test_one_file_that_cannot_be_written_is_its_own(tmp_path: Path) -> None:
    """A folder in the place of a file fails that media alone."""
    async with world(*SEEDED) as here:
        await run(here, tmp_path, max_files=1)
        first = next(iter(images_in(tmp_path)))
        (tmp_path / first).unlink()
        (tmp_path / first).mkdir()

        report = await run(here, tmp_path)

        assert (report.downloaded, report.failed) == (COUNT - 1, 1)
        reason = report.problems[0].reason
        assert reason.startswith("Its file cannot be written (")
        assert "Errno" not in reason
        (tmp_path / first).rmdir()
        await check_resumed(here, tmp_path)


async def test_a_second_run_in_one_folder_says_so(tmp_path: Path) -> None:
    """The folder is locked while a run is open."""
    async with world(*SEEDED) as here:
        async with here.client.downloader(here.dataset_id, tmp_path) as first:
            with pytest.raises(ConfigurationError, match="Another download is writing"):
                await here.client.download_dataset(here.dataset_id, tmp_path)
            report = await first.finish()

        assert report.ok
        check_end_state(here, tmp_path, report)


async def test_what_a_kill_left_behind_is_tidied_up(tmp_path: Path) -> None:
    """Half-written files of a killed run are deleted by the next, whatever that one writes.

    A folder of labels that it was about to replace, with what else was in it, is there again.
    """
    mark = hashlib.blake2b(b"labels.yolo", digest_size=6).hexdigest()
    async with world(*SEEDED) as here:
        await run(here, tmp_path, max_files=2)
        (tmp_path / ".datagym" / "parts" / "0123456789abcdef.part").write_bytes(b"half")
        (tmp_path / f".datagym-{mark}-0.part").touch()
        old = tmp_path / f".datagym-{mark}-0.part.d" / "old" / "labels.yolo"
        old.mkdir(parents=True)
        (old / "notes.txt").write_text("mine")

        await check_resumed(here, tmp_path)

    assert (tmp_path / "labels.yolo" / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.glob(".datagym*")] == [".datagym"]


@pytest.mark.parametrize("media_id", ["../project", "a/b", "..", " ", "a;b", "\x1b[2J"])
async def test_a_listed_id_that_leads_elsewhere_costs_one_media(
    tmp_path: Path, media_id: str
) -> None:
    """An id that cannot stand in a path is asked for nowhere, and the other media come all."""
    async with world(*SEEDED) as here:
        listed = [
            {
                "id": each.id,
                "timestamp": each.timestamp,
                "mediaSourceType": "LOCAL",
                "mediaName": each.name,
            }
            for each in await here.media()
        ]
        listed[3]["id"] = media_id
        dataset = {"id": here.dataset_id, "name": "Photos", "timestamp": 0, "media": listed}
        here.plan.add(Status.of_json(200, cast("Any", dataset)), path=r"/dataset/")

        report = await run(here, tmp_path)

    assert (report.downloaded, report.failed, report.complete) == (COUNT - 1, 1, True)
    assert "pass the id from the service" in report.problems[0].reason


async def test_a_damaged_manifest_is_said(tmp_path: Path) -> None:
    """It is not silently begun anew over files that nobody knows any more."""
    async with world(*SEEDED) as here:
        await run(here, tmp_path)
        manifest = tmp_path / ".datagym" / "manifest.sqlite3"
        manifest.write_bytes(b"no database" * 1000)

        with pytest.raises(ConfigurationError, match="cannot be used"):
            await here.client.download_dataset(here.dataset_id, tmp_path)

    assert images_in(tmp_path) == IMAGES


@pytest.mark.parametrize(
    "path",
    ["../evil.jpg", "a/../../evil.jpg", "/evil.jpg", "C:\\evil.jpg", "\\\\host\\evil", ".", ""],
)
async def test_a_manifest_that_points_outside_is_refused(tmp_path: Path, path: str) -> None:
    """A folder from somebody else cannot make us write elsewhere, on any system."""
    out = tmp_path / "out"
    async with world(*SEEDED) as here:
        await run(here, out, max_files=1)
        await asyncio.to_thread(_point_outside, out / ".datagym" / "manifest.sqlite3", path)

        with pytest.raises(ConfigurationError, match="not in its folder"):
            await here.client.download_dataset(here.dataset_id, out)

    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _point_outside(manifest: Path, path: str) -> None:
    with contextlib.closing(sqlite3.connect(manifest)) as database, database:
        database.execute("UPDATE media SET path = ?, outcome = NULL WHERE seq = 1", (path,))


@pytest.mark.slow
@settings(max_examples=25)
@given(turns=st.integers(0, 120), slow=st.booleans())
@pytest.mark.uncounted
async def test_a_run_cancelled_at_any_moment_is_gone_on_with(turns: int, slow: bool) -> None:
    """Whole files alone are left, nothing runs or is open, and the same download goes on."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        async with world(*SEEDED) as here:
            if slow:
                here.plan.add(Delay(0.01), method="GET", path=MEDIA)
            running = here.client.downloader(
                here.dataset_id, out, config=DownloadConfig(concurrency=4)
            )
            task = asyncio.create_task(_finish(running))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

            if (out / ".datagym" / "parts").exists():
                check_end_state(here, out, running.report)
            await check_resumed(here, out)


async def _finish(running: Any) -> None:
    async with running:
        await running.finish()
