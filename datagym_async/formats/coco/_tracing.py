"""From a mask to outlines with holes, exactly: along the edges between pixels.

An outline goes through the corners of pixels, where pixel (0, 0) is the square from (0, 0) to
(1, 1), and turns only where the edge does. Pixels that touch at a corner alone belong to different
segments. Filling an outline and clearing its holes gives the mask again, pixel for pixel.

The edges of a row of corners lie between its first and second corner, its third and fourth, and so
on; those of a column likewise. So an outline is found by going from partner to partner, along a
row and along a column in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import attrs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Ring: TypeAlias = list[tuple[int, int]]
"""x and y of each corner of a closed outline; the last is joined to the first."""


class Segment(NamedTuple):
    """Pixels that hang together: an outline and the holes in it."""

    outline: Ring
    holes: list[Ring]


def trace(mask: NDArray[Any]) -> list[Segment]:
    """Return the segments of a mask, from top to bottom and from left to right.

    Args:
        mask: Shape (height, width); what is not 0 belongs to a segment.
    """
    import numpy as np  # here, so that only those who have masks need it

    whole = np.asarray(mask) != 0
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    filled = np.pad(whole[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    return _segments(filled, _rings(_corners(filled)), left, top)


@attrs.frozen
class _Corners:
    """Corners in order of row and column; where two pixels touch, a place holds two of them.

    Args:
        xs: Abscissa of each.
        ys: Ordinate of each.
        beside: Index of the other end of its edge along the row.
        below: Index of the other end of its edge along the column.
    """

    xs: list[int]
    ys: list[int]
    beside: list[int]
    below: list[int]


def _corners(filled: NDArray[np.bool_]) -> _Corners:
    """Return the corners of all edges of a mask that has an empty border."""
    import numpy as np

    nw, ne = filled[:-1, :-1], filled[:-1, 1:]
    sw, se = filled[1:, :-1], filled[1:, 1:]
    west, east, north, south = nw != sw, ne != se, nw != ne, sw != se
    touching = west & east & north & south
    found = [
        # A corner of its own, or (touching) the one around the pixel at the upper or lower left.
        _places(west & ~east & north, west=True, north=True),
        _places(west & ~east & south, west=True, north=False),
        _places(east & ~west & north, west=False, north=True),
        _places(east & ~west & south, west=False, north=False),
        _places(touching & nw, west=True, north=True),
        _places(touching & nw, west=False, north=False),
        _places(touching & sw, west=True, north=False),
        _places(touching & sw, west=False, north=True),
    ]
    rows, columns, east_of, south_of = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((east_of, columns, rows))
    rows, columns, south_of = rows[order], columns[order], south_of[order]
    across = np.lexsort((south_of, rows, columns))
    along = np.arange(len(rows))
    return _Corners(columns.tolist(), rows.tolist(), _partners(along), _partners(across))


def _places(
    where: NDArray[np.bool_], *, west: bool, north: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of places, and on which sides their edges lie."""
    import numpy as np

    rows, columns = np.nonzero(where)
    return rows, columns, np.full(len(rows), int(not west)), np.full(len(rows), int(not north))


def _partners(order: NDArray[np.int64]) -> list[int]:
    """Return the partner of each where every two in this order are partners."""
    import numpy as np

    partners = np.empty(len(order), np.int64)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners.tolist()


def _rings(corners: _Corners) -> list[Ring]:
    """Return all outlines, each from its uppermost corner, of these the leftmost, and to the right.

    They come in the order of these corners.
    """
    seen = bytearray(len(corners.xs))
    rings: list[Ring] = []
    for start in range(len(corners.xs)):
        if seen[start]:
            continue
        ring: Ring = []
        at, along_row = start, True
        while not seen[at]:
            seen[at] = 1
            ring.append((corners.xs[at], corners.ys[at]))
            at = corners.beside[at] if along_row else corners.below[at]
            along_row = not along_row
        rings.append(ring)
    return rings


def _segments(filled: NDArray[np.bool_], rings: list[Ring], left: int, top: int) -> list[Segment]:
    """Give each hole to its outline: that of the nearest edge to the left of where it begins."""
    import numpy as np

    edges = np.zeros((filled.shape[0], filled.shape[1]), np.int32)
    segments: list[Segment] = []
    of: list[int] = []
    for number, ring in enumerate(rings):
        x, y = ring[0]
        if filled[y + 1, x + 1]:  # filled has a border of one pixel
            of.append(len(segments))
            segments.append(Segment(_moved(ring, left, top), []))
        else:
            before = edges[y, :x]
            nearest = int(before[np.flatnonzero(before)[-1]]) - 1
            of.append(of[nearest])
            segments[of[nearest]].holes.append(_moved(ring, left, top))
        _mark(edges, ring, number + 1)
    return segments


def _moved(ring: Ring, left: int, top: int) -> Ring:
    return [(x + left, y + top) for x, y in ring]


def _mark(edges: NDArray[np.int32], ring: Ring, number: int) -> None:
    for (x, y), (_, other) in zip(ring[1::2], [*ring[2::2], ring[0]], strict=True):
        edges[min(y, other) : max(y, other), x] = number
