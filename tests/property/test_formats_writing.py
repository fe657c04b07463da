"""Label values, each format, label values: what does not come back was counted."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datagym_async import formats
from datagym_async.formats import coco
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
)

WIDTH, HEIGHT = 320, 90
WITHIN = 0.001
"""Pixels by which coordinates that come back may differ."""


class Held(NamedTuple):
    """What of the shapes here a format holds."""

    outlines: bool = False
    joints: bool = False
    lines: bool = False


FORMATS = {
    "yolo": Held(),
    "yolo-seg": Held(outlines=True),
    "yolo-pose": Held(joints=True),
    "voc": Held(),
    "kitti": Held(),
    "cvat": Held(outlines=True, lines=True),
    "coco": Held(outlines=True, joints=True),
}


def config() -> LabelConfig:
    """Boxes with keypoints, outlines of two classes, and lines."""
    made = LabelConfig()
    person = made.add_rectangle("person", "Person")
    for name in ("nose", "left_eye", "right_eye"):
        person.add_point(name, name)
    vehicle = made.add_polygon("vehicle", "Vehicle")
    vehicle.add_select("subcategory", "Kind", {"car": "Car", "other": "other"})
    animal = made.add_rectangle("animal", "Animal")
    animal.add_select("subcategory", "Kind", {"other": "other", "cat": "Cat"})
    made.add_line("lane", "Lane")
    return made


xs = st.integers(0, WIDTH * 16).map(lambda each: each / 16)
ys = st.integers(0, HEIGHT * 16).map(lambda each: each / 16)
points = st.builds(Point, xs, ys)


@st.composite
def boxes(draw: st.DrawFn) -> Rectangle:
    """Boxes of two pixels at least."""
    x, y = draw(st.integers(0, WIDTH - 3)), draw(st.integers(0, HEIGHT - 3))
    across, down = draw(st.floats(2, WIDTH - x)), draw(st.floats(2, HEIGHT - y))
    return Rectangle(x, y, across, down)


@st.composite
def outlines(draw: st.DrawFn) -> Polygon:
    """Triangles of some area, their corners anywhere."""
    a, b, c = (draw(points) for _ in range(3))
    found = Polygon([a, b, c])
    return found if found.area > 1 else Polygon([(0, 0), (WIDTH, 0), (0, HEIGHT)])


def answered(key: str, kind: str, shape: Any) -> Annotation:
    """An annotation of a class."""
    return Annotation(key, shape, [Classification.select("subcategory", kind)])


def person(shape: Rectangle, drawn: dict[str, Point]) -> Annotation:
    """A person with some keypoints."""
    return Annotation("person", shape, nested=[Annotation(*each) for each in drawn.items()])


labels: st.SearchStrategy[Annotation] = st.one_of(
    st.builds(
        person, boxes(), st.dictionaries(st.sampled_from(["nose", "left_eye", "right_eye"]), points)
    ),
    st.builds(answered, st.just("vehicle"), st.sampled_from(["car", "other"]), outlines()),
    st.builds(answered, st.just("animal"), st.sampled_from(["cat", "other"]), boxes()),
    st.builds(Annotation, st.just("lane"), st.builds(Line, st.tuples(points, points))),
)


def labelled(number: int, found: list[Annotation]) -> LabeledImage:
    """An image of the one size."""
    return LabeledImage(
        media_id=f"id-{number}",
        media_name=f"scene/{number}.png",
        annotations=found,
        width=WIDTH,
        height=HEIGHT,
    )


@st.composite
def datasets(draw: st.DrawFn) -> list[LabeledImage]:
    """A few images of the one size."""
    every = draw(st.lists(st.lists(labels, max_size=5), min_size=1, max_size=3))
    return [labelled(number, found) for number, found in enumerate(every)]


@cache
def photograph() -> Path:
    """An image that all examples have, made once."""
    path = Path(tempfile.mkdtemp()) / "a.png"
    Image.new("1", (WIDTH, HEIGHT)).save(path)
    return path


@pytest.mark.parametrize("name", FORMATS)
@given(images=datasets())
@settings(max_examples=15)
def test_what_does_not_come_back_was_counted(name: Any, images: list[LabeledImage]) -> None:
    """Each image, object and keypoint is there again, of its class and at its place, or counted."""
    held = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.json" if name == "coco" else "out")
        files = None if name == "coco" else {each.media_id: photograph() for each in images}
        lost = formats.write(images, path, name, config=config(), images_from=files)
        read = formats.read(path, name, config=config())
        # Without labels, or where all outlines have four corners, kinds of YOLO look alike.
        assert formats.sniff(path)[:4] == name[:4]
    assert [each.media_name for each in read.images] == [each.media_name for each in images]
    counted = {each.kind.value: each.count for each in lost.items}
    expected = dict.fromkeys(("line", "point", "outline", "nesting"), 0)
    for before, after in zip(images, read.images, strict=True):
        drawn = [each for each in before.annotations if held.lines or each.key != "lane"]
        expected["line"] += len(before.annotations) - len(drawn)
        back = [each for each in after.annotations if not isinstance(each.shape, Point)]
        assert len(back) == len(drawn)
        for given_, found in zip(drawn, back, strict=True):
            if not held.joints:
                expected["nesting" if held.lines else "point"] += len(given_.nested)
            assert (found.key, found.classifications) == (given_.key, given_.classifications)
            shapes = (given_.shape, found.shape)
            if isinstance(given_.shape, Polygon | Line) and (held.outlines or held.lines):
                assert isinstance(found.shape, Polygon | Line)
                corners = zip(given_.shape.points, found.shape.points, strict=True)
                assert all(near(*each) for each in corners)
            else:
                expected["outline"] += isinstance(given_.shape, Polygon)
                edges = [each.bounds for each in shapes]  # type: ignore[union-attr]
                assert edges[1] == pytest.approx(edges[0], abs=WITHIN)
            if held.joints:
                joints = [
                    {each.key: each.shape for each in one.nested if isinstance(each.shape, Point)}
                    for one in (given_, found)
                ]
                assert joints[0].keys() == joints[1].keys()
                assert all(near(joints[0][key], joints[1][key]) for key in joints[0])
    assert {kind: counted.get(kind, 0) for kind in expected} == expected


def near(one: Point, other: Point) -> bool:
    """Whether two points are one."""
    return abs(one.x - other.x) < WITHIN and abs(one.y - other.y) < WITHIN


@given(images=datasets(), more=datasets())
@settings(max_examples=30)
def test_more_labels_change_no_number(images: list[LabeledImage], more: list[LabeledImage]) -> None:
    """After more tasks are finished, what was there has the numbers and the order that it had."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, every in enumerate((images, [*images, *more])):
            path = Path(folder, str(number))
            formats.write(every, path / "yolo", "yolo-pose", config=config())
            said = yaml.safe_load((path / "yolo" / "data.yaml").read_text())
            document = coco.to_document(every, config=config()).instances
            found.append((said["names"], said["kpt_names"], document["categories"]))
    assert found[0] == found[1]
    assert list(found[0][0].values()) == ["Person", "Car", "Vehicle other", "Animal other", "Cat"]


