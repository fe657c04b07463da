"""Objects in videos, which no route can make: keyframes as people draw them in the editor."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import attrs

from ._entries import Entry, load_entries
from ._label_tasks import find_label_task
from ._render import Json
from ._service import Service
from ._store import new_id
from ._value_tree import Value, empty_payload, empty_values, insert_values, points_view
from ._video_view import change_members

__all__ = ["FrameType", "SeedKeyframe", "SeedVideoObject", "add_video_objects"]

FrameType = Literal["START", "CHANGE", "END", "START_END"]


@attrs.frozen
class SeedKeyframe:
    """What changed about an object at one frame.

    Attributes:
        frame: Number of the frame, counted from 0.
        shape: Its coordinates in one row: x, y of a point, x, y, width, height of a rectangle, all
            points of a line or polygon; None where only an answer changed. What is missing was
            never set.
        type: What it does to the object's visibility.
        answers: By the key of a question at any depth, the chosen option, the ticked ones or the
            text; an empty sequence takes an answer back.
    """

    frame: int
    shape: Sequence[float] | None = None
    type: FrameType = "CHANGE"
    answers: Mapping[str, Sequence[str]] = attrs.field(factory=dict)


@attrs.frozen
class SeedVideoObject:
    """An object in a video, under the key of a geometry of the label configuration."""

    key: str
    keyframes: Sequence[SeedKeyframe] = ()


async def add_video_objects(
    service: Service, task_id: str, objects: Sequence[SeedVideoObject]
) -> list[str]:
    """Draw objects into the video of a task and return their ids.

    Raises:
        LookupError: The configuration has no geometry of that key.
    """
    async with service.store.writing() as db:
        found = await find_label_task(db, task_id)
        tree = await load_entries(db, found.project["config_id"])
        entries = {entry.key: entry for entry in tree.roots if entry.is_geometry}
        values = [_value(_entry(entries, each.key), each) for each in objects]
        await insert_values(db, found.id, values)
    return [value.id for value in values]


def _entry(entries: Mapping[str, Entry], key: str) -> Entry:
    if key.lower() not in entries:
        raise LookupError(f"The label configuration has no geometry {key!r} for a seeded object.")
    return entries[key.lower()]


def _value(entry: Entry, drawn: SeedVideoObject) -> Value:
    value = empty_values(entry)
    changes = [
        _change(entry.type, each, _coordinates(entry.type, each.shape))
        for each in drawn.keyframes
        if each.shape is not None
    ]
    children = tuple(_answered(child, drawn.keyframes) for child in value.children)
    payload = {**value.payload, "change": changes}
    return attrs.evolve(value, payload=payload, children=children)


def _answered(value: Value, keyframes: Sequence[SeedKeyframe]) -> Value:
    entry = value.entry
    changes = [
        _change(entry.type, each, _answer(entry.type, each.answers[entry.key]))
        for each in keyframes
        if entry.key in each.answers
    ]
    children = tuple(_answered(child, keyframes) for child in value.children)
    payload = {**value.payload, "change": changes}
    return attrs.evolve(value, payload=payload, children=children)


def _change(kind: str, keyframe: SeedKeyframe, payload: Mapping[str, Json]) -> Json:
    head: dict[str, Json] = {"id": new_id(), "frameNumber": keyframe.frame, "type": keyframe.type}
    return {**head, "kind": kind, **change_members(kind, payload)}


def _coordinates(kind: str, shape: Sequence[float] | None) -> Mapping[str, Json]:
    numbers: list[float | None] = [float(number) for number in shape or ()]
    if kind in ("POINT", "RECTANGLE"):
        return dict(zip(empty_payload(kind), [*numbers, *[None] * 4], strict=False))
    return {"points": points_view(list(pairwise(numbers))[::2])}


def _answer(kind: str, given: Sequence[str]) -> Mapping[str, Json]:
    if kind == "CHECKLIST":
        return {"checkedValues": list(given)}
    return {"selectKey" if kind == "SELECT" else "text": given[0] if given else None}
