"""COCO as label values and back: what becomes what, and what is lost."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
import pytest

from datagym_async import formats
from datagym_async.exceptions import DataGymError
from datagym_async.formats import FormatError, LossKind, coco
from datagym_async.labels import (
    Annotation,
    Classification,
    Incomplete,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import EntryType, TaskState
from tests.helpers.coco_files import NUMPY_2, coco_files
from tests.helpers.examples import example

pytestmark = pytest.mark.filterwarnings(NUMPY_2)

IMAGE = {"id": 1, "file_name": "a.jpg", "width": 20, "height": 10}
CAR = {"id": 3, "name": "car", "supercategory": "vehicle"}
POLYGON = formats.LabelMapping(shape="polygon")
SEGMENTS = formats.LabelMapping(shape="segmentation")
RING = [1, 1, 5, 1, 5, 4, 1, 4]
# A square of 6 pixels with a hole of 2, in an image of 20 by 10.
HOLED = Segmentation([[(1, 1), (7, 1), (7, 7), (1, 7)], [(3, 3), (5, 3), (5, 5), (3, 5)]])


def document(*annotations: dict[str, Any], categories: Any = (CAR,)) -> dict[str, Any]:
    """A COCO file with one image."""
    return {"images": [IMAGE], "annotations": list(annotations), "categories": list(categories)}


def annotation(**members: Any) -> dict[str, Any]:
    """An annotation of a car on that image."""
    return {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0, **members}


def only(images: tuple[LabeledImage, ...]) -> LabeledImage:
    """The one image that there is."""
    (image,) = images
    return image


@pytest.mark.parametrize("shape", ["rectangle", "polygon"])
def test_what_the_official_sdk_makes(shape: Any) -> None:
    """One option gives exactly what the official SDK sends for the same files."""
    given = example("06_coco_to_import")
    mapping = formats.LabelMapping(shape=shape, sdk=True)
    read = coco.read(given["coco_instances"], given["coco_captions"], mapping=mapping)
    ids = given["image_name_to_media_id"]
    images = [attrs.evolve(each, media_id=ids[each.media_name]) for each in read.images]
    expected = "bbox" if shape == "rectangle" else "polygon"
    assert coco.sdk_items(images) == given[f"expected_sdk_0_7_2_{expected}"]


@pytest.mark.parametrize("by", ["supercategory", "category"])
def test_the_sdk_takes_names_as_keys(by: Any) -> None:
    """They stay as they are, also where keys of entries would be told apart."""
    names = [("Traffic Light", "Outdoor"), ("traffic light", "outdoor"), ("Pole", "")]
    categories = [
        {"id": at, "name": name} | ({"supercategory": group} if group else {})
        for at, (name, group) in enumerate(names)
    ]
    drawn = [annotation(id=at + 1, category_id=at, bbox=[at, 1, 2, 3]) for at in range(3)]
    given = document(*drawn, categories=categories)
    mapping = formats.LabelMapping(sdk=True, by=by)
    (item,) = coco.sdk_items(coco.read(given, mapping=mapping).images)
    found = {
        (key, answers[0] if answers else ""): one["geometry"]
        for key, labels in item["labels"].items()
        for one in labels
        for answers in [[text for each in one["classifications"].values() for text in each]]
    }
    wanted = [each if by == "category" or not each[1] else each[::-1] for each in names]
    assert found == {each: [{"x": at, "y": 1, "w": 2, "h": 3}] for at, each in enumerate(wanted)}


def test_what_the_sdk_leaves_out() -> None:
    """Crowds that are polygons, and all parts but the first; each is told. So is an empty mask."""
    other = [10, 1, 12, 1, 12, 3]
    given = document(
        annotation(segmentation=[RING], iscrowd=1),
        annotation(id=2, segmentation=[RING, other]),
        annotation(id=3, segmentation=[], bbox=[1, 1, 2, 2]),
    )
    read = coco.read(given, mapping=formats.LabelMapping(shape="polygon", sdk=True))
    (found,) = only(read.images).annotations
    assert isinstance(found.shape, Polygon)
    assert [number for point in found.shape.points for number in (point.x, point.y)] == RING
    assert (read.losses.count(LossKind.OUTLINE), read.losses.count(LossKind.PARTS)) == (2, 1)
    empty = document(annotation(segmentation={"size": [10, 20], "counts": [200]}))
    read = coco.read(empty, mapping=POLYGON)
    assert [(each.kind, each.count) for each in read.losses.items] == [(LossKind.BROKEN, 1)]


def test_the_sdk_and_holes() -> None:
    """As the official SDK does, holes of crowds are objects of their own, around the hole."""
    written = coco.to_document(
        [
            LabeledImage(
                media_name="a.jpg", annotations=[Annotation("car", HOLED)], width=20, height=10
            )
        ]
    )
    crowd = {**written.instances["annotations"][0], "iscrowd": 1, "category_id": 3}
    mapping = formats.LabelMapping(shape="polygon", sdk=True)
    outline, hole = only(coco.read(document(crowd), mapping=mapping).images).annotations
    assert outline.shape == Polygon([(1, 1), (1, 6), (6, 6), (6, 1)])
    assert isinstance(hole.shape, Polygon)
    assert hole.shape.bounds == (2, 2, 5, 5)


def test_a_box_by_default() -> None:
    """A category is the answer to a select below the entry of its supercategory."""
    read = coco.read(document(annotation(bbox=[1.5, 2, 3, 4])))
    (car,) = only(read.images).annotations
    assert car.key == "vehicle"
    assert car.shape == Rectangle(1.5, 2, 3, 4)
    assert car.classifications == (Classification.select("subcategory", "car"),)
    assert (only(read.images).width, only(read.images).height) == (20, 10)
    assert not read.losses
    assert str(read.losses) == "Nothing was lost."


def test_categories_as_entries() -> None:
    """The other way round, the supercategory is the answer below the entry of the category."""
    mapping = formats.LabelMapping(by="category", select="group")
    given = document(annotation(bbox=[1, 2, 3, 4]))
    (car,) = only(coco.read(given, mapping=mapping).images).annotations
    assert (car.key, car.classifications) == ("car", (Classification.select("group", "vehicle"),))
    nothing_above = document(annotation(bbox=[1, 2, 3, 4]), categories=[{"id": 3, "name": "car"}])
    (car,) = only(coco.read(nothing_above).images).annotations
    assert (car.key, car.classifications) == ("car", ())


def test_names_become_keys() -> None:
    """Keys are valid; those that would be one are told apart and said; names come back."""
    categories = [
        {"id": 1, "name": "Traffic Light"},
        {"id": 2, "name": "traffic_light"},
        {"id": 3, "name": "image"},
        {"id": 4, "name": "Äpfel (grün)"},
    ]
    given = document(
        *(annotation(id=n, category_id=n, bbox=[1, 1, 1, 1]) for n in (1, 2, 3, 4)),
        categories=categories,
    )
    read = coco.read(given)
    keys = [each.key for each in only(read.images).annotations]
    assert keys == ["traffic_light_f22682c2", "traffic_light", "image_", "apfel_grun"]
    assert read.losses.count(LossKind.COLLISION) == 1
    assert "'Traffic Light' is traffic_light_f22682c2" in str(read.losses)
    back = coco.to_document(read.images, categories=given).instances
    assert back["categories"] == categories
    assert [each["category_id"] for each in back["annotations"]] == [1, 2, 3, 4]


def test_parts_are_one_object_again() -> None:
    """A polygon of two parts becomes two polygons, which is said, and one object again."""
    given = document(annotation(segmentation=[RING, [10, 1, 12, 1, 12, 4]], bbox=[1, 1, 11, 3]))
    read = coco.read(given, mapping=POLYGON)
    assert len(only(read.images).annotations) == 2
    assert read.losses.count(LossKind.PARTS) == 1
    (back,) = coco.to_document(read.images, mapping=POLYGON).instances["annotations"]
    assert back["segmentation"] == [RING, [10, 1, 12, 1, 12, 4]]
    assert back["bbox"] == [1, 1, 11, 3]
    assert back["area"] == 12 + 3


def test_unknown_members_come_back() -> None:
    """What COCO files carry besides (scores, attributes) is kept for the way back."""
    given = document(annotation(bbox=[1, 1, 1, 1], score=0.75, attributes={"hidden": True}))
    (back,) = coco.to_document(coco.read(given).images).instances["annotations"]
    assert (back["score"], back["attributes"]) == (0.75, {"hidden": True})


def test_holes() -> None:
    """A segment with a hole is a mask in COCO, and a segment with a hole again."""
    image = LabeledImage(
        media_name="a.jpg", annotations=[Annotation("car", HOLED)], width=20, height=10
    )
    written = coco.to_document([image], mapping=SEGMENTS)
    (mask,) = written.instances["annotations"]
    assert (mask["segmentation"]["size"], mask["area"]) == ([10, 20], 32)
    back = only(coco.read(written.instances, mapping=SEGMENTS).images)
    assert back.annotations[0].shape == HOLED
    filled = coco.read(written.instances, mapping=POLYGON)
    assert only(filled.images).annotations[0].shape == Polygon(HOLED.rings[0])
    assert filled.losses.count(LossKind.HOLES) == 1
    boxed = coco.read(written.instances)
    assert only(boxed.images).annotations[0].shape == Rectangle(1, 1, 6, 6)
    assert boxed.losses.count(LossKind.OUTLINE) == 1


@pytest.mark.parametrize("far", [1e9, 2.0**53 - 1])
def test_a_mask_of_a_segment_that_goes_far_beyond_its_image(far: float) -> None:
    """It is what the image shows of it; pycocotools crashes at such numbers, without an error."""

    def mask(right: float, hole: float) -> Any:
        ring = [(4, 0), (right, 0), (right, 5), (4, 5)]
        inner = [(hole, 1), (hole + 2, 1), (hole + 2, 3)]
        image = LabeledImage(
            media_name="a.jpg",
            annotations=[Annotation("car", Segmentation([ring, inner]))],
            width=20,
            height=10,
        )
        (found,) = coco.to_document([image], mapping=SEGMENTS).instances["annotations"]
        return found["segmentation"]

    assert mask(far, 8) == mask(30, 8) != mask(30, 6)
    assert mask(far, far - 4) == mask(30, 24)


def test_a_document_may_have_what_programs_have_in_memory() -> None:
    """Masks as pycocotools encodes them, numbers and arrays of numpy, any mapping; no sets."""
    image = LabeledImage(
        media_name="a.jpg", annotations=[Annotation("car", HOLED)], width=20, height=10
    )
    written = coco.to_document([image], mapping=SEGMENTS).instances
    (mask,) = written["annotations"]
    mask["segmentation"]["counts"] = mask["segmentation"]["counts"].encode()
    mask["image_id"], mask["bbox"] = np.int64(mask["image_id"]), np.asarray(mask["bbox"])
    written["categories"] = [MappingProxyType(each) for each in written["categories"]]
    back = only(coco.read(written, mapping=SEGMENTS).images)
    assert back.annotations[0].shape == HOLED
    mask["extra"] = {1, 2}
    with pytest.raises(FormatError, match="document is not JSON: it has a value of set"):
        coco.read(written)


def test_what_is_written_unchanged() -> None:
    """A box has its own numbers, without rounding; an image has the id of its media, if any."""
    box = Rectangle(0.1, 0.2, 0.3, 0.7)
    images = [
        LabeledImage(media_name="a.jpg", media_id="m-1", annotations=[Annotation("car", box)]),
        LabeledImage(media_name="b.jpg"),
    ]
    written = coco.to_document(images).instances
    assert written["annotations"][0]["bbox"] == [0.1, 0.2, 0.3, 0.7]
    assert [each.get("media_id", "none") for each in written["images"]] == ["m-1", "none"]
    assert [each.media_id for each in coco.read(written).images] == ["m-1", ""]


@pytest.mark.parametrize("known", [{}, {"width": 20}, {"height": 10}])
def test_holes_need_the_size(known: dict[str, Any]) -> None:
    """Without width and height a hole is filled, and that is said."""
    image = LabeledImage(media_name="a.jpg", annotations=[Annotation("car", HOLED)], **known)
    written = coco.to_document([image])
    assert written.instances["annotations"][0]["segmentation"] == [[1, 1, 7, 1, 7, 7, 1, 7]]
    assert written.losses.count(LossKind.HOLES) == 1
    assert written.losses.count(LossKind.SIZE) == 1


def test_crowds() -> None:
    """The mark of a crowd is kept for the way back, and said to be lost in the service."""
    rle = {"size": [10, 20], "counts": [11, 3, 7, 3, 176]}
    given = document(annotation(segmentation=rle, iscrowd=1, bbox=[1, 1, 2, 3]))
    read = coco.read(given, mapping=POLYGON)
    assert read.losses.count(LossKind.CROWD) == 1
    back = coco.to_document(read.images, mapping=POLYGON, compressed=False)
    (crowd,) = back.instances["annotations"]
    assert (crowd["iscrowd"], crowd["segmentation"]) == (1, rle)
    # Of an image without a size no mask can be made, and only a mask is a crowd.
    unsized = attrs.evolve(only(read.images), width=None, height=None)
    back = coco.to_document([unsized], mapping=POLYGON)
    (found,) = back.instances["annotations"]
    assert (found["iscrowd"], len(found["segmentation"])) == (0, 1)
    assert (back.losses.count(LossKind.CROWD), back.losses.count(LossKind.SIZE)) == (1, 1)


PERSON = {"id": 3, "name": "person", "keypoints": ["nose", "left eye"], "skeleton": [[1, 2]]}


def test_keypoints_are_nested_points() -> None:
    """Labelled keypoints are points nested in the shape; hidden ones are said."""
    given = document(
        annotation(bbox=[1, 1, 9, 9], keypoints=[2, 3, 2, 4, 3, 1], num_keypoints=2),
        categories=[PERSON],
    )
    read = coco.read(given)
    (person,) = only(read.images).annotations
    assert [(each.key, each.shape) for each in person.nested] == [
        ("nose", Point(2, 3)),
        ("left_eye", Point(4, 3)),
    ]
    assert read.losses.count(LossKind.VISIBILITY) == 1
    (back,) = coco.to_document(read.images, categories=given).instances["annotations"]
    assert (back["keypoints"], back["num_keypoints"]) == ([2, 3, 2, 4, 3, 1], 2)
    anew = coco.to_document(read.images)  # nobody says the order: it is that of the names, and said
    (person_anew,) = anew.instances["categories"]
    assert person_anew["keypoints"] == ["left_eye", "nose"]
    assert anew.losses.count(LossKind.ORDER) == 1


def test_keypoints_without_names_keep_their_order() -> None:
    """A landmark has its number as its name, and the tenth does not come before the second."""
    points = [number for each in range(12) for number in (each, 1, 2)]
    given = document(annotation(bbox=[1, 1, 9, 9], keypoints=points))
    for how in ({}, {"categories": given}):
        back = coco.to_document(coco.read(given).images, **how)  # type: ignore[arg-type]
        assert back.instances["annotations"][0]["keypoints"] == points
        assert back.losses.count(LossKind.ORDER) == 1


def test_keypoints_of_one_name_come_back() -> None:
    """Names that are there twice, or differ in case only, are places of their own."""
    names = ["Eye", "eye", "eye", "tail"]
    points = [1, 1, 2, 2, 2, 2, 3, 3, 1, 4, 4, 2]
    car = {"id": 3, "name": "car", "keypoints": names}
    given = document(annotation(bbox=[1, 1, 9, 8], keypoints=points), categories=[car])
    back = coco.to_document(coco.read(given).images, categories=given)
    assert back.instances["annotations"][0]["keypoints"] == points
    assert back.instances["annotations"][0]["num_keypoints"] == 4
    assert back.instances["categories"][0]["keypoints"] == names
    assert not back.losses


def test_keypoints_and_instances_are_joined() -> None:
    """An object that is in two files under one number is one object."""
    instances = document(annotation(bbox=[1, 1, 9, 9]), categories=[{"id": 3, "name": "person"}])
    keypoints = document(
        annotation(bbox=[1, 1, 9, 9], keypoints=[2, 3, 2, 0, 0, 0]), categories=[PERSON]
    )
    for order in ((instances, keypoints), (keypoints, instances)):
        (person,) = only(coco.read(*order).images).annotations
        assert [each.key for each in person.nested] == ["nose"]


def test_objects_keep_what_the_service_does_not_hold() -> None:
    """Numbers and scores are for the way back; what a class loses is said once."""
    keypoints = [2, 3, 2, 0, 0, 0]
    given = document(
        annotation(id=7, bbox=[1, 1, 9, 9], keypoints=keypoints),
        annotation(id=12, bbox=[1, 1, 8, 8], keypoints=keypoints, score=0.5),
        categories=[{**PERSON, "supercategory": "animal"}],
    )
    read = coco.read(given)
    first, second = only(read.images).annotations
    assert first.extra == {"coco": {"id": 7}}
    assert second.extra == {"coco": {"id": 12, "score": 0.5}}
    back = coco.to_document(read.images).instances["annotations"]
    assert [each["id"] for each in back] == [7, 12]
    assert [(each.kind, each.count) for each in read.losses.items] == [
        (LossKind.SKELETON, 1), (LossKind.SCORE, 1)
    ]  # fmt: skip
    as_sdk = coco.read(given, mapping=formats.LabelMapping(sdk=True))
    assert [each.nested for each in only(as_sdk.images).annotations] == [(), ()]
    assert [each.kind for each in as_sdk.losses.items] == [LossKind.SCORE]


def test_the_first_corner_at_the_end() -> None:
    """It is dropped where an outline is left without it."""
    for ring, corners in (([*RING, 1, 1], 4), ([1, 1, 5, 5, 1, 1], 3)):
        given = document(annotation(segmentation=[ring], bbox=[1, 1, 4, 3]))
        (found,) = only(coco.read(given, mapping=POLYGON).images).annotations
        assert isinstance(found.shape, Polygon)
        assert len(found.shape.points) == corners


def test_doubled_numbers_are_kept_apart() -> None:
    """Objects of one file that share a number are two objects all the same."""
    read = coco.read(document(annotation(bbox=[1, 1, 1, 1]), annotation(bbox=[2, 2, 2, 2])))
    assert len(only(read.images).annotations) == 2
    back = coco.to_document(read.images).instances["annotations"]
    assert sorted(each["id"] for each in back) == [1, 2]
    # Those of two files as well, and one that is new.
    two = [*read.images, *coco.read(document(annotation(id=7, bbox=[3, 3, 3, 3]))).images] * 2
    drawn = LabeledImage(media_name="b.jpg", annotations=[Annotation("car", Rectangle(1, 1, 1, 1))])
    back = coco.to_document([*two, drawn]).instances["annotations"]
    assert [each["id"] for each in back] == [1, 8, 7, 9, 10, 11, 12]
    assert not any("keypoints" in each for each in back)  # which their class does not have


def test_captions() -> None:
    """Each caption has a free text of its own; long ones are said."""
    texts = ["One.", "Two.", "x" * 300]
    given = {
        "images": [IMAGE],
        "annotations": [{"id": n, "image_id": 1, "caption": t} for n, t in enumerate(texts)],
    }
    read = coco.read(document(), given)
    answers = [(each.key, each.value) for each in only(read.images).classifications]
    assert answers == [("caption", "One."), ("caption_2", "Two."), ("caption_3", "x" * 300)]
    assert read.losses.count(LossKind.LONG_TEXT) == 1
    back = coco.to_document(read.images).captions["annotations"]
    assert [each["caption"] for each in back] == texts
    # As the official SDK does, the last one remains.
    for count in (2, 1):
        given["annotations"] = given["annotations"][:count]
        read = coco.read(document(), given, mapping=formats.LabelMapping(sdk=True))
        assert [each.value for each in only(read.images).classifications] == [texts[count - 1]]
        assert [(each.kind, each.count) for each in read.losses.items] == [
            (LossKind.CAPTION, count - 1)
        ][: count - 1]


def test_images_without_labels_stay(tmp_path: Path) -> None:
    """An image without labels is read and written."""
    read = coco.read(document())
    assert only(read.images).annotations == ()
    coco.write(read.images, tmp_path / "coco.json")
    written = json.loads((tmp_path / "coco.json").read_bytes())
    assert [each["file_name"] for each in written["images"]] == ["a.jpg"]


def test_what_coco_cannot_hold() -> None:
    """Everything that is left out is counted under its name."""
    task = LabeledTask(
        media_name="a.jpg",
        state=TaskState.COMPLETED,
        annotations=[
            Annotation("spot", Point(1, 1)),
            Annotation("lane", Line([(1, 1), (2, 2)])),
            Annotation("gap", Incomplete(EntryType.POLYGON, [])),
            Annotation("stub", Polygon([(1, 1), (2, 2)])),
            Annotation(
                "car",
                Rectangle(1, 1, 4, 4),
                [Classification.freetext("plate", "AB", Classification.select("land", "de"))],
                [Annotation("window", Rectangle(2, 2, 1, 1))],
            ),
        ],
        classifications=[
            Classification.select("weather", "rain"),
            Classification("unset"),
            Classification.freetext("caption", "A car.", Classification.select("tone", "dry")),
        ],
    )
    video = LabeledTask(media_name="v.mp4", state=TaskState.COMPLETED, task_export_url="http://x/")
    written = coco.to_document([task, video])
    counts = {each.kind.value: each.count for each in written.losses.items}
    assert counts == {
        "size": 1,
        "point": 1,
        "line": 1,
        "incomplete": 2,
        "nesting": 1,
        "classification": 4,
        "video": 1,
    }
    names = [each["name"] for each in written.instances["categories"]]
    assert names == ["car", "window"]
    assert len(written.instances["images"]) == 1


def test_shapes_beyond_their_image() -> None:
    """They are written as they are, and told; what rounding puts there is not told."""
    boxes = [Rectangle(-0.005, 0, 5, 5), Rectangle(6, 6, 5, 2), Rectangle(-2, 1, 1, 1)]
    image = LabeledImage(
        media_name="a.jpg", annotations=[Annotation("car", each) for each in boxes],
        width=10, height=10,
    )  # fmt: skip
    for each, times in ((image, 2), (attrs.evolve(image, width=None), 0)):
        written = coco.to_document([each])
        assert [one["bbox"] for one in written.instances["annotations"]] == [
            [*attrs.astuple(shape)] for shape in boxes
        ]
        assert written.losses.count(LossKind.OUTSIDE) == times


def test_what_cannot_be_read() -> None:
    """A broken annotation is counted and named, and the others are read."""
    given = document(
        annotation(id=1, bbox=[1, 2, 3]),
        annotation(id=2, segmentation={"size": [2, 2], "counts": [1, 1]}),
        annotation(id=3, segmentation={"size": [2, 2], "counts": "zzzzzz"}),
        annotation(id=4, segmentation={"size": [1 << 20, 1 << 20], "counts": [0]}),
        annotation(id=5, segmentation="no"),
        annotation(id=6, keypoints=[1, 2], bbox=[1, 1, 1, 1]),
        annotation(id=7, image_id=9, bbox=[1, 1, 1, 1]),
        annotation(id=8, category_id=9, bbox=[1, 1, 1, 1]),
        annotation(id=9, segmentation=[RING]),
    )
    read = coco.read(given, mapping=POLYGON)
    assert [each.shape for each in only(read.images).annotations] == [
        Polygon([(1, 1), (2, 1), (2, 2), (1, 2)]),  # the box of what has broken keypoints
        Polygon([(1, 1), (5, 1), (5, 4), (1, 4)]),
    ]
    assert read.losses.count(LossKind.BROKEN) == 5
    assert read.losses.count(LossKind.PART) == 1
    assert read.losses.count(LossKind.UNKNOWN_IMAGE) == 1
    assert read.losses.count(LossKind.UNKNOWN_CATEGORY) == 1


def test_what_is_broken_is_lost_once() -> None:
    """A box that cannot be read is not counted among those that became polygons."""
    (lost,) = coco.read(document(annotation(bbox=[1, 2, 3])), mapping=POLYGON).losses.items
    assert (lost.kind, lost.count) == (LossKind.BROKEN, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("5", "not JSON"),
        ("{}", "no member images"),
        ('{"images": [{}]}', "images[0]: it needs id and file_name"),
        (
            '{"images": [], "categories": [{"id": 1}]}',
            "categories[0]: it needs id and name",
        ),
        ('{"images": [], "annotations": {}}', "must be a list of objects"),
    ],
)
def test_what_is_no_coco_file(tmp_path: Path, text: str, said: str) -> None:
    """A file of another format is refused, with its path and what is wrong."""
    path = tmp_path / "coco.json"
    path.write_text(text)
    with pytest.raises(FormatError) as refused:
        coco.read(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A device has no end, and nobody may ever write into a pipe."""
    os.mkfifo(tmp_path / "coco.json")
    for path in (tmp_path / "coco.json", "/dev/zero"):
        with pytest.raises(DataGymError, match="only regular files are read"):
            coco.read(path)


