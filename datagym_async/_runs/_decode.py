"""Decode images to find what their headers do not show; needs Pillow, blocking.

Pillow's classes for the two formats are used as they are: `PIL.Image.open` would try every format,
and warn of large images through `warnings`, which belong to the whole process.
"""

from __future__ import annotations

import contextlib
import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import attrs

from datagym_async._extras import require_modules
from datagym_async._regular_files import regular_only

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

JPEG = b"\xff\xd8\xff"
_ORIENTATION = 0x0112
UPRIGHT = 1
_MOST_TURNED = 8  # what EXIF counts to
_LARGE_PIXELS = 32_000_000
_one_large = threading.Lock()
"""Held while a large PNG is decoded: several at once would take gigabytes."""


@attrs.frozen
class Findings:
    """What decoding an image found."""

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
        return Findings(f"The image cannot be decoded: {str(error) or type(error).__name__}.")


def stored_size(path: Path) -> tuple[int, int] | None:
    """Return the width and height of a JPEG or PNG as it is stored, or None if unknown."""
    try:
        with path.open("rb") as stream, _opened(stream) as image:
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


def _decoded(stream: BinaryIO) -> Findings:
    from PIL import Image

    with _opened(stream) as image:
        pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
        if limit is not None and pixels > 2 * limit:
            return Findings(
                f"The image has {pixels:,} pixels, which Pillow refuses as a possible "
                f"attack ({2 * limit:,})."
            )
        # Decoding a JPEG at an eighth of its size also reads all of it, in a fraction of the time
        # and memory.
        image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
        is_light = image.format == "JPEG" or pixels <= _LARGE_PIXELS
        with contextlib.nullcontext() if is_light else _one_large:
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


def _opened(stream: BinaryIO) -> ImageFile:
    from PIL import JpegImagePlugin, PngImagePlugin

    is_jpeg = stream.read(len(JPEG)) == JPEG
    stream.seek(0)
    return (JpegImagePlugin.JpegImageFile if is_jpeg else PngImagePlugin.PngImageFile)(stream)
