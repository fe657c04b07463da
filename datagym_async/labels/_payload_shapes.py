"""Shapes as exports and imports write them, read and written.

The way of a file of 200 MB leads through here: what is as it should be is read with as few steps
as Python allows, and only what is not is looked at corner by corner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from datagym_async.labels._json import ShapeError, as_list, as_object, kind_of
from datagym_async.labels._shapes import (
    Incomplete,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

GEOMETRY: Final = "geometry"
"""The member of older files, which does not say the type."""

SHAPE_MEMBERS: Final[Mapping[str, EntryType | None]] = {
    "point": EntryType.POINT,
    "line": EntryType.LINE,
    "polygon": EntryType.POLYGON,
    "rectangle": EntryType.RECTANGLE,
    "image_segmentation": EntryType.IMAGE_SEGMENTATION,
    GEOMETRY: None,
}
"""The members that hold a shape, each with its type."""

MEMBER_OF: Final[Mapping[EntryType, str]] = {
    kind: member for member, kind in SHAPE_MEMBERS.items() if kind is not None
}

_NUMBERS: Final = frozenset({int, float})
_PAIR: Final = frozenset({2})
_FEWEST: Final = {EntryType.LINE: 2, EntryType.POLYGON: 3}


def read_shape(member: str, payload: object, kind: EntryType | None = None) -> tuple[Shape, bool]:
    """Return what a member of a geometry holds.

    Args:
        member: One of `SHAPE_MEMBERS`.
        payload: JSON values.
        kind: What the classes say of its type, where the member does not say it.

    Returns:
        The shape, and whether it says all that the payload does.

    Raises:
        ShapeError: The payload is no shape.
    """
    items = as_list(payload)
    if member == GEOMETRY:
        member = MEMBER_OF.get(kind or _guessed(items) or EntryType.UNKNOWN, GEOMETRY)
    reader = _READERS.get(member)
    shape, exact = reader(items) if reader else (None, True)
    if shape is None:
        return Incomplete(SHAPE_MEMBERS[member] or kind, payload), True
    return shape, exact


def _guessed(items: list[Any]) -> EntryType | None:
    first = items[0] if items else None
    return EntryType.RECTANGLE if isinstance(first, dict) and "w" in first else None


Read = tuple[Shape | None, bool]
Corners = tuple[tuple[Point, ...] | None, bool]


def _point(items: list[Any]) -> Read:
    if len(items) != 1:
        return None, True
    sides, exact = _sides(items[0], "xy")
    return (Point(*sides) if sides else None), exact


def _line(items: list[Any]) -> Read:
    corners, exact = _corners(items)
    whole = corners is not None and len(corners) >= _FEWEST[EntryType.LINE]
    return (Line(corners) if corners and whole else None), exact


def _polygon(items: list[Any]) -> Read:
    corners, exact = _corners(items)
    whole = corners is not None and len(corners) >= _FEWEST[EntryType.POLYGON]
    return (Polygon(corners) if corners and whole else None), exact


def _segmentation(items: list[Any]) -> Read:
    rings, whole = [], True
    for index, ring in enumerate(items):
        try:
            corners, exact = _corners(as_list(ring))
        except ShapeError as error:
            raise error.below(f"[{index}]") from None
        if corners is None:
            return None, True
        rings.append(corners)
        whole = whole and exact
    return (Segmentation(rings) if rings and rings[0] else None), whole


def _rectangle(items: list[Any]) -> Read:
    if len(items) != 1:
        return None, True
    sides, exact = _sides(items[0], "xywh")
    return (Rectangle(*sides) if sides else None), exact


_READERS: Final[Mapping[str, Callable[[list[Any]], Read]]] = {
    "point": _point,
    "line": _line,
    "polygon": _polygon,
    "rectangle": _rectangle,
    "image_segmentation": _segmentation,
}


def _sides(item: Any, names: str) -> tuple[list[Any] | None, bool]:
    """Return numbers, None where one is missing or negative, and whether they say all."""
    try:
        numbers = [item[name] for name in names]
        if _NUMBERS.issuperset(map(type, numbers)) and len(item) == len(names):
            return (numbers if min(numbers) >= 0 else None), True
    except (KeyError, TypeError):
        pass
    numbers = _numbers(as_object(item, path="[0]"), names, path="[0]")
    if None in numbers or min(numbers) < 0:
        return None, True
    return numbers, numbers == [*item.values()]


def _corners(items: list[Any]) -> Corners:
    """Return corners, None where a coordinate is missing or negative, and whether they say all."""
    try:
        xs = [corner["x"] for corner in items]
        ys = [corner["y"] for corner in items]
        if (
            _NUMBERS.issuperset(map(type, xs))
            and _NUMBERS.issuperset(map(type, ys))
            and _PAIR.issuperset(map(len, items))
            and min(xs, default=0) >= 0
            and min(ys, default=0) >= 0
        ):
            return tuple(map(Point, xs, ys)), True
    except (KeyError, TypeError):
        pass
    return _corners_one_by_one(items)


def _corners_one_by_one(items: list[Any]) -> Corners:
    pairs = [
        _numbers(as_object(item, path=f"[{index}]"), "xy", path=f"[{index}]")
        for index, item in enumerate(items)
    ]
    if any(number is None or number < 0 for pair in pairs for number in pair):
        return None, True
    exact = all(pair == [*item.values()] for pair, item in zip(pairs, items, strict=True))
    return tuple(Point(x, y) for x, y in pairs), exact


def _numbers(item: dict[str, Any], names: str, *, path: str) -> list[Any]:
    return [_number(item, name, path=f"{path}.{name}") for name in names]


def _number(item: dict[str, Any], name: str, *, path: str) -> float | None:
    """Return a coordinate, None where it is unset; imports may write digits as a text."""
    value = item.get(name, item)
    if type(value) in _NUMBERS:
        return value  # type: ignore[no-any-return]  # int or float, as the line above says
    if value is None or value == "null":
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value)
    raise ShapeError(
        "it is missing" if value is item else f"a number was expected, not {kind_of(value)}",
        path=path,
    )


def write_shape(shape: Shape) -> Any:
    """Return a shape as exports and imports have it below its member."""
    match shape:
        case Point():
            return _pairs([shape])
        case Line() | Polygon():
            return _pairs(shape.points)
        case Rectangle(x, y, width, height):
            return [{"x": x, "y": y, "w": width, "h": height}]
        case Segmentation():
            return [_pairs(ring) for ring in shape.rings]
        case Incomplete():
            return shape.payload


def _pairs(points: Iterable[Point]) -> list[dict[str, float]]:
    return [{"x": point.x, "y": point.y} for point in points]
