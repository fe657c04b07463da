"""Models as plain values for JSON."""

import enum
from collections.abc import Sequence
from typing import Any

import attrs


def plain(value: attrs.AttrsInstance) -> dict[str, Any]:
    """Return a model as JSON takes it: its attributes under their own names."""
    return attrs.asdict(value, value_serializer=_serialised)


def plain_list(values: Sequence[attrs.AttrsInstance]) -> list[dict[str, Any]]:
    """Return models as JSON takes them."""
    return [plain(each) for each in values]


def _serialised(_: object, __: object, value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value
