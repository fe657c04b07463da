"""What a file is, how large its picture is, and whether the service would take it.

No pixel is decoded.

The service decodes what it is sent. What that tells apart was observed, and can be told from the
outside: a JPEG needs sound segments up to its scan, and may end anywhere after that; a PNG needs
every chunk whole, with its checksum, up to the last one.
"""

import codecs
import io
import zlib
from typing import BinaryIO, Final

__all__ = ["ACCEPTED", "UnreadableImageError", "read_size", "size_of", "sniff"]

# As the service words it, in a message parameter.
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
_PIECE: Final = 1 << 20


class UnreadableImageError(ValueError):
    """Says what is broken in an image that the service would answer with 500."""


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
    return "text/plain" if _is_text(head) else "application/octet-stream"


def _is_text(head: bytes) -> bool:
    if not head or not _CONTROL.isdisjoint(head):
        return False
    try:
        # Not the last word: the end of the head may cut a character in two.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def read_size(content: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels of a JPEG or PNG, as stored.

    EXIF rotation is ignored, as the service does.

    Raises:
        UnreadableImageError: The service would not take it.
    """
    return size_of(io.BytesIO(content))


def size_of(file: BinaryIO) -> tuple[int, int]:
    """Return (width, height) of an open file, as `read_size` does, in little memory."""
    if file.read(2) == b"\xff\xd8":
        return _jpeg_size(file)
    file.seek(0)
    if file.read(8) == b"\x89PNG\r\n\x1a\n":
        return _png_size(file)
    raise UnreadableImageError("it is neither JPEG nor PNG")


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    size: tuple[int, int] | None = None
    while True:
        marker = _next_marker(file)
        body = _segment(file)
        if marker in _FRAMES:
            size = _frame_size(body)
        if marker == _START_OF_SCAN:
            break
    if size is None:
        raise UnreadableImageError("its scan comes before its size")
    return size


def _next_marker(file: BinaryIO) -> int:
    if file.read(1) != b"\xff":
        raise UnreadableImageError("a segment does not begin where the one before it ends")
    marker = file.read(1)
    while marker == b"\xff":
        marker = file.read(1)
    if not marker:
        raise UnreadableImageError("it ends in its header")
    return marker[0]


def _segment(file: BinaryIO) -> bytes:
    length = int.from_bytes(file.read(2), "big")
    body = file.read(max(length - 2, 0))
    if length < 2 or len(body) < length - 2:
        raise UnreadableImageError("a segment of its header is cut off")
    return body


def _frame_size(body: bytes) -> tuple[int, int]:
    if len(body) < 6:
        raise UnreadableImageError("its frame header is cut off")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if not width or not height:
        raise UnreadableImageError("it has no size")
    return width, height


def _png_size(file: BinaryIO) -> tuple[int, int]:
    kind, header = _chunk(file, keep=True)
    if kind != b"IHDR" or len(header) != 13:
        raise UnreadableImageError("it does not begin with its size")
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    if not width or not height:
        raise UnreadableImageError("it has no size")
    has_pixels = False
    while kind != b"IEND":
        kind, _ = _chunk(file)
        has_pixels = has_pixels or kind == b"IDAT"
    if not has_pixels:
        raise UnreadableImageError("it has no pixels")
    return width, height


def _chunk(file: BinaryIO, *, keep: bool = False) -> tuple[bytes, bytes]:
    """Read a chunk and prove its checksum; its content is returned only when asked for."""
    length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
    checksum = zlib.crc32(kind)
    kept = []
    while length:
        piece = file.read(min(length, _PIECE))
        if not piece:
            raise UnreadableImageError("it is cut off")
        checksum = zlib.crc32(piece, checksum)
        length -= len(piece)
        if keep:
            kept.append(piece)
    stored = file.read(4)
    if len(stored) < 4 or int.from_bytes(stored, "big") != checksum:
        raise UnreadableImageError("the checksum of a chunk is wrong")
    return kind, b"".join(kept)
