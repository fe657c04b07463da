"""Files that trainers take: where they lie, what stands in them, and what is lost."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import attrs
import pytest
import yaml
from labelformat.formats import (
    CVATObjectDetectionInput,
    KittiObjectDetectionInput,
    PascalVOCObjectDetectionInput,
    YOLOv8ObjectDetectionInput,
)
from PIL import Image

from datagym_async import formats
from datagym_async.exceptions import ConfigurationError
from datagym_async.formats import (
    Category,
    FormatError,
    LabelMapping,
    LossKind,
    WrittenFormat,
    coco,
)
from datagym_async.formats._label_texts import flipped, smallest_box
from datagym_async.formats._label_texts import number as in_text
from datagym_async.labels import (
    Annotation,
    Classification,
    ConfigEntry,
    Incomplete,
    LabelConfig,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import EntryType, TaskState

WIDTH, HEIGHT = 200, 100
BOX = Rectangle(20, 10, 60, 40)
EYE = Annotation("left_eye", Point(30, 20))
OUTLINE = Polygon([(20, 10), (80, 10), (80, 50)])
WRITTEN: tuple[WrittenFormat, ...] = get_args(WrittenFormat)
FILE_AN_IMAGE = ("yolo", "yolo-seg", "yolo-obb", "voc", "kitti")


def image(name: str, *annotations: Annotation, **more: Any) -> LabeledImage:
    """An image of known size."""
    known: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, **more}
    return LabeledImage(media_name=name, annotations=annotations, **known)


def car(shape: Any, kind: str = "car", *nested: Annotation) -> Annotation:
    """A vehicle, labelled as COCO files are by default."""
    return Annotation("vehicle", shape, [Classification.select("subcategory", kind)], nested)


def config() -> LabelConfig:
    """Two entries that have an option of one name, and a text with capitals and blanks."""
    config = LabelConfig()
    vehicle = config.add_polygon("vehicle", "Vehicle")
    vehicle.add_select("subcategory", "Kind", {"car": "Car", "other": "other"})
    config.add_rectangle("traffic_light", "Traffic Light")
    animal = config.add_rectangle("animal", "Animal")
    animal.add_select("subcategory", "Kind", {"other": "other", "cat": "Cat"})
    return config


IMAGES = [image("a.png", car(BOX), Annotation("cat", Rectangle(0, 0, 10, 10))), image("b.png")]


def counts(report: formats.LossReport) -> dict[str, int]:
    """The kinds of loss, and how often."""
    return {each.kind.value: each.count for each in report.items}


def names_in(folder: Path) -> dict[int, str]:
    """The classes of a YOLO dataset."""
    found: dict[int, str] = yaml.safe_load((folder / "data.yaml").read_text())["names"]
    return found


def test_yolo(tmp_path: Path) -> None:
    """Labels lie beside where images lie, also empty ones, and shares have all digits needed."""
    given = [image("a.png", car(Rectangle(1 / 3, 10, 60, 40))), image("b.png")]
    assert not formats.write(given, tmp_path / "yolo", "yolo")
    labels = tmp_path / "yolo" / "labels" / "train"
    assert sorted(each.name for each in labels.iterdir()) == ["a.txt", "b.txt"]
    number, *shares = (labels / "a.txt").read_text().split()
    x, y, width, height = map(float, shares)
    assert number == "0"
    assert (x - width / 2) * WIDTH == pytest.approx(1 / 3, abs=1e-6)
    assert (y, width, height) == (0.3, 0.3, 0.4)
    assert (labels / "b.txt").read_text() == ""
    assert yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text()) == {
        "path": "",
        "train": "images/train",
        "val": "images/train",
        "names": {0: "car"},
    }
    assert not formats.write([], tmp_path / "none", "yolo")  # trainers want both folders
    assert all((tmp_path / "none" / each / "train").is_dir() for each in ("images", "labels"))
    assert names_in(tmp_path / "none") == {}


def test_numbers_in_texts() -> None:
    """They have ten decimals, as far as these are there, and no sign before a zero."""
    given = (1.0, 0.25, -0.5, 1 / 3, 1e-12, -1e-12, 123456.0, 100.0)
    texts = ["1", "0.25", "-0.5", "0.3333333333", "0", "0", "123456", "100"]
    assert [*map(in_text, given)] == texts


def test_boxes_without_a_side(tmp_path: Path) -> None:
    """Those that have no width, and those that have no height, are told."""
    flat = [car(Rectangle(5, 5, 0, 9)), car(Rectangle(5, 5, 9, 0)), car(BOX)]
    for name in ("yolo", "kitti", "voc"):
        lost = formats.write([image("a.png", *flat)], tmp_path / name, name)
        assert counts(lost) == {"flat": 2}


def test_classes_of_the_configuration(tmp_path: Path) -> None:
    """Order and texts are those of the configuration, unused ones stay, none are merged."""
    given = [image("a.png", car(BOX, "other"), Annotation("animal", BOX))]
    lost = formats.write(given, tmp_path / "yolo", "yolo", config=config())
    texts = ["Car", "Vehicle other", "Traffic Light", "Animal other", "Cat", "Vehicle", "Animal"]
    assert names_in(tmp_path / "yolo") == dict(enumerate(texts))
    assert lost.count(LossKind.SCOPE) == 2
    lines = (tmp_path / "yolo" / "labels" / "train" / "a.txt").read_text().split("\n")
    assert [line.split()[0] for line in lines[:-1]] == ["1", "6"]
    formats.write(given, tmp_path / "coco.json", "coco", config=config())
    categories = json.loads((tmp_path / "coco.json").read_text())["categories"]
    assert [(each["id"], each["name"], each.get("supercategory")) for each in categories] == [
        (1, "Car", "Vehicle"),
        (2, "other", "Vehicle"),
        (3, "Traffic Light", None),
        (4, "other", "Animal"),
        (5, "Cat", "Animal"),
        (6, "Vehicle", None),
        (7, "Animal", None),
    ]


def test_unanswered_entries_come_last(tmp_path: Path) -> None:
    """Their classes are there only where one is needed, behind all others, whose numbers stay."""
    formats.write([image("a.png")], tmp_path / "none", "yolo", config=config())
    assert len(names_in(tmp_path / "none")) == 5
    some = [image("a.png", Annotation("animal", BOX))]
    formats.write(some, tmp_path / "some", "yolo", config=config())
    assert names_in(tmp_path / "some")[6] == "Animal"


def test_only_the_answer_to_a_select_is_a_class(tmp_path: Path) -> None:
    """Answers to a checklist or a text with its key are counted, or written as answers."""
    given = LabelConfig()
    given.add_rectangle("car", "Car").add_checklist("subcategory", "K", {"a": "A", "b": "B"})
    given.add_rectangle("bus", "Bus").add_freetext("subcategory", "K")
    drawn = [
        Annotation("car", BOX, [Classification.checklist("subcategory", ["a", "b"])]),
        Annotation("car", BOX, [Classification.checklist("subcategory", ["b"])]),
        Annotation("car", BOX, [Classification("subcategory", ["a", "b"])]),  # of unknown type
        Annotation("bus", BOX, [Classification.freetext("subcategory", "")]),
    ]
    for number, (known, names) in enumerate(
        [(given, ["Car", "Bus"]), (LabelConfig(), ["bus", "car"])]
    ):
        path = tmp_path / f"yolo {number}"
        lost = formats.write([image("a.png", *drawn)], path, "yolo", config=known)
        assert names_in(path) == dict(enumerate(names))
        assert lost.count(LossKind.CLASSIFICATION) == 4
    formats.write([image("a.png", *drawn)], tmp_path / "cvat", "cvat")
    boxes = ElementTree.parse(tmp_path / "cvat" / "annotations.xml").iter("box")
    assert [each.findtext("attribute") for each in boxes] == ["a, b", "b", "a, b", ""]


def test_supercategories_as_answers(tmp_path: Path) -> None:
    """With ``by="category"`` the entry is the class, and its one answer the group, given or not."""
    given = LabelConfig()
    given.add_rectangle("car", "Car").add_select("supercategory", "Group", {"toy": "Toy"})
    mapping = LabelMapping(by="category")
    images = [
        image("a.png", Annotation("car", BOX)),
        image("b.png", Annotation("car", BOX, [Classification.select("supercategory", "toy")])),
    ]
    formats.write(images, tmp_path / "yolo", "yolo", config=given, mapping=mapping)
    assert names_in(tmp_path / "yolo") == {0: "Car"}
    formats.write(images, tmp_path / "coco.json", "coco", config=given, mapping=mapping)
    (category,) = json.loads((tmp_path / "coco.json").read_text())["categories"]
    assert (category["name"], category["supercategory"]) == ("Car", "Toy")
    document = coco.to_document(images[1:], mapping=mapping)  # without texts
    assert document.instances["categories"] == [{"id": 1, "name": "car", "supercategory": "toy"}]


def categories_of(document: coco.CocoDocument) -> list[tuple[str, str | None, list[str]]]:
    """The name, the group and the keypoints of each category."""
    return [
        (each["name"], each.get("supercategory"), each.get("keypoints", []))
        for each in document.instances["categories"]
    ]


def test_entries_as_classes() -> None:
    """With ``by="category"`` an entry without answers, or with several of them, has its text."""
    given = LabelConfig()
    given.add_rectangle("car", "Car")
    given.add_rectangle("bus", "Bus").add_select("supercategory", "Group", {"a": "A", "b": "B"})
    images = [image("a.png", Annotation("car", BOX), Annotation("bus", BOX))]
    document = coco.to_document(images, config=given, mapping=LabelMapping(by="category"))
    names = [each[:2] for each in categories_of(document)]
    assert names == [("Car", None), ("Bus", "A"), ("Bus", "B"), ("Bus", None)]
    assert [each["category_id"] for each in document.instances["annotations"]] == [1, 4]


@pytest.mark.parametrize("has_texts", [True, False])
def test_texts_of_entries(has_texts: bool) -> None:
    """All that a configuration names has its text, or its key where that is empty."""

    def text(wanted: str) -> str:
        return wanted if has_texts else ""

    def named(wanted: str) -> str:
        return wanted if has_texts else wanted.lower()

    eye = ConfigEntry("eye", text("Eye"), EntryType.POINT)
    door = ConfigEntry("door", text("Door"), EntryType.RECTANGLE)
    kind = ConfigEntry("subcategory", "Kind", EntryType.SELECT, options={"car": text("Car")})
    config = [
        ConfigEntry("person", text("Person"), EntryType.RECTANGLE, children=[eye, door]),
        ConfigEntry("vehicle", text("Vehicle"), EntryType.RECTANGLE, children=[kind, door]),
    ]
    document = coco.to_document([image("a.png", Annotation("vehicle", BOX))], config=config)
    assert categories_of(document) == [
        (named("Person"), None, [named("Eye")]),
        (named("Door"), named("Person"), []),
        (named("Car"), named("Vehicle"), []),
        (named("Door"), named("Vehicle"), []),
        (named("Vehicle"), None, []),
    ]
    assert document.instances["annotations"][0]["category_id"] == 5


def test_fixed_keypoints_beside_those_of_the_configuration() -> None:
    """A given class has its own and those that are drawn; the others have all of their entry."""
    config = LabelConfig()
    for name, other in (("Man", "Eye"), ("Dog", "Tail")):
        entry = config.add_rectangle(name.lower(), name)
        for point in ("Nose", other):
            entry.add_point(point.lower(), point)
    man, dog = (
        Annotation(key, BOX, nested=[Annotation(point, Point(30, 20))])
        for key, point in (("man", "eye"), ("dog", "tail"))
    )
    fixed = [Category(4, "Man", "", ("Nose",))]
    for drawn, points in (([dog], ["Nose"]), ([man, dog], ["Nose", "Eye"])):
        document = coco.to_document([image("a.png", *drawn)], categories=fixed, config=config)
        assert categories_of(document) == [("Man", None, points), ("Dog", None, ["Nose", "Tail"])]
        found = [each["keypoints"] for each in document.instances["annotations"]]
        assert found == [[0, 0, 0, 30, 20, 2]] * len(drawn)


def test_entries_of_one_text(tmp_path: Path) -> None:
    """Nested ones have the entry around them as their group; what is still one has its key."""
    given = LabelConfig()
    given.add_polygon("house", "House").add_rectangle("door", "Door")
    given.add_rectangle("car", "Car").add_rectangle("door", "Door")
    given.add_rectangle("car_2", "Car")
    inner = [Annotation("door", Rectangle(21, 11, 5, 5))]
    images = [
        image("a.png", Annotation("car", BOX, nested=inner), Annotation("house", OUTLINE)),
        image("a.png", Annotation("car_2", BOX)),
    ]
    lost = formats.write(images[:1], tmp_path / "yolo", "yolo", config=given)
    texts = ["House", "House Door", "Car (car)", "Car Door", "Car (car_2)"]
    assert (lost.count(LossKind.COLLISION), lost.count(LossKind.SCOPE)) == (2, 2)
    assert "'Car' is 'Car (car_2)'" in str(lost)
    lost = formats.write(images[:1], tmp_path / "voc", "voc", config=given)  # lists no other
    assert lost.count(LossKind.COLLISION) == 1
    assert names_in(tmp_path / "yolo") == dict(enumerate(texts))
    lines = (tmp_path / "yolo" / "labels" / "train" / "a.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "3", "0"]
    document = coco.to_document(images, config=given)
    groups = [
        (each["name"], each.get("supercategory")) for each in document.instances["categories"]
    ]
    assert groups[1] == ("Door", "House")
    assert document.losses.count(LossKind.SAME_NAME) == 1
    assert document.losses.count(LossKind.COLLISION) == 2


@pytest.mark.parametrize("kind", ["data.yaml", "names.txt", "coco.json"])
def test_numbers_can_be_fixed(tmp_path: Path, kind: str) -> None:
    """A file of classes comes first and keeps its numbers, found by text, key or name and group."""
    if kind == "data.yaml":
        (tmp_path / kind).write_text("names: {2: Traffic Light, 0: cat}\nnc: 3\n")
    elif kind == "names.txt":
        (tmp_path / kind).write_text("cat\n\nTraffic Light\n\n")
    else:
        listed = [
            {"id": 7, "name": "cat", "supercategory": "animal"},
            {"id": 9, "name": "unused 1"},
            {"id": 2, "name": "Traffic Light"},
        ]
        (tmp_path / kind).write_text(json.dumps({"categories": listed}))
    given = [image("a.png", Annotation("traffic_light", BOX), car(BOX))]
    formats.write(given, tmp_path / "yolo", "yolo", config=config(), classes=tmp_path / kind)
    texts = ["cat", "unused 1", "Traffic Light", "Car", "Vehicle other", "Animal other"]
    assert names_in(tmp_path / "yolo") == dict(enumerate(texts))
    formats.write(given, tmp_path / "new.json", "coco", config=config(), classes=tmp_path / kind)
    categories = json.loads((tmp_path / "new.json").read_text())["categories"]
    numbers = {"coco.json": [7, 9, 2, 10]}.get(kind, [0, 1, 2, 3])
    assert [each["id"] for each in categories[:4]] == numbers


def test_fixed_classes_are_found_as_by_an_import(tmp_path: Path) -> None:
    """In another case or with other separators, an entry as well as an option; else by the key."""
    given = [image("a.png", car(BOX), Annotation("traffic_light", BOX))]
    fixed = ["TRAFFIC-LIGHT", "CAT", "car"]
    formats.write(given, tmp_path / "yolo", "yolo", config=config(), classes=fixed)
    texts = [*fixed, "Vehicle other", "Animal other"]
    assert names_in(tmp_path / "yolo") == dict(enumerate(texts))
    lines = (tmp_path / "yolo" / "labels" / "train" / "a.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "0"]


@pytest.mark.parametrize("text", ["", "names: 3\n", "names: [a, a]\n", "{", "\xff"])
def test_files_without_classes(tmp_path: Path, text: str) -> None:
    """A file that lists none, or one twice, is refused with its name."""
    path = tmp_path / "data.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match=r"data\.yaml"):
        formats.classes_from(path)
    with pytest.raises(FormatError, match=r"none\.txt cannot be read: No such file"):
        formats.classes_from(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("names.txt", "\n", "lists no classes; what is read of it"),
        ("coco.json", '{"categories": []}', "lists no classes; what is read of it"),
        ("data.yaml", "names: {100001: cat}", "counts to 100001"),
    ],
)
def test_files_of_no_classes_or_too_many(tmp_path: Path, name: str, text: str, said: str) -> None:
    """One without any class has none to keep; numbers without names would take memory."""
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=said):
        formats.classes_from(tmp_path / name)


@pytest.mark.parametrize("wrong", [5, [5], [["car"]], "", "a\0b"])
def test_what_names_no_classes(wrong: Any) -> None:
    """It is refused by its name, before a file is looked for."""
    with pytest.raises(ConfigurationError, match=r"^(one of the )?classes is .*; it must be"):
        formats.classes_from(wrong)


def test_yolo_outlines(tmp_path: Path) -> None:
    """Boxes are their corners; holes are filled, and parts are objects of their own, both told."""
    holed = Segmentation([OUTLINE.points, [(60, 20), (70, 20), (70, 25)]])
    parts = [Annotation("dog", OUTLINE, extra={"coco": {"id": 4}}) for _ in range(2)]
    lost = formats.write([image("a.png", car(holed), car(BOX), *parts)], tmp_path / "y", "yolo-seg")
    assert counts(lost) == {"holes": 1, "parts": 1}
    lines = (tmp_path / "y" / "labels" / "train" / "a.txt").read_text().splitlines()
    assert [len(line.split()) for line in lines] == [7, 9, 7, 7]
    assert lines[0] == "0 0.1 0.1 0.4 0.1 0.4 0.5"
    formats.write([image("a.png", *parts)], tmp_path / "box", "yolo")
    assert len((tmp_path / "box/labels/train/a.txt").read_text().splitlines()) == 1
    boxes = [
        Annotation("dog", Rectangle(at, at, 10, 10), extra={"coco": {"id": 4}}) for at in (10, 60)
    ]
    lost = formats.write([image("a.png", *boxes)], tmp_path / "boxes", "yolo")
    assert counts(lost) == {"outline": 1}  # the box around both
    text = (tmp_path / "boxes" / "labels" / "train" / "a.txt").read_text()
    assert text == "0 0.2 0.4 0.3 0.6\n"
    (found,) = coco.to_document([image("a.png", *boxes)]).instances["annotations"]
    assert (found["id"], found["bbox"], found["area"]) == (4, [10, 10, 60, 60], 200)


def test_yolo_pose(tmp_path: Path) -> None:
    """Keypoints have the order of the configuration, whatever an image shows; hidden ones are 1."""
    given = LabelConfig()
    person = given.add_rectangle("person", "Person")
    for name in ("nose", "left_eye", "right_eye"):
        person.add_point(name, name)
    given.add_rectangle("dog", "Dog")
    hidden = {"coco": {"v": 1}}
    nested = [Annotation("right_eye", Point(20, 10), extra=hidden), Annotation("nose", Point(1, 2))]
    images = [image("a.png", Annotation("person", BOX, nested=nested), Annotation("dog", BOX))]
    lost = formats.write(images, tmp_path / "pose", "yolo-pose", config=given)
    assert not lost
    said = yaml.safe_load((tmp_path / "pose" / "data.yaml").read_text())
    assert (said["kpt_shape"], said["flip_idx"]) == ([3, 3], [0, 2, 1])
    assert said["kpt_names"][0] == ["nose", "left_eye", "right_eye"]
    lines = (tmp_path / "pose" / "labels" / "train" / "a.txt").read_text().splitlines()
    assert lines == [
        "0 0.25 0.3 0.3 0.4 0.005 0.02 2 0 0 0 0.1 0.1 1",
        "1 0.25 0.3 0.3 0.4 0 0 0 0 0 0 0 0 0",
    ]
    # Fixed numbers without keypoints say nothing about these.
    formats.write(images, tmp_path / "fixed", "yolo-pose", config=given, classes=["Dog", "Person"])
    fixed = (tmp_path / "fixed" / "labels" / "train" / "a.txt").read_text().splitlines()
    assert [line[1:] for line in fixed] == [line[1:] for line in lines]
    assert [line[0] for line in fixed] == ["1", "0"]
    document = coco.to_document(images, config=given).instances
    assert document["categories"][0]["keypoints"] == ["nose", "left_eye", "right_eye"]
    assert document["annotations"][0]["keypoints"] == [1, 2, 2, 0, 0, 0, 20, 10, 1]
    with pytest.raises(FormatError, match="no keypoints"):
        formats.write(IMAGES, tmp_path / "none", "yolo-pose")


@pytest.mark.parametrize("fixed", [[], [Category(1, "Man", "", ("Eye",))]])
def test_keypoints_of_one_text(tmp_path: Path, fixed: list[Category]) -> None:
    """Two points of the configuration may have one: each keeps its own place."""
    config = LabelConfig()
    man = config.add_rectangle("man", "Man")
    man.add_point("eye_1", "Eye")
    man.add_point("eye_2", "Eye")
    nested = [Annotation("eye_2", Point(40, 20)), Annotation("eye_1", Point(20, 10))]
    given = [image("a.png", Annotation("man", BOX, nested=nested))]
    document = coco.to_document(given, config=config, categories=fixed)
    assert document.instances["annotations"][0]["keypoints"] == [20, 10, 2, 40, 20, 2]
    assert not document.losses
    lost = formats.write(given, tmp_path / "pose", "yolo-pose", config=config, classes=fixed)
    assert counts(lost) == {"flip": 1}
    said = yaml.safe_load((tmp_path / "pose" / "data.yaml").read_text())
    assert said["kpt_names"] == {0: ["Eye", "Eye 2"]}
    text = (tmp_path / "pose" / "labels" / "train" / "a.txt").read_text()
    assert text == "0 0.25 0.3 0.3 0.4 0.1 0.1 2 0.2 0.2 2\n"


def test_keypoints_of_fixed_categories() -> None:
    """Order and skeleton are those of the category that is given, found by key."""
    eyes = Category(4, "person", "", ("Nose", "Left Eye", "Right Eye"), ((1, 2), (1, 3)))
    nested = [Annotation("right_eye", Point(20, 10)), Annotation("nose", Point(1, 2))]
    given = image("a.png", Annotation("person", BOX, nested=nested))
    document = coco.to_document([given], categories=[eyes])
    assert document.instances["categories"] == [eyes.document()]
    assert document.instances["annotations"][0]["keypoints"] == [1, 2, 2, 0, 0, 0, 20, 10, 2]
    assert not document.losses


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["nose", "left_eye", "right_eye"], [0, 2, 1]),
        (["Left Ear", "Right Ear"], [1, 0]),
        (["EAR LEFT", "EAR RIGHT"], [1, 0]),
        (["top-left", "top-right", "bottom-right", "bottom-left"], [1, 0, 3, 2]),
        (["l_hip", "r_hip", "hip"], [1, 0, 2]),
        (["wheel", "tail"], None),
        (["left_eye", "nose"], None),
    ],
)
def test_mirrored_keypoints(names: list[str], places: list[int] | None) -> None:
    """Names that say left and right give the other side; where one has none, nothing is said."""
    assert flipped(names) == places


def test_yolo_turned_boxes(tmp_path: Path) -> None:
    """Boxes and outlines that are boxes stay as they are, of others the smallest box is made."""
    slanted = Polygon([(50, 10), (90, 50), (80, 60), (40, 20)])
    given = image(
        "a.png", car(BOX), car(slanted), car(Polygon([(0, 0), (40, 0), (40, 20), (9, 9)]))
    )
    lost = formats.write([given], tmp_path / "obb", "yolo-obb")
    assert counts(lost) == {"outline": 1}
    lines = (tmp_path / "obb" / "labels" / "train" / "a.txt").read_text().splitlines()
    found = [[float(each) for each in line.split()[1:]] for line in lines]
    assert all(len(each) == 8 for each in found)
    assert found[0] == [0.1, 0.1, 0.4, 0.1, 0.4, 0.5, 0.1, 0.5]
    assert found[1] == [0.25, 0.1, 0.45, 0.5, 0.4, 0.6, 0.2, 0.2]
    # A corner on a side is none of the box.
    five = Polygon([(20, 10), (50, 10), (80, 10), (80, 50), (20, 50)])
    assert not formats.write([image("a.png", car(five))], tmp_path / "five", "yolo-obb")
    line = (tmp_path / "five" / "labels" / "train" / "a.txt").read_text()
    assert sorted(line.split()[1:]) == sorted(map(str, found[0]))


def test_turned_boxes_beyond_the_image(tmp_path: Path) -> None:
    """The smallest box around an outline may leave the image: it is told, or an upright one."""
    given = [image("a.png", car(Polygon([(0, 0), (60, 0), (80, 40)])))]
    lost = formats.write(given, tmp_path / "as", "yolo-obb")
    assert counts(lost) == {"outline": 1, "outside": 1}
    edges = [image("a.png", car(Polygon([(0, 50), (100, 0), (200, 50), (100, 100)])))]
    assert counts(formats.write(edges, tmp_path / "at", "yolo-obb")) == {"outline": 1, "outside": 1}
    edges = [image("a.png", car(Polygon([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (1, HEIGHT)])))]
    assert counts(formats.write(edges, tmp_path / "in", "yolo-obb")) == {"outline": 1}
    lost = formats.write(given, tmp_path / "cut", "yolo-obb", clip=True)
    assert counts(lost) == {"outline": 1}
    text = (tmp_path / "cut" / "labels" / "train" / "a.txt").read_text()
    assert text == "0 0 0 0.4 0 0.4 0.4 0 0.4\n"


def test_smallest_box() -> None:
    """It holds all points and none is smaller; points on a line, and one alone, have one, too."""
    ring = [(3.0, 1.0), (7.0, 4.0), (5.0, 9.0), (1.0, 6.0), (4.0, 4.0)]
    box = Polygon(smallest_box(ring))
    for x, y in ring:
        sides = zip(box.points, (*box.points[1:], box.points[0]), strict=True)
        assert all((b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x) >= -1e-9 for a, b in sides)
    angles = (math.radians(each / 10) for each in range(900))
    turned = (
        [(x * math.cos(a) + y * math.sin(a), y * math.cos(a) - x * math.sin(a)) for x, y in ring]
        for a in angles
    )
    areas = (Polygon(each).bounds for each in turned)
    assert box.area <= min(each.width * each.height for each in areas) + 1e-9
    assert Polygon(smallest_box([(0, 0), (1, 1), (2, 2)])).area == 0
    assert smallest_box([(1, 2)]) == [(1, 2)] * 4


def test_voc(tmp_path: Path) -> None:
    """The first pixel is 1, as in VOC, unless asked otherwise; decimals stay."""
    given = [image("a.png", car(Rectangle(0, 0, WIDTH, HEIGHT)), car(Rectangle(5.5, 7, 0.25, 9)))]
    lost = formats.write(given, tmp_path / "voc", "voc")
    assert counts(lost) == {"flat": 1}
    root = ElementTree.parse(tmp_path / "voc" / "Annotations" / "a.xml").getroot()
    edges = [[each.text for each in box] for box in root.iter("bndbox")]
    assert edges == [["1", "1", "200", "100"], ["6.5", "8", "5.75", "16"]]
    assert [root.findtext(f"size/{each}") for each in ("width", "height")] == ["200", "100"]
    assert [root.findtext(each) for each in ("folder", "segmented")] == ["JPEGImages", "0"]
    low = [image("a.png", car(Rectangle(7, 5.5, 9, 0.25)))]
    assert counts(formats.write(low, tmp_path / "low", "voc")) == {"flat": 1}
    formats.write(given, tmp_path / "zero", "voc", zero_based=True)
    text = (tmp_path / "zero" / "Annotations" / "a.xml").read_text()
    assert "<xmin>0</xmin>" in text
    unknown = [image("a.png", car(BOX), width=None, height=None)]
    assert counts(formats.write(unknown, tmp_path / "size", "voc")) == {"size": 1}


def test_kitti(tmp_path: Path) -> None:
    """A line has 15 words, the class one of them; the layout is that of the benchmark."""
    given = [image("a.png", Annotation("traffic_light", BOX))]
    lost = formats.write(given, tmp_path / "kitti", "kitti", config=config(), split="train=1")
    assert counts(lost) == {"characters": 1}  # of names that are in no file nothing is said
    line = (tmp_path / "kitti" / "training" / "label_2" / "a.txt").read_text()
    assert line.split()[:8] == ["Traffic_Light", "-1", "-1", "-10", "20", "10", "80", "50"]
    assert len(line.split()) == 15
    assert (tmp_path / "kitti" / "ImageSets" / "train.txt").read_text() == "a\n"


DOTTED = ("scan.1", "scan.2", "day.v3/a", "b.PNG", "x" * 240 + ".2024-11-29")


@pytest.mark.parametrize(("name", "suffix"), [("yolo", ".txt"), ("voc", ".xml"), ("kitti", ".txt")])
def test_names_with_a_dot_and_no_suffix(tmp_path: Path, name: Any, suffix: str) -> None:
    """What follows the dot is part of the name; an image gets its suffix, as trainers want it."""
    given = [image(each, car(Rectangle(at, 10, 60, 40))) for at, each in enumerate(DOTTED)]
    lost = formats.write(given, tmp_path / "labels_only", name, split="train=1")
    assert set(counts(lost)) <= {"long_name", "size"}
    stems = {each.stem for each in (tmp_path / "labels_only").rglob(f"*{suffix}")}
    assert {"scan.1", "scan.2", "a", "b"} <= stems
    source = tmp_path / "source.png"
    Image.new("L", (WIDTH, HEIGHT)).save(source)
    formats.write(given, tmp_path / "out", name, split="train=1", images_from=lambda _: source)
    read = formats.read(tmp_path / "out", name, split="train")
    assert not read.losses
    shapes = [each.annotations[0].shape for each in read.images]
    lefts = [round(each.x) for each in shapes if isinstance(each, Rectangle)]
    assert sorted(lefts) == [*range(5)]
    assert {Path(each.media_name).suffix for each in read.images} == {".png", ".PNG"}
    # A file without such a suffix, as a download has it, gets the one for what it contains.
    for kind in ("jpeg", "png"):
        bare = tmp_path / f"{kind}.1"
        Image.new("L", (WIDTH, HEIGHT)).save(bare, kind)
        formats.write(
            [image("scan.1", car(BOX)), image("no", car(BOX))],
            tmp_path / kind,
            name,
            images_from={"scan.1": bare, "no": bare},
        )
        (first, second) = formats.read(tmp_path / kind, name).images
        assert {first.media_name, second.media_name} == {f"scan.1.{kind}", f"no.{kind}"}


def test_keypoints_of_a_shape_that_is_not_there(tmp_path: Path) -> None:
    """CVAT keeps the points of a shape without coordinates, of a class that others have or not."""
    eye = Annotation("eye", Point(5, 6))
    lost_box = Annotation("person", Incomplete(EntryType.RECTANGLE, []), nested=[eye])
    for number, others in enumerate(([], [Annotation("person", BOX)])):
        folder = tmp_path / str(number)
        lost = formats.write([image("a.png", lost_box, *others)], folder, "cvat")
        assert counts(lost) == {"nesting": 1, "incomplete": 1}
        root = ElementTree.parse(folder / "annotations.xml").getroot()
        found = [(each.get("label"), each.get("points")) for each in root.iter("points")]
        assert found == [("eye", "5,6")]
        assert [each.text for each in root.iterfind("*//label/name")] == ["person", "eye"]
    lost = formats.write([image("a.png", lost_box)], tmp_path / "yolo", "yolo")
    assert counts(lost) == {"incomplete": 1, "point": 1}
    assert not names_in(tmp_path / "yolo")  # its class has nothing there


@pytest.mark.parametrize("texts", [{"caption": ""}, {"caption_3": "Third."}])
def test_captions_are_written_as_they_are(tmp_path: Path, texts: dict[str, str]) -> None:
    """An empty one is one, and earlier ones may be missing."""
    answers = [Classification.freetext(key, said) for key, said in texts.items()]
    given = image("a.png", classifications=answers)
    document = coco.to_document([given])
    assert [each["caption"] for each in document.captions["annotations"]] == [*texts.values()]
    assert not document.losses
    lost = formats.write([given], tmp_path / "folder", "imagefolder")
    line = json.loads((tmp_path / "folder" / "train" / "metadata.jsonl").read_text())
    assert (line.get("text"), counts(lost)) == (
        texts.get("caption"), {} if "caption" in texts else {"classification": 1}
    )  # fmt: skip


def test_keys_of_a_mapping_in_capitals(tmp_path: Path) -> None:
    """The service has keys in lower case, and so has what is read and written with a mapping."""
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [
            {"id": 1, "name": "bus", "supercategory": "vehicle"},
            {"id": 2, "name": "van", "supercategory": "vehicle"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [20, 10, 60, 40]},
            {"id": 2, "image_id": 1, "caption": "A van."},
        ],
    }
    mapping = LabelMapping(select="Kind", caption="Words")
    (tmp_path / "a.json").write_text(json.dumps(document))
    made = formats.label_config(tmp_path / "a.json", mapping=mapping)
    read = formats.read(tmp_path / "a.json", mapping=mapping, config=made)
    assert not read.losses
    lost = formats.write(read.images, tmp_path / "hf", "imagefolder", mapping=mapping, config=made)
    assert not lost
    line = json.loads((tmp_path / "hf" / "train" / "metadata.jsonl").read_text())
    assert (line["objects"]["names"], line["text"]) == (["van"], "A van.")
    again = coco.to_document(read.images, mapping=mapping, config=made)
    assert [each["name"] for each in again.instances["categories"]] == ["bus", "van"]
    assert [each["caption"] for each in again.captions["annotations"]] == ["A van."]


def test_cvat(tmp_path: Path) -> None:
    """Every shape is kept, answers are attributes, nested shapes are of a group, answers tags."""
    answers = [
        Classification.select("subcategory", "car", Classification.select("doors", "two")),
        Classification.checklist("damage", ["dent", "rust"]),
    ]
    inner = [Annotation("plate", Rectangle(1, 2, 3, 4)), Annotation("spot", Point(5, 6))]
    given = image(
        "a.png",
        Annotation("vehicle", OUTLINE, answers, inner),
        Annotation("lane", Line([(0, 0), (1.5, 2)])),
        Annotation("tree", Point(7, 8)),
        Annotation("gap", Incomplete(None, [])),
        classifications=[Classification.select("weather", "rain")],
    )
    lost = formats.write([given], tmp_path / "cvat", "cvat")
    assert counts(lost) == {"nesting": 2, "incomplete": 1}
    root = ElementTree.parse(tmp_path / "cvat" / "annotations.xml").getroot()
    (found,) = root.iter("image")
    assert [(each.tag, each.get("label"), each.get("group_id")) for each in found] == [
        ("polygon", "car", "1"),
        ("box", "plate", "1"),
        ("points", "spot", "1"),
        ("polyline", "lane", None),
        ("points", "tree", None),
        ("tag", "weather", None),
    ]
    told = [(each.get("name"), each.text) for each in found[0]]
    assert told == [("subcategory.doors", "two"), ("damage", "dent, rust")]
    assert found[3].get("points") == "0,0;1.5,2"
    labels = {each.text for each in root.iter("name")}
    assert labels == {"car", "lane", "plate", "spot", "tree"}
    assert root.findtext("version") == "1.1"


def test_labels_of_cvat(tmp_path: Path) -> None:
    """Points and lines of the configuration are labels, and keypoints are, once each, no class."""
    config = LabelConfig()
    config.add_rectangle("man", "Man").add_point("nose", "Nose")
    config.add_rectangle("dog", "Dog").add_point("nose", "Nose")
    config.add_point("tree", "Tree")
    config.add_line("lane", "Lane")
    man = Annotation("man", BOX, nested=[Annotation("nose", Point(30, 20))])
    given = [image("a.png", man, Annotation("tree", Point(1, 2)))]
    formats.write(given, tmp_path / "cvat", "cvat", config=config)
    root = ElementTree.parse(tmp_path / "cvat" / "annotations.xml").getroot()
    assert [each.text for each in root.iter("name")] == ["Man", "Dog", "Tree", "Lane", "Nose"]
    (found,) = root.iter("image")
    assert [each.get("label") for each in found] == ["Man", "Nose", "Tree"]
    assert (found.get("subset"), {each.get("occluded") for each in found}) == (None, {"0"})
    hidden = Annotation("nose", Point(30, 20), extra={"coco": {"v": 1}})
    given = [image("a.png", Annotation("man", BOX, nested=[hidden]))]
    formats.write(given, tmp_path / "parts", "cvat", config=config, split="train=1")
    root = ElementTree.parse(tmp_path / "parts" / "annotations.xml").getroot()
    (found,) = root.iter("image")
    assert (found.get("subset"), [each.get("occluded") for each in found]) == ("train", ["0", "1"])


@pytest.mark.parametrize("name", ["voc", "kitti", "cvat"])
def test_marks_come_back(tmp_path: Path, name: Any) -> None:
    """What the service does not know of an object is there again in a file of the same format."""
    every: dict[str, dict[str, Any]] = {
        "voc": {"pose": "Left", "difficult": "1"},
        "kitti": {"truncated": 0.5, "occluded": 2.0, "x": 1.25},
        "cvat": {"occluded": "1"},
    }
    marks = every[name]
    given = [image("a.png", Annotation("car", BOX, extra={"coco": marks}))]
    assert not formats.write(given, tmp_path / "out", name)
    (found,) = formats.read(tmp_path / "out", name).images[0].annotations
    assert found.extra["coco"] == marks
    other = {"truncated": "1", "difficult": 1, "occluded": None}  # of another format
    given = [image("a.png", Annotation("car", BOX, extra={"coco": other}))]
    assert not formats.write(given, tmp_path / "other", name)
    if name == "kitti":
        (line,) = (tmp_path / "other/training/label_2/a.txt").read_text().splitlines()
        assert line == "car -1 -1 -10 20 10 80 50 -1 -1 -1 -1000 -1000 -1000 -10"
    crowd = [image("a.png", Annotation("car", BOX, extra={"coco": {"iscrowd": 1}}))]
    assert counts(formats.write(crowd, tmp_path / "new", "yolo")) == {"crowd": 1}


def test_imagefolder(tmp_path: Path) -> None:
    """A line an image, in the folder of its part, with a caption where there is one."""
    caption = Classification.freetext("caption", "A car")
    given = [image("a.png", car(BOX), classifications=[caption]), image("b.png")]
    assert not formats.write(given, tmp_path / "hf", "imagefolder")
    lines = (tmp_path / "hf" / "train" / "metadata.jsonl").read_text().splitlines()
    objects = {"bbox": [[20, 10, 60, 40]], "categories": [0], "names": ["car"]}
    assert json.loads(lines[0]) == {
        "file_name": "a.png",
        "width": WIDTH,
        "height": HEIGHT,
        "objects": objects,
        "text": "A car",
    }
    second = json.loads(lines[1])
    assert second["objects"] == {"bbox": [], "categories": [], "names": []}
    assert second["text"] is None


def test_beyond_the_image(tmp_path: Path) -> None:
    """What goes beyond is told; on request it is cut off, or left out, and both are counted."""
    given = [image("a.png", car(Rectangle(190, 50, 100, 40)), car(Rectangle(300, 0, 5, 5)))]
    assert counts(formats.write(given, tmp_path / "as", "yolo")) == {"outside": 2}
    text = (tmp_path / "as" / "labels" / "train" / "a.txt").read_text()
    assert text == "0 1.2 0.7 0.5 0.4\n0 1.5125 0.025 0.025 0.05\n"
    assert counts(formats.write(given, tmp_path / "a.json", "coco")) == {"outside": 2}
    assert counts(formats.write(given, tmp_path / "b.json", "coco", clip=True)) == {
        "clipped": 1, "empty": 1
    }  # fmt: skip
    lost = formats.write(given, tmp_path / "cut", "yolo", clip=True)
    assert counts(lost) == {"clipped": 1, "empty": 1}
    assert LossKind.EMPTY.is_loss
    line = (tmp_path / "cut" / "labels" / "train" / "a.txt").read_text()
    assert line == "0 0.975 0.7 0.05 0.4\n"
    noise = [image("a.png", car(Rectangle(-7.5e-06, 50, 200.001, 50.004)))]
    assert not formats.write(noise, tmp_path / "noise", "yolo")
    assert (tmp_path / "noise/labels/train/a.txt").read_text() == "0 0.5 0.75 1 0.5\n"
    joints = [Annotation("vehicle", BOX, nested=[Annotation("nose", Point(-5, 0))])]
    lost = formats.write([image("a.png", *joints)], tmp_path / "c.json", "coco", clip=True)
    assert counts(lost) == {"empty": 1}


@pytest.mark.parametrize("known", ["width", "height"])
@pytest.mark.parametrize(("name", "told"), [("coco", 1), ("voc", 1), ("cvat", 1), ("kitti", 0)])
def test_half_of_a_size(tmp_path: Path, name: WrittenFormat, told: int, known: str) -> None:
    """It is none: no shape is beyond an edge, and none is cut off at the one that is known."""
    sizes = {"width": None, "height": None, known: 50}
    given = [image("a.png", car(BOX), **sizes)]
    path = tmp_path / ("a.json" if name == "coco" else "out")
    assert counts(formats.write(given, path, name, clip=True)) == ({"size": 1} if told else {})


ABSURD = (
    Rectangle(math.nan, 1, 2, 3),
    Rectangle(1, 1, math.inf, 3),
    Rectangle(10**400, 1, 2, 3),
    Polygon([(0, 0), (math.nan, 1), (5, 5)]),
    Segmentation([[(0, 0), (9, 0), (9, 9)], [(1, 1), (2, -math.inf), (3, 3)]]),
)


@pytest.mark.parametrize("known", [{}, {"width": None, "height": None}])
@pytest.mark.parametrize("name", WRITTEN)
def test_absurd_coordinates(tmp_path: Path, name: WrittenFormat, known: dict[str, Any]) -> None:
    """A shape with a number that is none is left out and told, if the size is known or not."""
    nose = Annotation("nose", Point(5, math.nan))
    given = image("a.png", *map(car, ABSURD), car(BOX, "car", EYE, nose), **known)
    path = tmp_path / ("a.json" if name == "coco" else "out")
    lost = counts(formats.write([given, image("b.png", car(BOX, "car", EYE))], path, name))
    is_left_out = name.startswith("yolo") and bool(known)
    assert lost.get("incomplete", 0) == (0 if is_left_out else len(ABSURD) + 1)
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    text = "".join(each.read_text() for each in files)
    assert not any(f"{sign}{word}" in text for sign in ' ,:[;>-"' for word in ("nan", "inf"))
    if name == "coco":
        (first, _) = json.loads(text)["annotations"]
        assert (first["bbox"], first["keypoints"]) == ([20, 10, 60, 40], [30, 20, 2])


@pytest.mark.parametrize("placing", ["link", "copy"])
def test_images_beside_labels(tmp_path: Path, placing: formats.Placing) -> None:
    """Files come by id or name or a function; two that one label file would have are told apart."""
    for name in ("one.png", "two.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    files = {
        "id-1": tmp_path / "one.png",
        "sub/a.jpg": tmp_path / "two.jpg",
        "gone.png": tmp_path / "gone.png",
        "folder.png": tmp_path,
    }
    given = [
        image("sub/a.png", car(BOX), media_id="id-1"),
        image("sub/a.jpg", car(BOX)),
        image("images/plain", media_id="id-1"),
        image("up/../b.png", media_id="id-1"),
        image("none.png"),
        image("gone.png"),
        image("folder.png"),
    ]
    lost = formats.write(given, tmp_path / "yolo", "yolo", images_from=files, placing=placing)
    assert counts(lost) == {"renamed": 3, "no_file": 3}
    images, labels = (tmp_path / "yolo" / each / "train" for each in ("images", "labels"))
    found = {str(e.relative_to(images)): e.read_text() for e in images.rglob("*") if e.is_file()}
    assert found == {
        "sub/a.png": "one.png",
        "sub/a (2).jpg": "two.jpg",
        "images_/plain.png": "one.png",  # trainers replace the last `images` of a path
        "up/b.png": "one.png",
    }
    assert sorted(str(each.relative_to(labels)) for each in labels.rglob("*.txt")) == [
        "folder.txt",
        "gone.txt",
        "images_/plain.txt",
        "none.txt",
        "sub/a (2).txt",
        "sub/a.txt",
        "up/b.txt",
    ]
    same = (images / "sub/a.png").samefile(tmp_path / "one.png")
    assert same == (placing == "link")


@pytest.mark.parametrize(
    ("name", "folder", "second"),
    [
        ("kitti", "training/image_2", "a (3).jpg"),
        ("voc", "JPEGImages", "a (3).jpg"),
        ("cvat", "images", "a.jpg"),
        ("imagefolder", "train", "a.jpg"),
        ("coco", "images", "a.jpg"),
    ],
)
def test_names_change_only_where_they_must(
    tmp_path: Path, name: WrittenFormat, folder: str, second: str
) -> None:
    """A folder `images` is fine but for YOLO, and one stem but for a label file for each image.

    No number makes a name that of another image.
    """
    (tmp_path / "a.png").write_bytes(b"")
    given = [image(f"images/{each}", car(BOX)) for each in ("a.png", "a.jpg", "a (2).jpg")]
    lost = formats.write(given, tmp_path / "out", name, images_from=lambda _: tmp_path / "a.png")
    assert counts(lost) == ({} if second == "a.jpg" else {"renamed": 1})
    found = (tmp_path / "out" / folder / "images").iterdir()
    assert {each.name for each in found} == {"a.png", second, "a (2).jpg"}
    if name == "coco":
        document = json.loads((tmp_path / "out/annotations/instances.json").read_text())
        names = [each["file_name"] for each in document["images"]]
        assert names == ["images/a.png", "images/a.jpg", "images/a (2).jpg"]


def test_folders_of_images_come_back(tmp_path: Path) -> None:
    """In YOLO they are written with another name, and read with their own."""
    names = ["images/a.png", "images/images/b.png", "sub/images_/c.png", "of_images_/d.png"]
    Image.new("1", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    given = [image(name, car(BOX)) for name in names]
    formats.write(given, tmp_path / "out", "yolo", images_from=lambda _: tmp_path / "a.png")
    written = {path.parent.name for path in (tmp_path / "out" / "labels").rglob("*.txt")}
    assert written == {"images_", "images__", "of_images_"}
    read = formats.read(tmp_path / "out").images
    assert sorted(each.media_name for each in read) == sorted(names)


def test_images_of_the_folder_that_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset can be written anew over itself: no link leads into what is deleted."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)  # as where files are another user's
    (tmp_path / "a.png").write_bytes(b"pixels")
    out, files = tmp_path / "out", {"a.png": tmp_path / "a.png"}
    formats.write(IMAGES[:1], out, "yolo", images_from=files)
    placed = out / "images" / "train" / "a.png"
    assert placed.is_symlink()
    placed.unlink()
    placed.write_bytes(b"pixels")
    formats.write(IMAGES[:1], out, "yolo", images_from={"a.png": placed}, overwrite=True)
    assert placed.read_bytes() == b"pixels"


def test_sizes_of_files(tmp_path: Path) -> None:
    """A size that is not known is read; one that differs, and an image that EXIF turns, is told."""
    photo = Image.new("L", (WIDTH, HEIGHT))
    photo.save(tmp_path / "plain.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=turned)
    given = [
        image("plain.png", car(BOX), width=None, height=None),
        image("turned.jpg", car(BOX)),
        image("other.png", car(BOX), width=400),
        image("wide.png", car(BOX), width=None),
        image("high.png", car(BOX), height=None),
    ]
    files = dict.fromkeys((each.media_name for each in given), tmp_path / "plain.png")
    files["turned.jpg"] = tmp_path / "turned.jpg"
    lost = formats.write(given, tmp_path / "yolo", "yolo", images_from=files)
    assert counts(lost) == {"exif": 1, "resized": 1}
    for stem in ("plain", "wide", "high"):
        text = (tmp_path / "yolo" / "labels" / "train" / f"{stem}.txt").read_text()
        assert text == "0 0.25 0.3 0.3 0.4\n"


def test_sizes_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that is known needs none; another one names the extra by which it can be read."""
    source = tmp_path / "a.png"
    Image.new("L", (WIDTH, HEIGHT)).save(source)
    monkeypatch.setitem(sys.modules, "PIL.PngImagePlugin", None)
    formats.write(IMAGES[:1], tmp_path / "yolo", "yolo", images_from={"a.png": source})
    assert (tmp_path / "yolo/labels/train/a.txt").read_text().startswith("0 0.25 0.3 0.3 0.4\n")
    for known in ({"width": None}, {"height": None}):
        given = [image("a.png", car(BOX), **known)]
        with pytest.raises(FormatError, match=r"install .*\[formats\]"):
            formats.write(given, tmp_path / "out", "yolo", images_from={"a.png": source})


