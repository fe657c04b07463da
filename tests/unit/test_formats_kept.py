"""The table of docs/formats.md: what each format keeps of each shape, in either direction."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from datagym_async import formats
from datagym_async.formats import FORMATS, LossKind, WrittenFormat
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from tests.helpers.coco_files import NUMPY_2
from tests.helpers.label_files import picture, text

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
SHAPES = ("box", "outline", "hole", "keypoints", "line", "point", "answer", "caption")
BOX, RING = Rectangle(20, 10, 60, 40), [(20, 10), (80, 10), (80, 50)]
HOLE = [(60, 20), (70, 20), (70, 25)]


def told(report: formats.LossReport) -> str:
    """A cell of the table: what is said of it."""
    return ", ".join(f"`{each.kind.value}`" for each in report.items) or "kept"


# --- Written: an image that has nothing but the one thing -----------------------------------------

ONE = Annotation("thing", BOX)
NOTE = Classification.freetext("note", "red")
EYE = Annotation("left_eye", Point(30, 20))
WRITTEN: dict[str, dict[str, Any]] = {
    "box": {"annotations": [ONE]},
    "outline": {"annotations": [Annotation("thing", Polygon(RING))]},
    "hole": {"annotations": [Annotation("thing", Segmentation([RING, HOLE]))]},
    "keypoints": {"annotations": [Annotation("thing", BOX, nested=[EYE])]},
    "line": {"annotations": [Annotation("lane", Line([(1, 1), (9, 9)]))]},
    "point": {"annotations": [Annotation("spot", Point(1, 1))]},
    "answer": {"annotations": [Annotation("thing", BOX, [NOTE])]},
    "caption": {"classifications": [Classification.freetext("caption", "a car")]},
}


def config() -> LabelConfig:
    """A thing with eyes."""
    made = LabelConfig()
    thing = made.add_rectangle("thing", "Thing")
    thing.add_point("left_eye", "left_eye")
    thing.add_point("right_eye", "right_eye")
    return made


def written(folder: Path, name: WrittenFormat, shape: str) -> str:
    """What is said of a shape that is written."""
    image = LabeledImage(media_name="a.png", width=200, height=100, **WRITTEN[shape])
    path = folder / ("a.json" if name == "coco" else "out")
    return told(formats.write([image], path, name, config=config()))


# --- Read: a file that has nothing but the one thing ----------------------------------------------


def yolo(line: str, more: str = "") -> Callable[[Path], Path]:
    """A dataset of one image."""

    def make(folder: Path) -> Path:
        picture(folder / "images" / "a.png")
        text(folder / "labels" / "a.txt", line)
        return text(folder / "data.yaml", f"train: images\nnames: [car]\n{more}")

    return make


def coco(**more: Any) -> Callable[[Path], Path]:
    """A file of one annotation."""
    joints = ["nose", "left_eye"] if "keypoints" in more else []
    category = {"id": 1, "name": "car"} | ({"keypoints": joints} if joints else {})
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}],
        "categories": [category],
        "annotations": [{"id": 1, "image_id": 1, **more}],
    }
    return lambda folder: text(folder / "a.json", json.dumps(document))


def xml(form: str, inside: str) -> Callable[[Path], Path]:
    """A file of one image, of VOC or CVAT."""
    head = "<size><width>200</width><height>100</height></size>"
    whole = {
        "voc": f"<annotation><filename>a.png</filename>{head}<object><name>car</name>{inside}"
        "</object></annotation>",
        "cvat": "<annotations><meta><task><labels><label><name>car</name></label><label>"
        "<name>person</name><type>skeleton</type></label><label><name>nose</name>"
        "<type>points</type><parent>person</parent></label></labels></task>"
        f'</meta><image id="0" name="a.png" width="200" height="100">{inside}</image>'
        "</annotations>",
    }[form]
    name = {"voc": "a.xml", "cvat": "annotations.xml"}[form]
    return lambda folder: text(folder / name, whole)


def labelme(kind: str, points: Any, **more: Any) -> Callable[[Path], Path]:
    """A file of one shape."""
    shape = {"label": "car", "points": points, "shape_type": kind, **more}
    whole = {"shapes": [shape], "imagePath": "a.png", "imageHeight": 100, "imageWidth": 200}
    return lambda folder: text(folder / "a.json", json.dumps(whole))


def labelbox(**found: Any) -> Callable[[Path], Path]:
    """A line of one object."""
    labels = [{"annotations": {"objects": [{"name": "car", **found}], "classifications": []}}]
    whole = {
        "data_row": {"external_id": "a.png"},
        "media_attributes": {"width": 200, "height": 100},
        "projects": {"p": {"labels": labels}},
    }
    return lambda folder: text(folder / "a.ndjson", json.dumps(whole) + "\n")


def png(mask: Image.Image) -> str:
    """A mask as LabelMe has it."""
    stream = io.BytesIO()
    mask.save(stream, "png")
    return base64.b64encode(stream.getvalue()).decode()


def kitti(numbers: str) -> Callable[[Path], Path]:
    """A folder of one file of one line, beside its image."""

    def make(folder: Path) -> Path:
        picture(folder / "a.png")
        return text(folder / "a.txt", f"Car {numbers}").parent

    return make


def dota(folder: Path) -> Path:
    """A folder of one image with a turned box, and no list of classes."""
    picture(folder / "images" / "a.png")
    text(folder / "labelTxt" / "a.txt", "gsd:0.1\n20 10 80 10 80 50 20 50 plane 0")
    return folder


CORNERS = [[20, 10], [80, 10], [80, 50]]
BNDBOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
CVAT_BOX = '<box label="car" xtl="1" ytl="1" xbr="9" ybr="9">'
HOLED = Image.new("L", (3, 3), 1)
HOLED.putpixel((1, 1), 0)
READ: dict[str, dict[str, Callable[[Path], Path]]] = {
    "yolo": {"box": yolo("0 .5 .5 .2 .2")},
    "yolo-seg": {"outline": yolo("0 .1 .1 .4 .1 .4 .5")},
    "yolo-pose": {"keypoints": yolo("0 .5 .5 .2 .2 .5 .5 2", "kpt_shape: [1, 3]\n")},
    "yolo-obb": {"outline": yolo("0 .1 .1 .4 .2 .3 .5 .0 .4")},
    "dota": {"outline": dota},
    "coco": {
        "box": coco(category_id=1, bbox=[20, 10, 60, 40]),
        "outline": coco(category_id=1, segmentation=[[20, 10, 80, 10, 80, 50]]),
        "hole": coco(
            category_id=1, segmentation={"size": [100, 200], "counts": [0, 201, 1, 19798]}
        ),
        "keypoints": coco(category_id=1, bbox=[1, 1, 9, 9], keypoints=[2, 3, 2, 0, 0, 0]),
        "caption": coco(caption="a car"),
    },
    "voc": {
        "box": xml("voc", BNDBOX),
        "outline": xml(
            "voc",
            "<polygon><x1>1</x1><y1>1</y1><x2>9</x2><y2>1</y2><x3>9</x3><y3>9</y3></polygon>",
        ),
        "answer": xml("voc", f"{BNDBOX}<pose>Left</pose>"),
    },
    "cvat": {
        "box": xml("cvat", f"{CVAT_BOX}</box>"),
        "outline": xml("cvat", '<polygon label="car" points="1,1;9,1;9,9"/>'),
        "hole": xml(
            "cvat", '<mask label="car" rle="0,4,1,4" left="0" top="0" width="3" height="3"/>'
        ),
        "keypoints": xml(
            "cvat", '<skeleton label="person"><points label="nose" points="2,3"/></skeleton>'
        ),
        "line": xml("cvat", '<polyline label="car" points="1,1;9,9"/>'),
        "point": xml("cvat", '<points label="car" points="1,1"/>'),
        "answer": xml("cvat", f'{CVAT_BOX}<attribute name="color">red</attribute></box>'),
        "caption": xml("cvat", '<tag label="car"/>'),
    },
    "kitti": {
        "box": kitti("-1 -1 -10 1 2 30 40 -1 -1 -1 -1000 -1000 -1000 -10"),
        "answer": kitti("0 1 1.5 1 2 30 40 1 1 1 1 1 1 0"),
    },
    "labelme": {
        "box": labelme("rectangle", [[1, 2], [30, 40]]),
        "outline": labelme("polygon", CORNERS),
        "hole": labelme("mask", [[0, 0], [2, 2]], mask=png(HOLED)),
        "line": labelme("linestrip", CORNERS),
        "point": labelme("point", [[1, 2]]),
        "answer": labelme("point", [[1, 2]], flags={"hidden": True}),
    },
    "labelbox": {
        "box": labelbox(bounding_box={"left": 1, "top": 2, "width": 3, "height": 4}),
        "outline": labelbox(polygon=[{"x": x, "y": y} for x, y in CORNERS]),
        "line": labelbox(line=[{"x": x, "y": y} for x, y in CORNERS]),
        "point": labelbox(point={"x": 1, "y": 2}),
        "answer": labelbox(
            point={"x": 1, "y": 2},
            classifications=[{"name": "color", "text_answer": {"content": "red"}}],
        ),
    },
}
"""What a format does not have is not here."""


def read(folder: Path, name: str, shape: str) -> str:
    """What is said of a shape that is read."""
    make = READ[name].get(shape)
    if make is None:
        return "no such"
    kind: Any = "polygon" if shape in ("outline", "hole") else "rectangle"
    mapping = formats.LabelMapping(shape=kind)
    found = formats.read(make(folder), name, mapping=mapping)  # type: ignore[arg-type]
    return told(found.losses)


CLOSED = [*CORNERS, CORNERS[0]]
FLAT = [number for pair in CLOSED for number in pair]
REPEATED: dict[str, Callable[[Path], Path]] = {
    "yolo-seg": yolo("0 .1 .1 .4 .1 .4 .5 .1 .1"),
    "coco": coco(category_id=1, segmentation=[FLAT]),
    "voc": xml("voc", f"<polygon>{''.join(f'<x>{n}</x>' for n in FLAT)}</polygon>"),
    "cvat": xml(
        "cvat", f'<polygon label="car" points="{";".join(f"{x},{y}" for x, y in CLOSED)}"/>'
    ),
    "labelme": labelme("polygon", CLOSED),
    "labelbox": labelbox(polygon=[{"x": x, "y": y} for x, y in CLOSED]),
}
"""Outlines that end with their first corner."""


@pytest.mark.parametrize("kind", ["polygon", "segmentation"])
@pytest.mark.parametrize("name", [*REPEATED])
def test_no_corner_is_there_twice(tmp_path: Path, name: Any, kind: Any) -> None:
    """A polygon is not closed, whatever the format; the first corner is not its last one, too."""
    mapping = formats.LabelMapping(shape=kind)
    (image,) = formats.read(REPEATED[name](tmp_path), name, mapping=mapping).images
    (found,) = image.annotations
    assert isinstance(found.shape, Polygon | Segmentation)
    points = found.shape.points if isinstance(found.shape, Polygon) else found.shape.rings[0]
    assert [(round(each.x), round(each.y)) for each in points] == [*map(tuple, CORNERS)]


def table(begins: str) -> dict[str, list[str]]:
    """The rows of the table whose first line begins so, by what stands in their first cell."""
    lines = iter(PAGE.read_text(encoding="utf-8").splitlines())
    head = next(line for line in lines if line.startswith(begins))
    assert [each.strip() for each in head.strip("|").split("|")][1:] == [*SHAPES]
    next(lines)
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, *cells = (each.strip() for each in line.strip("|").split("|"))
        rows[name.strip("`")] = cells
    return rows


@pytest.mark.filterwarnings(NUMPY_2)
@pytest.mark.parametrize("name", get_args(WrittenFormat))
def test_what_is_written(tmp_path: Path, name: WrittenFormat) -> None:
    """Each cell of the page is what a report says."""
    found = [written(tmp_path / shape, name, shape) for shape in SHAPES]
    assert found == table("| written ")[name]


@pytest.mark.filterwarnings(NUMPY_2)
@pytest.mark.parametrize("name", [each.name for each in FORMATS])
def test_what_is_read(tmp_path: Path, name: str) -> None:
    """Each cell of the page is what a report says; outlines are read as polygons, else boxes."""
    found = [read(tmp_path / shape, name, shape) for shape in SHAPES]
    assert found == table("| read ")[name]


def test_the_tables_have_all_formats() -> None:
    """And no others."""
    assert [*table("| written ")] == [*get_args(WrittenFormat)]
    assert [*table("| read ")] == [each.name for each in FORMATS]


def test_the_table_of_losses_has_all_kinds() -> None:
    """Each once, and no others."""
    lines = PAGE.read_text(encoding="utf-8").partition("## Kinds of loss")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in lines.splitlines() if line.startswith("| `")]
    named = re.findall(r"`(\w+)`", " ".join(cells))
    assert sorted(named) == sorted(kind.value for kind in LossKind)
