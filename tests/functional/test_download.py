"""Datasets and projects out of the embedded service, into a folder."""

from __future__ import annotations

import asyncio
import csv
import errno
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from datagym_async import (
    ConfigurationError,
    DownloadConfig,
    DownloadEnded,
    DownloadEvent,
    DownloadOutcome,
    DownloadStarted,
    MediaSettled,
    NotFoundError,
    TransferError,
    UploadConfig,
    UploadItem,
)
from datagym_async.exceptions import FileWriteError
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, SeedVideo
from datagym_async.testing import Hang, ServiceError
from tests.helpers.photos import jpeg, png
from tests.helpers.world import world

GONE = ServiceError(404, "ex_notfound", ("media", "id", "x"))
UNKNOWN = "00000000-0000-0000-0000-000000000000"
HOSTILE = (
    "../../escape.jpg",
    "/etc/passwd",
    "C:\\Windows\\win.ini",
    "..",
    ".hidden.jpg",
    "NUL.jpg",
    "com1",
    "a:stream.jpg",
    "x" * 251 + ".jpg",
    "é" * 126 + ".jpg",
    "manifest.csv",
    "labels.jsonl",
    ".datagym",
    "photo.jpg",
    "PHOTO.JPG",
    "photo (2).jpg",
    "photo.jpg ",
    "photo.jpg/inner.jpg",
    "PHOTO.jpg/Inner.jpg",
    "manifest.csv/a.jpg",
    "a//b/./../c.jpg",
)


def photos(names: Iterable[str]) -> list[SeedMedia]:
    """Return images of different bytes."""
    return [SeedMedia(name, jpeg(2_000, seed=seed)) for seed, name in enumerate(names)]


def files_below(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the files below a folder, without the state of the download."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".datagym" not in path.relative_to(folder).parts
    }


def images_below(folder: Path) -> dict[str, bytes]:
    """Return the images alone."""
    found = files_below(folder)
    return {name: data for name, data in found.items() if data[:2] in {b"\xff\xd8", b"\x89P"}}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the exported manifest."""
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


async def test_images_come_back_byte_for_byte(tmp_path: Path) -> None:
    """What was uploaded is downloaded, under its own name, and nothing else is."""
    names = ["a.jpg", "Zürich ☃.jpg", "100%.jpg", "写真 🐈.png"]
    images = {name: jpeg(3_000, seed=seed) for seed, name in enumerate(names[:3])}
    images["写真 🐈.png"] = png(400_000, seed=9)
    images["large.jpg"] = jpeg(3_500_000, seed=4)
    async with world() as here:
        items = [UploadItem(name, data) for name, data in images.items()]
        await here.client.upload(here.dataset_id, items, config=UploadConfig(check="none"))

        report = await here.client.download_dataset(here.dataset_id, tmp_path / "out")

    assert (report.downloaded, report.ok, report.pending) == (5, True, 0)
    assert report.bytes == sum(map(len, images.values()))
    assert images_below(tmp_path / "out") == images


async def test_the_same_download_again_fetches_nothing(tmp_path: Path) -> None:
    """What an earlier run has downloaded is present, and not asked for."""
    async with world(*photos(["a.jpg", "b.jpg"])) as here:
        await here.client.download_dataset(here.dataset_id, tmp_path / "out")
        before = here.plan.count("GET", r"/media/")

        report = await here.client.download_dataset(here.dataset_id, tmp_path / "out")

        assert here.plan.count("GET", r"/media/") == before
    assert (report.downloaded, report.present, report.ok) == (0, 2, True)


async def test_what_is_missing_or_short_is_fetched_again(tmp_path: Path) -> None:
    """A file that somebody deleted or cut is downloaded anew."""
    async with world(*photos(["a.jpg", "b.jpg", "c.jpg"])) as here:
        await here.client.download_dataset(here.dataset_id, tmp_path)
        whole = images_below(tmp_path)
        (tmp_path / "a.jpg").unlink()
        (tmp_path / "b.jpg").write_bytes(whole["b.jpg"][:-1])

        report = await here.client.download_dataset(here.dataset_id, tmp_path)

    assert (report.downloaded, report.present) == (2, 1)
    assert images_below(tmp_path) == whole


async def test_what_is_missing_and_not_fetched_again_is_pending(tmp_path: Path) -> None:
    """The lists of a run that was stopped name no file that is not there."""
    async with world(*photos(["a.jpg", "b.jpg", "c.jpg"])) as here:
        await here.client.download_dataset(here.dataset_id, tmp_path)
        for name in ("a.jpg", "b.jpg"):
            (tmp_path / name).unlink()
        config = DownloadConfig(max_files=1, concurrency=1)
        await here.client.download_dataset(here.dataset_id, tmp_path, config=config)

    # Images of one millisecond have no order, so either of the two may come first.
    (fetched,) = set(images_below(tmp_path)) - {"c.jpg"}
    missing = {"a.jpg": "b.jpg", "b.jpg": "a.jpg"}[fetched]
    found = {row["file"]: (row["outcome"], row["sha256"] is None) for row in rows_of(tmp_path)}
    assert found == {
        fetched: ("downloaded", False),
        missing: ("pending", True),
        "c.jpg": ("downloaded", False),
    }


async def test_verifying_finds_changed_bytes(tmp_path: Path) -> None:
    """Equal sizes do not count with `verify`; without it they do."""
    async with world(*photos(["a.jpg", "b.jpg"])) as here:
        await here.client.download_dataset(here.dataset_id, tmp_path)
        whole = images_below(tmp_path)
        (tmp_path / "a.jpg").write_bytes(whole["a.jpg"][:-1] + b"?")

        trusting = await here.client.download_dataset(here.dataset_id, tmp_path)
        verified = await here.client.download_dataset(
            here.dataset_id, tmp_path, config=DownloadConfig(verify=True)
        )

    assert (trusting.downloaded, verified.downloaded) == (0, 1)
    assert images_below(tmp_path) == whole


async def test_new_media_are_added_and_deleted_ones_stay(tmp_path: Path) -> None:
    """A later run fetches what is new; the file of a deleted media is nobody's to delete."""
    async with world(*photos(["a.jpg", "b.jpg"])) as here:
        await here.client.download_dataset(here.dataset_id, tmp_path)
        gone = next(each for each in await here.media() if each.name == "a.jpg")
        await here.client.media.delete(gone.id)
        await here.client.media.upload_file(here.dataset_id, jpeg(2_000, seed=7), name="A.JPG")

        report = await here.client.download_dataset(here.dataset_id, tmp_path)

    assert (report.planned, report.downloaded, report.present) == (2, 1, 1)
    assert set(images_below(tmp_path)) == {"a.jpg", "b.jpg", "A (2).JPG"}
    assert {row["file"]: row["listed"] for row in rows_of(tmp_path)} == {
        "a.jpg": False,
        "b.jpg": True,
        "A (2).JPG": True,
    }


