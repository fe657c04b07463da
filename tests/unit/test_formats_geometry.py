"""Shapes at the edges of their image, and outlines of what the service has no shape for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async.formats._reading import (
    digits_tolerance,
    ellipse_ring,
    snapped,
    turned_box,
)
from datagym_async.labels import (
    Annotation,
    Incomplete,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
from datagym_async.labels._geometry import clip_ring, clipped, reshaped, scaled, sticks_out


def test_noise_of_rounding_is_snapped_to_the_edge() -> None:
    """A coordinate beyond an edge by no more than the tolerance lies on it; others stay."""
    assert snapped(-7.5e-6, 15, 1.5e-5) == 0
    assert snapped(15.00001, 15, 1.5e-5) == 15
    assert snapped(-0.5, 15) == -0.5
    assert snapped(15.5, 15) == 15.5
    assert snapped(1e-6, 15) == 1e-6  # within the image nothing changes


def test_the_tolerance_is_that_of_the_digits() -> None:
    """Numbers of six decimals are trusted to a millionth, of four to a ten-thousandth."""
    assert digits_tolerance(["0.133333", "0.266667"], 15) == pytest.approx(1.5e-5)
    assert digits_tolerance(["0.1333", "0.5"], 100) == pytest.approx(0.01)
    assert digits_tolerance(["0.5", "1"], 100) == pytest.approx(0.1)
    assert digits_tolerance(["0.12345678901", "1e-3"], 100) == pytest.approx(1e-4)
    assert digits_tolerance(["1.333333e-01"], 100) == pytest.approx(1e-4)


OUT = [
    (Rectangle(190, 50, 100, 40), [Rectangle(190, 50, 10, 40)]),
    (Rectangle(-5, -5, 10, 10), [Rectangle(0, 0, 5, 5)]),
    (Rectangle(200, 50, 10, 10), []),
    (Point(200.5, 3), []),
    (Line([(-10, 10), (10, 10), (10, 110), (30, 110), (30, 90)]),
     [Line([(0, 10), (10, 10), (10, 100)]), Line([(30, 100), (30, 90)])]),
    (Line([(-10, 10), (-20, 20)]), []),
    (Polygon([(-10, 0), (10, 0), (10, 10), (-10, 10)]),
     [Polygon([(0, 0), (10, 0), (10, 10), (0, 10)])]),
    (Polygon([(300, 0), (310, 0), (310, 10)]), []),
    (Segmentation([[(-10, 0), (10, 0), (10, 10), (-10, 10)], [(-9, 1), (-5, 1), (-5, 5)]]),
     [Segmentation([[(0, 0), (10, 0), (10, 10), (0, 10)]])]),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "left"), OUT, ids=lambda each: type(each).__name__)
def test_what_sticks_out_is_cut_off(shape: Shape, left: list[Shape]) -> None:
    """Each shape is cut at the edges, and nothing remains of what lies beyond."""
    assert sticks_out(shape, 200, 100)
    found = clipped(shape, 200, 100)
    assert [_in_order(each) for each in found] == [_in_order(each) for each in left]


def _in_order(shape: Shape) -> object:
    """The corners of an outline, wherever it begins."""
    if isinstance(shape, Polygon):
        return {(each.x, each.y) for each in shape.points}
    if isinstance(shape, Segmentation):
        return [{(each.x, each.y) for each in ring} for ring in shape.rings]
    return shape


@pytest.mark.parametrize(
    "shape",
    [
        Rectangle(0, 0, 200, 100),
        Point(200, 100),
        Line([(0, 0), (200, 100)]),
        Polygon([(0, 0), (200, 100), (0, 100)]),
        Segmentation([[(0, 0), (200, 100), (0, 100)]]),
        Segmentation([]),
        Line([]),
        Incomplete(None, {}),
    ],
)
def test_what_lies_within_stays_as_it_is(shape: Shape) -> None:
    """The edges belong to the image."""
    assert clipped(shape, 200, 100) == [shape]


COORDINATES = st.integers(-30, 60).map(float)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=3))
def test_a_triangle_is_cut_to_the_area_it_has_within(corners: list[tuple[float, float]]) -> None:
    """What is cut off on four sides, the other way round, has the same area; all lies within."""
    ring = clip_ring(corners, 20, 10)
    backwards = clip_ring(corners[::-1], 20, 10)
    assert Polygon(ring).area == pytest.approx(Polygon(backwards).area)
    assert all(0 <= x <= 20 and 0 <= y <= 10 for x, y in ring)
    # Against a count of the middles of small squares that are inside both.
    step = 0.25
    middles = [((i + 0.5) * step, (j + 0.5) * step) for i in range(80) for j in range(40)]
    counted = sum(_within(each, corners) for each in middles) * step * step
    assert Polygon(ring).area == pytest.approx(counted, abs=0.5 * 60 * step)


def _within(point: tuple[float, float], corners: list[tuple[float, float]]) -> bool:
    sides = []
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        sides.append((bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax))
    return all(each > 0 for each in sides) or all(each < 0 for each in sides)


def test_shapes_are_scaled_with_their_image() -> None:
    """Each coordinate is multiplied; what has none stays."""
    assert scaled(Rectangle(1, 2, 3, 4), 2, 0.5) == Rectangle(2, 1, 6, 2)
    assert scaled(Point(1, 2), 2, 0.5) == Point(2, 1)
    assert scaled(Line([(1, 2), (3, 4)]), 2, 0.5) == Line([(2, 1), (6, 2)])
    assert scaled(Polygon([(1, 2)]), 2, 0.5) == Polygon([(2, 1)])
    assert scaled(Segmentation([[(1, 2)]]), 2, 0.5) == Segmentation([[(2, 1)]])
    assert scaled(Incomplete(None, [1]), 2, 2) == Incomplete(None, [1])


def test_nested_shapes_change_as_well() -> None:
    """What is nested is cut too, stays with the first piece, and goes where nothing is left."""
    line = Line([(-10, 10), (10, 10), (10, 110), (30, 110), (30, 90)])
    whole = Annotation(
        "lane", line, nested=[Annotation("a", Point(1, 1)), Annotation("b", Point(-1, 1))]
    )

    def cut(each: Annotation) -> list[Shape]:
        return clipped(each.shape, 200, 100)

    first, second = reshaped(whole, cut)
    assert [each.key for each in first.nested] == ["a"]
    assert second.nested == ()
    assert reshaped(Annotation("far", Rectangle(500, 0, 1, 1), nested=whole.nested), cut) == []


def test_a_turned_box_is_its_four_corners() -> None:
    """A quarter turn clockwise brings the upper left corner to the upper right."""
    assert turned_box(0, 0, 20, 10, 0) == [(0, 0), (20, 0), (20, 10), (0, 10)]
    assert turned_box(0, 0, 20, 10, 90)[0] == pytest.approx((15, -5))


@pytest.mark.parametrize("radius", [0, 0.05, 1, 30, 2000])
def test_an_ellipse_is_an_outline_near_it(radius: float) -> None:
    """No corner is off, and no side by more than a tenth of a pixel, up to a bound of corners."""
    ring = ellipse_ring((50, 60), radius, radius / 2)
    assert 8 <= len(ring) <= 360
    assert Polygon(ring).area == pytest.approx(math.pi * radius * radius / 2, rel=0.11)
