"""Pascal VOC and CVAT: every kind of shape, every layout, and every record that is wrong."""

from __future__ import annotations

import math
import os
import sqlite3
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from datagym_async import formats
from datagym_async.formats import FormatError, LossKind
from datagym_async.formats._losses import Losses
from datagym_async.formats._table import open_dataset
from tests.helpers.label_files import box, picture, read, rings, text, told
from tests.helpers.unnumbered import without_numbers


def voc(*objects: str, name: str = "a.png", size: str | None = None) -> str:
    """A file of VOC."""
    told_size = "<width>200</width><height>100</height><depth>3</depth>" if size is None else size
    file_name = f"<filename>{name}</filename>" if name else ""
    parts = (f"\n<object>{each}</object>" for each in objects)
    return f"<annotation>{file_name}<size>{told_size}</size>{''.join(parts)}</annotation>"


def bndbox(*edges: object, name: str = "car") -> str:
    """What stands in an object of VOC."""
    sides = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=False)
    inside = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<name>{name}</name><bndbox>{inside}</bndbox>"


CAR = bndbox(1, 11, 200, 100)


@pytest.mark.parametrize("folder", ["", "Annotations", "Annotations/2012", "a/b"])
def test_voc_wherever_its_files_lie(tmp_path: Path, folder: str) -> None:
    """Pixels are counted from 1, and the last one belongs to the box; classes are gathered."""
    text(tmp_path / folder / "a.xml", voc(CAR, bndbox(7, 9, 7, 9, name="Traffic Light")))
    for path in (tmp_path, tmp_path / folder, tmp_path / folder / "a.xml"):
        (image,), lost = read(dataset := open_dataset(path))
        assert not lost
        assert (image.name.rpartition("/")[2], image.width, image.height) == ("a.png", 200, 100)
        assert [box(each) for each in image.objects] == [(0, 10, 200, 90), (6, 8, 1, 1)]
        assert [each.name for each in dataset.categories] == ["car", "Traffic Light"]
    (image,), _ = read(open_dataset(tmp_path, "voc", zero_based=True))
    assert [box(each) for each in image.objects] == [(1, 11, 199, 89), (7, 9, 0, 0)]


def test_classes_only_come_first(tmp_path: Path) -> None:
    """What is not among them is read all the same."""
    text(tmp_path / "a.xml", voc(CAR, bndbox(1, 1, 2, 2, name="dog")))
    dataset = open_dataset(tmp_path, "voc", classes=["dog", "cat"])
    assert [each.name for each in dataset.categories] == ["dog", "cat", "car"]


def test_files_that_count_from_zero_are_told(tmp_path: Path) -> None:
    """There is no pixel 0 in VOC: the box is moved to the edge, and the report says so."""
    text(tmp_path / "a.xml", voc(bndbox(0, 0, 10, 10)))
    (image,), lost = read(open_dataset(tmp_path))
    assert (box(image.objects[0]), lost) == ((0, 0, 10, 10), {"zero_based": 1})
    (image,), lost = read(open_dataset(tmp_path, zero_based=True))
    assert (box(image.objects[0]), lost) == ((0, 0, 10, 10), {})
    # Farther out it is no matter of counting, and stays where it is.
    text(tmp_path / "a.xml", voc(bndbox(-5, 3, 10, 10)))
    (image,), lost = read(open_dataset(tmp_path))
    assert (box(image.objects[0]), lost) == ((-6, 2, 16, 8), {})


def test_noise_beyond_the_edge_in_voc(tmp_path: Path) -> None:
    """Rounded edges are those of the image; more than noise is not changed."""
    text(tmp_path / "a.xml", voc(bndbox(0.995, 1, 200.005, 100.005), bndbox(1, 1, 201, 101)))
    (image,), lost = read(open_dataset(tmp_path))
    assert [box(each) for each in image.objects] == [(0, 0, 200, 100), (0, 0, 201, 101)]
    assert lost == {"zero_based": 1}


def test_one_file_of_voc(tmp_path: Path) -> None:
    """It is read alone; the image that it names has its size, if it is called otherwise."""
    for name in ("a", "b"):
        text(tmp_path / f"{name}.xml", voc(CAR, name="c.png", size=""))
    picture(tmp_path / "c.png")
    (image,), lost = read(open_dataset(tmp_path / "b.xml"))
    assert (image.name, image.width, len(image.objects), lost) == ("c.png", 200, 1, {})


SIZES: list[tuple[str, tuple[int, int], dict[str, int]]] = [
    ("<width>640.0</width><height>480.0</height>", (640, 480), {}),
    ("<width> 640 </width><height>480</height>", (640, 480), {}),
    ("", (200, 100), {}),
    ("<width>0</width><height>0</height>", (200, 100), {}),
    ("<width>x</width>", (200, 100), {}),
    ("<width>640.5</width><height>480</height>", (200, 100), {}),
    ("<width>-640</width><height>480</height>", (200, 100), {}),
    ("<width>640</width>", (200, 100), {}),
    ("<height>480</height>", (200, 100), {}),
]


@pytest.mark.parametrize(("size", "found", "lost"), SIZES)
def test_a_size_that_is_missing_is_that_of_the_image(
    tmp_path: Path, size: str, found: tuple[int, int], lost: dict[str, int]
) -> None:
    """640.0 is a number; 0 0 is read from the image, or told where there is none."""
    text(tmp_path / "Annotations" / "a.xml", voc(CAR, size=size))
    if found == (200, 100):
        (image,), without = read(open_dataset(tmp_path))
        assert (None in (image.width, image.height), without) == (True, {"size": 1})
        text(tmp_path / "JPEGImages" / "a.png", "no image")
        (image,), without = read(open_dataset(tmp_path))
        assert (image.width, image.height, without) == (None, None, {"size": 1})
    picture(tmp_path / "JPEGImages" / "a.png")
    (image,), told_now = read(open_dataset(tmp_path))
    assert ((image.width, image.height), told_now) == (found, lost)


def test_marks_and_parts_of_voc(tmp_path: Path) -> None:
    """Marks travel with the object; a part is an object of its own, which is told."""
    part = f"<part>{bndbox(11, 11, 20, 20, name='head')}</part>"
    marks = "<pose>Left</pose><truncated>1</truncated><difficult>0</difficult>"
    text(tmp_path / "a.xml", voc(f"{CAR}{marks}{part}"))
    (image,), lost = read(open_dataset(tmp_path))
    car, head = image.objects
    assert car.extra == {"pose": "Left", "truncated": "1"}
    assert (head.category.name, box(head)) == ("head", (10, 10, 10, 10))
    assert lost == {"nesting": 1}


OUTLINES = [
    "<x1>1</x1><y1>2</y1><x2>11</x2><y2>2</y2><x3>11</x3><y3>12.5</y3>",
    "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((1, 2), (11, 2), (11, 12.5))),
]


