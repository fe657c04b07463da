"""LabelMe and Labelbox, and how a format is found by what files and folders hold."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from PIL import Image

from datagym_async import formats
from datagym_async.formats import FormatError, LossKind
from datagym_async.formats._table import open_dataset
from tests.helpers.examples import example
from tests.helpers.label_files import box, picture, read, rings, text, told


def shape(label: str | None, points: Any, kind: str | None = "polygon", **more: Any) -> Any:
    return {"label": label, "points": points, "shape_type": kind, **more}


def labelme(path: Path, *shapes: Any, **more: Any) -> Path:
    whole = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.png",
        "imageData": None,
        "imageHeight": 100,
        "imageWidth": 200,
        **more,
    }
    return text(path, orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY))


TRIANGLE = [[0, 0], [10, 0], [10, 10.5]]


def one(tmp_path: Path, found: Any) -> tuple[Any, dict[str, int]]:
    labelme(tmp_path / "a.json", found)
    (image,), lost = read(open_dataset(tmp_path))
    (made,) = image.objects
    return made, lost


def test_labelme_shapes(tmp_path: Path) -> None:
    """Each kind of shape is what it is; a circle is an outline, which is told."""
    made, lost = one(tmp_path, shape("car", TRIANGLE))
    assert (rings(made), lost) == ([[[(0, 0), (10, 0), (10, 10.5)]]], {})
    assert rings(one(tmp_path, shape("car", TRIANGLE, None))[0]) == rings(made)
    made, _ = one(tmp_path, shape("car", [[30, 40], [10, 20]], "rectangle"))
    assert box(made) == (10, 20, 20, 20)
    made, _ = one(tmp_path, shape("car", [[10, 20], [30, 20], [30, 40], [10, 40]], "rectangle"))
    assert box(made) == (10, 20, 20, 20)
    for leaning in ([[0, 0], [9, 3], [9, 8], [0, 5]], [[0, 0], [3, 9], [8, 9], [5, 0]]):
        made, _ = one(tmp_path, shape("car", leaning, "rectangle"))
        assert (made.box, rings(made)) == (None, [[[(x, y) for x, y in leaning]]])
    made, lost = one(tmp_path, shape("car", [[50, 50], [53, 54]], "circle"))
    assert rings(made)[0][0][0] == (55, 50)
    assert lost == {"curve": 1}
    for kind, points in (("line", [[1, 2], [3, 4]]), ("linestrip", [[1, 2], [3, 4], [5, 6]])):
        made, lost = one(tmp_path, shape("car", points, kind))
        assert (made.line, lost) == ([(x, y) for x, y in points], {})
    made, _ = one(tmp_path, shape("car", [[1.5, 2]], "point"))
    assert made.point == (1.5, 2)
    made, _ = one(tmp_path, shape("car", [[0, 0], [9, 0], [9, 9]], "rectangle"))  # half of one
    assert (made.box, rings(made)) == (None, [[[(0, 0), (9, 0), (9, 9)]]])
    labelme(tmp_path / "a.json", shape("car", [[1, 2], [3, 4]], "points"))
    (image,), lost = read(dataset := open_dataset(tmp_path))
    assert ([each.point for each in image.objects], lost) == ([(1, 2), (3, 4)], {"parts": 1})
    assert not dataset.outlines
    made, _ = one(tmp_path, shape("car", [[0, 5], [5, 0], [10, 5], [5, 10]], "rotation"))
    assert len(rings(made)[0][0]) == 4


def png(mask: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(np.asarray(mask, dtype=np.uint8)).save(stream, "png")
    return base64.b64encode(stream.getvalue()).decode()


def test_labelme_masks(tmp_path: Path) -> None:
    """A picture that begins at the upper left of its box."""
    mask = png([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    made, lost = one(tmp_path, shape("car", [[5, 6], [7, 8]], "mask", mask=mask))
    outline, hole = rings(made)[0]
    assert (outline, hole) == ([(5, 6), (8, 6), (8, 9), (5, 9)], [(6, 7), (7, 7), (7, 8), (6, 8)])
    assert not lost


def test_large_masks_of_labelme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may hold one of any size, which is not unpacked."""
    monkeypatch.setattr("datagym_async.formats._reading_json.MOST_PIXELS", 8)
    mask = shape("car", [[5, 6], [7, 8]], "mask", mask=png(np.ones((3, 3))))
    labelme(tmp_path / "a.json", mask)
    (image,), losses = told(open_dataset(tmp_path))
    assert image.is_labelled
    assert "shapes[0]: a mask of 3 by 3 pixels is too large" in str(losses.report())


def test_labelme_groups_are_one_object(tmp_path: Path) -> None:
    """Outlines of one label and one group are its parts; boxes, and other labels, are not."""
    labelme(
        tmp_path / "a.json",
        shape("car", TRIANGLE, group_id=1),
        shape("car", [[0, 0], [2, 2]], "rectangle", group_id=1),
        shape("car", [[0, 0], [1, 1], [0, 2]], group_id=1),
        shape("car", TRIANGLE),
        shape("dog", TRIANGLE, group_id=1),
        shape("dog", [[1, 1]], "point", group_id=1),
    )
    (image,), lost = read(open_dataset(tmp_path))
    assert [(each.category.name, len(each.parts)) for each in image.objects] == [
        ("car", 2), ("car", 0), ("car", 1), ("dog", 1), ("dog", 0)
    ]  # fmt: skip
    assert rings(image.objects[0])[1] == [[(0, 0), (1, 1), (0, 2)]]
    assert box(image.objects[1]) == (0, 0, 2, 2)
    assert not lost


