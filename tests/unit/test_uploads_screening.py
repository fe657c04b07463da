"""What may be sent, by name, size and first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async.uploads._screening import Screening, looks_like, screen_name

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@pytest.mark.parametrize(
    ("head", "size", "expected"),
    [
        pytest.param(JPEG, 9, "", id="jpeg"),
        pytest.param(b"\xff\xd8\xff\xe1Exif", 9, "", id="jpeg-exif"),
        pytest.param(PNG, 99, "", id="png"),
        pytest.param(b"", 0, "The file is empty.", id="empty"),
        pytest.param(b"\xff\xd8", 2, "data of an unknown kind", id="two-bytes-of-a-jpeg"),
        pytest.param(b"GIF89a", 50, "a GIF image", id="gif"),
        pytest.param(b"BM\x00\x00", 50, "a BMP image", id="bmp"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", 50, "a WebP image", id="webp"),
        pytest.param(b"II*\x00\x08", 50, "a TIFF", id="tiff"),
        pytest.param(b"\x00\x00\x00\x18ftypheic", 50, "a HEIC image", id="heic"),
        pytest.param(b"\x00\x00\x00\x18ftypavif", 50, "an AVIF image", id="avif"),
        pytest.param(b"\x00\x00\x00\x18ftypisom", 50, "a video", id="mp4"),
        pytest.param(b"%PDF-1.7", 50, "a PDF document", id="pdf"),
        pytest.param(b"PK\x03\x04", 50, "a ZIP archive", id="zip"),
        pytest.param(b"\x1f\x8b\x08", 50, "a gzip archive", id="gzip"),
        pytest.param(b"<svg xmlns=", 50, "an SVG drawing", id="svg"),
        pytest.param(b"Notes on it:\r\n", 50, "text", id="text"),
        pytest.param("Größe: ☃".encode()[:-1], 50, "text", id="text-cut-in-a-character"),
        pytest.param(b"\xef\xbb\xbfa,b\n", 50, "text", id="text-with-mark"),
        pytest.param(b"\x00\x01\x02\x03", 50, "data of an unknown kind", id="binary"),
        pytest.param(b"\xfe" * 64, 64, "data of an unknown kind", id="not-utf-8"),
    ],
)
def test_bytes_decide(head: bytes, size: int, expected: str) -> None:
    """JPEG and PNG pass by their first bytes; all else is told what it looks like."""
    reason = Screening().of_head(size, head)

    assert (expected == "") == (reason == "")
    assert expected in reason


def test_what_a_rejection_says() -> None:
    """The reason is one sentence with what the file looks like."""
    expected = (
        'Not a JPEG or PNG image: it looks like a GIF image (prepare="convert" makes it one).'
    )

    assert expected == Screening().of_head(50, b"GIF89a")
    assert looks_like(b"GIF89a") == "a GIF image"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("a.jpg", "", id="plain"),
        pytest.param("100%.jpg", "", id="percent"),
        pytest.param("写真 ☃.png", "", id="beyond-latin-1"),
        pytest.param("caf\udce9.jpg", "", id="bytes-that-are-no-text"),
        pytest.param("a" * 255, "", id="longest"),
        pytest.param("a" * 256, "at most 255", id="too-long"),
        pytest.param("☃" * 29, "'☃☃", id="too-long-when-encoded"),
        pytest.param("", "The name is empty.", id="empty"),
        pytest.param("  ", "The name is empty.", id="blank"),
        pytest.param("a\nb.jpg", "control character", id="newline"),
        pytest.param("a\x7f.jpg", "control character", id="delete"),
        pytest.param("\ud800.jpg", "invalid Unicode", id="lone-surrogate"),
    ],
)
def test_names_decide(name: str, words: str) -> None:
    """A name must fit into 255 characters as sent, and hold no control characters."""
    reason = screen_name(name)

    assert (words == "") == (reason == "")
    assert words in reason
    assert reason[-1:] in {"", "."}


@given(st.binary(max_size=64))
def test_any_bytes_are_told_what_they_look_like(head: bytes) -> None:
    """No bytes crash, and each rejection has its words."""
    reason = Screening().of_head(len(head), head)

    assert looks_like(head)
    assert reason == "" or reason.endswith(".")
