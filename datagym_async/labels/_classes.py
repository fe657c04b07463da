"""The classes that an export lists before its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from datagym_async.labels._json import ShapeError, as_list, as_object, as_text
from datagym_async.models import EntryType


@attrs.frozen
class LabelClass:
    """One entry of the label configuration as an export lists it, without its place in the tree.

    Args:
        name: Key of the entry; it repeats where a key is used in several trees.
        geometry_type: Type of a geometry, or None.
        classification_type: Type of a classification, or None. Segmentations are listed here.
        extra: Members of the file that this package does not know, kept for the way back.
    """

    name: str
    geometry_type: EntryType | None = None
    classification_type: EntryType | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False, hash=False)

    @property
    def type(self) -> EntryType | None:
        """Return its type, whichever member says it."""
        return self.geometry_type or self.classification_type


ClassTypes: TypeAlias = Mapping[str, EntryType]
"""Key of an entry to its type, for the keys that are of one type throughout."""


def class_types(classes: Iterable[LabelClass]) -> dict[str, EntryType]:
    """Return the type of each key that has the same type in all trees it is used in."""
    found: dict[str, EntryType | None] = {}
    for each in classes:
        found[each.name] = each.type if found.get(each.name, each.type) is each.type else None
    return {name: kind for name, kind in found.items() if kind is not None}


_TYPES = ("geometry_type", "classification_type")


def parse_classes(value: object) -> tuple[LabelClass, ...]:
    """Return the classes of an export's first element.

    Args:
        value: What its member ``label_classes`` holds.

    Raises:
        ConfigurationError: It is something else; the text says where.
    """
    found = []
    for index, item in enumerate(as_list(value)):
        try:
            found.append(_parse_class(as_object(item)))
        except ShapeError as error:
            raise error.below(f"[{index}]") from None
    return tuple(found)


def _parse_class(item: dict[str, Any]) -> LabelClass:
    types = {
        member: EntryType(as_text(item[member], path=f".{member}"))
        for member in _TYPES
        if item.get(member) is not None
    }
    return LabelClass(
        as_text(item.get("class_name"), path=".class_name"),
        **types,
        extra={name: value for name, value in item.items() if _is_kept(name, value, types)},
    )


def _is_kept(name: str, value: object, types: Mapping[str, EntryType]) -> bool:
    """Return whether a member would be lost: an unknown one, or a word that is not known."""
    if name in types:
        return types[name].value.lower() != value
    return name != "class_name"


def class_payload(each: LabelClass) -> dict[str, Any]:
    """Return a class as an export has it."""
    types = {member: getattr(each, member) for member in _TYPES}
    written = {member: kind.value.lower() for member, kind in types.items() if kind is not None}
    return {"class_name": each.name, **written, **each.extra}
