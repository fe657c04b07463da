"""What the service is sure to refuse is found in the bytes; what it takes never is."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from datagym_async.uploads.sources import Screening
from tests.helpers import photos

JPEG = photos.jpeg(3000)
PNG = photos.png(3000)


def chunk(kind: bytes, data: bytes, *, flip: int = 0) -> bytes:
    """Return a PNG chunk, its checksum spoilt where asked for."""
    check = zlib.crc32(kind + data) ^ flip
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """Return a picture of some mode."""
    stream = io.BytesIO()
    Image.new(mode, (40, 30)).save(stream, kind, **options)
    return stream.getvalue()


IHDR = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
IDAT = chunk(b"IDAT", zlib.compress(b"\0\0"))
IEND = chunk(b"IEND", b"")
HEAD = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    "data",
    [
        JPEG,
        PNG,
        JPEG[: len(JPEG) - 2],  # no end
        photos.half_jpeg(6000),
        photos.SOUND_JPEG,
        encoded("JPEG", "L"),
        encoded("JPEG", "CMYK"),
        encoded("JPEG", progressive=True),
        encoded("PNG", "RGBA"),
        encoded("PNG", "I;16"),
        encoded("PNG", "P"),
        JPEG[:20] + b"garbage between segments" + JPEG[20:],
        JPEG[:20] + b"\xff\xff\xff" + JPEG[20:],
        JPEG[:20] + b"\xff\xd0\xff\x01" + JPEG[20:],  # markers without a length
        HEAD + IHDR + chunk(b"tEXt", b"a\0b", flip=1) + IDAT + IEND,  # no part that matters
        HEAD + IHDR + IDAT,  # no end
        HEAD + IHDR + IDAT + IEND + b"trailing",
        b"anything else",
    ],
)
def test_what_the_service_may_take_is_sound(data: bytes) -> None:
    """In doubt it is the service that decides."""
    assert Screening().look(data)[0] == ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (JPEG[:20], "cut off in its header"),
        (JPEG[:200], "cut off in its header"),
        (b"\xff\xd8\xff", "cut off in its header"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "cut off in its header"),
        (b"\xff\xd8\xff\xd9", "cut off in its header"),
        (b"\xff\xd8\xff\xda\x00\x04\x00\x00", "its size is missing"),
        (
            photos.SOUND_JPEG.replace(b"\x00\x01\x00\x01\x01", b"\x00\x01\x00\x00\x01"),
            "0 pixels wide",
        ),
        (photos.SOUND_JPEG.replace(b"\x00\x0b", b"\x00\x0a"), "frame header is invalid"),
        (b"\xff\xd8\xff\xc4\x00\x14" + b"\x00" + b"\xff" * 17, "Huffman tables are invalid"),
        (photos.broken_jpeg(3000), "corrupt"),
        (PNG[:10], "does not begin with its size"),
        (PNG[: len(PNG) // 2], "cut off"),
        (HEAD + IHDR + chunk(b"IDAT", b"no zlib")[:-2], "cut off"),
        (photos.broken_png(3000), "checksum"),
        (HEAD + IDAT + IEND, "does not begin with its size"),
        (HEAD + IHDR + chunk(b"IDAT", b"1", flip=1) + IEND, "checksum"),
        (HEAD + IHDR + IEND, "contains no picture"),
        (HEAD, "contains no picture"),
        (HEAD + chunk(b"IHDR", bytes(13)) + IDAT + IEND, "does not begin with its size"),
    ],
)
def test_what_the_service_answers_with_500_is_found(data: bytes, words: str) -> None:
    """The reason says what is broken."""
    assert words in Screening().look(data)[0]
    assert Screening().look(data)[0].startswith("The image is corrupt: ")


def exif(orientation: int, order: str = "MM", before: bytes = b"") -> bytes:
    """Return an EXIF whose first folder has an orientation, behind another entry."""
    mark = ">" if order == "MM" else "<"
    entries = [(0x010F, 2, len(before) + 1, 50), (0x0112, 3, 1, orientation)]
    folder = struct.pack(f"{mark}H", len(entries))
    for tag, kind, count, value in entries:
        folder += struct.pack(f"{mark}HHI", tag, kind, count)
        folder += struct.pack(f"{mark}HH" if kind == 3 else f"{mark}I", *(value, 0)[: kind - 1])
    return order.encode() + struct.pack(f"{mark}HI", 42, 8) + folder + bytes(4) + before + b"\0"


@pytest.mark.parametrize("order", ["MM", "II"])
@pytest.mark.parametrize("orientation", range(10))
def test_an_orientation_is_found(orientation: int, order: str) -> None:
    """In both orders of bytes, in JPEG and PNG; of a JPEG in its first bytes as well."""
    found = exif(orientation, order, before=b"a camera \x01\x12\x00\x03 and \x12\x01\x03\x00 more")
    large = exif(orientation, order, before=bytes(40_000))
    jpeg = encoded("JPEG", exif=b"Exif\0\0" + large)
    png = HEAD + IHDR + chunk(b"eXIf", found) + IDAT + IEND
    late = HEAD + IHDR + IDAT + chunk(b"eXIf", found) + IEND
    is_turned = orientation in range(2, 9)

    assert Screening().look(encoded("JPEG", exif=b"Exif\0\0" + found)) == ("", is_turned)
    assert Screening().look(jpeg) == ("", is_turned)
    assert Screening().look(jpeg[:4096])[1] is is_turned
    assert Screening().look(png) == ("", is_turned)
    assert Screening().look(late) == ("", is_turned)
    assert Screening("signature").look(jpeg) == ("", False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MM",
        b"XX\0*\0\0\0\x08" + bytes(40),
        b"MM\0*\xff\xff\xff\xff" + bytes(40),
        exif(6)[:30],
        exif(6).replace(b"\x01\x12\0\x03", b"\x01\x12\0\x04"),
    ],
)
def test_a_broken_exif_has_none(data: bytes) -> None:
    """And nothing is wrong with the image for it."""
    assert Screening().look(encoded("JPEG", exif=b"Exif\0\0" + data)) == ("", False)