def test_marks_of_later_parts_of_labelme(tmp_path: Path) -> None:
    """Scores and other members of any part are those of the object."""
    more: dict[str, Any] = {"score": 0.5, "difficult": True}
    parts = [shape("car", TRIANGLE, group_id=1, **each) for each in ({}, more, {"score": 0.25})]
    labelme(tmp_path / "a.json", *parts)
    (image,), _ = read(open_dataset(tmp_path))
    (found,) = image.objects
    assert (found.score, found.extra) == (0.5, {"difficult": True})
    assert {each.kind.value for each in formats.read(tmp_path).losses.items} == {
        "parts", "extra", "score"
    }  # fmt: skip


def test_labelme_answers_are_counted(tmp_path: Path) -> None:
    """Flags that are set, of the image and of shapes, and descriptions."""
    flags = {"blurred": True, "dark": False}
    labelme(
        tmp_path / "a.json",
        shape("car", TRIANGLE, flags=flags, description="old"),
        flags=flags,
        description="of X-AnyLabeling",
    )
    (image,), lost = read(open_dataset(tmp_path))
    assert (len(image.objects), lost) == (1, {"classification": 4})


def test_what_other_tools_add_to_labelme(tmp_path: Path) -> None:
    """X-AnyLabeling has scores, attributes and links; none of them goes without a word."""
    more = {"score": 0.75, "attributes": {"colour": "red", "": ""}, "kie_linking": [[1, 2]]}
    plain: dict[str, Any] = {"score": None, "attributes": {}, "kie_linking": [], "difficult": False}
    also = {"difficult": "false", "direction": 1.57}  # a text, and how a turned box was drawn
    shapes = [shape("car", TRIANGLE, **each) for each in (more, plain, also, {"score": "high"})]
    labelme(tmp_path / "a.json", *shapes, tags=["day"])
    images, losses = told(dataset := open_dataset(tmp_path))
    made = [(each.score, each.extra) for image in images for each in image.objects]
    assert made == [(0.75, {"kie_linking": [[1, 2]]}), (None, {}), (None, {})]
    assert {each.kind.value: each.count for each in losses.report().items} == {
        "classification": 2, "broken": 1
    }  # fmt: skip
    kept = formats.read(tmp_path, min_score=0.8).losses
    assert (kept.count(LossKind.LOW_SCORE), dataset.outlines) == (1, True)


def test_the_image_in_a_file_of_labelme_is_not_read(tmp_path: Path) -> None:
    """It may be most of the file; what only looks like it stays."""
    data = "A" * 3_000_000
    labelme(tmp_path / "a.json", shape('"imageData": "x"', TRIANGLE), imageData=data)
    (image,), lost = read(open_dataset(tmp_path))
    assert (image.objects[0].category.name, lost) == ('"imageData": "x"', {})


def test_images_that_were_renamed(tmp_path: Path) -> None:
    """The image that is called like the file of labels is meant, whatever stands in the file."""
    for stem, said in (("a", "old.png"), ("b", "there.png"), ("c", "..\\x\\c.png"), ("d", "e.png")):
        labelme(tmp_path / "s" / f"{stem}.json", shape("car", TRIANGLE), imagePath=said)
    for name in ("a.jpg", "b.png", "c.jpg"):
        picture(tmp_path / "s" / name)
    picture(tmp_path / "s" / "there.png")
    images, losses = told(open_dataset(tmp_path, "labelme"))
    names = [each.name for each in images]
    assert names == ["s/a.jpg", "s/b.png", "..\\x\\c.png", "s/e.png"]
    (lost,) = losses.report().items
    assert (lost.kind, lost.count, lost.kind.is_loss) == (LossKind.RENAMED, 2, False)
    assert "a.json: a.jpg, where the file says old.png" in str(lost)


def test_labelme_without_a_name(tmp_path: Path) -> None:
    """The image is called like the file, and a class may be a number."""
    labelme(tmp_path / "a.json", {**shape("car", TRIANGLE), "label": 3}, imagePath=None)
    (image,), lost = read(open_dataset(tmp_path))
    assert (image.name, image.objects[0].category.name, lost) == ("a", "3", {})


@pytest.mark.parametrize("format_name", ["labelme", "voc"])
def test_images_that_were_converted(tmp_path: Path, format_name: str) -> None:
    """The image beside has another suffix than the file says, unless that one is there, too."""
    for stem, said in (("a", "a.png"), ("b", "b.png"), ("c", "c.JPG"), ("d", "d")):
        size = "<size><width>200</width><height>100</height></size>"
        if format_name == "labelme":
            labelme(tmp_path / f"{stem}.json", shape("car", TRIANGLE), imagePath=said)
        else:
            content = f"<annotation><filename>{said}</filename>{size}</annotation>"
            text(tmp_path / f"{stem}.xml", content)
        picture(tmp_path / f"{stem}.jpg")
    picture(tmp_path / "b.png")
    images, lost = read(open_dataset(tmp_path, format_name))
    assert [each.name for each in images] == ["a.jpg", "b.png", "c.JPG", "d"]
    assert lost == {"renamed": 1}


def test_names_and_sizes_of_labelme(tmp_path: Path) -> None:
    """Folders and backslashes stay; a size that is not told is that of the image beside."""
    labelme(tmp_path / "a.json", imagePath="..\\images\\a.png")
    labelme(tmp_path / "s" / "b.json", imagePath="b.png", imageWidth=None)
    labelme(tmp_path / "s" / "c.json", imagePath="", imageWidth="640", imageHeight=480.0)
    picture(tmp_path / "s" / "b.png", 30, 20)
    picture(tmp_path / "s" / "c.jpg")
    images, lost = read(open_dataset(tmp_path, "labelme"))
    assert [(each.name, each.width, each.height) for each in images] == [
        ("..\\images\\a.png", 200, 100), ("s/b.png", 30, 20), ("s/c.jpg", 640, 480)
    ]  # fmt: skip
    assert not lost
    (image,), lost = read(open_dataset(tmp_path / "s" / "b.json"))
    assert image.name == "b.png"
    labelme(tmp_path / "one" / "d.json", imagePath="e.png", imageWidth=None)
    picture(tmp_path / "one" / "e.png", 30, 20)
    (image,), lost = read(open_dataset(tmp_path / "one"))
    assert (image.name, image.width, image.is_labelled, lost) == ("e.png", 30, False, {})


