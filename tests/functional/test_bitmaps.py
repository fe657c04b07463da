"""Bitmaps: rendered by the server, fetched all at once, to files and arrays."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import pytest
from PIL import Image

from datagym_async import (
    APIConnectionError,
    APIResponseValidationError,
    AuthenticationError,
    ConfigurationError,
    DataGymClient,
    NotFoundError,
    PermissionDeniedError,
    RequestRefusedError,
    RetryPolicy,
    TransferError,
)
from datagym_async._runs._engine import Patience
from datagym_async.exports import BitmapResult
from datagym_async.exports._bitmaps import CONCURRENCY, Bitmap, BitmapFormat, placed, to_array
from datagym_async.labels import Annotation, Segmentation
from datagym_async.server import SeedMedia
from datagym_async.testing import Delay, Drop, Hang, RefuseToken, Status
from tests.helpers.photos import jpeg
from tests.helpers.raw_server import raw_server, read_head
from tests.helpers.service import until
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from datagym_async.testing import Action

ENTRIES: list[dict[str, object]] = [
    {"entryKey": key, "entryValue": key, "type": kind}
    for key, kind in (("seg", "IMAGE_SEGMENTATION"), ("sky", "IMAGE_SEGMENTATION"), ("p", "POINT"))
]
SQUARE = [(2, 2), (40, 2), (40, 40), (2, 40)]
HOLE = [(10, 10), (20, 10), (20, 20), (10, 20)]
OTHER = [(12, 12), (18, 12), (18, 18), (12, 18)]
SEGMENT = Annotation("seg", Segmentation([SQUARE, HOLE]))
INSIDE = Annotation("seg", Segmentation([OTHER]))
MEDIA = ("a.jpg", "b.jpg", "c.jpg", "open.jpg")


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Two completed tasks with segments, a skipped one without, and an unfinished one."""
    async with world(*(SeedMedia(name, jpeg(2000)) for name in MEDIA)) as made:
        tasks, client = made.project.task_ids, made.client
        await client.label_configs.upload(made.project.label_configuration_id, ENTRIES)
        for name in ("a.jpg", "b.jpg", "open.jpg"):
            await client.values.write(tasks[name], [SEGMENT])
        await client.values.write(tasks["b.jpg"], [INSIDE, Annotation("sky", INSIDE.shape)])
        await client.tasks.complete_many([tasks["a.jpg"], tasks["b.jpg"]])
        await client.tasks.skip(tasks["c.jpg"])
        yield made


def files(folder: Path) -> list[str]:
    """Return the files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_all_bitmaps_that_the_export_names(here: World, tmp_path: Path) -> None:
    """Without keys there is one file for each key in which a finished task segments something."""
    told: list[BitmapResult] = []
    report = await here.client.download_bitmaps(here.project_id, tmp_path, on_result=told.append)
    assert tuple(told) == report.results
    assert files(tmp_path) == ["seg/a.png", "seg/b.png", "sky/b.png"]
    assert (report.ok, report.counts["saved"], report.folder) == (True, 3, tmp_path)
    with Image.open(tmp_path / "seg/a.png") as image:
        assert image.mode == "L"
        assert [image.getpixel(at) for at in ((1, 1), (5, 5), (15, 15), (30, 30))] == [
            *(0, 255),
            *(0, 255),
        ]


async def test_bitmaps_of_keys(here: World, tmp_path: Path) -> None:
    """With keys there is one file for each finished task, black where nothing is segmented."""
    report = await here.client.download_bitmaps(
        here.project_id, tmp_path, keys=["SKY", "seg"], format="bmp"
    )
    assert files(tmp_path) == [f"{key}/{n}.bmp" for key in ("seg", "sky") for n in "abc"]
    assert report.counts["saved"] == 6
    with Image.open(tmp_path / "sky/a.bmp") as image:
        assert image.getextrema() == (0, 0)


async def test_holes_win_over_segments(here: World) -> None:
    """All outlines are white before all holes are black: a segment in another's hole is gone."""
    async with here.client.bitmaps(here.project_id, keys="seg") as stream:
        arrays = {bitmap.media_name: array async for bitmap, array in stream}
    assert sorted(arrays) == ["a.jpg", "b.jpg", "c.jpg"]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint8)}
    assert set(np.unique(arrays["a.jpg"])) == {0, 255}
    assert np.array_equal(arrays["a.jpg"], arrays["b.jpg"])
    assert not arrays["c.jpg"].any()


