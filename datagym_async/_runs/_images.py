"""Images with Pillow: decoded, to find what their headers do not show, and prepared for sending.

Decoding uses Pillow's classes for the two formats as they are: `PIL.Image.open` would try every
format, and warn of large images through `warnings`, which belong to the whole process.

Preparing rotates, converts and makes smaller. The rules, which give the same bytes for the same
file with the same release of Pillow:

* An image that needs none of the steps is sent unchanged, byte for byte.
* A photograph stays one: a JPEG, lossy WebP, AVIF or HEIC without transparency becomes a JPEG of
  quality 95 without subsampling of its colours. Everything else becomes a PNG, which keeps each
  pixel.
* An image that is encoded again is always rotated by its EXIF orientation, whatever the steps. Its
  colour profile stays; other metadata, with the orientation, is dropped.
* Of several pictures in one file the first is used, with a warning; there is also one for what the
  new format cannot express.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

import attrs

from datagym_async._checks import SEVERAL, above_zero_in, check, shown
from datagym_async._extras import extra_module, require_modules
from datagym_async._files import regular_only
from datagym_async._printable import words_of
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

JPEG = b"\xff\xd8\xff"
_ORIENTATION = 0x0112
UPRIGHT = 1
_MOST_TURNED = 8  # what EXIF counts to
_LARGE_PIXELS = 32_000_000


class _Turns:
    one_large = threading.Lock()
    """Held while a large PNG is decoded: several at once would take gigabytes."""

    @classmethod
    def begin(cls) -> None:
        cls.one_large = threading.Lock()


if hasattr(os, "register_at_fork"):  # in a child nobody would ever release a lock that is held
    os.register_at_fork(after_in_child=_Turns.begin)


@attrs.frozen
class Findings:
    reason: str = ""  # why it must not be sent
    warnings: tuple[str, ...] = ()


def require_pillow(
    what: str = 'check="decode"', instead: str = 'upload with check="structure"'
) -> None:
    """Raise `ConfigurationError` if Pillow is not installed."""
    require_modules(what, "images", "PIL", instead=instead)


def decode(source: bytes | str | BinaryIO) -> Findings:
    """Decode a JPEG or PNG (bytes, a path, a seekable stream); no content of an image raises."""
    try:
        if isinstance(source, str):
            with open(source, "rb", opener=regular_only) as stream:
                return _decoded(stream)
        return _decoded(io.BytesIO(source) if isinstance(source, bytes) else source)
    except Exception as error:  # any error of a hostile file is a verdict on it
        return Findings(f"The image cannot be decoded: {words_of(error)}.")


def stored_size(path: Path) -> tuple[int, int] | None:
    """Return the width and height of a JPEG or PNG as it is stored, or None if unknown."""
    try:
        with path.open("rb") as stream, _image_of(stream) as image:
            return image.size
    except Exception:  # any error of a hostile file, or Pillow is missing
        return None


def orientation_of(image: Image) -> int:
    """Return the EXIF orientation of a loaded image, 1 to 8; 1 (upright) if none is valid."""
    try:
        orientation = int(image.getexif().get(_ORIENTATION, UPRIGHT))
    except Exception:  # any error of a hostile header: then nobody can read it
        return UPRIGHT
    return orientation if UPRIGHT <= orientation <= _MOST_TURNED else UPRIGHT


def in_turn(image: Image) -> contextlib.AbstractContextManager[object]:
    """Return a block in which an image may be decoded: one large image at a time.

    It is made before `draft`, which reads a JPEG at a part of its size, unless it is progressive.
    """
    is_light = image.format == "JPEG" and "progressive" not in image.info
    is_light = is_light or image.width * image.height <= _LARGE_PIXELS
    return contextlib.nullcontext() if is_light else _Turns.one_large


def _decoded(stream: BinaryIO) -> Findings:
    from PIL import Image

    with _image_of(stream) as image:
        pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
        if limit is not None and pixels > 2 * limit:
            return Findings(
                f"The image has {pixels:,} pixels, which Pillow refuses as a possible "
                f"attack ({2 * limit:,})."
            )
        with in_turn(image):
            # Decoding a JPEG at an eighth of its size also reads all of it, in a fraction of the
            # time and memory.
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
        warnings = []
        if limit is not None and pixels > limit:
            warnings.append(f"It has {pixels:,} pixels; many programs refuse to open that many.")
        orientation = orientation_of(image)
        if orientation != UPRIGHT:
            warnings.append(
                f"Its EXIF orientation ({orientation}) is ignored by the service, which shows and "
                "labels it as it is stored, turned or mirrored."
            )
        return Findings(warnings=tuple(warnings))


def _image_of(stream: BinaryIO) -> ImageFile:
    from PIL import JpegImagePlugin, PngImagePlugin

    is_jpeg = stream.read(len(JPEG)) == JPEG
    stream.seek(0)
    return (JpegImagePlugin.JpegImageFile if is_jpeg else PngImagePlugin.PngImageFile)(stream)


# Preparing.

MODES: Final = {
    "JPEG": frozenset({"L", "RGB", "CMYK"}),
    "PNG": frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}),
}
"""What the two formats hold of a picture without a change."""
CONVERTIBLE: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"GIF8", "a GIF image"),
    (0, b"BM", "a BMP image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"II*\x00", "a TIFF or camera raw image"),
    (0, b"MM\x00*", "a TIFF or camera raw image"),
    (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypheix", "a HEIC image"),
    (4, b"ftypmif1", "a HEIC image"),
    (4, b"ftypavif", "an AVIF image"),
)
"""The kinds that can be converted: offset, bytes there, and what it looks like."""
_HEAD_SIZE: Final = 64
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
_BITS, _SUBFILE, _DNG_VERSION = 258, 254, 50706  # tags of a TIFF


@attrs.frozen
class Steps:
    """What is done with images before they are sent (see `UploadConfig.prepare`)."""

    orientation: bool = False
    convert: bool = False
    resize: int | None = None  # maximum pixels of the longer side

    @classmethod
    def of(cls, words: Iterable[str]) -> Steps:
        """Return the steps for their words; an unknown one, or a missing Pillow, is refused."""
        steps = cls()
        for word in words:
            name, is_given, value = str(word).partition("=")
            if name in {"orientation", "convert"} and not is_given:
                steps = attrs.evolve(steps, **{name: True})
            elif name == "resize" and (pixels := above_zero_in(value, digits=9)):
                steps = attrs.evolve(steps, resize=pixels)
            else:
                raise ConfigurationError(
                    f"prepare holds {shown(word)}; its steps are orientation, convert and resize=N,"
                    " where N is the most pixels of the longer side."
                )
        if steps != cls():
            require_pillow("Preparing images", "upload without it")
            # Of a frozen program `sys.executable` is itself, and each process would be one more.
            if getattr(sys, "frozen", False) or not sys.executable:
                raise ConfigurationError(
                    "Preparing images starts processes of Python, and this program has none: it is "
                    "frozen or embedded. Run it with Python, or upload without it."
                )
        return steps


def steps_in(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return single words for steps that may be given joined by commas."""
    words: Iterable[object] = (value,) if isinstance(value, str) else () if value is None else value
    check(SEVERAL, prepare=words)
    parts = [part.strip() for word in words for part in str(word).split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))


