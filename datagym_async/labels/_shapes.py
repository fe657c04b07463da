"""Shapes on an image: pixels, origin top left, x to the right and y down.

Each has the `type` of the label entries that take it, its `bounds` and its `area` in square pixels.
A shape is always complete. What a service wrote without all of its coordinates is kept as an
`Incomplete` shape, so that nothing is made up and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import attrs

from datagym_async._extras import extra_module
from datagym_async.models import EntryType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Bounds(NamedTuple):
    """The smallest upright rectangle around a shape, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Return the distance from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Return the distance from top to bottom."""
        return self.bottom - self.top

    @property
    def corners(self) -> tuple[Point, ...]:
        """Return its four corners, clockwise from the upper left one."""
        left, top, right, bottom = self
        return Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)


@attrs.frozen
class Point:
    """A point; also one corner of the other shapes.

    Args:
        x: Pixels from the left edge, fractions allowed.
        y: Pixels from the top edge, fractions allowed.
    """

    x: float
    y: float
    type: ClassVar[EntryType] = EntryType.POINT
    area: ClassVar[float] = 0.0

    @property
    def bounds(self) -> Bounds:
        """Return the point twice."""
        return Bounds(self.x, self.y, self.x, self.y)

    def to_numpy(self) -> NDArray[np.float64]:
        """Return x and y, shape (2,). Needs numpy."""
        return _array([self.x, self.y])


Pair: TypeAlias = "Point | Sequence[float]"
"""A point, or its x and y."""


_ONLY_POINTS = {Point}


def _points(given: Iterable[Pair]) -> tuple[Point, ...]:
    if type(given) is tuple and set(map(type, given)) == _ONLY_POINTS:
        return given  # a file of 200 MB has millions
    try:
        return tuple(each if isinstance(each, Point) else Point(*each) for each in given)
    except TypeError as error:
        msg = f"the points of a shape are given as Point or (x, y), one after the other ({error})"
        raise TypeError(msg) from None


def _rings(given: Iterable[Iterable[Pair]]) -> tuple[tuple[Point, ...], ...]:
    return tuple(_points(ring) for ring in given)


@attrs.frozen
class _Points:
    points: tuple[Point, ...] = attrs.field(converter=_points)

    @property
    def bounds(self) -> Bounds:
        """Return what surrounds it. Raises ValueError when it has no point."""
        return _bounds(self.points)

    def to_numpy(self) -> NDArray[np.float64]:
        """Return x and y of each point, shape (points, 2). Needs numpy."""
        return _array([(each.x, each.y) for each in self.points], width=2)


@attrs.frozen
class Line(_Points):
    """An open line through points.

    Args:
        points: Its points, as `Point` or (x, y), two at least when it is finished.
    """

    type: ClassVar[EntryType] = EntryType.LINE
    area: ClassVar[float] = 0.0


@attrs.frozen
class Polygon(_Points):
    """A filled outline, not closed: the last point is joined to the first.

    Args:
        points: Its points, as `Point` or (x, y), three at least when it is finished.
    """

    type: ClassVar[EntryType] = EntryType.POLYGON

    @property
    def area(self) -> float:
        """Return its area in square pixels, whichever way round its points go."""
        return _area(self.points)


@attrs.frozen
class Rectangle:
    """An upright rectangle.

    Args:
        x: Pixels from the left edge of the image to its left edge.
        y: Pixels from the top edge of the image to its top edge.
        width: Pixels.
        height: Pixels.
    """

    x: float
    y: float
    width: float
    height: float
    type: ClassVar[EntryType] = EntryType.RECTANGLE

    @property
    def bounds(self) -> Bounds:
        """Return its four edges."""
        return Bounds(self.x, self.y, self.x + self.width, self.y + self.height)

    @property
    def area(self) -> float:
        """Return its area in square pixels."""
        return self.width * self.height

    def to_numpy(self) -> NDArray[np.float64]:
        """Return x, y, width and height, shape (4,). Needs numpy."""
        return _array([self.x, self.y, self.width, self.height])


@attrs.frozen
class Segmentation:
    """A segment of an image: an outline, and holes in it.

    Args:
        rings: The outline first, then each hole, not closed, each of `Point` or (x, y). The
            service paints the first ring white and the following ones black.
    """

    rings: tuple[tuple[Point, ...], ...] = attrs.field(converter=_rings)
    type: ClassVar[EntryType] = EntryType.IMAGE_SEGMENTATION

    @property
    def bounds(self) -> Bounds:
        """Return what surrounds the outline. Raises ValueError when it has no point."""
        return _bounds(self.rings[0] if self.rings else ())

    @property
    def area(self) -> float:
        """Return the area of the outline less that of the holes, in square pixels."""
        outline, *holes = [_area(ring) for ring in self.rings] or [0.0]
        return max(0.0, outline - sum(holes))

    def to_numpy(self) -> list[NDArray[np.float64]]:
        """Return x and y of each point, an array of shape (points, 2) a ring. Needs numpy."""
        return [_array([(each.x, each.y) for each in ring], width=2) for ring in self.rings]


@attrs.frozen
class Incomplete:
    """A shape of which coordinates are missing, as the service wrote it.

    The service writes null for all coordinates of a shape of which one was never set or is
    negative.

    Args:
        type: Type of the shape, or None where the file does not say (member ``geometry``).
        payload: What the file has, as JSON values.
    """

    type: EntryType | None
    payload: Any


Shape: TypeAlias = Point | Line | Polygon | Rectangle | Segmentation | Incomplete
"""What an annotation outlines."""


def _bounds(points: Sequence[Point]) -> Bounds:
    if not points:
        raise ValueError("a shape without points has no bounds; check its points first")
    xs, ys = [each.x for each in points], [each.y for each in points]
    return Bounds(min(xs), min(ys), max(xs), max(ys))


def _area(points: Sequence[Point]) -> float:
    """Return the area within a closed outline (the shoelace formula)."""
    following = (*points[1:], *points[:1])
    twice = sum(a.x * b.y - b.x * a.y for a, b in zip(points, following, strict=True))
    return abs(twice) / 2


def _array(values: Sequence[object], *, width: int | None = None) -> NDArray[np.float64]:
    numpy = extra_module("numpy")  # here, so that only those who ask for arrays need it
    array: NDArray[np.float64] = numpy.asarray(values, dtype=numpy.float64)
    return array if width is None else array.reshape(-1, width)
