"""Labels as SVG: its geometry is that of the labels, and nothing that a name holds is markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import attrs
import pytest

from datagym_async import ConfigurationError, look
from datagym_async.labels import (
    Annotation,
    Classification,
    Incomplete,
    LabelConfig,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import EntryType

HOSTILE = "</text><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b"
_SVG = "{http://www.w3.org/2000/svg}"


def drawn(labels: LabeledImage, **options: object) -> list[ET.Element]:
    """Return the marks of an SVG."""
    text = look.svg(labels, 400, 300, **options)  # type: ignore[arg-type]  # what a test passes
    return ET.fromstring(text).findall(f"{_SVG}g")


def numbers(mark: ET.Element) -> list[float]:
    """Return the numbers of a mark's path."""
    paths = {path.get("d") for path in mark.findall(f"{_SVG}path")}
    assert len(paths) == 1  # the edge lies where the mark lies
    return [float(each) for each in re.findall(r"-?[\d.]+(?:e-?\d+)?", paths.pop() or "")]


def test_the_geometry_is_that_of_the_labels() -> None:
    """Paths hold the coordinates of shapes with every digit, holes behind their outline."""
    outline, hole = [(0, 0), (90.1, 0), (90.1, 80)], [(10, 10), (20, 10), (20, 20.25)]
    shapes = (
        Rectangle(1.1, 2, 30.3, 40),
        Polygon([(1, 2), (3.000000000000001, 4), (5, 6)]),
        Line([(7, 8), (9, 1e-7)]),
        Point(11, 12.5),
        Segmentation([outline, hole]),
    )

    mask, *marks = drawn(LabeledImage(annotations=[Annotation("car", each) for each in shapes]))

    assert [mark.get("data-kind") for mark in marks] == ["box", "polygon", "line", "point"]
    assert numbers(marks[0]) == [1.1, 2, 1.1 + 30.3, 42, 1.1]
    assert numbers(marks[1]) == [1, 2, 3.000000000000001, 4, 5, 6]
    assert numbers(marks[2]) == [7, 8, 9, 1e-7]
    assert numbers(marks[3]) == [11, 12.5, 0]
    ends = [(mark.find(f"{_SVG}path").get("d") or "").count("Z") for mark in (mask, *marks)]  # type: ignore[union-attr]  # all have one
    assert ends == [2, 1, 1, 0, 0]  # closed, but for lines and points
    lines = [float(mark.findall(f"{_SVG}path")[1].get("stroke-width") or 0) for mark in marks]
    assert lines == [1.5, 1.5, 1.5, 7.5]  # a point is a dot
    assert mask.get("data-kind") == "mask"  # below all else
    assert numbers(mask) == [*(x for pair in (*outline, *hole) for x in pair)]
    assert mask.findall(f"{_SVG}path")[1].get("fill-rule") == "evenodd"


def test_nothing_of_a_name_is_markup() -> None:
    """Keys, answers, names and addresses are texts, whatever they hold."""
    answer = Classification.freetext("note", HOSTILE)
    labels = LabeledImage(
        media_name=HOSTILE, annotations=[Annotation(HOSTILE, Point(1, 2), [answer])]
    )

    text = look.svg(labels, image=f"x.png{HOSTILE}")

    tags = {each.tag.removeprefix(_SVG) for each in ET.fromstring(text).iter()}
    assert tags == {"svg", "image", "g", "path", "text"}
    assert "<script" not in text
    assert "\x1b" not in text


def test_what_cannot_be_drawn_is_counted() -> None:
    """Shapes without all coordinates, and those at no finite ones, are said to be left out."""
    nowhere = (Incomplete(EntryType.POINT, [{}]), Rectangle(0, float("nan"), 1, 1), Polygon([]))
    labels = LabeledImage(annotations=[Annotation("car", each) for each in nowhere])

    assert "<desc>3 incomplete, not drawn</desc>" in look.svg(labels)
    assert drawn(labels) == []


def test_colours() -> None:
    """A class has the colour of its configuration, else one that its name alone decides."""
    config = LabelConfig()
    config.add_rectangle("car", "Car", color="#3333FF")
    config.add_point("mast", "Mast", color="url(x)")
    colors = look.colors_of(config)
    labels = LabeledImage(annotations=[Annotation(key, Point(1, 2)) for key in ("car", "mast")])

    found = [mark.findall(f"{_SVG}path")[1].get("stroke") for mark in drawn(labels, colors=colors)]
    again = [mark.findall(f"{_SVG}path")[1].get("stroke") for mark in drawn(labels)]

    assert colors == {"car": "#3333FF"}
    assert found[0] == "#3333FF"
    assert found[1] == again[1]
    assert again[0] != again[1]
    (short,) = drawn(
        attrs.evolve(labels, annotations=labels.annotations[:1]), colors={"car": "#3AF"}
    )
    assert short.findall(f"{_SVG}path")[1].get("stroke") == "#33AAFF"
    assert look.colors_of(None) == {}


def test_nested_shapes_and_answers() -> None:
    """What is nested is drawn as well, and may be left out by its class; answers are said."""
    kind = Classification.select(
        "kind", "bus", Classification.checklist("damage", ["dent", "rust"])
    )
    plate = Annotation("plate", Rectangle(1, 1, 2, 2))
    labels = LabeledImage(annotations=[Annotation("car", Rectangle(0, 0, 9, 9), [kind], [plate])])

    captions = [mark.findtext(f"{_SVG}text") for mark in drawn(labels)]

    assert captions == ["car: kind bus, damage dent + rust", "plate"]
    assert len(drawn(labels, classes={"plate"})) == 1
    assert drawn(labels, text=False)[0].find(f"{_SVG}text") is None


def test_long_captions_are_cut() -> None:
    """At 80 characters, the last of which says so."""
    labels = LabeledImage(annotations=[Annotation(key * 40, Point(1, 2)) for key in ("ab", "abc")])

    captions = [mark.findtext(f"{_SVG}text") for mark in drawn(labels)]

    assert captions == ["ab" * 40, ("abc" * 40)[:79] + "…"]


@pytest.mark.parametrize(
    ("known", "given", "expected"),
    [
        ((640, 480), (None, None), "0 0 640 480"),
        ((640, 480), (320, 240), "0 0 320 240"),
        ((640, 480), (None, 240), "0 0 640 240"),
        ((None, None), (None, None), "0 0 30 20"),
        ((640, None), (None, None), "0 0 30 20"),
        ((0, 480), (None, None), "0 0 30 20"),
    ],
)
def test_the_size_of_an_image(
    known: tuple[int | None, int | None], given: tuple[int | None, int | None], expected: str
) -> None:
    """The view is that of the image; where nobody knows it, as large as the labels go."""
    box = Annotation("car", Rectangle(10, 10, 20, 10))
    labels = LabeledImage(annotations=[box], width=known[0], height=known[1])

    document = ET.fromstring(look.svg(labels, *given))

    assert (document.get("viewBox"), document.get("aria-label")) == (expected, "labels")
    named = look.svg(attrs.evolve(labels, media_name="a.jpg"), *given)
    assert ET.fromstring(named).get("aria-label") == "a.jpg"
    for width, height in ((0, None), (None, -1)):
        with pytest.raises(ConfigurationError, match="above 0"):
            look.svg(labels, width, height)
