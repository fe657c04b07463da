"""Statistics of labels, and what two sets of labels agree on."""

from __future__ import annotations

import json
import math
import pickle
import random
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async import ConfigurationError, LabeledTask, TaskState, look
from datagym_async.formats import FormatError
from datagym_async.labels import (
    Annotation,
    Bounds,
    Classification,
    Incomplete,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
    to_payload,
)
from datagym_async.look import _overlap
from datagym_async.look._overlap import box_overlap, overlap
from datagym_async.look._pages import statistics_page, statistics_svg
from datagym_async.look._stats import FindingKind, StatisticsTally
from datagym_async.models import EntryType
from tests.helpers.label_files import picture, text

SQUARE = [(10, 10), (50, 10), (50, 50), (10, 50)]


def counted(*images: LabeledImage, tiny: float = 4.0) -> look.LabelStatistics:
    """Return the statistics of images."""
    tally = StatisticsTally("test", tiny=tiny)
    for each in images:
        tally.add(each)
    return tally.statistics()


def image(*shapes: object, key: str = "car") -> LabeledImage:
    """Return an image of 100 x 80 pixels with objects of one class."""
    annotations = [Annotation(key, shape) for shape in shapes]  # type: ignore[arg-type]
    return LabeledImage(media_name="a.jpg", annotations=annotations, width=100, height=80)


def test_classes_and_sizes() -> None:
    """Each class has its images, its objects and their sides; nested objects count as well."""
    plate = Annotation("plate", Rectangle(12, 12, 8, 2))
    car = Annotation("car", Rectangle(10, 10, 40, 10), nested=[plate])

    found = counted(
        LabeledImage(annotations=[car]), image(Rectangle(5, 5, 30, 30), Polygon(SQUARE)), image()
    )

    assert [(each.key, each.images, each.objects) for each in found.classes] == [
        ("car", 2, 3),
        ("plate", 1, 1),
    ]
    car_count = found.classes[0]
    assert (car_count.smallest, car_count.mean, car_count.largest) == (20, 30, 40)
    assert (found.images, found.labelled, found.objects) == (3, 2, 4)
    assert dict(found.sizes) == {
        "4 to 8 px": 1,
        "8 to 16 px": 0,
        "16 to 32 px": 2,
        "32 to 64 px": 1,
    }
    assert found.per_image == (("0", 1), ("1", 0), ("2 to 3", 2))
    assert found.image_sizes == (("100 x 80", 2),)


