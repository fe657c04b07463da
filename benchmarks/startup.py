"""Show what starting costs: ``python -m benchmarks.startup``.

Each row is a command in a fresh interpreter, measured by the processor time that it took (user and
system, children of none), the median of several rounds. The rounds go through all rows in turn, so
that a busy moment of the machine meets every row. Ratios are of medians of the same run. The goals:
``from datagym_async import DataGymClient`` takes at most 1.4 times ``import aiohttp``; the command
line says its version and its help within 0.25 s where ``python -c pass`` takes 0.03 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import machine_facts

_BARE, _AIOHTTP = "python -c pass", "import aiohttp"
_IMPORT, _CLIENT = "from datagym_async import DataGymClient", "DataGymClient('token')"
_VERSION, _HELP = "datagym-async --version", "datagym-async --help"
_COMMAND = ["-m", "datagym_async"]
ROWS: dict[str, list[str]] = {
    _BARE: ["-c", "pass"],
    _AIOHTTP: ["-c", _AIOHTTP],
    _IMPORT: ["-c", _IMPORT],
    _CLIENT: ["-c", f"{_IMPORT}; {_CLIENT}"],
    _VERSION: [*_COMMAND, "--version"],
    _HELP: [*_COMMAND, "--help"],
}
GOALS = {
    (_IMPORT, _AIOHTTP): 1.4,
    (_VERSION, _BARE): 0.25 / 0.03,
    (_HELP, _BARE): 0.25 / 0.03,
}
"""The most that a row may take, in times another row."""


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each row (15)")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    # The first start writes the compiled modules, and brings them into the memory of the system.
    taken: dict[str, list[float]] = {row: [] for row in ROWS if _cpu_ms(row) >= 0}
    for _ in range(options.rounds):
        for row, times in taken.items():
            times.append(_cpu_ms(row))
    medians = {row: statistics.median(times) for row, times in taken.items()}
    print(f"{'CPU ms':>8} {'(least-most)':>15}  started")
    for row, times in taken.items():
        print(f"{medians[row]:>8.0f} {f'({min(times):.0f}-{max(times):.0f})':>15}  {row}")
    print()
    ratios = []
    for (row, other), goal in GOALS.items():
        ratio = medians[row] / medians[other]
        met = "met" if ratio <= goal else "MISSED"
        print(f"{ratio:>8.2f} times {other}: {row}  goal {goal:.1f} at most: {met}")
        ratios.append({"row": row, "other": other, "ratio": ratio, "goal": goal})
    facts = machine_facts()
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json is not None:
        rows = [{"row": row, "cpu_ms": medians[row], "rounds": taken[row]} for row in taken]
        figures = {"machine": facts, "rows": rows, "ratios": ratios}
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def _cpu_ms(row: str) -> float:
    """Return the milliseconds of processor time that a fresh interpreter takes for a row."""
    child = subprocess.Popen([sys.executable, *ROWS[row]], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{row} ended with status {child.returncode}")
    return (used.ru_utime + used.ru_stime) * 1000


if __name__ == "__main__":
    main()
