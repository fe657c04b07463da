"""The recorded bodies, and made ones of the same kind where a body was not kept.

A binary body reads ``<N bytes, first16=HEX, sha1=HEX>`` in a recording. It lies in ``wire/bodies``
under its sha1 where it was small; the rest is made here, and remembered under the recorded sha1, so
that a download can be compared with what was really sent.
"""

import io
import json
import re
from functools import cache

from attrs import frozen
from PIL import Image

from tests.conformance._recordings import WIRE, Case

_BINARY = re.compile(r"<(\d+) bytes, first16=([0-9a-f]*), sha1=([0-9a-f]{40})>")
_OK_JPEG = "bcd783e195ef8c6749e3e22e8d464ca5a03f6047"
_MULTIPART = "85b439fc0bea874e942b9cf8f4f4caf51733571b"
_MP4 = "9b49a35f5013303b9083debfb1fd7a6935432edf"

# Texts that were too long to be kept: 500 links, and 60 predictions over the eight images.
_URLS_500 = "a32cc6421c419d3c3718bedc99ebe40adf50aab9"
_PREDICTIONS_60 = "a83bf4ce84baa0e6dc2b1b13f97723536326a15f"
_IMAGES = (
    "b2a4fde8-a81d-4ada-a1e4-6e77332bce15",
    "125474b3-f2ec-43fd-83aa-394be9874ce6",
    "10160013-df32-4594-87b1-7339a2461446",
    "c30342f1-c111-424f-a56b-1c358bb8f59c",
    "a3865a79-b5d0-4bb2-961f-581e2c040870",
    "a61fb6f9-c70e-4ea8-bdf8-234d7291c4d3",
    "6b486f29-9129-4497-b8a6-f87a9539d8f8",
    "c1a7bdec-309c-4e4b-afb5-26fc12508b31",
)

_LARGEST_MADE = 20 * 1024 * 1024
_STAND_IN = 2 * 1024 * 1024

# The same 17 MB as a case before it, sent once the recorded database took larger packets.
_LIMIT_RAISED = frozenset({"POST_media_dataset_file/89"})


@frozen
class BinaryNote:
    """What a recording says about a binary body."""

    size: int
    first16: str
    sha1: str

    @property
    def kept(self) -> bool:
        """Whether the very bytes are at hand."""
        return (WIRE / "bodies" / self.sha1).is_file()


def binary_note(body: object) -> BinaryNote | None:
    """Read the note that stands for a binary body, or None where `body` is the body itself."""
    match = _BINARY.fullmatch(body) if isinstance(body, str) else None
    return BinaryNote(int(match[1]), match[2], match[3]) if match else None


def text_of(body: str | None) -> str | None:
    """Return the text that a note stands for, where it was one; anything else as it is."""
    note = binary_note(body)
    if note is not None and note.sha1 == _URLS_500:
        return json.dumps([f"http://127.0.0.1:9191/n500_{n}.jpg" for n in range(500)])
    if note is not None and note.sha1 == _PREDICTIONS_60:
        media = (_IMAGES[n % len(_IMAGES)] for n in range(60))
        return json.dumps([{"internal_media_ID": m, "keepData": True, "labels": {}} for m in media])
    return body


def request_body(case: Case, note: BinaryNote) -> bytes:
    """Return the bytes to send for a case."""
    return padded_jpeg(_STAND_IN) if case.key in _LIMIT_RAISED else bytes_of(note)


@cache
def bytes_of(note: BinaryNote) -> bytes:
    """Return the recorded bytes, or made ones of the same kind: of 2 MiB for the largest."""
    if note.kept:
        return (WIRE / "bodies" / note.sha1).read_bytes()
    if note.size == len(note.first16) // 2:
        return bytes.fromhex(note.first16)
    if note.sha1 == _MULTIPART:
        return _multipart(kept(_OK_JPEG))
    if note.sha1 == _MP4:
        return b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(1000)
    return padded_jpeg(note.size if note.size <= _LARGEST_MADE else _STAND_IN)


def kept(sha1: str) -> bytes:
    """Return a body that lies in ``wire/bodies``."""
    return (WIRE / "bodies" / sha1).read_bytes()


def ok_jpeg() -> bytes:
    """Return the recording's ordinary JPEG of 320 x 240 pixels."""
    return kept(_OK_JPEG)


def ok_png() -> bytes:
    """Return the recording's ordinary PNG of 320 x 240 pixels."""
    return kept("a488db7f9c5b897c6df6fbd014ca78429362dda1")


def padded_jpeg(size: int) -> bytes:
    """Make a JPEG of 64 x 64 pixels followed by zeros up to `size` bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "JPEG")
    return buffer.getvalue().ljust(size, b"\0")


def _multipart(content: bytes) -> bytes:
    head = (
        b'--BB\r\nContent-Disposition: form-data; name="file"; filename="m.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n"
    )
    return head + content + b"\r\n--BB--\r\n"
