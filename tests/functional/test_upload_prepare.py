"""Uploads that prepare images, tell of their EXIF orientation, or look for equal ones."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from PIL import Image

from datagym_async import UploadConfig, UploadItem
from datagym_async._runs._images import Steps, prepare
from tests.helpers.photos import gif, jpeg, png
from tests.helpers.world import UPLOADS, World, world

if TYPE_CHECKING:
    from datagym_async.uploads import UploadReport

STEPS = "orientation,convert,resize=64"


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Return an empty dataset of the embedded service."""
    async with world() as found:
        yield found


def photo(number: int, kind: str = "JPEG", orientation: int = 6) -> bytes:
    """Return a turned photograph."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image = Image.linear_gradient("L").resize((100, 60 + number)).convert("RGB")
    image.save(file, kind, exif=exif.tobytes())
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of images that need a step, and of some that need none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(photo(number))
        (folder / f"{number}.webp").write_bytes(photo(number, "WEBP"))
        (folder / f"{number}.tif").write_bytes(photo(number, "TIFF"))
    (folder / "small.jpg").write_bytes(jpeg(2000))
    (folder / "small.png").write_bytes(png(2000))
    (folder / "a.gif").write_bytes(gif())
    return folder


async def held(here: World) -> dict[str, bytes]:
    """Return what the dataset holds."""
    return {each.name: await here.client.media.download(each.id) for each in await here.media()}


async def made(data: bytes) -> bytes:
    """Return what is made of an image."""
    return (await asyncio.to_thread(prepare, data, Steps.of(STEPS.split(",")))).data or data


_BEFORE: set[int] = set()


@pytest.fixture(autouse=True)
def processes() -> None:
    """Know which processes another test left: Python keeps one that watches shared memory."""
    _BEFORE.clear()
    _BEFORE.update(each.pid for each in psutil.Process().children(recursive=True))


def children() -> list[psutil.Process]:
    """Return the processes that this test has started, and that still are."""
    return [each for each in psutil.Process().children(recursive=True) if each.pid not in _BEFORE]


async def upload(here: World, source: object, **options: object) -> UploadReport:
    """Upload with some options."""
    config = UploadConfig(**options)  # type: ignore[arg-type]  # a table
    return await here.client.upload(here.dataset_id, source, config=config)  # type: ignore[arg-type]


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    while not holds():  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0.01)


async def test_the_size_of_an_image_counts_once_it_is_prepared(here: World, folder: Path) -> None:
    """A large photograph is made small for this; what stays too large is rejected."""
    most = len(await made(photo(0)))
    assert most < len(photo(0))
    report = await upload(here, folder / "0.jpg", prepare=STEPS, max_bytes=most)
    assert (report.uploaded, report.ok) == (1, True)
    report = await upload(here, folder / "1.jpg", prepare=STEPS, max_bytes=most // 2)
    assert (report.uploaded, report.rejected) == (0, 1)
    assert "more than max_bytes" in report.problems[0].reason
    report = await upload(here, folder / "1.jpg", max_bytes=most // 2)
    assert (report.rejected, report.turned) == (1, 0)  # it is not stored at all


async def test_progress_counts_the_bytes_that_are_sent(here: World, folder: Path) -> None:
    """They were counted by the sizes of the files, before these were prepared."""
    config = UploadConfig(prepare=STEPS)
    async with here.client.uploader(here.dataset_id, folder, config=config) as run:
        report = await run.finish()
    sent = sum(map(len, (await held(here)).values()))

    assert report.ok
    assert run.progress.bytes_done == run.progress.bytes_total == sent


async def test_images_are_stored_as_they_were_prepared(here: World, folder: Path) -> None:
    """What needs no step byte for byte; the report counts what was sent."""
    expected = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        expected[path.name] = await made(data)

    report = await upload(here, folder, prepare=STEPS)

    assert (report.uploaded, report.ok, report.turned) == (15, True, 0)
    stored = await held(here)
    assert stored == expected
    assert report.bytes == sum(map(len, stored.values()))
    assert stored["small.jpg"] == jpeg(2000)
    assert max(Image.open(io.BytesIO(stored["0.webp"])).size) == 64


async def test_without_steps_other_kinds_are_rejected(here: World, folder: Path) -> None:
    """And the turned ones are told of once, with their count."""
    report = await upload(here, folder)

    assert (report.uploaded, report.rejected, report.turned, report.warned) == (6, 9, 4, 0)
    assert report.summary().endswith(
        "4 images have an EXIF orientation, which the service ignores: it shows pixels as they are "
        'stored (prepare="orientation" applies it).'
    )
    assert report.to_dict()["turned"] == 4


@pytest.mark.parametrize("check", ["none", "signature"])
async def test_nobody_looks_for_orientations_there(here: World, folder: Path, check: str) -> None:
    """Where images are not looked at."""
    report = await upload(here, folder / "0.jpg", check=check)

    assert (report.uploaded, report.turned) == (1, 0)


async def test_large_files_are_looked_at_as_well(here: World, tmp_path: Path) -> None:
    """Of them only the first bytes are read."""
    (tmp_path / "large.jpg").write_bytes(photo(1) + bytes(5_000_000))
    with (tmp_path / "large.jpg").open("rb") as file:
        report = await upload(here, [tmp_path / "large.jpg", UploadItem("open.jpg", file)])

    assert (report.uploaded, report.turned) == (2, 2)


@pytest.mark.parametrize("journal", [True, False])
async def test_the_same_upload_again_sends_nothing_and_verifies(
    here: World, folder: Path, tmp_path: Path, journal: bool
) -> None:
    """Prepared again, they are what the dataset holds, with and without a journal."""
    path = tmp_path / "a.journal" if journal else None

    first = await upload(here, folder, prepare=STEPS, journal=path, max_files=5)
    second = await upload(here, folder, prepare=STEPS, journal=path, verify="all")
    third = await upload(here, folder, prepare=STEPS, journal=path, verify="all")

    assert (first.uploaded, second.uploaded, third.uploaded) == (5, 10, 0)
    assert (second.verified, second.mismatched) == (15, 0)
    assert (third.skipped, third.verified, third.mismatched) == (15, 15, 0)
    assert third.resumed == (15 if journal else 0)


async def test_what_is_not_as_it_was_prepared_is_found(here: World, folder: Path) -> None:
    """A comparison is of prepared bytes: those of other steps are others."""
    await upload(here, folder / "0.webp", prepare=STEPS)

    found = await upload(here, folder / "0.webp", prepare="convert", verify="all")
    (folder / "0.webp").write_bytes(b"RIFF____WEBPVP8 ")
    broken = await upload(here, folder / "0.webp", prepare="convert", verify="all")

    assert (found.skipped, found.mismatched) == (1, 1)
    assert "The dataset holds other bytes than the file" in found.mismatches[0].reason
    assert "cannot be prepared" in broken.mismatches[0].reason


async def test_images_in_memory_are_compared_with_what_was_sent(here: World) -> None:
    """By the run that sent them; a later one does not know what was sent, and leaves them out."""
    items = [UploadItem("a.jpg", photo(1)), UploadItem("b.jpg", jpeg(2000))]

    first = await upload(here, items, prepare=STEPS, verify="all")
    second = await upload(here, items, prepare=STEPS, verify="all")

    assert (first.uploaded, first.verified, first.mismatched) == (2, 2, 0)
    assert (second.skipped, second.verified, second.mismatched) == (2, 0, 0)


async def test_what_other_steps_refused_is_looked_at_again(
    here: World, folder: Path, tmp_path: Path
) -> None:
    """A journal keeps verdicts for the same steps alone."""
    path = tmp_path / "a.journal"

    without = await upload(here, folder, journal=path)
    converted = await upload(here, folder, journal=path, prepare="convert")

    assert (without.rejected, converted.rejected, converted.uploaded) == (9, 0, 9)


async def test_open_files_are_prepared(here: World) -> None:
    """Those that are awaited, too."""

    class Awaited:
        def __init__(self, data: bytes) -> None:
            self._file = io.BytesIO(data)

        async def read(self, size: int) -> bytes:
            await asyncio.sleep(0)
            return self._file.read(size)

    large = io.BytesIO(photo(1) + bytes(5_000_000))
    items = [
        UploadItem("a.jpg", io.BytesIO(photo(1, "WEBP"))),
        UploadItem("b.jpg", Awaited(photo(1, "WEBP"))),
        UploadItem("c.jpg", large),
    ]

    report = await upload(here, items, prepare=STEPS)

    assert (report.uploaded, report.turned) == (3, 0)
    sizes = {name: Image.open(io.BytesIO(data)).size for name, data in (await held(here)).items()}
    assert sizes == dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), (39, 64))


async def test_a_plan_prepares_and_sends_nothing(here: World, folder: Path) -> None:
    """Sizes are those that would be sent, and processes are gone at its end."""
    config = UploadConfig(prepare=STEPS)
    async with here.client.plan(here.dataset_id, folder, config=config) as plan:
        sizes = {record.name: record.size async for record in plan}
    async with here.client.plan(here.dataset_id, folder) as plain:
        records = [record async for record in plain]

    assert plan.summary.send == 15
    data = (folder / "0.jpg").read_bytes()
    assert sizes["0.jpg"] == len(await made(data))
    assert (plan.summary.turned, plain.summary.turned, len(records)) == (0, 4, 15)
    assert "4 images have an EXIF orientation" in str(plain.summary)
    assert not children()


async def test_a_cancelled_run_closes_its_processes(here: World) -> None:
    """And leaves no thread that waits for one."""

    async def camera() -> AsyncIterator[UploadItem]:
        yield UploadItem("a.jpg", photo(1))
        await asyncio.sleep(1000)

    threads = {*threading.enumerate()}
    running = asyncio.create_task(upload(here, camera(), prepare=STEPS))
    await until(lambda: here.plan.count("POST", UPLOADS))
    assert children()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not children()
    new = {*threading.enumerate()} - threads
    assert not [each for each in new if "ThreadPoolExecutor" in each.name]


async def test_a_run_is_cancelled_while_an_image_takes_long(
    here: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is ended, and nobody waits for it."""
    from datagym_async.uploads import _reading

    monkeypatch.setattr(_reading, "_COMMAND", "import time; time.sleep(600)")
    monkeypatch.setattr("datagym_async._threads.PATIENCE", 0.01)
    running = asyncio.create_task(upload(here, folder, prepare=STEPS))
    await until(children)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not children()


