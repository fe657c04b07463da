"""Labels as marks (paths, colours, captions), as SVG, and drawn on images with Pillow.

The SVG, the images and the data of a gallery all come from marks. A path has the exact coordinates
of its shape, with all digits. Drawing on images blocks.
"""

from __future__ import annotations

import colorsys
import hashlib
import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from datagym_async._checks import ABOVE_ZERO, check, check_is, checked, shown
from datagym_async._extras import require_modules
from datagym_async._files import regular_only
from datagym_async._printable import printable, words_of
from datagym_async.exceptions import ConfigurationError
from datagym_async.formats._losses import answers_set
from datagym_async.labels import (
    Annotation,
    Bounds,
    Classification,
    Incomplete,
    LabelConfig,
    LabeledImage,
    Point,
    Segmentation,
    Shape,
)
from datagym_async.labels._geometry import is_finite, rings_of
from datagym_async.models import EntryType, LabelConfiguration

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont


Colors: TypeAlias = Mapping[str, str]
"""Key of a class to its colour, ``"#rrggbb"``."""
MarkKind: TypeAlias = Literal["point", "line", "polygon", "box", "mask"]

_KINDS: Final[Mapping[EntryType, MarkKind]] = {
    EntryType.POINT: "point",
    EntryType.LINE: "line",
    EntryType.POLYGON: "polygon",
    EntryType.RECTANGLE: "box",
    EntryType.IMAGE_SEGMENTATION: "mask",
}
FILLED: Final[Mapping[MarkKind, float]] = {"box": 0.12, "polygon": 0.3, "mask": 0.5}
"""The opacity of filled marks."""
_HEX: Final = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_LONGEST_CAPTION: Final = 80
_SEEN: Final = 0.2  # luminance of a colour that is visible on a dark ground


@attrs.frozen
class Mark:
    kind: MarkKind
    rings: tuple[tuple[Point, ...], ...]  # corners in pixels; of a mask the outline, then its holes
    bounds: Bounds
    caption: str  # class and answers, printable
    annotation: Annotation

    @property
    def key(self) -> str:
        return self.annotation.key

    @property
    def path(self) -> str:
        """Return the ``d`` of an SVG path; a point is a line without length."""
        if self.kind == "point":
            (corner,) = self.rings[0]
            return f"M{number(corner.x)} {number(corner.y)}h0"
        if self.kind == "box":
            left, top, right, bottom = map(number, self.bounds)
            return f"M{left} {top}H{right}V{bottom}H{left}Z"
        end = "" if self.kind == "line" else "Z"
        return "".join(
            "M" + "L".join(f"{number(each.x)} {number(each.y)}" for each in ring) + end
            for ring in self.rings
        )


def marks_of(labels: LabeledImage, classes: Collection[str] | None = None) -> Iterator[Mark]:
    """Give the marks of labels, masks first as they lie below; what has no place is left out."""
    for each in sorted(labels.walk(), key=lambda each: not isinstance(each.shape, Segmentation)):
        if classes is not None and each.key not in classes:
            continue
        if (bounds := bounds_of(each.shape)) is not None and each.shape.type is not None:
            kind = _KINDS[each.shape.type]
            yield Mark(kind, rings_of(each.shape), bounds, caption_of(each), each)


def undrawn(labels: LabeledImage) -> int:
    return sum(bounds_of(each.shape) is None for each in labels.walk())


def bounds_of(shape: Shape) -> Bounds | None:
    """Return the bounds of a shape, or None if it has no finite place."""
    try:
        return None if isinstance(shape, Incomplete) or not is_finite(shape) else shape.bounds
    except ValueError:  # it has no point
        return None


def caption_of(annotation: Annotation) -> str:
    """Return class and answers in one line, for example ``"car: kind bus, damage dent"``."""
    answers = ", ".join(" ".join(each) for each in answers_of(annotation.classifications))
    text = printable(f"{annotation.key}: {answers}" if answers else annotation.key)
    return text if len(text) <= _LONGEST_CAPTION else f"{text[: _LONGEST_CAPTION - 1]}…"


def answers_of(roots: Iterable[Classification]) -> Iterator[tuple[str, str]]:
    """Give key and answer of each question with an answer, nested ones after their parent."""
    return ((each.key, " + ".join(each.options)) for _, each in answers_set("", roots))


def number(value: float) -> str:
    """Return a coordinate with all its digits, and no more."""
    whole = int(value)
    return str(whole) if whole == value else repr(float(value))


# --- Colours --------------------------------------------------------------------------------------


@checked
def colors_of(config: LabelConfiguration | LabelConfig | Iterable[Any] | None) -> Colors:
    """Return the colours of a label configuration, by key of the class.

    Args:
        config: A label configuration in any form that `LabelConfig.from_entries` takes; None for no
            colours.
    """
    entries = LabelConfig.from_entries(config).entries if config is not None else ()
    found = ((each.key, each.color or "") for root in entries for each in root.walk())
    return {key: color for key, color in found if _HEX.fullmatch(color)}


def color_of(key: str, colors: Colors | None = None) -> str:
    """Return the colour of a class: the given one, or a bright one that depends on its name."""
    given = (colors or {}).get(key, "")
    if _HEX.fullmatch(given):
        return given if len(given) == 7 else "#" + "".join(2 * digit for digit in given[1:])
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    hue, light, color = int.from_bytes(digest[:2]) / 65536, 0.45 + 0.05 * (digest[2] % 5), "#000000"
    while _luminance(color) < _SEEN:  # blue has to be lighter than yellow
        light += 0.05
        parts = colorsys.hls_to_rgb(hue, light, 0.95)
        color = "#" + "".join(f"{round(255 * part):02x}" for part in parts)
    return color


