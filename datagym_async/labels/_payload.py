"""Exports and items of imports: classes, images, tasks, whole exports, and exports of videos.

An export that is read and written again is the same, member by member: members of older services,
unknown ones and empty lists are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from datagym_async._checks import checked
from datagym_async._json import ShapeError, as_list, as_number, as_object, as_text
from datagym_async._json import as_whole_number as as_whole
from datagym_async.labels._payload_annotations import (
    CLASSIFICATIONS,
    MEMBER_OF,
    SHAPE_MEMBERS,
    ClassTypes,
    read_annotations,
    read_classifications,
    read_shape,
    write_annotations,
    write_classifications,
    write_shape,
)
from datagym_async.labels._values import (
    Classification,
    Form,
    Incomplete,
    LabeledImage,
    LabeledTask,
    Shape,
)
from datagym_async.labels._video import FrameRange, Keyframe, VideoLabels, VideoObject
from datagym_async.models import EntryType, LabelValue, TaskState
from datagym_async.models._basics import count
from datagym_async.models._names import decode_name

# --- The classes that an export lists before its tasks --------------------------------------------

_CLASSES = "label_classes"
_TYPES = ("geometry_type", "classification_type")


@attrs.frozen
class LabelClass:
    """An entry of the label configuration as an export lists it, without its place in the tree.

    Args:
        name: Key of the entry; not unique if a key is used in several trees.
        geometry_type: Type of a geometry, or None.
        classification_type: Type of a classification, or None. Segmentations are listed here.
        extra: As for `Annotation`.
    """

    name: str
    geometry_type: EntryType | None = None
    classification_type: EntryType | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False, hash=False)

    @property
    def type(self) -> EntryType | None:
        """Return its type from either member."""
        return self.geometry_type or self.classification_type


@checked
def class_types(classes: Iterable[LabelClass]) -> dict[str, EntryType]:
    """Return the type of each key that has the same type in all trees it is used in."""
    found: dict[str, EntryType | None] = {}
    for each in classes:
        found[each.name] = each.type if found.get(each.name, each.type) is each.type else None
    return {name: kind for name, kind in found.items() if kind is not None}


def _parse_class(value: object, path: str) -> LabelClass:
    item = as_object(value, path=path)
    name = as_text(item.get("class_name"), path=f"{path}.class_name")
    types = {
        member: EntryType(as_text(item[member], path=f"{path}.{member}"))
        for member in _TYPES
        if item.get(member) is not None
    }
    # Unknown members are kept, and words that cannot be restored from a type.
    said = {"class_name": name, **{member: kind.value.lower() for member, kind in types.items()}}
    extra = {member: word for member, word in item.items() if said.get(member, item) != word}
    return LabelClass(name, **types, extra=extra)


# --- Images and tasks ----------------------------------------------------------------------------

ID, _NAME = "internal_media_ID", "external_media_ID"
OLD_NAMES: Final = {ID: "internal_image_ID", _NAME: "external_image_ID"}
_STATUS, GLOBALS, LABELS = "status", "global_classifications", "labels"
VIDEO_MEMBERS: Final[Mapping[str, Callable[..., Any]]] = {
    "task_export_url": as_text,
    "video_height": as_whole,
    "video_width": as_whole,
    "video_total_frames": as_whole,
    "video_frame_rate": as_text,
    "video_duration": as_number,
}
_NAMES = {*OLD_NAMES, *OLD_NAMES.values()}
MEMBERS: Final = frozenset(
    {*_NAMES, _STATUS, GLOBALS, LABELS, "labeler", "segmentations", *VIDEO_MEMBERS}
)
OF_DOWNLOADS: Final = "file"
"""The member that a download adds: where the image is in its folder."""
_TASK_ID: Final = re.compile(r"/export(?:/bitmap|VideoTask)/([^/?#]+)")


@checked
def parse_task(element: object, classes: Iterable[LabelClass] | ClassTypes = ()) -> LabeledTask:
    """Return an exported task as values.

    Args:
        element: An element of an export, as JSON values; current or of an older service.
        classes: The classes that the export lists, or (faster for many tasks) their `class_types`,
            for the types of classifications, and of shapes in older files.

    Raises:
        ConfigurationError: The element is not an exported task; the text has the wrong place, for
            example ``labels.car[0].polygon[1].x``.
    """
    task = as_object(element)
    stored = _first(task, _NAME)
    urls = _optional(task, "segmentations", as_list) or ()
    urls = tuple(as_text(url, path=f".segmentations[{n}]") for n, url in enumerate(urls))
    video: dict[str, Any] = {}
    if not VIDEO_MEMBERS.keys().isdisjoint(task):
        video = {member: _optional(task, member, read) for member, read in VIDEO_MEMBERS.items()}
    word = as_text(task.get(_STATUS), path=f".{_STATUS}")
    state = TaskState(word)
    # The content of the file, if the value does not show how it was written.
    raw = {member: (task[member], value) for member, value in video.items() if member in task}
    if state.value.lower() != word:
        raw[_STATUS] = (word, state)
    # The id of the task is only in addresses.
    task_id = _TASK_ID.search(video.get("task_export_url") or (urls[0] if urls else ""))
    return LabeledTask(
        media_id=_first(task, ID),
        media_name=decode_name(stored),
        stored_media_name=stored,
        labeler=_optional(task, "labeler", as_text),
        state=state,
        segmentations=urls,
        task_id=task_id[1] if task_id else None,
        **_labels_of(task, classes),
        extra={name: value for name, value in task.items() if name not in MEMBERS},
        form=Form(tuple(task), tuple(task.get(LABELS) or ()), raw),
        **video,
    )


@checked
def parse_image(item: object, classes: Iterable[LabelClass] | ClassTypes = ()) -> LabeledImage:
    """Return the labels of an item of an import (or an export) as values.

    Args:
        item: As JSON values. Members other than the media, labels and classifications are left out.
        classes: See `parse_task`, also for errors.
    """
    image = as_object(item)
    return LabeledImage(
        media_id=_first(image, ID, default=""),
        media_name=decode_name(_first(image, _NAME, default="")),
        **_labels_of(image, classes),
    )


def _labels_of(item: dict[str, Any], classes: Iterable[LabelClass] | ClassTypes) -> dict[str, Any]:
    types = classes if isinstance(classes, Mapping) else class_types(classes)
    member = LABELS
    try:
        annotations = read_annotations(item.get(member), types)
        member = GLOBALS
        answers = read_classifications(item.get(member), types)
    except ShapeError as error:
        raise error.below(f".{member}") from None
    return {"annotations": annotations, "classifications": answers}


def _first(task: dict[str, Any], member: str, *, default: str | None = None) -> str:
    """Return a text under its current or its older name."""
    for name in (member, OLD_NAMES[member]):
        if name in task:
            return as_text(task[name], path=f".{name}")
    if default is None:
        raise ShapeError("it is missing", path=f".{member}")
    return default


def _optional(task: dict[str, Any], member: str, read: Callable[..., Any]) -> Any:
    value = task.get(member)
    return None if value is None else read(value, path=f".{member}")


@checked
def to_payload(labels: LabeledImage) -> dict[str, Any]:
    """Return labels in the form of an export; a task that was read is unchanged.

    Raises:
        ConfigurationError: There are two classifications with one key.
    """
    if not isinstance(labels, LabeledTask):
        return {ID: labels.media_id, _NAME: labels.media_name, **_labels(labels, Form())}
    form = labels.form or Form()
    names = {name: old if form.has(old) else name for name, old in OLD_NAMES.items()}
    values = {
        names[ID]: labels.media_id,
        names[_NAME]: labels.stored_media_name,
        "labeler": labels.labeler,
        _STATUS: form.written(_STATUS, labels.state, lambda state: state.value.lower()),
        "segmentations": [*labels.segmentations],
        **_labels(labels, form),
        # Numbers of videos are texts.
        **{
            name: form.written(name, value, lambda value: None if value is None else str(value))
            for name, value in ((name, getattr(labels, name)) for name in VIDEO_MEMBERS)
        },
        **labels.extra,
    }
    shown = () if labels.task_export_url else (GLOBALS, LABELS)
    return form.ordered(values, usual=(*names.values(), "labeler", _STATUS, *shown))


@checked
def to_prediction(labels: LabeledImage, keep_data: bool | None = None) -> dict[str, Any]:
    """Return labels in the form for import, without members that the service ignores.

    Shapes that cannot be imported (segmentations, incomplete ones) are included; `check_prediction`
    finds them.

    Args:
        labels: An image or a task.
        keep_data: Whether the service keeps the labels that it has; None leaves it out.

    Raises:
        ConfigurationError: There are two classifications with one key.
    """
    return {
        ID: labels.media_id,
        **({} if keep_data is None else {"keepData": keep_data}),
        GLOBALS: write_classifications(labels.classifications),
        LABELS: write_annotations(labels.annotations, as_read=False, nested=False),
    }


def _labels(labels: LabeledImage, form: Form) -> dict[str, Any]:
    return {
        GLOBALS: write_classifications(labels.classifications),
        LABELS: write_annotations(labels.annotations, keys=form.keys, as_read=True, nested=False),
    }


# --- A whole export ------------------------------------------------------------------------------


@attrs.frozen
class LabelExport:
    """The labels of a project: every task that is completed, skipped or reviewed.

    Args:
        label_classes: The entries of the label configuration; empty if no task is exported.
        tasks: The labels of each task.
        form: As for `Annotation`.
    """

    label_classes: tuple[LabelClass, ...] = ()
    tasks: tuple[LabeledTask, ...] = attrs.field(
        default=(), converter=tuple[LabeledTask, ...], repr=count
    )
    form: Form | None = attrs.field(default=None, eq=False, repr=False)

    def to_payload(self) -> list[dict[str, Any]]:
        """Return it in the form of the service; an export that was read is unchanged."""
        listed = []
        for each in self.label_classes:
            types = ((member, getattr(each, member)) for member in _TYPES)
            written = {member: kind.value.lower() for member, kind in types if kind is not None}
            listed.append({"class_name": each.name, **written, **each.extra})
        classes: dict[str, Any] = {_CLASSES: listed}
        classes |= {name: raw for name, (raw, _) in (self.form.raw if self.form else {}).items()}
        is_shown = bool(self.form.members) if self.form else bool(self.tasks or self.label_classes)
        return [*([classes] if is_shown else []), *(to_payload(task) for task in self.tasks)]


@attrs.define
class ExportReader:
    """Read the elements of an export one after the other."""

    classes: tuple[LabelClass, ...] = ()
    """The classes, once the element that lists them was read; older exports may have none."""
    types: ClassTypes = attrs.field(factory=dict)
    """Their types."""
    form: Form = attrs.field(factory=Form)
    """How the file wrote the classes."""

    def read(self, element: object) -> LabeledTask | None:
        """Return the task of an element, or None if it lists the classes.

        Raises:
            ConfigurationError: It is neither; the text has the wrong place.
        """
        if isinstance(element, dict) and _CLASSES in element:
            path = f".{_CLASSES}"
            listed = enumerate(as_list(element[_CLASSES], path=path))
            self.classes += tuple(_parse_class(each, f"{path}[{index}]") for index, each in listed)
            self.types = class_types(self.classes)
            unknown = {name: (value, value) for name, value in element.items() if name != _CLASSES}
            self.form = Form(tuple(element), raw=unknown)
            return None
        return parse_task(element, self.types)


def parse_export(document: object) -> LabelExport:
    """Return a whole export as values, from the JSON values of its file.

    Raises:
        ConfigurationError: It is not an export; the text has the wrong place, for example
            ``[3].labels.car[0].polygon[1].x``.
    """
    reader = ExportReader()
    tasks = []
    for index, element in enumerate(as_list(document)):
        try:
            task = reader.read(element)
        except ShapeError as error:
            raise error.below(f"[{index}]") from None
        if task is not None:
            tasks.append(task)
    return LabelExport(reader.classes, tasks, reader.form)


# --- Videos, and known mistakes of the service ----------------------------------------------------

# Observed in the service's source: of a line or polygon only the last point is written, and of
# every point the ordinate as a capital Y; a rectangle that is not complete, a checklist without a
# tick and an answer that did not change are the text "null".

_FRAMES: Final = "frames"
_OBJECTS: Final = "object"
_SEEN: Final = "visibleObjectId"
_NULL: Final = "null"
_CUT: Final = frozenset({EntryType.LINE, EntryType.POLYGON})


def parse_video(document: object) -> VideoLabels:
    """Return the export of one video as values, from the JSON values of its file.

    Raises:
        ConfigurationError: It is not an export of a video; the text has the wrong place.
    """
    video = as_object(document)
    frames = {}
    for frame, listed in as_object(video.get(_FRAMES) or {}, path=f".{_FRAMES}").items():
        number, path = _frame(frame, f".{_FRAMES}"), f".{_FRAMES}.{frame}"
        frames[number] = tuple(
            as_text(
                as_object(item, path=f"{path}[{index}]").get(_SEEN), path=f"{path}[{index}].{_SEEN}"
            )
            for index, item in enumerate(as_list(listed, path=path))
        )
    # For each object, the runs of frames in which it is seen.
    runs: dict[str, list[FrameRange]] = {}
    for at in sorted(frames):
        for each in frames[at]:
            own = runs.setdefault(each, [])
            if own and at - own[-1].last <= 1:
                own[-1] = FrameRange(own[-1].first, at)
            else:
                own.append(FrameRange(at, at))
    objects = {}
    for key, value in as_object(video.get(_OBJECTS) or {}, path=f".{_OBJECTS}").items():
        path = f".{_OBJECTS}.{key}"
        keyframes = []
        for frame, keyframe in as_object(value, path=path).items():
            number = _frame(frame, path)
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


def _frame(frame: str, path: str) -> int:
    if frame.isascii() and frame.isdecimal() and len(frame) < 20:
        return int(frame)
    raise ShapeError("the number of a frame was expected", path=f"{path}.{frame}")


def _keyframe(frame: int, value: dict[str, Any]) -> Keyframe:
    member = at = next((name for name in value if name in SHAPE_MEMBERS), None)
    raw: dict[str, tuple[Any, Any]] = {}
    shape = None
    try:
        if member is not None:
            shape, exact = _repaired(member, value[member])
            raw |= {} if exact else {member: (value[member], shape)}
        at = CLASSIFICATIONS
        answers = tuple(_without_null(each) for each in read_classifications(value.get(at), {}))
    except ShapeError as error:
        raise error.below(f".{at}") from None
    if write_classifications(answers) != value.get(CLASSIFICATIONS, {}):
        raw[CLASSIFICATIONS] = (value.get(CLASSIFICATIONS), answers)
    unknown = {name: item for name, item in value.items() if name not in {member, CLASSIFICATIONS}}
    return Keyframe(frame, shape, answers, extra=unknown, form=Form(tuple(value), raw=raw))


def _repaired(member: str, payload: object) -> tuple[Shape, bool]:
    """Return a shape, with y for a capital Y, and whether it has the whole payload."""
    items, kind = as_list(payload), SHAPE_MEMBERS[member]
    if {} in items:  # a shape without points
        return Incomplete(kind, payload), True
    repaired = [
        {"y" if name == "Y" else name: value for name, value in item.items()}
        if isinstance(item, dict) and "Y" in item and "y" not in item
        else item
        for item in items
    ]
    shape, exact = read_shape(member, repaired)
    if isinstance(shape, Incomplete):
        return Incomplete(kind, payload), True
    return shape, exact and repaired == items


def _without_null(answer: Classification) -> Classification:
    """Return an answer without the text "null": unset, or unchanged if a nested one changed."""
    children = tuple(_without_null(each) for each in answer.children)
    unset: tuple[None, ...] = () if children else (None,)
    values = unset if answer.values == (_NULL,) else answer.values
    return attrs.evolve(answer, values=values, children=children)


def _notes(objects: Iterable[VideoObject]) -> Iterator[str]:
    """Yield what was repaired or lost of each object, and in which frames."""
    for each in objects:
        cut, capital, unset = [], [], []
        for keyframe in each.keyframes:
            shape, raw = keyframe.shape, keyframe.form.raw if keyframe.form else {}
            left = shape.payload if isinstance(shape, Incomplete) and shape.type in _CUT else ()
            if any(isinstance(item, dict) and "Y" in item for item in left):
                cut.append(keyframe.frame)
            if any("Y" in item for name in raw.keys() - {CLASSIFICATIONS} for item in raw[name][0]):
                capital.append(keyframe.frame)
            if CLASSIFICATIONS in raw:
                unset.append(keyframe.frame)
        kind = each.type.lower() if each.type else ""
        for frames, what in (
            (cut if kind else [], f"the service exports only the last point of a {kind}"),
            (capital, "an upper-case Y was read as y"),
            (unset, 'the text "null" was read as an unset answer'),
        ):
            if frames:
                # No more than a few frames of many.
                shown = ", ".join(map(str, frames[:5])) + (", ..." if len(frames) > 5 else "")
                where = f"{len(frames)} keyframe{'s' if len(frames) > 1 else ''}, at frame {shown}"
                yield f"object {each.id}: {what} ({where})"


@checked
def with_keys(labels: VideoLabels, values: Iterable[LabelValue]) -> VideoLabels:
    """Return a video's labels with keys and types from its task, which the export leaves out.

    Args:
        labels: The exported labels.
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


@checked
def to_video_payload(labels: VideoLabels) -> dict[str, Any]:
    """Return a video's labels in the form of an export, without the keys of objects.

    An export that was read is unchanged.
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
    values[CLASSIFICATIONS] = form.written(CLASSIFICATIONS, answers, write_classifications)
    return form.ordered({**values, **keyframe.extra}, usual=tuple(values)[:-1])
