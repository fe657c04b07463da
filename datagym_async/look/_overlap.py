"""The overlap of shapes, and the comparison of two sets of labels; blocks, no I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import attrs

from datagym_async._checks import Kind, check, checked, is_number
from datagym_async.labels import Bounds, LabeledImage, Line, Point, Rectangle, Shape
from datagym_async.labels._geometry import rings_of
from datagym_async.look._marks import Mark, bounds_of, covered, marks_of, size_of

if TYPE_CHECKING:
    from PIL.Image import Image

SHARE: Final = Kind(
    "an IoU above 0, 1 at most", lambda value: is_number(value) and 0 < cast("float", value) <= 1
)
_Pair: TypeAlias = "tuple[float, int, int, Callable[[], float] | None]"
"""Minus the share of a pair, its two numbers, and None. Before the share is known: minus its upper
bound, and a function for the share."""
_Boxed: TypeAlias = "tuple[Bounds, int, Shape]"
"""The bounds of a mark, its number and its shape."""
_EDGE: Final = 3
"""Width in pixels of the strip along an edge that a shape covers on some grids only."""
_MANY: Final = 8  # pairs for each object, from which painting each object once is faster
_GRID: Final = 256  # pixels of the longer side, if two shapes are painted to compare their areas
_LEAST: Final = 1e-9  # the least side of a grid; in a smaller one all shapes are a point


def box_overlap(a: Bounds, b: Bounds) -> float:
    """Return intersection over union of two boxes, from 0 to 1."""
    width = max(0.0, min(a.right, b.right) - max(a.left, b.left))
    height = max(0.0, min(a.bottom, b.bottom) - max(a.top, b.top))
    both = width * height  # also 0 if the sides are so small that it cannot be expressed
    return both / (a.width * a.height + b.width * b.height - both) if both else 0.0


def has_area(shape: Shape) -> bool:
    """Return whether a shape covers something else than its box."""
    return not isinstance(shape, Rectangle | Point | Line)


def overlap(a: Shape, b: Shape) -> float:
    """Return intersection over union of two shapes, from 0 to 1; for areas this needs Pillow."""
    first, second = bounds_of(a), bounds_of(b)
    if first is None or second is None:
        return 0.0
    # A model of boxes gives boxes for polygons, too: then only the boxes are compared.
    share = box_overlap(first, second)
    if not share or not (has_area(a) and has_area(b)):
        return share
    # Others are painted into the smallest area that holds both.
    left, top = min(first.left, second.left), min(first.top, second.top)
    right, bottom = max(first.right, second.right), max(first.bottom, second.bottom)
    scale = _GRID / max(right - left, bottom - top)
    size = (round((right - left) * scale) + 1, round((bottom - top) * scale) + 1)
    masks = []
    for shape in (a, b):
        rings = rings_of(shape)
        moved = ([((p.x - left) * scale, (p.y - top) * scale) for p in ring] for ring in rings)
        masks.append(_bits_of(covered(moved, size)))
    either = (masks[0] | masks[1]).bit_count()
    return (masks[0] & masks[1]).bit_count() / either if either else 0.0


def _bits_of(mask: Image) -> int:
    return int.from_bytes(mask.tobytes())


class Covers:
    """The most that shapes can overlap, for many pairs: each shape is painted only once.

    All are painted on one grid: the pixels that a shape surely covers, and those that it may cover.
    What is near an edge depends on the grid, and `overlap` has another one for each pair.
    """

    def __init__(self, boxes: Iterable[Bounds]) -> None:
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        self._left, self._top = min(lefts), min(tops)
        side = max(max(rights) - self._left, max(bottoms) - self._top)
        self._scale = (_GRID - 1) / max(side, _LEAST)
        self._bits: dict[int, tuple[int, int]] = {}

    def most(self, a: Shape, b: Shape) -> float:
        """Return a share that the overlap of two shapes with an area does not exceed."""
        (sure, maybe), (other_sure, other_maybe) = map(self._painted, (a, b))
        least = (sure | other_sure).bit_count()
        most = (maybe & other_maybe).bit_count()
        return most / least if most < least else 1

    def _painted(self, shape: Shape) -> tuple[int, int]:
        found = self._bits.get(id(shape))
        if found is None:
            from PIL import Image, ImageChops, ImageDraw, ImageFilter

            size = (_GRID, _GRID)
            rings = [
                [((p.x - self._left) * self._scale, (p.y - self._top) * self._scale) for p in ring]
                for ring in rings_of(shape)
            ]
            edges = Image.new("L", size)
            for ring in rings:
                ImageDraw.Draw(edges).line([*ring, ring[0]], fill=255)
            near = edges.filter(ImageFilter.MaxFilter(_EDGE)).convert("1")
            inside = covered(rings, size)
            sure = ImageChops.logical_and(inside, ImageChops.invert(near))
            maybe = ImageChops.logical_or(inside, near)
            found = self._bits[id(shape)] = _bits_of(sure), _bits_of(maybe)
        return found


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
    check(SHARE, least=least)
    first, second = list(marks_of(ours)), list(marks_of(theirs))
    slack = max(*size_of(ours), *size_of(theirs)) / 100
    # Of equal shares the first ones go first. The exact share of a pair is computed only when it is
    # its turn by the upper bound: most pairs lose one of their objects to a better pair before.
    pairs = [*_pairs(first, second, slack, least)]
    heapify(pairs)
    partner: list[int | None] = [None] * len(first)
    back: list[int | None] = [None] * len(second)
    shares = []
    while pairs:
        minus, a, b, exact = heappop(pairs)
        if partner[a] is not None or back[b] is not None:
            continue
        if exact is None:
            partner[a], back[b] = b, a
            shares.append(-minus)
        elif (share := exact()) >= least:
            heappush(pairs, (-share, a, b, None))
    return Comparison(tuple(partner), tuple(back), tuple(shares))


def _pairs(
    first: Sequence[Mark], second: Sequence[Mark], slack: float, least: float
) -> Iterator[_Pair]:
    by_key: dict[str, tuple[list[_Boxed], list[_Boxed]]] = {}
    for side, marks in enumerate((first, second)):
        for index, mark in enumerate(marks):
            shape, box = mark.annotation.shape, mark.bounds
            if isinstance(shape, Point | Line):  # which have no area of their own
                left, top, right, bottom = box
                box = Bounds(left - slack, top - slack, right + slack, bottom + slack)
            by_key.setdefault(mark.key, ([], []))[side].append((box, index, shape))
    for ours, theirs in by_key.values():
        if not ours or not theirs:
            continue
        # Sorted along the side on which they are further apart, few have to be looked at.
        start = min((0, 1), key=partial(_density, [box for box, _, _ in theirs]))
        across, end = 1 - start, start + 2
        theirs.sort(key=lambda each: each[0][start])
        starts = [box[start] for box, _, _ in theirs]
        widest = max(box[end] - box[start] for box, _, _ in theirs)
        reach = [
            slice(bisect_left(starts, box[start] - widest), bisect_right(starts, box[end]))
            for box, *_ in ours
        ]
        every = len(ours) + len(theirs)
        is_crowd = sum(each.stop - each.start for each in reach) > _MANY * every
        covers = Covers(box for box, *_ in chain(ours, theirs)) if is_crowd else None
        for (box, index, shape), near in zip(ours, reach, strict=True):
            for other, at, candidate in theirs[near]:
                if other[across] > box[across + 2] or other[across + 2] < box[across]:
                    continue
                if has_area(shape) and has_area(candidate):
                    most = covers.most(shape, candidate) if covers else 1
                    if most >= least:
                        yield -most, index, at, partial(overlap, shape, candidate)
                elif (share := box_overlap(box, other)) >= least:
                    yield -share, index, at, None


def _density(boxes: Sequence[Bounds], start: int) -> float:
    """Return the average number of boxes side by side, along one of their sides."""
    whole = max(box[start + 2] for box in boxes) - min(box[start] for box in boxes)
    return sum(box[start + 2] - box[start] for box in boxes) / whole if whole else 0.0