@pytest.mark.parametrize("name", ["yolo", "voc", "kitti", "cvat", "imagefolder", "coco"])
def test_parts_of_a_dataset(tmp_path: Path, name: WrittenFormat) -> None:
    """Each image is in one part, with its file and its labels; an empty part is told."""
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(b"")
    given = [image(f"{number}.png", car(BOX)) for number in range(40)]

    def find(one: LabeledImage) -> Path:
        return tmp_path / one.media_name

    shares = {"train": 0.5, "val": 0.5, "test": 0}
    lost = formats.write(given, tmp_path / "out", name, images_from=find, split=shares)
    assert counts(lost) == {"empty_part": 1}
    root = tmp_path / "out"
    sets: dict[str, set[str]] = {}
    for part in ("train", "val"):
        match name:
            case "voc" | "kitti":
                file = root / "ImageSets" / ("Main" if name == "voc" else "") / f"{part}.txt"
                sets[part] = set(file.read_text().split())
            case "cvat":
                found = ElementTree.parse(root / "annotations.xml").getroot().iter("image")
                sets[part] = {str(e.get("name"))[:-4] for e in found if e.get("subset") == part}
            case _:
                folder = root / part if name == "imagefolder" else root / "images" / part
                sets[part] = {each.stem for each in folder.glob("*.png")}
        assert 5 < len(sets[part]) < 35
    assert not sets["train"] & sets["val"]
    assert len(sets["train"] | sets["val"]) == 40
    if name == "coco":
        instances = json.loads((root / "annotations" / "instances_val.json").read_text())
        assert {each["file_name"][:-4] for each in instances["images"]} == sets["val"]
    if name == "yolo":
        assert {each.stem for each in (root / "labels/val").iterdir()} == sets["val"]


