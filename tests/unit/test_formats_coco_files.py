"""COCO files as people have them: joined by image, and read but for what is broken in them."""

from __future__ import annotations

import gc
import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datagym_async import formats
from datagym_async.exceptions import ConfigurationError
from datagym_async.formats import FormatError, LabelMapping, LossKind, LossReport, coco
from datagym_async.formats import _table as formats_table
from datagym_async.formats._losses import BrokenError, Losses
from datagym_async.formats._masks import compress, decode, trace
from datagym_async.formats._raw import Category, RawImage, RawObject
from datagym_async.formats.coco import _reading
from datagym_async.formats.coco._reading import Source, categories_of, open_dataset
from datagym_async.labels import Polygon
from tests.helpers.coco_files import NUMPY_2, coco_files

pytestmark = pytest.mark.filterwarnings(NUMPY_2)

IMAGE = {"id": 1, "file_name": "a.jpg", "width": 20, "height": 10}
CAR = {"id": 3, "name": "car", "supercategory": "vehicle"}
DOG = {"id": 4, "name": "dog"}
PERSON = {"id": 5, "name": "person", "keypoints": ["nose", "eye"], "skeleton": [[1, 2]]}
BOX = [1, 2, 3, 4]
RING = [1, 1, 5, 1, 5, 4, 1, 4]


def document(*annotations: Any, images: Any = (IMAGE,), categories: Any = (CAR, DOG)) -> Any:
    """A COCO file of lists."""
    lists = {"images": images, "annotations": annotations, "categories": categories}
    return {name: list(each) for name, each in lists.items()}


def annotation(**members: Any) -> dict[str, Any]:
    """An annotation of a car on the first image."""
    return {"image_id": 1, "category_id": 3, "bbox": BOX, **members}


def opened(*sources: Source, images: Source | None = None) -> tuple[list[RawImage], LossReport]:
    """All images, and what was lost."""
    losses = Losses()
    found = [*open_dataset(*sources, images=images).images(losses)]
    return found, losses.report()


def objects(*sources: Source, images: Source | None = None) -> tuple[list[RawObject], LossReport]:
    """All objects on all images, and what was lost."""
    found, losses = opened(*sources, images=images)
    return [each for image in found for each in image.objects], losses


def counts(losses: LossReport) -> dict[str, int]:
    """How often each kind of loss occurred."""
    return {each.kind.value: each.count for each in losses.items}