@pytest.mark.parametrize("points", OUTLINES)
def test_outlines_beside_voc(tmp_path: Path, points: str) -> None:
    """Tools write them in two ways; with a box or without."""
    text(tmp_path / "a.xml", voc(f"<name>a</name><polygon>{points}</polygon>"))
    text(tmp_path / "b.xml", voc(f"{CAR}<polygon>{points}</polygon>", name="b.png"))
    (first, second), lost = read(dataset := open_dataset(tmp_path))
    assert rings(first.objects[0]) == [[[(1, 2), (11, 2), (11, 12.5)]]]
    assert rings(second.objects[0]) == rings(first.objects[0])
    assert box(second.objects[0]) == (0, 10, 200, 90)
    assert (lost, dataset.outlines) == ({}, True)
    assert not open_dataset(tmp_path / "b.xml").outlines  # there is a box for each


def test_turned_boxes_of_cvat_in_voc(tmp_path: Path) -> None:
    """CVAT writes the box as it was before it was turned, and a turn of 0 for all others."""
    turn = "<attributes><attribute><name>rotation</name><value>{}</value></attribute></attributes>"
    objects = [f"{bndbox(11, 21, 50, 40)}{turn.format(degrees)}" for degrees in ("90.0", "0.0")]
    text(tmp_path / "a.xml", voc(*objects))
    (image,), lost = read(open_dataset(tmp_path))
    ((ring,),) = rings(image.objects[0])
    assert [(round(x, 6), round(y, 6)) for x, y in ring] == [(40, 10), (40, 50), (20, 50), (20, 10)]
    assert (image.objects[0].box, box(image.objects[1]), lost) == (None, (10, 20, 40, 20), {})
    # An outline is what it is; a turned box may well begin beyond the edge.
    outline = "<polygon><x1>1</x1><y1>2</y1><x2>9</x2><y2>2</y2><x3>9</x3><y3>7</y3></polygon>"
    turned = turn.format(90)
    text(tmp_path / "a.xml", voc(f"{CAR}{outline}{turned}", f"{bndbox(0, 0, 10, 10)}{turned}"))
    (image,), lost = read(open_dataset(tmp_path))
    assert (rings(image.objects[0]), lost) == ([[[(1, 2), (9, 2), (9, 7)]]], {})
    assert min(x for x, _ in rings(image.objects[1])[0][0]) == pytest.approx(-1)


def test_images_of_voc_that_were_renamed(tmp_path: Path) -> None:
    """Two files that both say the old name are of two images, if these are there."""
    for stem in ("1", "2", "gone"):
        text(tmp_path / "Annotations" / f"{stem}.xml", voc(CAR, name="image.png"))
    for stem in ("1", "2"):
        picture(tmp_path / "JPEGImages" / f"{stem}.jpg")
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, len(each.objects)) for each in images] == [
        ("1.jpg", 1), ("2.jpg", 1), ("image.png", 1)
    ]  # fmt: skip
    assert lost == {"renamed": 2}


def test_names_in_voc_that_are_out_of_date(tmp_path: Path) -> None:
    """A copy of an image and of its file says the old name: no image gets the labels of another."""
    for stem in ("old", "copy", "taken"):
        text(tmp_path / "Annotations" / f"{stem}.xml", voc(CAR, name="old.png"))
    text(tmp_path / "Annotations" / "other.xml", voc(CAR, CAR, name="taken.png"))
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, len(each.objects)) for each in images] == [
        ("copy.png", 1), ("taken.png", 2), ("old.png", 1)
    ]  # fmt: skip
    assert lost == {"renamed": 1, "clash": 1}
    for stem in ("old", "copy", "taken", "other"):
        picture(tmp_path / "JPEGImages" / f"{stem}.png")
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, len(each.objects)) for each in images] == [
        ("copy.png", 1), ("old.png", 1), ("other.png", 2), ("taken.png", 1)
    ]  # fmt: skip
    assert lost == {"renamed": 3}


def test_marks_of_cvat_in_voc(tmp_path: Path) -> None:
    """What CVAT gives each object is nobody's answer; what people answered is told."""
    given = {"track_id": "0", "keyframe": "True", "occluded": "False", "colour": "red"}
    rows = "".join(
        f"<attribute><name>{name}</name><value>{value}</value></attribute>"
        for name, value in given.items()
    )
    text(tmp_path / "a.xml", voc(f"{CAR}<attributes>{rows}</attributes>"))
    (image,), lost = read(open_dataset(tmp_path))
    assert (image.objects[0].extra, lost) == ({"keyframe": "True"}, {"classification": 1})


def test_what_voc_does_not_know_is_counted(tmp_path: Path) -> None:
    """Actions and points of VOC2012, and what other tools add; an empty outline costs no box."""
    actions = f"{CAR}<actions><jumping>1</jumping></actions><point><x>1</x><y>2</y></point>"
    objects = [actions, f"{CAR}<distance>5</distance>", f"{CAR}<polygon></polygon><type>box</type>"]
    objects += [f"{CAR}<id>5</id>", f"{CAR}<more><x><y>5</y></x></more>"]
    objects += [f"{CAR}<difficult>1</difficult><distance>5</distance>"]
    text(tmp_path / "a.xml", voc(*objects))
    (image,), lost = read(open_dataset(tmp_path))
    assert [box(each) for each in image.objects] == [(0, 10, 200, 90)] * 6
    assert lost == {"extra": 4, "part": 1}
    counted = formats.read(tmp_path).losses.count(LossKind.EXTRA)
    assert counted == 5  # each object once, also if it has marks besides


def test_turned_boxes_beside_voc(tmp_path: Path) -> None:
    """roLabelImg has a middle and an angle in radians."""
    inside = "<cx>50</cx><cy>40</cy><w>20</w><h>10</h><angle>1.5707963267948966</angle>"
    text(tmp_path / "a.xml", voc(f"<name>a</name><robndbox>{inside}</robndbox>"))
    (image,), _ = read(open_dataset(tmp_path))
    ((ring,),) = rings(image.objects[0])
    assert ring[0] == pytest.approx((55, 30))


BAD_OBJECTS = [
    ("<name>car</name>", "it has no <bndbox>"),
    (bndbox(1, 2, 3, name="car"), "'' is not a number for <ymax>"),
    (bndbox(1, 2, "nan", 4), "'nan' is not a number for <xmax>"),
    (bndbox(10, 2, 3, 4), "its box ends before it begins"),
    (bndbox(1, 20, 3, 4), "its box ends before it begins"),
    (bndbox(1, 2, 3, 4, name=""), "it has no class"),
    ("", "it has no class"),
    ("<name>a</name><polygon><x1>1</x1><y1>2</y1></polygon>", "x and y of 3 points"),
]