def test_parts_are_those_of_media(tmp_path: Path) -> None:
    """The id of a media decides, or its name if it has none; COCO has parts without images, too."""
    caption = [Classification.freetext("caption", "A car.")]
    given = [
        image(f"{at}.png", media_id=f"id {at}" if at % 2 else "", classifications=caption)
        for at in range(20)
    ]
    shares = {"train": 0.5, "val": 0.5}
    assert not formats.write(given, tmp_path / "out", "coco", split=shares)
    for part in shares:
        expected = [
            each.media_name
            for each in given
            if formats.split_of(each.media_id or each.media_name, shares) == part
        ]
        for file, texts in (("instances", 0), ("captions", len(expected))):
            path = tmp_path / "out" / "annotations" / f"{file}_{part}.json"
            document = json.loads(path.read_text())
            assert [each["file_name"] for each in document["images"]] == expected
            assert len(document["annotations"]) == texts


@pytest.mark.parametrize("name", ["yolo", "voc", "kitti", "cvat"])
def test_others_read_what_is_written(tmp_path: Path, name: WrittenFormat) -> None:
    """labelformat, which knows the formats from elsewhere, reads classes and boxes as they are."""
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    given, root = [image("a.png", car(BOX))], tmp_path / "out"
    formats.write(given, root, name, images_from={"a.png": tmp_path / "a.png"}, zero_based=True)
    readers: dict[str, Any] = {
        "yolo": lambda: YOLOv8ObjectDetectionInput(root / "data.yaml", "train"),
        "voc": lambda: PascalVOCObjectDetectionInput(root / "Annotations", "car"),
        "kitti": lambda: KittiObjectDetectionInput(root / "training/label_2", "car", "../image_2"),
        "cvat": lambda: CVATObjectDetectionInput(root / "annotations.xml"),
    }
    (found,) = readers[name]().get_labels()
    (one,) = found.objects
    assert (found.image.filename, one.category.name) == ("a.png", "car")
    edges = (one.box.xmin, one.box.ymin, one.box.xmax, one.box.ymax)
    assert edges == pytest.approx(tuple(BOX.bounds))