async def test_a_second_run_fetches_nothing(here: World, tmp_path: Path) -> None:
    """What is there is skipped, what is gone is fetched, and resume=False fetches all."""
    download = here.client.download_bitmaps
    await download(here.project_id, tmp_path)
    (tmp_path / "seg/a.png").unlink()
    assert (await download(here.project_id, tmp_path)).counts == {"skipped": 2, "saved": 1}
    assert (await download(here.project_id, tmp_path, resume=False)).counts == {"saved": 3}
    assert here.plan.count("GET", "/export/bitmap/") == 7


async def test_one_of_an_unfinished_task(here: World) -> None:
    """The service refuses the bitmap of a task that is not finished, in a sentence of ours."""
    task_id = here.project.task_ids["open.jpg"]
    with pytest.raises(RequestRefusedError, match="must be completed, skipped or reviewed"):
        await here.client.labels.bitmap(task_id, "seg")


async def test_a_task_that_is_opened_again_meanwhile(here: World, tmp_path: Path) -> None:
    """A bitmap that cannot be had is reported and does not stop the others."""
    refusal = Status.of_json(500, {"key": "ex_gen_wrong_label_task_state", "params": ["T"]})
    here.plan.add(refusal, path="/export/bitmap/", nth=1)
    report = await here.client.download_bitmaps(here.project_id, tmp_path)
    assert (report.ok, report.counts) == (False, {"failed": 1, "saved": 2})
    (failed,) = report.failed
    assert "must be completed" in str(failed.error)
    assert not failed.path.exists()


@pytest.mark.parametrize("fault", [RefuseToken(), Status(401)], ids=["403", "401"])
async def test_a_refused_token_ends_the_run(here: World, tmp_path: Path, fault: Action) -> None:
    """Every other bitmap would get the same answer; the same call resumes."""
    here.plan.add(fault, method="GET", path="/bitmap/")
    with pytest.raises((PermissionDeniedError, AuthenticationError)):
        await here.client.download_bitmaps(here.project_id, tmp_path, concurrency=1)
    assert here.plan.count("GET", "/bitmap/") == 1
    assert files(tmp_path) == []

    here.plan.clear()
    assert (await here.client.download_bitmaps(here.project_id, tmp_path)).counts["saved"] == 3


