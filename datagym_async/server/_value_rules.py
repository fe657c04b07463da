"""When a label value is complete: what completing a task demands. Pure."""

from collections.abc import Iterable
from typing import Final

from ._entries import SEGMENTATION
from ._json_parts import items_of
from ._value_tree import Value

__all__ = ["first_invalid", "is_valid"]

_LEAST_POINTS: Final = {"LINE": 2, "POLYGON": 3}


def first_invalid(values: Iterable[Value], *, video: bool) -> Value | None:
    """Return the first value that is not complete, or None.

    Args:
        values: The root values of a task.
        video: Whether the project is one of videos, in which a geometry needs keyframes; they are
            seeded, no route of this service makes any.
    """
    complete = _is_complete_in_video if video else is_valid
    drawn = (value for root in values for value in root.walk())
    return next((value for value in drawn if not complete(value)), None)


def _is_complete_in_video(value: Value) -> bool:
    if items_of(value.payload.get("change")):
        return True
    return value.entry.is_classification and is_valid(value)


def is_valid(value: Value) -> bool:
    """Tell whether a value is complete in itself."""
    payload, kind = value.payload, value.entry.type
    if kind in ("POINT", "RECTANGLE"):
        return None not in payload.values()
    if kind in _LEAST_POINTS:
        return len(items_of(payload.get("points"))) >= _LEAST_POINTS[kind]
    if kind == SEGMENTATION:
        return len(items_of(payload.get("pointsCollection"))) > 0
    return _is_answered(value)


def _is_answered(value: Value) -> bool:
    payload, entry = value.payload, value.entry
    if entry.type == "FREETEXT":
        text = payload.get("text")
        long = isinstance(text, str) and len(text) > (entry.max_length or 255)
        return not long and (bool(text) or not entry.required)
    if not entry.required:
        return True
    if entry.type == "SELECT":
        return payload.get("selectKey") in entry.options
    checked = items_of(payload.get("checkedValues"))
    return len(checked) > 0 and all(key in entry.options for key in checked)