@pytest.mark.parametrize(("inside", "words"), BAD_OBJECTS)
def test_a_bad_object_of_voc_is_one_loss(tmp_path: Path, inside: str, words: str) -> None:
    """It is named by file and line, and the others are read."""
    text(tmp_path / "a.xml", voc(CAR, inside, CAR))
    (image,), losses = told(open_dataset(tmp_path, "voc"))
    assert len(image.objects) == 2
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.BROKEN, 1)
    assert f"{tmp_path}/a.xml, line 3: " in lost.examples[0]
    assert words in lost.examples[0]


@pytest.mark.parametrize("blank", ["\n", "\r\n \t\r\n", "  "])
def test_blanks_before_the_declaration(tmp_path: Path, blank: str) -> None:
    """Texts of scripts begin with an empty line; lines are counted with it."""
    whole = voc(CAR, CAR.replace("car", "")).replace("<annotation>", "<annotation>\n", 1)
    text(tmp_path / "a.xml", f"{blank}<?xml version='1.0'?>\n{whole}")
    assert formats.sniff(tmp_path) == "voc"
    (image,), losses = told(open_dataset(tmp_path))
    assert [each.category.name for each in image.objects] == ["car"]
    lines = blank.count("\n") + whole[: whole.rindex("<object>")].count("\n") + 2
    assert f"a.xml, line {lines}: it has no class" in str(losses.report())
    text(tmp_path / "a.xml", f"{blank}<annotation>\n</a>")
    with pytest.raises(
        FormatError, match=rf"a\.xml: line {blank.count(chr(10)) + 2}: it is not XML"
    ):
        open_dataset(tmp_path)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    "<annotation><filename>&b;</filename></annotation>"
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<annotation><filename>&x;</filename></annotation>"
)
BAD_FILES: list[tuple[str | bytes, str]] = [
    ("<resources><string/></resources>", "it begins with <resources>"),
    ("<annotation><filename>", "it is not XML"),
    ('<?xml version="1.0" encoding="UT-8"?><annotation/>', "its encoding is not read"),
    ('<?xml version="1.0" encoding="gb2312"?><annotation/>', "write it in UTF-8: multi-byte"),
    ("", "it is not XML"),
    ("not XML", "line 1: it is not XML"),
    (b"\xff\xfe\xff", "it is not XML"),
    (BOMB, "entities"),
    (OUTSIDE, "entities"),
    ("<annotation>" + "<a>" * 100_000, "nested deeper than 64"),
    (f"<annotation><x>{'y' * 9_000_000}", "more than 8 MB"),
    (f'<annotation x="{"y" * 9_000_000}', "more than 8 MB"),
]


@pytest.mark.parametrize(("content", "words"), BAD_FILES, ids=[words for _, words in BAD_FILES])
def test_a_bad_file_of_voc_is_one_loss(tmp_path: Path, content: str | bytes, words: str) -> None:
    """What is no VOC, or hostile, is named by its file, and the folder is read."""
    text(tmp_path / "a.xml", voc(CAR))
    bad = text(tmp_path / "b.xml", content)
    images, losses = told(open_dataset(tmp_path, "voc"))
    assert [each.name for each in images] == ["a.png"]
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.BROKEN, 1)
    assert f"{bad}: " in lost.examples[0]
    assert words in lost.examples[0]


def test_aerial_images_in_voc(tmp_path: Path) -> None:
    """FAIR1M has points of an outline, DIOR-R the corners of turned boxes, by their names."""
    points = "".join(f"<point>{x}.0,{y}.0</point>" for x, y in CORNERS)
    inside = f"<possibleresult><name>Boeing737</name></possibleresult><points>{points}</points>"
    source = "<source><filename>a.png</filename></source>"
    content = voc(name="").replace("</annotation>", f"{source}<objects><object>{inside}</object>")
    text(tmp_path / "a.xml", f"{content}</objects></annotation>")
    names = ("left_top", "right_top", "right_bottom", "left_bottom")
    square = [(10, 20), (110, 20), (110, 60), (10, 60)]
    corners = "".join(
        f"<x_{name}>{x}</x_{name}><y_{name}>{y}</y_{name}>"
        for name, (x, y) in zip(names, square, strict=True)
    )
    text(tmp_path / "b.xml", voc(f"<name>ship</name><robndbox>{corners}</robndbox>", name="b.png"))
    images, lost = read(open_dataset(tmp_path, "voc"))
    assert [each.name for each in images] == ["a.png", "b.png"]
    assert [each.objects[0].category.name for each in images] == ["Boeing737", "ship"]
    assert [rings(each.objects[0]) for each in images] == [[[CORNERS]], [[square]]]
    assert not lost


def test_objects_in_objects(tmp_path: Path) -> None:
    """They are objects of their own, as parts are; points beside a box are not an outline."""
    plate = f"<object>{bndbox(20, 20, 30, 30, name='plate')}</object>"
    landmarks = "<points><x1>3</x1><y1>4</y1></points>"
    text(tmp_path / "a.xml", voc(CAR + plate + landmarks))
    (image,), lost = read(open_dataset(tmp_path, "voc"))
    assert [each.category.name for each in image.objects] == ["car", "plate"]
    assert lost == {"nesting": 1, "extra": 1}


def test_answers_of_bdd_in_voc(tmp_path: Path) -> None:
    """Converters write the attributes of BDD100K as tags of their own."""
    inside = "<occluded>false</occluded><trafficLightColor>green</trafficLightColor>"
    text(tmp_path / "a.xml", voc(f"{CAR}<attributes>{inside}</attributes>"))
    (image,), losses = told(open_dataset(tmp_path, "voc"))
    (lost,) = losses.report().items
    assert (len(image.objects), lost.kind, lost.count) == (1, LossKind.CLASSIFICATION, 1)
    assert "trafficLightColor" in lost.examples[0]


def test_voc_without_a_name(tmp_path: Path) -> None:
    """The image is called like the file, whether it is there or not."""
    for stem in ("a", "b"):
        text(tmp_path / "Annotations" / f"{stem}.xml", voc(CAR, name=""))
    picture(tmp_path / "JPEGImages" / "a.jpg")
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, len(each.objects)) for each in images] == [("a.jpg", 1), ("b", 1)]
    assert not lost


CORNERS = [(10, 20), (110, 20), (110, 60)]


