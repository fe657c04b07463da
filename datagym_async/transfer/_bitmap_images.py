"""Bitmaps as files and arrays: blocking work, for threads."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import TYPE_CHECKING

from datagym_async.exceptions import APIResponseValidationError, ConfigurationError
from datagym_async.formats._files import replaced_file

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from datagym_async.transfer._bitmaps import BitmapFormat


def check_format(wanted: str) -> None:
    """Refuse a format that is none, or that cannot be written here.

    Raises:
        ConfigurationError: It is neither ``"png"`` nor ``"bmp"``, or Pillow is missing.
    """
    if wanted not in ("png", "bmp"):
        raise ConfigurationError(f'The format of bitmaps is {wanted!r}; use "png" or "bmp".')
    if wanted == "png":
        _check_module("PIL", 'use format="bmp"')


def check_arrays() -> None:
    """Refuse to go on without what makes arrays.

    Raises:
        ConfigurationError: Pillow or numpy is not installed.
    """
    way_out = 'use download_bitmaps(..., format="bmp")'
    for name in ("PIL", "numpy"):
        _check_module(name, way_out)


def _check_module(name: str, way_out: str) -> None:
    if find_spec(name) is None:
        package = "numpy" if name == "numpy" else "'datagym-async[images]'"
        raise ConfigurationError(
            f"Bitmaps are decoded with {name}, which is not here: pip install {package}, or"
            f" {way_out}."
        )


def save(content: bytes, path: Path, wanted: BitmapFormat) -> None:
    """Write a bitmap in a format; nobody ever sees half a file there.

    Raises:
        APIResponseValidationError: What the service sent is no whole bitmap.
        OSError: The file cannot be written.
    """
    data = _as_png(content) if wanted == "png" else _checked(content)
    with replaced_file(path) as part:
        part.write_bytes(data)


def to_array(content: bytes) -> NDArray[np.uint8]:
    """Return a bitmap as numbers, shape (height, width): 255 in the segment, 0 elsewhere.

    Raises:
        APIResponseValidationError: What the service sent is no whole bitmap.
    """
    import numpy as np  # here, so that only those who ask for arrays need it
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.array(image.convert("L"))
    except (OSError, SyntaxError, ValueError):
        raise _broken() from None


def _as_png(content: bytes) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.convert("L").save(target, "PNG")
    except (OSError, SyntaxError, ValueError):
        raise _broken() from None
    return target.getvalue()


def _checked(content: bytes) -> bytes:
    """Return a BMP file whose header says how long it is, if it is as long."""
    if content[:2] != b"BM" or int.from_bytes(content[2:6], "little") != len(content):
        raise _broken()
    return content


def _broken() -> APIResponseValidationError:
    return APIResponseValidationError("The service sent no whole bitmap; fetch it again.")