@pytest.mark.parametrize(
    ("kind", "shapes", "count"),
    [
        ("tiny", [Rectangle(5, 5, 3, 50), Rectangle(5, 5, 4, 4)], 1),
        ("tiny", [Point(5, 5), Line([(5, 5), (9, 5)])], 0),
        # 4.004 - 0.004 is less than 4, and YOLO's six digits put an edge of 0 at 5e-5.
        ("tiny", [Polygon([(5, 0.004), (9, 0.004), (9, 4.004), (5, 4.004)])], 0),
        ("edge", [Rectangle(5e-5, 5, 9, 9), Rectangle(90, 5, 9.99995, 9)], 2),
        ("edge", [Rectangle(0, 5, 9, 9), Rectangle(5, 5, 95, 9), Rectangle(5, 5, 9, 75)], 3),
        ("edge", [Polygon([(5, 5), (120, 9), (9, 9)]), Rectangle(1, 1, 98, 78)], 1),
        ("edge", [Rectangle(5, 0, 9, 9), Rectangle(5, 5, 2, 2), Point(5, 5), Point(5, 80)], 2),
        ("double", [Rectangle(5, 5, 40, 40), Rectangle(5, 5.5, 40, 40)], 1),
        ("double", [Rectangle(5, 5, 40, 40), Rectangle(5, 9, 40, 40)], 0),
        ("double", [Polygon(SQUARE), Segmentation([SQUARE]), Polygon(SQUARE)], 2),
        # The boxes are the same, what they surround is not.
        ("double", [Polygon(SQUARE), Polygon([*SQUARE[:3]])], 0),
        ("double", [Point(5, 5), Point(5, 5), Point(6, 5)], 1),
        ("double", [Line([(1, 1), (50, 1)]), Line([(50, 1), (1, 1)])], 0),
        ("double", [Line([(1, 1), (50, 40)]), Line([(1, 40), (50, 1)])], 0),
        ("double", [Rectangle(5, 5, 40, 40)] * 5, 4),
        # The third one covers both others, which do not cover one another.
        ("double", [Rectangle(10 + 2 * n, 10, 80, 40) for n in (0, 2, 1)], 2),
        ("incomplete", [Incomplete(EntryType.POINT, [{}]), Polygon([]), Segmentation([])], 3),
        ("incomplete", [Rectangle(float("nan"), 1, 1, 1), Point(float("inf"), 1)], 2),
        ("incomplete", [Rectangle(1, 1, -5, 5), Rectangle(1, 1, 1e300, 5)], 2),
        ("incomplete", [Rectangle(1, 1, 5, -5), Rectangle(1, 1, 5, 1e300)], 2),
    ],
)
def test_what_to_look_at(kind: FindingKind, shapes: list[object], count: int) -> None:
    """Objects that are likely to be wrong are counted, and the first of them named."""
    found = counted(image(*shapes)).finding(kind)

    assert found.count == count
    assert len(found.examples) == count
    assert all(each.startswith("a.jpg: car") for each in found.examples)


def test_examples_say_where_to_look() -> None:
    """Image, class and place; what has no place is named without one."""
    found = counted(image(Rectangle(5.5, 6, 3, 50), Polygon([])))

    assert found.finding("tiny").examples == ("a.jpg: car at 5.5, 6 (3 x 50)",)
    assert found.finding("incomplete").examples == ("a.jpg: car",)


def test_points_have_no_size() -> None:
    """They are objects of their class, and none of those that are sorted by size."""
    found = counted(image(Point(5, 5), Rectangle(5, 5, 9, 9), Rectangle(5, 5, 9, 0)), tiny=0)

    assert found.sizes == (("0 to 1 px", 1), ("1 to 2 px", 0), ("2 to 4 px", 0), *found.sizes[3:])
    assert found.sizes[3:] == (("4 to 8 px", 0), ("8 to 16 px", 1))
    assert (found.objects, found.classes[0].smallest) == (3, 0)
    assert found.finding("tiny").count == 0


@pytest.mark.parametrize("way", [(0, 20), (60, 0)])
def test_many_objects_in_a_row_take_no_time(way: tuple[int, int]) -> None:
    """The lines of a table, or its columns, are not compared each with all others."""
    boxes = [Rectangle(5 + n * way[0], 5 + n * way[1], 50, 18) for n in range(20_000)]
    page = LabeledImage(annotations=[Annotation("line", box) for box in [*boxes, boxes[7]]])

    assert counted(page).finding("double").count == 1
    assert look.compare(page, page).disagreement == 0


def crowd(count: int, seed: int) -> list[Shape]:
    """Return large stars over one another, some with a hole, some several times."""
    rng, found = random.Random(seed), list[Shape]()
    for number in range(count):
        x, y = rng.uniform(40, 60), rng.uniform(30, 50)
        turns = [(math.tau * each / 12, rng.uniform(8, 35)) for each in range(12)]
        ring = [(x + far * math.cos(turn), y + far * math.sin(turn)) for turn, far in turns]
        hole = [(x + (each - x) / 2, y + (other - y) / 2) for each, other in ring]
        found.append(Segmentation([ring, hole]) if number % 5 == 0 else Polygon(ring))
        found += found[-1:] if number % 7 == 0 else ()
    return found