def test_growth_moves_no_image() -> None:
    """The part is that of the key alone; shares are kept, and scenes are not torn apart."""
    shares = formats.shares_of("train=8, val=1,test=1")
    assert shares == {"train": 0.8, "val": 0.1, "test": 0.1}
    parts = [formats.split_of(f"media {number}", shares) for number in range(2000)]
    assert parts[:1000] == [formats.split_of(f"media {number}", shares) for number in range(1000)]
    assert 0.77 < parts.count("train") / 2000 < 0.83
    assert {formats.split_of(str(each), {"train": 0, "val": 1}) for each in range(99)} == {"val"}
    assert parts == [
        formats.split_of(f"media {n}", {"train": 8, "val": 1, "test": 1}) for n in range(2000)
    ]
    for wrong in ({}, {"train": 0}, {"train": math.nan}, {"train": 1, "dev": 1}):
        with pytest.raises(FormatError, match="split"):
            formats.split_of("media 1", wrong)


@pytest.mark.parametrize("group", ["folder", r"scene(\d+)", r"^[^/]+"])
def test_scenes_stay_together(tmp_path: Path, group: str) -> None:
    """Images of one folder, or with one part of their names, are in one part."""
    names = [f"scene{scene}/{frame}.png" for scene in range(20) for frame in range(3)]
    shares = "train=0.5,val=0.5"
    given = [image(name) for name in names]
    formats.write(given, tmp_path / "out", "yolo", split=shares, group=group)
    for part in ("train", "val"):
        scenes = [e.parent.name for e in (tmp_path / "out/labels" / part).rglob("*.txt")]
        assert scenes
        assert all(scenes.count(scene) == 3 for scene in scenes)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"split": "train=0.8,dev=0.2"}, "'dev'"),
        ({"split": "val=1"}, "'train'"),
        ({"split": "train=x"}, "'train=x'"),
        ({"split": {"train": -1}}, "above 0"),
        ({"split": "train=1", "group": "("}, "regular expression"),
        ({"group": "folder"}, "no effect without parts"),
        ({"format": "tfrecord"}, "use one of coco"),
        ({"classes": ["a", "a"]}, "twice"),
        ({"images_from": ["a.png"]}, r"images_from is \['a\.png'\]; it must be .* Mapping"),
    ],
)
def test_wrong_arguments(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    """Each is said with what would be right, and nothing is written."""
    more = {"format": "yolo", **wrong}
    with pytest.raises(ConfigurationError, match=said):
        formats.write(IMAGES, tmp_path / "out", **more)
    assert not list(tmp_path.iterdir())


def test_nested_answers_are_counted(tmp_path: Path) -> None:
    """Those below the class, too, which itself is not lost."""
    size = Classification.freetext("size", "XL", Classification.select("unit", "m"))
    given = Annotation("vehicle", BOX, [Classification.select("subcategory", "car", size)])
    weather = Classification.select("weather", None, Classification.select("rain", "some"))
    one = image("a.png", given, classifications=[weather])
    (lost,) = formats.write([one], tmp_path / "voc", "voc").items
    places = ("vehicle.subcategory.size", "vehicle.subcategory.size.unit", "weather.rain")
    assert lost.examples == tuple(f"a.png: {each}" for each in places)


def test_what_boxes_cannot_hold(tmp_path: Path) -> None:
    """Everything that is left out or reduced is counted under its name."""
    task = LabeledTask(
        media_name="a.jpg",
        state=TaskState.COMPLETED,
        width=WIDTH,
        height=HEIGHT,
        annotations=[
            Annotation("spot", Point(1, 1)),
            Annotation("lane", Line([(1, 1), (2, 2)])),
            Annotation("gap", Incomplete(None, [])),
            Annotation("stub", Polygon([(1, 1)])),
            Annotation("roof", OUTLINE, [Classification.freetext("note", "red")]),
            Annotation(
                "house", BOX, nested=[Annotation("door", BOX), Annotation("bell", Point(30, 20))]
            ),
        ],
        classifications=[Classification.select("weather", "rain")],
        segmentations=("http://x/1",),
    )
    video = LabeledTask(media_name="v.mp4", state=TaskState.COMPLETED, task_export_url="http://x/")
    outlined = attrs.evolve(
        task, media_name="b.jpg", annotations=[Annotation("roof", Segmentation([OUTLINE.points]))]
    )
    unknown = [
        image(f"{width} {height}.jpg", car(BOX), width=width, height=height)
        for width, height in ((None, None), (WIDTH, None), (None, HEIGHT))
    ]
    given = [task, outlined, video, *unknown, image("A.png")]
    lost = formats.write(given, tmp_path / "yolo", "yolo")
    assert counts(lost) == {
        "video": 1,
        "no_size": 3,
        "same_file": 1,
        "bitmap": 1,
        "point": 2,
        "line": 1,
        "incomplete": 2,
        "outline": 2,
        "classification": 3,
        "nesting": 1,
    }
    names = {each.name for each in (tmp_path / "yolo/labels/train").iterdir()}
    assert names == {"a.txt", "b.txt"}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../evil.jpg", "evil.xml"),
        ("/etc/evil.jpg", "etc/evil.xml"),
        ("a/b.jpg", "a/b.xml"),
        ("..", "_.xml"),
        ("c:\\d.jpg", "c_/d.xml"),
    ],
)
def test_names_are_no_paths(tmp_path: Path, name: str, file: str) -> None:
    """Whatever a media is called, its label file lies in the folder."""
    formats.write([image(name, car(BOX))], tmp_path / "in" / "voc", "voc")
    (found,) = tmp_path.rglob("*.xml")
    assert found == tmp_path / "in" / "voc" / "Annotations" / file