def test_more_in_voc_than_it_has(tmp_path: Path) -> None:
    """Several boxes or outlines of an object, objects in a group, and other tags with content."""
    box = CAR.removeprefix("<name>car</name>")
    ring = "<polygon>{}</polygon>".format(
        "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(CORNERS, 1))
    )
    text(tmp_path / "a.xml", voc(CAR + box * 2, f"<name>car</name>{ring * 2}"))
    inside = f"<objects><object>{CAR}</object></objects><lines><line>1</line></lines>"
    text(tmp_path / "b.xml", voc(name="b.png").replace("</annotation>", f"{inside}</annotation>"))
    (first, second), losses = told(open_dataset(tmp_path, "voc"))
    assert [len(each.parts) for each in first.objects] == [0, 2]
    assert rings(first.objects[1]) == [[CORNERS]] * 2
    assert (len(second.objects), second.is_labelled) == (1, True)
    assert {each.kind: each.count for each in losses.report().items} == {
        LossKind.PART: 2, LossKind.EXTRA: 1
    }  # fmt: skip


def test_tags_of_one_image_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than any image has are not kept in memory."""
    monkeypatch.setattr("datagym_async.formats._reading_xml._MOST_INSIDE", 1000)
    text(tmp_path / "a.xml", voc(CAR))
    text(tmp_path / "b.xml", "<annotation>" + "<a/>" * 1001)
    images, losses = told(open_dataset(tmp_path, "voc"))
    assert [each.name for each in images] == ["a.png"]
    assert "b.xml: more than 1,000 tags in one <annotation>" in str(losses.report())


def test_tags_of_one_file_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many images, and many shapes of a track, are not held together; points of skeletons are."""
    for name, value in (("_MOST_INSIDE", 10), ("_PIECE", 100), ("_MOST_OF_ONE", 1000)):
        monkeypatch.setattr(f"datagym_async.formats._reading_xml.{name}", value)
    shape = '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4">{}<attribute name="a"/></box>'
    images = "".join(
        f'<image name="{each}">{shape * 4}</image>'.replace("{}", "") for each in "abc"
    )
    path = text(tmp_path / "a.xml", f"<annotations>{images}</annotations>")
    found, lost = read(open_dataset(path))
    assert ([len(each.objects) for each in found], lost) == ([4] * 3, {"size": 3})
    shapes = "".join(shape.replace("label", f'frame="{at}" label').format("") for at in range(30))
    points = f'<track label="nose">{shape.format("") * 2}</track>'
    tracks = f'<track label="car">{points}{shapes}</track>'
    found, lost = read(open_dataset(text(path, f"<annotations>{tracks}</annotations>")))
    assert (len(found), lost) == (30, {"track": 1})
    full = points.replace("</track>", '<box frame="1"/>' * 3 + "</track>")
    more = f'<track label="car">{full}</track><track label="car">{shapes}</track>'
    found, lost = read(open_dataset(text(path, f"<annotations>{more}</annotations>")))
    assert (len(found), lost) == (30, {"track": 1})
    more = f'<track label="car">{points}{shapes}{points}</track>'
    found, losses = told(open_dataset(text(path, f"<annotations>{more}</annotations>")))
    assert len(found) == 30  # what stands before it is read
    assert "more than 10 tags in one <track>" in str(losses.report())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_marks_in_front_are_taken(tmp_path: Path, encoding: str) -> None:
    """A mark of order, and UTF-16 with or without it, are XML."""
    text(tmp_path / "a.xml", voc(bndbox(1, 2, 3, 4, name="猫")).encode(encoding))
    (image,), lost = read(open_dataset(tmp_path))
    assert (image.objects[0].category.name, lost) == ("猫", {})


def test_a_pipe_and_a_circle_of_links(tmp_path: Path) -> None:
    """Neither is waited for, nor gone around."""
    text(tmp_path / "a.xml", voc(CAR))
    os.mkfifo(tmp_path / "b.xml")
    text(tmp_path / "._a.xml", "of a Mac")
    (tmp_path / "again").symlink_to(tmp_path)
    images, lost = read(open_dataset(tmp_path, "voc"))
    assert (len(images), lost) == (1, {"broken": 1})


