"""Masks, COCO and keys, whatever is in them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pycocotools.mask
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async import formats
from datagym_async.formats import _masks, coco
from datagym_async.formats._masks import trace
from datagym_async.labels import Point
from tests.helpers.coco_files import CATEGORIES, HEIGHT, NUMPY_2, WIDTH, coco_files

if TYPE_CHECKING:
    from numpy.typing import NDArray


pytestmark = pytest.mark.filterwarnings(NUMPY_2)


def _as_mask(side: tuple[int, int], bits: int) -> NDArray[np.uint8]:
    height, width = side
    cells = [(bits >> at) & 1 for at in range(height * width)]
    return np.asfortranarray(np.array(cells, dtype=np.uint8).reshape(height, width))


SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))
MASKS = st.builds(_as_mask, SIDES, st.integers(0, (1 << 81) - 1))


@given(MASKS)
def test_a_mask_is_traced_exactly(mask: NDArray[np.uint8]) -> None:
    """Filling the outlines and clearing their holes gives the mask, as segment after segment."""
    rings = [[_points(ring) for ring in (each.outline, *each.holes)] for each in trace(mask)]
    back = _masks.decode(_masks.encode(rings, *mask.shape))
    assert np.array_equal(back, mask)


@given(MASKS)
def test_segments_are_what_hangs_together(mask: NDArray[np.uint8]) -> None:
    """There are as many segments as parts that touch along an edge, and none shares a pixel."""
    segments = trace(mask)
    areas = [
        _masks.decode(
            _masks.encode([[_points(r) for r in (s.outline, *s.holes)]], *mask.shape)
        ).sum()
        for s in segments
    ]
    assert sum(areas) == mask.sum()
    assert len(segments) == _parts(mask)


@given(MASKS)
def test_rle_to_rings_to_rle(mask: NDArray[np.uint8]) -> None:
    """A mask in either form comes back in either form as it was."""
    text = pycocotools.mask.encode(mask)["counts"].decode("ascii")
    compressed = {"size": list(mask.shape), "counts": text}
    flat = mask.ravel(order="F").tolist()
    runs = [len([*run]) for _, run in groupby(flat)]
    plain = {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}
    for rle in (compressed, plain):
        rings = [[_points(r) for r in (s.outline, *s.holes)] for s in trace(_masks.decode(rle))]
        assert _masks.encode(rings, *mask.shape) == compressed
        assert _masks.encode(rings, *mask.shape, compressed=False) == plain


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(["supercategory", "category"]))
def test_coco_to_values_to_coco(seed: int, by: formats.By) -> None:
    """What the shape can hold comes back: numbers, categories, crowds, outlines, keypoints."""
    instances, captions = coco_files(seed=seed, images=4, annotations=12)
    shapes: tuple[formats.Shape, ...] = ("rectangle", "polygon", "segmentation")
    for shape in shapes:
        mapping = formats.LabelMapping(shape=shape, by=by)
        images = coco.read(instances, captions, mapping=mapping).images
        document = coco.to_document(images, mapping=mapping, categories=instances)
        back = _by_number(document.instances)
        for number, given_ in _by_number(instances).items():
            _same(given_, back[number], shape)
        assert document.instances["categories"] == CATEGORIES
        assert [each["caption"] for each in document.captions["annotations"]] == [
            each["caption"] for each in captions["annotations"]
        ]
        assert len(document.instances["images"]) == len(instances["images"])


def _same(given_: dict[str, Any], back: dict[str, Any], shape: str) -> None:
    assert back["category_id"] == given_["category_id"]
    assert back["iscrowd"] == given_["iscrowd"]
    if shape == "rectangle":
        assert (back["bbox"], back["segmentation"]) == (given_["bbox"], [])
    elif "segmentation" in given_ and (shape == "segmentation" or not _has_holes(given_)):
        assert np.array_equal(_mask_of(back), _mask_of(given_))
    if shape != "segmentation":
        assert back.get("keypoints") == given_.get("keypoints")


def _has_holes(annotation: dict[str, Any]) -> bool:
    rle = annotation["segmentation"]
    return isinstance(rle, dict) and any(each.holes for each in trace(_masks.decode(rle)))


def _mask_of(annotation: dict[str, Any]) -> NDArray[np.uint8]:
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, dict):
        return _masks.decode(segmentation)
    parts = pycocotools.mask.frPyObjects(segmentation, HEIGHT, WIDTH)
    mask: NDArray[np.uint8] = pycocotools.mask.decode(pycocotools.mask.merge(parts))
    return mask


def _by_number(document: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {each["id"]: each for each in document["annotations"]}


def _points(ring: list[tuple[int, int]]) -> list[Point]:
    return [Point(*each) for each in ring]


def _parts(mask: NDArray[np.uint8]) -> int:
    """Count parts by flooding them."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    parts = 0
    while left:
        parts += 1
        found = [left.pop()]
        while found:
            y, x = found.pop()
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            found += near
    return parts
