"""Clip shapes at the edges of their image, and scale them with it.

Everything is in pixels, from the left upper corner of the first pixel: an image is the square from
(0, 0) to (width, height). Nothing here changes a shape that is within its image.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import TypeAlias, TypeVar

import attrs

from datagym_async._json import LARGEST
from datagym_async.labels._check_parts import Finding, PartPath, Severity, is_beyond
from datagym_async.labels._payload import LABELS
from datagym_async.labels._values import (
    Annotation,
    Incomplete,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
    edges_of,
)

L = TypeVar("L", bound=LabeledImage)

Pair: TypeAlias = tuple[float, float]  # x and y


def sticks_out(shape: Shape, width: float, height: float) -> bool:
    """Return whether a shape goes beyond an image of this many pixels."""
    edges = [shape.bounds] if isinstance(shape, Rectangle) else map(edges_of, rings_of(shape))
    return any(
        not (left >= 0 and top >= 0) or is_beyond(right, width) or is_beyond(bottom, height)
        for left, top, right, bottom in edges
    )


def clipped(shape: Shape, width: float, height: float) -> list[Shape]:
    """Return the part of a shape within an image of this many pixels.

    That is the shape itself if it is completely within, and nothing if no area (of a line: no
    length) is left. A line that leaves the image and comes back gives several. An outline that does
    so stays one, joined along the edge, which covers nothing more; so does a hole.
    """
    if not sticks_out(shape, width, height):
        return [shape]
    match shape:
        case Rectangle():
            left, top, right, bottom = shape.bounds
            left, right = (min(max(each, 0), width) for each in (left, right))
            top, bottom = (min(max(each, 0), height) for each in (top, bottom))
            inside = left < right and top < bottom
            return [Rectangle.from_corners(left, top, right, bottom)] if inside else []
        case Polygon(points):
            ring = clip_ring(_pairs(points), width, height)
            return [Polygon(ring)] if ring else []
        case Segmentation((outline, *holes)):
            rings = [clip_ring(_pairs(each), width, height) for each in (outline, *holes)]
            return [Segmentation([each for each in rings if each])] if rings[0] else []
        case Line(points):
            return [Line(each) for each in clip_line(_pairs(points), width, height)]
    return []  # a point beyond the edge


def _pairs(points: Sequence[Point]) -> list[Pair]:
    return [(each.x, each.y) for each in points]


def clip_ring(ring: Sequence[Pair], width: float, height: float) -> list[Pair]:
    """Return the part of an outline within an image (Sutherland and Hodgman), or nothing."""
    found = list(ring)
    for axis, edge, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        before, found = found, []
        for start, end in zip([*before[-1:], *before[:-1]], before, strict=True):
            from_inside = sign * (start[axis] - edge) >= 0
            if from_inside != (sign * (end[axis] - edge) >= 0):
                share = (edge - start[axis]) / (end[axis] - start[axis])
                other = start[1 - axis] + share * (end[1 - axis] - start[1 - axis])
                found.append((edge, other) if axis == 0 else (other, edge))
            if sign * (end[axis] - edge) >= 0:
                found.append(end)
    unlike = [each for at, each in enumerate(found) if each != found[at - 1]]
    return unlike if Polygon(unlike).area > 0 else []


def clip_line(points: Sequence[Pair], width: float, height: float) -> list[list[Pair]]:
    """Return the pieces of an open line within an image (Liang and Barsky)."""
    pieces: list[list[Pair]] = []
    for (x, y), (to_x, to_y) in pairwise(points):
        first, last = 0.0, 1.0  # where the line enters and leaves, as fractions of it
        horizontal = ((x - to_x, x), (to_x - x, width - x))
        vertical = ((y - to_y, y), (to_y - y, height - y))
        for way, room in (*horizontal, *vertical):
            if way < 0:
                first = max(first, room / way)
            elif way > 0:
                last = min(last, room / way)
            elif room < 0:
                last = -1.0
        if first >= last:
            continue
        start = (x, y) if first == 0 else (x + first * (to_x - x), y + first * (to_y - y))
        end = (to_x, to_y) if last == 1 else (x + last * (to_x - x), y + last * (to_y - y))
        if pieces and pieces[-1][-1] == start:
            pieces[-1].append(end)
        else:
            pieces.append([start, end])
    return pieces


def rings_of(shape: Shape) -> tuple[tuple[Point, ...], ...]:
    """Return the corners of a shape: of a mask the outline first, then its holes."""
    match shape:
        case Point():
            return ((shape,),)
        case Rectangle():
            return (shape.bounds.corners,)
        case Segmentation():
            return tuple(ring for ring in shape.rings if ring)
        case Incomplete():
            return ()
    return (shape.points,) if shape.points else ()


def is_finite(shape: Shape) -> bool:
    """Return whether no coordinate of a shape is NaN, infinite or too large for JSON."""
    # Called for each shape that is written, so with loops: `all` takes three times as long.
    if isinstance(shape, Rectangle):
        for edge in (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height):
            if not -LARGEST <= edge <= LARGEST:
                return False
    else:
        for at in chain.from_iterable(rings_of(shape)):
            if not (-LARGEST <= at.x <= LARGEST and -LARGEST <= at.y <= LARGEST):
                return False
    return True


def moved(shape: Shape, move: Callable[[float, float], Point]) -> Shape:
    """Return a shape with each of its points moved; a rectangle stays one."""

    def ring(points: Iterable[Point]) -> list[Point]:
        return [move(each.x, each.y) for each in points]

    match shape:
        case Point(x, y):
            return move(x, y)
        case Line(points):
            return Line(ring(points))
        case Polygon(points):
            return Polygon(ring(points))
        case Segmentation(rings):
            return Segmentation(map(ring, rings))
        case Rectangle():
            one, other = ring(shape.bounds.corners[::2])
            left, top = min(one.x, other.x), min(one.y, other.y)
            return Rectangle(left, top, abs(one.x - other.x), abs(one.y - other.y))
    return shape


def scaled(shape: Shape, across: float, down: float) -> Shape:
    """Return a shape of an image that was scaled by these factors."""
    if isinstance(shape, Rectangle):  # by its width, which is exact; a right edge is a sum
        x, y, width, height = attrs.astuple(shape)
        return Rectangle(x * across, y * down, width * across, height * down)
    return moved(shape, lambda x, y: Point(x * across, y * down))


def reshaped(
    annotation: Annotation, change: Callable[[Annotation], Sequence[Shape]]
) -> list[Annotation]:
    """Return an annotation for each shape that a change makes of it; also for nested ones.

    Nested annotations stay with the first of them. If none is left, they are dropped too.
    """
    shapes = change(annotation)
    below = annotation.nested if shapes else ()
    nested = [each for inner in below for each in reshaped(inner, change)]
    return [
        attrs.evolve(annotation, shape=shape, nested=() if at else nested)
        for at, shape in enumerate(shapes)
    ]


def with_shapes(image: L, change: Callable[[Annotation], Sequence[Shape]]) -> L:
    """Return an image with what a change makes of its annotations (`reshaped`)."""
    annotations = [each for whole in image.annotations for each in reshaped(whole, change)]
    return attrs.evolve(image, annotations=annotations)


# --- The labels of a file, and the image that the service has under that name ---------------------


@attrs.frozen(kw_only=True)
class InShares(LabeledImage):
    """Labels in shares of an unknown width and height, as YOLO has them; see `fitted`."""


@attrs.define
class Fitted:
    """The labels of an image, fitted to the image that the service has."""

    image: LabeledImage  # with the size of that image
    errors: list[Finding] = attrs.field(factory=list)  # why they are not its labels
    left_out: list[Finding] = attrs.field(factory=list)  # of which nothing is within it
    warnings: list[Finding] = attrs.field(factory=list)  # what was changed


def fitted(
    image: LabeledImage, size: tuple[int, int] | None, *, rescale: bool = False, clip: bool = False
) -> Fitted:
    """Return the labels of an image, compared with the size that it really has.

    `size` is the width and height of the image as the service has it, in pixels, or None. With
    `rescale`, labels of an image of exactly the same ratio are scaled to it; with `clip`, shapes
    are cut off at the edges.
    """
    found = Fitted(image)
    if isinstance(image, InShares) and None in (image.width, image.height):
        if size is None:
            why = "the size of the image is not read, or the service has none"
            text = f"the labels are shares of a width and height, and {why}"
            found.errors.append(Finding((), text))
            return found
        found.image = with_shapes(image, lambda it: [scaled(it.shape, *size)])
    elif size is not None and image.width and image.height:
        said = (image.width, image.height)
        found.errors += _unlike(said, size, rescale=rescale)
        if found.errors:
            return found
        if said != size:
            across, down = size[0] / said[0], size[1] / said[1]
            found.image = with_shapes(image, lambda it: [scaled(it.shape, across, down)])
            message = f"scaled from {said[0]} x {said[1]} to {size[0]} x {size[1]} pixels"
            found.warnings.append(Finding((), message, Severity.WARNING))
    if size is not None:
        found.image = attrs.evolve(found.image, width=size[0], height=size[1])
    if clip:
        numbers, kept = Counter[str](), list[Annotation]()
        for each in found.image.annotations:
            at = (LABELS, each.key, numbers[each.key])
            kept += reshaped(each, partial(_cut, found, at))
            numbers[each.key] += 1
        found.image = attrs.evolve(found.image, annotations=kept)
    return found


def _unlike(said: tuple[int, int], there: tuple[int, int], *, rescale: bool) -> Iterator[Finding]:
    """Yield why labels of an image of one size do not belong to an image of another size."""
    if said == there:
        return
    sizes = f"the file says {said[0]} x {said[1]} pixels, the image has {there[0]} x {there[1]}"
    if said[0] * there[1] == said[1] * there[0]:
        if not rescale:
            hint = "of the same ratio; rescale=True scales the labels to it"
            yield Finding((), f"{sizes}, {hint}")
    elif said[0] * there[0] == said[1] * there[1]:
        yield Finding(
            (),
            f"{sizes}: width and height are swapped, as by an EXIF orientation, which the service "
            "does not apply; upload the image as it is shown, or label it as it is stored",
        )
    else:
        yield Finding((), f"{sizes}: the labels belong to another image")


def _cut(found: Fitted, at: PartPath, annotation: Annotation) -> list[Shape]:
    """Return the part of an annotation's shape within its image, and record the rest."""
    width, height = found.image.width or math.inf, found.image.height or math.inf
    shapes = clipped(annotation.shape, width, height)
    if not shapes:
        gone = Finding(at, "nothing of it is within the image")
        found.left_out += [gone] * (1 + len(annotation.nested))
    elif shapes != [annotation.shape]:
        found.warnings.append(Finding(at, "cut off at the edge of the image", Severity.WARNING))
    return shapes
