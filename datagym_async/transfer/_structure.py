"""Find the JPEG and PNG files that the service is sure to refuse, without decoding them: pure.

The service decodes what it is sent and answers 500 ``ex_system``, slowly and after the whole body,
to a header that is cut off, to broken segments before the picture, and to PNG chunks that are cut
off or fail their checksum (observed). A JPEG may end anywhere after its header (observed), and
decoders skip bytes between segments. In doubt an image counts as sound: what is refused here must
never be one that the service would take.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"

_START_OF_SCAN, _END_OF_IMAGE, _HUFFMAN_TABLES = 0xDA, 0xD9, 0xC4
# Frame headers: C0 to CF but for the tables DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
"""Markers that no segment follows."""
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT"})
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers for a pixel, by the colour type of a PNG."""
_PIECE = 1 << 20
_MOST_INFLATED = 64 << 20
_CUT = "The image is corrupt: it is cut off in its header."


def screen_structure(data: bytes) -> str:
    """Return why the service is sure to refuse a whole JPEG or PNG file, or an empty text."""
    if data.startswith(_JPEG):
        return _screen_jpeg(data)
    return _screen_png(data) if data.startswith(_PNG) else ""


def _screen_jpeg(data: bytes) -> str:
    has_frame = False
    for marker, body in _segments(data):
        if body is None or marker == _END_OF_IMAGE:
            return _CUT
        if marker in _FRAMES:
            if reason := _screen_frame(body):
                return reason
            has_frame = True
        elif marker == _HUFFMAN_TABLES and not _is_huffman(body):
            return "The image is corrupt: its Huffman tables make no sense."
        elif marker == _START_OF_SCAN:
            return "" if has_frame else "The image is corrupt: its size is missing."
    return _CUT


def _segments(data: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yield the markers of a JPEG with what follows them; None where that is cut off."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        while data[at : at + 1] == b"\xff":  # a marker may be filled up with any number of them
            at += 1
        if at >= len(data):
            return
        marker = data[at]
        at += 1
        if marker == 0 or marker in _BARE:
            continue
        if marker == _END_OF_IMAGE:
            yield marker, b""
            return
        length = int.from_bytes(data[at : at + 2], "big")
        end = at + max(length, 2)
        yield marker, data[at + 2 : end] if end <= len(data) else None
        at = end


def _screen_frame(body: bytes) -> str:
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        return "The image is corrupt: its frame header makes no sense."
    if not any(body[3:5]):
        return "The image is corrupt: it is 0 pixels wide."
    return ""


def _is_huffman(body: bytes) -> bool:
    at = 0
    while at < len(body):
        counts = body[at + 1 : at + 17]
        if len(counts) < 16 or body[at] & 0xEF > 3 or sum(counts) > 256:
            return False
        at += 17 + sum(counts)
    return at == len(body)


def _screen_png(data: bytes) -> str:
    at, has_size = len(_PNG), False
    pixels: list[bytes] = []
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if not has_size and (kind != b"IHDR" or length != 13 or not _has_extent(data)):
            return "The image is corrupt: it does not begin with its size."
        has_size = True
        if kind == b"IDAT":
            pixels.append(data[at + 8 : end - 4])
        if kind in _CRITICAL:
            if end > len(data):
                is_enough = kind == b"IDAT" and _is_enough(data, pixels)
                return "" if is_enough else "The image is corrupt: it is cut off."
            if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                return "The image is corrupt: the checksum of one of its parts is wrong."
        if kind == b"IEND":
            break
        at = end
    return "" if pixels else "The image is corrupt: it holds no picture."


def _has_extent(data: bytes) -> bool:
    return any(data[16:20]) and any(data[20:24])


def _is_enough(data: bytes, pixels: list[bytes]) -> bool:
    """Return whether all of a picture is there although its file is cut off, or may be."""
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
