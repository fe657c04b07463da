"""Checking geometries, and those nested in them, against what an import takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datagym_async.labels._check_answers import check_answers, unanswered
from datagym_async.labels._check_entries import (
    GEOMETRIES,
    below,
    geometries,
    unknown_key,
)
from datagym_async.labels._check_findings import Finding, Path, error, warning
from datagym_async.labels._check_points import Frame, check_points
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datagym_async.labels._config_entries import EntryLike

_SHAPES = {
    "point": EntryType.POINT,
    "line": EntryType.LINE,
    "polygon": EntryType.POLYGON,
    "rectangle": EntryType.RECTANGLE,
    "image_segmentation": EntryType.IMAGE_SEGMENTATION,
    "geometry": None,
}
_MEMBERS = _SHAPES.keys() | {"classifications", "nested_geometries"}
_NO_SEGMENTATION = (
    "the service cannot import segmentations: it drops the points or refuses the whole request;"
    " write it with `client.values.write`"
)


def check_geometries(
    given: object,
    at: Path,
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
    known = geometries(entries)
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
    drawn: object, at: Path, entry: EntryLike | None, frame: Frame, *, nested: bool
) -> Iterator[Finding]:
    if not isinstance(drawn, Mapping):
        yield error(at, "an object was expected; the service refuses the whole request")
        return
    yield from _check_members(drawn, at, nested=nested)
    yield from _check_shape(drawn, at, entry, frame)
    where = (*at, "classifications")
    if "classifications" in drawn:
        yield from check_answers(drawn["classifications"], where, below(entry))
    yield from unanswered(drawn.get("classifications"), where, below(entry))
    if drawn.get("nested_geometries"):
        yield from _check_nested(drawn["nested_geometries"], at, entry, frame, nested=nested)


def _check_members(drawn: Mapping[str, object], at: Path, *, nested: bool) -> Iterator[Finding]:
    for name in drawn:
        if name in _MEMBERS:
            continue
        if nested and name != "additionalProperties":
            yield warning((*at, name), "the service ignores it")
        else:
            message = "the service knows no such member and refuses the whole request"
            yield error((*at, name), message)


def _check_shape(
    drawn: Mapping[str, object], at: Path, entry: EntryLike | None, frame: Frame
) -> Iterator[Finding]:
    given = [name for name in _SHAPES if name in drawn]
    if "image_segmentation" in given or (
        entry is not None and entry.type is EntryType.IMAGE_SEGMENTATION
    ):
        yield error(at, _NO_SEGMENTATION)
    elif len(given) != 1:
        yield error(at, _several(given))
    elif entry is not None and _SHAPES[given[0]] not in {None, entry.type}:
        kind = entry.type.value.lower()
        yield error(
            (*at, given[0]),
            f"{entry.key!r} is a {kind}, not a {given[0]}; the service stores an invalid label"
            " without a word, or refuses the whole request",
            part=at,
        )
    else:
        shape = entry.type if entry is not None and entry.type in GEOMETRIES else None
        shape = shape or _SHAPES[given[0]]
        yield from check_points(drawn[given[0]], (*at, given[0]), shape, frame)


def _several(given: list[str]) -> str:
    if not given:
        return "it has no coordinates; the service stores an invalid label"
    return f"it has {' and '.join(given)}, and the service keeps one of them alone"


def _check_nested(
    given: object, at: Path, entry: EntryLike | None, frame: Frame, *, nested: bool
) -> Iterator[Finding]:
    where = (*at, "nested_geometries")
    if nested:
        yield error(where, "geometries nest one level deep; the service drops this in silence")
    else:
        yield from check_geometries(given, where, below(entry), frame, nested=True)