def saved(path: Path, content: Any) -> Path:
    """A file of JSON."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# --- Files and documents, in any order ------------------------------------------------------------


def test_a_file_is_what_it_holds(tmp_path: Path) -> None:
    """A file gives what its document gives, whichever member stands first."""
    instances, captions = coco_files(images=40, annotations=300)
    expected, _ = opened(instances, captions)
    turned = dict(reversed(instances.items()))
    found, losses = opened(saved(tmp_path / "i.json", turned), saved(tmp_path / "c.json", captions))
    assert not losses
    assert [each.name for each in found] == [each.name for each in expected]
    for image, other in zip(found, expected, strict=True):
        assert image.captions == other.captions
        for each, same in zip(image.objects, other.objects, strict=True):
            place = each.where.removeprefix("i.json: ")
            assert same.where == f"the COCO document: {place}"
            each.where = same.where
            assert each == same


def test_it_is_read_as_often_as_asked() -> None:
    """Images and losses are the same each time, also of two readings at once."""
    dataset = open_dataset(document(annotation(), annotation(image_id=9)))
    first, second = Losses(), Losses()
    pairs = [*zip(dataset.images(first), dataset.images(second), strict=True)]
    assert [one.name for one, _ in pairs] == ["a.jpg"]
    assert pairs[0][0].objects == pairs[0][1].objects
    assert counts(first.report()) == counts(second.report()) == {"unknown_image": 1}


def test_the_database_goes_with_the_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept on the disk is gone once nobody has the dataset, also half-way."""
    closed = []

    class Connection(sqlite3.Connection):
        def close(self) -> None:
            closed.append(True)
            super().close()

    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **named: connect(*a, **named, factory=Connection)
    )
    images = open_dataset(document(annotation())).images(Losses())
    assert next(images).name == "a.jpg"
    assert not closed
    del images
    gc.collect()
    assert closed == [True]


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the database has no room, the error says whose it is and how to have it elsewhere."""
    tables = f"PRAGMA max_page_count = 10;{_reading._TABLES}"
    monkeypatch.setattr(_reading, "_TABLES", tables)
    given = saved(
        tmp_path / "coco.json", document(*(annotation(note="x" * 999) for _ in range(99)))
    )
    with pytest.raises(FormatError, match=r"is full; free some space, or name .* SQLITE_TMPDIR"):
        open_dataset(given)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """Other encodings of Unicode, and a mark before the text, are taken."""
    text = json.dumps(document(annotation(note="über")), ensure_ascii=False)
    (tmp_path / "coco.json").write_bytes(text.encode(encoding))
    (found,), losses = objects(tmp_path / "coco.json")
    assert (found.box, found.extra, counts(losses)) == ((1, 2, 3, 4), {"note": "über"}, {})


def test_other_members_may_be_anything(tmp_path: Path) -> None:
    """What is not read of a file may be of any kind and size, and look like what is read."""
    others = (
        b'"info": NaN, "a": "},{", "images2": [{"}],{": [1, {"]": -1.5e3}]}], "licenses": null,'
    )
    text = b"{%b %b}" % (others, json.dumps(document(annotation())).encode()[1:-1])
    (tmp_path / "coco.json").write_bytes(text)
    found, losses = objects(tmp_path / "coco.json")
    assert (len(found), counts(losses)) == (1, {})


def test_what_python_writes_for_no_number(tmp_path: Path) -> None:
    """NaN in a member that is not read costs nothing; in a box it costs the box alone."""
    nan = float("nan")
    given = document(annotation(area=nan, note="NaN"), annotation(bbox=[1, 2, nan, 4]))
    (found,), losses = objects(saved(tmp_path / "coco.json", given))
    assert (found.box, found.extra) == ((1, 2, 3, 4), {"note": "NaN"})
    assert counts(losses) == {"broken": 1}
    assert "a.jpg: annotations[1]: it has no box of four numbers" in str(losses)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is not JSON: it is empty"),
        (b"{", "is not JSON: the name of a member is missing"),
        (b'{"images": [{"id": 1}', "is not JSON: it is cut off"),
        (b'{"images": [{"id": 1 2}]}', "is not JSON"),
        (b'{"images": []} x', "is not JSON: there is more text after its end"),
        (b"5", "is not JSON: { is missing before 5"),
        (b'{"images": ' + b"[" * 70, "nested deeper than 64 levels"),
        ("{}x".encode("utf-16")[:-1], "is not JSON: it is not in UTF-8; save it as UTF-8"),
        (
            '{"images": ["ü"]}'.encode("latin-1"),
            "is not JSON: it is not in UTF-8; save it as UTF-8",
        ),
        (b"{}", "is not a COCO file: it has no member images"),
        (b'{"images": {}}', "the member images must be a list of objects"),
        (b'{"images": null}', "the member images must be a list of objects"),
        (b'{"images": [], "annotations": 5}', "the member annotations must be a list"),
        (b'{"images": []}', "has no image in its list images"),
        (b'{"images": [{"id": 1}]}', "images[0]: it needs id and file_name"),
        (b"[]", "has results, which name images and categories by their numbers"),
    ],
)
def test_what_is_no_coco_file(tmp_path: Path, text: bytes, said: str) -> None:
    """What cannot be read as a whole is refused, with its path and what is wrong."""
    path = tmp_path / "coco.json"
    path.write_bytes(text)
    with pytest.raises(FormatError) as refused:
        open_dataset(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


# --- One bad record -------------------------------------------------------------------------------


def test_bad_records_are_told_one_by_one(tmp_path: Path) -> None:
    """What is no image, class or annotation is one loss with its index, and the rest is read."""
    given = document(
        None,
        annotation(),
        annotation(image_id=None),
        annotation(category_id=None),
        annotation(image_id=2),
        annotation(bbox=None),
        images=[{"id": 2}, IMAGE, 5, {"file_name": "b.jpg"}],
        categories=[
            {"id": 1},
            CAR,
            {"id": 0, "name": "nothing"},
            "x",
            {"name": "cat", "id": True},
            {"id": 7, "name": ""},
        ],
    )
    for source in (given, saved(tmp_path / "coco.json", given)):
        (found,), losses = objects(source)
        assert found.where == "annotations[1]"
        assert counts(losses) == {
            "record": 7,
            "broken": 2,
            "unknown_image": 2,
            "unknown_category": 1,
        }
        assert "images[0]: it needs id and file_name" in str(losses)
        assert "a.jpg: annotations[5]: it has neither a box nor an outline" in str(losses)
    assert not coco.read(document(annotation(category_id=None))).images  # it is labelled


@pytest.mark.parametrize("number", [3, 3.0, "3", "3.0"])
def test_numbers_that_mean_one_integer(number: Any) -> None:
    """Ids, widths and heights are numbers as texts and with a point, too."""
    image = {"id": 1, "file_name": "a.jpg", "width": "20", "height": 10.0}
    given = document(annotation(category_id=number, image_id="1"), images=[image])
    (found,), losses = opened(given)
    assert (found.width, found.height) == (20, 10)
    assert [each.category.name for each in found.objects] == ["car"]
    assert not losses
    given = document(annotation(), categories=[{**CAR, "id": number}])
    assert [each.category.id for each in objects(given)[0]] == [3]


def test_ids_that_are_no_numbers() -> None:
    """Images may have ids of letters, and such as no database holds as a number."""
    for own in ("0007", "a-b", 2**70, 2**63, 2**63 - 1):
        given = document(annotation(image_id=own), images=[{**IMAGE, "id": own}])
        assert len(objects(given)[0]) == 1
    for none in ("", True, 1.5, None, [1]):
        assert counts(objects(document(annotation(image_id=none)))[1]) == {"unknown_image": 1}
        found, losses = opened(document(images=[IMAGE, {**IMAGE, "id": none}]))
        assert ([each.name for each in found], counts(losses)) == (["a.jpg"], {"record": 1})


def test_categories_whose_ids_are_no_numbers() -> None:
    """A class is known by its name: its id is any text, also if another one is a number."""
    names = {"6f9619ff-8b86": "car", "b": "dog", "0007": "cat", "7": "cow"}
    listed = [{"id": own, "name": name, "keypoints": [0, 1]} for own, name in names.items()]
    given = document(
        *(annotation(category_id=own, keypoints=[1, 1, 2] * 2) for own in (*names, 7, "7.0", "x")),
        categories=listed,
    )
    found, losses = objects(given)
    assert [each.category.name for each in found] == ["car", "dog", "cat", "cow", "cow", "cow"]
    assert {each.category.keypoints for each in found} == {("0", "1")}
    assert counts(losses) == {"unknown_category": 1}
    assert [each.id for each in categories_of(given)] == [1, 2, 3, 7]
    for bad in (3, None, {"id": 3}, {"id": 3, "name": ["x"]}, {"id": 3, "name": True}):
        with pytest.raises(FormatError, match=r"document: categories\[0\]: it needs id and name"):
            categories_of({"categories": [bad]})
    given["categories"].append({"id": "b", "name": "bee"})
    assert counts(opened(given)[1]) == {"unknown_category": 1, "ambiguous": 1}


def test_categories_without_a_list() -> None:
    """Where no categories are listed, annotations are told, and captions are read."""
    given = document(annotation(), {"image_id": 1, "caption": "A car."})
    for nothing in ({"categories": None}, {}):
        given.pop("categories", None)
        (found,), losses = opened({**given, **nothing})
        assert found.captions == ["A car."]
        assert counts(losses) == {"unknown_category": 1}
    (found,), losses = opened({**document(), "annotations": None})
    assert (found.objects, counts(losses)) == ([], {})


def test_the_group_of_roboflow_is_no_class(tmp_path: Path) -> None:
    """Its first category groups the others; a class with the same name keeps that name."""
    group = {"id": 0, "name": "goal", "supercategory": "none"}
    goal = {"id": 1, "name": "goal", "supercategory": "goal"}
    bare = {"id": 2, "name": "ball", "supercategory": "none"}  # groups nothing
    given = document(annotation(category_id=1), categories=[group, goal, bare])
    dataset = open_dataset(given)
    assert [each.names for each in dataset.categories] == [("goal", "goal"), ("ball", "none")]
    (found,), losses = objects(given)
    assert (found.category.names, counts(losses)) == (("goal", "goal"), {})
    del given["categories"][2]
    read, config = coco.read(given), coco.label_config(given)
    formats.write(read.images, tmp_path / "yolo", "yolo", config=config)
    assert '\n  0: "goal"\n' in (tmp_path / "yolo" / "data.yaml").read_text()
    # A group that is drawn is a class, too.
    given["annotations"].append(annotation(category_id=0, bbox=[0, 0, 9, 9]))
    assert len(open_dataset(given).categories) == 2
    assert len(objects(given)[0]) == 2


def test_a_supercategory_called_none() -> None:
    """Converters of Pascal VOC write it where there is none; the official SDK makes it an entry."""
    bare = [{"id": 3, "name": "car", "supercategory": "none"}, {**DOG, "supercategory": "none"}]
    given = document(annotation(), annotation(category_id=4), categories=bare)
    assert [(each.key, each.children) for each in coco.label_config(given).entries] == [
        ("car", ()), ("dog", ())
    ]  # fmt: skip
    read = coco.read(given)
    assert [each.key for each in read.images[0].annotations] == ["car", "dog"]
    assert not read.losses
    as_sdk = coco.read(given, mapping=LabelMapping(sdk=True)).images[0].annotations
    assert [each.key for each in as_sdk] == ["none", "none"]


def test_the_parts_of_a_category() -> None:
    """A skeleton or keypoints that cannot be read do not cost the class."""
    flat = {**PERSON, "skeleton": [1, 2]}
    beyond = {**PERSON, "id": 6, "name": "cyclist", "skeleton": [[3, 1], [1, 2]]}
    worse = {"id": 7, "name": "robot", "keypoints": "nose", "supercategory": None}
    from_0 = {**PERSON, "id": 8, "name": "rider", "skeleton": [[0, 1], ["1", 0.0]]}
    losses = Losses()
    dataset = open_dataset(document(categories=[flat, beyond, from_0, worse]))
    assert [each.name for each in dataset.images(losses)] == ["a.jpg"]
    assert dataset.categories == (
        Category(5, "person", "", ("nose", "eye")),
        Category(6, "cyclist", "", ("nose", "eye"), ((1, 2),)),
        Category(8, "rider", "", ("nose", "eye"), ((1, 2), (2, 1))),
        Category(7, "robot"),
    )
    assert counts(losses.report()) == {"class_part": 3}
    assert "categories[0]: skeleton must be pairs of numbers of its 2 keypoints" in str(
        losses.report()
    )
    for part in ({"skeleton": 5}, {"skeleton": [["a", 1], [1.5, 2]]}, {"keypoints": ["nose", 5.5]}):
        losses = Losses()
        dataset = open_dataset(document(categories=[{**PERSON, "skeleton": [], **part}]))
        list(dataset.images(losses))
        assert (dataset.categories[0].skeleton, counts(losses.report())) == ((), {"class_part": 1})


# --- Each part of an object stands for itself -----------------------------------------------------


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"bbox": None}, ""),
        ({"bbox": []}, ""),
        ({"bbox": [1, 2, 3]}, "it has no box of four numbers"),
        ({"bbox": [1, 2, -3, 4]}, "its box has a width or height below 0"),
        ({"bbox": [1, 2, 3, -4]}, "its box has a width or height below 0"),
        ({"bbox": "1 2 3 4"}, "it has no box of four numbers"),
        ({"bbox": [True, 2, 3, 4]}, "it has no box of four numbers"),
        ({"bbox": [1e300, 2, 3, 4]}, "it has no box of four numbers"),
        ({"bbox": [1, 2], "bbox_mode": 0}, "it has no box of four numbers"),
        ({"bbox": "x", "bbox_mode": 0}, "it has no box of four numbers"),
        ({"bbox": [5, 6, 3, 4], "bbox_mode": 0}, "its box has a width or height below 0"),
        ({"bbox": [1, 2, 3, 4], "bbox_mode": 2}, "its bbox_mode is neither 0 (two corners)"),
        ({"bbox": [1, 2, 3, 4], "bbox_mode": [0]}, "its bbox_mode is neither 0 (two corners)"),
    ],
)
def test_a_bad_box_keeps_the_outline(members: dict[str, Any], said: str) -> None:
    """A box that is missing or broken does not cost the outline."""
    (found,), losses = objects(document(annotation(segmentation=[RING], **members)))
    assert (found.box, [*found.parts]) == (None, [[[(1, 1), (5, 1), (5, 4), (1, 4)]]])
    assert counts(losses) == ({"part": 1} if said else {})
    assert said in str(losses)


@pytest.mark.parametrize(
    ("mode", "box"), [(0, (1, 2, 4, 5)), (1, (1, 2, 5, 7)), (None, (1, 2, 5, 7))]
)
def test_a_box_is_read_as_its_mode_says(mode: int | None, box: tuple[int, ...]) -> None:
    """Detectron2 writes two corners, or a corner and the size; what is said of it is not kept."""
    (found,), losses = objects(document(annotation(bbox=[1, 2, 5, 7], bbox_mode=mode)))
    assert (found.box, found.extra, counts(losses)) == (box, {}, {})


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([], ""),
        ([[]], ""),
        (None, ""),
        ("no", "must be a list of polygons, or a mask"),
        ([[1, 2, 3, 4]], "a polygon of fewer than 3 points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "a polygon of 7 numbers, which are not pairs of x and y"),
        ([1, 2, 3, 4, 5], "a polygon of 5 numbers, which are not pairs of x and y"),
        ([["a", "b"]], "a polygon must be a list of numbers"),
        ([None], "a polygon must be a list of numbers"),
        ([5], "a polygon of 1 numbers, which are not pairs of x and y"),
        ([[BOX]], "a polygon must be a list of numbers"),
        ({"size": [10, 20], "counts": [1, 1]}, "counts cover 2 pixels of 200"),
        ({"size": [10, 20], "counts": [-1, 201]}, "counts must be numbers of pixels"),
        ({"size": [10], "counts": [200]}, "size must be height and width in pixels"),
        ({"counts": [200]}, "size must be height and width in pixels"),
        ({"size": [10, "20"], "counts": [200]}, "size must be height and width in pixels"),
        ({"size": [0, 20], "counts": []}, "size must be height and width in pixels"),
        (
            {"size": [1 << 15, 1 << 14], "counts": [1 << 29]},
            "of 32768 by 16384 pixels is too large",
        ),
        ({"size": [10, 20], "counts": ["200"]}, "counts must be numbers of pixels"),
        ({"size": [10, 20]}, "counts must be a list, or text in compressed form"),
        ({"size": [10, 20], "counts": 5}, "counts must be a list, or text in compressed form"),
        ({"size": [10, 20], "counts": ""}, "counts must be a list, or text in compressed form"),
    ],
)
def test_a_bad_outline_keeps_the_box(segmentation: Any, said: str) -> None:
    """An outline that is missing or broken does not cost the box; each fault has a sentence."""
    (found,), losses = objects(document(annotation(segmentation=segmentation)))
    assert (found.box, [*found.parts], found.mask) == ((1, 2, 3, 4), [], None)
    assert counts(losses) == ({"part": 1} if said else {})
    assert said in str(losses)


@pytest.mark.parametrize(
    "segmentation",
    [
        [RING],
        RING,
        [[1, 1], [5, 1], [5, 4], [1, 4]],
        [[[1, 1], [5, 1], [5, 4], [1, 4]]],
        [["1", 1.0, 5, 1, 5, 4, 1, 4]],
    ],
)
def test_one_polygon_in_any_form(segmentation: Any) -> None:
    """A flat list, and pairs of x and y, are one polygon."""
    (found,), losses = objects(document(annotation(segmentation=segmentation)))
    assert [*found.parts] == [[[(1, 1), (5, 1), (5, 4), (1, 4)]]]
    assert not losses


def test_parts_of_an_outline() -> None:
    """Each is one polygon; those that are none cost no other."""
    ring = [(1, 1), (5, 1), (5, 4), (1, 4)]
    triples = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    wrong: list[Any] = [[triples], [5], [["x"]], [None]]
    for more, faults in (([], 0), ([RING, RING], 0), *((each, 1) for each in wrong)):
        parts = [RING, [[*each] for each in zip(RING[::2], RING[1::2], strict=True)], *more]
        (found,), losses = objects(document(annotation(segmentation=parts)))
        assert [*found.parts] == [[ring]] * (2 + len(more) - faults)
        assert counts(losses) == ({"part": 1} if faults else {})


@pytest.mark.parametrize(
    ("keypoints", "kept", "said"),
    [
        ([2, 3, 2, 4, 3, 1], [(2, 3, 2), (4, 3, 1)], ""),
        ([2, 3, 2, 0, 0, 0], [(2, 3, 2), None], ""),
        ([0] * 51, [], ""),
        ([[2, 3, 2], [4, 3, 1]], [(2, 3, 2), (4, 3, 1)], ""),
        ([2, 3, 2], [], "keypoints must be 6 numbers"),
        ("no", [], "keypoints must be 6 numbers"),
        (5, [], "keypoints must be 6 numbers"),
        ({"nose": [2, 3, 2]}, [], "keypoints must be 6 numbers"),
        ([[2, 3], [2, 4], [3, 1]], [], "keypoints must be 6 numbers"),
        ([None, 3, 2, 4, 3, 1], [None, (4, 3, 1)], "has no x and y that are numbers"),
        ([2, None, 2, 4, 3, 1], [None, (4, 3, 1)], "has no x and y that are numbers"),
        ([2, 3, 7, 4, 3, 1], [None, (4, 3, 1)], "visibility must be 0, 1 or 2, not 7"),
        ([2, 3, "x", 4, 3, 1], [None, (4, 3, 1)], "visibility must be 0, 1 or 2, not inf"),
        ([None, None, 2, 4, 3, 1], [None, (4, 3, 1)], "has no x and y that are numbers"),
        # Not labelled, as pandas writes it, and scores of a model.
        ([None, math.nan, None, 4, 3, 1], [None, (4, 3, 1)], ""),
        ([math.nan] * 6, [], ""),
        ([2, 3, 0.93, "4", "3", "0.1"], [(2, 3, 2), (4, 3, 2)], ""),
    ],
)
def test_bad_keypoints_keep_the_box(keypoints: Any, kept: list[Any], said: str) -> None:
    """Keypoints that cannot be read do not cost the box, nor the other keypoints."""
    given = document(annotation(category_id=5, keypoints=keypoints), categories=[PERSON])
    (found,), losses = objects(given)
    assert (found.box, [*found.keypoints]) == ((1, 2, 3, 4), kept)
    assert counts(losses) == ({"part": 1} if said else {})
    assert said in str(losses)


def test_keypoints_without_names() -> None:
    """Where no file names the keypoints of a class, they are kept and called by their numbers."""
    given = document(annotation(keypoints=[2, 3, 2, 4, 3, 1]), annotation(keypoints=[0] * 9))
    losses = Losses()
    dataset = open_dataset(given)
    (image,) = dataset.images(losses)
    assert [each.keypoints for each in dataset.categories] == [("keypoint 1", "keypoint 2"), ()]
    assert [[*each.keypoints] for each in image.objects] == [[(2, 3, 2), (4, 3, 1)], []]
    assert counts(losses.report()) == {"unnamed": 1}
    given["annotations"][1]["keypoints"] = [1, 1, 2]  # so that nobody knows how many it has
    assert counts(opened(given)[1]) == {"part": 2}


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ((), ("keypoint 1", "keypoint 2")),
        (("nose", "eye"), ("nose", "eye")),
        (("nose", "eye", "ear"), ()),
    ],
)
def test_keypoints_without_names_in_several_files(
    names: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    """Those of each file are kept, and named as another file does, if it has as many."""
    person = {"id": 5, "name": "person"}
    points = annotation(category_id=5, keypoints=[2, 3, 2, 4, 3, 1])
    first = document(points, categories=[person])
    second = document(points, images=[{**IMAGE, "file_name": "b.jpg"}], categories=[person])
    third = document(categories=[{**person, "keypoints": names}])
    losses = Losses()
    dataset = open_dataset(first, second, third)
    found = [one for image in dataset.images(losses) for one in image.objects]
    assert [each.category.keypoints for each in found] == [kept or names] * 2
    assert [[*each.keypoints] for each in found] == [[(2, 3, 2), (4, 3, 1)] if kept else []] * 2
    told = {"unnamed": 1} if not names else {} if kept else {"part": 2}
    assert counts(losses.report()) == told


def test_a_mask_in_a_list() -> None:
    """A list of one mask, as pycocotools encodes a stack of one, is that mask; of two, none."""
    mask = compress(np.ones((10, 20), np.uint8))
    found, losses = objects(
        document(annotation(segmentation=[mask]), annotation(segmentation=[mask, mask]))
    )
    assert [each.mask for each in found] == [mask, None]
    assert counts(losses) == {"part": 1}


def test_marks_in_any_form() -> None:
    """A crowd may be a number or a text; a score that is no number is kept as it is."""
    marks = [0, "0", None, [], "x", True, 1, "1", 1.0]
    found, losses = objects(document(*(annotation(iscrowd=each) for each in marks)))
    assert [each.crowd for each in found] == [False] * 5 + [True] * 4
    assert not losses
    scores = [0.5, "0.5", "high", None]
    found, _ = objects(document(*(annotation(score=each) for each in scores)))
    assert [(each.score, each.extra) for each in found] == [
        (0.5, {}), (0.5, {}), (None, {"score": "high"}), (None, {"score": None})
    ]  # fmt: skip


def test_what_it_has_more_of() -> None:
    """Where most objects have an outline and no box, boxes would be less than what is there."""
    boxes, outlines = annotation(segmentation=[RING]), annotation(bbox=None, segmentation=[RING])
    assert not open_dataset(document(boxes, outlines)).outlines
    assert open_dataset(document(boxes, outlines, outlines)).outlines


def test_nothing_left_is_one_loss() -> None:
    """An object of which no part can be read is one loss that says all of it."""
    found, losses = objects(document(annotation(bbox=[1], segmentation=[[1, 2]])))
    assert found == []
    assert counts(losses) == {"broken": 1}
    assert "it has no box of four numbers; a polygon of fewer than 3 points" in str(losses)


def test_a_caption_beside_a_box() -> None:
    """An annotation may be a caption and an object at once."""
    alone = {"image_id": 1, "category_id": 0, "caption": "A dog."}
    (image,), losses = opened(document(annotation(caption="A car."), alone))
    assert (image.captions, len(image.objects)) == (["A car.", "A dog."], 1)
    assert not losses
    drawn: Any = [{"segmentation": [RING]}, {"category_id": 5, "keypoints": [1, 2, 2, 0, 0, 0]}]
    beside = [{**annotation(caption="", **each), "bbox": None} for each in drawn]
    found, losses = objects(document(*beside, categories=[CAR, PERSON]))
    assert ([len(each.parts) for each in found], found[1].keypoints) == ([1, 0], [(1, 2, 2), None])
    assert not losses


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [10, 2], "counts": [20]},
        {"size": [2, 20], "counts": [40]},
        {"size": [10, 20], "counts": "zzzzzz"},
        {"size": [10, 20], "counts": "01"},
        {"size": [10, 20], "counts": "x"},
        {"size": [10, 20], "counts": "\u00ff"},
    ],
    ids=[
        "of another width",
        "of another height",
        "negative",
        "too short",
        "unfinished",
        "no letter",
    ],
)
def test_a_mask_without_sense(rle: dict[str, Any]) -> None:
    """It is one part that cannot be read, and no pixel of it is made up; the box is kept."""
    given = document(annotation(segmentation=rle))
    read = coco.read(given, mapping=LabelMapping(shape="polygon"))
    assert [each.shape for each in read.images[0].annotations] == [
        Polygon([(1, 2), (4, 2), (4, 6), (1, 6)])
    ]
    assert counts(read.losses) == {"part": 1, "box": 1}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (70, 90)])
def test_masks_come_back_pixel_for_pixel(height: int, width: int, share: float) -> None:
    """What pycocotools compresses is decoded as it was, however many and however long the runs."""
    mask = (np.random.default_rng(height).random((height, width)) < share).astype(np.uint8)
    assert (decode(compress(mask)) == mask).all()
    assert compress(mask)["size"] == [height, width]


def test_holes_are_those_of_their_segment() -> None:
    """Also the second one in a row, those of others beside it, and one around another segment."""
    rows = (
        *("1111100000", "1010100000", "1111100000"),
        *("0000011111", "0000010001", "0000010101", "0000010001", "0000011111"),
    )
    first, second, inner = trace(np.array([[int(each) for each in row] for row in rows]))
    assert [each[0] for each in (first.outline, *first.holes)] == [(0, 0), (1, 1), (3, 1)]
    assert [each[0] for each in (second.outline, *second.holes)] == [(5, 3), (6, 4)]
    assert inner == ([(7, 5), (8, 5), (8, 6), (7, 6)], [])


def test_a_mask_of_an_image_without_a_size() -> None:
    """Its own size is enough, and its text may be bytes, as programs have it in memory."""
    mask = np.zeros((10, 20), np.uint8)
    mask[2:5, 3:8] = 1
    rle = compress(mask)
    for text in (rle["counts"], rle["counts"].encode()):
        assert (decode({**rle, "counts": text}) == mask).all()
    given = document(annotation(segmentation=rle), images=[{"id": 1, "file_name": "a.jpg"}])
    (image,) = coco.read(given, mapping=LabelMapping(shape="polygon")).images
    assert image.annotations[0].shape == Polygon([(3, 2), (8, 2), (8, 5), (3, 5)])
    with pytest.raises(BrokenError, match="not a run-length encoding"):
        decode({**rle, "counts": rle["counts"] + "P"})  # which says that more follows


def test_what_images_are_for(tmp_path: Path) -> None:
    """A list of results has its images and classes from there; files with their own need none."""
    instances, results = tmp_path / "instances_train.json", tmp_path / "results_train.json"
    instances.write_text(json.dumps(document(annotation())))
    results.write_text(json.dumps([{"image_id": 1, "category_id": 3, "bbox": BOX, "score": 0.9}]))
    (image,) = formats.read(results, "coco", images=instances).images
    assert (image.media_name, len(image.annotations)) == (IMAGE["file_name"], 1)
    alone = formats.read(instances, "coco").images
    for images in (tmp_path, instances):
        assert formats.read(instances, "coco", images=images).images == alone
    with pytest.raises(FormatError, match=r"no images; .* files of COCO with 'val' in their names"):
        formats.read(tmp_path, "coco", split="val")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"looked for \.json files of COCO$"):
        formats.read(tmp_path / "empty", "coco")


# --- What stands twice ----------------------------------------------------------------------------


def test_two_images_of_one_id() -> None:
    """Neither takes the labels of the other: both are left out by name, with what is on them."""
    images = [IMAGE, {**IMAGE, "file_name": "b.jpg"}, {**IMAGE, "id": 2, "file_name": "c.jpg"}]
    found, losses = opened(document(annotation(), annotation(image_id=2), images=images))
    assert [(each.name, len(each.objects)) for each in found] == [("c.jpg", 1)]
    assert counts(losses) == {"clash": 2, "ambiguous": 1}
    assert "id 1 is that of b.jpg and of a.jpg" in str(losses)
    assert losses.is_loss


def test_three_images_of_one_id() -> None:
    """The third is left out, too."""
    images = [{**IMAGE, "file_name": name} for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    images[3]["id"] = 2
    found, losses = opened(document(annotation(), images=images))
    assert [each.name for each in found] == ["d.jpg"]
    assert counts(losses) == {"clash": 3, "ambiguous": 1}


@pytest.mark.parametrize("other", [1, 2])
def test_two_images_of_one_name(other: int) -> None:
    """They are one image, which is told; of two sizes they are none."""
    images = [{"id": 1, "file_name": "a.jpg"}, {**IMAGE, "id": other}]
    given = document(annotation(), annotation(image_id=other), images=images)
    (found,), losses = opened(given)
    assert (found.width, len(found.objects), counts(losses)) == (20, 2, {"doubled": 1})
    bare = {"id": 8, "file_name": "a.jpg"}
    assert [each.width for each in opened(given, document(images=[bare]))[0]] == [20]
    assert counts(opened(document(), document(images=[IMAGE, bare]))[1]) == {"doubled": 1}
    images.append({**IMAGE, "id": 7, "width": 99})
    with pytest.raises(FormatError, match="listed with two sizes, 20 by 10 and 99 by 10"):
        opened({**given, "images": images})


def test_two_categories_of_one_id() -> None:
    """Of one name they are one, which is told; of two names their annotations are left out."""
    same = document(annotation(), categories=[CAR, CAR])
    assert counts(objects(same)[1]) == {"doubled_class": 1}
    given = document(
        annotation(), annotation(category_id=4), categories=[CAR, {**DOG, "id": 3}, DOG]
    )
    (found,), losses = objects(given)
    assert found.category.name == "dog"
    assert counts(losses) == {"doubled_class": 1, "ambiguous": 1}
    assert "a.jpg: annotations[0]: id 3 is that of car and of dog" in str(losses)


def test_three_categories_of_one_id() -> None:
    """All three are named."""
    given = document(
        annotation(), categories=[CAR, {**DOG, "id": 3}, {**DOG, "id": 3, "name": "x"}]
    )
    found, losses = objects(given)
    assert (found, counts(losses)) == ([], {"ambiguous": 1})
    assert "id 3 is that of car and of dog and of x" in str(losses)


def test_a_category_that_names_its_keypoints_later() -> None:
    """Listed twice, it has the keypoints of the one that names them."""
    bare = {"id": 5, "name": "person"}
    given = annotation(category_id=5, keypoints=[1, 2, 2, 3, 4, 1])
    for categories in ([bare, PERSON], [PERSON, bare]):
        (found,), losses = objects(document(given, categories=categories))
        assert (found.keypoints, counts(losses)) == ([(1, 2, 2), (3, 4, 1)], {"doubled_class": 1})
        wrong = annotation(category_id=5, keypoints=[1, 2, 2])
        (_, found), losses = objects(document(wrong, given, categories=categories))
        assert found.keypoints == [(1, 2, 2), (3, 4, 1)]
        assert counts(losses) == {"doubled_class": 1, "part": 1}
    # Of two orders the first counts in its file; another file has its own.
    swapped = {**PERSON, "keypoints": ["eye", "nose"]}
    sources = [document({**given, "id": 1}, categories=[PERSON, swapped])]
    sources.append(document({**given, "id": 2}, categories=[swapped]))
    assert [each.keypoints for each in objects(*sources)[0]] == [
        [(1, 2, 2), (3, 4, 1)], [(3, 4, 1), (1, 2, 2)]
    ]  # fmt: skip


def test_two_ids_of_one_category() -> None:
    """A class is known by its name: two numbers of it are one class."""
    dataset = open_dataset(
        document(categories=[CAR, {**CAR, "id": 9}, {**CAR, "supercategory": ""}])
    )
    assert [each.names for each in dataset.categories] == [("car", "vehicle"), ("car", "")]


def test_blanks_around_names() -> None:
    """Blanks around the name of a class are no part of it, and blanks alone are no name."""
    padded = [{**DOG, "id": 6, "name": "dog "}, {"id": 7, "name": " "}, {**CAR, "name": " car"}]
    drawn = [annotation(category_id=each) for each in (3, 4, 6, 7)]
    found, losses = objects(document(*drawn, categories=[DOG, *padded]))
    assert [each.category.names for each in found] == [("car", "vehicle"), ("dog", ""), ("dog", "")]
    assert counts(losses) == {"doubled_class": 1, "record": 1, "unknown_category": 1}


def test_two_annotations_of_one_id() -> None:
    """They are two objects, and that is told."""
    found, losses = objects(document(annotation(id=1), annotation(id=1), annotation(id=2)))
    assert [each.number for each in found] == [1, "annotations[1]", 2]
    assert counts(losses) == {"same_number": 1}
    assert not losses.is_loss


def test_annotations_without_ids() -> None:
    """Each is an object of its own, also in two files, and is known by its place."""
    given = document(annotation(), annotation(id=None))
    assert [each.number for each in objects(given)[0]] == ["annotations[0]", "annotations[1]"]
    assert len({str(each.number) for each in objects(given, given)[0]}) == 2


def test_files_are_joined_by_number_and_name() -> None:
    """Instances and keypoints of one number are one object, in the order of all keypoints."""
    instances = document(annotation(id=1, category_id=5), categories=[{"id": 5, "name": "person"}])
    turned = {**PERSON, "id": 8, "keypoints": ["eye", "ear"], "skeleton": []}
    points = {"id": 1, "image_id": 4, "category_id": 8, "keypoints": [1, 1, 2, 2, 2, 2]}
    others = document(points, images=[{**IMAGE, "id": 4}], categories=[turned])
    first = document(annotation(id=7, category_id=5), categories=[PERSON])
    losses = Losses()
    dataset = open_dataset(first, instances, others)
    assert dataset.categories == (Category(5, "person", "", ("nose", "eye", "ear"), ((1, 2),)),)
    (image,) = dataset.images(losses)
    assert [(each.number, each.box, each.keypoints) for each in image.objects] == [
        (7, (1, 2, 3, 4), ()),
        (1, (1, 2, 3, 4), [None, (1, 1, 2), (2, 2, 2)]),
    ]
    assert not losses.report()


def test_the_skeleton_of_a_class_that_the_first_file_has_without_keypoints() -> None:
    """As instances and person_keypoints of COCO: it comes with the keypoints, and the id stays."""
    first = document(annotation(category_id=4), categories=[{"id": 4, "name": "person"}])
    second = document(images=[{**IMAGE, "id": 4}], categories=[PERSON])
    dataset = open_dataset(first, second)
    assert dataset.categories == (Category(4, "person", "", ("nose", "eye"), ((1, 2),)),)


def test_files_that_each_count_from_1() -> None:
    """Objects of one number whose boxes or outlines are others are two; rounding does not count."""
    outline = {"bbox": None, "segmentation": [[1, 2, 4, 2, 4, 6]]}
    other = {**outline, "segmentation": [[1, 2, 4, 2, 4, 7]]}
    first = document(annotation(id=1), annotation(id=2), annotation(id=3, **outline))
    rounded = [BOX[0] + 0.4, *BOX[1:]]
    moved = [BOX[0] + 1.5, *BOX[1:]]
    second = document(annotation(id=1, bbox=moved), annotation(id=2, bbox=rounded))
    second["annotations"].append(annotation(id=3, **other))
    losses = Losses()
    (image,) = open_dataset(first, second).images(losses)
    assert sorted(each.box[0] for each in image.objects if each.box) == [
        BOX[0], BOX[0] + 0.4, BOX[0] + 1.5
    ]  # fmt: skip
    assert len({str(each.number) for each in image.objects}) == len(image.objects) == 5
    assert counts(losses.report()) == {"same_number": 2}
    # One has the outline and the other the box, or both have the same outline: one object.
    for more in ({"bbox": BOX, "segmentation": None}, outline):
        sources = [document(annotation(id=3, **each)) for each in (outline, more)]
        for given in (sources, sources[::-1]):
            (found,), _ = objects(*given)
            assert (found.box, found.number) == (more["bbox"] and (1, 2, 3, 4), 3)
            assert found.parts == [[[(1, 2), (4, 2), (4, 6)]]]


# --- Results of a model ---------------------------------------------------------------------------

RESULT = {"image_id": 1, "category_id": 3, "bbox": BOX, "score": 0.75}


def test_results_by_number(tmp_path: Path) -> None:
    """A list of results means the images and categories of the file that lists them."""
    listed = document(annotation(id=1))
    results: Any = [RESULT, {**RESULT, "image_id": 2}, {**RESULT, "category_id": 9}, 5]
    for source in (results, saved(tmp_path / "results.json", results)):
        (found,), losses = objects(source, images=listed)
        assert (found.box, found.score, found.category.name) == ((1, 2, 3, 4), 0.75, "car")
        assert counts(losses) == {"broken": 1, "unknown_image": 1, "unknown_category": 1}
        assert "results[3]: it is not an object" in str(losses)
        assert "a.jpg: results[2]: 9" in str(losses)
    listed["images"].append(5)
    said = str(objects(results, images=saved(tmp_path / "listed.json", listed))[1])
    assert "listed.json: images[1]: it is not an object" in said


@pytest.mark.parametrize("name", ["sub/a.jpg", "a.jpg", "a"])
def test_results_by_name(name: str) -> None:
    """Results may say names, with or without folder and ending, where one image has them alone."""
    listed = document(images=[{**IMAGE, "file_name": "sub/a.jpg"}])
    by_id, by_name = {**RESULT, "image_id": name}, {**RESULT, "image_id": 77, "file_name": name}
    assert len(objects([by_id, by_name, {**by_id, "image_id": "b"}], images=listed)[0]) == 2
    two = [{**IMAGE, "file_name": "x/a.jpg"}, {**IMAGE, "id": 2, "file_name": "y/a.jpg"}]
    found, losses = objects([{**RESULT, "image_id": "a.jpg"}], images=document(images=two))
    assert (found, counts(losses)) == ([], {"ambiguous": 1})


def test_members_of_results_that_say_nothing() -> None:
    """Their ids are not those of objects, and their segments are none: results have no PNGs."""
    results = [{**RESULT, "id": 1}, {**RESULT, "id": 1}, {"image_id": 1, "segments_info": []}]
    found, losses = objects(results, images=document())
    assert [each.number for each in found] == ["results[0]", "results[1]"]
    assert counts(losses) == {"unknown_category": 1}


def test_results_need_the_file_that_lists_images() -> None:
    """The error says how to name it."""
    with pytest.raises(FormatError, match="lists both with images="):
        open_dataset([RESULT])


def test_results_of_keypoints() -> None:
    """Their marks of visibility mean nothing: what has a place is seen."""
    keypoints = [1, 2, 0.25, 0, 0, 0.5]
    result = {**RESULT, "category_id": 5, "keypoints": keypoints}
    (found,), losses = objects([result], images=document(categories=[PERSON]))
    assert (found.keypoints, counts(losses)) == ([(1, 2, 2), None], {})
    for place, seen in (((0, 2), True), ((1, 0), True), ((None, None), False), ((None, 2), False)):
        result = {**result, "keypoints": [*place, 0.25, 3, 4, 0]}
        (found,), losses = objects([result], images=document(categories=[PERSON]))
        first = (*place, 2) if seen else None
        assert (found.keypoints, counts(losses)) == ([first, (3, 4, 2)], {})


def test_noise_of_rounding_stays_within_the_image() -> None:
    """What is hardly left of an image begins at its edge, as the service refuses all below 0."""
    ring = [-1e-7, 0, 4, 0, 4, -0.009]
    noisy, far = (
        annotation(bbox=[-1e-7, 2, 3, 4], segmentation=[ring]),
        annotation(id=2, bbox=[-1, 2, 3, 4]),
    )
    narrow = annotation(id=3, bbox=[-0.005, 2, 0.001, 4])
    (found, other, flat), _ = objects(document(noisy, far, narrow))
    assert (found.box, found.parts) == ((0, 2, 3 - 1e-7, 4), [[[(0, 0), (4, 0), (4, 0)]]])
    assert (other.box, flat.box) == ((-1, 2, 3, 4), (0, 2, 0, 4))


# --- Panoptic -------------------------------------------------------------------------------------


def panoptic(folder: Path, pixels: Any, *segments: dict[str, Any]) -> Path:
    """A panoptic file beside a folder with one PNG, in which pixels have these numbers."""
    (folder / "panoptic").mkdir()
    numbers = np.zeros((10, 20), np.uint32)
    for rows, columns, number in pixels:
        numbers[rows, columns] = number
    colours = np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
    Image.fromarray(colours).save(folder / "panoptic" / "a.png")
    listed = {"image_id": 1, "file_name": "a.png", "segments_info": [*segments]}
    return saved(folder / "panoptic.json", document(listed))


def test_segments(tmp_path: Path) -> None:
    """Each segment is an object with a mask; those without pixels or class are told."""
    square = (slice(2, 5), slice(3, 8))
    path = panoptic(
        tmp_path,
        [(*square, 1 + 256 * 2 + 65536 * 3), (0, slice(0, 20), 7), (9, 0, 500)],
        {"id": 1 + 256 * 2 + 65536 * 3, "category_id": 3, "bbox": [3, 2, 5, 3], "iscrowd": 0},
        {"id": "7.0", "category_id": "4", "iscrowd": 1},
        {"id": 8, "category_id": 4, "bbox": BOX},
        {"id": 9, "category_id": 4},
    )
    assert open_dataset(path).outlines
    (car, dog, empty), losses = objects(path)
    assert (car.category.name, car.box, car.crowd) == ("car", (3, 2, 5, 3), False)
    assert (dog.category.name, dog.box, dog.crowd) == ("dog", None, True)
    assert car.mask is not None
    assert dog.mask is not None
    assert trace(decode(car.mask))[0].outline == [(3, 2), (8, 2), (8, 5), (3, 5)]
    assert decode(dog.mask).sum() == 20
    assert (empty.mask, empty.box) == (None, (1, 2, 3, 4))
    assert counts(losses) == {"part": 1, "broken": 1, "unknown_category": 1}
    assert "its segment 8 has no pixel in a.png" in str(losses)
    assert "a.jpg: annotations[0], segment 500" in str(losses)
    # A box beside the segments is an object, too; a group is a class, since segments may have it.
    whole = json.loads(path.read_text())
    whole["annotations"].append(annotation(category_id=9))
    whole["categories"].append({"id": 9, "name": "vehicle", "supercategory": "none"})
    found, _ = objects(saved(path, whole))
    assert (found[-1].category.name, found[-1].box, len(found)) == ("vehicle", (1, 2, 3, 4), 4)
    whole["annotations"].pop()
    assert len(open_dataset(saved(path, whole)).categories) == 3


def test_bad_segments(tmp_path: Path) -> None:
    """A PNG that is broken or of another size takes all its segments along, which are counted."""
    path = panoptic(tmp_path, [], {"id": 7, "category_id": 4}, {"id": 8, "category_id": 4})
    (tmp_path / "panoptic" / "a.png").write_bytes(b"no")
    assert "a.png cannot be read" in str(losses := objects(path)[1])
    assert counts(losses) == {"broken": 2}
    Image.new("RGB", (5, 5)).save(tmp_path / "panoptic" / "a.png")
    assert "a.png has 5 by 5 pixels" in str(objects(path)[1])
    whole = json.loads(path.read_text())
    for nothing in (5, "ab", (), None, [5]):  # one annotation is lost, however long that is
        whole["annotations"][0]["segments_info"] = nothing
        assert counts(objects(saved(tmp_path / "twice.json", whole))[1]) == {"broken": 1}
    path = path.rename(tmp_path / "other.json")
    (tmp_path / "panoptic").rename(tmp_path / "masks")
    assert "a.png has 5 by 5 pixels" in str(objects(path)[1])
    (tmp_path / "masks").rename(tmp_path / "Images")  # photographs of these names are no segments
    with pytest.raises(FormatError, match=r"is panoptic, and a\.png was found in none of"):
        open_dataset(path)
    with pytest.raises(FormatError, match="its PNGs stand beside it"):
        open_dataset(json.loads(path.read_text()))


def test_segments_of_other_pngs(tmp_path: Path) -> None:
    """One that is missing, or of another size, costs no other; an image may have no size."""
    (tmp_path / "panoptic").mkdir()
    segments = [{"id": 7, "category_id": 4}]
    good = {"image_id": 1, "file_name": "a.png", "segments_info": segments}
    for name, size in (("a", (20, 10)), ("wide", (21, 10)), ("high", (20, 11))):
        Image.new("RGB", size, (7, 0, 0)).save(tmp_path / "panoptic" / f"{name}.png")
    for wrong in ("gone.png", None, 5, "", "wide.png", "high.png"):
        bad = {**good, "file_name": wrong}
        found, losses = objects(saved(tmp_path / "panoptic.json", document(bad, good)))
        assert (len(found), counts(losses)) == (1, {"broken": 1})
    for info in (5, [5], None, "ab"):
        bad = {**good, "segments_info": info}
        found, losses = objects(saved(tmp_path / "panoptic.json", document(bad, good)))
        assert (len(found), counts(losses)) == (1, {"broken": 1})
    given = document({**good, "file_name": "wide.png"}, images=[{"id": 1, "file_name": "a.jpg"}])
    found, losses = objects(saved(tmp_path / "panoptic.json", given))
    assert found[0].mask is not None
    assert (decode(found[0].mask).shape, counts(losses)) == ((10, 21), {})


def test_turned_boxes_of_cvat() -> None:
    """It writes the box as it was before it was turned; read again, it is not turned twice."""
    given = annotation(bbox=[10, 20, 40, 20], attributes={"rotation": 90.0, "occluded": False})
    (found,), losses = objects(document(given))
    (ring,) = found.parts[0]
    assert found.box is None
    assert [(round(x, 6), round(y, 6)) for x, y in ring] == [(40, 10), (40, 50), (20, 50), (20, 10)]
    assert found.extra == {"attributes": {"rotation": 0, "occluded": False}}
    assert not losses
    for attributes in ({"rotation": 0.0}, {"rotation": "x"}, {"rotation": 360}, [90], None):
        (found,), _ = objects(document(annotation(bbox=[10, 20, 40, 20], attributes=attributes)))
        assert found.box == (10, 20, 40, 20)
    # Outlines, masks and keypoints are what they are.
    mask = {"size": [10, 20], "counts": [0, 200]}
    turned = {"attributes": {"rotation": 90}, "category_id": 5}
    for drawn in ({"segmentation": [RING]}, {"segmentation": mask}, {"keypoints": [1, 2, 2] * 2}):
        box = None if "keypoints" in drawn else BOX
        given = {**annotation(**turned, **drawn), "bbox": box}
        (found,), losses = objects(document(given, categories=[PERSON]))
        assert (found.box, len(found.parts)) == (
            box and (1, 2, 3, 4),
            drawn.get("segmentation") == [RING],
        )
        assert (found.extra["attributes"], counts(losses)) == ({"rotation": 90}, {})


def test_lvis() -> None:
    """Images of LVIS have a URL in place of a name."""
    image = {"id": 1, "coco_url": "http://images.cocodataset.org/val2017/000000397133.jpg"}
    assert [each.name for each in opened(document(images=[image]))[0]] == ["000000397133.jpg"]
    own = {**image, "file_name": "val/1.jpg"}
    assert [each.name for each in opened(document(images=[own]))[0]] == ["val/1.jpg"]


def test_kinds_of_losses() -> None:
    """What is gone is a loss, and what is joined is none."""
    gone = {LossKind.AMBIGUOUS, LossKind.BROKEN, LossKind.CLASH, LossKind.PART, LossKind.RECORD}
    kept = {LossKind.DOUBLED, LossKind.DOUBLED_CLASS, LossKind.SAME_NUMBER}
    assert all(each.is_loss for each in gone)
    assert not any(each.is_loss for each in kept)


def test_a_folder_goes_on_without_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is one loss, and nothing of it is left: neither images nor objects nor classes."""
    saved(tmp_path / "a.json", document(annotation(id=1)))
    cut = json.dumps(document(annotation(id=2), images=[{**IMAGE, "id": 9, "file_name": "b.jpg"}]))
    (tmp_path / "b.json").write_text(cut.replace('"dog"', '"cat"')[:-3])
    saved(tmp_path / "c.json", {**document(), "annotations": 3})
    losses = Losses()
    dataset = formats_table.open_dataset(tmp_path)
    (image,) = dataset.images(losses)
    assert (image.name, len(image.objects)) == (IMAGE["file_name"], 1)
    assert [each.name for each in dataset.categories] == ["car", "dog"]
    assert counts(losses.report()) == {"broken": 2}
    assert losses.report().is_loss
    assert "b.json is not JSON" in str(losses.report())
    # What it says wrongly of an image of another file is gone, too.
    cut = json.dumps(document(images=[{**IMAGE, "width": 99}, {**IMAGE, "file_name": "b.jpg"}]))
    (tmp_path / "b.json").write_text(cut[:-3])
    losses = Losses()
    (image,) = formats_table.open_dataset(tmp_path).images(losses)
    assert (image.width, len(image.objects), counts(losses.report())) == (20, 1, {"broken": 2})
    errors = {"b.json": FormatError, "d.json": FileNotFoundError, "": ConfigurationError}
    for name, error in errors.items():  # named, not found
        with pytest.raises(error, match=name or "source is ''; it must be a path"):
            coco.read(tmp_path / "a.json", tmp_path / name if name else "")
    for name in "ab":
        (tmp_path / f"{name}.json").write_text('{"images": [')
    with pytest.raises(FormatError, match=rf"^{tmp_path} has no image.*3 x .*a\.json is not JSON"):
        formats_table.open_dataset(tmp_path, "coco")