def test_trainers_take_what_is_written(tmp_path: Path) -> None:
    """The rules of Ultralytics (`verify_image_label`) hold for each of its kinds of dataset."""
    given_ = [
        labelled(
            number,
            [
                person(Rectangle(0, 0, WIDTH, HEIGHT), {"nose": Point(WIDTH, HEIGHT)}),
                answered("vehicle", "car", Polygon([(-9, -9), (400, 0), (0, 400)])),
                answered("animal", "cat", Rectangle(300, 80, 100, 100)),
            ],
        )
        for number in range(20)
    ]
    files = {each.media_id: photograph() for each in given_}
    behind = {"yolo": 4, "yolo-seg": None, "yolo-pose": 4 + 3 * 3, "yolo-obb": 8}
    for name, columns in behind.items():
        root = tmp_path / name
        formats.write(
            given_,
            root,
            name,  # type: ignore[arg-type]
            config=config(),
            images_from=files,
            clip=True,
            split="train=0.5,val=0.5",
        )
        said = yaml.safe_load((root / "data.yaml").read_text())
        assert said["path"] == ""  # else it is looked for elsewhere once the folder has moved
        assert list(said["names"]) == list(range(len(said["names"])))
        for part in ("train", "val"):
            found = sorted((root / said[part]).rglob("*.png"))
            assert found
            for image in found:
                before, after = str(image).rsplit("/images/", 1)
                label = Path(before, "labels", after).with_suffix(".txt")
                lines = [line.split() for line in label.read_text().splitlines()]
                assert len({tuple(line) for line in lines}) == len(lines) == 3
                for number, *shares in lines:
                    assert int(number) < len(said["names"])
                    assert columns is None or len(shares) == columns
                    assert columns is not None or (len(shares) >= 6 and len(shares) % 2 == 0)
                    places = [float(each) for each in shares]
                    if name == "yolo-pose":
                        del places[6::3]  # marks of visibility
                    assert all(0 <= each <= 1 for each in places)
