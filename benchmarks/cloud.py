"""Compare uploads from a store with uploads from a disk: ``python -m benchmarks.cloud``.

The service takes a while for each upload (``--service``; the real one 14 ms and more), the store
for each request (``--latency``). Rounds of both are interleaved, and medians count; the folder
holds as many files of the same bytes. With ``--memory`` prefixes of more and more small objects are
uploaded, and the peak of resident memory is what counts. With ``--quick`` it is a smoke test.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.machine import machine_facts
from benchmarks.runner import counts, minimal_server
from tests.helpers.photos import jpeg

GOAL = 0.8
KEYS = (1_000, 10_000, 200_000)
SOURCE = "s3://bucket/photos/"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cloud", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--count", type=int, default=4_000)
    parser.add_argument("--size", type=int, default=200_000)
    parser.add_argument("--latency", type=float, default=0.005)
    parser.add_argument("--service", type=float, default=0.014, help="seconds of an upload")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.count, options.rounds = 60, 1
    facts = machine_facts()
    found = _memory(options) if options.memory else _speed(options)
    print(json.dumps(found, indent=1))
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, **found}), encoding="utf-8")


def _speed(options: argparse.Namespace) -> dict[str, object]:
    rates: dict[str, list[float]] = {"disk": [], "store": []}
    cpu: dict[str, list[float]] = {"disk": [], "store": []}
    store = (str(options.count), str(options.size), "--latency", str(options.latency))
    with (
        tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch,
        minimal_server("--takes", str(options.service)) as service,
        minimal_server(*store, module="store_server") as endpoint,
    ):
        data = jpeg(options.size, seed=1)
        for number in range(options.count):
            (Path(scratch) / f"{number:07}.jpg").write_bytes(data)
        for _ in range(options.rounds):
            for name, source in (("disk", scratch), ("store", SOURCE)):
                taken = _taken(source, service, endpoint, options.count)
                rates[name].append(options.count / taken["seconds"])
                cpu[name].append(taken["cpu_seconds"] / options.count * 1000)
    disk, stored = median(rates["disk"]), median(rates["store"])
    return {
        "disk_files_per_second": round(disk, 1),
        "store_files_per_second": round(stored, 1),
        "ratio": round(stored / disk, 2),
        "is_met": stored / disk >= GOAL,
        "cpu_ms_a_file": {name: round(median(each), 2) for name, each in cpu.items()},
    }


def _memory(options: argparse.Namespace) -> dict[str, object]:
    peaks = {}
    for count in (20, 60) if options.quick else KEYS:
        with (
            minimal_server() as service,
            minimal_server(str(count), "2000", "--latency", "0", module="store_server") as endpoint,
        ):
            taken = _taken(SOURCE, service, endpoint, count)
            peaks[f"{count:,} keys"] = f"{taken['peak_rss'] / 1e6:.1f} MB, {taken['seconds']:.1f} s"
    return {"peak_rss": peaks}


def _taken(source: str, service: str, endpoint: str, count: int) -> dict[str, float]:
    before = counts(service)["uploads"]
    command = (sys.executable, "-m", "benchmarks.contenders.stored", source, service, endpoint)
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    got = counts(service)["uploads"] - before
    if got != count:
        raise SystemExit(f"{got} of {count} files were uploaded")
    taken: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return taken


if __name__ == "__main__":
    main()
