"""What the labels of a video look like in its export, the service's mistakes included. Pure.

A value of a video has its keyframes as `change` in its payload, each with the frame's number, what
it does to the object's visibility, and the members of its type. Known mistakes, all kept: of a line
or polygon only the last point is written, with a capital Y; a rectangle that is not complete, a
checklist without a tick and a question whose answer did not change are the text "null".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ._json_parts import items_of, members_of, objects_of
from ._render import Json
from ._value_tree import Value

__all__ = ["change_members", "keyframes_view", "visible_frames"]

# The text that stands for nothing.
_NULL: Final = "null"


def change_members(kind: str, payload: Mapping[str, Json]) -> dict[str, Json]:
    """Return the members of a keyframe: those of the value, but a point stays a point."""
    if kind == "POINT":
        return {"point": dict(payload)}
    return dict(payload)


def visible_frames(values: Iterable[Value]) -> dict[str, Json]:
    """Return, by the frame's number, which objects are seen there: from each START to its END."""
    frames: dict[str, list[Json]] = {}
    for value in values:
        if value.entry.is_geometry:
            for frame in _frames_of(_changes(value)):
                frames.setdefault(str(frame), []).append({"visibleObjectId": value.id})
    return dict(frames)


def _frames_of(changes: Sequence[Mapping[str, Json]]) -> Iterator[int]:
    start: int | None = None
    for change in changes:
        frame, kind = _frame(change), change.get("type")
        if kind == "START_END":
            yield frame
        elif kind == "START":
            start = frame
        elif kind == "END" and start is not None:
            yield from range(start, frame + 1)
            start = None


def keyframes_view(value: Value) -> dict[str, Json]:
    """Return the keyframes of an object by their frames' numbers; of a question there are none."""
    if value.entry.is_classification:
        return {}
    view: dict[str, dict[str, Json]] = {}
    for change in _changes(value):
        drawn = {value.entry.type.lower(): [_drawn(value.entry.type, change)]}
        view.setdefault(str(_frame(change)), {}).update(drawn)
    for child in value.children:
        for frame in _frames_below(child):
            keyframe = view.setdefault(str(frame), {})
            answers: dict[str, Json] = {child.entry.key: _answers(child, frame)}
            keyframe["classifications"] = {**members_of(keyframe.get("classifications")), **answers}
    return dict(view)


def _drawn(kind: str, change: Mapping[str, Json]) -> dict[str, Json]:
    if kind == "RECTANGLE":
        return _rectangle(change)
    points = [change.get("point")] if kind == "POINT" else change.get("points")
    last = (objects_of(points) or [{}])[-1]
    pairs = {"x": last.get("x"), "Y": last.get("y")}
    return {name: number for name, number in pairs.items() if number is not None}


def _rectangle(change: Mapping[str, Json]) -> dict[str, Json]:
    names = {"x": "x", "y": "y", "w": "width", "h": "height"}
    given = {short: change.get(name) for short, name in names.items()}
    cut: dict[str, Json] = {
        name: int(number)
        for name, number in given.items()
        if isinstance(number, int | float) and number >= 0
    }
    return cut if len(cut) == len(names) else dict.fromkeys(names, _NULL)


def _frames_below(value: Value) -> list[int]:
    """Return the frames at which an answer changed, or one below it, in order."""
    return sorted({_frame(change) for each in value.walk() for change in _changes(each)})


def _answers(value: Value, frame: int) -> Json:
    change = next((each for each in _changes(value) if _frame(each) == frame), None)
    own: Sequence[Json] = [_NULL] if change is None else _own(value.entry.type, change)
    below = [child for child in value.children if frame in _frames_below(child)]
    return [*own, *({child.entry.key: _answers(child, frame)} for child in below)]


def _own(kind: str, change: Mapping[str, Json]) -> Sequence[Json]:
    if kind == "CHECKLIST":
        return items_of(change.get("checkedValues")) or [_NULL]
    return [change.get("selectKey" if kind == "SELECT" else "text")]


def _changes(value: Value) -> list[Mapping[str, Json]]:
    return sorted(objects_of(value.payload.get("change")), key=_frame)


def _frame(change: Mapping[str, Json]) -> int:
    number = change.get("frameNumber")
    return number if isinstance(number, int) else 0