@pytest.mark.parametrize("tree", [False, True])
async def test_hostile_names_never_leave_the_folder(tmp_path: Path, tree: bool) -> None:
    """Whatever a media is called, its bytes are in the folder, once, in a file of their own."""
    out = tmp_path / "deep" / "out"
    async with world(*photos(HOSTILE)) as here:
        config = DownloadConfig(tree=tree)
        report = await here.client.download_dataset(here.dataset_id, out, config=config)

    expected = sorted(jpeg(2_000, seed=seed) for seed in range(len(HOSTILE)))
    assert report.ok
    assert sorted(images_below(out).values()) == expected
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {
        path for path in out.rglob("*") if path.is_file()
    }
    assert len({name.casefold() for name in images_below(out)}) == len(HOSTILE)
    assert all(len(name.encode()) <= 255 for name in images_below(out))


async def test_the_manifest_maps_names_to_files(tmp_path: Path) -> None:
    """Each media has a row with its real name, its file and its hash; JSON and CSV agree."""
    async with world(*photos(["../x.jpg", "a.jpg"])) as here:
        await here.client.download_dataset(here.dataset_id, tmp_path)

    rows = rows_of(tmp_path)
    assert {row["name"]: row["file"] for row in rows} == {
        "../x.jpg": "_._x.jpg",
        "a.jpg": "a.jpg",
    }
    with (tmp_path / "manifest.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["sha256"] for row in table] == [row["sha256"] for row in rows]
    assert {row["outcome"] for row in table} == {"downloaded"}


async def test_a_project_has_a_folder_for_each_dataset(tmp_path: Path) -> None:
    """Datasets whose names some disk takes for one get different folders, and keep them."""
    async with world() as here:
        datasets = (
            SeedDataset("Left", photos(["a.jpg"])),
            SeedDataset("left", photos(["a.jpg", "b.jpg"])),
        )
        (project,) = await here.server.seed(SeedProject("Pair", datasets=datasets))

        report = await here.client.download_project(project.id, tmp_path)
        first = images_below(tmp_path)
        for each in project.datasets:
            await here.client.media.upload_file(each.id, jpeg(2_000, seed=7), name="new.jpg")
        again = await here.client.download_project(project.id, tmp_path)

    assert (report.name, report.downloaded, report.ok) == ("Pair", 3, True)
    assert sorted(map(str.casefold, first)) in (
        ["left (2)/a.jpg", "left (2)/b.jpg", "left/a.jpg"],
        ["left (2)/a.jpg", "left/a.jpg", "left/b.jpg"],
    )
    assert (again.downloaded, again.present, again.ok) == (2, 3, True)
    folders = {(row["dataset_id"], row["file"].rpartition("/")[0]) for row in rows_of(tmp_path)}
    assert len(folders) == 2


async def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    """Nobody's files are in danger: a folder is new, empty, or of the same download."""
    (tmp_path / "mine.jpg").write_bytes(b"mine")
    async with world(*photos(["mine.jpg"])) as here:
        with pytest.raises(ConfigurationError, match="is not empty"):
            await here.client.download_dataset(here.dataset_id, tmp_path)

    assert files_below(tmp_path) == {"mine.jpg": b"mine"}


async def test_a_folder_with_a_null_character_is_refused() -> None:
    """No system has one; what Python says of it names neither the folder nor a way out."""
    async with world() as here:
        with pytest.raises(ConfigurationError, match=r"folder is .*without NUL"):
            await here.client.download_dataset(here.dataset_id, "out\0")
        with pytest.raises(ConfigurationError, match=r"cache is .*without NUL"):
            here.client.loader(here.dataset_id, cache="out\0")


@pytest.mark.parametrize("folder", ["gcs://bucket/out", "https://b.example/out", "file:///out"])
async def test_an_address_of_no_store_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """A folder of that name on this disk is not what anybody means."""
    monkeypatch.chdir(tmp_path)
    async with world(*photos(["a.jpg"])) as here:
        for given in (folder, Path(folder)):
            with pytest.raises(ConfigurationError, match="is an address, and no path"):
                await here.client.download_dataset(here.dataset_id, given)
        with pytest.raises(ConfigurationError, match="is an address, and no path"):
            await here.client.export_labels(here.project_id, "s3://bucket/labels.json")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("step", "error", "said"),
    [
        ("mkdir", errno.ENOSPC, "The folder PATH cannot be written (WHY); free some space on its"),
        ("mkdir", errno.EACCES, "PATH cannot be written (WHY); use another path."),
        ("touch", errno.EACCES, "PATH/.datagym/manifest.sqlite3 cannot be written (WHY); use"),
    ],
)
async def test_a_folder_that_cannot_be_made_is_named_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: int, said: str
) -> None:
    """Another folder on a full disk would not help; a file in it may be of another user."""

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error), str(self))

    async with world() as here:
        monkeypatch.setattr(Path, step, refuse)
        with pytest.raises(ConfigurationError) as caught:
            await here.client.download_dataset(here.dataset_id, tmp_path / "out")

    text = str(caught.value).replace(str(tmp_path / "out"), "PATH")
    assert text.startswith(said.replace("WHY", os.strerror(error)))


