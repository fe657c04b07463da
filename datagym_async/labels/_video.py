"""Labels of a video as values: objects, each with its keyframes, and where each of them is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import attrs

from datagym_async._checks import by_annotation, check_is, listed, pairs_of
from datagym_async.labels._values import (
    SHAPES,
    Classification,
    Form,
    Rectangle,
    Shape,
    to_answers,
)
from datagym_async.models import EntryType  # noqa: TC001 -- annotations are resolved here
from datagym_async.models._basics import count


class FrameRange(NamedTuple):
    """A run of frames, both ends included."""

    first: int
    last: int

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and self.first <= frame <= self.last


@attrs.frozen(field_transformer=by_annotation)
class Keyframe:
    """What was newly drawn or answered about an object at one frame.

    Args:
        frame: Number of the frame, counted from 0.
        shape: The object's new shape, or None where only answers changed. Of a line or polygon the
            service writes one point alone, which is kept as an `Incomplete` shape.
        classifications: The answers that changed. One with ``()`` as its values did not change
            itself: one nested in it did.
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


def _in_order(given: Iterable[Keyframe]) -> tuple[Keyframe, ...]:
    return tuple(sorted(listed("keyframes", given, Keyframe), key=attrgetter("frame")))


def _ranges(given: Iterable[tuple[int, int]]) -> tuple[FrameRange, ...]:
    return tuple(FrameRange(*each) for each in pairs_of("visible", given))


@attrs.frozen(field_transformer=by_annotation)
class VideoObject:
    """One object of a video.

    Args:
        id: UUID of its label value.
        key: Key of its entry, or None where it is not known: the export does not say it, the task
            does (`LabelsResource.export_video` with classes).
        keyframes: Its keyframes, in order.
        visible: The runs of frames in which it is seen, in order; between them it is not. An object
            that was never ended is seen nowhere.
    """

    id: str
    key: str | None = None
    keyframes: tuple[Keyframe, ...] = attrs.field(default=(), converter=_in_order, repr=count)
    visible: tuple[FrameRange, ...] = attrs.field(default=(), converter=_ranges)

    @property
    def type(self) -> EntryType | None:
        """Return the type of its shapes, or None where it has none."""
        shapes = (each.shape for each in self.keyframes)
        return next((shape.type for shape in shapes if shape is not None), None)

    def rectangle_at(self, frame: int) -> Rectangle | None:
        """Return where a rectangle is in a frame; the service exports its keyframes alone.

        Between two keyframes of one visible run each side moves evenly, as the editor shows it;
        nothing is rounded. It is None where the object is not seen, is no rectangle, or has no
        complete keyframe on both sides.
        """
        run = next((each for each in self.visible if frame in each), None)
        drawn = [each for each in self.keyframes if run and each.shape and each.frame in run]
        before = next((each for each in reversed(drawn) if each.frame <= frame), None)
        after = next((each for each in drawn if each.frame >= frame), None)
        if before is None or after is None:
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
        """Return the answers that hold in a frame: of each key the last one given until then."""
        held: dict[str, Classification] = {}
        for keyframe in (each for each in self.keyframes if each.frame <= frame):
            for each in keyframe.classifications:
                held[each.key] = _updated(held.get(each.key), each)
        return tuple(held.values())


def _updated(old: Classification | None, new: Classification) -> Classification:
    """Return an answer after a change, of which nested answers that did not change are absent."""
    if old is None:
        return new
    children = {each.key: each for each in old.children}
    children |= {each.key: _updated(children.get(each.key), each) for each in new.children}
    return attrs.evolve(new, values=new.values or old.values, children=children.values())


@attrs.frozen(field_transformer=by_annotation)
class VideoLabels:
    """The labels of one video.

    Args:
        frames: Number of a frame (counted from 0) to the ids of the objects seen in it; a frame
            that is absent shows none.
        objects: Id of an object to the object.
        notes: What the service is known to write wrongly and has written so here, a sentence each:
            what was repaired, and what is lost.
        extra: As for `Annotation`.
        form: As for `Annotation`.
    """

    frames: Mapping[int, tuple[str, ...]] = attrs.field(factory=dict, repr=count)
    objects: Mapping[str, VideoObject] = attrs.field(factory=dict, repr=count)
    notes: tuple[str, ...] = attrs.field(default=(), eq=False)
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)
    form: Form | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)