@attrs.frozen
class Prepared:
    """What happened to an image: its new bytes, none if it is sent unchanged, or a reason."""

    data: bytes | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    may_pass: bool = False  # the image is not the cause


def prepare(source: bytes | str, steps: Steps) -> Prepared:
    """Prepare an image (bytes or a path); other files stay as they are, and no content raises."""
    head = b""
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else _file(source)
        with file as stream:
            head = stream.read(_HEAD_SIZE)
            stream.seek(0)
            return _prepared(stream, head, steps)
    except Exception as error:  # any error of a hostile file is a verdict on it
        words = words_of(error)
        if type(error).__name__ == "UnidentifiedImageError":
            if not (kind := other_kind(head)):
                return Prepared()
            words = f"it looks like {kind}, but is none that can be read"
        return Prepared(reason=f"The image cannot be prepared: {words.rstrip('.')}.")


def other_kind(head: bytes) -> str:
    """Return the kind of a convertible image by its first bytes; empty for all others."""
    return next((words for at, found, words in CONVERTIBLE if head.startswith(found, at)), "")


def encoded(image: Any, kind: str) -> bytes:
    """Return the JPEG or PNG file of a Pillow image: the only place where we make them."""
    options: dict[str, object] = {"icc_profile": image.info.get("icc_profile")}
    if kind == "JPEG":
        options |= {"quality": 95, "subsampling": 0}
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _file(path: str) -> BinaryIO:
    return open(path, "rb", opener=regular_only)


