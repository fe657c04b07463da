"""Show how the uploader's memory grows with the files: ``python -m benchmarks.memory``."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from benchmarks import runner
from benchmarks.files import link_files
from benchmarks.machine import machine_facts
from benchmarks.runner import Contender
from benchmarks.table import OURS

GOAL_MB = 15.0
_SIZE = 1_000


def main() -> None:
    """Measure as the command line asks."""
    options = _arguments()
    facts = machine_facts()
    few, many = (_peak(count, options.rounds) for count in (options.few, options.many))
    growth = many - few
    verdict = "met" if growth <= GOAL_MB else "MISSED"
    print(f"peak RSS at {options.few} files:  {few:.1f} MB")
    print(f"peak RSS at {options.many} files: {many:.1f} MB")
    print(f"growth: {growth:.1f} MB (goal {GOAL_MB:g}: {verdict}), median of {options.rounds}")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {"machine": facts, "few_mb": few, "many_mb": many, "growth_mb": growth}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--few", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def _peak(count: int, rounds: int) -> float:
    """Return the median of the peaks of resident memory in MB while so many files are uploaded."""
    ours = Contender(OURS, "datagym_async_client")
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        folder = link_files(Path(scratch) / "files", count=count, size=_SIZE)
        with runner.minimal_server() as base_url:
            peaks = [runner.run(ours, folder, base_url).peak_rss for _ in range(rounds)]
    return statistics.median(peaks) / 1e6


if __name__ == "__main__":
    main()