def test_a_disk_that_does_not_number_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All have the inode 0 there; the labels in all of them are read."""
    for folder in ("train", "valid"):
        text(tmp_path / folder / "a.xml", voc(CAR))
    without_numbers(monkeypatch)
    images, lost = read(open_dataset(tmp_path, "voc"))
    assert ([each.name for each in images], lost) == (["train/a.png", "valid/a.png"], {})


def test_names_of_images(tmp_path: Path) -> None:
    """A name without folders has those of its file; without a name, that of the image beside."""
    for folder in ("train", "valid"):
        text(tmp_path / folder / "a.xml", voc(CAR))
    text(tmp_path / "b.xml", voc(CAR, name="pictures\\b.png"))
    text(tmp_path / "c.xml", voc(CAR, name=""))
    text(tmp_path / "d.xml", voc(CAR, name="my%20image.png"))
    text(tmp_path / "train" / "e.xml", voc(CAR, name="pictures/e.png"))
    picture(tmp_path / "c.jpg")
    images, lost = read(open_dataset(tmp_path, "voc"))
    names = ["pictures\\b.png", "c.jpg", "my%20image.png", "train/a.png", "pictures/e.png"]
    assert [each.name for each in images] == [*names, "valid/a.png"]
    assert not lost


def test_images_of_one_name_in_several_folders(tmp_path: Path) -> None:
    """Each file has the image with its folders; in a folder that is named, the only one will do."""
    for folder, width in (("x/", 50), ("x/images/", 60)):
        text(tmp_path / "both" / f"{folder}a.xml", voc(CAR, size=""))
        picture(tmp_path / "both" / f"{folder}a.png", width)
    images, lost = read(open_dataset(tmp_path / "both"))
    assert ({each.name: each.width for each in images}, lost) == (
        {"x/a.png": 50, "x/images/a.png": 60}, {}
    )  # fmt: skip
    text(tmp_path / "set" / "Annotations" / "x" / "b.xml", voc(CAR, name="b.png", size=""))
    picture(tmp_path / "set" / "JPEGImages" / "y" / "b.png")
    (image,), lost = read(open_dataset(tmp_path / "set"))
    assert (image.name, image.width, lost) == ("x/b.png", None, {"size": 1})
    named = open_dataset(tmp_path / "set", images=tmp_path / "set" / "JPEGImages")
    (image,), lost = read(named)
    assert (image.name, image.width, lost) == ("x/b.png", 200, {})
    # They may lie outside, or in a folder below the labels that says nothing of the name.
    text(tmp_path / "parts" / "train" / "labels" / "c.xml", voc(CAR, name="c.png", size=""))
    picture(tmp_path / "elsewhere" / "train" / "c.png")
    (image,), lost = read(open_dataset(tmp_path / "parts", images=tmp_path / "elsewhere"))
    assert (image.name, image.width, lost) == ("train/labels/c.png", 200, {})
    text(tmp_path / "flat" / "d.xml", voc(CAR, name="d.png", size=""))
    picture(tmp_path / "flat" / "JPEGImages" / "d.png")
    (image,), lost = read(open_dataset(tmp_path / "flat"))
    assert (image.name, image.width, lost) == ("d.png", 200, {})


def test_images_of_one_name(tmp_path: Path) -> None:
    """Those of one size are one image with the objects of all, each once; else the first stays."""
    text(tmp_path / "1.xml", voc(CAR))
    text(tmp_path / "2.xml", voc(CAR, bndbox(1, 1, 5, 5)))
    text(tmp_path / "3.xml", voc(CAR, CAR, size="<width>100</width><height>200</height>"))
    (image,), losses = told(open_dataset(tmp_path, "voc"))
    assert [box(each) for each in image.objects] == [(0, 10, 200, 90), (0, 0, 5, 5)]
    assert {each.kind: each.count for each in losses.report().items} == {
        LossKind.DOUBLED: 1,
        LossKind.BROKEN: 2,
    }
    assert "3.xml: another image of the name a.png has another size" in str(losses.report())


@pytest.mark.parametrize("sizes", [(None, ""), ("", None)])
def test_images_of_one_name_and_one_size(
    tmp_path: Path, sizes: tuple[str | None, str | None]
) -> None:
    """One may lack it; labels of one that are lost are labels of the image."""
    for number, size in enumerate(sizes):
        text(tmp_path / f"{number}.xml", voc(CAR, size=size))
    (image,), lost = read(open_dataset(tmp_path, "voc"))
    assert (image.width, image.height, len(image.objects)) == (200, 100, 1)
    assert lost == {"doubled": 1, "size": 1}
    for number, size in enumerate(sizes):
        bad = [bndbox(9, 9, 2, 2)] if size is None else []
        text(tmp_path / f"{number}.xml", voc(*bad, size=size))
    (image,), _ = read(open_dataset(tmp_path, "voc"))
    assert (image.is_labelled, image.objects) == (True, [])


def test_folders_in_parts(tmp_path: Path) -> None:
    """Each part has its own Annotations and images, whose names may be the same."""
    for part in ("train", "val"):
        text(tmp_path / part / "Annotations" / "a.xml", voc(CAR, size=""))
        picture(tmp_path / part / "JPEGImages" / "a.png")
    images, lost = read(open_dataset(tmp_path))
    assert [each.name for each in images] == ["train/JPEGImages/a.png", "val/JPEGImages/a.png"]
    assert ({(each.width, each.height) for each in images}, lost) == ({(200, 100)}, {})


def test_parts_of_voc(tmp_path: Path) -> None:
    """ImageSets list which images a part has; else it is a folder."""
    for name in ("a", "b"):
        text(tmp_path / "Annotations" / f"{name}.xml", voc(CAR, name=f"{name}.png"))
    text(tmp_path / "ImageSets" / "Main" / "train.txt", "b\n")
    (image,), _ = read(open_dataset(tmp_path, split="train"))
    assert image.name == "b.png"
    text(tmp_path / "bare" / "ImageSets" / "Main" / "train.txt", "c\n")  # beside its files
    for name in ("c", "d"):
        text(tmp_path / "bare" / f"{name}.xml", voc(CAR, name=f"{name}.png"))
    (image,), _ = read(open_dataset(tmp_path / "bare", split="train"))
    assert image.name == "c.png"
    text(tmp_path / "Annotations" / "val" / "c.xml", voc(CAR, name="c.png"))
    (image,), _ = read(open_dataset(tmp_path, split="val"))
    assert image.name == "val/c.png"
    (tmp_path / "Annotations" / "val").rename(tmp_path / "Annotations" / "valid")
    (image,), _ = read(open_dataset(tmp_path, split="val"))
    assert image.name == "valid/c.png"
    with pytest.raises(FormatError, match=r"has no part 'test'; looked for .*Main/test\.txt, and"):
        open_dataset(tmp_path, split="test")


def test_images_in_lists_of_parts(tmp_path: Path) -> None:
    """Names may have blanks and dots, either form of Unicode, a suffix, and a mark behind them."""
    names = ["a b", "IMG.1", "IMG", "A\u0308", "c", "d"]
    for name in names:
        text(tmp_path / "Annotations" / f"{name}.xml", voc(CAR, name=f"{name}.png"))
    text(tmp_path / "ImageSets/Main/train.txt", "a b\nIMG.1\n\u00c4\nc  1\nd.JPG -1\n")
    images, _ = read(open_dataset(tmp_path, split="train"))
    assert {each.name for each in images} == {f"{name}.png" for name in {*names} - {"IMG"}}


# --- CVAT -----------------------------------------------------------------------------------------

LABELS = """
<label><name>car</name><type>any</type></label>
<label><name>person</name><type>skeleton</type><svg>
&lt;line x1="3" data-type="edge" data-node-from="2" data-node-to="1"&gt;&lt;/line&gt;
&lt;circle data-type="element node" data-node-id="1" data-label-name="nose"&gt;&lt;/circle&gt;
&lt;circle data-type="element node" data-node-id="2" data-label-name="tail"&gt;&lt;/circle&gt;
</svg></label>
<label><name>nose</name><type>points</type><parent>person</parent></label>
<label><name>tail</name><type>points</type><parent>person</parent></label>
<label><name>unused</name></label>"""


def cvat(*shapes: str, name: str = "a.png", meta: str = LABELS, more: str = "") -> str:
    """A file of CVAT for images, with one image."""
    inside = "\n".join(shapes)
    return (
        f"<annotations><version>1.1</version><meta><task><labels>{meta}</labels></task></meta>"
        f'<image id="0" name="{name}" width="200" height="100">\n{inside}\n</image>'
        f"{more}</annotations>"
    )


def one(tmp_path: Path, shape: str) -> tuple[Any, dict[str, int]]:
    """The one object that a shape becomes, and what is lost."""
    text(tmp_path / "annotations.xml", cvat(shape))
    (image,), lost = read(open_dataset(tmp_path))
    (found,) = image.objects
    return found, lost


def test_cvat_boxes(tmp_path: Path) -> None:
    """Classes are those of the file, in its order, used or not, but for parts of skeletons."""
    found, lost = one(tmp_path, '<box label="car" xtl="1.5" ytl="2" xbr="10.25" ybr="20"/>')
    assert (found.box, found.category.name, lost) == ((1.5, 2, 8.75, 18), "car", {})
    dataset = open_dataset(tmp_path / "annotations.xml")
    assert [each.name for each in dataset.categories] == ["car", "person", "unused"]
    assert dataset.categories[1].keypoints == ("nose", "tail")


def test_cvat_turned_boxes(tmp_path: Path) -> None:
    """Four corners, exactly."""
    found, lost = one(
        tmp_path, '<box label="car" xtl="0" ytl="0" xbr="20" ybr="10" rotation="90.0"/>'
    )
    ((ring,),) = rings(found)
    assert [each for corner in ring for each in corner] == pytest.approx(
        [15, -5, 15, 15, 5, 15, 5, -5]
    )
    assert (found.box, lost) == (None, {})


def test_cvat_outlines_lines_and_points(tmp_path: Path) -> None:
    """Each is what it is; several points are told apart, and noise beyond the edge is snapped."""
    found, _ = one(tmp_path, '<polygon label="car" points="-0.001,0;200.004,0.5;3,100.004"/>')
    assert rings(found) == [[[(0, 0), (200, 0.5), (3, 100)]]]
    found, _ = one(tmp_path, '<polyline label="car" points="1,2;3.5,4"/>')
    assert found.line == [(1, 2), (3.5, 4)]
    found, lost = one(tmp_path, '<points label="car" points="1,2"/>')
    assert (found.point, lost) == ((1, 2), {})
    text(tmp_path / "annotations.xml", cvat('<points label="car" points="1,2;3,4"/>'))
    (image,), lost = read(open_dataset(tmp_path))
    assert [each.point for each in image.objects] == [(1, 2), (3, 4)]
    assert lost == {"parts": 1}


def test_cvat_masks(tmp_path: Path) -> None:
    """Runs along the rows of their box become outlines with holes, pixel for pixel."""
    rle = "0, 3, 1, 0, 0, 1, 1, 1, 1, 3, 1"  # XXX. X.X. XXX.
    found, lost = one(
        tmp_path,
        f'<mask label="car" rle="{rle}" left="5" top="6" width="4" height="3"/>',
    )
    assert rings(found) == [
        [[(5, 6), (8, 6), (8, 9), (5, 9)], [(6, 7), (7, 7), (7, 8), (6, 8)]],
    ]
    assert not lost
    large = '<mask label="car" rle="0, 4000000" left="0" top="0" width="2000" height="2000"/>'
    tracemalloc.start()
    try:
        one(tmp_path, large)
        assert tracemalloc.get_traced_memory()[1] < 20 * 4_000_000  # bytes a pixel
    finally:
        tracemalloc.stop()


def test_cvat_ellipses(tmp_path: Path) -> None:
    """An outline of many corners, which is told."""
    found, lost = one(tmp_path, '<ellipse label="car" cx="50" cy="50" rx="20" ry="10"/>')
    ((ring,),) = rings(found)
    assert ring[0] == (70, 50)
    assert max(y for _, y in ring) == pytest.approx(60, abs=0.1)
    assert lost == {"curve": 1}
    shape = '<ellipse label="car" cx="100" cy="50" rx="40" ry="40" rotation="90"/>'
    ((ring,),) = rings(one(tmp_path, shape)[0])
    middles = [((x + u) / 2, (y + v) / 2) for (x, y), (u, v) in pairwise([*ring, ring[0]])]
    assert min(math.dist(each, (100, 50)) for each in middles) > 40 - 0.1
    ((ring,),) = rings(one(tmp_path, shape.replace('ry="40"', 'ry="10"'))[0])
    assert max(y for _, y in ring) == pytest.approx(90, abs=0.1)  # turned: as high as it was wide
    assert max(x for x, _ in ring) == pytest.approx(110, abs=0.1)
    ((ring,),) = rings(one(tmp_path, shape.replace('"40"', '"0"'))[0])
    assert {*ring} == {(100, 50)}


def test_cvat_skeletons(tmp_path: Path) -> None:
    """Points go by their names: hidden, seen, or not there."""
    shape = (
        '<skeleton label="person"><points label="tail" outside="1" occluded="0" points="9,9"/>'
        '<points label="nose" outside="0" occluded="1" points="1.5,2"/></skeleton>'
    )
    found, lost = one(tmp_path, shape)
    assert found.keypoints == [(1.5, 2, 1), None]
    assert (found.box, lost) == (None, {})
    named = read(open_dataset(tmp_path, classes=["person"]))[0][0].objects
    assert [each.keypoints for each in named] == [found.keypoints]
    _, lost = one(
        tmp_path, shape.replace("</skeleton>", '<points label="x" points="1,1"/></skeleton>')
    )
    assert lost == {"part": 1}
    _, lost = one(tmp_path, shape.replace("9,9", "9").replace('outside="1"', 'outside="0"'))
    assert lost == {"part": 1}


def test_answers_of_points_of_skeletons(tmp_path: Path) -> None:
    """They are counted like those of the skeleton, each by the name of its point."""
    answer = '<attribute name="lit">yes</attribute>'
    points = "".join(
        f'<points label="{name}" points="1.5,2">{answer}</points>' for name in ("nose", "tail")
    )
    _, losses = told(
        open_dataset(
            text(
                tmp_path / "annotations.xml",
                cvat(f'<skeleton label="person">{points}{answer}</skeleton>'),
            )
        )
    )
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.CLASSIFICATION, 3)
    assert [each.partition(": ")[2] for each in lost.examples] == ["lit", "nose.lit", "tail.lit"]


def test_what_cvat_has_besides_is_counted(tmp_path: Path) -> None:
    """Cuboids, tags and attributes are told by kind; marks travel with the object."""
    attribute = '<attribute name="color">red</attribute><attribute name="empty"></attribute>'
    shapes = (
        f'<box label="car" occluded="1" xtl="1" ytl="2" xbr="3" ybr="4">{attribute}</box>',
        '<cuboid label="car" xtl1="1"/>',
        f'<tag label="rainy">{attribute}</tag>',
    )
    text(tmp_path / "annotations.xml", cvat(*shapes))
    (image,), lost = read(open_dataset(tmp_path))
    assert [each.extra for each in image.objects] == [{"occluded": "1"}]
    assert lost == {"classification": 3, "cuboid": 1}


BAD_SHAPES = [
    ('<box label="car" xtl="1" ytl="2" xbr="3"/>', "not a number for 'ybr'"),
    ('<box label="car" xtl="1" ytl="2" xbr="inf" ybr="4"/>', "not a number for 'xbr'"),
    ('<box label="car" xtl="9" ytl="2" xbr="3" ybr="4"/>', "ends before it begins"),
    ('<box xtl="1" ytl="2" xbr="3" ybr="4"/>', "no class"),
    ('<polygon label="car" points="1,2;3,4"/>', "x and y of 3 points"),
    ('<polygon label="car" points="1,2;3,4;5"/>', "5 numbers"),
    ('<polygon label="car" points="1,2;3,4;5,6;7"/>', "7 numbers"),
    ('<polygon label="car" points="1,2;3,4;a,b"/>', "'a' is not a number"),
    ('<mask label="car" rle="1,3" left="0" top="0" width="-2" height="-2"/>', "is not read"),
    ('<polyline label="car"/>', "x and y of 2 points"),
    ('<mask label="car" rle="1,2" left="0" top="0" width="2" height="2"/>', "covers 3 pixels of 4"),
    ('<mask label="car" rle="-1,5" left="0" top="0" width="2" height="2"/>', "covers"),
    ('<mask label="car" rle="1" left="0" top="0" width="99999" height="99999"/>', "is not read"),
    ('<skeleton label="person"><points label="nose" outside="1" points="1,1"/></skeleton>', "none"),
    ('<blob label="car"/>', "<blob> is not a shape"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "words"), BAD_SHAPES)
def test_a_bad_shape_of_cvat_is_one_loss(tmp_path: Path, shape: str, words: str) -> None:
    """It is named by file and line, and the others are read."""
    good = '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4"/>'
    text(tmp_path / "annotations.xml", cvat(good, shape, good, meta=LABELS.replace("\n", "")))
    (image,), losses = told(open_dataset(tmp_path))
    assert len(image.objects) == 2
    (lost,) = losses.report().items
    assert (lost.kind, lost.count) == (LossKind.BROKEN, 1)
    assert f"{tmp_path}/annotations.xml, line 3: " in lost.examples[0]
    assert words in lost.examples[0]


def test_images_of_cvat(tmp_path: Path) -> None:
    """One without a name is lost with its shapes; those of one name are one."""
    good = '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4"/>'
    more = (
        f'<image id="1" width="200" height="100">{good}{good}</image>'
        f'<image id="2" name="b.png" width="640.0" height="480">{good}</image>'
        f'<image id="3" name="a.png" width="200" height="100">{good.replace("car", "dog")}</image>'
        '<image id="4" name="c.png"/>'
    )
    text(tmp_path / "annotations.xml", cvat(good, more=more))
    images, lost = read(dataset := open_dataset(tmp_path))
    assert [(each.name, each.width, len(each.objects)) for each in images] == [
        ("b.png", 640, 1), ("c.png", None, 0), ("a.png", 200, 2)
    ]  # fmt: skip
    assert lost == {"broken": 2, "doubled": 1, "size": 1}
    assert [each.is_labelled for each in images] == [True, False, True]
    assert [each.name for each in dataset.categories] == ["car", "person", "unused", "dog"]
    # An image whose shapes are all lost is not one without labels; a label needs a name.
    bare = cvat(
        '<cuboid label="car"/>', meta="<label><name/></label>", more='<image name="b.png"/>'
    )
    found = formats.read(text(tmp_path / "annotations.xml", bare))
    assert [each.media_name for each in found.images] == ["b.png"]
    assert {each.kind: each.count for each in found.losses.items} == {
        LossKind.CUBOID: 1, LossKind.SIZE: 1
    }  # fmt: skip


def test_projects_of_cvat(tmp_path: Path) -> None:
    """Its images lie in a folder for each subset, where several may have one name."""
    images = "".join(f'<image name="a.png" subset="{part}"/>' for part in ("Train", "Test"))
    meta = "<meta><project/><dumped>2024-01-01</dumped></meta>"
    text(tmp_path / "jobs" / "1" / "p.xml", f"<annotations>{meta}{images}</annotations>")
    found, _ = read(open_dataset(tmp_path))
    assert [each.name for each in found] == ["Train/a.png", "Test/a.png"]


def test_parts_of_cvat(tmp_path: Path) -> None:
    """An image says of which subset it is."""
    more = '<image name="b.png" subset="Validation" width="200" height="100"/>'
    text(tmp_path / "annotations.xml", cvat(more=more))
    for part in ("val", "Validation"):
        (image,), _ = read(open_dataset(tmp_path, split=part))
        assert image.name == "b.png"
    with pytest.raises(FormatError, match="holds no images"):
        open_dataset(tmp_path, split="test")


def test_cvat_that_is_cut_off(tmp_path: Path) -> None:
    """What stands before the cut is read, and the place is told."""
    good = '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4"/>'
    text(tmp_path / "annotations.xml", cvat(good).replace("</annotations>", "\n<image"))
    images, losses = told(open_dataset(tmp_path))
    assert len(images) == 1
    assert "annotations.xml: line 13: it is not XML" in str(losses.report())
    text(tmp_path / "annotations.xml", "<annotations>&nothing;")
    with pytest.raises(FormatError, match=r"no images; looked for <image> or <track>.*not XML"):
        open_dataset(tmp_path)


VIDEO = """<annotations><version>1.1</version><meta><task>
<labels><label><name>car</name></label></labels>
<original_size><width>200</width><height>100</height></original_size></task></meta>
<track id="7" label="car">
<box frame="2" keyframe="1" outside="0" occluded="0" xtl="1" ytl="2" xbr="3" ybr="4"/>
<box frame="10" keyframe="0" outside="0" occluded="0" xtl="2" ytl="2" xbr="4" ybr="4"/>
<box frame="11" keyframe="1" outside="1" occluded="0" xtl="2" ytl="2" xbr="4" ybr="4"/>
<box xtl="2" ytl="2" xbr="4" ybr="4"/>
</track>
<track id="8" label="dog">
<polygon frame="2" outside="0" points="1,2;3,4;5,0"/>
</track></annotations>"""


def test_cvat_for_video(tmp_path: Path) -> None:
    """A track is an object in each frame in which it is seen, which is told; frames have names."""
    text(tmp_path / "annotations.xml", VIDEO)
    picture(tmp_path / "images" / "frame_000010.jpg")
    images, lost = read(dataset := open_dataset(tmp_path))
    assert [(each.name, each.width, each.height) for each in images] == [
        ("frame_000002", 200, 100), ("frame_000010.jpg", 200, 100)
    ]  # fmt: skip
    assert [[each.category.name for each in image.objects] for image in images] == [
        ["car", "dog"], ["car"]
    ]  # fmt: skip
    assert box(images[1].objects[0]) == (2, 2, 2, 2)
    assert images[0].objects[1].where == f"{tmp_path}/annotations.xml, line 11"
    assert lost == {"track": 1, "broken": 1}
    assert [each.name for each in dataset.categories] == ["car", "dog"]
    # Without a project there is one task; a frame whose shapes are lost is not one without labels.
    wrong = '<track label="car" task_id="5"><box frame="7" xtl="1"/></track></annotations>'
    text(tmp_path / "annotations.xml", VIDEO.replace("</annotations>", wrong))
    images, _ = read(open_dataset(tmp_path))
    assert images[1].name == "frame_000007"
    names = [each.media_name for each in formats.read(tmp_path).images]
    assert names == ["frame_000002", "frame_000010.jpg"]


def test_a_full_disk_under_long_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to have their temporary database elsewhere."""
    connect = sqlite3.connect

    def small(*given: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **options)
        connection.execute("PRAGMA max_page_count = 10")
        return connection

    boxes = "".join(f'<box frame="{at}" xtl="1" ytl="2" xbr="3" ybr="4"/>' for at in range(999))
    content = f'<annotations><track label="car">{boxes}</track></annotations>'
    text(tmp_path / "annotations.xml", content)
    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(FormatError, match=r"is full; free some space, or name .* SQLITE_TMPDIR"):
        read(open_dataset(tmp_path))


