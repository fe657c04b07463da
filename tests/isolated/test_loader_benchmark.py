"""The loader's benchmark runs and writes what it found; its figures are no test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_loader_is_measured(tmp_path: Path) -> None:
    """The quick run answers all four questions, on screen and in JSON."""
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.loader", "--quick", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    figures = json.loads(file.read_text())
    assert [0 <= row["share"] <= 1 for row in figures["wait"]] == [True] * 4
    assert [row["ratios"].keys() for row in figures["pace"]] == [{"loop", "queue"}]
    assert [row["limit_mb"] for row in figures["memory"]] == [1, 8]
    assert figures["cache"]["ratio"] > 0
    assert done.stdout.count("goal") >= 4