BAD_SHAPES = [
    (None, "an object was expected"),
    (shape(None, TRIANGLE), "no class"),
    (shape("car", TRIANGLE[:2]), "a polygon of 2 points"),
    (shape("car", None), "points must be a list"),
    (shape("car", [[1, 2, 3]] * 3), "must be x and y"),
    (shape("car", [{"x": 1, "y": 2}] * 3), "must be x and y"),
    (shape("car", [5] * 3), "must be x and y"),
    (shape("car", TRIANGLE, ["polygon"]), "['polygon']\" is not a known type of shape"),  # type: ignore[arg-type]
    (shape("car", [[1, 1]], "mask", mask=5), "not a PNG in base64"),
    (shape("car", [["a", 2]] * 3), "'a' is not a number"),
    (shape("car", [[None, 2]] * 3), "is not a number"),
    (shape("car", [[True, 2]] * 3), "is not a number"),
    (shape("car", [[1e300, 2]] * 3), "is not a number"),
    (shape("car", TRIANGLE, "spline"), "'spline' is not a known type of shape"),
    (shape("car", [[1, 1]], "mask"), "not a PNG in base64"),
    (shape("car", [[1, 1]], "mask", mask="AAAA"), "not a PNG in base64"),
    (shape("car", [[1, 1]], "rectangle"), "a rectangle of 1 points"),
]


@pytest.mark.parametrize(("bad", "words"), BAD_SHAPES)
def test_a_bad_shape_of_labelme_is_one_loss(tmp_path: Path, bad: Any, words: str) -> None:
    """It is named by file and index, and the others are read."""
    path = labelme(tmp_path / "a.json", shape("car", TRIANGLE), bad, shape("car", TRIANGLE))
    (image,), losses = told(open_dataset(tmp_path, "labelme"))
    assert len(image.objects) == 2
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.BROKEN, 1)
    assert f"{path}: shapes[1]: " in lost.examples[0]
    assert words in lost.examples[0]


BAD_FILES = [
    (b"[]", "an object was expected"),
    (b"{", "it is not JSON"),
    (b'{"shapes": {}}', "shapes must be a list"),
    (b'{"shapes": [], "imagePath": 3}', "imagePath must be a text"),
    (b'{"shapes":' + b"[" * 100_000, "nested deeper"),
    (b'{"shapes": [NaN]', "it is not JSON"),
    ('{"shapes": [], "imagePath": "汽.png"}'.encode("gb2312"), "save it as UTF-8"),
    (b"\xff\xfe\x00", "it is not JSON"),
]


@pytest.mark.parametrize(("content", "words"), BAD_FILES)
def test_a_bad_file_of_labelme_is_one_loss(tmp_path: Path, content: bytes, words: str) -> None:
    """It is named, and the folder is read."""
    labelme(tmp_path / "a.json", shape("car", TRIANGLE))
    bad = text(tmp_path / "b.json", content)
    images, losses = told(open_dataset(tmp_path, "labelme"))
    assert [each.name for each in images] == ["a.png"]
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.BROKEN, 1)
    assert f"{bad}: " in lost.examples[0]
    assert words in lost.examples[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_marks_in_front_are_taken(tmp_path: Path, encoding: str) -> None:
    """A mark of order, and any encoding of Unicode, are JSON."""
    path = labelme(tmp_path / "a.json", shape("猫", TRIANGLE))
    path.write_bytes(path.read_text().encode(encoding))
    (image,), lost = read(open_dataset(tmp_path))
    assert (image.objects[0].category.name, lost) == ("猫", {})


def test_a_number_that_is_none(tmp_path: Path) -> None:
    """Python writes NaN, which costs its shape alone."""
    path = labelme(tmp_path / "a.json", shape("car", TRIANGLE), shape("car", [[1, 2], [3, 4]]))
    path.write_text(path.read_text().replace("[3,4]", "[3,NaN]"))
    (image,), lost = read(open_dataset(tmp_path))
    assert (len(image.objects), lost) == (1, {"broken": 1})


# --- Labelbox -------------------------------------------------------------------------------------


def labelbox(*objects: Any, row: Any = None, **annotations: Any) -> bytes:
    said = {"objects": list(objects), "classifications": [], **annotations}
    whole = {
        "data_row": row or {"id": "x", "global_key": "key", "external_id": "a.png"},
        "media_attributes": {"width": 200, "height": 100},
        "projects": {"p": {"labels": [{"annotations": said}]}},
    }
    return orjson.dumps(whole) + b"\n"


def test_labelbox(tmp_path: Path) -> None:
    """Boxes, outlines, lines and points; what is elsewhere, or of somebody else, is counted."""
    points = [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 0}]
    sides = {"left": 1, "top": 2, "width": 3.5, "height": 4}
    answer = {"name": "color", "radio_answer": {}}
    content = labelbox(
        {"name": "car", "bounding_box": sides, "classifications": [answer]},
        {"name": "roof", "polygon": points},
        {"name": "lane", "line": points},
        {"name": "spot", "point": points[0]},
        {"name": "mask", "annotation_kind": "ImageSegmentationMask", "mask": {"url": "https://x"}},
        {"name": "car", "bounding_box": {**sides, "left": None}},
        {"name": "car", "bounding_box": {**sides, "width": -1}},
        {"name": "car", "bounding_box": {**sides, "height": -1}},
        None,
        {"name": "roof", "polygon": points[:2]},
        {"name": "lane", "line": points[:1]},
        classifications=[answer],
    )
    video = orjson.loads(labelbox(row={"global_key": "v.mp4"}))
    video["projects"]["p"]["labels"] = [{"annotations": {"frames": {}}}]
    twice = orjson.loads(labelbox({"name": "car", "bounding_box": sides}, row={"id": "b"}))
    twice["projects"]["p"]["labels"] *= 2
    bad = b"{\n\n" + orjson.dumps({"data_row": {}}) + b"\n"
    path = text(
        tmp_path / "export.ndjson",
        content + b"\n".join(map(orjson.dumps, (video, twice))) + b"\n" + bad,
    )
    images, losses = told(dataset := open_dataset(path))
    assert [(each.name, each.width, len(each.objects)) for each in images] == [
        ("a.png", 200, 4), ("v.mp4", 200, 0), ("b", 200, 1)
    ]  # fmt: skip
    car, roof, lane, spot = images[0].objects
    assert (box(car), rings(roof)) == ((1, 2, 3.5, 4), [[[(1, 2), (3, 4), (5, 0)]]])
    assert (lane.line, spot.point) == ([(1, 2), (3, 4), (5, 0)], (1, 2))
    assert {each.kind.value: each.count for each in losses.report().items} == {
        "classification": 2, "broken": 10, "video": 1
    }  # fmt: skip
    broken = next(each for each in losses.report().items if each.kind is LossKind.BROKEN)
    assert broken.examples[0].startswith(f"{path}, line 1: an object of the kind ImageSegm")
    assert [each.name for each in dataset.categories] == ["car", "roof", "lane", "spot", "mask"]