def test_a_long_track_takes_no_memory(tmp_path: Path) -> None:
    """Its shapes go on disk one by one, however many there are."""

    def peak(shapes: int) -> int:
        far = "<!--" + "." * 2000 + "-->"  # so that a piece of the file has a few shapes
        box_of = '<box frame="{}" xtl="1" ytl="2" xbr="3" ybr="4"/>' + far
        track = "".join(box_of.format(each % 100) for each in range(shapes))
        content = f'<annotations><track label="car">{track}</track></annotations>'
        path = text(tmp_path / f"{shapes}.xml", content)
        tracemalloc.start()
        try:
            found = open_dataset(path).images(Losses())
            assert sum(len(each.objects) for each in found) == shapes
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is loaded once
    assert peak(1500) < peak(300) + 200_000


def test_a_track_that_breaks_off(tmp_path: Path) -> None:
    """What stands before the break is read."""
    text(tmp_path / "annotations.xml", VIDEO.partition('<box xtl="2"')[0])
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, len(each.objects)) for each in images] == [
        ("frame_000002", 1), ("frame_000010", 1)
    ]  # fmt: skip
    assert lost == {"broken": 1}


def test_files_of_several_videos(tmp_path: Path) -> None:
    """Each has a frame 2: what is on one is never put on the other; none of the files is left."""
    for name in ("annotations", "more"):
        text(tmp_path / f"{name}.xml", VIDEO)
    images, _ = read(open_dataset(tmp_path))
    assert [each.name for each in images] == [
        "annotations/frame_000002", "annotations/frame_000010",
        "more/frame_000002", "more/frame_000010",
    ]  # fmt: skip