def test_what_comes_into_the_folder_meanwhile_stays(tmp_path: Path) -> None:
    """Such as the export of another run, or a file that somebody saves there."""
    out = tmp_path / "out"

    def find(_: LabeledImage) -> None:
        out.mkdir(exist_ok=True)
        (out / "theirs.txt").write_text("theirs")

    with pytest.raises(FormatError, match="is not empty"):
        formats.write(IMAGES, out, "yolo", images_from=find)
    assert [each.name for each in out.iterdir()] == ["theirs.txt"]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    """What is in a folder is not touched unless asked for, nor when writing fails."""
    (tmp_path / "voc").mkdir()
    formats.write(IMAGES[1:], tmp_path / "voc", "voc")  # an empty one is filled
    (tmp_path / "voc" / "Annotations" / "b.xml").rename(tmp_path / "voc" / "mine.txt")
    (tmp_path / "voc" / "Annotations").rmdir()
    (tmp_path / "voc" / "mine.txt").write_text("mine")
    asked: list[LabeledImage] = []
    with pytest.raises(FormatError, match="not empty"):
        formats.write(IMAGES, tmp_path / "voc", "voc", images_from=asked.append)
    assert not asked  # nothing was read for it
    (tmp_path / "a.png").write_bytes(b"")

    def fail(one: LabeledImage) -> Path:
        if one.media_name == "b.png":
            (tmp_path / "a.png").unlink()  # in the middle, as another process may
        return tmp_path / "a.png"

    with pytest.raises(OSError, match="voc"):
        formats.write(IMAGES, tmp_path / "voc", "voc", overwrite=True, images_from=fail)
    assert [each.name for each in (tmp_path / "voc").iterdir()] == ["mine.txt"]
    formats.write(IMAGES, tmp_path / "voc", "voc", overwrite=True)
    assert [each.name for each in (tmp_path / "voc").iterdir()] == ["Annotations"]
    assert [each.name for each in tmp_path.iterdir()] == ["voc"]
    with pytest.raises(FormatError, match="is a file"):
        formats.write(IMAGES, tmp_path / "voc" / "Annotations" / "a.xml", "voc")


