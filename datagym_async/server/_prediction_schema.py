"""The schema that an import of labels is held against, and the one text that tells what is wrong.

Pure. A problem is a JSON pointer with the sentences about it; the text lists them by the length of
the pointer. Nothing is stored when there is one, although the service then says 200.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from datagym_async.server._json import Json, as_list

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
_DIGITS: Final = "^[0-9]+$"


@attrs.frozen
class Problem:
    """What is wrong at one place of the document."""

    pointer: str
    sentences: Sequence[str]


Problems: TypeAlias = Iterator[Problem]
Check: TypeAlias = Callable[[Json, str], Problems]


def report(problems: Sequence[Problem]) -> str:
    """Return the text for these problems; an empty one for none."""
    if not problems:
        return ""
    places = sorted(problems, key=lambda problem: len(problem.pointer))
    parts = [f"Schema validation failed with {len(problems)} error(s)\n\n", *map(_part, places)]
    return "".join(parts)


def _part(problem: Problem) -> str:
    either = "Either: \n" if len(problem.sentences) > 1 else ""
    return f"{problem.pointer}\n{either}" + "\n".join(problem.sentences) + "\n\n"


def problems_of(document: Sequence[Json]) -> list[Problem]:
    """Return everything that is wrong with an import's array of items."""
    if not document:
        return [Problem("#", ["expected minimum item count: 1, found: 0"])]
    return [problem for n, item in enumerate(document) for problem in _item(item, f"#/{n}")]


def _item(item: Json, at: str) -> Problems:
    if not isinstance(item, Mapping):
        yield _wrong(at, "JSONObject", item)
        return
    checks: Mapping[str, Check] = {
        "internal_media_ID": _media_id,
        "keepData": _flag,
        "global_classifications": _classifications,
        "labels": _labels,
    }
    yield from _members(item, at, checks)


def _members(value: Mapping[str, Json], at: str, checks: Mapping[str, Check]) -> Problems:
    for name, check in checks.items():
        if name in value:
            yield from check(value[name], f"{at}/{name}")


def _each(value: Json, at: str, check: Check) -> Problems:
    """Demand an object and check each of its members."""
    if not isinstance(value, Mapping):
        yield _wrong(at, "JSONObject", value)
        return
    for name, member in value.items():
        yield from check(member, f"{at}/{name}")


def _all(value: Json, at: str, check: Check) -> Problems:
    """Demand an array and check each of its items."""
    items = as_list(value)
    if items is None:
        yield _wrong(at, "JSONArray", value)
        return
    for n, item in enumerate(items):
        yield from check(item, f"{at}/{n}")


def _media_id(value: Json, at: str) -> Problems:
    if not isinstance(value, str):
        yield _wrong(at, "String", value)


def _flag(value: Json, at: str) -> Problems:
    if not isinstance(value, bool):
        yield _wrong(at, "Boolean", value)


def _labels(value: Json, at: str) -> Problems:
    return _each(value, at, lambda items, where: _all(items, where, _geometry))


def _classifications(value: Json, at: str) -> Problems:
    return _each(value, at, _answers)


def _answers(value: Json, at: str) -> Problems:
    """An answer, then perhaps one more or what was asked below it, then more answers."""
    items = as_list(value)
    if items is None:
        yield _wrong(at, "JSONArray", value)
        return
    for n, item in enumerate(items):
        where = f"{at}/{n}"
        if n == 1 and isinstance(item, Mapping):
            yield from _classifications(item, where)
        elif not (isinstance(item, str) or (n == 0 and item is None)):
            allowed = (("String", "Null"), ("String", "JSONObject"), ("String",))[min(n, 2)]
            sentences = [
                sentence for kind in allowed for sentence in _wrong("", kind, item).sentences
            ]
            yield Problem(where, sentences)


