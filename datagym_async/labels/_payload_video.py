"""A video's labels as the service exports them, with what it is known to write wrongly.

Observed in the service's source: of a line or polygon only the last point is written, and of every
point the ordinate as a capital Y; a rectangle that is not complete, a checklist without a tick and
an answer that did not change are the text "null".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from datagym_async.labels._json import ShapeError, as_list, as_object, as_text
from datagym_async.labels._payload_annotations import (
    MEMBER_OF,
    SHAPE_MEMBERS,
    read_classifications,
    read_shape,
    write_classifications,
    write_shape,
)
from datagym_async.labels._shapes import Incomplete, Shape
from datagym_async.labels._values import Classification, Form
from datagym_async.labels._video import FrameRange, Keyframe, VideoLabels, VideoObject
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from datagym_async.models import LabelValue

_FRAMES: Final = "frames"
_OBJECTS: Final = "object"
_SEEN: Final = "visibleObjectId"
_ANSWERS: Final = "classifications"
_NULL: Final = "null"


# --- reading -------------------------------------------------------------------------------------


def parse_video(document: object) -> VideoLabels:
    """Return the export of one video as values.

    Args:
        document: The JSON values of the file.

    Raises:
        ConfigurationError: It is no export of a video; the text says where it is not.
    """
    video = as_object(document)
    frames = {
        _number(frame, f".{_FRAMES}"): _seen(frame, ids)
        for frame, ids in as_object(video.get(_FRAMES) or {}, path=f".{_FRAMES}").items()
    }
    runs = _runs(frames)
    objects = {}
    for key, value in as_object(video.get(_OBJECTS) or {}, path=f".{_OBJECTS}").items():
        path = f".{_OBJECTS}.{key}"
        keyframes = []
        for frame, keyframe in as_object(value, path=path).items():
            number = _number(frame, path)
            try:
                keyframes.append(_keyframe(number, as_object(keyframe)))
            except ShapeError as error:
                raise error.below(f"{path}.{frame}") from None
        objects[key] = VideoObject(key, None, keyframes, runs.get(key, ()))
    return VideoLabels(
        frames,
        objects,
        tuple(_notes(objects.values())),
        extra={name: value for name, value in video.items() if name not in {_FRAMES, _OBJECTS}},
        form=Form(tuple(video)),
    )


def _seen(frame: str, value: object) -> tuple[str, ...]:
    path = f".{_FRAMES}.{frame}"
    ids = []
    for index, item in enumerate(as_list(value, path=path)):
        seen = as_object(item, path=f"{path}[{index}]").get(_SEEN)
        ids.append(as_text(seen, path=f"{path}[{index}].{_SEEN}"))
    return tuple(ids)


def _number(frame: str, path: str) -> int:
    if frame.isascii() and frame.isdecimal() and len(frame) < 20:
        return int(frame)
    raise ShapeError("the number of a frame was expected", path=f"{path}.{frame}")


def _runs(frames: Mapping[int, tuple[str, ...]]) -> dict[str, list[FrameRange]]:
    """Return, for each object, the runs of frames in which it is seen."""
    runs: dict[str, list[FrameRange]] = {}
    for frame in sorted(frames):
        for each in frames[frame]:
            own = runs.setdefault(each, [])
            if own and frame - own[-1].last <= 1:
                own[-1] = FrameRange(own[-1].first, frame)
            else:
                own.append(FrameRange(frame, frame))
    return runs


def _keyframe(frame: int, value: dict[str, Any]) -> Keyframe:
    member = next((name for name in value if name in SHAPE_MEMBERS), None)
    raw: dict[str, tuple[Any, Any]] = {}
    shape = None
    if member is not None:
        shape, exact = _shape(member, value[member])
        raw |= {} if exact else {member: (value[member], shape)}
    answers = _answers(value.get(_ANSWERS))
    if write_classifications(answers) != value.get(_ANSWERS, {}):
        raw[_ANSWERS] = (value.get(_ANSWERS), answers)
    unknown = {name: item for name, item in value.items() if name not in {member, _ANSWERS}}
    return Keyframe(frame, shape, answers, extra=unknown, form=Form(tuple(value), raw=raw))


def _shape(member: str, payload: object) -> tuple[Shape, bool]:
    items, kind = as_list(payload, path=f".{member}"), SHAPE_MEMBERS[member]
    if {} in items:  # what the service writes of a shape without points
        return Incomplete(kind, payload), True
    repaired = [
        {"y" if name == "Y" else name: value for name, value in item.items()}
        if isinstance(item, dict) and "Y" in item and "y" not in item
        else item
        for item in items
    ]
    try:
        shape, exact = read_shape(member, repaired)
    except ShapeError as error:
        raise error.below(f".{member}") from None
    if isinstance(shape, Incomplete):
        return Incomplete(kind, payload), True
    return shape, exact and repaired == items


def _answers(value: object) -> tuple[Classification, ...]:
    try:
        return tuple(_without_null(each) for each in read_classifications(value, {}))
    except ShapeError as error:
        raise error.below(f".{_ANSWERS}") from None


def _without_null(answer: Classification) -> Classification:
    """Return an answer without the text "null": unset, or not changed where a nested one was."""
    children = tuple(_without_null(each) for each in answer.children)
    unset: tuple[None, ...] = () if children else (None,)
    values = unset if answer.values == (_NULL,) else answer.values
    return attrs.evolve(answer, values=values, children=children)


def _notes(objects: Iterable[VideoObject]) -> Iterator[str]:
    for each in objects:
        cut = [k.frame for k in each.keyframes if _is_cut(k.shape)]
        if cut and each.type is not None:
            kind = each.type.lower()
            yield f"object {each.id}: the service exports only the last point of a {kind}{_at(cut)}"
        drawn = [k.frame for k in each.keyframes if k.form and _has_capital(k.form)]
        if drawn:
            yield f"object {each.id}: a capital Y was read as y{_at(drawn)}"
        unset = [k.frame for k in each.keyframes if k.form and _ANSWERS in k.form.raw]
        if unset:
            yield f'object {each.id}: the text "null" was read as an unset answer{_at(unset)}'


def _is_cut(shape: Shape | None) -> bool:
    if not isinstance(shape, Incomplete) or shape.type not in {EntryType.LINE, EntryType.POLYGON}:
        return False
    return any(isinstance(item, dict) and "Y" in item for item in shape.payload)


def _has_capital(form: Form) -> bool:
    raws = (raw for member, (raw, _) in form.raw.items() if member != _ANSWERS)
    return any("Y" in item for raw in raws for item in raw)


def _at(frames: list[int]) -> str:
    """Return where, and no more than a few frames of many."""
    shown = ", ".join(map(str, frames[:5]))
    plural, more = "s" if len(frames) > 1 else "", ", ..." if len(frames) > 5 else ""
    return f" ({len(frames)} keyframe{plural}, at frame {shown}{more})"


# --- what the task says --------------------------------------------------------------------------


def with_keys(labels: VideoLabels, values: Iterable[LabelValue]) -> VideoLabels:
    """Return a video's labels with what its export leaves out and its task says.

    Args:
        labels: As exported.
        values: The label values of the task (`TaskDetail.label_iteration`); an object has the id
            of its value.
    """
    objects = dict(labels.objects)
    for value in values:
        if each := objects.get(value.id):
            types = dict(_types(value.children))
            keyframes = (
                attrs.evolve(k, classifications=(_with_type(c, types) for c in k.classifications))
                for k in each.keyframes
            )
            objects[value.id] = attrs.evolve(each, key=value.entry_key, keyframes=keyframes)
    return attrs.evolve(labels, objects=objects)


def _types(values: Iterable[LabelValue]) -> Iterator[tuple[str, EntryType]]:
    for each in values:
        yield each.entry_key, each.entry_type
        yield from _types(each.children)


def _with_type(answer: Classification, types: Mapping[str, EntryType]) -> Classification:
    children = (_with_type(each, types) for each in answer.children)
    return attrs.evolve(answer, type=types.get(answer.key), children=children)


# --- writing -------------------------------------------------------------------------------------


def to_video_payload(labels: VideoLabels) -> dict[str, Any]:
    """Return a video's labels as an export has them; what was read gives what was read.

    The keys of objects have no place in it.
    """
    frames = {str(frame): [{_SEEN: key} for key in ids] for frame, ids in labels.frames.items()}
    objects = {
        key: {str(keyframe.frame): _written(keyframe) for keyframe in each.keyframes}
        for key, each in labels.objects.items()
    }
    form = labels.form or Form()
    values = {_FRAMES: frames, _OBJECTS: objects, **labels.extra}
    return form.ordered(values, usual=(_FRAMES, _OBJECTS))


def _written(keyframe: Keyframe) -> dict[str, Any]:
    form, shape, answers = keyframe.form or Form(), keyframe.shape, keyframe.classifications
    values: dict[str, Any] = {}
    if shape is not None and shape.type is not None:
        member = MEMBER_OF[shape.type]
        values[member] = form.written(member, shape, write_shape)
    values[_ANSWERS] = form.written(_ANSWERS, answers, write_classifications)
    return form.ordered({**values, **keyframe.extra}, usual=tuple(values)[:-1])
