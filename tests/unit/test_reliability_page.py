"""The pages of promises and of dangers name tests; these are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = [
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("reliability.md", "threats.md")
]
NAMED = sorted(
    {each for text in TEXTS for each in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)}
)
ROWS = [
    row
    for text in TEXTS
    for row in re.findall(
        r"^\| (?!problem|what|attack|danger|-).+ \|$",
        text.partition("## The long")[0],
        re.MULTILINE,
    )
]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_promise_is_held_by_a_test(file: str, name: str) -> None:
    """Each test that the page names exists under that name."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))

    names = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in names


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_every_promise_names_a_test(row: str) -> None:
    """No row of a page promises what nobody looks at."""
    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row)


def test_the_pages_promise() -> None:
    """The two tests above have something to look at."""
    assert all(text.count("::test_") > 20 for text in TEXTS)
    assert len(ROWS) > 60
