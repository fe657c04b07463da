"""Decoding finds what headers do not tell, and never fails itself."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from datagym_async._extras import how_to_install
from datagym_async._runs import Findings, decode
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import UploadConfig, Uploader, UploadItem
from tests.helpers import photos
from tests.helpers.fake_service import DATASET_ID, FakeService


def picture(kind: str, size: tuple[int, int] = (40, 30), orientation: int = 0) -> bytes:
    """Return a picture of one colour, perhaps turned by EXIF."""
    stream, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size).save(stream, kind, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("data", [photos.jpeg(5000), photos.png(5000), picture("JPEG")])
def test_good_images_are_good(data: bytes, tmp_path: Path) -> None:
    """In memory, on disk, and as a stream."""
    path = tmp_path / "a.jpg"
    path.write_bytes(data)

    assert [decode(data), decode(str(path)), decode(io.BytesIO(data))] == [Findings()] * 3


@pytest.mark.parametrize(
    "data",
    [
        photos.half_jpeg(8000),
        photos.broken_jpeg(3000),
        photos.broken_png(3000),
        photos.png(8000)[:4000],
        photos.SOUND_JPEG,
        b"no image",
        b"",
    ],
)
def test_bad_images_are_told(data: bytes) -> None:
    """Cut JPEGs above all, which the service stores."""
    assert decode(data).reason.startswith("The image cannot be decoded: ")


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    """Nothing raises."""
    assert "cannot be decoded" in decode(str(tmp_path / "gone.jpg")).reason


def test_bombs_are_rejected_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Pillow's own limit: a warning above it, a rejection above twice that."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)

    assert decode(picture("PNG", (30, 30))) == Findings()
    assert decode(picture("PNG", (40, 40))).warnings == (
        "It has 1,600 pixels; many programs refuse to open that many.",
    )
    assert "has 10,000 pixels, which Pillow refuses" in decode(picture("JPEG", (100, 100))).reason


@pytest.mark.parametrize(("orientation", "is_told"), [(0, False), (1, False), (6, True), (3, True)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_turned_image_is_warned_of(kind: str, orientation: int, is_told: bool) -> None:
    """The service shows and labels it as it is stored."""
    found = decode(picture(kind, orientation=orientation))

    assert found.reason == ""
    assert bool(found.warnings) is is_told
    assert not is_told or f"EXIF orientation ({orientation}) is ignored" in found.warnings[0]


async def test_an_upload_rejects_and_warns(tmp_path: Path) -> None:
    """Results carry the warnings, the report counts them, and cut images stay at home."""
    service = FakeService()
    (tmp_path / "large.jpg").write_bytes(photos.half_jpeg(4_500_000))
    items = [
        UploadItem("good.jpg", photos.jpeg(4000)),
        UploadItem("half.jpg", photos.half_jpeg(4000)),
        UploadItem("turned.jpg", picture("JPEG", orientation=6)),
        UploadItem(None, tmp_path / "large.jpg"),
    ]
    config = UploadConfig(check="decode")
    async with Uploader(service, service, DATASET_ID, items, config=config) as run:
        results = {each.name: each async for each in run}

    assert sorted(service.stored) == ["good.jpg", "turned.jpg"]
    assert (run.report.rejected, run.report.warned) == (2, 1)
    assert len(results["turned.jpg"].warnings) == 1


@pytest.mark.parametrize(
    ("check", "stored"),
    [
        ("none", ["cut", "empty", "half", "text"]),
        ("signature", ["cut", "half"]),
        ("structure", ["half"]),
        ("decode", []),
    ],
)
async def test_each_check_finds_more(check: str, stored: list[str]) -> None:
    """From nothing to everything."""
    service = FakeService()
    items = [
        UploadItem("empty", b""),
        UploadItem("text", b"Just text."),
        UploadItem("cut", photos.jpeg(3000)[:100]),
        UploadItem("half", photos.half_jpeg(3000)),
    ]
    config = UploadConfig(check=check)  # type: ignore[arg-type]  # one of four
    async with Uploader(service, service, DATASET_ID, items, config=config) as run:
        await run.finish()

    assert sorted(service.stored) == stored


async def test_large_images_warn_and_larger_ones_are_rejected(tmp_path: Path) -> None:
    """15 MiB is what most services take; a limit of one's own is kept."""
    service = FakeService()
    for name, size in {"small.jpg": 1000, "large.jpg": 16 << 20, "huge.jpg": 17 << 20}.items():
        with (tmp_path / name).open("wb") as file:
            file.write(photos.SOUND_JPEG)
            file.truncate(size)
    config = UploadConfig(max_bytes=(17 << 20) - 1)
    async with Uploader(service, service, DATASET_ID, tmp_path, config=config) as run:
        results = {each.name: each async for each in run}

    assert results["large.jpg"].warnings == (
        "It has 16.0 MiB; a service with the usual limit of its database (16 MiB) refuses it.",
    )
    assert "17,825,792 bytes, more than max_bytes" in results["huge.jpg"].reason
    assert sorted(service.stored) == ["large.jpg", "small.jpg"]


def test_without_pillow_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to install it."""

    def no_module(_: str) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", no_module)

    with pytest.raises(ConfigurationError, match=re.escape(how_to_install("images"))):
        UploadConfig(check="decode")
