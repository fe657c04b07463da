"""Shapes: bounds, areas, arrays, and what makes two of them equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import (
    Bounds,
    Incomplete,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
from datagym_async.models import EntryType

SQUARE = [(10, 10), (20, 10), (20, 30), (10, 30)]
HOLE = [(12, 12), (14, 12), (14, 14), (12, 14)]
Drawn = Point | Line | Polygon | Rectangle | Segmentation

SHAPES: dict[str, tuple[Drawn, Bounds, float, EntryType]] = {
    "point": (Point(1, 2.5), Bounds(1, 2.5, 1, 2.5), 0, EntryType.POINT),
    "line": (Line([(1, 2), (5, 1)]), Bounds(1, 1, 5, 2), 0, EntryType.LINE),
    "polygon": (Polygon(SQUARE), Bounds(10, 10, 20, 30), 200, EntryType.POLYGON),
    "backwards": (Polygon(SQUARE[::-1]), Bounds(10, 10, 20, 30), 200, EntryType.POLYGON),
    "rectangle": (Rectangle(1, 2, 3, 4), Bounds(1, 2, 4, 6), 12, EntryType.RECTANGLE),
    "segmentation": (
        Segmentation([SQUARE, HOLE]),
        Bounds(10, 10, 20, 30),
        196,
        EntryType.IMAGE_SEGMENTATION,
    ),
}


@pytest.mark.parametrize(("shape", "bounds", "area", "kind"), SHAPES.values(), ids=SHAPES)
def test_geometry(shape: Drawn, bounds: Bounds, area: float, kind: EntryType) -> None:
    """Every shape knows its bounds, its area and the type of the entries that take it."""
    assert (shape.bounds, shape.area, shape.type) == (bounds, area, kind)


def test_bounds_have_a_size() -> None:
    """Width and height are what is between the edges."""
    bounds = Polygon(SQUARE).bounds
    assert (bounds.width, bounds.height) == (10, 20)


@pytest.mark.parametrize("shape", [Line([]), Polygon(()), Segmentation([])])
def test_a_shape_without_points_has_no_bounds(shape: Line | Polygon | Segmentation) -> None:
    """There is nothing that could surround it, and it covers nothing."""
    assert shape.area == 0
    with pytest.raises(ValueError, match="without points"):
        _ = shape.bounds


ARRAYS: dict[str, tuple[Point | Line | Polygon | Rectangle, list[object]]] = {
    "point": (Point(1, 2), [1, 2]),
    "line": (Line([(1, 2), (3, 4)]), [[1, 2], [3, 4]]),
    "rectangle": (Rectangle(1, 2, 3, 4), [1, 2, 3, 4]),
}


@pytest.mark.parametrize(("shape", "values"), ARRAYS.values(), ids=ARRAYS)
def test_arrays(shape: Point | Line | Rectangle, values: list[object]) -> None:
    """Arrays hold floating-point numbers, a row a point."""
    array = shape.to_numpy()
    assert array.dtype == np.dtype(np.float64)
    assert array.tolist() == values


def test_arrays_of_rings_and_of_nothing() -> None:
    """A segmentation has an array a ring; no points have two columns all the same."""
    assert [ring.shape for ring in Segmentation([SQUARE, HOLE[:3]]).to_numpy()] == [(4, 2), (3, 2)]
    assert Polygon([]).to_numpy().shape == (0, 2)


def test_points_and_pairs_are_the_same() -> None:
    """Corners are given as points or as pairs."""
    assert Polygon(SQUARE) == Polygon([Point(x, y) for x, y in SQUARE])
    assert Polygon(SQUARE) != Polygon(SQUARE[::-1])


def test_a_box_of_a_model_has_two_corners() -> None:
    """They are no width and height; what is no number is refused."""
    box = Rectangle(10, 20, 30, 40)
    assert Rectangle.from_corners(10, 20, 40, 60) == box == Rectangle.from_corners(*box.bounds)
    assert Rectangle.from_corners(*np.array([10, 20, 40, 60], np.float32)) == box
    wrong: Any = "40"
    with pytest.raises(ConfigurationError, match="'40'; it must be a number"):
        Rectangle.from_corners(10, 20, wrong, 60)


def test_an_incomplete_shape_is_like_no_complete_one() -> None:
    """What the file has is kept, and nothing made of it."""
    shape: Shape = Incomplete(EntryType.POINT, [{"x": None, "y": None}])
    assert shape != Point(0, 0)
    assert repr(shape).startswith("Incomplete(type=<EntryType.POINT")


@pytest.mark.parametrize("given", [5, [1, 2, 3], [(1,)], [(1, 2, 3)]])
def test_what_are_no_points(given: Any) -> None:
    """The error says what points look like."""
    with pytest.raises(TypeError, match=r"Point or \(x, y\)"):
        Polygon(given)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint64, np.float16, np.float32])
def test_numbers_of_numpy_are_plain_ones(kind: type[Any]) -> None:
    """Some are too small for a sum or an area: an edge at 200 and 100 more is not at 44."""
    box = Rectangle(*map(kind, (200, 10, 100, 120)))
    assert (box.bounds, box.area) == ((200, 10, 300, 130), 12_000)
    outline = Polygon([(kind(x), kind(y)) for x, y in [(0, 0), (200, 0), (0, 250)]])
    assert (outline.area, Point(kind(250), kind(3))) == (25_000, Point(250, 3))
    image = LabeledImage(width=kind(250), height=kind(200))
    numbers = (*box.bounds, *outline.bounds, image.width, image.height)
    assert {*map(type, numbers)} <= {int, float}
    assert {type(image.width), type(image.height)} == {int}