async def test_a_run_that_is_stopped_while_it_closes_ends_its_processes(
    here: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit may be reached, or an error met, in the moment in which all is read."""
    loop = asyncio.get_running_loop()

    def close(_: object) -> None:
        run.stop()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()

    monkeypatch.setattr("datagym_async.uploads.sources._archives.Archives.close", close)
    config = UploadConfig(prepare=STEPS)
    async with here.client.uploader(here.dataset_id, folder, config=config) as run:
        await run.finish()

    assert not children()


# Equal ones.


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """Return a folder with an image under three names, two of which clash, and another image."""
    folder = tmp_path / "twins"
    (folder / "b").mkdir(parents=True)
    for name in ("a.jpg", "copy.jpg", "b/a.jpg"):
        (folder / name).write_bytes(jpeg(2000, seed=1))
    (folder / "other.jpg").write_bytes(jpeg(2000, seed=2))
    return folder


@pytest.mark.parametrize("journal", [True, False])
async def test_equal_files_are_sent_once(
    here: World, twins: Path, tmp_path: Path, journal: bool
) -> None:
    """Whatever their names, and run after run."""
    path = tmp_path / "a.journal" if journal else None

    runs = [await upload(here, twins, dedupe="skip", journal=path) for _ in range(3)]

    assert await here.names() == ["a.jpg", "other.jpg"]
    assert [(each.uploaded, each.skipped, each.rejected) for each in runs] == [
        *((2, 2, 0), (0, 4, 0), (0, 4, 0))
    ]
    assert [each.duplicates for each in runs] == [2, 2, 2]
    assert "Equal to others, byte for byte: 2." in runs[0].summary()


async def test_what_is_numbered_stands_for_its_bytes(here: World, tmp_path: Path) -> None:
    """It is sent, under another name."""
    items = [
        UploadItem(name, jpeg(2000, seed=n))
        for name, n in (("a.png", 1), ("a.png", 2), ("b.png", 2))
    ]

    report = await upload(here, items, dedupe="skip", on_clash="rename")

    assert await here.names() == ["a (2).png", "a.png"]
    assert (report.uploaded, report.skipped, report.duplicates) == (2, 1, 1)


async def test_equal_files_are_told_of(here: World, twins: Path) -> None:
    """And sent; what clashes is rejected as ever."""
    results = []
    config = UploadConfig(dedupe="report")
    async with here.client.uploader(here.dataset_id, twins, config=config) as run:
        results = [result async for result in run]

    assert (run.report.uploaded, run.report.rejected, run.report.duplicates) == (3, 1, 2)
    warned = {each.source: each.warnings for each in results if each.warnings}
    said = (f"It is equal to {twins / 'a.jpg'}, byte for byte.",)
    assert warned == {str(twins / "copy.jpg"): said, str(twins / "b" / "a.jpg"): said}


async def test_nobody_compares_by_default(here: World, twins: Path) -> None:
    """It costs a reading of each file."""
    report = await upload(here, twins)

    assert (report.uploaded, report.duplicates) == (3, 0)


async def test_a_copy_of_what_an_earlier_run_sent_is_found(
    here: World, twins: Path, tmp_path: Path
) -> None:
    """By the journal, whether or not that run compared; also in streams and in memory."""
    path = tmp_path / "a.journal"
    await upload(here, twins, journal=path)
    (twins / "late.jpg").write_bytes(jpeg(2000, seed=2))

    second = await upload(here, twins, journal=path, dedupe="skip", verify="all")

    assert (second.uploaded, second.duplicates) == (0, 2)  # the late one, and the clash
    assert (second.verified, second.mismatched) == (4, 0)
    assert "late.jpg" not in await here.names()

    async def frames() -> AsyncIterator[UploadItem]:
        for number in range(4):
            yield UploadItem(f"frame {number}.jpg", jpeg(2000, seed=5 + number % 2))

    streamed = await upload(here, frames(), dedupe="skip")
    assert (streamed.uploaded, streamed.skipped) == (2, 2)


async def test_the_copy_of_what_cannot_be_sent_is_sent(here: World, tmp_path: Path) -> None:
    """Only an item that has its name stands for its bytes."""
    data, other = jpeg(2000, seed=1), jpeg(2000, seed=2)
    items = [
        UploadItem("a.jpg", other),
        UploadItem("a.jpg", data),  # clashes
        UploadItem("", data),  # cannot be named
        UploadItem("b.jpg", data),
    ]

    report = await upload(here, items, dedupe="skip")

    assert await here.names() == ["a.jpg", "b.jpg"]
    assert (report.uploaded, report.skipped, report.rejected) == (2, 1, 1)


async def test_a_copy_is_skipped_while_the_first_is_sent_again(
    here: World, twins: Path, tmp_path: Path
) -> None:
    """A run that was cut off leaves the same order to the next."""
    path = tmp_path / "a.journal"
    first = await upload(here, twins, dedupe="skip", journal=path, max_files=1, concurrency=1)
    second = await upload(here, twins, dedupe="skip", journal=path)

    assert first.uploaded + second.uploaded == 2
    assert await here.names() == ["a.jpg", "other.jpg"]
    sha = {hashlib.sha256(data).digest() for data in (await held(here)).values()}
    assert len(sha) == 2