async def test_a_service_that_is_gone_ends_the_run(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some bitmaps in a row without any answer the others are not tried."""
    failures: list[Exception] = []

    def is_over(_: object, error: Exception) -> bool:
        failures.append(error)
        return len(failures) == 2

    monkeypatch.setattr("datagym_async._runs._engine.Patience.is_over", is_over)
    here.plan.add(Drop(), method="GET", path="/bitmap/")
    patient = here.client.with_options(retry=RetryPolicy.none())
    with pytest.raises(APIConnectionError):
        await patient.download_bitmaps(here.project_id, tmp_path, concurrency=1)
    assert (len(failures), files(tmp_path)) == (2, [])


async def test_only_failures_in_a_row_end_the_run(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bitmap that arrives between two failures says that the service is there."""
    monkeypatch.setattr("datagym_async.exports._bitmaps.Patience", lambda: Patience(most=2))
    for nth in (1, 3):
        here.plan.add(Status(503), method="GET", path="/bitmap/", nth=nth)
    patient = here.client.with_options(retry=RetryPolicy.none())
    report = await patient.download_bitmaps(here.project_id, tmp_path, concurrency=1)
    assert [each.outcome for each in report.results] == ["failed", "saved", "failed"]
    assert len(files(tmp_path)) == 1


async def test_what_a_killed_run_left_goes(here: World, tmp_path: Path) -> None:
    """Its unfinished files lie beside the bitmaps, also of keys that nobody asks for any more."""
    for folder in (tmp_path, tmp_path / "of an older key"):
        folder.mkdir(exist_ok=True)
        (folder / ".datagym-0123456789ab-0.part").write_bytes(b"half")
    await here.client.download_bitmaps(here.project_id, tmp_path)
    assert not [name for name in files(tmp_path) if ".datagym-" in name]
    assert len(files(tmp_path)) == 3


@pytest.mark.parametrize("wanted", get_args(BitmapFormat))
async def test_half_a_bitmap_is_none(here: World, tmp_path: Path, wanted: BitmapFormat) -> None:
    """An answer that is cut short never becomes a file."""
    half = Status(200, b"BM\x00\x10\x00\x00half", "image/bmp")
    here.plan.add(half, path="/export/bitmap/", nth=2)
    report = await here.client.download_bitmaps(here.project_id, tmp_path, format=wanted)
    assert report.counts == {"failed": 1, "saved": 2}
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("body", ["bomb", "png", "noise"])
async def test_a_hostile_bitmap_is_one_that_failed(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """Whatever Pillow says of a bitmap, its bomb alarm included, is a verdict on that bitmap."""
    hostile = {
        "bomb": b"BM" + bytes(16) + (100_000).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "noise": bytes(range(256)),
    }[body]
    here.plan.add(Status(200, hostile, "image/bmp"), path="/export/bitmap/", nth=1)
    report = await here.client.download_bitmaps(here.project_id, tmp_path)
    assert report.counts == {"failed": 1, "saved": 2}
    async with here.client.bitmaps(here.project_id) as stream:
        assert len([sample async for sample in stream]) == 3
    with pytest.raises(APIResponseValidationError, match=r"sent (an incomplete|a) bitmap"):
        await asyncio.to_thread(to_array, hostile)


async def test_a_segment_named_by_no_url_is_an_error_of_the_export(
    here: World, tmp_path: Path
) -> None:
    """What an export names a bitmap by is looked at before anything is made of it."""
    task = {
        "internal_media_ID": "M",
        "external_media_ID": "a.jpg",
        "status": "COMPLETED",
        "labels": {},
        "segmentations": ["http://[::1/seg"],
    }
    export = [{"label_classes": []}, task]
    here.plan.add(Status.of_json(200, cast("Any", export)), path="/export/")
    with pytest.raises(APIResponseValidationError, match="invalid URL of a bitmap"):
        await here.client.download_bitmaps(here.project_id, tmp_path)


@pytest.mark.looptime
async def test_a_cancelled_run_goes_on(here: World, tmp_path: Path) -> None:
    """Cancelled half way there are whole files alone, and the next run fetches the rest."""
    here.plan.add(Delay(60), path="/export/bitmap/", nth=2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await here.client.download_bitmaps(here.project_id, tmp_path, concurrency=1)
    assert len(files(tmp_path)) == 1
    here.plan.clear()
    report = await here.client.download_bitmaps(here.project_id, tmp_path)
    assert report.counts == {"skipped": 1, "saved": 2}


async def test_a_folder_that_cannot_be_written(here: World, tmp_path: Path) -> None:
    """The run ends with a sentence and its report."""
    (tmp_path / "seg").write_text("a file in the way")
    with pytest.raises(TransferError, match=r"cannot be written .*; use another") as caught:
        await here.client.download_bitmaps(here.project_id, tmp_path, concurrency=1)
    report = caught.value.report
    assert report is not None
    assert ("complete=False" in repr(report), report.ok) == (True, False)


@pytest.mark.parametrize("wrong", [{"keys": []}, {"concurrency": 0}, {"concurrency": 65}])
async def test_arguments_are_checked_before_anything_is_asked(
    here: World, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """Also those of a stream, which asks later."""
    before = len(here.plan.requests)
    with pytest.raises(ConfigurationError):
        await here.client.download_bitmaps(here.project_id, tmp_path, **wrong)
    if "concurrency" in wrong:
        wrong = {"ahead": wrong["concurrency"]}
    with pytest.raises(ConfigurationError):
        here.client.bitmaps(here.project_id, **wrong)
    assert len(here.plan.requests) == before


@pytest.mark.parametrize("keys", [["p"], ["nope", "seg"]])
async def test_keys_that_segment_nothing(here: World, tmp_path: Path, keys: list[str]) -> None:
    """A key of another type would give black images without a word."""
    with pytest.raises(ConfigurationError, match=f"{keys[0]!r}.*'seg', 'sky'|'sky', 'seg'"):
        await here.client.download_bitmaps(here.project_id, tmp_path, keys=keys)


async def test_an_unknown_format(here: World, tmp_path: Path) -> None:
    """Only what can be written is taken."""
    with pytest.raises(ConfigurationError, match="one of 'png', 'bmp'"):
        await here.client.download_bitmaps(here.project_id, tmp_path, format="gif")  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["PIL", "numpy"])
async def test_what_bitmaps_need(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Without what decodes them the sentence says what to install, or to take BMP files."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else name)
    said = {"PIL": "Pillow"}.get(missing, missing)
    with pytest.raises(ConfigurationError, match=f"{said}.*pip install"):
        await here.client.bitmaps(here.project_id).__aenter__()
    if missing == "PIL":
        with pytest.raises(ConfigurationError, match=r"images.*bmp"):
            await here.client.download_bitmaps(here.project_id, tmp_path)
    report = await here.client.download_bitmaps(here.project_id, tmp_path, format="bmp")
    assert report.ok


async def test_a_bitmap_of_too_many_pixels(here: World, tmp_path: Path) -> None:
    """What Pillow takes for an attack is an error of the tree, and fails that one bitmap."""
    content = io.BytesIO()
    Image.new("L", (1, 1)).save(content, "BMP")
    side = (40_000).to_bytes(4, "little")
    bomb = content.getvalue()[:18] + side + side + content.getvalue()[26:]
    here.plan.add(Status(200, bomb, "image/bmp"), path="/export/bitmap/", first=1)
    report = await here.client.download_bitmaps(here.project_id, tmp_path)
    (failed,) = report.failed
    assert "1,600,000,000 pixels" in str(failed.error)
    here.plan.add(Status(200, bomb, "image/bmp"), path="/export/bitmap/", first=1)
    async with here.client.bitmaps(here.project_id) as stream:
        with pytest.raises(APIResponseValidationError, match="1,600,000,000 pixels"):
            async for _ in stream:
                pass


async def test_several_tasks_may_iterate_over_one_stream(here: World) -> None:
    """Each bitmap comes to one of them, and the end to all."""
    async with here.client.bitmaps(here.project_id, keys="seg", ahead=1) as stream:

        async def names() -> list[str]:
            return [bitmap.media_name async for bitmap, _ in stream]

        shares = await asyncio.gather(names(), names(), names())
    assert sorted(name for share in shares for name in share) == ["a.jpg", "b.jpg", "c.jpg"]


async def test_a_stream_ends_with_the_error_and_can_be_left(here: World) -> None:
    """An error of the service reaches whoever iterates; leaving early leaves nothing behind."""
    async with here.client.bitmaps(here.project_id, keys="seg", ahead=1) as stream:
        async for bitmap, _ in stream:
            assert bitmap.key == "seg"
            break
        # The third is asked for once the second waits to be taken.
        await until(lambda: here.plan.count(path="/export/bitmap/") == 3)
    assert [sample async for sample in stream] == []
    here.plan.add(Status.of_json(404, {"key": "ex_notfound"}), path="/export/bitmap/")
    async with here.client.bitmaps(here.project_id) as stream:
        with pytest.raises(NotFoundError) as caught:
            await anext(stream)
        assert [sample async for sample in stream] == []
    assert caught.value.key == "ex_notfound"
    here.plan.clear()
    here.plan.add(Hang(), path="/export/bitmap/")
    asked = here.plan.count(path="/export/bitmap/")
    async with here.client.bitmaps(here.project_id) as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await until(lambda: here.plan.count(path="/export/bitmap/") > asked)
    with pytest.raises(StopAsyncIteration):
        await waiting
    with pytest.raises(KeyError):
        async with here.client.bitmaps(here.project_id):
            raise KeyError("the caller's own")
    with pytest.raises(ConfigurationError, match="Open the stream"):
        await anext(here.client.bitmaps(here.project_id))


def test_names_of_files() -> None:
    """Names are fit for a disk, unique, and the same in whatever order the bitmaps come."""
    names = ("x.jpg", "X.png", "../up.jpg", "plain", "x.jpg", "1.2.840", "v1.5/b")
    bitmaps = [Bitmap(f"{n}{n}{n}{n}-7-7-7", "seg", "M", name) for n, name in enumerate(names)]
    there = {bitmap.task_id: str(path) for bitmap, path in placed(bitmaps, "png")}
    assert [*there.values()] == [
        "seg/x-0000-7-7.png",
        "seg/X-1111-7-7.png",
        "seg/_._up.png",
        "seg/plain.png",
        "seg/x-4444-7-7.png",
        "seg/1.2.840.png",  # what is no suffix of an image is part of the name
        "seg/v1.5_b.png",
    ]
    assert {bitmap.task_id: str(path) for bitmap, path in placed(bitmaps[::-1], "png")} == there
    # Ids that begin alike: none takes the file of another.
    alike = [Bitmap(f"00000000-{n}", "seg", "M", "x.jpg") for n in range(3)]
    assert [str(path) for _, path in placed(alike, "png")] == [
        "seg/x-00000000.png",
        "seg/x-00000000 (2).png",
        "seg/x-00000000 (3).png",
    ]


def test_bitmaps_are_as_many_at_once_as_in_a_download() -> None:
    """The client says the default of exports, which it does not load for that."""
    parameters = inspect.signature(DataGymClient.download_bitmaps).parameters

    assert parameters["concurrency"].default == CONCURRENCY


async def test_bitmaps_of_links_have_the_size_of_what_they_lead_to(tmp_path: Path) -> None:
    """The service knows no size of a link: it looks, and a link that is gone has no bitmap."""
    is_there, photo = True, jpeg(2000)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        writer.write((head % len(photo) + photo) if is_there else b"HTTP/1.1 404 No\r\n\r\n")
        await writer.drain()

    async with raw_server(talk) as site, world(SeedMedia("l.jpg", url=f"{site}l.jpg")) as here:
        tasks, client = here.project.task_ids, here.client
        await client.label_configs.upload(here.project.label_configuration_id, ENTRIES)
        await client.values.write(tasks["l.jpg"], [SEGMENT])
        await client.tasks.complete(tasks["l.jpg"])
        report = await client.download_bitmaps(here.project_id, tmp_path)
        is_there = False
        gone = await client.download_bitmaps(here.project_id, tmp_path / "gone")

    assert (report.ok, files(tmp_path)) == (True, ["seg/l.png"])
    with Image.open(tmp_path / "seg/l.png") as image, Image.open(io.BytesIO(photo)) as source:
        assert image.size == source.size
    assert (gone.ok, len(gone.failed), files(tmp_path / "gone")) == (False, 1, [])
