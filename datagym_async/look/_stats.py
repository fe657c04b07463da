"""Statistics of labels: counted image by image, in memory that does not grow with them. Pure.

The way of an export of millions of objects leads through `StatisticsTally.add`, which does for each
of them as little as Python allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import sqrt
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from datagym_async._printable import printable
from datagym_async.labels import (
    Annotation,
    Bounds,
    Classification,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.look._marks import bounds_of
from datagym_async.look._overlap import box_overlap, overlap
from datagym_async.models import EntryType, TaskState

if TYPE_CHECKING:
    from datagym_async.labels import Shape

FindingKind: TypeAlias = Literal["tiny", "edge", "double", "incomplete", "unlabelled", "unanswered"]
"""What somebody should look at."""

FINDINGS: Final[Mapping[FindingKind, str]] = {
    "tiny": "objects with a side below the least",
    "edge": "objects that touch the edge of their image, or go beyond it",
    "double": "objects that cover another one of their class (IoU above 0.95)",
    "incomplete": "objects of which coordinates are missing",
    "unlabelled": "finished images without any object or answer",
    "unanswered": "questions without an answer",
}
_DOUBLE: Final = 0.95
_EXAMPLES: Final = 100
_OPTIONS: Final = 200
"""Different answers to a question that are counted by themselves, and sizes of images."""
_OTHERS: Final = "(others)"
_LONGEST_OPTION: Final = 60
_TEXT: Final = "(text)"
_GATHERED: Final = 10_000
_UNSET: Final = (None,)
_FREETEXT: Final = EntryType.FREETEXT  # to ask a class of words for one takes long
_FAR: Final = 1e9
"""Pixels beyond which there is no image."""
_THIN: Final = frozenset({Point, Line})


@attrs.frozen
class ClassCount:
    """What there is of a class: sides are the roots of the areas of boxes, in pixels."""

    key: str
    images: int
    objects: int
    smallest: float
    mean: float
    largest: float


@attrs.frozen
class AnswerCount:
    """How a question was answered: how often each answer was given, and how often none."""

    key: str
    answers: Mapping[str, int]
    unanswered: int


@attrs.frozen
class FindingCount:
    """What somebody should look at: how many, and the first hundred, a line each."""

    kind: FindingKind
    count: int
    examples: tuple[str, ...] = attrs.field(default=(), repr=False)

    @property
    def text(self) -> str:
        """Return what is counted."""
        return FINDINGS[self.kind]


Histogram: TypeAlias = tuple[tuple[str, int], ...]
"""Ranges, in order, each with how many there are."""


@attrs.frozen(kw_only=True)
class LabelStatistics:
    """What labels hold.

    Attributes:
        name: What they are of.
        images: Images that were looked at.
        labelled: Those with an object or an answer.
        objects: Objects, nested ones included.
        states: Images by the state of their tasks, those that are not finished too.
        classes: What there is of each class, the most frequent first.
        answers: How each question was answered.
        sizes: Objects by the side of a square as large as their box, in pixels; without points.
        per_image: Images by how many objects they have.
        image_sizes: Images by width and height, as far as those are known.
        kinds: Media by source and ending, of a dataset.
        findings: What somebody should look at.
        notes: What should be known of the numbers, in sentences.
    """

    name: str
    images: int = 0
    labelled: int = 0
    objects: int = 0
    states: Mapping[str, int] = attrs.field(factory=dict)
    classes: tuple[ClassCount, ...] = ()
    answers: tuple[AnswerCount, ...] = ()
    sizes: Histogram = ()
    per_image: Histogram = ()
    image_sizes: Histogram = ()
    kinds: Histogram = ()
    findings: tuple[FindingCount, ...] = attrs.field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def finding(self, kind: FindingKind) -> FindingCount:
        """Return what was found of one kind."""
        return next(each for each in self.findings if each.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"schema": "datagym_async.statistics/1", **attrs.asdict(self, recurse=True)}


@attrs.define
class StatisticsTally:
    """Count labels.

    Args:
        name: What they are of.
        tiny: Pixels that a side of a tiny object is shorter than.
    """

    name: str
    tiny: float = 4.0
    states: Counter[str] = attrs.field(factory=Counter)
    kinds: Counter[str] = attrs.field(factory=Counter)
    notes: list[str] = attrs.field(factory=list)
    _images: int = 0
    _labelled: int = 0
    # Of each class: images, objects, and the sum, the least and the most of their sides.
    _classes: dict[str, list[float]] = attrs.field(factory=dict)
    _sides: list[int] = attrs.field(factory=lambda: [0] * 64)
    _per_image: list[int] = attrs.field(factory=lambda: [0] * 64)
    _image_sizes: Counter[str] = attrs.field(factory=Counter)
    _given: Counter[tuple[str, tuple[str | None, ...]]] = attrs.field(factory=Counter)
    _answers: dict[str, Counter[str]] = attrs.field(factory=dict)
    _unanswered: list[str] = attrs.field(factory=list)
    _counts: Counter[FindingKind] = attrs.field(factory=Counter)
    _examples: dict[FindingKind, list[str]] = attrs.field(factory=dict)

    def add(self, image: LabeledImage) -> None:
        """Count an image with its labels."""
        self._images += 1
        width, height = image.width, image.height
        if width and height:
            self._count(self._image_sizes, f"{width} x {height}")
        self._count_answers(image, image.classifications)
        found: list[Annotation] = []
        for root in image.annotations:  # as `LabeledImage.walk`, which takes longer
            found.append(root)
            if root.nested:
                found.extend(root.nested)
        seen: dict[str, list[_Box]] = {}
        last: str | None = None
        group: list[_Box] = []
        for each in found:
            if each.classifications:
                self._count_answers(image, each.classifications)
            if (box := _box_of(each)) is None:
                self._find("incomplete", image, each)
                continue
            if (key := each.key) is not last:  # those of a class mostly follow one another
                last, group = key, seen.setdefault(key, [])
            group.append(box)
        for key, group in seen.items():
            self._count_class(image, key, group)
        self._per_image[len(found).bit_length()] += 1
        state = image.state if isinstance(image, LabeledTask) else None
        if state is not None:
            self.states[state.value] += 1
        if found or any(answer.is_set for answer in image.classifications):
            self._labelled += 1
        elif state is not TaskState.SKIPPED:
            self._find("unlabelled", image)

    def _count_class(self, image: LabeledImage, key: str, group: list[_Box]) -> None:
        """Count the objects of a class on one image."""
        sides, tiny, sizes = self._sides, self.tiny, []
        width, height = image.width, image.height
        is_known = width is not None and height is not None
        right, bottom = width or _FAR, height or _FAR
        for left, top, wide, high, each in group:
            area = wide * high
            sizes.append(area)
            kind = type(each.shape)
            if kind is not Point:
                sides[(int(area).bit_length() + 1) >> 1] += 1
                if (wide < tiny or high < tiny) and kind is not Line:
                    self._find("tiny", image, each)
            if (
                left <= 0
                or top <= 0
                or (is_known and (left + wide >= right or top + high >= bottom))
            ):
                self._find("edge", image, each)
        if len(group) > 1:
            for each in _doubled(group):
                self._find("double", image, each)
        total, least, most = sum(map(sqrt, sizes)), sqrt(min(sizes)), sqrt(max(sizes))
        if (known := self._classes.get(key)) is None:
            self._classes[key] = [1, len(group), total, least, most]
            return
        known[0] += 1
        known[1] += len(group)
        known[2] += total
        known[3] = min(known[3], least)
        known[4] = max(known[4], most)

    def _count_answers(self, image: LabeledImage, answers: Iterable[Classification]) -> None:
        given = self._given
        for each in answers:
            key, values = each.key, each.values
            if values == _UNSET and len(self._unanswered) < _EXAMPLES:
                self._unanswered.append(printable(f"{image.media_name}: {key}"))
            # Most are the same few; what they say is looked at in the end, or when they are many.
            if each.type is _FREETEXT and values and values != _UNSET:
                values = (_TEXT,)
            given[key, values] += 1
            if each.children:
                self._count_answers(image, each.children)
        if len(given) > _GATHERED:
            self._gather()

    def _gather(self) -> None:
        for (key, values), times in self._given.items():
            known = self._answers.setdefault(key, Counter())
            options = [value for value in values if value is not None]
            if values and not options:
                known[""] += times
                self._counts["unanswered"] += times
            for option in options:
                self._count(known, _TEXT if len(option) > _LONGEST_OPTION else option, times)
        self._given.clear()

    def _count(self, counter: Counter[str], what: str, times: int = 1) -> None:
        counter[what if what in counter or len(counter) < _OPTIONS else _OTHERS] += times

    def _find(self, kind: FindingKind, image: LabeledImage, what: Annotation | None = None) -> None:
        self._counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            text = image.media_name or image.media_id
            if what is not None:
                text += f": {what.key}"
                if (box := bounds_of(what.shape)) is not None:
                    text += f" at {box.left:g}, {box.top:g} ({box.width:g} x {box.height:g})"
            examples.append(printable(text))

    def statistics(self) -> LabelStatistics:
        """Return what was counted."""
        self._gather()
        examples = {**self._examples, "unanswered": self._unanswered}
        classes = [
            ClassCount(key, int(images), int(objects), least, total / objects, most)
            for key, (images, objects, total, least, most) in self._classes.items()
        ]
        answers = [
            AnswerCount(key, {k: n for k, n in found.most_common() if k}, found[""])
            for key, found in self._answers.items()
        ]
        return LabelStatistics(
            name=self.name,
            images=self._images,
            labelled=self._labelled,
            objects=sum(each.objects for each in classes) + self._counts["incomplete"],
            states=dict(self.states.most_common()),
            classes=tuple(sorted(classes, key=lambda each: (-each.objects, each.key))),
            answers=tuple(sorted(answers, key=lambda each: each.key)),
            sizes=binned(self._sides, " px"),
            per_image=binned(self._per_image),
            image_sizes=tuple(self._image_sizes.most_common()),
            kinds=tuple(self.kinds.most_common()),
            findings=tuple(
                FindingCount(kind, self._counts[kind], tuple(examples.get(kind, ())))
                for kind in FINDINGS
            ),
            notes=tuple(self.notes),
        )


_LEFT: Final = itemgetter(0)
_Box: TypeAlias = tuple[float, float, float, float, Annotation]
"""Left, top, width and height, and what it surrounds."""


def _box_of(each: Annotation) -> _Box | None:
    """Return the box of an object, None where it is nowhere or beyond all images."""
    shape: Any = each.shape
    kind = type(shape)
    if kind is Rectangle:
        left, top, wide, high = shape.x, shape.y, shape.width, shape.height
    elif kind is Polygon or kind is Line:
        if not (corners := shape.points):
            return None
        xs, ys = [corner.x for corner in corners], [corner.y for corner in corners]
        left, top = min(xs), min(ys)
        wide, high = max(xs) - left, max(ys) - top
    elif kind is Point:
        left, top, wide, high = shape.x, shape.y, 0, 0
    elif (bounds := bounds_of(shape)) is not None:
        left, top, wide, high = bounds.left, bounds.top, bounds.width, bounds.height
    else:
        return None
    # Neither infinite nor no number, and within what is counted in bins.
    is_there = -_FAR < left + top < _FAR and 0 <= wide < _FAR and 0 <= high < _FAR
    return (left, top, wide, high, each) if is_there else None


def _doubled(group: list[_Box]) -> Iterator[Annotation]:
    """Give those of a class that cover another one, each once; boxes are swept from the left."""
    group.sort(key=_LEFT)
    count = len(group)
    for index, (left, top, wide, high, each) in enumerate(group, 1):
        reach, near = left + wide * (1 - _DOUBLE), high * (1 - _DOUBLE)
        for at in range(index, count):
            other = group[at]
            if other[0] > reach:
                break
            if not -near <= other[1] - top <= near:
                continue
            candidate = other[4]
            if each.shape == candidate.shape or (
                type(each.shape) not in _THIN
                and box_overlap(_bounds(group[index - 1]), _bounds(other)) > _DOUBLE
                and _cover_each_other(each.shape, candidate.shape)
            ):
                yield candidate
                break


def _cover_each_other(a: Shape, b: Shape) -> bool:
    """Return whether shapes with about the same box cover one another; to paint them goes last."""
    areas = [each.area for each in (a, b) if isinstance(each, Polygon | Segmentation)]
    if len(areas) == 2 and min(areas) <= _DOUBLE * max(areas):
        return False
    return overlap(a, b) > _DOUBLE


def _bounds(box: _Box) -> Bounds:
    return Bounds(box[0], box[1], box[0] + box[2], box[1] + box[3])


def binned(counts: Sequence[int], unit: str = "") -> Histogram:
    """Return bins of powers of two, from the first to the last that is not empty.

    Args:
        counts: How many there are of 0, of 1, of 2 to 4, of 4 to 8 and so on.
        unit: What is measured; nothing for whole numbers.
    """
    filled = [at for at, count in enumerate(counts) if count]
    rows = []
    for at in range(filled[0], filled[-1] + 1) if filled else ():
        first, after = 1 << at >> 1, 1 << at
        if unit:
            text = f"{first:,} to {after:,}{unit}"
        else:
            text = f"{first:,}" if after - first < 2 else f"{first:,} to {after - 1:,}"
        rows.append((text, counts[at]))
    return tuple(rows)