async def test_a_file_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    """What somebody has put into the folder since keeps its name."""
    async with world(*photos(["a.jpg"])) as here:
        await here.client.download_dataset(here.dataset_id, tmp_path)
        (tmp_path / "b.jpg").write_bytes(b"mine")
        await here.client.media.upload_file(here.dataset_id, jpeg(2_000, seed=7), name="b.jpg")

        await here.client.download_dataset(here.dataset_id, tmp_path)

    assert (tmp_path / "b.jpg").read_bytes() == b"mine"
    assert (tmp_path / "b (2).jpg").read_bytes() == jpeg(2_000, seed=7)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
async def test_a_link_in_the_place_of_our_folder_is_not_followed(tmp_path: Path) -> None:
    """What it leads to is not deleted, as files of a killed run are: the folder may be a copy."""
    (parts := tmp_path / "out" / ".datagym" / "parts").parent.mkdir(parents=True)
    parts.symlink_to(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.part").write_bytes(b"mine")
    async with world(*photos(["a.jpg"])) as here:
        with pytest.raises(FileWriteError, match=r"parts cannot be written \(it is a link\)"):
            await here.client.download_dataset(here.dataset_id, tmp_path / "out")

    assert (tmp_path / "other" / "a.part").read_bytes() == b"mine"


async def test_a_folder_in_the_place_of_a_list_is_named(tmp_path: Path) -> None:
    """It stays, and the media are there; once it is gone the same download ends well."""
    async with world(*photos(["a.jpg"])) as here:
        run = here.client.downloader(here.dataset_id, tmp_path / "out")
        async with run:
            (tmp_path / "out" / "manifest.csv").mkdir()
            with pytest.raises(TransferError, match=r"manifest\.csv cannot be written"):
                await run.finish()
        (tmp_path / "out" / "manifest.csv").rmdir()
        report = await here.client.download_dataset(here.dataset_id, tmp_path / "out")

    assert (report.present, report.ok) == (1, True)


async def test_a_folder_of_another_download_is_refused(tmp_path: Path) -> None:
    """Two datasets do not share a folder."""
    async with world(*photos(["a.jpg"])) as here:
        await here.client.download_dataset(here.dataset_id, tmp_path)

        with pytest.raises(ConfigurationError, match=f"of the dataset {here.dataset_id}"):
            await here.client.download_project(here.project_id, tmp_path)


async def test_a_folder_belongs_to_its_download_whatever_is_left_in_it(tmp_path: Path) -> None:
    """Without its files, of an empty dataset, and after another one was refused there."""
    empty, gone, late = tmp_path / "empty", tmp_path / "gone", tmp_path / "late"
    async with world(*photos(["a.jpg"])) as here:
        client, dataset_id = here.client, here.dataset_id
        other = (await client.datasets.create("Other")).id
        await client.download_dataset(other, empty)
        assert (empty / "manifest.csv").read_text().startswith("file,outcome,name,media_id,")
        await client.download_dataset(dataset_id, gone)
        for path in (gone / "a.jpg", gone / "manifest.csv", gone / "manifest.jsonl"):
            path.unlink()
        with pytest.raises(NotFoundError):
            await client.download_dataset(UNKNOWN, late)
        for _ in range(2):
            report = await client.download_dataset(dataset_id, late)
            assert (report.planned, report.ok) == (1, True)

        with pytest.raises(ConfigurationError, match=f"holds a download of the dataset {other}"):
            await client.download_dataset(dataset_id, empty)
        for folder in (gone, late):
            with pytest.raises(ConfigurationError, match=f"of the dataset {dataset_id} of http"):
                await client.download_dataset(other, folder)
        report = await client.download_dataset(dataset_id, gone)

    assert (report.downloaded, report.ok, sorted(files_below(gone))) == (
        *(1, True),
        ["a.jpg", "manifest.csv", "manifest.jsonl"],
    )


async def test_an_unknown_dataset_or_project_is_said_at_once(tmp_path: Path) -> None:
    """Nothing but the folder's state is made, and another download may have the folder."""
    async with world(*photos(["a.jpg"])) as here:
        with pytest.raises(NotFoundError):
            await here.client.download_dataset(UNKNOWN, tmp_path / "one")
        with pytest.raises(ConfigurationError, match="There is no project"):
            await here.client.download_project(UNKNOWN, tmp_path / "two")
        assert files_below(tmp_path) == {}

        report = await here.client.download_dataset(here.dataset_id, tmp_path / "one")

    assert (report.downloaded, report.ok) == (1, True)


async def test_a_video_comes_from_where_the_service_says(tmp_path: Path) -> None:
    """Its bytes are fetched by the pre-signed URL, which takes none of our credentials."""
    video = SeedMedia("clip.mp4", b"not really a video" * 1000, video=SeedVideo())
    async with world() as here:
        dataset = SeedDataset("Clips", [video], media_type="VIDEO")
        (project,) = await here.server.seed(
            SeedProject("Videos", datasets=[dataset], media_type="VIDEO")
        )

        report = await here.client.download_dataset(project.datasets[0].id, tmp_path)

    assert report.ok
    assert (tmp_path / "clip.mp4").read_bytes() == video.content


async def test_results_come_one_by_one(tmp_path: Path) -> None:
    """Iterating gives each media once; the progress adds up."""
    async with (
        world(*photos(f"{number}.jpg" for number in range(20))) as here,
        here.client.downloader(here.dataset_id, tmp_path) as run,
    ):
        found = [result async for result in run]
        progress = run.progress

    assert {result.outcome for result in found} == {DownloadOutcome.DOWNLOADED}
    assert sorted(result.path for result in found) == sorted(images_below(tmp_path))
    assert (progress.phase, progress.items_done, progress.items_total) == ("done", 20, 20)


async def test_a_media_that_is_waited_for_is_in_flight(tmp_path: Path) -> None:
    """The progress says so while the others are done, and then that the run has stopped."""
    async with world(*photos(["a.jpg", "b.jpg"])) as here:
        here.plan.add(Hang(), path=(await here.media())[0].id)
        config = DownloadConfig(concurrency=2)
        async with here.client.downloader(here.dataset_id, tmp_path, config=config) as run:
            await anext(run)
            during = run.progress

    assert (during.phase, during.in_flight, during.items_done) == ("fetching", 1, 1)
    assert (run.progress.phase, run.progress.in_flight) == ("stopped", 0)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (DownloadConfig(max_files=5, concurrency=1), "max_files: 5 were fetched"),
        (DownloadConfig(max_bytes_total=9_000, concurrency=1), "max_bytes_total: 10,000 bytes"),
    ],
)
async def test_a_limit_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, config: DownloadConfig, word: str
) -> None:
    """Reaching a limit is no error; the report says which it was."""
    async with world(*photos(f"{number}.jpg" for number in range(12))) as here:
        first = await here.client.download_dataset(here.dataset_id, tmp_path, config=config)
        second = await here.client.download_dataset(here.dataset_id, tmp_path)

    assert word in first.stopped_by
    assert (first.downloaded, first.pending, first.complete) == (5, 7, False)
    assert (second.downloaded, second.present, second.complete) == (7, 5, True)