def test_objects_of_one_image_in_several_files_are_told(tmp_path: Path) -> None:
    """They may be two images of one name; captions and what repeats an object say nothing."""
    saved(tmp_path / "a.json", document(annotation(id=1)))
    captions = document({"id": 5, "image_id": IMAGE["id"], "caption": "a car"})
    saved(tmp_path / "b.json", captions)
    saved(tmp_path / "c.json", document(annotation(id=1)))
    losses = Losses()
    list(formats_table.open_dataset(tmp_path).images(losses))
    assert not losses.report()
    saved(tmp_path / "d.json", document(annotation(id=2)))
    (image,) = formats_table.open_dataset(tmp_path).images(losses)
    assert (len(image.objects), image.captions) == (2, ["a car"])
    assert counts(losses.report()) == {"doubled": 1}
    assert "a.json and " in str(losses.report())
    # Another object with the same number is one more, too.
    saved(tmp_path / "d.json", document(annotation(id=1, bbox=[50, 60, 7, 8])))
    losses = Losses()
    list(formats_table.open_dataset(tmp_path).images(losses))
    assert counts(losses.report()) == {"doubled": 1, "same_number": 1}


def test_files_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their paths may begin with ~, as those of all files that are read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "coco.json").write_text(json.dumps(document(annotation())), encoding="utf-8")
    (image,) = coco.read("~/coco.json").images
    assert len(image.annotations) == 1