def test_rows_of_labelbox_that_are_not_as_they_should_be(tmp_path: Path) -> None:
    """What is of another kind is nothing; an image whose labels are lost is left out."""
    row = orjson.loads(labelbox(row={"external_id": 5, "global_key": "", "id": "x"}))
    rows = [row | {"media_attributes": [], "projects": {"p": 5}}]
    wrong: list[Any] = [5, [5], [{"annotations": 5}], [{"annotations": {"objects": 5}}]]
    rows += [row | {"projects": {"p": {"labels": each}}} for each in wrong]
    rows += [row | {"projects": []}, {"data_row": [], "projects": {}}]
    (image,), lost = read(open_dataset(text(tmp_path / "a.ndjson", _lines(rows))))
    assert (image.name, image.width, image.objects) == ("x", 200, [])
    assert lost == {"size": 1, "doubled": 5, "broken": 1}
    lists = dict.fromkeys(("classifications", "relationships"), 5)
    path = text(tmp_path / "a.ndjson", labelbox({"name": "car"}, **lists))
    more = [{"classifications": [{"name": "a"}]}, {"frames": {"1": {}}}, {}]
    for number, said in enumerate(more):
        with path.open("ab") as file:
            row = {"external_id": f"{number}.png"}
            file.write(labelbox(row=row, **said))  # type: ignore[arg-type]
    found = formats.read(path)
    assert [each.media_name for each in found.images] == ["2.png"]
    assert {each.kind.value: each.count for each in found.losses.items} == {
        "broken": 1, "classification": 1, "video": 1
    }  # fmt: skip


def _lines(rows: list[Any]) -> bytes:
    return b"\n".join(map(orjson.dumps, rows))


def test_labelbox_as_a_list(tmp_path: Path) -> None:
    """Scripts write the rows of an export as one list; a bad row is one loss."""
    good = {"name": "car", "bounding_box": {"left": 1, "top": 2, "width": 3.5, "height": 4}}
    rows = [labelbox(good).decode(), "3", labelbox(good, row={"id": "b"}).decode()]
    path = text(tmp_path / "export.json", f"[{', '.join(rows)}]")
    images, losses = told(open_dataset(path))
    assert [(each.name, len(each.objects)) for each in images] == [("a.png", 1), ("b", 1)]
    (lost,) = losses.report().items
    assert (lost.count, lost.examples) == (1, (f"{path}: [1]: an object was expected",))
    with pytest.raises(FormatError, match="is a folder; name the file of Labelbox in it"):
        open_dataset(tmp_path)
    text(path, path.read_text()[:-20])
    with pytest.raises(FormatError, match=r"holds no images.*: it is not JSON"):
        open_dataset(path)


def test_answers_below_answers_of_labelbox(tmp_path: Path) -> None:
    """Each question counts, at any depth; so does each relation between objects."""
    inner = {"name": "size", "text_answer": {"content": "big"}}
    ticked = [{"name": "dent", "classifications": [inner]}, {"name": "rust"}]
    outer = {
        "name": "kind",
        "radio_answer": {
            "name": "bus",
            "classifications": [{"name": "damage", "checklist_answers": ticked}],
        },
    }
    sides = {"left": 1, "top": 2, "width": 3.5, "height": 4}
    car = {"name": "car", "bounding_box": sides, "classifications": [outer]}
    path = text(tmp_path / "a.ndjson", labelbox(car, relationships=[{}, {}]))
    (image,), lost = read(open_dataset(path))
    assert (len(image.objects), lost) == (1, {"classification": 3, "extra": 2})


def test_what_has_no_parts(tmp_path: Path) -> None:
    """A part that is asked for is not all of it."""
    with pytest.raises(FormatError, match="without parts"):
        formats.read(tmp_path, "labelbox", split="val")