def _prepared(stream: BinaryIO, head: bytes, steps: Steps) -> Prepared:
    from PIL import Image, ImageOps

    formats: tuple[str, ...] = _FORMATS
    if head[4:8] == b"ftyp" and head[8:12] != b"avif" and steps.convert:
        extra_module("pillow_heif").register_heif_opener()
        formats += ("HEIF",)
    with Image.open(stream, formats=formats) as image:
        kind = "JPEG" if image.format == "MPO" else image.format  # a JPEG followed by others
        is_sent_so = kind in {"JPEG", "PNG"}
        is_large = steps.resize is not None and max(image.size) > steps.resize
        # Looking for the EXIF, which may be at the end of a PNG, decodes all of it.
        may_turn = steps.orientation and (kind == "JPEG" or _has_exif(stream))
        is_turned = is_sent_so and may_turn and orientation_of(image) != UPRIGHT
        if not (is_turned or is_large if is_sent_so else steps.convert):
            return Prepared()
        if kind == "TIFF" and _is_raw(image, head):
            return Prepared(reason="A camera raw file cannot be converted; export it as a JPEG.")
        warnings = []
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        if frames > 1:
            warnings.append(f"Only the first of its {frames} pictures is used.")
        is_photograph = kind in {"JPEG", "HEIF", "AVIF"} or (kind == "WEBP" and _is_lossy(stream))
        depth = _depth(image, head)
        found = image if steps.resize is None or not is_large else _shrunk(image, steps.resize)
        found.load()  # first: the TIFF plugin rotates it then, and updates its EXIF
        if orientation_of(found) != UPRIGHT:
            found = ImageOps.exif_transpose(found)
        if depth > 8 and not found.mode.startswith(("I", "F")):
            warnings.append(f"Its {depth} bits a channel became 8.")
        target = "JPEG" if is_photograph and found.mode in MODES["JPEG"] else "PNG"
        if found.mode not in MODES[target]:
            found = _converted(found)
            if found.mode in {"RGB", "RGBA"}:
                warnings.append(f"Its colours were converted from {image.mode} to {found.mode}.")
        return Prepared(encoded(found, target), "", tuple(warnings))


def _has_exif(stream: BinaryIO) -> bool:
    at = stream.tell()
    stream.seek(0)
    found = b"eXIf" in stream.read()
    stream.seek(at)
    return found


def _shrunk(image: Image, most: int) -> Image:
    """Return a picture scaled to this longer side; colours are mixed, indices are not."""
    from PIL.Image import Resampling

    if image.mode in {"P", "PA", "1"} or "transparency" in image.info:
        is_clear = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if is_clear else "L" if image.mode == "1" else "RGB")
    image.thumbnail((most, most), Resampling.LANCZOS)
    return image


def _converted(image: Image) -> Image:
    """Return a picture in a mode that PNG supports."""
    if image.mode.startswith("I;16"):  # in another order of its bytes
        return image.convert("I").convert("I;16")
    if image.mode in {"I", "F"}:
        raise ValueError(f"a PNG holds no numbers of 32 bits (mode {image.mode})")
    image.info.pop("icc_profile", None)  # it belongs to the old colours
    return image.convert("RGBA" if image.mode in {"PA", "La", "RGBa"} else "RGB")


def _is_lossy(stream: BinaryIO) -> bool:
    """Return whether a WebP was encoded with losses, by the names of its chunks."""
    stream.seek(12)
    while len(chunk := stream.read(8)) == 8:
        if chunk[:4] in {b"VP8 ", b"VP8L"}:
            return chunk[:4] == b"VP8 "
        length = int.from_bytes(chunk[4:], "little")
        stream.seek(length + length % 2, os.SEEK_CUR)
    return True


def _is_raw(image: Image, head: bytes) -> bool:
    """Return whether a TIFF is a camera's, whose first picture is a small one for display."""
    tags = getattr(image, "tag_v2", {})
    return head[8:10] == b"CR" or _DNG_VERSION in tags or bool(tags.get(_SUBFILE, 0) & 1)


def _depth(image: Image, head: bytes) -> int:
    """Return the bits of a channel in the file."""
    if image.format == "PNG":
        return head[24]
    if image.format == "TIFF":
        return int(max(getattr(image, "tag_v2", {}).get(_BITS, (8,))))
    return int(image.info.get("bit_depth", 8))


# What the processes run.


def serve() -> None:
    """Prepare the images that standard input names, until it ends; run by the processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows a separate session is not enough
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of a library is not an answer
    serve_on(sys.stdin.buffer, answers)


def serve_on(questions: IO[bytes], answers: IO[bytes]) -> None:
    with suppress(EOFError, BrokenPipeError):
        while True:
            found = prepare(*pickle.load(questions))  # noqa: S301 -- our own process asks
            pickle.dump(found, answers)
            answers.flush()