def test_videos_of_a_project(tmp_path: Path) -> None:
    """Each has a frame 0, of its own size: what is on one is never put on the other."""
    size = "<original_size><width>{}</width><height>100</height></original_size>"
    tasks = "".join(f"<task><id>{n}</id>{size.format(n * 100)}</task>" for n in (2, 3))
    box_of = (
        '<track label="car" task_id="{}"><box frame="0" xtl="{}" ytl="1" xbr="90" ybr="9"/></track>'
    )
    tracks = "".join(box_of.format(*numbers) for numbers in ((2, 10), (3, 20), (2, 30)))
    meta = f"<meta><project><tasks>{tasks}</tasks></project></meta>"
    text(tmp_path / "a.xml", f"<annotations>{meta}{tracks}</annotations>")
    images, lost = read(open_dataset(tmp_path))
    assert [(each.name, each.width) for each in images] == [
        ("task_2/frame_000000", 200),
        ("task_3/frame_000000", 300),
    ]
    assert [[box(found)[0] for found in each.objects] for each in images] == [[10, 30], [20]]
    assert not lost
    of_part = tracks.replace('task_id="2"', 'task_id="2" subset="Train"')
    text(tmp_path / "a.xml", f"<annotations>{meta}{of_part}</annotations>")
    (image,), lost = read(open_dataset(tmp_path, split="train"))
    assert (image.name, [box(found)[0] for found in image.objects], lost) == (
        "task_2/frame_000000", [10, 30], {}
    )  # fmt: skip
    with pytest.raises(FormatError, match=r"holds no images.* with the subset test"):
        open_dataset(tmp_path, split="test")


