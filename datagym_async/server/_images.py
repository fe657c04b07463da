"""The type of a file, the size of its image, and whether the service would accept it.

The service decodes images. What it accepts was observed, and can be found out without decoding a
pixel: a JPEG needs valid segments up to its scan, and may end anywhere after that; a PNG needs all
of its chunks, with their checksums.
"""

import codecs
import struct
from typing import BinaryIO, Final

from PIL.PngImagePlugin import PngImageFile

# A parameter of the service's messages.
ACCEPTED: Final = "[image/jpeg, image/jpg, image/png]"

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\x1f\x8b", "application/gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"%PDF-", "application/pdf"),
)
_CONTROL: Final = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")
_START_OF_SCAN: Final = 0xDA
# Frame headers: C0 to CF but for the tables DHT, JPG and DAC.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class UnreadableImageError(ValueError):
    """Says why the service would answer an image with 500."""


def sniff(head: bytes) -> str:
    """Return the MIME type that the first 512 bytes show; name and header are ignored."""
    for signature, mime in _SIGNATURES:
        if head.startswith(signature):
            return mime
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        # Observed for an MP4 of brand isom.
        return "video/quicktime"
    if not head or not _CONTROL.isdisjoint(head):
        return "application/octet-stream"
    try:
        # Incrementally, because the end of the head may cut a character in two.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


def size_of(file: BinaryIO) -> tuple[int, int]:
    """Return (width, height) of a JPEG or PNG, without EXIF rotation, or `UnreadableImageError`."""
    start = file.read(2)
    size = _jpeg_size(file) if start == b"\xff\xd8" else _png_size(file)
    if not all(size):
        raise UnreadableImageError("it has no size")
    return size


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    """Read the segments up to the scan, which Pillow checks less than the service does."""
    size: tuple[int, int] | None = None
    marker = 0
    while marker != _START_OF_SCAN:
        if file.read(1) != b"\xff":
            raise UnreadableImageError("a segment does not begin where the one before it ends")
        marker = 0xFF
        while marker == 0xFF:
            marker = int.from_bytes(file.read(1), "big")
        length = int.from_bytes(file.read(2), "big")
        body = file.read(max(length - 2, 0))
        if length < 2 or len(body) < length - 2:
            raise UnreadableImageError("a segment of its header is cut off")
        if marker in _FRAMES:
            if len(body) < 6:
                raise UnreadableImageError("its frame header is cut off")
            size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
    if size is None:
        raise UnreadableImageError("its scan comes before its size")
    return size


def _png_size(file: BinaryIO) -> tuple[int, int]:
    file.seek(0)
    try:
        # Not by `Image.open`, which warns of large images.
        with PngImageFile(file) as image:
            size = image.size
            image.verify()
    except (OSError, ValueError, SyntaxError, LookupError, EOFError, struct.error) as error:
        raise UnreadableImageError(f"it is no sound PNG: {error}") from None
    return size
