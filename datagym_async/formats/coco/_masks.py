"""Run-length encoded masks of COCO, by pycocotools (extra ``formats``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from datagym_async._extras import extra_module
from datagym_async.formats._errors import BrokenError, FormatError
from datagym_async.formats.coco._tracing import Ring, Segment, trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from datagym_async.labels import Point

_MOST_PIXELS: Final = 1 << 28
"""Pixels of the largest mask that is decoded: a few bytes of RLE could ask for any size."""


def segments_of(rle: Mapping[str, Any]) -> list[Segment]:
    """Return the outlines with holes of a mask.

    Args:
        rle: Members ``size`` (height, width) and ``counts`` (a list, or text in compressed form).

    Raises:
        BrokenError: It is no such mask.
        FormatError: The extra ``formats`` is not installed.
    """
    return trace(decode(rle))


def decode(rle: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return a mask, shape (height, width), 1 where the object is.

    Raises:
        BrokenError: It is no mask.
        FormatError: The extra ``formats`` is not installed.
    """
    masks = _pycocotools()
    height, width = _size(rle)
    counts = rle.get("counts")
    try:
        if isinstance(counts, list):
            _check_counts(counts, height * width)
            whole = masks.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        else:
            whole = {"size": [height, width], "counts": counts}
        mask: NDArray[np.uint8] = masks.decode(whole)
    except (TypeError, ValueError, AttributeError) as error:
        raise BrokenError(f"counts are no run-length encoding: {error}") from None
    return mask


def encode(
    rings: Iterable[Sequence[Sequence[Point]]], height: int, width: int, *, compressed: bool = True
) -> dict[str, Any]:
    """Return the mask that shapes cover together.

    Args:
        rings: For each shape its outline, then its holes.
        height: Pixels.
        width: Pixels.
        compressed: Whether the counts are text, which is shorter, or a list.

    Raises:
        FormatError: The extra ``formats`` is not installed.
    """
    masks = _pycocotools()
    import numpy as np

    mask = np.zeros((height, width), dtype=np.uint8, order="F")
    for outline, *holes in rings:
        filled = _filled([outline], height, width)
        if holes:
            filled &= 1 - _filled(holes, height, width)
        mask |= filled
    if not compressed:
        return {"size": [height, width], "counts": _counts(mask)}
    text = masks.encode(mask)["counts"]
    return {"size": [height, width], "counts": text.decode("ascii")}


def _filled(rings: Sequence[Sequence[Point]], height: int, width: int) -> NDArray[np.uint8]:
    masks = _pycocotools()
    flat = [[number for point in ring for number in (point.x, point.y)] for ring in rings]
    mask: NDArray[np.uint8] = masks.decode(masks.merge(masks.frPyObjects(flat, height, width)))
    return mask


def _counts(mask: NDArray[np.uint8]) -> list[int]:
    """Return the lengths of runs down the columns, the first one of zeros."""
    import numpy as np

    flat = mask.ravel(order="F")
    ends = [*(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    runs = np.diff([0, *ends]).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def _size(rle: Mapping[str, Any]) -> tuple[int, int]:
    size = rle.get("size")
    good = isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size)
    if not isinstance(size, list) or not good or min(size) < 1:
        raise BrokenError("size must be height and width in pixels")
    if size[0] * size[1] > _MOST_PIXELS:
        raise BrokenError(f"a mask of {size[0]} by {size[1]} pixels is too large")
    return size[0], size[1]


def _check_counts(counts: list[Any], pixels: int) -> None:
    if not all(type(n) is int and n >= 0 for n in counts):
        raise BrokenError("counts must be numbers of pixels")
    if sum(counts) != pixels:
        raise BrokenError(f"counts cover {sum(counts)} pixels of {pixels}")


def _pycocotools() -> Any:
    # Not above, so that boxes and polygons need no extra. All work on masks begins here.
    extra_module("numpy", FormatError)
    return extra_module("pycocotools.mask", FormatError)


__all__ = ["Ring", "Segment", "decode", "encode", "segments_of"]