ODD = "\x00\x0b\x1b\x85\u2028\ud800\ufffe"
"""One of each kind of character that some format cannot hold."""


@pytest.mark.parametrize("name", [each for each in WRITTEN if each not in ("coco", "yolo-pose")])
def test_no_character_breaks_a_format(tmp_path: Path, name: WrittenFormat) -> None:
    """What XML or a line of text cannot hold is written as _, in each format, and reported."""
    odd = f"a{ODD}b"
    given = [
        image(f"{odd}.png", car(BOX, odd), car(BOX, "a_______b")),
        image("plain.png", car(BOX, "plain")),
    ]
    lost = formats.write(given, tmp_path / "out", name, classes=["\x07", "_"])
    has_list = name not in ("voc", "kitti", "imagefolder")  # also of unused classes
    assert lost.count(LossKind.CHARACTERS) == 2 + has_list  # one or two classes and an image
    assert lost.count(LossKind.COLLISION) == 1 + has_list  # these have a twin and get a number
    assert "a_______b_2" in str(lost)
    written = "".join(path.read_text("utf-8") for path in tmp_path.rglob("*.*") if path.is_file())
    assert not set(written) & set(ODD)
    for path in tmp_path.rglob("*.xml"):
        ElementTree.parse(path)


LONG = ["x" * 254, "é" * 127, "y" * 251 + ".jpg", "z" * 253 + ".j", "w" * 255]


