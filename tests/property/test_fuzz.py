"""Each target of `tests.fuzz` with a few changes, the same ones each time."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import EDITS, TARGETS, Edit, examine

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # a process in files' words
_FEW = {"images", "journals", "manifests", "yolo-pose", "requests"}  # those that take longer


@pytest.mark.parametrize("name", TARGETS)
def test_only_what_is_documented_comes_out(name: str, tmp_path: Path) -> None:
    """Whatever happens to good bytes: a value, a loss that is counted, or an error of ours."""
    with TARGETS[name](tmp_path) as fuzzed:

        @settings(max_examples=12 if name in _FEW else 30)
        @given(st.integers(0, 40), st.lists(st.integers(0, 40), min_size=4, max_size=4), EDITS)
        def changed(variant: int, which: list[int], edits: list[Edit]) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                examine(fuzzed, tmp_path, variant, which, edits)

        changed()
        examine(fuzzed, tmp_path, 0, [], [])


@pytest.mark.parametrize("name", TARGETS)
def test_good_bytes_are_good(name: str, tmp_path: Path) -> None:
    """Each variant, unchanged: what a target holds is not that everything is refused."""
    with TARGETS[name](tmp_path) as fuzzed:
        for variant in range(len(fuzzed.variants)):
            examine(fuzzed, tmp_path, variant, [], [])