def test_a_line_without_end_is_one_loss(tmp_path: Path) -> None:
    """It is not read into the memory, and the lines behind it are."""
    path = text(tmp_path / "a.ndjson", labelbox())
    with path.open("r+b") as file:
        file.truncate(20 * 2**20)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + labelbox(row={"external_id": "b.png"}))
    for _ in range(2):
        images, losses = told(open_dataset(path, "labelbox"))
        assert [each.name for each in images] == ["a.png", "b.png"]
        (lost, *_) = losses.report().items
        assert lost.examples[0] == f"{path}, line 2: it has more than 16 MB"
        os.truncate(path, 2**20 * 40)  # the end of the file is the end of a line, too


@pytest.mark.parametrize(
    ("name", "kind", "most"), [("a.json", "labelme", 256), ("a.txt", "kitti", 16)]
)
def test_a_file_too_large_for_an_image_is_one_loss(
    tmp_path: Path, name: str, kind: Any, most: int
) -> None:
    """It is not read."""
    labelme(tmp_path / "b.json", shape("car", TRIANGLE), imagePath="b.png")
    picture(tmp_path / "b.png")
    text(tmp_path / "b.txt", "Car 0 0 0 1 2 3 4 0 0 0 0 0 0 0\n")
    with text(tmp_path / name, "").open("r+b") as file:
        file.truncate(2**30)
    _, losses = told(open_dataset(tmp_path, kind))
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.BROKEN, 1)
    assert f"larger than {most} MB" in lost.examples[0]


# --- Which format it is ---------------------------------------------------------------------------


def _voc(root: Path) -> Path:
    text(root / "a.xml", "<annotation><filename>a.png</filename></annotation>")
    return root


def _cvat(root: Path) -> Path:
    return text(
        root / "x.xml", '<?xml version="1.0"?>\n<!-- <x> -->\n<annotations><image name="a"/>'
    )


def _yolo(line: str, yaml: str = "names: [a]\ntrain: images\n") -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        text(root / "my.yaml", yaml)
        picture(root / "images" / "a.png")
        text(root / "labels" / "a.txt", line)
        return root

    return make


def _bare(root: Path) -> Path:
    text(root / "notes.txt", "some words\n")
    text(root / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    return root


def _kitti(root: Path) -> Path:
    text(root / "0.txt", "Car 0 0 0 1 2 3 4 0 0 0 0 0 0 0\n")
    return root


def _image_sets(root: Path) -> Path:
    text(root / "ImageSets" / "Main" / "train.txt", "000001 1\n")
    text(root / "ImageSets" / "Main" / "val.txt", "")
    return _voc(root)


def _label_studio(root: Path) -> Path:
    text(root / "notes.json", '{"categories": [{"id": 0, "name": "car"}], "info": {"year": 2026}}')
    text(root / "classes.txt", "car\n")
    picture(root / "images" / "a.png")
    text(root / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    return root


def _label_2(root: Path) -> Path:
    _kitti(root / "label_2")
    return root


def _with_poses(root: Path) -> Path:
    text(root / "poses" / "00.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n")
    return _label_2(root)


def _many_classes(root: Path) -> Path:
    classes = [{"id": number, "name": f"class {number}"} for number in range(3000)]
    images = [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}]
    return text(root / "a.json", json.dumps({"categories": classes, "images": images}))


def _labelbox(root: Path) -> Path:
    return text(root / "a.ndjson", labelbox())


def _labelme(root: Path) -> Path:
    labelme(root / "deep" / "a.json")
    text(root / "package.json", '{"name": "other"}')
    return root


FOUND = [
    (_voc, "voc"),
    (_cvat, "cvat"),
    (_image_sets, "voc"),
    (_label_studio, "yolo"),
    (_yolo("0 0.5 0.5 0.5 0.5"), "yolo"),
    (_yolo(""), "yolo"),
    (_yolo("0 0 0 1 0 1 1"), "yolo-seg"),
    (_yolo("0 0 0 1 0 1 1 0 1"), "yolo-obb"),
    (_yolo("0 0 0 1 0 1 1 0 1\n0 0 0 1 0 1 1"), "yolo-seg"),
    (_yolo("", "names: [a]\nkpt_shape: [2, 3]\ntrain: images\n"), "yolo-pose"),
    (_bare, "yolo"),
    (_kitti, "kitti"),
    (_label_2, "kitti"),
    (_with_poses, "kitti"),
    (_many_classes, "coco"),
    (_labelbox, "labelbox"),
    (_labelme, "labelme"),
]


@pytest.mark.parametrize(("make", "name"), FOUND)
def test_a_format_is_found_by_what_is_there(
    tmp_path: Path, make: Callable[[Path], Path], name: str
) -> None:
    """No suffix and no word is needed where the content says it."""
    assert formats.sniff(make(tmp_path)) == name


def test_a_file_of_coco_without_images_is_told_what_it_lacks(tmp_path: Path) -> None:
    """It is not called a file of no known format."""
    path = text(tmp_path / "a.json", '{"annotations": [], "categories": [{"id": 1, "name": "a"}]}')
    with pytest.raises(FormatError, match="is not a COCO file: it has no member images"):
        formats.read(path)


@pytest.mark.parametrize(("make", "name"), FOUND)
def test_from_within_a_folder_all_is_as_from_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path], name: str
) -> None:
    """Names of folders count, and the folder that one is in has none as it is given."""
    path, classes = make(tmp_path), ["car"] if "yolo" in name else []
    found = read(open_dataset(path, classes=classes))
    monkeypatch.chdir(path if path.is_dir() else path.parent)
    assert read(open_dataset("." if path.is_dir() else path.name, classes=classes)) == found