@pytest.mark.parametrize("name", FILE_AN_IMAGE)
def test_a_long_name_ends_no_export(tmp_path: Path, name: WrittenFormat) -> None:
    """A label file's suffix fits behind any name; that the name was cut for it is reported."""
    given = [image(each, car(BOX)) for each in LONG]
    lost = formats.write(given, tmp_path / "out", name)
    suffix = ".xml" if name == "voc" else ".txt"
    names = [path.name for path in tmp_path.rglob(f"*{suffix}")]
    assert len({*names}) == len(LONG)
    cut = [each for each in LONG if len(f"{Path(each).stem}{suffix}".encode()) > 255]
    assert lost.count(LossKind.LONG_NAME) == len(cut) > 1


@pytest.mark.parametrize("name", WRITTEN)
def test_a_long_name_without_a_suffix_gets_that_of_its_image(
    tmp_path: Path, name: WrittenFormat
) -> None:
    """It is cut for the suffix, which ends no export; two that are then equal are numbered."""
    Image.new("RGB", (200, 100)).save(tmp_path / "a.jpeg")
    body = Annotation("body", BOX, (), [Annotation("nose", Point(30, 20))])
    given = [image("x" * 250 + end, body) for end in ("yyy", "yzz")]
    lost = formats.write(given, tmp_path / "out", name, images_from=lambda _: tmp_path / "a.jpeg")
    names = sorted(path.name for path in (tmp_path / "out").rglob("*.jpeg"))
    assert names == ["x" * 246 + " (2).jpeg", "x" * 250 + ".jpeg"]
    assert lost.count(LossKind.RENAMED) == 2


