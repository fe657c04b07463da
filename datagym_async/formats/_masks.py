"""Masks to outlines with holes and back, exactly: outlines go along the edges between pixels.

An outline goes through the corners of pixels, where pixel (0, 0) is the square from (0, 0) to
(1, 1), and turns only where the edge does. Pixels that touch only at a corner belong to different
segments. Filling an outline and clearing its holes gives the mask again, pixel for pixel.

The edges of a row of corners lie between its first and second corner, its third and fourth, and so
on; those of a column likewise. So an outline is found by going from partner to partner, along a row
and a column in turn.

`sdk_shapes` gives the results of the official SDK (0.7.2) for COCO, for people who compare or move
from it. Outlines of masks go through the middle of pixels there and are simplified: corners nearer
than 0.9 % of the outline's length to the line between their neighbours are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from datagym_async._extras import extra_module
from datagym_async.formats._losses import BrokenError, FormatError, Losses, LossKind
from datagym_async.formats._raw import RawObject
from datagym_async.labels import Point, Polygon, Rectangle, Shape
from datagym_async.labels._geometry import clip_ring

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Ring: TypeAlias = list[tuple[int, int]]
"""x and y of each corner of a closed outline; the last is joined to the first."""


class Segment(NamedTuple):
    """Connected pixels: an outline and the holes in it."""

    outline: Ring
    holes: list[Ring]


def trace(mask: NDArray[Any]) -> list[Segment]:
    """Return the segments of a mask (height, width), from top to bottom and from left to right."""
    import numpy as np  # here, so that only masks need it

    whole = np.asarray(mask) != 0
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    filled = np.pad(whole[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    return _segments(filled, _rings(*_corners(filled)), left, top)


def _corners(filled: NDArray[np.bool_]) -> tuple[Ring, list[int], list[int]]:
    """Return the corners of all edges of a mask with an empty border, by row and column.

    Also the index of the other end of the edge along the row, and along the column. Where two
    pixels touch, a place has two corners.
    """
    import numpy as np

    nw, ne = filled[:-1, :-1], filled[:-1, 1:]
    sw, se = filled[1:, :-1], filled[1:, 1:]
    west, east, north, south = nw != sw, ne != se, nw != ne, sw != se
    touching = west & east & north & south
    found = []
    # Where the edges of each lie: 1 for east and for south.
    for where, is_east, is_south in (
        # A corner of its own, or (touching) the one around the pixel at the upper or lower left.
        (west & ~east & north, 0, 0),
        (west & ~east & south, 0, 1),
        (east & ~west & north, 1, 0),
        (east & ~west & south, 1, 1),
        (touching & nw, 0, 0),
        (touching & nw, 1, 1),
        (touching & sw, 0, 1),
        (touching & sw, 1, 0),
    ):
        rows, columns = np.nonzero(where)
        found.append((rows, columns, np.full_like(rows, is_east), np.full_like(rows, is_south)))
    rows, columns, east_of, south_of = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((east_of, columns, rows))
    rows, columns, south_of = rows[order], columns[order], south_of[order]
    across = np.lexsort((south_of, rows, columns))
    along = np.arange(len(rows))
    corners = list(zip(columns.tolist(), rows.tolist(), strict=True))
    return corners, _partners(along), _partners(across)


def _partners(order: NDArray[np.int64]) -> list[int]:
    """Return the partner of each corner; every two in this order are partners."""
    import numpy as np

    partners = np.empty(len(order), np.int64)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners.tolist()


def _rings(corners: Ring, beside: list[int], below: list[int]) -> list[Ring]:
    """Return all outlines, each from its leftmost uppermost corner; sorted by these corners."""
    seen = bytearray(len(corners))
    rings: list[Ring] = []
    for start in range(len(corners)):
        ring: Ring = []
        at, along, across = start, beside, below
        while not seen[at]:
            seen[at] = 1
            ring.append(corners[at])
            at, along, across = along[at], across, along
        if ring:
            rings.append(ring)
    return rings


def _segments(filled: NDArray[np.bool_], rings: list[Ring], left: int, top: int) -> list[Segment]:
    """Assign each hole to its outline: that of the nearest edge to the left of its start."""
    import numpy as np

    edges = np.zeros(filled.shape, np.int32)
    segments: list[Segment] = []
    of: list[int] = []
    for number, ring in enumerate(rings):
        x, y = ring[0]
        moved = [(x + left, y + top) for x, y in ring]
        if filled[y + 1, x + 1]:  # filled has a border of one pixel
            of.append(len(segments))
            segments.append(Segment(moved, []))
        else:
            before = edges[y, :x]
            nearest = int(before[np.flatnonzero(before)[-1]]) - 1
            of.append(of[nearest])
            segments[of[nearest]].holes.append(moved)
        for (x, y), (_, other) in zip(ring[1::2], [*ring[2::2], ring[0]], strict=True):
            edges[min(y, other) : max(y, other), x] = number + 1
    return segments


# --- Run-length encoded masks, by pycocotools (extra ``formats``) ---------------------------------

MOST_PIXELS: Final = 1 << 28
"""Pixels of the largest mask: a few bytes of a file or an answer could ask for any size."""
_FAR: Final = 1 << 20
"""Pixels from which an outline is cut at the edges of its image first."""


def check_mask(
    rle: Mapping[str, Any], width: int | None = None, height: int | None = None
) -> tuple[int, int]:
    """Return height and width of a mask, not decoded; arguments and errors as for `decode`."""
    size, counts = rle.get("size"), rle.get("counts")
    good = isinstance(size, list | tuple) and len(size) == 2 and all(type(n) is int for n in size)
    if not isinstance(size, list | tuple) or not good or min(size) < 1:
        raise BrokenError("size must be height and width in pixels")
    high, wide = size
    if high * wide > MOST_PIXELS:
        raise BrokenError(f"a mask of {high} by {wide} pixels is too large")
    if (high, wide) != (height or high, width or wide):
        raise BrokenError(f"a mask of {wide} by {high} pixels on an image of {width} by {height}")
    if isinstance(counts, list):
        if not all(type(n) is int and n >= 0 for n in counts):
            raise BrokenError("counts must be numbers of pixels")
        if sum(counts) != high * wide:
            raise BrokenError(f"counts cover {sum(counts)} pixels of {high * wide}")
    elif not isinstance(counts, str | bytes) or not counts:
        raise BrokenError("counts must be a list, or text in compressed form")
    return high, wide


def decode(
    rle: Mapping[str, Any], width: int | None = None, height: int | None = None
) -> NDArray[np.uint8]:
    """Return a mask, shape (height, width), 1 where the object is.

    It has ``size`` (height, width) and ``counts`` (a list, or text in compressed form). One that is
    none, or of an image of another size, is a `BrokenError`.
    """
    extra_module("numpy", FormatError)
    import numpy as np

    height, width = check_mask(rle, width, height)
    counts = np.array(rle["counts"]) if isinstance(rle["counts"], list) else _plain(rle["counts"])
    if counts.min(initial=0) < 0 or counts.sum() != height * width:
        raise BrokenError("counts are not a run-length encoding of so many pixels")
    runs = (np.arange(counts.size) & 1).astype(np.uint8)
    return np.repeat(runs, counts).reshape(width, height).T


def _plain(text: str | bytes) -> NDArray[np.int64]:
    """Return the counts of a text in compressed form.

    Each is written in groups of five bits, the lowest first, one for each character from ``0`` on;
    a sixth bit says that more follow. From the fourth count on it is the difference to the one
    before the last (``rleToString`` in maskApi.c of https://github.com/cocodataset/cocoapi).
    pycocotools would return uninitialized pixels if the text ends too early.
    """
    import numpy as np

    raw = text if isinstance(text, bytes) else text.encode("ascii", "replace")
    groups = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(groups & 32 == 0)
    lengths = np.diff(ends, prepend=-1)
    if not 0 <= groups.min() <= groups.max() < 64 or groups[-1] & 32 or lengths.max() > 7:
        raise BrokenError("counts are not a run-length encoding")
    starts = ends - lengths + 1
    shifts = 5 * (np.arange(groups.size) - np.repeat(starts, lengths))
    counts = np.add.reduceat((groups & 31) << shifts, starts)
    counts -= np.where(groups[ends] & 16, 1 << 5 * lengths, 0)
    for first in (1, 2):
        counts[first::2] = counts[first::2].cumsum()
    return counts


def encode(
    rings: Iterable[Sequence[Sequence[Point]]], height: int, width: int, *, compressed: bool = True
) -> dict[str, Any]:
    """Return the mask of the pixels that shapes cover together; for each, outline and holes."""
    masks = _pycocotools()
    import numpy as np

    def filled(rings: Sequence[Sequence[Point]]) -> NDArray[np.uint8]:
        near = [found for ring in rings if (found := _near(ring, height, width))]
        if not near:
            return np.zeros_like(mask)
        flat = [[*chain.from_iterable(ring)] for ring in near]
        whole: NDArray[np.uint8] = masks.decode(masks.merge(masks.frPyObjects(flat, height, width)))
        return whole

    mask = np.zeros((height, width), dtype=np.uint8, order="F")
    for outline, *holes in rings:
        mask |= filled([outline]) & (1 - filled(holes) if holes else 1)
    found = compress(mask)
    return found if compressed else {**found, "counts": _plain(found["counts"]).tolist()}


def _near(ring: Sequence[Point], height: int, width: int) -> list[tuple[float, float]]:
    """Return an outline; if it goes far, only the part within the image.

    pycocotools takes memory for each pixel of an edge, and crashes at numbers beyond 32 bits.
    """
    found = [(point.x, point.y) for point in ring]
    is_far = any(abs(number) > _FAR for pair in found for number in pair)
    return clip_ring(found, width, height) if is_far else found


def compress(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """Return a mask in compressed form, its counts as text."""
    import numpy as np

    whole = _pycocotools().encode(np.asfortranarray(mask))
    return {"size": [*mask.shape], "counts": whole["counts"].decode("ascii")}


def _pycocotools() -> Any:
    # Not at the top, so that boxes and polygons need no extra. All work on masks begins here.
    extra_module("numpy", FormatError)
    return extra_module("pycocotools.mask", FormatError)


_TOLERANCE: Final = 0.009
Pixel: TypeAlias = tuple[int, int]


def sdk_shapes(found: RawObject, wanted: str, losses: Losses, where: str) -> list[Shape]:
    """Return the shapes that the official SDK makes of an object; `BrokenError` where it fails."""
    if wanted == "rectangle":
        if found.box is None:
            raise BrokenError("it has no box of four numbers")
        return [Rectangle(*found.box)]
    if found.mask is not None:
        return [
            Polygon(_simplified(_pixels(walk)))
            for outline, holes in trace(decode(found.mask))
            for walk in ([outline[0], *outline[:0:-1]], *holes)
        ]
    if found.crowd or not found.parts:
        losses.add(LossKind.OUTLINE, where)
        return []
    if len(found.parts) > 1:
        losses.add(LossKind.PARTS, where)
    return [Polygon(found.parts[0][0])]


def _pixels(walk: Ring) -> list[Pixel]:
    """Return the pixels along an outline, walked with the object at the left hand."""
    pixels: list[Pixel] = []
    for (x, y), (to_x, to_y) in pairwise([*walk, walk[0]]):
        dx, dy = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
        for step in range(abs(to_x - x) + abs(to_y - y)):
            left, above = dx < 0 or dy < 0, dx > 0 or dy < 0  # of the pixel from the corner
            at = (x + step * dx - left, y + step * dy - above)
            if not pixels or pixels[-1] != at:
                pixels.append(at)
    return pixels[:-1] if len(pixels) > 1 and pixels[0] == pixels[-1] else pixels


def _simplified(outline: Sequence[Pixel]) -> list[Point]:
    """Return an outline without corners that hardly matter (Douglas and Peucker)."""
    closed = [*outline, outline[0]]
    tolerance = _TOLERANCE * sum(math.dist(a, b) for a, b in pairwise(closed))
    far = max(range(len(outline)), key=lambda at: math.dist(outline[0], outline[at]))
    halves = [*_kept(closed[: far + 1], tolerance)[:-1], *_kept(closed[far:], tolerance)[:-1]]
    return [Point(*each) for each in halves]


def _kept(line: Sequence[Pixel], tolerance: float) -> list[Pixel]:
    if len(line) < 3:
        return list(line)
    far = max(range(1, len(line) - 1), key=lambda at: _distance(line[at], line[0], line[-1]))
    if _distance(line[far], line[0], line[-1]) <= tolerance:
        return [line[0], line[-1]]
    return [*_kept(line[: far + 1], tolerance)[:-1], *_kept(line[far:], tolerance)]


def _distance(point: Pixel, start: Pixel, end: Pixel) -> float:
    """Return how far a point is from a line."""
    (px, py), (ax, ay), (bx, by) = point, start, end
    length = math.dist(start, end)
    twice = abs((bx - ax) * (ay - py) - (ax - px) * (by - ay))  # the area of the triangle
    return twice / length if length else math.dist(point, start)
