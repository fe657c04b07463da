"""Statistics of labels: counted image by image, in constant memory; no I/O.

`StatisticsTally.add` is fast, because an export may have millions of objects.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from math import nan, sqrt
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias

import attrs

from datagym_async._printable import Shown, counted, printable
from datagym_async.labels import (
    Annotation,
    Bounds,
    Classification,
    Incomplete,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
from datagym_async.labels._values import edges_of
from datagym_async.look._marks import bounds_of
from datagym_async.look._overlap import Covers, has_area, overlap
from datagym_async.models import EntryType, TaskState
from datagym_async.models._basics import count as numbered

FindingKind: TypeAlias = Literal["tiny", "edge", "double", "incomplete", "unlabelled", "unanswered"]

FINDINGS: Final[Mapping[FindingKind, str]] = {
    "tiny": "tiny objects, with a side shorter than the limit",
    "edge": "objects that touch the edge of their image, or extend beyond it",
    "double": "objects that cover another one of the same class (IoU above 0.95)",
    "incomplete": "objects with missing coordinates",
    "unlabelled": "finished images without any object or answer",
    "unanswered": "questions without an answer",
}
_DOUBLE: Final = 0.95  # IoU
_APART: Final = 1 / _DOUBLE - 1  # the largest distance of doubles, as a share of the second's side
_CROWD: Final = 100  # boxes close to another one, from which on two directions are tried
_EXAMPLES: Final = 100
_OPTIONS: Final = 200  # answers to a question, and sizes of images, that are counted separately
_OTHERS: Final = "(others)"
_LONGEST_OPTION: Final = 60
_TEXT: Final = "(text)"
_GATHERED: Final = 2_000
_FREETEXT: Final = EntryType.FREETEXT  # reading a member of an enum is slow
_FAR: Final = 1e9  # pixels; no image is larger
_EXTENT: Final = 1e-9  # the least side of a box; lines and points may have 0
_ROUNDING: Final = 1e-3  # pixels that an edge may be off: files and sums of numbers are rounded
_THIN: Final = frozenset({Point, Line})


@attrs.frozen
class ClassCount:
    """Counts of one class; sides are the square roots of the areas of boxes, in pixels."""

    key: str
    images: int
    objects: int
    smallest: float
    mean: float
    largest: float


@attrs.frozen
class AnswerCount:
    """Counts of one question: how often each answer was given, and how often none."""

    key: str
    answers: Mapping[str, int]
    unanswered: int


@attrs.frozen
class FindingCount:
    """Something to look at: how many there are, and the first hundred, a line each."""

    kind: FindingKind
    count: int
    examples: tuple[str, ...] = attrs.field(default=(), repr=False)

    @property
    def text(self) -> str:
        """Return a description of what is counted."""
        return FINDINGS[self.kind]


Histogram: TypeAlias = tuple[tuple[str, int], ...]
"""Ranges in order, each with its count."""


@attrs.frozen(kw_only=True)
class LabelStatistics(Shown):
    """Statistics of labels.

    Attributes:
        name: Name of the project, dataset or file.
        images: Number of images.
        labelled: Images with an object or an answer.
        objects: Objects, including nested ones.
        states: Images by the state of their tasks, also unfinished ones.
        classes: Counts of each class, the most frequent first.
        answers: How each question was answered.
        sizes: Objects by the side of a square with the area of their box, in pixels; without
            points.
        per_image: Images by their number of objects.
        image_sizes: Images by width and height, as far as these are known.
        findings: What you should look at.
        notes: Remarks on the numbers, as sentences.
    """

    name: str
    images: int = 0
    labelled: int = 0
    objects: int = 0
    states: Mapping[str, int] = attrs.field(factory=dict)
    classes: tuple[ClassCount, ...] = attrs.field(default=(), repr=numbered)
    answers: tuple[AnswerCount, ...] = attrs.field(default=(), repr=numbered)
    sizes: Histogram = attrs.field(default=(), repr=False)
    per_image: Histogram = attrs.field(default=(), repr=False)
    image_sizes: Histogram = attrs.field(default=(), repr=False)
    findings: tuple[FindingCount, ...] = attrs.field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = counted(self.objects, "object"), counted(len(self.classes), "class", "classes")
        images = counted(self.images, "image")
        return printable(f"{self.name}: {images} with {' of '.join(parts)}.")

    def finding(self, kind: FindingKind) -> FindingCount:
        """Return what was found of one kind."""
        return next(each for each in self.findings if each.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"schema": "datagym_async.statistics/1", **attrs.asdict(self, recurse=True)}


_LEFT: Final = itemgetter(0)
_Box: TypeAlias = tuple[float, float, float, float, Annotation]
"""Left, top, width and height, and the object."""


@attrs.define
class _Sums:
    images: int = 0
    objects: int = 0
    total: float = 0.0
    least: float = _FAR
    most: float = 0.0
    areas: list[float] = attrs.field(factory=list)  # that are not counted yet


@attrs.define
class StatisticsTally:
    name: str  # of the project, dataset or file
    tiny: float = 4.0  # pixels; a shorter side makes an object tiny
    states: Counter[str] = attrs.field(factory=Counter)
    notes: list[str] = attrs.field(factory=list)
    _images: int = 0
    _labelled: int = 0
    _classes: dict[str, _Sums] = attrs.field(factory=lambda: defaultdict(_Sums))
    _sides: Counter[int] = attrs.field(factory=Counter)
    _per_image: Counter[int] = attrs.field(factory=Counter)
    _image_sizes: Counter[str] = attrs.field(factory=Counter)
    _given: list[tuple[str, tuple[str | None, ...]]] = attrs.field(factory=list)
    _answers: dict[str, Counter[str]] = attrs.field(factory=lambda: defaultdict(Counter))
    _unanswered: list[str] = attrs.field(factory=list)
    _counts: Counter[FindingKind] = attrs.field(factory=Counter)
    _examples: dict[FindingKind, list[str]] = attrs.field(factory=dict)
    _points: int = 0
    _waiting: int = 0  # objects and answers that are not counted yet; some thousands at most

    def add(self, image: LabeledImage) -> None:
        """Count an image with its labels."""
        near, least = _ROUNDING, max(self.tiny, _EXTENT)
        right = bottom = _FAR
        if (width := image.width) and (height := image.height):
            right, bottom = width - near, height - near
            self._count(self._image_sizes, f"{width} x {height}")
        found, answers = [*image.annotations], [*image.classifications]
        groups: dict[str, list[_Box]] = {}
        last: str | None = None
        group: list[_Box] = []
        areas: list[float] = []
        for each in found:
            if each.nested:
                found += each.nested  # which this loop goes through as well
            if each.classifications:
                answers += each.classifications
            left, top, wide, high, _ = box = _box_of(each)
            # Most are within their image and large enough, which one comparison checks.
            if not (
                left > near
                and top > near
                and least <= wide < right - left
                and least <= high < bottom - top
            ) and not self._is_there(image, box, right, bottom):
                continue
            if (key := each.key) is not last:  # those of a class mostly follow one another
                last, group, areas = key, groups.setdefault(key, []), self._classes[key].areas
            group.append(box)
            areas.append(wide * high)
        for key, group in groups.items():
            self._classes[key].images += 1
            if len(group) > 1:
                for each in _doubled(group):
                    self._find("double", image, each)
        if answers:
            self._take(image, answers)
        self._images += 1
        self._per_image[len(found).bit_length()] += 1
        state = image.state if isinstance(image, LabeledTask) else None
        if state is not None:
            self.states[state.value] += 1
        if found or any(any(answer.values) for answer in image.classifications):
            self._labelled += 1
        elif state is not TaskState.SKIPPED:
            self._find("unlabelled", image)
        self._waiting += len(found) + len(answers)
        if self._waiting > _GATHERED:
            self._gather()

    def _is_there(self, image: LabeledImage, box: _Box, right: float, bottom: float) -> bool:
        """Return whether an object has a place, and record what is wrong with it."""
        left, top, wide, high, each = box
        # Finite, and within the range of the bins.
        if not (-_FAR < left + top < _FAR and 0 <= wide < _FAR and 0 <= high < _FAR):
            self._find("incomplete", image, each)
            return False
        kind = type(each.shape)
        self._points += kind is Point
        if min(wide, high) + _ROUNDING <= self.tiny and kind not in _THIN:
            self._find("tiny", image, each)
        if min(left, top) <= _ROUNDING or left + wide >= right or top + high >= bottom:
            self._find("edge", image, each)
        return True

    def _take(self, image: LabeledImage, answers: list[Classification]) -> None:
        for each in answers:
            if each.children:
                answers += each.children  # which this loop goes through as well
            is_text = each.type is _FREETEXT and any(each.values)
            self._given.append((each.key, (_TEXT,) if is_text else each.values))
        if len(self._unanswered) < _EXAMPLES:
            unset = (each.key for each in answers if not any(each.values))
            name = image.media_name or image.media_id
            self._unanswered += (printable(f"{name}: {key}") for key in unset)
            del self._unanswered[_EXAMPLES:]

    def _gather(self) -> None:
        for sums in self._classes.values():
            if areas := sums.areas:
                sums.objects += len(areas)
                sums.total += sum(map(sqrt, areas))
                sums.least = min(sums.least, sqrt(min(areas)))
                sums.most = max(sums.most, sqrt(max(areas)))
                for bits, times in Counter(map(int.bit_length, map(int, areas))).items():
                    self._sides[(bits + 1) >> 1] += times
                areas.clear()
        for (key, values), times in Counter(self._given).items():
            known = self._answers[key]
            options = [value for value in values if value]
            if not options:
                known[""] += times
                self._counts["unanswered"] += times
            for option in options:
                self._count(known, _TEXT if len(option) > _LONGEST_OPTION else option, times)
        self._given.clear()
        self._waiting = 0

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
        self._gather()
        examples = {**self._examples, "unanswered": self._unanswered}
        classes = [
            ClassCount(key, it.images, it.objects, it.least, it.total / it.objects, it.most)
            for key, it in self._classes.items()
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
            sizes=binned(self._sides - Counter({0: self._points}), " px"),
            per_image=binned(self._per_image),
            image_sizes=tuple(self._image_sizes.most_common()),
            findings=tuple(
                FindingCount(kind, self._counts[kind], tuple(examples.get(kind, ())))
                for kind in FINDINGS
            ),
            notes=tuple(self.notes),
        )


def _box_of(each: Annotation) -> _Box:
    """Return the box of an object; its numbers are NaN if it has no place."""
    shape: Any = each.shape
    kind = type(shape)
    if kind is Rectangle:
        return shape.x, shape.y, shape.width, shape.height, each
    if kind is Point:
        return shape.x, shape.y, 0, 0, each
    if kind is Segmentation:
        corners = shape.rings[0] if shape.rings else ()
    else:
        corners = () if kind is Incomplete else shape.points
    if not corners:
        return nan, nan, nan, nan, each
    left, top, right, bottom = edges_of(corners)
    return left, top, right - left, bottom - top, each


def _near(group: list[_Box]) -> list[int]:
    """Sort boxes by their left side; return the numbers of those close to the one before."""
    group.sort(key=_LEFT)
    return [
        at
        for at, (before, box) in enumerate(pairwise(group), 1)
        if box[0] - before[0] <= box[2] * _APART
    ]


def _doubled(group: list[_Box]) -> list[Annotation]:
    """Return the objects of a class that cover another one, each once."""
    near, covers = _near(group), None
    if len(near) > _CROWD:  # as in a column: from above, few may be close to another one
        covers = Covers(Bounds(x, y, x + wide, y + high) for x, y, wide, high, _ in group)
        turned = [(top, left, high, wide, each) for left, top, wide, high, each in group]
        if len(others := _near(turned)) < len(near):
            group, near = turned, others
    found = []
    for at in near:
        left, top, wide, high, each = group[at]
        for back in range(at - 1, -1, -1):
            x, y, w, h, other = group[back]
            if left - x > wide * _APART:
                break
            # Shapes are compared only if their boxes are nearly the same.
            across = min(left + wide, x + w) - left
            both = across * (min(top + high, y + h) - max(top, y))
            if both < _DOUBLE * (wide * high + w * h - both) or across < 0:
                continue
            if each.shape == other.shape or (
                type(each.shape) not in _THIN and _cover_each_other(each.shape, other.shape, covers)
            ):
                found.append(each)
                break
    return found


def _cover_each_other(a: Shape, b: Shape, covers: Covers | None) -> bool:
    areas = [each.area for each in (a, b) if isinstance(each, Polygon | Segmentation)]
    if len(areas) == 2 and min(areas) <= _DOUBLE * max(areas):
        return False
    have_area = has_area(a) and has_area(b)
    return not (covers and have_area and covers.most(a, b) <= _DOUBLE) and overlap(a, b) > _DOUBLE


def binned(counts: Mapping[int, int], unit: str = "") -> Histogram:
    """Return bins of powers of two, from the first to the last that is not empty.

    `counts` has the count of 0 at 0, of 1 at 1, of 2 to 4 at 2, of 4 to 8 at 3 and so on; without a
    unit, whole numbers were counted.
    """
    filled = [at for at, count in counts.items() if count]
    rows = []
    for at in range(min(filled), max(filled) + 1) if filled else ():
        first, after = 1 << at >> 1, 1 << at
        if unit:
            text = f"{first:,} to {after:,}{unit}"
        else:
            text = f"{first:,}" if after - first < 2 else f"{first:,} to {after - 1:,}"
        rows.append((text, counts.get(at, 0)))
    return tuple(rows)
