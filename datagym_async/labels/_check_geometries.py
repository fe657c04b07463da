"""The check of geometries, of those nested in them and of their coordinates."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real  # those of numpy are such
from typing import TYPE_CHECKING, TypeAlias, cast

from datagym_async.labels._check_answers import (
    DRAWN,
    Finding,
    PartPath,
    below,
    by_key,
    check_answers,
    error,
    unanswered,
    unknown_key,
    warning,
)
from datagym_async.labels._json import LARGEST
from datagym_async.labels._payload_annotations import CLASSIFICATIONS, NESTED, SHAPE_MEMBERS
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from datagym_async.labels._config_entries import EntryLike

_MEMBERS = SHAPE_MEMBERS.keys() | {CLASSIFICATIONS, NESTED}
_COUNTS = {
    EntryType.POINT: range(1, 2),
    EntryType.RECTANGLE: range(1, 2),
    EntryType.LINE: range(2, sys.maxsize),
    EntryType.POLYGON: range(3, sys.maxsize),
}
_NO_SEGMENTATION = (
    "the service cannot import segmentations: it drops the points or refuses the whole request;"
    " write it with `client.values.write`"
)


Frame: TypeAlias = tuple[int | None, int | None]
"""Width and height of the image, in pixels; None where that is not known."""


def check_geometries(
    given: object,
    at: PartPath,
    entries: Iterable[EntryLike] | None,
    frame: Frame,
    *,
    nested: bool = False,
) -> Iterator[Finding]:
    """Give what is wrong with geometries by key.

    Args:
        given: What stands where an object of geometries should be.
        at: Where it stands.
        entries: The entries that may be drawn here, classifications among them or not; None where
            they are not known.
        frame: Size of the image.
        nested: Whether they are nested in another geometry.
    """
    if not isinstance(given, Mapping):
        yield error(at, "an object of geometries was expected; the service refuses or ignores it")
        return
    known = by_key(entries, drawn=True)
    for key, drawn in given.items():
        here = (*at, key)
        if known is not None and str(key).lower() not in known:
            yield error(here, unknown_key(str(key), known, "geometry"))
        elif not isinstance(drawn, list | tuple):
            yield error(here, "an array of geometries was expected; the service refuses it")
        else:
            entry = known[str(key).lower()] if known is not None else None
            for index, each in enumerate(drawn):
                yield from _check_one(each, (*here, index), entry, frame, nested=nested)


def _check_one(
    drawn: object, at: PartPath, entry: EntryLike | None, frame: Frame, *, nested: bool
) -> Iterator[Finding]:
    if not isinstance(drawn, Mapping):
        yield error(at, "an object was expected; the service refuses the whole request")
        return
    # Members that no geometry has: refused at the root, ignored below.
    for name in [each for each in drawn if each not in _MEMBERS]:
        if nested and name != "additionalProperties":
            yield warning((*at, name), "the service ignores it")
        else:
            message = "the service knows no such member and refuses the whole request"
            yield error((*at, name), message)
    yield from _check_shape(drawn, at, entry, frame)
    # The answers, also those that are not there.
    where = (*at, CLASSIFICATIONS)
    if CLASSIFICATIONS in drawn:
        yield from check_answers(drawn[CLASSIFICATIONS], where, below(entry))
    yield from unanswered(drawn.get(CLASSIFICATIONS), where, below(entry))
    if inner := drawn.get(NESTED):
        where = (*at, NESTED)
        if nested:
            yield error(where, "geometries nest one level deep; the service drops this in silence")
        else:
            yield from check_geometries(inner, where, below(entry), frame, nested=True)


def _check_shape(
    drawn: Mapping[str, object], at: PartPath, entry: EntryLike | None, frame: Frame
) -> Iterator[Finding]:
    given = [name for name in SHAPE_MEMBERS if name in drawn]
    wanted = entry.type if entry is not None else None
    if "image_segmentation" in given or wanted is EntryType.IMAGE_SEGMENTATION:
        yield error(at, _NO_SEGMENTATION)
    elif not given:
        yield error(at, "it has no coordinates; the service stores an invalid label")
    elif len(given) > 1:
        yield error(at, f"it has {' and '.join(given)}, and the service keeps one of them alone")
    elif entry is not None and SHAPE_MEMBERS[given[0]] not in {None, wanted}:
        yield error(
            (*at, given[0]),
            f"{entry.key!r} is a {entry.type.value.lower()}, not a {given[0]}; the service stores"
            " an invalid label without a word, or refuses the whole request",
            part=at,
        )
    else:
        shape = wanted if wanted in DRAWN else SHAPE_MEMBERS[given[0]]
        yield from _check_points(drawn[given[0]], (*at, given[0]), shape, frame)


def _check_points(
    points: object, at: PartPath, shape: EntryType | None, frame: Frame
) -> Iterator[Finding]:
    """Give what is wrong with coordinates; the geometry as a whole must go for it."""
    part = at[:-1]
    if not isinstance(points, list | tuple):
        yield error(at, "an array of coordinates was expected; the service refuses it", part=part)
        return
    count = len(points)
    if shape not in _COUNTS:
        if not count:
            message = "it has no coordinates; the service stores an invalid label"
            yield error(at, message, part=part)
            return
    elif count not in _COUNTS[shape]:
        least = _COUNTS[shape].start
        bound = "exactly 1" if least == 1 else f"at least {least}"
        what = "rectangle" if shape is EntryType.RECTANGLE else "point"
        yield error(
            at,
            f"a {shape.value.lower()} takes {bound} {what}{'s' if least > 1 else ''}, not {count};"
            " the service refuses it, or stores an invalid label",
            part=part,
        )
        return
    found = (
        each
        for index, point in enumerate(points)
        for each in _check_point(point, (*at, index), shape, part)
    )
    yield from itertools.islice(found, 1)  # it must go for the first as for a thousand
    # What lies beyond the image is stored as it is, and worth a warning.
    for name, length, limit in zip("xy", "wh", frame, strict=True):
        if limit is None:
            continue
        farthest = max((_edge(point, name, length) for point in points), default=0.0)
        if farthest > limit:
            yield warning(
                at, f"it reaches to {name}={farthest:g}, beyond the image, which ends at {limit}"
            )


def _check_point(
    point: object, at: PartPath, shape: EntryType | None, part: PartPath
) -> Iterator[Finding]:
    if not isinstance(point, Mapping):
        yield error(at, "an object with x and y was expected; the service refuses it", part=part)
        return
    is_rectangle = shape is EntryType.RECTANGLE or (shape is None and "w" in point)
    names = "xywh" if is_rectangle else "xy"
    if point.keys() != set(names):
        listed = ", ".join(names)
        yield error(
            at, f"it must have {listed} and nothing else; the service refuses it", part=part
        )
        return
    for name, value in point.items():
        if wrong := _coordinate_problem(value):
            yield error((*at, name), wrong, part=part)


def _coordinate_problem(value: object) -> str:
    if isinstance(value, str):
        fits = value.isascii() and value.isdigit()
        return "" if fits else f"{value!r} is no number; as text, digits alone are taken"
    if value is None:
        return "it is null, as exports write what is missing; the service refuses it"
    if isinstance(value, bool) or not isinstance(value, int | float | Real):
        return f"a number was expected, not {type(value).__name__}; the service refuses it"
    if not -LARGEST <= cast("float", value) <= LARGEST:  # nor is what is no number
        return "it is too large, or no finite number, which JSON cannot carry"
    return f"{value} is negative, and the service refuses it" if value < 0 else ""


def _edge(point: object, name: str, length: str) -> float:
    """Return how far a point or rectangle reaches; 0 where its coordinates are wrong anyhow."""
    if not isinstance(point, Mapping):
        return 0.0
    sides: Sequence[object] = (point.get(name), point.get(length, 0))
    return sum(
        float(each)
        for each in sides
        if isinstance(each, int | float | Real | str) and not _coordinate_problem(each)
    )