async def test_stopping_ends_what_is_in_flight(tmp_path: Path) -> None:
    """After `stop` nothing new is begun, and the iteration ends without an error."""
    async with (
        world(*photos(f"{number}.jpg" for number in range(40))) as here,
        here.client.downloader(
            here.dataset_id, tmp_path, config=DownloadConfig(concurrency=2)
        ) as run,
    ):
        async for _ in run:
            run.stop()

    assert 0 < run.report.downloaded < 40
    assert run.report.downloaded == len(images_below(tmp_path))
    assert (run.report.complete, run.report.failed) == (False, 0)


async def test_the_reports_of_a_run(tmp_path: Path) -> None:
    """JSON holds counts and problems, CSV the failed media, both up to `max_problems`."""
    async with world(*photos(["a.jpg", "b.jpg", "c.jpg"])) as here:
        for media in (await here.media())[1:]:
            here.plan.add(GONE, path=media.id)
        config = DownloadConfig(max_problems=1)

        report = await here.client.download_dataset(
            here.dataset_id, tmp_path / "out", config=config
        )

    text = json.loads(await asyncio.to_thread(report.to_json, tmp_path / "report.json"))
    assert (text["downloaded"], text["failed"], text["planned"]) == (1, 2, 3)
    assert (len(text["problems"]), text["problems_omitted"]) == (1, 1)
    assert report.items_per_second * report.seconds == pytest.approx(1)
    assert text["problems"][0]["key"] == "ex_notfound"
    assert json.loads((tmp_path / "report.json").read_text()) == text
    assert report.to_csv().count("\n") == 2
    assert "1 downloaded, 2 failed" in report.summary()
    assert not report.ok


