"""What an import stores: values built from an item, by the configured types. Pure.

The member that a geometry is given under is not compared with the entry's type: the service walks
polygon, rectangle, line, point and geometry in this order and reads each by the configured type.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from ._entries import SEGMENTATION, Entry, EntryTree
from ._errors import refuse
from ._json_parts import items_of, members_of, objects_of
from ._render import Json
from ._value_tree import Value, empty_payload, empty_values, points_view

__all__ = ["answered", "geometry_values", "global_answers"]

_MEMBERS: Final = ("polygon", "rectangle", "line", "point", "geometry")


def global_answers(tree: EntryTree, item: Mapping[str, Json]) -> list[tuple[Entry, Sequence[Json]]]:
    """Return the global classifications of an item with their entries.

    Raises:
        Refusal: `ex_gen_wrong_entry_id` for a key that no root classification has.
    """
    entries = {entry.key: entry for entry in tree.root_classifications()}
    return [
        (_known(entries, key), items_of(answers))
        for key, answers in members_of(item.get("global_classifications")).items()
    ]


def geometry_values(tree: EntryTree, item: Mapping[str, Json]) -> list[Value]:
    """Return a value for each geometry of an item, nested ones and answers below it.

    Raises:
        Refusal: The first thing that the configuration does not allow.
    """
    entries = {entry.key: entry for entry in tree.roots if entry.is_geometry}
    return [
        _geometry(_known(entries, key.lower(), key), members_of(drawn))
        for key, items in members_of(item.get("labels")).items()
        for drawn in items_of(items)
    ]


def answered(value: Value, answers: Sequence[Json]) -> Value:
    """Return a classification's value with the answers, and those below it, filled in.

    Raises:
        Refusal: `ex_gen_wrong_entry_id` for a key that is no child of the entry; `ex_system` for an
            object without a key.
    """
    own = [answer for answer in answers if isinstance(answer, str)]
    below = next((part for part in answers if isinstance(part, Mapping)), None)
    if below is not None and not below:
        raise refuse("ex_system")
    # The service reads the first key alone.
    first = dict(list((below or {}).items())[:1])
    children = _answer_children(value, first)
    return attrs.evolve(value, payload=_answer(value, own), children=children)


def _answer(value: Value, answers: Sequence[str]) -> Mapping[str, Json]:
    kind = value.entry.type
    if kind == "CHECKLIST":
        return {"checkedValues": list(answers)} if answers else value.payload
    if len(answers) != 1:
        return value.payload
    if kind == "SELECT":
        return {"selectKey": answers[0] if answers[0] in value.entry.options else None}
    return {"text": answers[0]}


def _answer_children(value: Value, answers: Mapping[str, Json]) -> tuple[Value, ...]:
    entries = {child.key: child for child in value.entry.children if child.is_classification}
    wanted = {_known(entries, key).id: items_of(given) for key, given in answers.items()}
    return tuple(
        answered(child, wanted[child.entry.id]) if child.entry.id in wanted else child
        for child in value.children
    )


def _geometry(entry: Entry, drawn: Mapping[str, Json], parent_id: str | None = None) -> Value:
    value = empty_values(entry, parent_id)
    value = attrs.evolve(value, payload=_payload(value, drawn))
    children = _answer_children(value, members_of(drawn.get("classifications")))
    nested = _nested(value, members_of(drawn.get("nested_geometries"))) if parent_id is None else ()
    return attrs.evolve(value, children=(*children, *nested))


def _nested(parent: Value, nested: Mapping[str, Json]) -> Iterable[Value]:
    entries = {entry.key: entry for entry in parent.entry.children if entry.is_geometry}
    for key, items in nested.items():
        for drawn in items_of(items):
            yield _geometry(_known(entries, key.lower(), key), members_of(drawn), parent.id)


def _payload(value: Value, drawn: Mapping[str, Json]) -> Mapping[str, Json]:
    payload = empty_payload(value.entry.type)
    for name in _MEMBERS:
        if name in drawn:
            payload = _read(value, objects_of(drawn[name]), payload)
    return payload


def _read(
    value: Value, points: Sequence[Mapping[str, Json]], payload: Mapping[str, Json]
) -> Mapping[str, Json]:
    kind = value.entry.type
    if kind == SEGMENTATION:
        raise refuse("ex_gen_entry_type_not_found", kind)
    if kind == "RECTANGLE":
        return _rectangle(points[-1]) if points else payload
    if any(point.keys() - {"x", "y"} for point in points):
        raise refuse("ex_gen_entry_value_validation", kind, value.id)
    pairs = [(_number(point.get("x")), _number(point.get("y"))) for point in points]
    if kind == "POINT":
        return dict(zip(("x", "y"), pairs[-1], strict=True)) if pairs else payload
    return {"points": points_view(pairs)}


def _rectangle(drawn: Mapping[str, Json]) -> Mapping[str, Json]:
    if drawn.keys() - {"x", "y", "w", "h"}:
        raise refuse("ex_gen_entry_type_not_found", "entry type")
    names = {"x": "x", "y": "y", "width": "w", "height": "h"}
    return {name: _number(drawn.get(short)) for name, short in names.items()}


def _number(value: Json) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        # The schema looks at x and y alone; here it is the w of what was given as a geometry.
        raise refuse("ex_system") from None


def _known(entries: Mapping[str, Entry], key: str, given: str | None = None) -> Entry:
    if key not in entries:
        raise refuse("ex_gen_wrong_entry_id", key if given is None else given)
    return entries[key]
