"""Labels of a video as values: objects with their keyframes and the frames that show them."""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import attrs

from datagym_async._checks import by_annotation, check_is, is_whole, listed, pairs_of
from datagym_async.labels._values import SHAPES, Classification, Form, Rectangle, Shape, to_answers
from datagym_async.models import EntryType
from datagym_async.models._basics import count


class FrameRange(NamedTuple):
    """A range of frames, both ends included."""

    first: int
    last: int

    def __contains__(self, frame: object) -> bool:
        return is_whole(frame, self.first, self.last)  # numbers of numpy are, too


@attrs.frozen(field_transformer=by_annotation)
class Keyframe:
    """The changes of an object at one frame.

    Args:
        frame: Number of the frame, counted from 0.
        shape: The object's new shape, or None if only answers changed. The service writes only one
            point of a line or polygon, which is kept as an `Incomplete` shape.
        classifications: The answers that changed. If one has ``()`` as its values, only answers
            nested in it changed.
        extra: As for `Annotation`.
        form: As for `Annotation`.
    """

    frame: int
    shape: Shape | None = None
    classifications: tuple[Classification, ...] = attrs.field(default=(), converter=to_answers)
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)
    form: Form | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.shape is not None:
            check_is("shape", self.shape, *SHAPES)


_number = attrgetter("frame")


def _in_order(given: Iterable[Keyframe]) -> tuple[Keyframe, ...]:
    return tuple(sorted(listed("keyframes", given, Keyframe), key=_number))


def _ranges(given: Iterable[tuple[int, int]]) -> tuple[FrameRange, ...]:
    return tuple(FrameRange(*each) for each in pairs_of("visible", given))


@attrs.frozen(field_transformer=by_annotation)
class VideoObject:
    """One object of a video.

    Args:
        id: UUID of its label value.
        key: Key of its entry, or None if unknown: it is not in the export, but in the task
            (`LabelsResource.export_video` with classes).
        keyframes: Its keyframes, in order.
        visible: The ranges of frames that show it, in order. An object that was never ended has
            none.
    """

    id: str
    key: str | None = None
    keyframes: tuple[Keyframe, ...] = attrs.field(default=(), converter=_in_order, repr=count)
    visible: tuple[FrameRange, ...] = attrs.field(default=(), converter=_ranges)

    @property
    def type(self) -> EntryType | None:
        """Return the type of its shapes, or None if it has none."""
        shapes = (each.shape for each in self.keyframes)
        return next((shape.type for shape in shapes if shape is not None), None)

    def rectangle_at(self, frame: int) -> Rectangle | None:
        """Return a rectangle in a frame, interpolated between keyframes.

        Between two keyframes of one visible range each side moves linearly, as in the editor;
        nothing is rounded. None if the object is not visible or not a rectangle, or has no complete
        keyframe on both sides.
        """
        run = next((each for each in self.visible if frame in each), None)
        first, last = (find(self.keyframes, frame, key=_number) for find in (bisect_left, bisect))
        before = next((each for each in reversed(self.keyframes[:last]) if each.shape), None)
        after = next((each for each in self.keyframes[first:] if each.shape), None)
        if not (run and before and after and run.first <= before.frame <= after.frame <= run.last):
            return None
        a, b = before.shape, after.shape
        if not isinstance(a, Rectangle) or not isinstance(b, Rectangle):
            return None
        if before.frame == after.frame:
            return a
        share = (frame - before.frame) / (after.frame - before.frame)
        sides = zip(attrs.astuple(a), attrs.astuple(b), strict=True)
        return Rectangle(*(start + (end - start) * share for start, end in sides))

    def classifications_at(self, frame: int) -> tuple[Classification, ...]:
        """Return the answers that are valid in a frame: the last one of each key until then."""
        held: dict[str, Classification] = {}
        for keyframe in (each for each in self.keyframes if each.frame <= frame):
            for each in keyframe.classifications:
                held[each.key] = _updated(held.get(each.key), each)
        return tuple(held.values())


def _updated(old: Classification | None, new: Classification) -> Classification:
    """Return an answer after a change, which has only the nested answers that changed."""
    if old is None:
        return new
    children = {each.key: each for each in old.children}
    children |= {each.key: _updated(children.get(each.key), each) for each in new.children}
    return attrs.evolve(new, values=new.values or old.values, children=children.values())


@attrs.frozen(field_transformer=by_annotation)
class VideoLabels:
    """The labels of one video.

    Args:
        frames: Number of a frame (counted from 0) to the ids of the objects that it shows; absent
            if it shows none.
        objects: Id of an object to the object.
        notes: Known mistakes of the service in this export, a sentence each: what was repaired, and
            what is lost.
        extra: As for `Annotation`.
        form: As for `Annotation`.
    """

    frames: Mapping[int, tuple[str, ...]] = attrs.field(factory=dict, repr=count)
    objects: Mapping[str, VideoObject] = attrs.field(factory=dict, repr=count)
    notes: tuple[str, ...] = attrs.field(default=(), eq=False)
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)
    form: Form | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)