def test_skeletons_of_tracks(tmp_path: Path) -> None:
    """Their points are in a track each, which is in that of the skeleton."""
    inner = "".join(
        f'<track label="{name}"><points frame="2" outside="{out}" points="1,2"/></track>'
        for name, out in (("nose", 0), ("tail", 1))
    )
    track = (
        f'<track label="person"><skeleton frame="2" outside="0" points="1,2;3,4"/>{inner}</track>'
    )
    meta = f"<meta><task><labels>{LABELS}</labels></task></meta>"
    text(tmp_path / "annotations.xml", f"<annotations>{meta}{track}</annotations>")
    (image,), lost = read(open_dataset(tmp_path))
    assert [each.keypoints for each in image.objects] == [[(1, 2, 2), None]]
    assert not lost


def test_values_of_cvat(tmp_path: Path) -> None:
    """What becomes of a whole file, without a word of its format: polygons, since it has them."""
    shapes = (
        '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4"/>',
        '<polygon label="car" points="1,2;3,4;5,0"/>',
        '<polyline label="lane" points="1,2;3,4"/>',
    )
    path = text(tmp_path / "annotations.xml", cvat(*shapes))
    config = formats.label_config(path)
    assert {each.key: each.type for each in config.entries} == {
        "car": "POLYGON", "person": "POLYGON", "unused": "POLYGON", "lane": "LINE"
    }  # fmt: skip
    found = formats.read(path, config=config)
    (image,) = found.images
    assert [each.shape.type for each in image.annotations] == ["POLYGON", "POLYGON", "LINE"]
    assert {each.kind.value: each.count for each in found.losses.items} == {"box": 1}


def web_tool(name: str, more: str, attributes: str = "") -> str:
    """What stands in an object of LabelMe's web tool, which also CVAT writes."""
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in [(1, 2), (30, 2), (30, 40)])
    marks = "<verified>0</verified><occluded>no</occluded><date>1-May-2020</date><id>3</id>"
    parts = "<parts><hasparts></hasparts><ispartof></ispartof></parts>"
    return (
        f"<name>{name}</name>{more}{marks}{parts}<attributes>{attributes}</attributes>"
        f"<polygon><username>me</username>{points}</polygon>"
    )


def test_labelmes_web_tool(tmp_path: Path) -> None:
    """What somebody deleted stays in its files, and is none; sizes are rows and columns."""
    kept, gone = (f"<deleted>{each}</deleted>" for each in "01")
    objects = [web_tool("car", kept), web_tool("old", gone), web_tool("cat", kept, "red, small")]
    whole = voc(*objects, size="").replace(
        "<size></size>", "<imagesize><nrows>100</nrows><ncols>200</ncols></imagesize>"
    )
    (image,), lost = read(dataset := open_dataset(text(tmp_path / "a.xml", whole)))
    assert (image.width, image.height) == (200, 100)
    assert [each.category.name for each in image.objects] == ["car", "cat"]
    assert [each.name for each in dataset.categories] == ["car", "cat"]
    assert rings(image.objects[0]) == [[[(1, 2), (30, 2), (30, 40)]]]
    assert lost == {"extra": 1}
