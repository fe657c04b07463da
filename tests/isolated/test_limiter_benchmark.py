"""The limiter's benchmark runs and writes what it found; its figures are no test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_limiter_is_compared_with_fixed_numbers(tmp_path: Path) -> None:
    """The quick run ends with a row for its one service, on screen and in JSON."""
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.limiter", "--quick", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    (row,) = json.loads(file.read_text())["rows"]
    assert (row["latency"], row["places"]) == (0.05, 4)
    assert row["adaptive"]["rate"] > 0
    assert "50 ms,  4 at once: best pinned" in done.stdout
