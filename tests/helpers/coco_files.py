"""COCO files with every kind of annotation, the same for the same seed.

``python -m tests.helpers.coco_files FOLDER`` writes them, to look at or to try something with.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pycocotools.mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMPY_2 = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
"""What numpy 2 says of pycocotools 2.0.11, for `pytest.mark.filterwarnings`."""

WIDTH, HEIGHT = 160, 120
CATEGORIES: list[dict[str, Any]] = [
    {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": ["nose", "left_eye", "right_eye"],
        "skeleton": [[1, 2], [1, 3]],
    },
    {"id": 3, "name": "car", "supercategory": "vehicle"},
    {"id": 6, "name": "Traffic Light", "supercategory": "outdoor"},
    {"id": 7, "name": "bus", "supercategory": "vehicle"},
    {"id": 17, "name": "cat"},
]


def coco_files(
    *, seed: int = 0, images: int = 300, annotations: int = 3000
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a file of instances and one of captions hold.

    Every tenth image has nothing on it. Objects are boxes, polygons of one and of two parts, masks
    with holes in both forms, crowds, and persons with keypoints; their coordinates are fractions.
    """
    chance = random.Random(seed)
    listed = [
        {"id": 100 + n, "file_name": f"{n:06}.jpg", "width": WIDTH, "height": HEIGHT}
        for n in range(images)
    ]
    shown = [image for n, image in enumerate(listed) if n % 10]
    objects = [
        {"id": n + 1, "image_id": chance.choice(shown)["id"], **_object(chance, n)}
        for n in range(annotations)
    ]
    captions = [
        {"id": n, "image_id": image["id"], "caption": f"Picture {n} of {image['file_name']}"}
        for n, image in enumerate(image for image in shown for _ in range(chance.randint(0, 3)))
    ]
    instances = {"images": listed, "categories": CATEGORIES, "annotations": objects}
    return instances, {"images": listed, "annotations": captions}


def _object(chance: random.Random, number: int) -> dict[str, Any]:
    kinds = (_box, _polygon, _parts, _mask, _crowd, _person)
    return kinds[number % len(kinds)](chance)


def _place(chance: random.Random) -> tuple[float, float, float]:
    """Return a centre and a radius well within the image."""
    radius = round(chance.uniform(6, 25), 2)
    x = round(chance.uniform(radius + 1, WIDTH - radius - 1), 2)
    return x, round(chance.uniform(radius + 1, HEIGHT - radius - 1), 2), radius


def _star(chance: random.Random, x: float, y: float, radius: float) -> list[float]:
    corners = chance.randint(3, 12)
    angles = [2 * math.pi * n / corners for n in range(corners)]
    return [
        round(value, 2)
        for angle in angles
        for reach in [radius * chance.uniform(0.5, 1)]
        for value in (x + reach * math.cos(angle), y + reach * math.sin(angle))
    ]


def _around(numbers: list[float]) -> list[float]:
    left, top = min(numbers[::2]), min(numbers[1::2])
    return [left, top, round(max(numbers[::2]) - left, 2), round(max(numbers[1::2]) - top, 2)]


def _kept(chance: random.Random) -> int:
    return chance.choice([3, 6, 7, 17])


def _box(chance: random.Random) -> dict[str, Any]:
    x, y, radius = _place(chance)
    bbox = [round(x - radius, 2), round(y - radius, 2), radius, radius * 2]
    return {"category_id": _kept(chance), "bbox": bbox, "iscrowd": 0, "area": radius**2 * 2}


def _polygon(chance: random.Random, *, parts: int = 1) -> dict[str, Any]:
    rings = [_star(chance, *_place(chance)) for _ in range(parts)]
    return {
        "category_id": _kept(chance),
        "bbox": _around([number for ring in rings for number in ring]),
        "segmentation": rings,
        "iscrowd": 0,
        "area": 1.0,
    }


def _parts(chance: random.Random) -> dict[str, Any]:
    return _polygon(chance, parts=2)


def _mask(chance: random.Random, *, crowd: int = 0) -> dict[str, Any]:
    """Return a disc, for most with a hole, and a second part now and then."""
    x, y, radius = _place(chance)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(xs - x, ys - y)
    mask = (distance < radius) & (distance > chance.choice([-1.0, radius / 3]))
    mask[1:4, 1:5] |= chance.random() < 0.3
    whole = np.asfortranarray(mask.astype(np.uint8))
    text = pycocotools.mask.encode(whole)["counts"].decode("ascii")
    return {
        "category_id": _kept(chance),
        "bbox": [float(n) for n in pycocotools.mask.toBbox(pycocotools.mask.encode(whole))],
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": _counts(whole) if crowd else text},
        "iscrowd": crowd,
        "area": int(whole.sum()),
    }


def _counts(mask: NDArray[np.uint8]) -> list[int]:
    """Return the lengths of the runs of a mask, column by column, that of the background first."""
    flat = mask.ravel(order="F")
    ends = [*(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    runs = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    return [0, *runs] if flat[0] else runs


def _crowd(chance: random.Random) -> dict[str, Any]:
    return _mask(chance, crowd=1)


def _person(chance: random.Random) -> dict[str, Any]:
    person = {**_polygon(chance), "category_id": 1}
    points = [(x, y, chance.randint(0, 2)) for x, y, _ in [_place(chance) for _ in range(3)]]
    labelled = [(x, y, v) if v else (0, 0, 0) for x, y, v in points]
    return {
        **person,
        "keypoints": [number for point in labelled for number in point],
        "num_keypoints": sum(1 for point in labelled if point[2]),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in zip(("instances", "captions"), coco_files(), strict=True):
        (folder / f"{name}.json").write_text(json.dumps(document))