def _geometry(value: Json, at: str) -> Problems:
    if not isinstance(value, Mapping):
        yield _wrong(at, "JSONObject", value)
        return
    extra = [name for name in value if name not in _GEOMETRY_KEYS]
    if extra:
        yield Problem(at, [f"extraneous key [{name}] is not permitted" for name in extra])
    yield from _shapes(value, at)
    if "classifications" in value:
        yield from _classifications(value["classifications"], f"{at}/classifications")
    nested = value.get("nested_geometries")
    if isinstance(nested, Mapping):
        where = f"{at}/nested_geometries"
        yield from _each(nested, where, lambda items, below: _all(items, below, _nested))


def _nested(value: Json, at: str) -> Problems:
    """A nested geometry; members that it does not know are let pass."""
    if not isinstance(value, Mapping):
        yield _wrong(at, "JSONObject", value)
        return
    if "additionalProperties" in value:
        # The schema means to forbid unknown members, and forbids one of that very name.
        yield Problem(at, ["false schema always fails"])
    yield from _shapes(value, at)
    if "classifications" in value:
        yield from _classifications(value["classifications"], f"{at}/classifications")


def _shapes(value: Mapping[str, Json], at: str) -> Problems:
    for name, (least, most) in _COUNTS.items():
        if name in value:
            yield from _shape(value[name], f"{at}/{name}", name, least, most)
    if "geometry" in value:
        yield from _all(value["geometry"], f"{at}/geometry", _loose_point)
    if "image_segmentation" in value and as_list(value["image_segmentation"]) is None:
        yield _wrong(f"{at}/image_segmentation", "JSONArray", value["image_segmentation"])


def _shape(value: Json, at: str, name: str, least: int, most: int | None) -> Problems:
    points = as_list(value)
    if points is None:
        yield _wrong(at, "JSONArray", value)
        return
    if len(points) < least:
        yield Problem(at, [f"expected minimum item count: {least}, found: {len(points)}"])
    if most is not None and len(points) > most:
        yield Problem(at, [f"expected maximum item count: {most}, found: {len(points)}"])
        return
    names = ("x", "y", "w", "h") if name == "rectangle" else ("x", "y")
    for n, point in enumerate(points):
        yield from _point(point, f"{at}/{n}", names, exact=name != "rectangle")


def _loose_point(value: Json, at: str) -> Problems:
    return _point(value, at, ("x", "y"), exact=False)


def _point(value: Json, at: str, names: Sequence[str], *, exact: bool) -> Problems:
    if not isinstance(value, Mapping):
        yield _wrong(at, "JSONObject", value)
        return
    sentences = []
    if exact and len(value) != len(names):
        bound = "minimum" if len(value) < len(names) else "maximum"
        sentences.append(f"{bound} size: [{len(names)}], found: [{len(value)}]")
    sentences += [f"required key [{name}] not found" for name in names if name not in value]
    if sentences:
        yield Problem(at, sentences)
    for name in names:
        if name in value:
            yield from _coordinate(value[name], f"{at}/{name}")


def _coordinate(value: Json, at: str) -> Problems:
    """A number that is not negative, or a text of digits."""
    if isinstance(value, str):
        if re.fullmatch(_DIGITS, value) is None:
            pattern = f"string [{value}] does not match pattern {_DIGITS}"
            yield Problem(at, [pattern, *_wrong(at, "Number", value).sentences])
    elif isinstance(value, bool) or not isinstance(value, int | float):
        number, text = (_wrong(at, kind, value).sentences[0] for kind in ("Number", "String"))
        yield Problem(at, [number, text])
    elif value < 0:
        sentences = _wrong(at, "String", value).sentences
        yield Problem(at, [f"{value} is not greater or equal to 0", *sentences])


def _wrong(at: str, expected: str, value: Json) -> Problem:
    return Problem(at, [f"expected type: {expected}, found: {_type_name(value)}"])


def _type_name(value: Json) -> str:
    if value is None:
        return "Null"
    names = ((bool, "Boolean"), (int, "Integer"), (float, "BigDecimal"), (str, "String"))
    for kind, name in names:
        if isinstance(value, kind):
            return name
    return "JSONObject" if isinstance(value, Mapping) else "JSONArray"