def test_what_is_of_no_format(tmp_path: Path) -> None:
    """The error says what was looked for, and what is there."""
    with pytest.raises(FormatError, match=r"looked for data\.yaml.*found nothing"):
        formats.read(tmp_path)
    text(tmp_path / "a.pdf", "")
    text(tmp_path / "images" / "b", "")
    with pytest.raises(FormatError, match=r"found 1 \.pdf, images/"):
        formats.read(tmp_path)
    _voc(tmp_path)
    _kitti(tmp_path)
    with pytest.raises(FormatError, match=r"several formats: .*a\.xml \(voc\) and .*0\.txt"):
        formats.read(tmp_path)
    for content in ("{}", "<html>", "words"):
        with pytest.raises(FormatError, match=r"has no known format.*format=\.\.\.: yolo"):
            formats.read(text(tmp_path / "x", content))
    with pytest.raises(FormatError, match=r"x is empty$"):
        formats.read(text(tmp_path / "x", ""))
    of_tar = b"a" * 257 + b"ustar"
    for begins in (b"PK\x03\x04", b"\x1f\x8b\x08", of_tar):  # as CVAT and Roboflow give them
        with pytest.raises(FormatError, match=r"x\.zip is an archive; unpack it"):
            formats.read(text(tmp_path / "x.zip", begins + b"data.yaml"))
    with pytest.raises(FormatError, match=r"^gone/labels\.json cannot be read: No such file"):
        formats.read("gone/labels.json")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="a pipe, and only regular files are read"):
        formats.read(tmp_path / "pipe")
    with pytest.raises(FormatError, match="no format 'tfrecord' to read; use one of yolo"):
        formats.read(tmp_path, "tfrecord")  # type: ignore[arg-type]  # the mistake


def test_labels_behind_other_files(tmp_path: Path) -> None:
    """They are found in their folder, if the first files of all are of no known format."""
    for number in range(9):
        text(tmp_path / "aug" / f"{number}.json", '{"image": "a.jpg", "bbox": [], "class": 1}')
    labelme(tmp_path / "train" / "a.json", shape("car", TRIANGLE))
    assert formats.sniff(tmp_path) == "labelme"
    images, lost = read(open_dataset(tmp_path))
    assert ([each.name for each in images], lost) == (["train/a.png"], {"broken": 9})


TOOLS = {
    "Label Studio": [{"id": 1, "annotations": [{"result": [{"from_name": "label"}]}]}],
    "VGG Image Annotator": {"a.jpg9": {"filename": "a.jpg", "regions": [{"shape_attributes": {}}]}},
    "Supervisely": {"objects": [{"classTitle": "car"}]},
    "VoTT": {"asset": {"format": "jpg", "name": "a.jpg"}, "regions": [{"tags": ["car"]}]},
    "CVAT's own JSON": {"data_meta": {}, "annotations": {"shapes": [{"label_id": 1}]}},
    "Datumaro": {
        "categories": {"label": {"labels": []}},
        "items": [{"annotations": [{"z_order": 0}]}],
    },
    "Create ML": [{"image": "a.jpg", "annotations": [{"coordinates": {"x": 1}}]}],
    "Labelbox before 2023": [{"Labeled Data": "a.jpg", "Label": {}}],
    "BDD100K": [{"name": "a.jpg", "labels": [{"box2d": {}}]}],
    "Cityscapes": {"imgHeight": 1, "objects": []},
    "V7 (Darwin)": {"schema_ref": "https://x", "item": {"name": "a.jpg"}, "annotations": []},
    "SageMaker": {"source-ref": "s3://x/a.jpg", "boxes": {"annotations": [{"class_id": 0}]}},
    "FiftyOne": {"samples": [{"filepath": "a.jpg", "truth": {"_cls": "Detections"}}]},
    "ISAT": {"info": {"description": "ISAT", "name": "a.jpg"}, "objects": []},
    "PaliGemma": [{"image": "a.jpg", "suffix": "<loc0010><loc0010><loc0100><loc0100> car"}],
    "Hugging Face (metadata)": [{"file_name": "a.jpg", "objects": {"bbox": [], "categories": []}}],
    "KITTI's tracking": "0 2 Car 0 0 -1.79 296 161 455 292 2.0 1.8 4.4 -4.5 1.8 13.4 -2.1\n",
    "MOT or VisDrone": "684,8,273,116,0,0,0,0\n",
    "Segment Anything": {"image": {"image_id": 1}, "annotations": [{"predicted_iou": 0.9}]},
    "nuImages": [{"token": "a", "category_token": "b", "bbox": [1, 2, 3, 4]}],
    "SuperAnnotate": {"metadata": {"name": "a.jpg"}, "instances": [{"className": "car"}]},
    "Ultralytics' platform": {"type": "dataset", "task": "detect", "class_names": {"0": "car"}},
    "Dataloop": {"filename": "/a.jpg", "annotations": [{"itemId": "9", "coordinates": {"x": 1}}]},
    "OIDv4 ToolKit": "Traffic light 10.0 20.5 100.0 90.0\n",
    "KITTI's tracklets": "<boost_serialization/>",
    "dlib": "<dataset><images><image file='a.jpg'><box top='1'/></image></images></dataset>",
    "Hasty": {"label_classes": [], "images": [{"image_id": "1", "image_name": "a", "labels": []}]},
    "OpenPose": {"version": 1.3, "people": [{"pose_keypoints_2d": [1, 2, 0.5]}]},
    "CrowdHuman": {"ID": "273271,c9", "gtboxes": [{"fbox": [72, 202, 163, 503]}]},
    "PaddleOCR": 'images/a.jpg\t[{"transcription": "x", "points": [[1, 2], [3, 4]]}]',
    "Kili": [{"externalId": "a", "jsonResponse": {"annotations": []}}],
    "Encord": [{"label_hash": "x", "data_units": {}}],
    "WIDER FACE": "0--Parade/0_Parade_1.jpg\n1\n449 330 122 149 0 0 0 0 0 0 \n",
    "YOLO for Keras": "train/a b.jpg 32,676,872,726,7 1,2,3,4,0",
    "a table (CSV)": "filename,width,height,class,xmin",
}


