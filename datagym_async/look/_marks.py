"""Labels as marks (paths, colours, captions) and as SVG; no I/O.

The SVG here, the images of `_drawing` and the data of a gallery all come from marks. A path has the
exact coordinates of its shape, with all digits.
"""

from __future__ import annotations

import colorsys
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from html import escape
from itertools import chain
from math import isfinite
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._checks import checked
from datagym_async._printable import printable
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
from datagym_async.labels._geometry import rings_of
from datagym_async.models import EntryType, LabelConfiguration

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
    if isinstance(shape, Incomplete):
        return None
    try:
        corners = chain.from_iterable(rings_of(shape))
        is_finite = all(isfinite(each.x) and isfinite(each.y) for each in corners)
        return shape.bounds if is_finite else None
    except (ValueError, OverflowError):  # it has no point, or one that no float can hold
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
        config: A label configuration in any form that `LabelConfig.of` takes; None for no colours.
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
    if labels.width and labels.height:
        return labels.width, labels.height
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
    width, height = width or known[0], height or known[1]
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
