"""Label values of the embedded server: when they are complete, and how an export writes them."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from datagym_async.server._labels import Entry, Value, empty_values
from datagym_async.server.routes import classifications_view, first_invalid, is_valid, labels_view


def _entry(kind: str, *children: Entry, key: str = "k", required: bool = False) -> Entry:
    options = {"a": "A"} if kind in ("SELECT", "CHECKLIST") else {}
    entry = Entry(key, None, key, key, kind, 1, required=required, options=options)
    return attrs.evolve(entry, max_length=5 if kind == "FREETEXT" else None, children=children)


def _value(kind: str, payload: Mapping[str, Any], *, required: bool = False) -> Value:
    return attrs.evolve(empty_values(_entry(kind, required=required)), payload=payload)


def _points(count: int) -> Any:
    return [{"id": str(n), "x": n + 0.9, "y": 2.0} for n in range(count)]


@pytest.mark.parametrize(
    ("kind", "payload", "required", "valid"),
    [
        ("POINT", {"x": 1.0, "y": 2.0}, False, True),
        ("POINT", {"x": 1.0, "y": None}, False, False),
        ("RECTANGLE", {"x": 1, "y": 2, "width": 0, "height": 0}, False, True),
        ("RECTANGLE", {"x": 1, "y": 2, "width": None, "height": 1}, False, False),
        ("LINE", {"points": _points(1)}, False, False),
        ("LINE", {"points": _points(2)}, False, True),
        ("POLYGON", {"points": _points(2)}, False, False),
        ("POLYGON", {"points": _points(3)}, False, True),
        ("IMAGE_SEGMENTATION", {"pointsCollection": []}, False, False),
        ("SELECT", {"selectKey": None}, False, True),
        ("SELECT", {"selectKey": None}, True, False),
        ("SELECT", {"selectKey": "a"}, True, True),
        ("CHECKLIST", {"checkedValues": ["z"]}, False, True),
        ("CHECKLIST", {"checkedValues": ["z"]}, True, False),
        ("CHECKLIST", {"checkedValues": []}, True, False),
        ("FREETEXT", {"text": "12345"}, True, True),
        ("FREETEXT", {"text": "123456"}, False, False),
        ("FREETEXT", {"text": None}, True, False),
    ],
)
def test_completeness(
    kind: str, payload: Mapping[str, Any], *, required: bool, valid: bool
) -> None:
    """A drawing needs all its points, a required question an answer that is known."""
    assert is_valid(_value(kind, payload, required=required)) is valid


def test_the_first_incomplete_value_is_named() -> None:
    """Values are looked at parents first; in a video no drawing is complete without keyframes."""
    good, bad = _value("POINT", {"x": 1, "y": 1}), _value("POINT", {"x": None, "y": 1})
    assert first_invalid([good], video=False) is None
    assert first_invalid([good, bad], video=False) is bad
    assert first_invalid([good], video=True) is good


@pytest.mark.parametrize(
    ("kind", "payload", "exported"),
    [
        ("POINT", {"x": 1.9, "y": 2.0}, [{"x": 1, "y": 2}]),
        ("POINT", {"x": -1.0, "y": 2.0}, [{"x": None, "y": None}]),
        (
            "RECTANGLE",
            {"x": 1, "y": 2, "width": 3.7, "height": 4},
            [{"x": 1, "y": 2, "w": 3, "h": 4}],
        ),
        ("LINE", {"points": _points(2)}, [{"x": 0, "y": 2}, {"x": 1, "y": 2}]),
        (
            "IMAGE_SEGMENTATION",
            {"pointsCollection": [{"id": "r", "points": _points(1)}]},
            [[{"x": 0, "y": 2}]],
        ),
    ],
)
def test_geometries_in_an_export(kind: str, payload: Mapping[str, Any], exported: Any) -> None:
    """Numbers are cut to whole ones, and a missing or negative one takes its point with it."""
    drawn = {kind.lower(): exported, "classifications": {}, "nested_geometries": {}}
    assert labels_view([_value(kind, payload)]) == {"k": [drawn]}


def test_answers_in_an_export() -> None:
    """An answer comes first, null where there is none; the questions below follow as objects."""
    question = _entry("SELECT", _entry("CHECKLIST", key="below"), key="top")
    value = attrs.evolve(empty_values(question), payload={"selectKey": "a"})
    assert classifications_view([value]) == {"top": ["a", {"below": [None]}]}
