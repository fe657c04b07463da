"""Exports are cut where tasks begin, and every guess is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from datagym_async._wire import TASK, BrokenTextError, ElementCutter

OVERVIEW = {"label_classes": [{"class_name": "a"}]}


def task(number: int, **members: Any) -> dict[str, Any]:
    return {"internal_media_ID": f"m{number}", "labels": {}, **members}


TRAPS: dict[str, list[Any]] = {
    "nothing": [],
    "classes alone": [OVERVIEW],
    "tasks": [OVERVIEW, task(1), task(2), task(3)],
    "older tasks": [{"internal_image_ID": "a"}, {"internal_image_ID": "b"}],
    "text like a task": [task(1, note='}, {"internal_media_ID": "x"}'), task(2)],
    "lists like tasks": [task(1, extra=[{"a": 1}, {"internal_x": 1}, {"b": 2}]), task(2), task(3)],
    "another order": [{"status": "x", "internal_media_ID": "a"}, {"status": "y"}, task(1)],
    "no objects": [1, "two", [3], None, task(1)],
    "empty objects": [{}, {}, task(1)],
}


def cut(cutter: ElementCutter, text: bytes, piece: int) -> list[Any]:
    """Return what a cutter gives for a text in pieces."""
    found: list[Any] = []
    for start in range(0, len(text), piece):
        found += cutter.feed(text[start : start + piece])
    return [*found, *cutter.close()]


@pytest.mark.parametrize("indented", [False, True], ids=["compact", "indented"])
@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize("elements", TRAPS.values(), ids=TRAPS)
def test_elements_are_those_of_the_whole_text(
    elements: list[Any], piece: int, indented: bool
) -> None:
    """However it is written and cut, the elements are those that a parser of the whole finds."""
    text = b" \n" + orjson.dumps(elements, option=orjson.OPT_INDENT_2 if indented else None) + b"\n"
    assert cut(ElementCutter(TASK), text, piece) == elements
    assert cut(ElementCutter(), text, piece) == elements


BROKEN = {
    "cut short": b'[{"internal_media_ID": 1}, {"internal_media_ID": ',
    "no end": b'[{"internal_media_ID": 1}',
    "comma": b'[{"internal_media_ID": 1},]',
    "twice ended": b'[{"internal_media_ID": 1}]]',
    "words": b'[{"internal_media_ID": 1}] and more',
    "no colon": b'[{"internal_media_ID" 1},{"internal_media_ID": 2},{"internal_media_ID": 3}]',
    "empty": b"",
    "blank": b" \n ",
    "open": b"[",
    "not utf-8": b'["\xff"]',
}


@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_broken_texts_end_in_one_error(text: bytes, piece: int) -> None:
    """No broken text passes for a whole one."""
    with pytest.raises(BrokenTextError):
        cut(ElementCutter(TASK), text, piece)


def test_what_is_found_nowhere_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text without the beginning that is looked for goes through the other parser."""
    monkeypatch.setattr("datagym_async._wire._cutting.LONGEST_ELEMENT", 1000)
    elements = [{"number": n, "text": "x" * 90} for n in range(50)]
    cutter, text = ElementCutter(TASK), orjson.dumps(elements)
    found = [each for n in range(0, 3000, 100) for each in cutter.feed(text[n : n + 100])]
    assert found == elements[: len(found)]
    assert len(found) > 20


@pytest.mark.parametrize("element", [b"{}", b"[]", b"[1]"])
def test_elements_without_a_sign_are_cut_early(element: bytes) -> None:
    """They are not kept up to the bound of one element, to be read in one go of many seconds."""
    cutter = ElementCutter(TASK)
    assert not list(cutter.feed(b"["))
    piece = (element + b",") * 10_000
    most = max(len(list(cutter.feed(piece))) for _ in range(30))
    assert 10_000 <= most < 300_000


NEVER_ENDING = {
    "one text": (b'["', b"x" * 100),
    "one list": (b"[[0", b",0" * 50),
    "blanks": (b" ", b" " * 100),
    "blanks inside": (b"[", b" " * 100),
    "like tasks": (b'[{"a":[{"internal_media_ID":1}', b',{"internal_media_ID":1}' * 4),
}


@pytest.mark.parametrize("make", [lambda: ElementCutter(TASK), ElementCutter])
@pytest.mark.parametrize(("start", "piece"), NEVER_ENDING.values(), ids=NEVER_ENDING)
def test_an_element_that_never_ends_is_refused(
    make: Callable[[], ElementCutter],
    start: bytes,
    piece: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What goes on and on and gives no element ends with a bound, which is said."""
    monkeypatch.setattr("datagym_async._wire._cutting.LONGEST_ELEMENT", 1 << 20)
    cutter = make()
    assert list(cutter.feed(start)) == []
    with pytest.raises(BrokenTextError, match="one element has more than 1 MiB"):
        _feed_all(cutter, piece * 100)


def _feed_all(cutter: ElementCutter, piece: bytes) -> None:
    for _ in range(300):
        assert list(cutter.feed(piece)) == []