def test_files(tmp_path: Path) -> None:
    """Instances and captions are written into two files, and nothing else is left there."""
    instances, captions = coco_files(images=10, annotations=30)
    for name, given in (("i.json", instances), ("c.json", captions)):
        (tmp_path / name).write_text(json.dumps(given))
    read = coco.read(tmp_path / "i.json", tmp_path / "c.json")
    lost = coco.write(read.images, tmp_path / "i.json", categories=tmp_path / "i.json")
    assert lost.count(LossKind.CAPTION) == len(captions["annotations"])
    both = (tmp_path / "i.json", tmp_path / "c.json")
    both[1].unlink()
    assert not coco.write(read.images, both[0], captions=both[1], categories=both[0])
    again = coco.read(tmp_path / "i.json", tmp_path / "c.json")
    assert [each.classifications for each in again.images] == [
        each.classifications for each in read.images
    ]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["c.json", "i.json"]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes and polygons need no extra; a mask names the extra that it needs."""
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    monkeypatch.setitem(sys.modules, "numpy", None)
    given = document(annotation(bbox=[1, 1, 1, 1], segmentation=[RING]))
    for mapping in (formats.LabelMapping(), POLYGON, SEGMENTS):
        assert coco.to_document(coco.read(given, mapping=mapping).images).instances["annotations"]
    crowd = document(annotation(segmentation={"size": [10, 20], "counts": [199, 1]}))
    with pytest.raises(FormatError, match=r"install .*\[formats\]"):
        coco.read(crowd, mapping=POLYGON)


def test_a_mask_of_any_size_takes_no_memory() -> None:
    """Sizes that nobody could hold are as good as none, and said as a loss."""
    holed = Segmentation([[(1, 1), (5, 1), (5, 4)], [(2, 2), (3, 2), (3, 3)]])
    given = LabeledImage(
        media_name="a.jpg", annotations=[Annotation("a", holed)], width=10**6, height=10**6
    )
    document = coco.to_document([given])
    assert document.losses.count(LossKind.HOLES) == 1
    (found,) = document.instances["annotations"]
    assert isinstance(found["segmentation"], list)


def test_what_json_cannot_hold(tmp_path: Path) -> None:
    """Half a character ends a COCO file with an error that names it, and leaves nothing behind."""
    with pytest.raises(FormatError, match=r"i\.json cannot be written"):
        coco.write([LabeledImage(media_name="\ud800.jpg")], tmp_path / "i.json")
    assert list(tmp_path.iterdir()) == []


def test_label_config() -> None:
    """The configuration has what the labels need, and breaks no rule of the service."""
    instances, captions = coco_files(images=20, annotations=1)
    config = coco.label_config(instances, captions)
    assert config.problems() == []
    person, vehicle, outdoor, cat, *texts = config.entries
    assert [each.key for each in (person, vehicle, outdoor, cat)] == [
        "person",
        "vehicle",
        "outdoor",
        "cat",
    ]
    assert {each.type for each in (person, vehicle, outdoor, cat)} == {EntryType.RECTANGLE}
    assert vehicle.children[0].options == {"car": "car", "bus": "bus"}
    assert outdoor.children[0].options == {"traffic_light": "Traffic Light"}
    assert [each.key for each in person.children] == [
        "subcategory",
        "nose",
        "left_eye",
        "right_eye",
    ]
    assert cat.children == ()
    assert [(each.key, each.type) for each in texts] == [
        ("caption", EntryType.FREETEXT),
        ("caption_2", EntryType.FREETEXT),
        ("caption_3", EntryType.FREETEXT),
    ]


@pytest.mark.parametrize("shape", ["rectangle", "polygon", "segmentation"])
@pytest.mark.parametrize("by", ["supercategory", "category"])
def test_label_configs_are_valid(shape: Any, by: Any) -> None:
    """Whatever the mapping, the configuration breaks no rule, and has every key that is used."""
    mapping = formats.LabelMapping(shape=shape, by=by)
    instances, captions = coco_files(images=20, annotations=60)
    config = coco.label_config(instances, captions, mapping=mapping)
    assert config.problems() == []
    keys = {each.key for each in config.entries}
    for image in coco.read(instances, captions, mapping=mapping).images:
        assert {each.key for each in image.annotations} <= keys
        assert {each.key for each in image.classifications} <= keys


def test_a_mapping_is_checked() -> None:
    """A word that no shape has is refused at once."""
    with pytest.raises(ValueError, match="shape"):
        formats.LabelMapping(shape="circle")  # type: ignore[arg-type]  # the mistake
