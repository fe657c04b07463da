"""The photos that tests are made of are what they say they are."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.photos import ODDITIES, SMALLEST, half_jpeg, jpeg, png, write_photos


@pytest.mark.parametrize("size", [SMALLEST, 8_000, 65_537, 131_100, 300_001])
@pytest.mark.parametrize(("make", "kind"), [(jpeg, "JPEG"), (png, "PNG")])
def test_a_photo_is_decodable_and_of_the_wanted_size(
    make: Callable[..., bytes], kind: str, size: int
) -> None:
    """A photo has exactly the wanted size and decodes as its kind."""
    photo = make(size, seed=3)

    with Image.open(io.BytesIO(photo)) as image:
        image.load()
        assert (image.format, len(photo)) == (kind, size)


@given(size=st.integers(SMALLEST, 200_000))
def test_any_size_is_met(size: int) -> None:
    """No size falls between two comment segments."""
    assert [len(jpeg(size)), len(png(size))] == [size] * 2


@settings(max_examples=15)
@given(size=st.integers(2 * SMALLEST, 60_000))
def test_half_a_photo_has_a_whole_header(size: int) -> None:
    """A JPEG cut in half still tells its size, and ends within its picture."""
    half = half_jpeg(size)

    with Image.open(io.BytesIO(half)) as image:
        assert min(image.size) >= 8
    assert (len(half), b"\xff\xda" in half, half.endswith(b"\xff\xd9")) == (size, True, False)


def test_seeds_tell_photos_apart() -> None:
    """Equal seeds give equal bytes, other seeds others."""
    assert jpeg(5_000, seed=1) == jpeg(5_000, seed=1)
    assert len({jpeg(5_000, seed=seed) for seed in range(20)}) == 20


def test_a_folder_accounts_for_every_file(tmp_path: Path) -> None:
    """What is stored, rejected and failed adds up to the files on disk."""
    folder = write_photos(tmp_path / "photos", count=40, largest=100_000)

    files = [path for path in folder.root.rglob("*") if path.is_file()]
    assert len(files) == 40
    assert len(folder.stored) + len(folder.rejected) + len(folder.failed) == 40
    assert sum(path.stat().st_size for path in files) == folder.bytes
    assert len(folder.rejected) + len(folder.failed) == sum(o.outcome != "stored" for o in ODDITIES)


def test_a_folder_is_repeatable(tmp_path: Path) -> None:
    """One seed writes one folder, and the digests are those of its files."""
    first = write_photos(tmp_path / "one", count=30, largest=50_000)
    second = write_photos(tmp_path / "two", count=30, largest=50_000)

    assert first.stored == second.stored
    plain = first.root / "day-0" / "photo-00000.jpg"
    digest = hashlib.sha1(plain.read_bytes()).hexdigest()
    assert first.stored["photo-00000.jpg"] == digest


def test_a_folder_too_small_for_the_oddities_is_refused(tmp_path: Path) -> None:
    """A count that cannot hold each oddity is an error, not a smaller folder."""
    with pytest.raises(ValueError, match=f"{len(ODDITIES)} files at least"):
        write_photos(tmp_path, count=5)
