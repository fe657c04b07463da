"""Decode a downloaded image by fixed rules, and rotate it with its labels; blocking, needs Pillow.

**Arrays of bytes** (``dtype="uint8"``): RGB, height x width x 3. Of 16-bit values the upper 8 bits
are used, for gray and colours; gray is repeated, a palette becomes its colours, and transparency is
put on white.

**Arrays as stored** (``dtype="keep"``): gray is height x width, of 8 or 16 bits; gray with alpha
has 2 channels, colours have 3, with alpha 4; a palette becomes its colours.

16-bit colours are an error, because Pillow keeps 8 bits. CMYK becomes RGB in both.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from datagym_async._runs._decode import UPRIGHT, orientation_of
from datagym_async.data._config import LoaderConfig
from datagym_async.labels import LabeledTask, Point
from datagym_async.labels._geometry import moved, reshaped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Array: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

_PNG = b"\x89PNG"
_DEPTH_AT = 24  # where a PNG has the bits of a value
_WIDE = ";16"
_GRAY = frozenset({"1", "L", "LA", "La"})


@attrs.frozen
class Decoded:
    """An image as requested, and how it is stored (see `Sample`)."""

    data: Any  # a Pillow image, or an array
    loss: str  # what an array has lost of it, as text
    mode: str
    orientation: int
    size: tuple[int, int]  # width and height as stored


def decoded(content: bytes, config: LoaderConfig) -> Decoded:
    """Return a JPEG or PNG as `decode` says; raises the error of Pillow for a bad one."""
    from PIL import Image, ImageOps

    is_wide = content.startswith(_PNG) and content[_DEPTH_AT : _DEPTH_AT + 1] == b"\x10"
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        image.load()
        mode, size, orientation = image.mode, image.size, orientation_of(image)
        if is_wide:
            mode = mode.partition(";")[0] + _WIDE
        is_turned = config.orientation == "apply" and orientation != UPRIGHT
        shown = ImageOps.exif_transpose(image) if is_turned else image
        if config.decode == "pillow":
            return Decoded(shown, "", mode, orientation, size)
        data, loss = _array(shown, mode, keep=config.dtype == "keep")
        return Decoded(data, loss, mode, orientation, size)


def _array(image: Image, mode: str, *, keep: bool) -> tuple[Array, str]:
    """Return an image as an array, and what was lost, as text."""
    import numpy as np
    from PIL import Image

    loss = "The array keeps only the upper 8 of the 16 bits" if mode.endswith(_WIDE) else ""
    if mode == "I" + _WIDE:
        gray = np.asarray(image).astype(np.uint16)
        return (gray, "") if keep else (np.stack([(gray >> 8).astype(np.uint8)] * 3, -1), loss)
    if keep and loss:
        raise ValueError(
            "Its colours or its alpha have 16 bits a value, of which Pillow keeps 8; load with "
            'dtype="uint8", or with decode="bytes" and a decoder of your own'
        )
    has_alpha = image.has_transparency_data
    if keep:
        form = ("L" if image.mode in _GRAY else "RGB") + ("A" if has_alpha else "")
        return np.array(image.convert(form), dtype=np.uint8), ""
    if has_alpha:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            loss = loss or "The array shows the transparency on white"
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"), dtype=np.uint8), loss


def turned(task: LabeledTask, orientation: int, size: tuple[int, int]) -> LabeledTask:
    """Return labels of a stored image as labels of the image rotated by its EXIF orientation.

    Bitmaps stay as they are: the labels have only their addresses. So do incomplete shapes, which
    have no coordinates. `size` is width and height of the stored image.
    """
    width, height = size
    turn: dict[int, Callable[[float, float], Point]] = {
        2: lambda x, y: Point(width - x, y),
        3: lambda x, y: Point(width - x, height - y),
        4: lambda x, y: Point(x, height - y),
        5: lambda x, y: Point(y, x),
        6: lambda x, y: Point(height - y, x),
        7: lambda x, y: Point(height - y, width - x),
        8: lambda x, y: Point(y, width - x),
    }
    if orientation not in turn:
        return task
    move = turn[orientation]
    annotations = [
        each
        for whole in task.annotations
        for each in reshaped(whole, lambda it: [moved(it.shape, move)])
    ]
    shown = (task.width, task.height) if orientation < 5 else (task.height, task.width)
    return attrs.evolve(task, annotations=annotations, width=shown[0], height=shown[1])