async def test_a_media_that_is_too_long_is_failed_by_itself(tmp_path: Path) -> None:
    """What goes on behind `max_bytes` is thrown away; the others are fetched."""
    async with world(*photos([f"{number}.jpg" for number in range(3)])) as here:
        long = await here.client.media.upload_file(here.dataset_id, jpeg(50_000), name="long.jpg")
        report = await here.client.download_dataset(
            here.dataset_id, tmp_path, config=DownloadConfig(max_bytes=20_000)
        )

    (problem,) = report.problems
    assert (report.downloaded, report.failed) == (3, 1)
    assert problem.media_id == long.id
    assert "more than 20,000 bytes; max_bytes=... sets the limit" in problem.reason
    assert sorted(images_below(tmp_path)) == ["0.jpg", "1.jpg", "2.jpg"]


async def test_a_listener_is_told_of_each_media(tmp_path: Path) -> None:
    """From the beginning to the end, and its errors touch nothing."""
    events: list[DownloadEvent] = []

    def hear(event: DownloadEvent) -> None:
        events.append(event)
        raise RuntimeError("a slip of the listener")

    media = [SeedMedia(f"{number}.jpg", jpeg(2_000, seed=number)) for number in range(3)]
    async with world(*media) as here:
        config = DownloadConfig(on_event=hear)
        report = await here.client.download_dataset(here.dataset_id, tmp_path, config=config)

    assert isinstance(events[0], DownloadStarted)
    assert (events[0].planned, events[0].folder) == (3, str(tmp_path))
    settled = [each.result.name for each in events if isinstance(each, MediaSettled)]
    assert sorted(settled) == ["0.jpg", "1.jpg", "2.jpg"]
    assert isinstance(events[-1], DownloadEnded)
    assert events[-1].report == report
    assert len(events) == 5
    with pytest.raises(ConfigurationError, match="on_event"):
        DownloadConfig(on_event="x")  # type: ignore[arg-type]
