"""The overlap of shapes, and the comparison of two sets of labels; blocks, no I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import partial
from math import isfinite
from typing import Final, TypeAlias

import attrs

from datagym_async._checks import checked
from datagym_async.labels import Bounds, LabeledImage, Line, Point, Rectangle, Shape
from datagym_async.labels._geometry import rings_of
from datagym_async.look._drawing import covered
from datagym_async.look._marks import Mark, bounds_of, marks_of, size_of

_Boxed: TypeAlias = "tuple[Bounds, int, Shape]"
"""The bounds of a mark, its number and its shape."""
_GRID: Final = 256  # pixels of the longer side, if two shapes are painted to compare their areas


def box_overlap(a: Bounds, b: Bounds) -> float:
    """Return intersection over union of two boxes, from 0 to 1."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    union = a.width * a.height + b.width * b.height - both
    return both / union if isfinite(union) else 0.0


def overlap(a: Shape, b: Shape) -> float:
    """Return intersection over union of two shapes, from 0 to 1; for areas this needs Pillow."""
    first, second = bounds_of(a), bounds_of(b)
    return 0.0 if first is None or second is None else _overlap(a, b, first, second)


def _overlap(a: Shape, b: Shape, first: Bounds, second: Bounds) -> float:
    # A model of boxes gives boxes for polygons, too: then only the boxes are compared.
    share = box_overlap(first, second)
    if not share or any(isinstance(shape, Rectangle | Point | Line) for shape in (a, b)):
        return share
    from PIL import ImageChops

    # Others are painted into the smallest area that holds both.
    left, top = min(first.left, second.left), min(first.top, second.top)
    right, bottom = max(first.right, second.right), max(first.bottom, second.bottom)
    scale = _GRID / max(right - left, bottom - top)
    size = (round((right - left) * scale) + 1, round((bottom - top) * scale) + 1)
    masks = []
    for shape in (a, b):
        rings = rings_of(shape)
        moved = ([((p.x - left) * scale, (p.y - top) * scale) for p in ring] for ring in rings)
        masks.append(covered(moved, size))
    both = ImageChops.logical_and(*masks).histogram()[-1]
    either = ImageChops.logical_or(*masks).histogram()[-1]
    return both / either if either else 0.0


@attrs.frozen
class Comparison:
    """The comparison of two sets of labels of one image.

    Args:
        ours: For each object of the first set the number of its partner in the second, or None: it
            was missed.
        theirs: For each object of the second set the number of its partner, or None: it is false.
        shares: IoU of each pair.
    """

    ours: tuple[int | None, ...]
    theirs: tuple[int | None, ...]
    shares: tuple[float, ...]

    @property
    def missed(self) -> int:
        """Return the number of objects of the first set without a partner."""
        return self.ours.count(None)

    @property
    def false(self) -> int:
        """Return the number of objects of the second set without a partner."""
        return self.theirs.count(None)

    @property
    def disagreement(self) -> float:
        """Return by how many objects they differ: those without a partner, and 1 - IoU of pairs."""
        return self.missed + self.false + sum(1 - share for share in self.shares)


@checked
def compare(ours: LabeledImage, theirs: LabeledImage, *, least: float = 0.5) -> Comparison:
    """Return which objects of two sets match: they have the same class and overlap enough.

    The best pair is taken first; each object has at most one partner.

    Args:
        ours: The labels.
        theirs: The labels to compare, for example those of a model.
        least: IoU from which two objects match, above 0 to 1.
    """
    first, second = list(marks_of(ours)), list(marks_of(theirs))
    slack = max(*size_of(ours), *size_of(theirs)) / 100
    pairs = sorted(_pairs(first, second, slack, least), reverse=True)
    partner: dict[int, int] = {}
    back: dict[int, int] = {}
    shares = []
    for share, minus_a, minus_b in pairs:
        a, b = -minus_a, -minus_b
        if a not in partner and b not in back:
            partner[a], back[b] = b, a
            shares.append(share)
    return Comparison(
        tuple(partner.get(index) for index in range(len(first))),
        tuple(back.get(index) for index in range(len(second))),
        tuple(shares),
    )


def _pairs(
    first: Sequence[Mark], second: Sequence[Mark], slack: float, least: float
) -> list[tuple[float, int, int]]:
    by_key: dict[str, tuple[list[_Boxed], list[_Boxed]]] = {}
    for side, marks in enumerate((first, second)):
        for index, mark in enumerate(marks):
            shape, box = mark.annotation.shape, mark.bounds
            if isinstance(shape, Point | Line):  # which have no area of their own
                left, top, right, bottom = box
                box = Bounds(left - slack, top - slack, right + slack, bottom + slack)
            by_key.setdefault(mark.key, ([], []))[side].append((box, index, shape))
    found = []
    for ours, theirs in by_key.values():
        if not ours or not theirs:
            continue
        # Sorted along the side on which they are further apart, few have to be looked at.
        start = min((0, 1), key=partial(_density, [box for box, _, _ in theirs]))
        across, end = 1 - start, start + 2
        theirs.sort(key=lambda each: each[0][start])
        starts = [box[start] for box, _, _ in theirs]
        widest = max(box[end] - box[start] for box, _, _ in theirs)
        for box, index, shape in ours:
            before = bisect_left(starts, box[start] - widest)
            for other, at, candidate in theirs[before : bisect_right(starts, box[end])]:
                if other[across] > box[across + 2] or other[across + 2] < box[across]:
                    continue
                share = _overlap(shape, candidate, box, other)
                if share >= least:
                    found.append((share, -index, -at))  # of equal shares the first ones go first
    return found


def _density(boxes: Sequence[Bounds], start: int) -> float:
    """Return the average number of boxes side by side, along one of their sides."""
    whole = max(box[start + 2] for box in boxes) - min(box[start] for box in boxes)
    return sum(box[start + 2] - box[start] for box in boxes) / whole if whole else 0.0
