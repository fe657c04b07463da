"""Measure the data loader: ``python -m benchmarks.loader``.

Four questions, each measured in fresh processes against a service in another one, on loopback:

* how long a consumer waits that takes 5 ms a sample, at 50 ms of latency, 16 in flight; one that
  awaits something meanwhile, and one that blocks the event loop, in whose thread the loading is
  then a part of the waiting;
* how fast an epoch is at no latency, compared with two loops over aiohttp written by hand: one that
  throws away what it has read, and one that hands it to a consumer through a queue of 64 (16 in
  flight all; rounds are interleaved, medians count);
* how the peak of memory follows the prefetch limit, with a consumer that stalls;
* how much faster the second epoch is with a cache (50 ms of latency, 8 in flight).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import machine_facts
from benchmarks.runner import minimal_server

ROOT = Path(__file__).parents[1]
LATENCY, STEP = 0.05, 0.005
WAIT_GOAL, CACHE_GOAL = 0.05, 5.0
COUNTS = {8_000: 12_000, 100_000: 8_000, 500_000: 3_000, 2_000_000: 800}
"""How many samples of a size in bytes an epoch has."""
SMALL, PACE_GOALS = 100_000, (1.3, 0.8)
"""What the pace should be, relative to the loop: of samples up to so many bytes, and of others."""
CONSTANT_MB = 32.0
"""What the peak may exceed the prefetch limit by, beyond the peak with next to none: 16 samples of
1 MB that are being loaded, twice, since they are put together from their pieces."""
_MB = 1_000_000

Figures = dict[str, float]


def measure(job: str, base_url: str, **options: object) -> Figures:
    """Run one measurement in a fresh process and return its figures."""
    asked = json.dumps({"base_url": base_url, **options})
    command = [sys.executable, "-m", "benchmarks.loader_job", job, asked]
    done = subprocess.run(command, capture_output=True, check=False, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{job} failed: {done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def served(count: int, size: int, seconds: float) -> tuple[str, ...]:
    """Return the options of a service of so many media."""
    return str(count), str(size), str(seconds)


def waiting(options: argparse.Namespace) -> list[dict[str, object]]:
    """Measure how long the consumer waits, for each kind of consumer."""
    count, size = (200, 100_000) if options.quick else (1_500, 100_000)
    rows: list[dict[str, object]] = []
    with minimal_server(*served(count, size, LATENCY), module="loader_server") as base_url:
        for blocks in (False, True):
            for concurrency in (16, None):
                asked = {"concurrency": concurrency, "seconds": STEP, "blocks": blocks}
                rounds = [measure("wait", base_url, **asked) for _ in range(options.rounds)]
                share = statistics.median(each["share"] for each in rounds)
                kind = "blocks the loop (the loading counts as waiting)" if blocks else "awaits"
                flight = f"{concurrency} in flight" if concurrency else "adaptive, at most 16"
                is_goal = concurrency is not None and not blocks
                goal = f" (goal {WAIT_GOAL:.0%}: {verdict(share < WAIT_GOAL)})" if is_goal else ""
                say(f"waits {share:6.1%} of the time: {flight}, consumer {kind}{goal}")
                rows.append({**asked, "samples": count, "size": size, "share": share})
    return rows


def pace(options: argparse.Namespace) -> list[dict[str, object]]:
    """Compare an epoch with the loop written by hand."""
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        count, goal = 400 if options.quick else COUNTS[size], PACE_GOALS[size > SMALL]
        rates: dict[str, list[float]] = {"epoch": [], "loop": [], "queue": []}
        server = served(count, size, 0.0) + (("1",) if options.pinned else ())
        with minimal_server(*server, module="loader_server") as base_url:
            for _ in range(options.rounds):
                for job, found in rates.items():
                    core = 0 if options.pinned else None
                    taken = measure(job, base_url, concurrency=16, core=core)
                    if taken["samples"] != count:
                        raise SystemExit(f"{job} loaded {taken['samples']} of {count}")
                    found.append(count / taken["seconds"])
        ours, loop, queue = (statistics.median(found) for found in rates.values())
        say(
            f"{size / 1000:5.0f} kB: loader {ours:5.0f}/s; loop {loop:5.0f}/s, ratio "
            f"{ours / loop:.2f} (goal {goal}: {verdict(ours / loop >= goal)}); loop with a queue "
            f"{queue:5.0f}/s, ratio {ours / queue:.2f}"
        )
        ratios = {"loop": ours / loop, "queue": ours / queue}
        rows.append({"size": size, "samples": count, "rates": rates, "ratios": ratios})
    return rows


def memory(options: argparse.Namespace) -> list[dict[str, object]]:
    """Show how the peak follows the limit."""
    limits = (1, 8) if options.quick else (1, 16, 64, 128)
    count, size = (60, _MB) if options.quick else (600, _MB)
    rows: list[dict[str, object]] = []
    with minimal_server(*served(count, size, 0.0), module="loader_server") as base_url:
        for limit in limits:
            asked = {"prefetch": 100_000, "prefetch_bytes": limit * _MB, "seconds": 1.5}
            rounds = [measure("memory", base_url, **asked) for _ in range(options.rounds)]
            rows.append({**asked, "limit_mb": limit, "peak_mb": median(rounds, "peak_rss") / _MB})
    least = float(str(rows[0]["peak_mb"])) - limits[0]
    for row in rows:
        peak, bound = float(str(row["peak_mb"])), float(str(row["limit_mb"]))
        over = peak - bound - least
        row["over_mb"] = over
        say(
            f"prefetch {bound:4.0f} MB: peak RSS {peak:6.1f} MB, {over:+5.1f} MB beyond limit and "
            f"rest (goal {CONSTANT_MB:.0f}: {verdict(over <= CONSTANT_MB)})"
        )
    return rows


def caching(options: argparse.Namespace) -> dict[str, object]:
    """Compare the second epoch with the first."""
    count, size = (100, 100_000) if options.quick else (1_000, 100_000)
    with minimal_server(*served(count, size, LATENCY), module="loader_server") as base_url:
        rounds = [measure("cache", base_url, concurrency=8) for _ in range(options.rounds)]
    first, second, ratio = (median(rounds, name) for name in ("first", "second", "ratio"))
    say(
        f"epoch of {count}: first {first:.2f} s, second {second:.2f} s, {ratio:.1f} times as fast "
        f"(goal {CACHE_GOAL:.0f}: {verdict(ratio >= CACHE_GOAL)})"
    )
    return {"samples": count, "size": size, "first": first, "second": second, "ratio": ratio}


def median(rounds: list[Figures], name: str) -> float:
    """Return the median of a figure."""
    return statistics.median(each[name] for each in rounds)


def verdict(is_met: bool) -> str:
    """Return the word for a goal."""
    return "met" if is_met else "MISSED"


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few media, one round: a smoke test")
    parser.add_argument("--rounds", type=int, help="of which the median counts (5; quick: 1)")
    parser.add_argument("--pace", action="store_true", help="only the second question")
    parser.add_argument(
        "--sizes", type=int, nargs="+", choices=COUNTS, default=[*COUNTS], help="bytes a sample"
    )
    parser.add_argument(
        "--pinned", action="store_true", help="loader and service on a core each, for the pace"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    if options.quick:
        options.sizes = [SMALL]
    facts = machine_facts()  # before the run, for the load that was there without it
    value: dict[str, object] = {"machine": facts}
    if not options.pace:
        say("At 50 ms latency, 5 ms of work a sample, 100 kB, prefetch 64, after the first 32:")
        value["wait"] = waiting(options)
    say("At no latency, 16 in flight, an epoch with its listing, rate_limit=None:")
    value["pace"] = pace(options)
    if not options.pace:
        say("1 MB a sample, adaptive, a consumer that stalls for 1.5 s before the second sample:")
        value["memory"] = memory(options)
        say('With a cache, 50 ms latency, 8 in flight, 100 kB, decode="bytes":')
        value["cache"] = caching(options)
    say("\n".join(f"{name}: {fact}" for name, fact in facts.items()))
    say(f"rounds: {options.rounds}, medians count")
    if options.json:
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
