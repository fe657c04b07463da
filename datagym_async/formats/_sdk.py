"""The results of the official SDK (0.7.2) for COCO, for people who compare or move from it.

Outlines of masks go through the middle of pixels there and are simplified: corners nearer than
0.9 % of the outline's length to the line between their neighbours are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from datagym_async.formats._losses import BrokenError, Losses, LossKind
from datagym_async.formats._masks import Ring, decode, trace
from datagym_async.formats._raw import RawObject
from datagym_async.labels import Point, Polygon, Rectangle, Shape

_TOLERANCE: Final = 0.009
Pixel: TypeAlias = tuple[int, int]


def shapes(found: RawObject, wanted: str, losses: Losses, where: str) -> list[Shape]:
    """Return the shapes that the official SDK makes of an object; `BrokenError` where it fails."""
    if wanted == "rectangle":
        if found.box is None:
            raise BrokenError("it has no box of four numbers")
        return [Rectangle(*found.box)]
    if found.mask is not None:
        return [
            Polygon(_simplified(_pixels(walk)))
            for outline, holes in trace(decode(found.mask))
            for walk in ([outline[0], *outline[:0:-1]], *holes)
        ]
    if found.crowd or not found.parts:
        losses.add(LossKind.OUTLINE, where)
        return []
    if len(found.parts) > 1:
        losses.add(LossKind.PARTS, where)
    return [Polygon(found.parts[0][0])]


def _pixels(walk: Ring) -> list[Pixel]:
    """Return the pixels along an outline, walked with the object at the left hand."""
    pixels: list[Pixel] = []
    for (x, y), (to_x, to_y) in pairwise([*walk, walk[0]]):
        dx, dy = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
        for step in range(abs(to_x - x) + abs(to_y - y)):
            left, above = dx < 0 or dy < 0, dx > 0 or dy < 0  # of the pixel from the corner
            at = (x + step * dx - left, y + step * dy - above)
            if not pixels or pixels[-1] != at:
                pixels.append(at)
    return pixels[:-1] if len(pixels) > 1 and pixels[0] == pixels[-1] else pixels


def _simplified(outline: Sequence[Pixel]) -> list[Point]:
    """Return an outline without corners that hardly matter (Douglas and Peucker)."""
    if len(outline) < 3:
        return [Point(*each) for each in outline]
    closed = [*outline, outline[0]]
    tolerance = _TOLERANCE * sum(math.dist(a, b) for a, b in pairwise(closed))
    far = max(range(len(outline)), key=lambda at: math.dist(outline[0], outline[at]))
    halves = [*_kept(closed[: far + 1], tolerance)[:-1], *_kept(closed[far:], tolerance)[:-1]]
    return [Point(*each) for each in halves]


def _kept(line: Sequence[Pixel], tolerance: float) -> list[Pixel]:
    if len(line) < 3:
        return list(line)
    far = max(range(1, len(line) - 1), key=lambda at: _distance(line[at], line[0], line[-1]))
    if _distance(line[far], line[0], line[-1]) <= tolerance:
        return [line[0], line[-1]]
    return [*_kept(line[: far + 1], tolerance)[:-1], *_kept(line[far:], tolerance)]


def _distance(point: Pixel, start: Pixel, end: Pixel) -> float:
    """Return how far a point is from a line."""
    (px, py), (ax, ay), (bx, by) = point, start, end
    length = math.dist(start, end)
    twice = abs((bx - ax) * (ay - py) - (ax - px) * (by - ay))  # the area of the triangle
    return twice / length if length else math.dist(point, start)
