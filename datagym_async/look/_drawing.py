"""Labels drawn on images with Pillow; blocks."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from datagym_async._checks import check_is, checked, shown
from datagym_async._extras import require_modules
from datagym_async._files import regular_only
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import LabeledImage, Point
from datagym_async.look._marks import (
    FILLED,
    Colors,
    Mark,
    color_of,
    ink_on,
    marks_of,
    rgb_of,
    stroke_of,
)

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont


Drawable: TypeAlias = "Image | str | os.PathLike[str] | bytes | Any"
"""A Pillow image, a path, the bytes of a file, or a numpy array."""
_FONTS: Final = ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf", "NotoSans-Regular.ttf")
"""Fonts of systems for letters that are not ASCII; Pillow finds them if they are installed."""


def require_look(what: str) -> None:
    """Raise `ConfigurationError` if the drawing library is not installed."""
    require_modules(what, "look", "PIL", "jinja2")


def silence_size_warnings() -> None:
    """Turn off Pillow's warnings of large images, in a process of ours."""
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")


def opened(image: Drawable) -> Image:
    """Return an image as Pillow opens it; it is loaded when it is used."""
    from PIL import Image

    if isinstance(image, Image.Image):
        return image
    if isinstance(image, bytes | bytearray | memoryview):
        return Image.open(io.BytesIO(image))
    if isinstance(image, str | os.PathLike):
        with open(image, "rb", opener=regular_only) as file:
            return Image.open(io.BytesIO(file.read()))
    if not hasattr(image, "__array_interface__"):
        raise ConfigurationError(
            f"image is {shown(image)}; give a path, bytes, an image or an array."
        )
    return Image.fromarray(image)


def in_colors(image: Image) -> Image:
    """Return an image as RGB: the upper 8 of 16 bits, and transparency on white."""
    from PIL import Image

    if image.mode.startswith("I"):
        return image.point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


@checked
def draw(
    image: Drawable,
    labels: LabeledImage,
    *,
    colors: Colors | None = None,
    classes: Collection[str] | None = None,
    text: bool = True,
    scale: float = 1.0,
    pen: float = 1.0,
) -> Image:
    """Return an image with labels drawn on it: an RGB Pillow image in its stored size.

    Boxes, polygons, lines and points; masks with their holes, half transparent; class and answers
    beside each. Lines are wider on larger images and have a dark edge, so that they are visible on
    any background. Needs ``datagym-async[look]``; it blocks.

    Args:
        image: A Pillow image, a path, the bytes of a file, or an array of uint8 (height x width, or
            x 3 or 4). It is not changed, and not rotated by its EXIF orientation, which the service
            ignores too.
        labels: The labels to draw, in pixels of the image.
        colors: Colours by the keys of classes (`colors_of`); other classes get colours by their
            names.
        classes: Keys of the classes to draw; None for all.
        text: Whether to write class and answers.
        scale: Pixels of the image for each pixel of the labels, if it has been resized.
        pen: Factor for the width of lines and the size of letters.

    Raises:
        ConfigurationError: Pillow is not installed.
        OSError: The image cannot be read.
    """
    check_is("labels", labels, LabeledImage)
    require_modules("Drawing labels", "look", "PIL")
    canvas = in_colors(opened(image).copy())
    marks = list(marks_of(labels, classes))
    wide = stroke_of(*canvas.size) * pen
    for mark in marks:
        rings = [_at(ring, canvas.size, scale) for ring in mark.rings]
        _paint(canvas, mark, rings, color_of(mark.key, colors), wide)
    for mark in marks if text else ():
        _write(canvas, mark, color_of(mark.key, colors), wide, scale)
    return canvas


_Pairs: TypeAlias = list[tuple[float, float]]


def _at(ring: tuple[Point, ...], size: tuple[int, int], scale: float) -> _Pairs:
    # Points far outside are moved nearer: Pillow draws lines pixel by pixel.
    (width, height), far = size, 2 * max(size)

    def near(value: float, side: int) -> float:
        return min(max(value * scale, -far), side + far)

    return [(near(each.x, width), near(each.y, height)) for each in ring]


def covered(rings: Iterable[_Pairs], size: tuple[int, int]) -> Image:
    """Return the area of rings as a mask; where two overlap is a hole (even-odd, as in SVG)."""
    from PIL import Image, ImageChops, ImageDraw

    mask: Image.Image | None = None
    for ring in rings:
        one = Image.new("1", size)
        if len(ring) > 1:
            ImageDraw.Draw(one).polygon(ring, fill=1)
        mask = one if mask is None else ImageChops.logical_xor(mask, one)
    return mask or Image.new("1", size)


def _paint(canvas: Image, mark: Mark, rings: list[_Pairs], color: str, wide: float) -> None:
    from PIL import ImageDraw

    pen, line = ImageDraw.Draw(canvas), max(2, round(wide))
    edge = line + 2 * max(1, round(wide * 0.6))
    if mark.kind == "point":
        ((x, y),) = rings[0]
        for radius, ink in ((wide * 3.6, "#000000"), (wide * 2.6, color)):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
        return
    if cover := FILLED.get(mark.kind):
        every = [pair for ring in rings for pair in ring]
        left, top = (int(max(min(each[axis] for each in every), 0)) for axis in (0, 1))
        right, bottom = (
            int(min(max(each[axis] for each in every) + 1, canvas.size[axis])) for axis in (0, 1)
        )
        if right > left and bottom > top:
            moved = [[(x - left, y - top) for x, y in ring] for ring in rings]
            mask = covered(moved, (right - left, bottom - top))
            share = mask.convert("L").point(lambda value: round(value * cover))
            canvas.paste(rgb_of(color), (left, top), share)
    for width, ink in ((edge, "#000000"), (line, color)):
        for ring in rings:
            walk = ring if mark.kind == "line" else [*ring, *ring[:2]]
            pen.line(walk, fill=ink, width=width, joint="curve")


def _write(canvas: Image, mark: Mark, color: str, wide: float, scale: float) -> None:
    from PIL import ImageDraw

    is_ascii = mark.caption.rstrip("…").isascii()
    pen, font = ImageDraw.Draw(canvas), font_of(max(10, round(6 * wide)), is_ascii)
    left, top, right, bottom = pen.textbbox((0, 0), mark.caption, font=font)
    pad = max(1, round(wide))
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(mark.bounds.left * scale, 0), max(0, canvas.width - width))
    y = mark.bounds.top * scale - height
    y = min(max(y, 0), max(0, canvas.height - height))
    pen.rectangle((x, y, x + width, y + height), fill=color)
    pen.text((x + pad - left, y + pad - top), mark.caption, fill=ink_on(color), font=font)


@lru_cache(maxsize=16)
def font_of(size: int, is_ascii: bool) -> FreeTypeFont | ImageFont:
    """Return a font of this size in pixels, if possible with other letters than ASCII."""
    from PIL import ImageFont

    for name in () if is_ascii else _FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)  # part of Pillow; ASCII only
