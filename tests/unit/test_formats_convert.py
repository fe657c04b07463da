"""YOLO, Pascal VOC and the others: what becomes what, and what is lost."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from datagym_async.formats import FormatError, LossKind, convert
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
from datagym_async.models import TaskState

WIDTH, HEIGHT = 200, 100


def image(name: str, *annotations: Annotation) -> LabeledImage:
    """An image of known size."""
    return LabeledImage(media_name=name, annotations=annotations, width=WIDTH, height=HEIGHT)


def car(shape: Any, kind: str = "car") -> Annotation:
    """A vehicle, labelled as COCO files are by default."""
    return Annotation("vehicle", shape, [Classification.select("subcategory", kind)])


BOX = Rectangle(20, 10, 60, 40)
OUTLINE = Polygon([(20, 10), (80, 10), (80, 50)])
IMAGES = [
    image("a.png", car(BOX), Annotation("cat", Rectangle(0, 0, 10, 10))),
    image("b.png"),
]


def test_yolo(tmp_path: Path) -> None:
    """Boxes come back from YOLO, also images without labels; classes are numbered by name."""
    assert not convert.write(IMAGES, tmp_path / "yolo", "yolo")
    labels = tmp_path / "yolo" / "labels"
    assert sorted(each.name for each in labels.iterdir()) == ["a.txt", "b.txt"]
    assert (labels / "a.txt").read_text().split("\n")[:1] == ["0 0.25 0.3 0.3 0.4"]
    (labels / "b.txt").unlink()  # as YOLO's users leave out what shows nothing
    _photographs(tmp_path / "yolo" / "images")
    read = convert.read(tmp_path / "yolo" / "data.yaml", "yolo")
    assert [each.media_name for each in read.images] == ["a.png", "b.png"]
    assert [each.key for each in read.images[0].annotations] == ["car", "cat"]
    _nearly(read.images[0].annotations[0].shape, BOX)
    assert read.images[1].annotations == ()
    assert read.images[1].width == WIDTH


def test_broken_lines(tmp_path: Path) -> None:
    """What labelformat leaves out with a word in the log is counted, and said."""
    convert.write(IMAGES, tmp_path / "yolo", "yolo")
    _photographs(tmp_path / "yolo" / "images")
    with (tmp_path / "yolo" / "labels" / "a.txt").open("a") as file:
        file.write("0 0.5\n7 0.1 0.1 0.1 0.1\n")
    read = convert.read(tmp_path / "yolo" / "data.yaml", "yolo")
    assert len(read.images[0].annotations) == 2
    assert read.losses.count(LossKind.BROKEN) == 2
    assert "a.txt" in str(read.losses)


def test_yolo_segmentation(tmp_path: Path) -> None:
    """Outlines come back from YOLO; boxes are their corners, and holes are lost."""
    holed = Segmentation([OUTLINE.points, [(60, 20), (70, 20), (70, 25)]])
    given = [image("a.png", car(OUTLINE), car(BOX), car(holed)), image("b.png")]
    lost = convert.write(given, tmp_path / "yolo", "yolo-seg")
    assert [(each.kind, each.count) for each in lost.items] == [(LossKind.HOLES, 1)]
    (tmp_path / "yolo" / "labels" / "b.txt").unlink()
    with (tmp_path / "yolo" / "labels" / "a.txt").open("a") as file:
        file.write("0 0.5 0.5 0.6 0.6\n")
    _photographs(tmp_path / "yolo" / "images")
    read = convert.read(tmp_path / "yolo" / "data.yaml", "yolo-seg")
    assert [(each.kind, each.count) for each in read.losses.items] == [(LossKind.BROKEN, 1)]
    first, second = read.images
    outline, box, filled = (each.shape for each in first.annotations)
    assert isinstance(outline, Polygon)
    assert len(outline.points) == len(OUTLINE.points)  # YOLO repeats the first one
    assert outline.bounds == pytest.approx(OUTLINE.bounds)
    assert isinstance(box, Polygon)
    assert box.area == pytest.approx(BOX.area)
    assert isinstance(filled, Polygon)
    assert filled.area == pytest.approx(OUTLINE.area)
    assert second.annotations == ()


def test_voc(tmp_path: Path) -> None:
    """Boxes come back from Pascal VOC, exactly, also images without labels."""
    assert not convert.write(IMAGES, tmp_path / "voc", "voc")
    read = convert.read(tmp_path / "voc", "voc", classes=["car", "cat"])
    assert [each.media_name for each in read.images] == ["a.png", "b.png"]
    assert [each.shape for each in read.images[0].annotations] == [BOX, Rectangle(0, 0, 10, 10)]
    assert not list(tmp_path.glob(".*"))


def test_others(tmp_path: Path) -> None:
    """CVAT, KITTI and Lightly are written and read, too."""
    _photographs(tmp_path / "images")
    for name, path in (
        ("cvat", "cvat/annotations.xml"),
        ("kitti", "kitti"),
        ("lightly", "lightly"),
    ):
        assert not convert.write(IMAGES, tmp_path / name, name)  # type: ignore[arg-type]
        read = convert.read(tmp_path / path, name, classes=["car", "cat"])  # type: ignore[arg-type]
        assert [each.shape for each in read.images[0].annotations] == [BOX, Rectangle(0, 0, 10, 10)]
        assert [each.media_name for each in read.images] == ["a.png", "b.png"]


def test_kitti_without_a_label_file(tmp_path: Path) -> None:
    """An image that shows nothing needs no label file, and is kept."""
    _photographs(tmp_path / "images")
    convert.write(IMAGES, tmp_path / "kitti", "kitti")
    (tmp_path / "kitti" / "b.txt").unlink()
    read = convert.read(tmp_path / "kitti", "kitti", classes=["car", "cat"])
    assert [len(each.annotations) for each in read.images] == [2, 0]


def test_nested_answers_are_counted(tmp_path: Path) -> None:
    """Those below the class, too, which itself is not lost."""
    size = Classification.freetext("size", "XL", Classification.select("unit", "m"))
    given = Annotation("vehicle", BOX, [Classification.select("subcategory", "car", size)])
    weather = Classification.select("weather", None, Classification.select("rain", "some"))
    image = LabeledImage(
        media_name="a.png", annotations=[given], classifications=[weather], width=9, height=9
    )
    (lost,) = convert.write([image], tmp_path / "voc", "voc").items
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
            Annotation("house", BOX, nested=[Annotation("door", BOX)]),
        ],
        classifications=[Classification.select("weather", "rain")],
    )
    video = LabeledTask(media_name="v.mp4", state=TaskState.COMPLETED, task_export_url="http://x/")
    unknown = LabeledImage(media_name="u.jpg", annotations=[car(BOX)])
    lost = convert.write([task, video, unknown, image("A.png")], tmp_path / "voc", "voc")
    assert {each.kind.value: each.count for each in lost.items} == {
        "video": 1,
        "no_size": 1,
        "same_file": 1,
        "point": 1,
        "line": 1,
        "incomplete": 2,
        "outline": 1,
        "classification": 2,
        "nesting": 1,
    }
    assert [each.name for each in (tmp_path / "voc").iterdir()] == ["a.xml"]


@pytest.mark.parametrize("name", ["../../evil.jpg", "/etc/evil.jpg", "a/b.jpg", "..", "c:\\d.jpg"])
def test_names_are_no_paths(tmp_path: Path, name: str) -> None:
    """Whatever a media is called, its label file lies in the folder."""
    convert.write([image(name, car(BOX))], tmp_path / "in" / "voc", "voc")
    assert [each.parent for each in tmp_path.rglob("*.xml")] == [tmp_path / "in" / "voc"]


def test_classes_keep_their_numbers(tmp_path: Path) -> None:
    """Classes given are numbered first, so that numbers stay when classes come in."""
    convert.write(IMAGES, tmp_path / "yolo", "yolo", classes=["dog", "cat"])
    lines = (tmp_path / "yolo" / "labels" / "a.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1"]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    """What is in a folder is not touched unless asked for, nor when writing fails."""
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "mine.txt").write_text("mine")
    with pytest.raises(FormatError, match="not empty"):
        convert.write(IMAGES, tmp_path / "voc", "voc")
    with pytest.raises(RuntimeError):
        convert.write(_failing(), tmp_path / "voc", "voc", overwrite=True)
    assert [each.name for each in (tmp_path / "voc").iterdir()] == ["mine.txt"]
    convert.write(IMAGES, tmp_path / "voc", "voc", overwrite=True)
    assert sorted(each.name for each in (tmp_path / "voc").iterdir()) == ["a.xml", "b.xml"]
    assert [each.name for each in tmp_path.iterdir()] == ["voc"]
    with pytest.raises(FormatError, match="is a file"):
        convert.write(IMAGES, tmp_path / "voc" / "a.xml", "voc")


def _failing() -> Any:
    yield IMAGES[0]
    raise RuntimeError


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """What is no such file is refused with its path; missing classes and unknown formats, too."""
    (tmp_path / "data.yaml").write_text("names: [a]\n")
    with pytest.raises(FormatError, match=r"data\.yaml cannot be read as yolo"):
        convert.read(tmp_path / "data.yaml", "yolo")
    (tmp_path / "a.xml").write_text("<annotation/>")
    with pytest.raises(FormatError, match="cannot be read as voc"):
        convert.read(tmp_path, "voc", classes=["car"])
    with pytest.raises(FormatError, match="do not list their classes"):
        convert.read(tmp_path, "voc")
    with pytest.raises(FormatError, match="holds a comma"):
        convert.read(tmp_path, "voc", classes=["a,b"])
    with pytest.raises(FormatError, match="use one of yolo"):
        convert.read(tmp_path, "tfrecord")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(FormatError, match="can be read, not written"):
        convert.write(IMAGES, tmp_path / "new", "labelbox")


@pytest.mark.parametrize("name", ["yolo", "cvat", "labelbox", "voc", "lightly"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: convert.FormatName) -> None:
    """What is no regular file, or no folder, is refused and not opened."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match=f"cannot be read as {name}: it is no"):
        convert.read(tmp_path / "pipe", name, classes=["a"])


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra, and nothing is left behind."""
    monkeypatch.setitem(sys.modules, "labelformat.formats", None)
    with pytest.raises(FormatError, match=r"install .*\[formats\]"):
        convert.write(IMAGES, tmp_path / "voc", "voc")
    assert list(tmp_path.iterdir()) == []


ODD = "\x00\x0b\x1b\x85\u2028\ud800\ufffe"
"""One of each kind of character that some format cannot hold."""


@pytest.mark.parametrize("name", convert.FORMATS, ids=lambda each: each.name)
def test_no_character_breaks_a_format(tmp_path: Path, name: convert.FormatInfo) -> None:
    """What XML or a line of text cannot hold is written as _, in each format, and reported."""
    if not name.writer:
        return
    odd = f"a{ODD}b"
    given = [
        image(f"{odd}.png", car(BOX, odd), car(BOX, "a_______b")),
        image("plain.png", car(BOX, "plain")),
    ]
    lost = convert.write(given, tmp_path / "out", name.name, classes=["\x07", "_"], file_name=str)
    counts = {each.kind: each.count for each in lost.items}
    assert counts[LossKind.CHARACTERS] == 3  # two classes and an image
    assert counts[LossKind.COLLISION] == 2  # both classes have a twin, which gets a number
    assert "a_______b_2" in str(lost)
    written = "".join(path.read_text("utf-8") for path in tmp_path.rglob("*.*") if path.is_file())
    assert not set(written) & set(ODD)
    for path in tmp_path.rglob("*.xml"):
        ElementTree.parse(path)
    if name.name == "cvat":
        read = convert.read(tmp_path / "out" / "annotations.xml", "cvat")
        assert [each.media_name for each in read.images] == ["a_______b.png", "plain.png"]


LONG = ["x" * 254, "é" * 127, "y" * 251 + ".jpg", "z" * 253 + ".j", "w" * 255]


@pytest.mark.parametrize("name", convert.FORMATS, ids=lambda each: each.name)
def test_a_long_name_ends_no_export(tmp_path: Path, name: convert.FormatInfo) -> None:
    """A label file's suffix fits behind any name; that the name was cut for it is reported."""
    if not name.writer:
        return
    given = [image(each, car(BOX)) for each in LONG]
    lost = convert.write(given, tmp_path / "out", name.name)
    if name.suffix:
        names = [path.name for path in tmp_path.rglob(f"*{name.suffix}")]
        assert len({*names} - {"schema.json"}) == len(LONG)
        cut = [each for each in LONG if len(f"{Path(each).stem}{name.suffix}".encode()) > 255]
        assert lost.count(LossKind.LONG_NAME) == len(cut) > 1
    else:
        assert not lost


def test_an_image_named_like_the_schema(tmp_path: Path) -> None:
    """The file that a format has for itself is not overwritten by that of an image."""
    given = [image("schema.png", car(BOX)), image("a.png", car(BOX))]
    lost = convert.write(given, tmp_path / "out", "lightly")
    assert lost.count(LossKind.SAME_FILE) == 1
    assert "task_type" in (tmp_path / "out" / "schema.json").read_text()


def _photographs(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("L", (WIDTH, HEIGHT)).save(folder / name)


def _nearly(shape: object, expected: Rectangle) -> None:
    assert isinstance(shape, Rectangle)
    assert shape.bounds == pytest.approx(expected.bounds)
