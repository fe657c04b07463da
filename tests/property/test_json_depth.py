"""The depth that is counted in a text is that of its value, in any pieces."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from datagym_async._json import MAX_DEPTH, DepthGuard, NestedTooDeepError

TEXTS = st.text(alphabet='{}[],:"\\é n', max_size=6)
LEAVES = st.one_of(st.none(), st.integers(0, 9), TEXTS)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3))


def depth_of(value: object) -> int:
    """Return how many lists and objects are around the innermost value."""
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(
    st.recursive(LEAVES, _containers, max_leaves=12),
    st.lists(TEXTS, min_size=MAX_DEPTH - 4, max_size=MAX_DEPTH),
    st.integers(1, 40),
)
def test_the_depth_of_a_text_is_that_of_its_value(
    value: Any, around: list[str], piece: int
) -> None:
    """It is refused if its value is nested too deep, and only then."""
    for name in around:
        value = {name: value} if name else [value]
    text, guard, is_refused = orjson.dumps(value), DepthGuard(), False
    try:
        for start in range(0, len(text), piece):
            guard.feed(text[start : start + piece])
    except NestedTooDeepError:
        is_refused = True

    assert is_refused == (depth_of(value) > MAX_DEPTH)
