"""The schema of an import, and the text that tells what is wrong."""

from typing import Any

import pytest

from datagym_async.server._prediction_schema import problems_of, report


def _label(**geometry: Any) -> Any:
    return {"internal_media_ID": "m", "labels": {"k": [geometry]}}


_NESTED = "#/0/labels/k/0/nested_geometries/n/0"


def _nested(geometry: Any) -> Any:
    return _label(nested_geometries={"n": [geometry]})


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"internal_media_ID": "m", "extra": 1},
        {"label_classes": []},
        _label(point=[{"x": 1.5, "y": "20"}]),
        _label(rectangle=[{"x": 1, "y": 2, "w": 0, "h": 0}]),
        _label(geometry=[]),
        _label(image_segmentation=[1]),
        _label(classifications={"c": ["v", {"d": [None]}]}),
        _nested({"point": [{"x": 1, "y": 2}], "unknown": 1}),
        {"global_classifications": {"c": [], "d": ["a", "b", "c"], "e": [None]}},
    ],
)
def test_good_items(item: Any) -> None:
    """What the service takes has no problem."""
    assert problems_of([item]) == []


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        (5, "#/0"),
        ({"internal_media_ID": None}, "#/0/internal_media_ID"),
        ({"keepData": None}, "#/0/keepData"),
        ({"labels": []}, "#/0/labels"),
        ({"labels": {"k": {}}}, "#/0/labels/k"),
        (_label(foo=1), "#/0/labels/k/0"),
        (_label(line=[{"x": 1, "y": 1}]), "#/0/labels/k/0/line"),
        (_label(point=[]), "#/0/labels/k/0/point"),
        (_label(point=[{"x": 1, "y": 1, "z": 1}]), "#/0/labels/k/0/point/0"),
        (_label(point=[{"x": None, "y": 1}]), "#/0/labels/k/0/point/0/x"),
        (_label(point=[{"x": True, "y": 1}]), "#/0/labels/k/0/point/0/x"),
        (_label(rectangle=[{"x": 1, "y": 1, "w": 1}]), "#/0/labels/k/0/rectangle/0"),
        (_label(point=[{"x": 1, "y": 1}] * 2), "#/0/labels/k/0/point"),
        (_label(polygon=[{"x": 1, "y": 1}] * 2), "#/0/labels/k/0/polygon"),
        (_label(geometry=[{"x": 1}]), "#/0/labels/k/0/geometry/0"),
        (_label(image_segmentation={}), "#/0/labels/k/0/image_segmentation"),
        (_label(classifications={"c": [1]}), "#/0/labels/k/0/classifications/c/0"),
        (_nested(5), _NESTED),
        (_nested({"additionalProperties": 1}), _NESTED),
        (_nested({"line": [{"x": 1, "y": 1}]}), f"{_NESTED}/line"),
        (_nested({"classifications": {"c": [1]}}), f"{_NESTED}/classifications/c/0"),
        ({"global_classifications": {"c": [1]}}, "#/0/global_classifications/c/0"),
        (
            {"global_classifications": {"c": ["a", {"d": [1]}]}},
            "#/0/global_classifications/c/1/d/0",
        ),
        ({"global_classifications": {"c": ["a", None]}}, "#/0/global_classifications/c/1"),
        ({"global_classifications": {"c": ["a", "b", {}]}}, "#/0/global_classifications/c/2"),
    ],
)
def test_bad_items(item: Any, pointer: str) -> None:
    """What the service refuses has a problem at its place."""
    assert [problem.pointer for problem in problems_of([item])] == [pointer]


def test_report_lists_by_length_of_the_place() -> None:
    """The text counts the places and begins with the shortest."""
    items: Any = [
        {"internal_media_ID": 5, "labels": {"pt": [{"point": [{"x": -1}]}]}},
        {"internal_media_ID": "m", "keepData": "x"},
    ]
    assert isinstance(items, list)
    assert report(problems_of(items)) == (
        "Schema validation failed with 4 error(s)\n\n"
        "#/1/keepData\nexpected type: Boolean, found: String\n\n"
        "#/0/internal_media_ID\nexpected type: String, found: Integer\n\n"
        "#/0/labels/pt/0/point/0\nEither: \nminimum size: [2], found: [1]\n"
        "required key [y] not found\n\n"
        "#/0/labels/pt/0/point/0/x\nEither: \n-1 is not greater or equal to 0\n"
        "expected type: String, found: Integer\n\n"
    )


def test_members_too_many_are_counted() -> None:
    """As those too few are."""
    problems = problems_of([_label(point=[{"x": 1, "y": 1, "z": 1}])])
    assert [each.sentences for each in problems] == [["maximum size: [2], found: [3]"]]


def test_nothing_wrong_is_an_empty_text() -> None:
    """An empty text means that everything was stored."""
    assert report([]) == ""