def rgb_of(color: str) -> tuple[int, int, int]:
    """Return red, green and blue of a colour of `color_of`."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def ink_on(color: str) -> str:
    """Return black or white: the one that is easier to read on a colour."""
    return "#000000" if _luminance(color) > 0.18 else "#ffffff"


def _luminance(color: str) -> float:
    """Return how light a colour is, from 0 to 1, as WCAG counts."""
    parts = [each / 255 for each in rgb_of(color)]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


# --- SVG ------------------------------------------------------------------------------------------


def stroke_of(width: float, height: float) -> float:
    """Return the width of lines on an image of this size, all in pixels."""
    longest = max(width, height)
    return max(round(longest / 400, 1), min(1.5, longest / 100))


def size_of(labels: LabeledImage) -> tuple[float, float]:
    """Return width and height of a labelled image; if unknown, those of the area of its labels."""
    if ABOVE_ZERO.fits(labels.width) and ABOVE_ZERO.fits(labels.height):
        return labels.width or 0, labels.height or 0
    found = [mark.bounds for mark in marks_of(labels)]
    right, bottom = (max((each[side] for each in found), default=0.0) for side in (2, 3))
    return max(right, 1.0), max(bottom, 1.0)


@checked
def svg(
    labels: LabeledImage,
    width: float | None = None,
    height: float | None = None,
    *,
    image: str = "",
    colors: Colors | None = None,
    classes: Collection[str] | None = None,
    text: bool = True,
) -> str:
    """Return labels as an SVG document whose units are the pixels of the image.

    Each mark is a group ``class="mark"`` with ``data-key``; its paths have the exact coordinates of
    its shape. Names and answers are escaped.

    Args:
        labels: Labels of an image.
        width: Width of the image in pixels; None for that of the labels.
        height: Its height.
        image: Address of the image to show below the labels, also as ``data:``; empty for none.
        colors: Colours by the keys of classes (`colors_of`); others depend on their names.
        classes: Keys of the classes to draw; None for all.
        text: Whether to write class and answers beside each shape.
    """
    known = size_of(labels)
    width, height = known[0] if width is None else width, known[1] if height is None else height
    check(ABOVE_ZERO, width=width, height=height)
    wide = stroke_of(width, height)
    name = _attribute(labels.media_name or "labels")
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" stroke-linejoin="round" role="img" ']
    parts.append(f'viewBox="0 0 {number(width)} {number(height)}" stroke-linecap="round" ')
    parts.append(f'aria-label="{name}" font-family="sans-serif" font-size="{number(8 * wide)}">')
    if image:
        size = f'width="{number(width)}" height="{number(height)}"'
        parts.append(f'<image href="{_attribute(image)}" {size}/>')
    for mark in marks_of(labels, classes):
        color, path = color_of(mark.key, colors), mark.path
        line = wide * (5 if mark.kind == "point" else 1)
        cover = FILLED.get(mark.kind)
        fill = 'fill="none"'
        if cover:
            fill = f'fill="{color}" fill-opacity="{cover}" fill-rule="evenodd"'
        parts.append(
            f'<g class="mark" data-key="{_attribute(mark.key)}" data-kind="{mark.kind}">'
            f'<path d="{path}" fill="none" stroke="#000" stroke-opacity="0.6" '
            f'stroke-width="{number(line + 1.5 * wide)}"/>'
            f'<path d="{path}" {fill} stroke="{color}" stroke-width="{number(line)}"/>'
        )
        if text:
            left, top = mark.bounds.left, max(mark.bounds.top - 2 * wide, 8 * wide)
            parts.append(
                f'<text x="{number(left)}" y="{number(top)}" fill="#fff" stroke="#000" '
                f'stroke-width="{number(2 * wide)}" paint-order="stroke">'
                f"{escape(mark.caption)}</text>"
            )
        parts.append("</g>")
    if left_out := undrawn(labels):
        parts.append(f"<desc>{left_out} incomplete, not drawn</desc>")
    return "".join([*parts, "</svg>"])


def _attribute(text: str) -> str:
    return escape(printable(text), quote=True)


Drawable: TypeAlias = "Image | str | os.PathLike[str] | bytes | Any"
"""A Pillow image, a path, the bytes of a file, or a numpy array."""
_FONTS: Final = ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf", "NotoSans-Regular.ttf")
"""Fonts of systems for letters that are not ASCII; Pillow finds them if they are installed."""


def require_look(what: str) -> None:
    """Raise `ConfigurationError` if the drawing library is not installed."""
    require_modules(what, "look", "PIL", "jinja2")


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


def why_unreadable(error: Exception) -> str:
    """Return why an image cannot be decoded, for people, as a sentence."""
    if type(error).__name__ == "UnidentifiedImageError":  # its text is of no use to them
        return "It is not an image that can be read."
    return words_of(error)


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
    check(ABOVE_ZERO, scale=scale, pen=pen)
    require_modules("Drawing labels", "look", "PIL")
    canvas = in_colors(opened(image).copy())
    marks = list(marks_of(labels, classes))
    wide = min(stroke_of(*canvas.size) * pen, *canvas.size)  # Pillow draws what nobody sees, too
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

    mask = Image.new("1", size)
    for ring in rings:
        one = Image.new("1", size)
        if len(ring) > 1:
            ImageDraw.Draw(one).polygon(ring, fill=1)
        mask = ImageChops.logical_xor(mask, one)
    return mask


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
