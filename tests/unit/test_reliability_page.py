"""The page of promises names tests; these are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
PROMISES = re.findall(
    r"^\| (?!trouble|what|it tries|-)(.+?) \| .* \|$",
    PAGE.partition("## The long")[0],
    re.MULTILINE,
)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_promise_is_held_by_a_test(file: str, name: str) -> None:
    """Each test that the page names exists under that name."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))

    names = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in names


@pytest.mark.parametrize("trouble", PROMISES)
def test_every_promise_names_a_test(trouble: str) -> None:
    """No row of the page promises what nobody looks at."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {trouble} |"))

    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row)


def test_the_page_promises() -> None:
    """The two tests above have something to look at."""
    assert len(PROMISES) > 20
    assert len(NAMED) > 20
