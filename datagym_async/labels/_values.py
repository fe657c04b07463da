"""Label values: what a person, a model or a file says about one image.

A `LabeledImage` is what goes in (a prediction), a `LabeledTask` what an export gives. Both hold
`Annotation` values (a shape under the key of a label entry, with its classifications and the
annotations nested in it) and the `Classification` values of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import attrs

from datagym_async.labels._shapes import Shape
from datagym_async.models import EntryType, TaskState

V = TypeVar("V")


@attrs.frozen
class Form:
    """How a file wrote a value, so that the way back gives the same file.

    Args:
        members: The members that were there, in order; None for a value that was made by hand.
        keys: The keys below ``labels`` or ``nested_geometries``, in order, the empty ones too.
        raw: A member to what the file had and what it was read as, where the one does not follow
            from the other.
    """

    members: tuple[str, ...] | None = None
    keys: tuple[str, ...] = ()
    raw: Mapping[str, tuple[Any, Any]] = attrs.field(factory=dict)

    def written(self, member: str, value: V, write: Callable[[V], Any]) -> Any:
        """Return what a member is to hold: what the file had, if it still means the value."""
        raw, read = self.raw.get(member, (None, self))
        return raw if read == value else write(value)

    def ordered(self, values: Mapping[str, Any], *, usual: Iterable[str]) -> dict[str, Any]:
        """Return members in the file's order, and behind them those that it did not have.

        Args:
            values: All members.
            usual: Those that are written even if they are empty where there was no file.
        """
        always = set(usual if self.members is None else self.members)
        order = [*(name for name in self.members or () if name in values), *values]
        return {name: values[name] for name in order if name in always or values[name]}

    def has(self, member: str) -> bool:
        """Return whether the file had a member."""
        return member in (self.members or ())


def _texts(given: Iterable[str | None]) -> tuple[str | None, ...]:
    return tuple(given)


def _answers(given: Iterable[Classification]) -> tuple[Classification, ...]:
    return tuple(given)


def _annotations(given: Iterable[Annotation]) -> tuple[Annotation, ...]:
    return tuple(given)


@attrs.frozen
class Classification:
    """An answer to a select, checklist or free text, with the answers nested in it.

    Two are equal if key, values and children are: an export does not always say of which type an
    answer is.

    Args:
        key: Key of the entry.
        values: Keys of the chosen options, or the text. ``(None,)`` says that it is unset, as the
            service writes it; ``()`` says nothing, and is sent as an empty list.
        children: The answers nested in it, in order.
        type: SELECT, CHECKLIST or FREETEXT (or RADIO in old exports), or None where it is unknown.
    """

    key: str
    values: tuple[str | None, ...] = attrs.field(default=(None,), converter=_texts)
    children: tuple[Classification, ...] = attrs.field(default=(), converter=_answers)
    type: EntryType | None = attrs.field(default=None, eq=False)

    @classmethod
    def select(cls, key: str, option: str | None, *children: Classification) -> Classification:
        """Return the answer to a select: the key of one option, or None for unset."""
        return cls(key, (option,), children, EntryType.SELECT)

    @classmethod
    def checklist(
        cls, key: str, options: Iterable[str], *children: Classification
    ) -> Classification:
        """Return the answer to a checklist: the keys of the ticked options, or none for unset."""
        return cls(key, tuple(options) or (None,), children, EntryType.CHECKLIST)

    @classmethod
    def freetext(cls, key: str, text: str | None, *children: Classification) -> Classification:
        """Return the answer to a free text, or None for unset."""
        return cls(key, (text,), children, EntryType.FREETEXT)

    @property
    def is_set(self) -> bool:
        """Return whether somebody answered."""
        return any(value is not None for value in self.values)

    @property
    def value(self) -> str | None:
        """Return the first value: the option of a select, or the text; None if unset."""
        return self.values[0] if self.values else None

    @property
    def options(self) -> tuple[str, ...]:
        """Return the values that are set: the ticked options of a checklist."""
        return tuple(value for value in self.values if value is not None)


@attrs.frozen
class Annotation:
    """A shape under the key of a geometry entry.

    Args:
        key: Key of the entry.
        shape: What it outlines.
        classifications: The answers about it.
        nested: The annotations nested in it; those have none themselves.
        extra: Members of the file that this package does not know, kept for the way back.
        form: How the file wrote it, or None; it does not count when two are compared.
    """

    key: str
    shape: Shape
    classifications: tuple[Classification, ...] = attrs.field(default=(), converter=_answers)
    nested: tuple[Annotation, ...] = attrs.field(default=(), converter=_annotations)
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)
    form: Form | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class LabeledImage:
    """The labels of one image, to be imported or converted.

    Args:
        media_id: UUID of the media; empty where it is not known yet (a file names images only).
        media_name: Name of the media, decoded; not unique across datasets.
        annotations: Its annotations, in order.
        classifications: The answers about the whole image.
        width: Pixels, or None.
        height: Pixels, or None.
    """

    media_id: str = ""
    media_name: str = ""
    annotations: tuple[Annotation, ...] = attrs.field(default=(), converter=_annotations)
    classifications: tuple[Classification, ...] = attrs.field(default=(), converter=_answers)
    width: int | None = None
    height: int | None = None

    def annotations_of(self, key: str) -> tuple[Annotation, ...]:
        """Return the annotations under one key, in order."""
        return tuple(each for each in self.annotations if each.key == key)

    def classification(self, key: str) -> Classification | None:
        """Return the answer about the whole image under one key, or None."""
        return next((each for each in self.classifications if each.key == key), None)

    def walk(self) -> Iterator[Annotation]:
        """Give all annotations, each before those nested in it."""
        for each in self.annotations:
            yield each
            yield from each.nested


@attrs.frozen(kw_only=True)
class LabeledTask(LabeledImage):
    """The labels of one task, as exported.

    Args:
        stored_media_name: Name of the media as the service stores it.
        labeler: User id of the labeler, or None.
        state: COMPLETED, SKIPPED or REVIEWED.
        task_id: UUID of the task where the file lets it be known (by a bitmap's or a video's URL).
        segmentations: URLs of the segmentation bitmaps, as the service writes them (its own idea
            of its address). Use `LabelsResource.bitmap` to fetch one.
        task_export_url: Where the labels of a video are; None for images.
        video_height: Pixels, or None.
        video_width: Pixels, or None.
        video_total_frames: Number of frames, or None.
        video_frame_rate: Frames a second as a fraction, for example ``"30/1"``, or None.
        video_duration: Seconds, or None.
        extra: Members of the file that this package does not know, kept for the way back.
        form: How the file wrote it, or None; it does not count when two are compared.
    """

    stored_media_name: str = attrs.Factory(lambda self: self.media_name, takes_self=True)
    labeler: str | None = None
    state: TaskState
    task_id: str | None = None
    segmentations: tuple[str, ...] = ()
    task_export_url: str | None = None
    video_height: int | None = None
    video_width: int | None = None
    video_total_frames: int | None = None
    video_frame_rate: str | None = None
    video_duration: float | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    form: Form | None = attrs.field(default=None, eq=False, repr=False)
