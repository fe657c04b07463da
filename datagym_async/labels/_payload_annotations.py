"""Answers, shapes and annotations as exports and imports write them.

Files of 200 MB are read here: valid data is read with as few steps as Python allows, and only
invalid data is checked corner by corner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from datagym_async._json import ShapeError, as_list, as_object, kind_of
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels._values import (
    FEWEST,
    NUMBERS,
    Annotation,
    Classification,
    Form,
    Incomplete,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
from datagym_async.models import EntryType


def _parts(kind: type, *names: str) -> tuple[Callable[..., Any], ...]:
    """Return functions that make an empty value of a class and set each attribute.

    A file has millions of values. Made in this way, one takes a third of the time of an `__init__`,
    which checks its arguments.
    """
    setters = (getattr(kind, name).__set__ for name in names)
    return (partial(object.__new__, kind), *setters)


# --- Answers: ["bus", {"damage": ["dent"]}] -------------------------------------------------------

ClassTypes: TypeAlias = Mapping[str, EntryType]
"""Key of an entry to its type, for the keys that are of one type throughout."""


_new_answer, _set_answered, _set_values, _set_children, _set_type = _parts(
    Classification, "key", "values", "children", "type"
)


def read_classifications(value: object, types: ClassTypes) -> tuple[Classification, ...]:
    """Return the roots of an object of classifications; `ShapeError` if it is something else."""
    if value is None:
        return ()
    found = []
    for key, items in as_object(value).items():
        try:
            found.append(_read_tree(key, items, types))
        except ShapeError as error:
            raise error.below(f".{key}") from None
    return tuple(found)


def _read_tree(key: str, value: object, types: ClassTypes) -> Classification:
    values: list[str | None] = []
    children: list[Classification] = []
    for index, item in enumerate(as_list(value)):
        if isinstance(item, dict) and item:
            try:
                children += read_classifications(item, types)
            except ShapeError as error:
                raise error.below(f"[{index}]") from None
        elif not children and (item is None or isinstance(item, str)):
            values.append(item)
        else:
            nested = "a nested classification was expected"
            due = nested if children else f"a text, null or {nested}"
            found = "an empty object" if item == {} else kind_of(item)
            raise ShapeError(f"{due}, not {found}", path=f"[{index}]")
    if not children:
        return _leaf(key, tuple(values), types.get(key))
    tree: Classification = _new_answer()
    _set_answered(tree, key)
    _set_values(tree, tuple(values))
    _set_children(tree, tuple(children))
    _set_type(tree, types.get(key))
    return tree


@lru_cache(maxsize=4096)
def _leaf(key: str, values: tuple[str | None, ...], kind: EntryType | None) -> Classification:
    """Return an answer without children: most are unset and share one value."""
    return Classification(key, values, (), kind)


def write_classifications(roots: Sequence[Classification]) -> dict[str, list[Any]]:
    """Return answers as exports and imports have them; `ConfigurationError` for two of one key."""
    written = {each.key: _write_tree(each) for each in roots}
    if len(written) != len(roots):
        keys = [each.key for each in roots]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigurationError(
            f"There are two answers to {twice!r}; give one answer for each key"
        )
    return written


def _write_tree(tree: Classification) -> list[Any]:
    return [*tree.values, *({child.key: _write_tree(child)} for child in tree.children)]


# --- Shapes ---------------------------------------------------------------------------------------

GEOMETRY: Final = "geometry"  # the member of older files, which does not say the type

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


def read_shape(member: str, payload: object, kind: EntryType | None = None) -> tuple[Shape, bool]:
    """Return the shape of a member of a geometry, and whether it has everything of the payload.

    If the member does not show its kind, the classes may. `ShapeError` if it is no shape.
    """
    items = as_list(payload)
    if member == GEOMETRY:
        is_box = kind is None and items and isinstance(items[0], dict) and "w" in items[0]
        guessed = EntryType.RECTANGLE if is_box else EntryType.UNKNOWN
        member = MEMBER_OF.get(kind or guessed, GEOMETRY)
    reader = _READERS.get(member)
    shape, exact = reader(items) if reader else (None, True)
    if shape is None:
        return Incomplete(SHAPE_MEMBERS[member] or kind, payload), True
    return shape, exact


Read = tuple[Shape | None, bool]


_new_point, _set_x, _set_y = _parts(Point, "x", "y")
_, _set_points = _parts(Polygon, "points")  # also for lines
_new_box, *_box_setters = _parts(Rectangle, "x", "y", "width", "height")
_set_left, _set_top, _set_width, _set_height = _box_setters


def _box(x: float, y: float, width: float, height: float) -> Rectangle:
    box: Rectangle = _new_box()
    _set_left(box, x)
    _set_top(box, y)
    _set_width(box, width)
    _set_height(box, height)
    return box


def _single(make: Callable[..., Shape], names: str, items: list[Any]) -> Read:
    """Read a shape that is one object of numbers: a point or a rectangle."""
    if len(items) != 1:
        return None, True
    sides, exact = _sides(items[0], names)
    return (make(*sides) if sides else None), exact


def _outline(kind: type[Line | Polygon], items: list[Any]) -> Read:
    """Read a shape of corners."""
    corners, exact = _corners(items)
    if corners is None or len(corners) < FEWEST[kind.type]:
        return None, exact
    shape = object.__new__(kind)
    _set_points(shape, corners)
    return shape, exact


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


_READERS: Final[Mapping[str, Callable[[list[Any]], Read]]] = {
    "point": partial(_single, Point, "xy"),
    "line": partial(_outline, Line),
    "polygon": partial(_outline, Polygon),
    "rectangle": partial(_single, _box, "xywh"),
    "image_segmentation": _segmentation,
}


def _sides(item: Any, names: str) -> tuple[list[Any] | None, bool]:
    """Return numbers, None for a missing or negative one, and whether they are complete."""
    try:
        numbers = [item[name] for name in names]
        if NUMBERS.issuperset(map(type, numbers)) and len(item) == len(names):
            return (numbers if min(numbers) >= 0 else None), True
    except (KeyError, TypeError):
        pass
    numbers = _numbers(item, names, "[0]")
    if None in numbers or min(numbers) < 0:
        return None, True
    return numbers, numbers == [*item.values()]


def _corners(items: list[Any]) -> tuple[tuple[Point, ...] | None, bool]:
    """Return corners, None for a missing or negative coordinate, and whether they are complete."""
    points: list[Point] = []
    try:
        for corner in items:
            x, y = corner["x"], corner["y"]
            if type(x) not in NUMBERS or type(y) not in NUMBERS or len(corner) != 2:
                break
            if not (x >= 0 <= y):
                break
            _set_x(point := _new_point(), x)
            _set_y(point, y)
            points.append(point)
        else:
            return tuple(points), True
    except (KeyError, TypeError):
        pass
    # Something is invalid: check one corner after the other.
    pairs = [_numbers(item, "xy", f"[{index}]") for index, item in enumerate(items)]
    if any(number is None or number < 0 for pair in pairs for number in pair):
        return None, True
    exact = all(pair == [*item.values()] for pair, item in zip(pairs, items, strict=True))
    return tuple(Point(x, y) for x, y in pairs), exact


def _numbers(item: Any, names: str, path: str) -> list[Any]:
    """Return coordinates, None for an unset one; imports may write digits as a text."""
    members, numbers = as_object(item, path=path), []
    for name in names:
        value = members.get(name, members)
        if value == "null":
            value = None
        elif isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
            value = int(value)
        if value is not None and type(value) not in NUMBERS:
            kind = f"a number was expected, not {kind_of(value)}"
            raise ShapeError("it is missing" if value is members else kind, path=f"{path}.{name}")
        numbers.append(value)
    return numbers


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


# --- Annotations, below the keys of their entries -------------------------------------------------

CLASSIFICATIONS: Final = "classifications"
NESTED: Final = "nested_geometries"


def read_annotations(
    value: object, types: ClassTypes, *, nested: bool = False
) -> tuple[Annotation, ...]:
    """Return the annotations of an object of lists; `nested` ones have none nested in them."""
    found = []
    for key, items in as_object({} if value is None else value).items():
        for index, item in enumerate(as_list(items, path=f".{key}")):
            try:
                found.append(_read(key, as_object(item), types, nested=nested))
            except ShapeError as error:
                raise error.below(f".{key}[{index}]") from None
    return tuple(found)


@lru_cache(maxsize=256)
def _sorted(names: tuple[str, ...], nested: bool) -> tuple[str | None, bool, bool, tuple[str, ...]]:
    """Return the member of the shape, whether there are answers and nested ones, and the others.

    Most annotations of a file have the same members.
    """
    shape = next((name for name in names if name in SHAPE_MEMBERS), None)
    known = {shape, CLASSIFICATIONS, *(() if nested else (NESTED,))}
    extra = tuple(name for name in names if name not in known)
    return shape, CLASSIFICATIONS in names, NESTED in names and not nested, extra


_form = lru_cache(maxsize=256)(Form)
_new_annotation, _set_key, _set_shape, _set_answers, _set_nested, _set_extra, _set_form = _parts(
    Annotation, "key", "shape", "classifications", "nested", "extra", "form"
)


def _read(key: str, item: dict[str, Any], types: ClassTypes, *, nested: bool) -> Annotation:
    names = tuple(item)
    member, has_answers, has_nested, others = _sorted(names, nested)
    at = member
    shape: Shape
    try:
        if at is None:
            shape, exact = Incomplete(types.get(key), None), True
        else:
            shape, exact = read_shape(at, item[at], types.get(key) if at == GEOMETRY else None)
        at = CLASSIFICATIONS
        answers = read_classifications(item[at], types) if has_answers else ()
        at = NESTED
        below = item[at] if has_nested else None
        inner = read_annotations(below, types, nested=True) if below else ()
    except ShapeError as error:
        raise error.below(f".{at}") from None
    form = _form(names, tuple(below) if below else ())
    if not exact and member:
        form = Form(names, form.keys, {member: (item[member], shape)})
    extra = {name: item[name] for name in others} if others else {}
    read: Annotation = _new_annotation()
    _set_key(read, key)
    _set_shape(read, shape)
    _set_answers(read, answers)
    _set_nested(read, inner)
    _set_extra(read, extra)
    _set_form(read, form)
    return read


def write_annotations(
    annotations: Iterable[Annotation], *, keys: Iterable[str] = (), as_read: bool, nested: bool
) -> dict[str, list[Any]]:
    """Return annotations as exports and imports have them.

    The keys are there, in this order, even if there is no annotation of them. Each is written with
    the members that it was read from, if that is wanted.
    """
    written: dict[str, list[Any]] = {key: [] for key in keys}
    for each in annotations:
        payload = _write(each, as_read=as_read, nested=nested)
        written.setdefault(each.key, []).append(payload)
    return written


def _write(each: Annotation, *, as_read: bool, nested: bool) -> dict[str, Any]:
    form = (each.form if as_read else None) or Form()
    # The member of the shape: as it was read, none where there is no shape at all.
    member: str | None = GEOMETRY
    if not form.has(GEOMETRY) or GEOMETRY in each.extra:
        if isinstance(each.shape, Incomplete) and each.shape.payload is None:
            member = None
        elif each.shape.type:
            member = MEMBER_OF.get(each.shape.type, GEOMETRY)
    keys = form.keys if as_read else ()
    values = {
        CLASSIFICATIONS: write_classifications(each.classifications),
        NESTED: write_annotations(each.nested, keys=keys, as_read=as_read, nested=True),
    }
    if member is not None:
        values = {member: form.written(member, each.shape, write_shape), **values}
    if as_read:
        values |= each.extra
    usual = () if nested else (NESTED,)
    return form.ordered(values, usual=(*([member] if member else ()), CLASSIFICATIONS, *usual))