def test_an_image_named_like_a_file_of_the_format(tmp_path: Path) -> None:
    """The file that a format has for itself is not overwritten by that of an image."""
    given = [image("metadata.jsonl", car(BOX)), image("a.png", car(BOX))]
    lost = formats.write(given, tmp_path / "out", "imagefolder")
    assert lost.count(LossKind.SAME_FILE) == 1
    assert "bbox" in (tmp_path / "out" / "train" / "metadata.jsonl").read_text()


def test_each_small_loss_is_counted(tmp_path: Path) -> None:
    """Of flat boxes, joints that occur twice or have no side, and what is nested outside."""
    flat = [image("a.png", car(Rectangle(20, 10, 60, 0)))]
    assert counts(formats.write(flat, tmp_path / "voc", "voc")) == {"flat": 1}

    config = LabelConfig()
    body = config.add_rectangle("body", "Body")
    body.add_point("nose", "Nose")
    body.add_point("tail", "Tail")
    joints = [Annotation("nose", Point(30, 20)), Annotation("nose", Point(31, 20))]
    twice = [image("a.png", Annotation("body", BOX, (), joints))]
    lost = formats.write(twice, tmp_path / "a.json", "coco", config=config)
    assert counts(lost) == {"point": 1}
    (written,) = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert (written["keypoints"][:3], written["num_keypoints"]) == ([30, 20, 2], 1)
    lost = formats.write(twice, tmp_path / "pose", "yolo-pose", config=config)
    assert counts(lost) == {"flip": 1, "point": 1}
    assert "flip_idx" not in (tmp_path / "pose" / "data.yaml").read_text()

    outside = Rectangle(300, 0, 5, 5)
    nested = [image("a.png", Annotation("body", outside, (), joints[:1]))]
    lost = formats.write(nested, tmp_path / "cut.json", "coco", config=config, clip=True)
    assert counts(lost) == {"empty": 2}
