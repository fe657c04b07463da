"""Checking the coordinates of a geometry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from numbers import Real  # those of numpy are such
from typing import TYPE_CHECKING

import attrs

from datagym_async.labels._check_findings import Finding, Path, error, warning
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COUNTS = {
    EntryType.POINT: (1, 1),
    EntryType.RECTANGLE: (1, 1),
    EntryType.LINE: (2, None),
    EntryType.POLYGON: (3, None),
}


@attrs.frozen
class Frame:
    """How large the image is, in pixels; None where that is not known."""

    width: int | None = None
    height: int | None = None


def check_points(
    points: object, at: Path, shape: EntryType | None, frame: Frame
) -> Iterator[Finding]:
    """Give what is wrong with a geometry's coordinates; the geometry as a whole must go for it.

    Args:
        points: What stands where an array of points (or of one rectangle) should be.
        at: Where it stands, which is directly below the geometry.
        shape: Type of the geometry; None where it is not known.
        frame: Size of the image.
    """
    part = at[:-1]
    if not isinstance(points, list | tuple):
        yield error(at, "an array of coordinates was expected; the service refuses it", part=part)
        return
    if wrong := _count_problem(len(points), shape):
        yield error(at, wrong, part=part)
        return
    found = (
        each
        for index, point in enumerate(points)
        for each in _check_point(point, (*at, index), shape, part)
    )
    yield from itertools.islice(found, 1)  # it must go for the first as for a thousand
    yield from _check_frame(points, at, frame)


def _count_problem(count: int, shape: EntryType | None) -> str:
    if shape not in _COUNTS:
        return "" if count else "it has no coordinates; the service stores an invalid label"
    least, most = _COUNTS[shape]
    if count >= least and (most is None or count <= most):
        return ""
    bound = "exactly 1" if most else f"at least {least}"
    what = "rectangle" if shape is EntryType.RECTANGLE else "point"
    return (
        f"a {shape.value.lower()} takes {bound} {what}{'s' if least > 1 else ''}, not {count};"
        " the service refuses it, or stores an invalid label"
    )


def _check_point(point: object, at: Path, shape: EntryType | None, part: Path) -> Iterator[Finding]:
    if not isinstance(point, Mapping):
        yield error(at, "an object with x and y was expected; the service refuses it", part=part)
        return
    names = _names(point, shape)
    if point.keys() != names:
        listed = ", ".join(sorted(names, key="xywh".index))
        yield error(
            at, f"it must have {listed} and nothing else; the service refuses it", part=part
        )
        return
    for name, value in point.items():
        if wrong := _coordinate_problem(value):
            yield error((*at, name), wrong, part=part)


def _names(point: Mapping[str, object], shape: EntryType | None) -> set[str]:
    is_rectangle = shape is EntryType.RECTANGLE or (shape is None and "w" in point)
    return {"x", "y", "w", "h"} if is_rectangle else {"x", "y"}


def _coordinate_problem(value: object) -> str:
    if isinstance(value, str):
        fits = value.isascii() and value.isdigit()
        return "" if fits else f"{value!r} is no number; as text, digits alone are taken"
    if value is None:
        return "it is null, as exports write what is missing; the service refuses it"
    if isinstance(value, bool) or not isinstance(value, int | float | Real):
        return f"a number was expected, not {type(value).__name__}; the service refuses it"
    if not math.isfinite(value):
        return "it is no finite number, which JSON cannot carry"
    return f"{value} is negative, and the service refuses it" if value < 0 else ""


def _check_frame(points: Sequence[object], at: Path, frame: Frame) -> Iterator[Finding]:
    """Warn of what lies beyond the image; the service stores it as it is."""
    for name, length, limit in (("x", "w", frame.width), ("y", "h", frame.height)):
        if limit is None:
            continue
        farthest = max((_edge(point, name, length) for point in points), default=0.0)
        if farthest > limit:
            yield warning(
                at, f"it reaches to {name}={farthest:g}, beyond the image, which ends at {limit}"
            )


def _edge(point: object, name: str, length: str) -> float:
    """Return how far a point or rectangle reaches; 0 where its coordinates are wrong anyhow."""
    if not isinstance(point, Mapping):
        return 0.0
    return _pixels(point.get(name)) + _pixels(point.get(length, 0))


def _pixels(value: object) -> float:
    if isinstance(value, int | float | Real | str) and not _coordinate_problem(value):
        return float(value)
    return 0.0
