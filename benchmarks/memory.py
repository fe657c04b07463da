"""Show how the uploader's memory grows with the files: ``python -m benchmarks.memory``.

With ``--items 1000 1000000`` the images are tiny and made up by an async source as it goes, with a
journal kept; without, they are files in a folder. Every upload runs in a fresh process, against the
minimal server in another one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import runner
from benchmarks.files import link_files
from benchmarks.machine import machine_facts
from benchmarks.runner import Contender
from benchmarks.table import OURS

if TYPE_CHECKING:
    from benchmarks.runner import Taken

GOAL_MB, GENERATED_GOAL_MB = 15.0, 60.0
_SIZE = 1_000


def main() -> None:
    """Measure as the command line asks."""
    options = _arguments()
    facts = machine_facts()
    goal = GENERATED_GOAL_MB if options.items else GOAL_MB
    measured = [_median(count, options) for count in options.items or (options.few, options.many)]
    few, many = (taken.peak_rss / 1e6 for taken in measured)
    for taken in measured:
        peak = taken.peak_rss / 1e6
        pace = f"{taken.seconds:.1f} s, {taken.rate:.0f} files/s"
        print(f"peak RSS at {taken.files:>9,} files: {peak:.1f} MB ({pace})")
    verdict = "met" if many - few <= goal else "MISSED"
    print(f"growth: {many - few:.1f} MB (goal {goal:g}: {verdict}), median of {options.rounds}")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {"machine": facts, "few_mb": few, "many_mb": many, "growth_mb": many - few}
        value["seconds"] = [taken.seconds for taken in measured]
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--few", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=50_000)
    parser.add_argument(
        "--items", type=int, nargs=2, metavar=("FEW", "MANY"), help="generated images, no files"
    )
    parser.add_argument("--no-journal", action="store_true", help="keep none with --items")
    parser.add_argument("--rounds", type=int, help="rounds of which the median counts (3)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.items else 3)
    return options


def _median(count: int, options: argparse.Namespace) -> Taken:
    """Return the upload of so many files whose peak of resident memory is the median."""
    upload = _generated if options.items else _files
    taken = [upload(count, options) for _ in range(options.rounds)]
    middle = statistics.median_low(one.peak_rss for one in taken)
    return next(one for one in taken if one.peak_rss == middle)


def _files(count: int, options: argparse.Namespace) -> Taken:
    del options
    ours = Contender(OURS, "datagym_async_client")
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        folder = link_files(Path(scratch) / "files", count=count, size=_SIZE)
        with runner.minimal_server() as base_url:
            return runner.run(ours, folder, base_url)


def _generated(count: int, options: argparse.Namespace) -> Taken:
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        journal = ["--journal", str(Path(scratch) / "upload.journal")]
        with runner.minimal_server() as base_url:
            return runner.run_generated(count, base_url, *([] if options.no_journal else journal))


if __name__ == "__main__":
    main()
