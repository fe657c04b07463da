"""Members cut out of a text piece by piece are those that a reader of all of it finds."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async._wire import BrokenTextError, MemberCutter

TEXTS = st.text(alphabet='{}[],:"\\é n', max_size=6)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-1, 1), TEXTS)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3))


VALUES = st.recursive(LEAVES, _containers, max_leaves=8)
ELEMENTS = st.lists(st.one_of(VALUES, st.dictionaries(TEXTS, VALUES, max_size=3)), max_size=6)
DOCUMENTS = st.dictionaries(st.sampled_from(["a", "b", "c", "},{"]), st.one_of(ELEMENTS, VALUES))
WANTED = ("a", "b", "},{")


def cut(text: bytes, piece: int) -> dict[str, Any]:
    """All members that are wanted, their parts joined again."""
    pieces = (text[start : start + piece] for start in range(0, len(text), piece))
    found: dict[str, Any] = {}
    for name, value in MemberCutter(pieces).members(WANTED):
        if isinstance(value, list):
            found.setdefault(name, []).extend(value)
        else:
            found[name] = value
    return found


@settings(max_examples=300)
@given(DOCUMENTS, st.integers(1, 60), st.booleans())
def test_members_are_those_of_the_whole(value: dict[str, Any], piece: int, blank: bool) -> None:
    """Wherever the text is cut into pieces, and whatever is in it; an object comes empty."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 if blank else None)
    expected = {name: {} if isinstance(x, dict) else x for name, x in value.items()}
    assert cut(text, piece) == {name: expected[name] for name in WANTED if name in expected}


@given(ELEMENTS, st.integers(1, 60))
def test_a_list_has_no_name(value: list[Any], piece: int) -> None:
    """A text that is a list is cut as the member without a name."""
    assert cut(orjson.dumps(value), piece) == {"": value}


@given(DOCUMENTS, st.integers(1, 60), st.integers(0, 200))
def test_a_text_that_ends_too_early_is_refused(value: dict[str, Any], piece: int, end: int) -> None:
    """No beginning of a text passes for all of it."""
    text = orjson.dumps(value)[: end or 1]
    if text != orjson.dumps(value):
        try:
            found = cut(text, piece)
        except BrokenTextError:
            return
        raise AssertionError(found)
