"""Show how fast exported labels are read: ``python -m benchmarks.labels``.

An export is generated (seeded, in the form in which the service writes it) and read in several
ways, each in a fresh process: streamed and whole by this project's client from a loopback server,
whole from a file, whole with orjson and classes of one's own by cattrs, and by the official SDK.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks import side_venv
from benchmarks.label_exports import write_export
from benchmarks.machine import machine_facts

if TYPE_CHECKING:
    from benchmarks.label_exports import Written

_ROOT = Path(__file__).parents[1]
GOAL_MB_PER_SECOND, GOAL_GROWTH_MB, GOAL_RATIO = 20.0, 80.0, 2.0


@attrs.frozen
class Reading:
    """What reading an export once took.

    Args:
        way: Of `benchmarks.label_job`.
        megabytes: Size of the export.
        seconds: On the clock.
        cpu_seconds: User and system time.
        grown_mb: Peak of resident memory above that before the reading.
    """

    way: str
    megabytes: float
    seconds: float
    cpu_seconds: float
    grown_mb: float

    @property
    def rate(self) -> float:
        """Megabytes a second."""
        return self.megabytes / self.seconds


def main() -> None:
    """Measure as the command line asks."""
    options = _arguments()
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        readings = _measure(options, Path(scratch))
    for each in readings:
        figures = (
            f"{each.rate:6.1f} MB/s {each.cpu_seconds:6.2f} s CPU {each.grown_mb:7.1f} MB more"
        )
        print(f"{each.way:32} {each.megabytes:5.0f} MB {each.seconds:6.2f} s {figures}")
    verdicts = _verdicts({each.way: each for each in readings})
    print("\n".join(verdicts))
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {"machine": facts, "readings": [attrs.asdict(each) for each in readings]}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.labels", description=__doc__)
    parser.add_argument("--size", type=float, default=200, help="MB of the streamed export (200)")
    parser.add_argument("--whole", type=float, default=50, help="MB of the exports read whole (50)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts (3)")
    parser.add_argument("--compact", action="store_true", help="without the service's white space")
    parser.add_argument("--quick", action="store_true", help="1 MB and 1 round")
    parser.add_argument("--no-sdk", action="store_true", help="leave the official SDK out")
    folder = Path(tempfile.gettempdir()) / "datagym-benchmark-side-venv"
    parser.add_argument("--side-venv", type=Path, default=folder, help="environment of the SDK")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if options.quick:
        options.size = options.whole = 1.0
        options.rounds = 1
    return options


def _measure(options: argparse.Namespace, scratch: Path) -> list[Reading]:
    large, small = scratch / "large.json", scratch / "small.json"
    exports = {
        file: write_export(file, size=int(size * 1e6), pretty=not options.compact)
        for file, size in ((large, options.size), (small, options.whole))
    }
    ways = [("iterate", large, sys.executable)]
    ways += [(way, small, sys.executable) for way in ("export", "whole-file", "whole-file-by-hand")]
    if python := _sdk_python(options):
        ways.append(("official-sdk", small, python))
    rounds = [
        [read_in_process(way, file, exports[file], python) for way, file, python in ways]
        for _ in range(options.rounds)
    ]
    return [_median([each[index] for each in rounds]) for index in range(len(ways))]


def _sdk_python(options: argparse.Namespace) -> str | None:
    if options.no_sdk:
        print("SKIPPED official-sdk: --no-sdk")
        return None
    try:
        return side_venv.make_side_venv(options.side_venv)
    except side_venv.SideEnvironmentError as error:
        print(f"SKIPPED official-sdk: {error}")
        return None


def _median(readings: list[Reading]) -> Reading:
    middle = statistics.median_low(each.seconds for each in readings)
    return next(each for each in readings if each.seconds == middle)


def read_in_process(way: str, file: Path, written: Written, python: str) -> Reading:
    """Return what it took to read an export in one way, in a fresh process."""
    with _served(file) as base_url:
        command = [python, "-m", "benchmarks.label_job", way, base_url, str(file)]
        done = subprocess.run(command, capture_output=True, check=False, text=True, cwd=_ROOT)
    if done.returncode:
        raise SystemExit(f"{way} failed: {done.stderr}")
    taken = json.loads(done.stdout.splitlines()[-1])
    if taken["tasks"] != written.tasks:
        raise SystemExit(f"{way} found {taken['tasks']} of {written.tasks} tasks")
    grown = taken["grown"] / 1e6
    return Reading(way, written.size / 1e6, taken["seconds"], taken["cpu_seconds"], grown)


@contextlib.contextmanager
def _served(file: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.export_server", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def _verdicts(readings: dict[str, Reading]) -> list[str]:
    streamed = readings["iterate"]
    ratio = readings["whole-file"].cpu_seconds / readings["whole-file-by-hand"].cpu_seconds
    lines = [
        _line("streamed", streamed.rate, "MB/s", GOAL_MB_PER_SECOND, streamed.rate >= 20),
        _line(
            "memory", streamed.grown_mb, "MB above start", GOAL_GROWTH_MB, streamed.grown_mb < 80
        ),
        _line("whole file", ratio, "times the CPU of cattrs by hand", GOAL_RATIO, ratio <= 2),
    ]
    if sdk := readings.get("official-sdk"):
        lines.append(f"the official SDK's path: {streamed.rate / sdk.rate:.2f} times its MB/s")
    return lines


def _line(name: str, figure: float, unit: str, goal: float, met: bool) -> str:
    return f"{name}: {figure:.2f} {unit} (goal {goal:g}: {'met' if met else 'MISSED'})"


if __name__ == "__main__":
    main()
