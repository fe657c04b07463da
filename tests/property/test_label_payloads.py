"""Exports, whatever is labelled in them, and however they are cut."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async._wire import TASK, ElementCutter
from datagym_async.labels import (
    Annotation,
    Classification,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    parse_export,
    parse_task,
    to_payload,
)
from datagym_async.models import TaskState

KEYS = st.sampled_from(["car", "bus", "road surface", "kind", "täg", "label_classes", "geometry"])
TEXTS = st.none() | st.text(max_size=6) | st.sampled_from(["null", '"internal_', '},{"internal_'])
NUMBERS = st.none() | st.integers(-3, 2000) | st.floats(-3, 2000) | st.just("null")


def _trees(inner: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    children = st.lists(st.dictionaries(KEYS, inner, min_size=1, max_size=1), max_size=2)
    return st.builds(_joined, st.lists(TEXTS, max_size=2), children)


def _joined(values: list[Any], children: list[Any]) -> list[Any]:
    return [*values, *children]


TREES = st.recursive(st.lists(TEXTS, max_size=3), _trees, max_leaves=4)
ANSWERS = st.dictionaries(KEYS, TREES, max_size=3)
CORNERS = st.lists(st.fixed_dictionaries({"x": NUMBERS, "y": NUMBERS}), max_size=4)
BOXES = st.lists(
    st.fixed_dictionaries({"x": NUMBERS, "y": NUMBERS, "w": NUMBERS, "h": NUMBERS}), max_size=2
)
UNKNOWN = st.dictionaries(st.sampled_from(["score", "id"]), st.integers(-9, 9) | TEXTS, max_size=1)
SHAPES = st.one_of(
    st.dictionaries(st.sampled_from(["point", "line", "polygon"]), CORNERS, max_size=2),
    st.dictionaries(st.just("rectangle"), BOXES),
    st.dictionaries(st.just("image_segmentation"), st.lists(CORNERS, max_size=3)),
    st.dictionaries(st.just("geometry"), CORNERS | BOXES),
)


def _merged(*parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


ANSWERED = st.fixed_dictionaries({}, optional={"classifications": ANSWERS})
NESTED = st.builds(_merged, SHAPES, ANSWERED, UNKNOWN)
BELOW = st.fixed_dictionaries(
    {}, optional={"nested_geometries": st.dictionaries(KEYS, st.lists(NESTED, max_size=2))}
)
ROOTS = st.builds(_merged, UNKNOWN, SHAPES, ANSWERED, BELOW)
LABELS = st.dictionaries(KEYS, st.lists(ROOTS, max_size=2), max_size=2)
CURRENT = st.fixed_dictionaries({"internal_media_ID": st.text(), "external_media_ID": st.text()})
OLDER = st.fixed_dictionaries({"internal_image_ID": st.text(), "external_image_ID": st.text()})
STATUS = st.fixed_dictionaries({"status": st.sampled_from(["completed", "skipped", "new"])})
REST = st.fixed_dictionaries(
    {},
    optional={
        "labeler": TEXTS,
        "segmentations": st.lists(st.text(max_size=9), max_size=2),
        "global_classifications": ANSWERS,
        "labels": LABELS,
        "video_height": st.sampled_from(["720", 720, None]),
        "task_export_url": TEXTS,
    },
)
TASKS = st.builds(_merged, CURRENT | OLDER, STATUS, REST, UNKNOWN)
TYPES = st.sampled_from(
    [
        {"geometry_type": "point"},
        {"geometry_type": "hologram"},
        {"classification_type": "select"},
        {"classification_type": "Radio"},
        {},
    ]
)
CLASSES = st.lists(
    st.builds(_merged, st.fixed_dictionaries({"class_name": KEYS}), TYPES, UNKNOWN), max_size=4
)


@settings(max_examples=50)
@given(classes=st.none() | CLASSES, tasks=st.lists(TASKS, max_size=3))
def test_exports_written_again_are_the_same(
    classes: list[dict[str, Any]] | None, tasks: list[dict[str, Any]]
) -> None:
    """Export, values, export: nothing is lost, added or put in another order."""
    overview = [] if classes is None else [{"label_classes": classes}]
    document = [*overview, *tasks]
    assert orjson.dumps(parse_export(document).to_payload()) == orjson.dumps(document)


@settings(max_examples=50)
@given(
    classes=CLASSES,
    tasks=st.lists(TASKS, max_size=4),
    piece=st.integers(1, 90),
    indented=st.booleans(),
)
def test_exports_are_cut_into_their_elements(
    classes: list[dict[str, Any]], tasks: list[dict[str, Any]], piece: int, indented: bool
) -> None:
    """However an export is written and cut, its elements come out."""
    document = [{"label_classes": classes}, *tasks]
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else None)
    cutter = ElementCutter(TASK)
    found: list[Any] = []
    for start in range(0, len(text), piece):
        found += cutter.feed(text[start : start + piece])
    assert [*found, *cutter.close()] == orjson.loads(text)


PIXELS = st.integers(0, 4000) | st.floats(0, 4000)
POINTS = st.builds(Point, PIXELS, PIXELS)
DRAWN = st.one_of(
    POINTS,
    st.builds(Line, st.lists(POINTS, min_size=2, max_size=5)),
    st.builds(Polygon, st.lists(POINTS, min_size=3, max_size=5)),
    st.builds(Rectangle, PIXELS, PIXELS, PIXELS, PIXELS),
    st.builds(Segmentation, st.lists(st.lists(POINTS, min_size=3, max_size=4), min_size=1)),
)


def _key_of(value: Annotation | Classification) -> str:
    return value.key


GIVEN = st.lists(
    st.builds(
        Classification,
        KEYS,
        st.lists(TEXTS, max_size=2),
        st.lists(st.builds(Classification, KEYS, st.lists(TEXTS)), max_size=2),
    ),
    max_size=2,
    unique_by=_key_of,
)
FLAT = st.builds(Annotation, KEYS, DRAWN, GIVEN)
DEEP = st.builds(Annotation, KEYS, DRAWN, GIVEN, st.lists(FLAT, max_size=2))


@settings(max_examples=50)
@given(annotations=st.lists(DEEP, max_size=4), classifications=GIVEN)
def test_values_written_and_read_are_the_same(
    annotations: list[Annotation], classifications: list[Classification]
) -> None:
    """Values made by hand survive an export; only the keys are put together."""
    task = LabeledTask(
        media_id="M",
        media_name="a.jpg",
        state=TaskState.COMPLETED,
        annotations=annotations,
        classifications=classifications,
    )
    read = parse_task(orjson.loads(orjson.dumps(to_payload(task))))
    for key in {each.key for each in annotations}:
        assert _grouped(read.annotations_of(key)) == _grouped(task.annotations_of(key))
    assert read.classifications == task.classifications
    assert len(read.annotations) == len(annotations)


def _grouped(annotations: tuple[Annotation, ...]) -> list[tuple[Any, ...]]:
    return [(a.shape, a.classifications, sorted(a.nested, key=_key_of)) for a in annotations]