BOXES: list[Shape] = [Rectangle(28 + at / 2, 20, 40, 40) for at in range(20)]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(crowd(20, 1), [*crowd(18, 2), *crowd(2, 1)]), (crowd(20, 1), BOXES), (BOXES, crowd(20, 1))],
)
def test_a_crowd_is_compared_as_if_each_was_with_each_other(
    ours: list[Shape], theirs: list[Shape], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best pairs are found without painting all of them; with boxes, boxes are compared."""
    every = sorted(
        ((-overlap(a, b), i, j) for i, a in enumerate(ours) for j, b in enumerate(theirs)),
    )
    partner, back, shares = dict[int, int](), dict[int, int](), list[float]()
    for minus, i, j in every:
        if -minus >= 0.5 and i not in partner and j not in back:
            partner[i], back[j] = j, i
            shares.append(-minus)
    painted: list[object] = []
    paint = vars(_overlap)["covered"]

    def counted_paint(*args: object) -> object:
        painted.append(args)
        return paint(*args)

    monkeypatch.setattr(_overlap, "covered", counted_paint)

    found = look.compare(image(*ours), image(*theirs))

    assert found.shares == tuple(shares)
    assert (found.missed, found.false) == (len(ours) - len(shares), len(theirs) - len(shares))
    assert len(painted) < len(every)  # two would be painted for each pair


def test_a_crowd_in_one_box_has_few_doubles() -> None:
    """Shapes with one box and one area are told apart; among them are found what is nearly a copy,
    and a box of all of them, which is compared with their boxes.
    """
    rng, stairs = random.Random(3), list[Polygon]()
    for _ in range(120):
        high = [10] * 8 + [60] * 8
        rng.shuffle(high)
        top = [(4.0 * (at + end), h) for at, h in enumerate(high) for end in (0, 1)]
        stairs.append(Polygon([(0, 70), (0, 1), *top, (64, 1), (64, 70)]))
    expected = sum(
        any(overlap(a, b) > 0.95 for b in stairs[:at]) for at, a in enumerate(stairs[:20])
    )
    assert counted(image(*stairs[:20])).finding("double").count == expected
    before = counted(image(*stairs)).finding("double").count
    copy = Polygon([(each.x + 0.1, each.y) for each in stairs[50].points])
    box = Rectangle(0, 1, 64, 69)
    assert box.bounds == stairs[0].bounds
    assert counted(image(*stairs, copy)).finding("double").count == before + 1
    assert counted(image(*stairs, box)).finding("double").count == before + 1
    assert counted(image(box, *stairs)).finding("double").count == len(stairs)


def test_doubles_are_of_one_class_and_one_image() -> None:
    """What covers an object of another class, or lies on another image, is no double."""
    box = Rectangle(5, 5, 40, 40)
    both = [Annotation("car", box), Annotation("bus", box)]

    found = counted(LabeledImage(annotations=both), image(box))

    assert found.finding("double").count == 0


def test_who_is_unlabelled() -> None:
    """Finished images without object and answer; what was skipped has none on purpose."""
    answered, unset = Classification.select("w", "rain"), Classification.select("w", None)
    tasks = [
        LabeledTask(media_id=name, media_name=name, state=state, classifications=answers)
        for name, state, answers in (
            ("none", TaskState.COMPLETED, []),
            ("unset", TaskState.REVIEWED, [unset]),
            ("answered", TaskState.COMPLETED, [answered]),
            ("skipped", TaskState.SKIPPED, []),
        )
    ]

    found = counted(*tasks)

    assert found.finding("unlabelled").examples == ("none", "unset")
    assert (found.images, found.labelled) == (4, 1)
    assert found.states == {"COMPLETED": 2, "REVIEWED": 1, "SKIPPED": 1}


def test_answers() -> None:
    """Each answer and each question without one is counted, nested ones too; texts are not told."""
    damage = Classification.checklist("damage", ["dent", "rust"])
    kinds = [Classification.select("kind", "bus", damage), Classification.select("kind", None)]
    texts = [Classification.freetext("note", "secret"), Classification("note", ("x" * 99,))]
    cars = [
        Annotation("car", Point(1, 2), [kind, text])
        for kind, text in zip(kinds, texts, strict=True)
    ]

    # As the service writes it, and as others do: nothing, and a text without a character.
    empty = [(None,), (), ("",)]
    roots = [Classification("note", each, type=EntryType.FREETEXT) for each in empty]
    roots += [Classification("kind", each) for each in empty]
    found = counted(
        LabeledImage(media_name="a", annotations=cars, classifications=roots),
        LabeledImage(media_id="b", classifications=roots),
    )

    assert [(each.key, each.answers, each.unanswered) for each in found.answers] == [
        ("damage", {"dent": 1, "rust": 1}, 0),
        ("kind", {"bus": 1}, 7),
        ("note", {"(text)": 2}, 6),
    ]
    assert found.finding("unanswered").count == 13
    assert found.finding("unanswered").examples[:5] == ("a: note",) * 3 + ("a: kind",) * 2
    assert found.finding("unanswered").examples[7:] == ("b: note",) * 3 + ("b: kind",) * 3
    assert (found.labelled, found.finding("unlabelled").examples) == (1, ("b",))


def test_memory_does_not_grow_with_what_is_counted() -> None:
    """Answers, sizes and examples are kept up to a number, and all of them are counted once."""
    tally, most = StatisticsTally("test"), 0
    for n in range(30_000):
        answer = Classification.select("kind", f"option {n % 250}")
        car = Annotation("car", Rectangle(0.2, 0.2, 0.3, 0.3), [answer])
        tally.add(LabeledImage(media_name=str(n), annotations=[car], width=n + 1, height=1))
        most = max(most, 0 if n % 999 else len(pickle.dumps(tally)))
    found = tally.statistics()

    (kind,) = found.answers
    assert kind.answers == {f"option {n}": 120 for n in range(200)} | {"(others)": 50 * 120}
    assert len(found.image_sizes) == 201
    assert sum(count for _, count in found.image_sizes) == 30_000
    assert (found.objects, found.sizes) == (30_000, (("0 to 1 px", 30_000),))
    assert found == tally.statistics()  # nothing is counted again
    assert 10_000 < most < 100_000


def test_pages_and_charts_are_well_formed_and_escaped() -> None:
    """Whatever names hold, a page is a page, and charts are SVG."""
    hostile = "<script>alert(1)</script>&\x1b"
    answer = Classification.select(hostile, hostile)
    found = counted(
        LabeledImage(
            media_name=hostile,
            annotations=[Annotation(hostile, Rectangle(0, 0, 1, 1), [answer])],
            classifications=[Classification.select(hostile, None)],
        )
    )

    page, charts = statistics_page(found), statistics_svg(found)

    assert "<script" not in page
    assert "\x1b" not in page + charts
    assert ET.fromstring(charts).tag == "{http://www.w3.org/2000/svg}svg"
    assert json.loads(json.dumps(found.to_dict()))["classes"][0]["key"] == hostile


@pytest.mark.parametrize(("classes", "others"), [(24, 0), (25, 1), (30, 6)])
def test_charts_have_a_row_for_each_of_the_first(classes: int, others: int) -> None:
    """Of more than 24 classes the rest is one row; none lies on another chart."""
    cars = [Annotation(f"class {n:02}", Rectangle(5, 5, 9, 9)) for n in range(classes)]

    charts = ET.fromstring(statistics_svg(counted(LabeledImage(annotations=cars, width=9))))

    whole = [each for each in charts if each.get("x") == "16"]
    rows = [[text.text for text in each.iter() if text.tag.endswith("}text")] for each in whole]
    assert [each[0] for each in rows] == [
        "Objects by class",
        "Objects by size",
        "Images by number of objects",
    ]
    assert [each for each in rows[0] if (each or "").startswith("class")] == [
        f"class {n:02}" for n in range(min(classes, 24))
    ]
    assert ("others" in rows[0]) == bool(others)
    assert not others or rows[0][rows[0].index("others") + 1] == str(others)
    ends = [float(each.get("y") or 0) + float(each.get("height") or 0) for each in whole]
    starts = [float(each.get("y") or 0) for each in whole[1:]] + [float(charts.get("height") or 0)]
    assert all(end < start for end, start in zip(ends, starts, strict=True))


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
async def test_files(tmp_path: Path, suffix: str) -> None:
    """An export is read as it comes, with the states of its tasks."""
    tasks = [
        LabeledTask(
            media_id=str(n),
            media_name=f"{n}.jpg",
            state=TaskState.COMPLETED,
            annotations=[Annotation("car", Rectangle(1, 2, 30, 40))],
        )
        for n in range(120)
    ]
    lines = [json.dumps(to_payload(task)) for task in tasks]
    text = "[" + ",".join(lines) + "]" if suffix == "json" else "\n".join(lines)
    (tmp_path / f"a.{suffix}").write_text(text)

    found = await look.stats(tmp_path / f"a.{suffix}")

    assert (found.images, found.objects, found.states) == (120, 120, {"COMPLETED": 120})


async def test_coco_says_the_sizes_of_images(tmp_path: Path) -> None:
    """Images without labels count as well."""
    document = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 80} for n in (1, 2)],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [60, 10, 40, 20]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))

    found = await look.stats(tmp_path / "coco.json")

    assert (found.images, found.labelled, found.finding("edge").count) == (2, 1, 1)


async def test_parts_count_as_objects_of_their_own(tmp_path: Path) -> None:
    """So a file has more objects than annotations, and a note says why."""
    rings = [[1, 1, 9, 1, 9, 9], [20, 1, 29, 1, 29, 9]]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": rings}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))

    found = await look.stats(tmp_path / "coco.json")

    assert found.objects == 2
    assert [note.partition(" (")[0] for note in found.notes] == [
        "1 x objects with several parts, each now a separate shape"
    ]


async def test_images_elsewhere_are_found_where_they_are_said_to_be(tmp_path: Path) -> None:
    """YOLO needs their sizes; only what takes `images` names it."""
    text(tmp_path / "labels" / "classes.txt", "car\n")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.5 0.5")
    picture(tmp_path / "photos" / "b.png")
    options = look.GalleryOptions(workers=0)

    lost = await look.stats(tmp_path / "labels")
    gallery = await look.gallery(
        tmp_path / "photos", tmp_path / "out", labels=tmp_path / "labels", options=options
    )
    picture(tmp_path / "photos" / "a.png")
    found = await look.stats(tmp_path / "labels", images=tmp_path / "photos")

    assert (lost.objects, "name its folder with images=..." in lost.notes[0]) == (0, True)
    assert gallery.notes[0].endswith("(a: there is no such image)")
    assert (found.images, found.objects, found.notes) == (2, 1, ())


@pytest.mark.parametrize("line", ["bad line x", "0 1\0", "9 0.5 0.5 0.5 0.5", "1 " * 200_000])
async def test_an_image_whose_labels_are_unreadable_is_an_image(tmp_path: Path, line: str) -> None:
    """It counts as one without labels, in statistics and in a gallery."""
    text(tmp_path / "data.yaml", "train: images\nnames: [car]\n")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", line)

    found = await look.stats(tmp_path)
    gallery = await look.gallery(tmp_path, tmp_path / "out", options=look.GalleryOptions(workers=0))

    assert (found.images, found.objects, found.finding("unlabelled").count) == (1, 0, 1)
    assert (gallery.images, gallery.objects) == (1, 0)
    assert all("not read: 1 x" in each.notes[0] for each in (found, gallery))


async def test_a_folder_of_several_formats(tmp_path: Path) -> None:
    """A gallery says so as well, and takes none of them."""
    picture(tmp_path / "a.png")
    text(tmp_path / "a.json", '{"images": [], "annotations": [], "categories": []}')
    text(tmp_path / "annotations.xml", "<annotations/>")

    gallery = await look.gallery(tmp_path, tmp_path / "out", options=look.GalleryOptions(workers=0))

    assert "several formats" in gallery.notes[0]
    assert gallery.notes[0].endswith("); name one of them.")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("a.json", "annotations.xml"), r"several formats: .*\); name one of them$"),
        (("a.txt",), r"with names, .*; name them with classes=\.\.\.$"),
        (
            ("a/classes.txt", "b/classes.txt", "a.txt"),
            r"classes\.txt; name one \(classes=\.\.\.\)$",
        ),
        (("notes.txt",), r"has no known format$"),
    ],
)
async def test_no_option_is_named_that_statistics_lack(
    tmp_path: Path, files: tuple[str, ...], words: str
) -> None:
    """An import can choose a format; here it cannot be chosen."""
    contents = {
        "a.json": '{"images": [], "annotations": [], "categories": []}',
        "annotations.xml": "<annotations/>",
        "a.txt": "0 0.5 0.5 0.5 0.5",
        "notes.txt": "hello",
    }
    for name in files:
        text(tmp_path / name, contents.get(name, name))
    place = tmp_path / "notes.txt" if files == ("notes.txt",) else tmp_path
    with pytest.raises(FormatError, match=words):
        await look.stats(place)


async def test_what_is_no_file_of_labels(tmp_path: Path) -> None:
    """It is said to be none; there is no option to name its format."""
    (tmp_path / "a.json").write_text("hello")

    with pytest.raises(FormatError, match=r"a\.json has no known format$"):
        await look.stats(tmp_path / "a.json")


# --- Overlaps -------------------------------------------------------------------------------------

sides = st.floats(0.5, 500)
boxes = st.builds(Rectangle, sides, sides, sides, sides)


@settings(max_examples=60)
@given(boxes, boxes)
def test_overlap_of_boxes_and_their_painted_areas(a: Rectangle, b: Rectangle) -> None:
    """IoU is symmetric, 1 with itself, and about the same where the boxes are given as polygons."""
    exact = overlap(a, b)
    as_polygons = [Polygon([(c.x, c.y) for c in each.bounds.corners]) for each in (a, b)]

    assert exact == pytest.approx(overlap(b, a))
    assert overlap(a, a) == pytest.approx(1)
    assert 0 <= exact <= 1
    smallest = min(a.width, a.height, b.width, b.height)
    if smallest > max(a.x + a.width, b.x + b.width, a.y + a.height, b.y + b.height) / 5:
        assert overlap(as_polygons[0], as_polygons[1]) == pytest.approx(exact, abs=0.06)


def test_overlap_of_shapes_that_are_nowhere_or_apart() -> None:
    """It is 0, whatever the coordinates are."""
    assert overlap(Polygon([]), Polygon(SQUARE)) == 0
    assert overlap(Rectangle(0, 0, 1, 1), Rectangle(1, 0, 1, 1)) == 0
    assert overlap(Rectangle(0, 0, 1e200, 1e200), Rectangle(0, 0, 1e200, 1e200)) == 0
    assert box_overlap(Bounds(0, 0, 2, 2), Bounds(1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap(Polygon(SQUARE), Polygon([])) == 0
    assert overlap(Polygon(SQUARE), Polygon([(50, 10), (90, 10), (90, 50), (50, 50)])) == 0
    assert overlap(Segmentation([SQUARE, SQUARE]), Polygon(SQUARE)) == 0  # the hole is all of it


def test_an_area_and_a_box_are_compared_as_boxes() -> None:
    """A model of boxes gives boxes for polygons, too."""
    triangle, box = Polygon(SQUARE[:3]), Rectangle(10, 10, 40, 40)

    assert (overlap(triangle, box), overlap(box, triangle)) == (1, 1)
    assert overlap(triangle, Polygon(SQUARE)) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("side", [0.0, 5e-324, 1e-310, 1e-170])
def test_what_is_too_small_to_have_an_area_overlaps_nothing(side: float) -> None:
    """Whether few or many lie there, they are counted and compared."""
    corners = [(0.0, 0.0), (side, 0.0), (side, side), (0.0, side)]
    pair = Polygon(corners), Polygon(corners[1:])
    boxes = Rectangle(0, 0, side, side), Rectangle(0, 0, side, side / 2)
    crowd = image(*pair * 80, *boxes)

    assert overlap(*pair) == overlap(*boxes) == 0
    assert counted(crowd, tiny=0).finding("double").count >= 158
    assert look.compare(crowd, crowd).missed == 162


def test_holes_do_not_overlap() -> None:
    """What a mask leaves open is no part of it."""
    hole = [(20, 20), (40, 20), (40, 40), (20, 40)]

    share = overlap(Segmentation([SQUARE, hole]), Polygon(SQUARE))

    assert share == pytest.approx(0.75, abs=0.02)


places = st.integers(0, 6)
shapes = st.one_of(
    st.builds(Rectangle, places, places, places, places),
    st.builds(Point, places, places),
    st.builds(lambda *ends: Line([ends[:2], ends[2:]]), places, places, places, places),
)


def as_compared(shape: Point | Line | Rectangle) -> Rectangle:
    """Return the box of a shape, a hundredth of the image wider where it has no area of its own."""
    left, top, right, bottom = shape.bounds
    by = 0 if isinstance(shape, Rectangle) else 1
    return Rectangle(left - by, top - by, right - left + 2 * by, bottom - top + 2 * by)


@settings(max_examples=60)
@given(
    st.lists(shapes, max_size=8), st.lists(shapes, max_size=8), st.sampled_from([(90, 0), (0, 70)])
)
def test_no_pair_is_overlooked(
    ours: list[Point | Line | Rectangle],
    theirs: list[Point | Line | Rectangle],
    far: tuple[int, int],
) -> None:
    """Whichever side they are sorted by, what meets is compared, as if each was with each other."""
    last = Rectangle(*far, 1, 1)
    found = look.compare(image(*ours, last), image(*theirs, last), least=0.01)

    for shape, partner in zip(ours, found.ours, strict=False):
        for other, back in zip(theirs, found.theirs, strict=False):
            if partner is None and back is None:
                assert overlap(as_compared(shape), as_compared(other)) < 0.01


def test_two_sets_of_labels() -> None:
    """Pairs are of one class, the best first; what is left was missed, or is false."""
    ours = image(Rectangle(10, 10, 20, 20), Rectangle(12, 10, 20, 20), Rectangle(60, 60, 9, 9))
    theirs = LabeledImage(
        annotations=[
            Annotation("car", Rectangle(12, 10, 20, 20)),
            Annotation("bus", Rectangle(60, 60, 9, 9)),
        ]
    )

    found = look.compare(ours, theirs)

    assert found.ours == (None, 0, None)
    assert found.theirs == (1, None)
    assert (found.missed, found.false, found.shares) == (2, 1, (1.0,))
    assert found.disagreement == 3
    assert look.compare(ours, ours).disagreement == 0
    assert look.compare(LabeledImage(), LabeledImage()).disagreement == 0


@pytest.mark.parametrize("least", [0, -0.5, 1.01, math.nan, "a half"])
def test_a_comparison_needs_a_share(least: Any) -> None:
    """With 0, things that only touch would match; above 1 nothing does."""
    with pytest.raises(ConfigurationError, match="least is"):
        look.compare(LabeledImage(), LabeledImage(), least=least)
    with pytest.raises(ConfigurationError, match="least is"):
        look.GalleryOptions(least=least)
