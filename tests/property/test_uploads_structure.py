"""Whatever happens to an image: what decodes, and what the service takes, is never refused."""

from __future__ import annotations

import io
import re
import warnings

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datagym_async.server._files import UnreadableImageError, size_of
from datagym_async.uploads.sources import Screening
from tests.helpers import photos

# Lengths and tables within a segment, which every decoder holds against each other.
DECODERS_WORD = re.compile("frame header is invalid|Huffman tables are invalid")
IMAGES = (photos.jpeg(2500), photos.png(2500), photos.half_jpeg(2500), photos.SOUND_JPEG)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return an image with some bytes changed, its end cut off, or something put in."""
    data = bytearray(draw(st.sampled_from(IMAGES)))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, min(len(data) - 1, 700)))] = draw(st.integers(0, 255))
    at = draw(st.integers(2, len(data)))
    data[at:at] = draw(st.binary(max_size=8))
    return bytes(data[: draw(st.integers(0, len(data) * 2))])


def decodes(data: bytes) -> bool:
    """Return whether a strict decoder takes it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(data), formats=("JPEG", "PNG")).load()
    except Exception:
        return False
    return True


def is_taken(data: bytes) -> bool:
    """Return whether the embedded service, held to recorded exchanges, takes it."""
    try:
        size_of(io.BytesIO(data))
    except UnreadableImageError:
        return False
    return True


@given(damaged())
def test_what_is_sound_is_never_refused(data: bytes) -> None:
    """Neither what decodes, nor what the embedded service takes, which looks less close."""
    reason = Screening().look(data)[0]

    assert not reason or not decodes(data)
    assert not reason or DECODERS_WORD.search(reason) or not is_taken(data)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_no_bytes_make_it_fail(data: bytes, head: bytes) -> None:
    """It answers with a sentence or nothing, whatever it is given."""
    reason = Screening().look(head + data)[0]

    assert reason == "" or reason.endswith(".")