@pytest.mark.parametrize("tool", TOOLS)
async def test_the_tool_of_a_file_that_is_not_read(tmp_path: Path, tool: str) -> None:
    """A file and a folder are refused by its name, and none is taken for the service's own JSON."""
    content = TOOLS[tool]
    is_text = isinstance(content, str)
    name = "a.csv" if "CSV" in tool else "a.xml" if str(content).startswith("<") else "a.txt"
    file = tmp_path / (name if is_text else "a.json")
    text(file, content if isinstance(content, str) else json.dumps(content))
    what = re.escape(tool if "CSV" in tool else f"a file of {tool}")
    for path in (file, tmp_path):
        with pytest.raises(FormatError, match=f"{file.name} is {what}, which is not supported"):
            [each async for each in formats.PredictionFile(path)]


@pytest.mark.parametrize("name", ["01_export_image", "02_export_image_old_names"])
def test_a_list_of_the_service_is_that_of_no_tool(tmp_path: Path, name: str) -> None:
    """An export of the service has members that files of other tools have, too."""
    file = text(tmp_path / "a.json", json.dumps(example(name)))
    with pytest.raises(FormatError, match="has no known format"):
        formats.sniff(file)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train/Letters.tfrecord", b"\x0a\x00", "is a TFRecord of TensorFlow, which is not supp"),
        ("annotations.mat", b"MATLAB 5.0 MAT-file", "is a file of MATLAB, which is not supported"),
        (
            "train.parquet",
            b"PAR1",
            r"is a table \(Parquet\), which is not supported; export or conv",
        ),
        (
            "via3.json",
            b'{"project": {"pid": "__VIA_PROJECT_ID__"}}',
            "is a file of VGG Image Annota",
        ),
        (
            "min.json",
            b'[{"label": [{"original_width": 9}]}]',
            "is a file of Label Studio, which is",
        ),
        (
            "long.json",
            json.dumps([TOOLS["Label Studio"]] * 2000).encode(),
            "is a file of Label Studio, which is",
        ),
    ],
)
async def test_files_that_are_never_read(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """They are named by their suffix or by what stands in them, in a folder, too."""
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    for path in (file, tmp_path):
        with pytest.raises(FormatError, match=words):
            [each async for each in formats.PredictionFile(path)]


@pytest.mark.parametrize("name", ["a.json", "a.xml", "a.txt"])
def test_a_pointer_of_git(tmp_path: Path, name: str) -> None:
    """Those who clone a dataset without Git LFS have no labels, and are told why."""
    file = text(tmp_path / name, "version https://git-lfs.github.com/spec/v1\nsize 9\n")
    for path in (file, tmp_path):
        with pytest.raises(FormatError, match=f"{name} is a pointer of Git LFS; `git lfs pull`"):
            formats.sniff(path)


@pytest.mark.parametrize(
    ("format_name", "name"),
    [("voc", "b.xml"), ("labelme", "b.json"), ("yolo", "b.txt"), ("kitti", "label_2/b.txt")],
)
def test_pointers_of_git_among_labels(tmp_path: Path, format_name: str, name: str) -> None:
    """Each is one loss, which says what it is, as does an image that is not there."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    of_kitti = "Car 0 0 -1.79 296 161 455 292 2.0 1.8 4.4 -4.5 1.8 13.4 -2.1"
    lines = {"yolo": "0 0.5 0.5 0.5 0.5", "kitti": of_kitti}
    whole = text(tmp_path / name.replace("b.", "a."), lines.get(format_name, ""))
    if format_name == "voc":
        text(whole, "<annotation/>")
    elif format_name == "labelme":
        labelme(whole, shape("car", TRIANGLE))
    text(tmp_path / "classes.txt", "car")
    text(tmp_path / name, pointer)
    text(tmp_path / "c.jpg", pointer)
    text(tmp_path / "c.txt", "0 0.5 0.5 0.5 0.5")
    report = formats.read(tmp_path, format_name, images=tmp_path).losses  # type: ignore[arg-type]
    told = f"{tmp_path / name}: it is a pointer of Git LFS; `git lfs pull` fetches the file itself"
    assert [each for each in report.items if told in each.examples and each.count == 1]
    assert format_name != "yolo" or "c.jpg: it is a pointer of Git LFS" in str(report)


@pytest.mark.parametrize("tool", ["PaliGemma", "Hugging Face (metadata)"])
async def test_lines_that_are_not_read(tmp_path: Path, tool: str) -> None:
    """Lines with no key of the service's own format are refused, however many they are."""
    (line,) = TOOLS[tool]
    file = text(tmp_path / "a.jsonl", f"{json.dumps(line)}\n" * 2000)
    for path in (file, tmp_path):
        with pytest.raises(FormatError, match=f"{re.escape(tool)}, which is not supported"):
            [each async for each in formats.PredictionFile(path)]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
async def test_items_without_a_key_of_ours(tmp_path: Path, name: str) -> None:
    """They are of no known format, unless one is named."""
    file = text(tmp_path / name, '[{"a": 1}]' if name == "a.json" else '{"a": 1}')
    with pytest.raises(FormatError, match="no known format"):
        [each async for each in formats.PredictionFile(file)]
    named = formats.PredictionFile(file, format=name[2:])
    assert [each async for each in named] == [{"a": 1}]


def _coco_file(root: Path) -> Path:
    return text(root / "coco.json", '{"images": [], "annotations": [], "categories": []}')


def _cvat_file(root: Path) -> Path:
    return text(root / "annotations.xml", '<annotations><image id="0" name="a.png"/></annotations>')


def _leads_nowhere(root: Path) -> Path:
    return text(root / "x.yaml", "names: [car]\ntrain: nowhere\n")


@pytest.mark.parametrize(
    ("makes", "names"),
    [
        ((_cvat_file, _coco_file), ["cvat", "coco"]),
        ((_leads_nowhere, _cvat_file), ["yolo", "cvat"]),
        ((_yolo("0 0.5 0.5 0.5 0.5"), _coco_file), ["yolo", "coco"]),
        ((_label_2, _voc), ["kitti", "voc"]),
    ],
)
def test_several_formats_in_a_folder_are_refused(
    tmp_path: Path, makes: tuple[Callable[[Path], Path], ...], names: list[str]
) -> None:
    """All are named, whether a file's name or its content tells them."""
    for make in makes:
        make(tmp_path)
    with pytest.raises(
        FormatError, match=r"several formats: .*choose with format=\.\.\."
    ) as caught:
        formats.sniff(tmp_path)
    assert all(f"({name})" in str(caught.value) for name in names)


@pytest.mark.parametrize("name", [each.name for each in formats.FORMATS])
def test_nothing_of_a_format_is_an_error(tmp_path: Path, name: Any) -> None:
    """An empty folder, a pipe and what is not there: each format says so, and waits for nothing."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "pipe", tmp_path / "gone"):
        with pytest.raises(FormatError, match=str(path)):
            formats.read(path, name, classes=["a"])


def test_a_folder_of_coco_is_read_together(tmp_path: Path) -> None:
    """What its files say of one image is joined; a part is those files that name it.

    Other files there are passed over.
    """
    text(tmp_path / "settings.json", "{}")
    for part in ("train", "valid"):
        whole = {
            "images": [{"id": 1, "file_name": f"{part}.png", "width": 200, "height": 100}],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        }
        text(tmp_path / part / "_annotations.coco.json", orjson.dumps(whole))
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, len(each.objects)) for each in images] == [
        ("train.png", 1),
        ("valid.png", 1),
    ]
    assert not lost
    text(tmp_path / "trainval.json", (tmp_path / "valid" / "_annotations.coco.json").read_bytes())
    for part in ("valid", "val", "train", "trainval"):
        (image,), _ = read(open_dataset(tmp_path, split=part))
        assert image.name == ("train.png" if part == "train" else "valid.png")
    with pytest.raises(FormatError, match="files of COCO with 'test' in their names"):
        open_dataset(tmp_path, "coco", split="test")
    with pytest.raises(FormatError, match="is one file, which has no parts; leave out split"):
        open_dataset(tmp_path / "trainval.json", split="train")


def test_images_of_one_name_beside_several_files_of_coco(tmp_path: Path) -> None:
    """Each part may have a ``1.png``: they are told apart by their folders, in all files."""
    for part, kind in (("train", "a"), ("val", "b"), ("train", "c"), ("z", "d")):
        whole = {
            "images": [{"id": 1, "file_name": "1.png", "width": 200, "height": 100}],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [{"id": 1, "image_id": 1, "caption": kind}],
        }
        text(tmp_path / part / f"{kind}.json", orjson.dumps(whole))
        picture(tmp_path / "train" / "1.png")
        picture(tmp_path / "val" / "1.png")
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, each.captions) for each in images] == [
        ("train/1.png", ["a", "c"]), ("val/1.png", ["b"]), ("1.png", ["d"])
    ]  # fmt: skip
    assert not lost


@pytest.mark.parametrize(
    ("files", "name", "names"),
    [
        (["a/a.json", "a/b.json"], "1.png", ["1.png"]),
        (["a/a.json", "z/b.json"], "1.png", ["1.png"]),
        (["0/b.json", "a/a.json"], "1.png", ["1.png"]),
        (["a/a.json", "b/b.json"], "1.png", ["a/1.png", "b/1.png"]),
        (["b/a.json", "a/b.json"], "../b/1.png", ["../b/1.png"]),
        (["a/a.json", "b/b.json"], "{outside}", ["{outside}"]),
    ],
    ids=[
        "one folder",
        "first beside it",
        "last beside it",
        "two folders",
        "one image",
        "an image elsewhere",
    ],
)
def test_images_of_coco_told_apart_only_if_they_are_two(
    tmp_path: Path, files: list[str], name: str, names: list[str]
) -> None:
    """An image of two files keeps its name, unless each file has its own image beside it."""
    home, outside = tmp_path / "set", str(tmp_path / "1.png")
    for each in (home / "a" / "1.png", home / "b" / "1.png", tmp_path / "1.png"):
        picture(each)
    for listed in (files, files[::-1]):
        for at, file in enumerate(listed):
            image = {"id": 1, "file_name": name.format(outside=outside)}
            shown = [{"id": 1, "image_id": 1, "caption": str(at)}]
            text(home / file, orjson.dumps({"images": [image], "annotations": shown}))
        images, _ = read(open_dataset(home, "coco"))
        assert [each.name for each in images] == [each.format(outside=outside) for each in names]
    alone = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": []}
    text(home / files[0], orjson.dumps(alone))
    text(home / files[1], orjson.dumps({**alone, "images": []}))
    assert [each.name for each in read(open_dataset(home, "coco"))[0]] == ["1.png"]


def test_values_and_configuration_in_one_call(tmp_path: Path) -> None:
    """Outlines become polygons where nothing is said; a mapping says otherwise."""
    labelme(tmp_path / "a.json", shape("Traffic Light", TRIANGLE))
    found = formats.read(tmp_path)
    (annotation,) = found.images[0].annotations
    assert (annotation.key, annotation.shape.type, bool(found.losses)) == (
        "traffic_light",
        "POLYGON",
        False,
    )
    (entry,) = formats.label_config(tmp_path).entries
    assert (entry.key, entry.value, entry.type) == ("traffic_light", "Traffic Light", "POLYGON")
    boxes = formats.read(tmp_path, mapping=formats.LabelMapping(shape="rectangle"))
    assert boxes.losses.count(LossKind.OUTLINE) == 1
