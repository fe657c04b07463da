"""Decide without I/O whether an image may be sent, by its name, first bytes and structure.

The service accepts JPEG and PNG, recognised by their bytes and never by the suffix (observed). It
decodes each image and answers 500 ``ex_system``, slowly and after the whole body, to a header that
is cut off, to broken segments before the picture, and to PNG chunks that are cut off or fail their
checksum. A JPEG may end anywhere after its header, and decoders skip bytes between segments. In
doubt an image counts as valid: an image that the service accepts must never be refused here.
"""

from __future__ import annotations

import struct
import unicodedata
import zlib
from typing import Literal, TypeAlias

import attrs

from datagym_async._printable import quoted
from datagym_async._runs._images import CONVERTIBLE, JPEG, other_kind
from datagym_async._wire._pages import Pipes
from datagym_async.exceptions import ConfigurationError
from datagym_async.models._names import MAX_NAME_LENGTH, encode_name

Check: TypeAlias = Literal["none", "signature", "structure", "decode"]

_NO_IMAGE = "Not a JPEG or PNG image"
LEFT_ALONE = "It is neither JPEG nor PNG, so it is skipped."
HEAD_SIZE = 64  # first bytes of a file, enough to recognise its kind
WARN_BYTES = 15 * 2**20
"""Larger files are often refused: the service's database takes 16 MiB as it comes (observed)."""
PNG = b"\x89PNG\r\n\x1a\n"
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")  # of names that are probably images


SMALL = 4 << 20
"""Bytes up to which a file is read whole: most photographs. In chunks they take twice the CPU."""


@attrs.frozen
class Screening:
    """How closely images are checked before they are sent (see `UploadConfig`)."""

    check: Check = "structure"
    max_bytes: int | None = None
    ignore_others: bool = False
    converts: bool = False  # other kinds of images, before they are sent
    small: int = SMALL  # bytes up to which a file is read whole
    keeps_times: bool = True  # of files: a journal knows them by these
    pipes: Pipes | None = None  # for files that are sent without being read

    def of_head(self, size: int, head: bytes) -> str:
        """Return why an image is rejected by its size and first bytes, or an empty text."""
        is_image = size > 0 and (
            head.startswith((JPEG, PNG)) or (self.converts and bool(other_kind(head)))
        )
        is_large = self.max_bytes is not None and size > self.max_bytes
        if is_large and (is_image or not self.ignore_others):
            return self.of_size(size)
        if is_image or (self.check == "none" and not self.ignore_others):
            return ""
        if not size:
            return "The file is empty."
        way_out = ' (prepare="convert" makes it one)' if other_kind(head) else ""
        return f"{_NO_IMAGE}: it looks like {looks_like(head)}{way_out}."

    def leaves_alone(self, reason: str) -> bool:
        """Return whether a file with this reason against it is ignored instead of rejected."""
        return self.ignore_others and reason.startswith(_NO_IMAGE)

    def of_size(self, size: int) -> str:
        """Return why an image is rejected by its size alone, or an empty text."""
        if self.max_bytes is None or size <= self.max_bytes:
            return ""
        return f"The image has {size:,} bytes, more than max_bytes ({self.max_bytes:,})."

    def look(self, data: bytes) -> tuple[str, bool]:
        """Return why the service would refuse it, or an empty text, and whether it is turned.

        An image is turned if its EXIF orientation, which the service ignores (observed), is not
        upright. In a JPEG the first bytes of the file are enough to find it.
        """
        if self.check in {"none", "signature"}:
            return "", False
        if data.startswith(b"\xff\xd8"):
            return _screen_jpeg(data)
        return _screen_png(data) if data.startswith(PNG) else ("", False)


def warnings_of(size: int) -> tuple[str, ...]:
    """Return the warnings about an image with this many bytes."""
    limit = "a service with the usual limit of its database (16 MiB) refuses it."
    return (f"It has {size / 2**20:.1f} MiB; {limit}",) if size > WARN_BYTES else ()


def screen_name(name: str) -> str:
    """Return why an image cannot have this name in a dataset, or an empty text."""
    if not name.strip():
        return "The name is empty."
    if name.isascii() and name.isprintable() and len(name) <= MAX_NAME_LENGTH // 3:
        return ""  # cannot break a rule below: the usual case, checked for every file
    if any(unicodedata.category(one) == "Cc" for one in name):
        return f"The name {quoted(name)} holds a control character; rename the file."
    try:
        encode_name(name)
    except ConfigurationError as error:
        return str(error)
    return ""


_START_OF_SCAN, _END_OF_IMAGE, _HUFFMAN_TABLES = 0xDA, 0xD9, 0xC4
# Frame headers: C0 to CF except the tables DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x00, 0x01, 0xD8, *range(0xD0, 0xD8)})
"""Markers that no segment follows; a 0 says that the byte before it was none."""
_CUT = "The image is corrupt: it is cut off in its header."
_SEGMENT = struct.Struct(">BBH")  # its marker of two bytes, and how long it is without that
_begin = _SEGMENT.unpack_from
_EXIF_SEGMENT = 0xE1
_ORIENTATIONS = {b"II": b"\x12\x01\x03\x00", b"MM": b"\x01\x12\x00\x03"}
"""How the entry of the orientation begins, a number of 16 bits, by the order of bytes."""


