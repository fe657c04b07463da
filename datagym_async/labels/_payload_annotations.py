"""Annotations as exports and imports write them, below the keys of their entries."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import attrs

from datagym_async.labels._json import ShapeError, as_list, as_object
from datagym_async.labels._payload_classifications import (
    read_classifications,
    write_classifications,
)
from datagym_async.labels._payload_shapes import (
    GEOMETRY,
    MEMBER_OF,
    SHAPE_MEMBERS,
    read_shape,
    write_shape,
)
from datagym_async.labels._shapes import Incomplete, Shape
from datagym_async.labels._values import Annotation, Form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datagym_async.labels._classes import ClassTypes

CLASSIFICATIONS: Final = "classifications"
NESTED: Final = "nested_geometries"


# --- reading -------------------------------------------------------------------------------------


def read_annotations(
    value: object, types: ClassTypes, *, nested: bool = False
) -> tuple[Annotation, ...]:
    """Return the annotations of an object of lists of them.

    Args:
        value: JSON values, or None.
        types: The types of the keys, as far as they are known.
        nested: Whether these are nested in another one: then nothing is nested in them.

    Raises:
        ShapeError: It is something else.
    """
    found = []
    for key, items in as_object({} if value is None else value).items():
        for index, item in enumerate(as_list(items, path=f".{key}")):
            try:
                found.append(_read(key, as_object(item), types, nested=nested))
            except ShapeError as error:
                raise error.below(f".{key}[{index}]") from None
    return tuple(found)


@attrs.frozen
class _Plan:
    """What the members of an annotation are."""

    shape: str | None
    classifications: bool
    nested: bool
    extra: tuple[str, ...]


@lru_cache(maxsize=256)
def _plan(members: tuple[str, ...], nested: bool) -> _Plan:
    shape = next((name for name in members if name in SHAPE_MEMBERS), None)
    known = {shape, CLASSIFICATIONS, *(() if nested else (NESTED,))}
    return _Plan(
        shape,
        CLASSIFICATIONS in members,
        NESTED in members and not nested,
        tuple(name for name in members if name not in known),
    )


@lru_cache(maxsize=256)
def _form(members: tuple[str, ...], keys: tuple[str, ...]) -> Form:
    return Form(members, keys)


def _read(key: str, item: dict[str, Any], types: ClassTypes, *, nested: bool) -> Annotation:
    members = tuple(item)
    plan = _plan(members, nested)
    shape, exact = _read_shape(plan.shape, key, item, types)
    below = item[NESTED] if plan.nested else None
    form = _form(members, tuple(below) if below else ())
    if plan.shape and not exact:
        form = Form(members, form.keys, {plan.shape: (item[plan.shape], shape)})
    return Annotation(
        key,
        shape,
        _read_classifications(item, types) if plan.classifications else (),
        _read_nested(below, types) if below else (),
        extra={name: item[name] for name in plan.extra} if plan.extra else {},
        form=form,
    )


def _read_shape(
    member: str | None, key: str, item: dict[str, Any], types: ClassTypes
) -> tuple[Shape, bool]:
    if member is None:
        return Incomplete(types.get(key), None), True
    try:
        return read_shape(member, item[member], types.get(key) if member == GEOMETRY else None)
    except ShapeError as error:
        raise error.below(f".{member}") from None


def _read_classifications(item: dict[str, Any], types: ClassTypes) -> tuple[Any, ...]:
    try:
        return read_classifications(item[CLASSIFICATIONS], types)
    except ShapeError as error:
        raise error.below(f".{CLASSIFICATIONS}") from None


def _read_nested(value: object, types: ClassTypes) -> tuple[Annotation, ...]:
    try:
        return read_annotations(value, types, nested=True)
    except ShapeError as error:
        raise error.below(f".{NESTED}") from None


# --- writing -------------------------------------------------------------------------------------


def write_annotations(
    annotations: Iterable[Annotation], *, keys: Iterable[str] = (), as_read: bool, nested: bool
) -> dict[str, list[Any]]:
    """Return annotations as exports and imports have them.

    Args:
        annotations: The annotations.
        keys: Keys to be there even if there is no annotation of them, in this order.
        as_read: Whether each is written with the members that it was read from.
        nested: Whether these are nested in another one.
    """
    written: dict[str, list[Any]] = {key: [] for key in keys}
    for each in annotations:
        payload = _write(each, as_read=as_read, nested=nested)
        written.setdefault(each.key, []).append(payload)
    return written


def _write(each: Annotation, *, as_read: bool, nested: bool) -> dict[str, Any]:
    form = (each.form if as_read else None) or Form()
    member = _member(each, form)
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


def _member(each: Annotation, form: Form) -> str | None:
    """Return the member that a shape is written under, None where there is no shape at all."""
    if form.has(GEOMETRY) and GEOMETRY not in each.extra:
        return GEOMETRY
    kind = each.shape.type
    if isinstance(each.shape, Incomplete) and each.shape.payload is None:
        return None
    return MEMBER_OF.get(kind, GEOMETRY) if kind else GEOMETRY
