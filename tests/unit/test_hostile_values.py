"""No part of a JSON value ends the reading of labels or COCO with a raw error."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from datagym_async import formats
from datagym_async.exceptions import DataGymError
from datagym_async.formats import coco
from datagym_async.labels import (
    LabelConfig,
    check_prediction,
    diff,
    parse_export,
    parse_task,
    parse_video,
    prepare_prediction,
    to_payload,
    to_prediction,
    to_video_payload,
)
from tests.helpers.coco_files import NUMPY_2

POINTS = [{"x": 1, "y": 2}, {"x": 2, "y": 3}, {"x": 3, "y": 4}]
CAR = {
    "polygon": POINTS,
    "classifications": {"sub": ["car", {"color": ["red"]}], "note": [None]},
    "nested_geometries": {"wheel": [{"point": POINTS[:1], "classifications": {}}], "door": []},
}
TASK = {
    "internal_media_ID": "m",
    "external_media_ID": "a.jpg",
    "labeler": "u",
    "status": "completed",
    "global_classifications": {"weather": ["sun"]},
    "labels": {
        "car": [CAR],
        "bus": [{"rectangle": [{"x": 1, "y": 1, "w": 5, "h": 6}]}],
        "sky": [{"image_segmentation": [POINTS]}],
        "old": [{"geometry": POINTS}],
    },
    "segmentations": ["https://x.test/export/bitmap/1/k"],
    "task_export_url": "https://x.test/exportVideoTask/1",
    "video_height": "5",
    "video_width": 6,
    "video_frame_rate": "30/1",
    "video_duration": 1.5,
}
CLASSES = [
    {"class_name": "car", "geometry_type": "polygon"},
    {"class_name": "sub", "classification_type": "select"},
]
VIDEO = {
    "frames": {"0": [{"visibleObjectId": "o"}], "1": []},
    "object": {
        "o": {
            "0": {"polygon": [{"x": 1, "Y": 2}], "classifications": {"a": ["null"]}},
            "3": {"line": [{}, {}], "classifications": {}},
            "5": {"rectangle": [{"x": "1", "y": 1, "w": 1, "h": 1}]},
        }
    },
}
SELECT = {"entryKey": "b", "entryValue": "B", "type": "SELECT", "options": {"x": "y"}}
CONFIG = [
    {
        "entryKey": "a",
        "entryValue": "A",
        "type": "RECTANGLE",
        "color": "#333333",
        "shortcut": "1",
        "maxLength": None,
        "required": False,
        "options": {"a": "b"},
        "children": [{**SELECT, "required": True}],
    }
]
OBJECT = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 4}
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 10}],
    "categories": [
        {"id": 1, "name": "c", "supercategory": "s", "keypoints": ["k"], "skeleton": [[1, 1]]}
    ],
    "annotations": [
        {
            **OBJECT,
            "bbox": [1, 1, 2, 2],
            "segmentation": [[1, 1, 5, 1, 5, 5]],
            "keypoints": [1, 2, 2],
        },
        {**OBJECT, "id": 2, "segmentation": {"size": [3, 3], "counts": [0, 9]}},
        {"id": 3, "image_id": 1, "caption": "x"},
    ],
}
ODD: list[Any] = [
    *(None, True, 0, -1, 2**63, 10**400, 1.5, float("inf"), float("nan")),
    *("", "x", "null", "\ud800", "9" * 30),
    *([], [None], [[]], [{}], [5], [{}, 5], [[[[[]]]]], {}, {"a": 5}, {"x": 1}),
]


def read_task(value: Any) -> None:
    """Read an exported task, and write it."""
    task = parse_task(value)
    to_payload(task)
    to_prediction(task)


def read_video(value: Any) -> None:
    """Read the labels of a video, ask them, and write them."""
    labels = parse_video(value)
    for each in labels.objects.values():
        each.rectangle_at(1)
        each.classifications_at(2)
    to_video_payload(labels)


def prepare(value: Any) -> None:
    """Check a prediction, and leave out what cannot go."""
    prepare_prediction(value, partial=True)
    check_prediction(value, LabelConfig.from_payload(CONFIG).entries)


def read_config(value: Any) -> None:
    """Read a label configuration, look through it, and write it."""
    config = LabelConfig.from_payload(value)
    config.problems()
    config.warnings()
    str(diff(config, LabelConfig.from_payload(CONFIG)))
    config.to_yaml()
    config.to_json()


def read_coco(value: Any) -> None:
    """Read COCO in each of the ways, and write it."""
    shapes: tuple[formats.Shape, ...] = ("rectangle", "polygon", "segmentation")
    for shape in shapes:
        mapping = formats.LabelMapping(shape=shape)
        images = coco.read(value, mapping=mapping).images
        coco.to_document(images, mapping=mapping)
    coco.label_config(value)


def read_coco_as_the_sdk(value: Any) -> None:
    """Read COCO as the official SDK does."""
    mapping = formats.LabelMapping(shape="polygon", sdk=True)
    coco.sdk_items(coco.read(value, mapping=mapping).images)


READERS: list[tuple[Any, Callable[[Any], object]]] = [
    (TASK, read_task),
    (TASK, prepare),
    ([{"label_classes": CLASSES}, TASK], parse_export),
    (VIDEO, read_video),
    (CONFIG, read_config),
    (COCO, read_coco),
    (COCO, read_coco_as_the_sdk),
]


@pytest.mark.filterwarnings(NUMPY_2)
@pytest.mark.parametrize(("good", "read"), READERS, ids=lambda each: getattr(each, "__name__", ""))
def test_each_part_may_be_anything(good: Any, read: Callable[[Any], object]) -> None:
    """Each part of a good value is replaced by each odd one: an error of the tree, or a value."""
    read(copy.deepcopy(good))
    raw = []
    for path in paths(good):
        for odd in ODD:
            try:
                read(replaced(good, path, odd))
            except DataGymError:
                pass
            except Exception as error:  # what must not come out
                raw.append((path, odd, repr(error)))
    assert raw == []


def paths(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Give the way to each part of a value."""
    items: Any = value.items() if isinstance(value, dict) else ()
    for step, each in enumerate(value) if isinstance(value, list) else items:
        yield (*above, step)
        yield from paths(each, (*above, step))


def replaced(value: Any, path: tuple[str | int, ...], odd: Any) -> Any:
    """Return a copy of a value with another part."""
    whole = part = copy.deepcopy(value)
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = copy.deepcopy(odd)
    return whole
