"""Looking into JSON of which nothing is known: what is not of the wished shape counts as empty."""

from collections.abc import Mapping, Sequence

from ._render import Json

__all__ = ["as_list", "items_of", "members_of", "objects_of"]


def as_list(value: Json) -> Sequence[Json] | None:
    """Return an array, or None for anything else; a text is none."""
    return value if isinstance(value, Sequence) and not isinstance(value, str) else None


def items_of(value: Json) -> Sequence[Json]:
    """Return the items of an array, or none."""
    return as_list(value) or []


def objects_of(value: Json) -> list[Mapping[str, Json]]:
    """Return the objects among the items of an array."""
    return [item for item in items_of(value) if isinstance(item, Mapping)]


def members_of(value: Json) -> Mapping[str, Json]:
    """Return an object, or an empty one."""
    return value if isinstance(value, Mapping) else {}
