"""Labels fitted to their image: nothing beyond it is left, and all that changed is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async.labels import (
    Annotation,
    Incomplete,
    LabeledImage,
    Point,
    Polygon,
    Rectangle,
    Shape,
)
from datagym_async.labels._geometry import fitted, sticks_out

NUMBERS = st.integers(-40, 240).map(float)
LENGTHS = st.integers(1, 120).map(float)
BOXES = st.builds(Rectangle, NUMBERS, NUMBERS, LENGTHS, LENGTHS)
TRIANGLES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=6, unique=True).map(Polygon)
DOORS = st.lists(
    st.builds(Annotation, st.just("door"), st.builds(Point, NUMBERS, NUMBERS)), max_size=2
)
DRAWN = st.builds(Annotation, st.sampled_from(["car", "road"]), BOXES | TRIANGLES, nested=DOORS)


def numbers(shape: Shape) -> tuple[float, ...]:
    assert not isinstance(shape, Incomplete)
    box = shape.bounds
    return box.left, box.top, box.width, box.height


@settings(max_examples=150)
@given(st.lists(DRAWN, max_size=5))
def test_each_shape_is_kept_cut_or_told(drawn: list[Annotation]) -> None:
    """None is beyond the image then; those that were within are as they were."""
    image = LabeledImage(media_name="a", annotations=drawn)
    found = fitted(image, (200, 100), clip=True)
    kept = [*found.image.walk()]
    assert not any(sticks_out(each.shape, 200, 100) for each in kept)
    within = [each for each in drawn if not sticks_out(each.shape, 200, 100)]
    assert [each.shape for each in within if each.shape not in [it.shape for it in kept]] == []
    assert len(kept) + len(found.left_out) == sum(1 for _ in image.walk())
    changed = [each for each in kept if each.shape not in {it.shape for it in image.walk()}]
    assert len(found.warnings) >= len(changed)
    assert not found.errors


@settings(max_examples=100)
@given(st.lists(DRAWN, max_size=5), st.integers(1, 9))
def test_scaled_there_and_back_is_the_same(drawn: list[Annotation], factor: int) -> None:
    """All of it, what is nested too, and without anything left out."""
    image = LabeledImage(annotations=drawn, width=200, height=100)
    there = fitted(image, (200 * factor, 100 * factor), rescale=True)
    back = fitted(there.image, (200, 100), rescale=True)
    assert [*there.errors, *there.left_out, *back.errors, *back.left_out] == []
    for before, after in zip(image.walk(), back.image.walk(), strict=True):
        assert before.key == after.key
        assert numbers(after.shape) == pytest.approx(numbers(before.shape))
