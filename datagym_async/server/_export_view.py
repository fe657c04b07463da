"""Label values as an export writes them. Pure.

Coordinates are cut to whole numbers; where one is missing or negative, null stands for all of the
point. An answer that was not given is null, and the questions below it follow as objects.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ._entries import SEGMENTATION, Entry, EntryTree
from ._json_parts import objects_of
from ._render import Json
from ._value_tree import Value

__all__ = ["classifications_view", "label_classes", "labels_view"]

_ORDER: Final = (
    "POINT",
    "LINE",
    "POLYGON",
    SEGMENTATION,
    "RECTANGLE",
    "SELECT",
    "CHECKLIST",
    "FREETEXT",
)


def label_classes(tree: EntryTree) -> Json:
    """Return the overview of all entries that an export begins with."""
    entries = sorted(tree.walk(), key=lambda entry: _ORDER.index(entry.type))
    return [{"class_name": entry.key, _kind(entry): entry.type.lower()} for entry in entries]


def _kind(entry: Entry) -> str:
    """A segmentation is called a classification here, as the service does."""
    drawn = entry.is_geometry and entry.type != SEGMENTATION
    return "geometry_type" if drawn else "classification_type"


def classifications_view(values: Iterable[Value]) -> dict[str, Json]:
    """Return the classifications among `values` by their keys."""
    return {value.entry.key: _answers(value) for value in values if value.entry.is_classification}


def _answers(value: Value) -> Json:
    below: list[Json] = [
        {child.entry.key: _answers(child)}
        for child in value.children
        if child.entry.is_classification
    ]
    return [*_own_answers(value), *below]


def _own_answers(value: Value) -> Sequence[Json]:
    if value.entry.type == "CHECKLIST":
        checked = value.payload.get("checkedValues")
        return checked if isinstance(checked, Sequence) and checked else [None]
    return [value.payload.get("selectKey" if value.entry.type == "SELECT" else "text")]


def labels_view(values: Iterable[Value]) -> dict[str, Json]:
    """Return the geometries among `values` by their keys, nested ones inside."""
    return _by_key(values, nested=False)


def _by_key(values: Iterable[Value], *, nested: bool) -> dict[str, Json]:
    found: dict[str, list[Json]] = {}
    for value in values:
        if value.entry.is_geometry:
            found.setdefault(value.entry.key, []).append(_geometry(value, nested=nested))
    return dict(found)


def _geometry(value: Value, *, nested: bool) -> Json:
    view: dict[str, Json] = {
        value.entry.type.lower(): _coordinates(value),
        "classifications": classifications_view(value.children),
    }
    if not nested:
        view["nested_geometries"] = _by_key(value.children, nested=True)
    return view


def _coordinates(value: Value) -> list[Json]:
    payload, kind = value.payload, value.entry.type
    if kind == "POINT":
        return [_whole({"x": payload.get("x"), "y": payload.get("y")})]
    if kind == "RECTANGLE":
        sides = {"w": payload.get("width"), "h": payload.get("height")}
        return [_whole({"x": payload.get("x"), "y": payload.get("y"), **sides})]
    if kind == SEGMENTATION:
        return [_points(ring.get("points")) for ring in objects_of(payload.get("pointsCollection"))]
    return _points(payload.get("points"))


def _points(value: Json) -> list[Json]:
    return [_whole({"x": point.get("x"), "y": point.get("y")}) for point in objects_of(value)]


def _whole(numbers: Mapping[str, Json]) -> Json:
    cut = {
        name: int(number)
        for name, number in numbers.items()
        if isinstance(number, int | float) and number >= 0
    }
    return cut if len(cut) == len(numbers) else dict.fromkeys(numbers)
