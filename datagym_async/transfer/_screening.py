"""Decide, without I/O, whether something may be sent: by its name, its size and its first bytes.

What the service takes was observed: JPEG and PNG, told by their bytes and never by the suffix.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from datagym_async._printable import printable
from datagym_async._wire._names import MAX_NAME_LENGTH, encode_name, fold_name
from datagym_async.exceptions import ConfigurationError
from datagym_async.transfer._structure import screen_structure

Check: TypeAlias = Literal["none", "signature", "structure", "decode"]

HEAD_SIZE = 64
"""Bytes of a file that its kind can be told from."""

WARN_BYTES = 15 * 2**20
"""Larger files are often refused: the service's database takes 16 MiB as it comes (observed)."""
_LARGE = (
    "It has {size:.1f} MiB; a service with the usual limit of its database (16 MiB) refuses it."
)

JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"

# (offset, bytes, what it looks like)
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "a GIF image"),
    (0, b"BM", "a BMP image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"II*\x00", "a TIFF or camera raw image"),
    (0, b"MM\x00*", "a TIFF or camera raw image"),
    (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypheix", "a HEIC image"),
    (4, b"ftypmif1", "a HEIC image"),
    (4, b"ftypavif", "an AVIF image"),
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


@attrs.frozen
class Sample:
    """What a check may look at.

    Args:
        size: Length of the image in bytes.
        head: Its first `HEAD_SIZE` bytes, or fewer where it is shorter.
    """

    size: int
    head: bytes


Rule: TypeAlias = Callable[[Sample], str]
"""A rule over the bytes: an empty text to accept, else the reason for the rejection."""


def check_not_empty(sample: Sample) -> str:
    """Reject what holds no bytes."""
    return "" if sample.size else "The file is empty."


def check_signature(sample: Sample) -> str:
    """Reject what is neither JPEG nor PNG by its first bytes."""
    if sample.head.startswith((JPEG, PNG)):
        return ""
    return f"Not a JPEG or PNG image: it looks like {looks_like(sample.head)}."


RULES: tuple[Rule, ...] = (check_not_empty, check_signature)


def screen_bytes(sample: Sample, rules: tuple[Rule, ...] = RULES) -> str:
    """Return the reason of the first rule that rejects the sample, or an empty text."""
    for rule in rules:
        if reason := rule(sample):
            return reason
    return ""


@attrs.frozen
class Findings:
    """What a look at an image found.

    Args:
        reason: Why it must not be sent, or empty.
        warnings: What should be known of it all the same.
    """

    reason: str = ""
    warnings: tuple[str, ...] = ()


@attrs.frozen
class Screening:
    """How closely images are looked at before they are sent.

    Args:
        check: See `UploadConfig`. What decoding finds is not for here (`_decode`).
        max_bytes: Bytes that none may exceed, or None.
    """

    check: Check = "structure"
    max_bytes: int | None = None

    def of_sample(self, sample: Sample) -> str:
        """Return why an image is rejected by its size and first bytes, or an empty text."""
        if self.max_bytes is not None and sample.size > self.max_bytes:
            return f"The image has {sample.size:,} bytes, more than max_bytes ({self.max_bytes:,})."
        return "" if self.check == "none" else screen_bytes(sample)

    def of_whole(self, data: bytes) -> str:
        """Return why an image in memory is rejected by its structure, or an empty text."""
        return "" if self.check in {"none", "signature"} else screen_structure(data)

    def warnings(self, size: int) -> tuple[str, ...]:
        """Return what should be known of an image of so many bytes."""
        return (_LARGE.format(size=size / 2**20),) if size > WARN_BYTES else ()


def looks_like(head: bytes) -> str:
    """Return in words what the first bytes of a file look like."""
    for offset, signature, words in _OTHERS:
        if head.startswith(signature, offset):
            return words
    return "text" if _is_text(head) else "data of no kind known here"


def _is_text(head: bytes) -> bool:
    # The last character may be cut off by the end of the head.
    text = head.decode("utf-8", "ignore")
    whole = len(text.encode()) >= len(head) - 3
    return (
        bool(text) and whole and all(one.isprintable() or one in "\ufeff\r\n\t\f" for one in text)
    )


def screen_name(name: str) -> str:
    """Return why an image cannot have this name in a dataset, or an empty text."""
    if not name.strip():
        return "The name is empty."
    if name.isascii() and name.isprintable() and len(name) <= MAX_NAME_LENGTH // 3:
        return ""  # cannot break a rule below: the usual case, and on the way of every file
    if any(unicodedata.category(one) == "Cc" for one in name):
        return f"The name {printable(name)!r} holds a control character; rename the file."
    try:
        encode_name(name)
    except ConfigurationError as error:
        return str(error)
    return ""


def folded(name: str) -> str:
    """Return the name as the service compares it: two items with one folded name clash."""
    return fold_name(encode_name(name))
