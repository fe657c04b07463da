"""Snap numbers of files to the edges of their image, and outline shapes the service lacks.

Everything is in pixels, from the left upper corner of the first pixel: an image is the square from
(0, 0) to (width, height). `labels._geometry` cuts and scales shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datagym_async.labels._geometry import Pair

TOLERANCE: Final = 0.01
"""Pixels beyond an edge that are noise of rounding where a file has pixels: two decimals."""


def snapped(value: float, size: float, tolerance: float = TOLERANCE) -> float:
    """Return a coordinate, moved to the edge of its image if it is hardly beyond it."""
    if -tolerance <= value < 0:
        return 0.0
    return float(size) if size < value <= size + tolerance else value


def digits_tolerance(numbers: Iterable[str], size: float) -> float:
    """Return the tolerance in pixels for shares of a width or height that were rounded to digits.

    If a middle and half a width are each rounded to the last digit, an edge is off by up to three
    quarters of that digit. So the tolerance is one unit of the last decimal of any of the numbers
    of an object, from a millionth to a thousandth of the size.
    """
    fractions = (each.lower().partition("e")[0].partition(".")[2] for each in numbers)
    decimals = max(map(len, fractions), default=0)
    return size * 10.0 ** -min(max(decimals, 3), 6)


# --- Outlines of shapes that the service does not have --------------------------------------------


def turned_box(left: float, top: float, right: float, bottom: float, degrees: float) -> list[Pair]:
    """Return the corners of a box that is rotated clockwise about its middle.

    They begin with the former upper left one.
    """
    middle = ((left + right) / 2, (top + bottom) / 2)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return [turned(each, middle, degrees) for each in corners] if degrees else list(corners)


def turned(point: Pair, about: Pair, degrees: float) -> Pair:
    """Return a point rotated clockwise (as seen on the screen, y down) about another."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = point[0] - about[0], point[1] - about[1]
    return about[0] + x * cosine - y * sine, about[1] + x * sine + y * cosine


def ellipse_ring(middle: Pair, across: float, down: float, degrees: float = 0) -> list[Pair]:
    """Return an outline of an ellipse that is never off by more than a tenth of a pixel.

    `across` and `down` are half its width and height; it is rotated clockwise.
    """
    largest = max(across, down)
    # A chord over the angle a is off by r (1 - cos(a / 2)).
    angle = 2 * math.acos(max(1 - 0.1 / largest, 0.5)) if largest else math.pi / 4
    count = min(max(8, math.ceil(math.tau / angle)), 360)
    steps = (math.tau * each / count for each in range(count))
    flat = [(middle[0] + across * math.cos(a), middle[1] + down * math.sin(a)) for a in steps]
    return [turned(each, middle, degrees) for each in flat] if degrees else flat
