"""The schema of an import of labels, and the text of its errors.

A problem is a JSON pointer with the sentences about it; the text lists them by the length of the
pointer. If there is one, nothing is stored, although the service answers 200.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final, TypeAlias

import attrs

from datagym_async.server._answers import Json

_GEOMETRY_KEYS: Final = frozenset(
    {
        *("geometry", "rectangle", "polygon", "point", "line", "image_segmentation"),
        *("classifications", "nested_geometries"),
    }
)
_COUNTS: Final[Mapping[str, tuple[int, int | None]]] = {
    "point": (1, 1),
    "rectangle": (1, 1),
    "line": (2, None),
    "polygon": (3, None),
}
_TYPES: Final[Sequence[tuple[type, str]]] = (
    *((type(None), "Null"), (bool, "Boolean"), (int, "Integer"), (float, "BigDecimal")),
    *((str, "String"), (Mapping, "JSONObject"), (object, "JSONArray")),
)
_DIGITS: Final = "^[0-9]+$"


@attrs.frozen
class Problem:
    pointer: str
    sentences: Sequence[str]


Problems: TypeAlias = Iterator[Problem]
Check: TypeAlias = Callable[[Any, str], Problems]


def report(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    parts = [f"Schema validation failed with {len(problems)} error(s)\n\n"]
    for problem in sorted(problems, key=lambda problem: len(problem.pointer)):
        either = "Either: \n" if len(problem.sentences) > 1 else ""
        parts.append(f"{problem.pointer}\n{either}" + "\n".join(problem.sentences) + "\n\n")
    return "".join(parts)


def problems_of(document: Sequence[Json]) -> list[Problem]:
    if not document:
        return [Problem("#", ["expected minimum item count: 1, found: 0"])]
    return list(_each("JSONArray", _item, document, "#"))


def _type_name(value: object) -> str:
    return next(name for kind, name in _TYPES if isinstance(value, kind))


def _wrong(value: object, *expected: str) -> list[str]:
    return [f"expected type: {kind}, found: {_type_name(value)}" for kind in expected]


def _typed(expected: str, check: Check, value: Json, at: str) -> Problems:
    """Require a type, and check the value if it has it."""
    if _type_name(value) == expected:
        yield from check(value, at)
    else:
        yield Problem(at, _wrong(value, expected))


def _each(expected: str, check: Check, value: Json, at: str) -> Problems:
    """Require an object or an array, and check each member or item."""

    def inside(members: Any, at: str) -> Problems:
        pairs = members.items() if expected == "JSONObject" else enumerate(members)
        return chain.from_iterable(check(member, f"{at}/{name}") for name, member in pairs)

    return _typed(expected, inside, value, at)


def _members(checks: Mapping[str, Check], value: Mapping[str, Json], at: str) -> Problems:
    there = (name for name in checks if name in value)
    return chain.from_iterable(checks[name](value[name], f"{at}/{name}") for name in there)


def _anything(value: Json, at: str) -> Problems:
    return iter(())


def _answers(items: Sequence[Json], at: str) -> Problems:
    """An answer, then perhaps another one or the nested questions, then more answers."""
    for n, item in enumerate(items):
        if n == 1 and isinstance(item, Mapping):
            yield from _classifications(item, f"{at}/{n}")
        elif not (isinstance(item, str) or (n == 0 and item is None)):
            allowed = (("String", "Null"), ("String", "JSONObject"), ("String",))[min(n, 2)]
            yield Problem(f"{at}/{n}", _wrong(item, *allowed))


def _geometry(value: Mapping[str, Json], at: str) -> Problems:
    extra = [name for name in value if name not in _GEOMETRY_KEYS]
    if extra:
        yield Problem(at, [f"extraneous key [{name}] is not permitted" for name in extra])
    yield from _members(_DRAWN, value, at)
    if isinstance(value.get("nested_geometries"), Mapping):
        yield from _members({"nested_geometries": _geometries(_nested)}, value, at)


def _nested(value: Mapping[str, Json], at: str) -> Problems:
    """A nested geometry; unknown members are allowed."""
    if "additionalProperties" in value:
        # The schema means to forbid unknown members, and forbids one of that very name.
        yield Problem(at, ["false schema always fails"])
    yield from _members(_DRAWN, value, at)


def _shape(name: str, points: Sequence[Json], at: str) -> Problems:
    least, most = _COUNTS[name]
    if len(points) < least:
        yield Problem(at, [f"expected minimum item count: {least}, found: {len(points)}"])
    if most is not None and len(points) > most:
        yield Problem(at, [f"expected maximum item count: {most}, found: {len(points)}"])
        return
    point = partial(_point, "xywh", exact=False) if name == "rectangle" else partial(_point, "xy")
    yield from _each("JSONArray", partial(_typed, "JSONObject", point), points, at)


def _point(names: str, value: Mapping[str, Json], at: str, *, exact: bool = True) -> Problems:
    sentences = [f"required key [{name}] not found" for name in names if name not in value]
    if exact and len(value) != len(names):
        bound = "minimum" if len(value) < len(names) else "maximum"
        sentences.insert(0, f"{bound} size: [{len(names)}], found: [{len(value)}]")
    if sentences:
        yield Problem(at, sentences)
    yield from _members(dict.fromkeys(names, _coordinate), value, at)


def _coordinate(value: Json, at: str) -> Problems:
    """A number that is not negative, or a text of digits."""
    if isinstance(value, str):
        if re.fullmatch(_DIGITS, value) is None:
            pattern = f"string [{value}] does not match pattern {_DIGITS}"
            yield Problem(at, [pattern, *_wrong(value, "Number")])
    elif isinstance(value, bool) or not isinstance(value, int | float):
        yield Problem(at, _wrong(value, "Number", "String"))
    elif value < 0:
        yield Problem(at, [f"{value} is not greater or equal to 0", *_wrong(value, "String")])


def _geometries(check: Check) -> Check:
    """Return the check of an object of arrays of geometries."""
    items = partial(_each, "JSONArray", partial(_typed, "JSONObject", check))
    return partial(_each, "JSONObject", items)


_loose_point: Final = partial(_typed, "JSONObject", partial(_point, "xy", exact=False))
_classifications: Final = partial(_each, "JSONObject", partial(_typed, "JSONArray", _answers))
# What nested geometries and those at the root have in common.
_DRAWN: Final[Mapping[str, Check]] = {
    **{name: partial(_typed, "JSONArray", partial(_shape, name)) for name in _COUNTS},
    "geometry": partial(_each, "JSONArray", _loose_point),
    "image_segmentation": partial(_typed, "JSONArray", _anything),
    "classifications": _classifications,
}
_MEMBERS: Final[Mapping[str, Check]] = {
    "internal_media_ID": partial(_typed, "String", _anything),
    "keepData": partial(_typed, "Boolean", _anything),
    "global_classifications": _classifications,
    "labels": _geometries(_geometry),
}
_item: Final = partial(_typed, "JSONObject", partial(_members, _MEMBERS))