def _is_turned(exif: bytes) -> bool:
    """Return whether the first folder of an EXIF has an orientation other than upright."""
    order = exif[:2]
    if (entry := _ORIENTATIONS.get(order)) is None:
        return False
    word: Literal["little", "big"] = "little" if order == b"II" else "big"
    first = int.from_bytes(exif[4:8], word) + 2
    last = first + 12 * int.from_bytes(exif[first - 2 : first], word)
    at = exif.find(entry, first, last)
    found = int.from_bytes(exif[at + 8 : at + 10], word)
    return at >= 0 and not (at - first) % 12 and 1 < found < 9


def _is_turned_jpeg(data: bytes, start: int) -> bool:
    return data.startswith(b"Exif\0\0", start) and _is_turned(data[start + 6 : start + 4096])


def _are_tables(data: bytes, start: int, end: int) -> bool:
    """Return whether a segment holds Huffman tables: a number, 16 counts and as many values."""
    while start < end:
        counts = data[start + 1 : min(start + 17, end)]
        total = sum(counts)
        if len(counts) < 16 or data[start] & 0xEF > 3 or total > 256:
            return False
        start += 17 + total
    return start == end


def _screen_jpeg(data: bytes) -> tuple[str, bool]:
    """Return what is wrong with the segments of a JPEG up to its picture; called for each file."""
    at, size, has_frame, is_turned = 2, len(data), False, False
    last = size - _SEGMENT.size
    while True:
        first, marker, length = _begin(data, at) if at <= last else (0, 0, 0)
        if first == 0xFF != marker:  # nearly always
            at += 2
        elif (at := data.find(b"\xff", at) + 1) == 0:
            return _CUT, is_turned
        else:
            while at < size and data[at] == 0xFF:  # a marker may be padded with any number of them
                at += 1
            marker = data[at] if at < size else _END_OF_IMAGE
            at += 1
            length = int.from_bytes(data[at : at + 2])
        if marker in _BARE:
            continue
        start = at + 2
        end = at + length if length > 2 else start
        if marker == _END_OF_IMAGE or end > size:
            return _CUT, is_turned or (marker == _EXIF_SEGMENT and _is_turned_jpeg(data, start))
        if marker in _FRAMES:
            # Precision, height, width and the number of components, with 3 bytes for each.
            if end - start < 6 or end - start != 6 + 3 * data[start + 5]:
                return "The image is corrupt: its frame header is invalid.", is_turned
            if not any(data[start + 3 : start + 5]):
                return "The image is corrupt: it is 0 pixels wide.", is_turned
            has_frame = True
        elif marker == _HUFFMAN_TABLES:
            if not _are_tables(data, start, end):
                return "The image is corrupt: its Huffman tables are invalid.", is_turned
        elif marker == _START_OF_SCAN:
            return "" if has_frame else "The image is corrupt: its size is missing.", is_turned
        elif marker == _EXIF_SEGMENT and not is_turned:
            is_turned = _is_turned_jpeg(data, start)
        at = end


_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT"})
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers for a pixel, by the colour type of a PNG."""
_PIECE = 1 << 20
_MOST_INFLATED = 64 << 20


def _screen_png(data: bytes) -> tuple[str, bool]:
    """Return what is wrong with the chunks of a PNG that decoders read."""
    has_extent = any(data[16:20]) and any(data[20:24])
    at, has_size, is_turned = len(PNG), False, False
    pixels: list[bytes] = []
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if not has_size and (kind != b"IHDR" or length != 13 or not has_extent):
            return "The image is corrupt: it does not begin with its size.", False
        has_size = True
        if kind == b"IDAT":
            pixels.append(data[at + 8 : end - 4])
        if kind in _CRITICAL:
            if end > len(data):
                is_enough = kind == b"IDAT" and _is_enough(data, pixels)
                return "" if is_enough else "The image is corrupt: it is cut off.", is_turned
            if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                return "The image is corrupt: the checksum of one of its parts is wrong.", False
        if kind == b"IEND":
            break
        if kind == b"eXIf":
            is_turned = _is_turned(data[at + 8 : at + 4096])
        at = end
    return "" if pixels else "The image is corrupt: it contains no picture.", is_turned


def _is_enough(data: bytes, pixels: list[bytes]) -> bool:
    """Return whether a picture is complete although its file is cut off, or may be."""
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    wanted = width * height * data[24] * _CHANNELS.get(data[25], 1) // 8
    inflating, found = zlib.decompressobj(), 0
    try:
        rest = b"".join(pixels)
        while rest and found < min(wanted, _MOST_INFLATED):
            found += len(inflating.decompress(rest, _PIECE))
            rest = inflating.unconsumed_tail
    except zlib.error:
        return False
    return found >= min(wanted, _MOST_INFLATED)


# (offset, bytes, what it looks like)
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    *CONVERTIBLE,
    (4, b"ftyp", "a video (MP4 or QuickTime)"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (0, b"RIFF", "a RIFF file (AVI or WAV)"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (0, b"\x7fELF", "a program"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"<svg", "an SVG drawing"),
)


def looks_like(head: bytes) -> str:
    """Return as text what the first bytes of a file look like."""
    for offset, signature, words in _OTHERS:
        if head.startswith(signature, offset):
            return words
    text = head.decode("utf-8", "ignore")
    # The end of the head may cut off the last character.
    is_text = text and len(text.encode()) >= len(head) - 3
    is_text = is_text and all(one.isprintable() or one in "\ufeff\r\n\t\f" for one in text)
    return "text" if is_text else "data of an unknown kind"
