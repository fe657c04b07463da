"""Compare an upload spread over datasets with one into a single dataset.

``python -m benchmarks.spread`` uploads the same tiny images twice a round: with
``max_per_dataset=1000`` and without, each to a fresh `benchmarks.growing_server`, whose times are
the observed ones divided by a scale. Files/s are given at the service's own pace: what was measured
divided by the scale. Rounds are interleaved, and medians count.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks import runner
from benchmarks.growing_server import cost
from benchmarks.machine import machine_facts

if TYPE_CHECKING:
    from benchmarks.runner import Taken


def main() -> None:
    """Run the comparison as the command line asks."""
    options = _arguments()
    facts = machine_facts()  # before the run, for the load that was there without it
    rounds: dict[int | None, list[Taken]] = {options.per_dataset: [], None: []}
    for _ in range(options.rounds):
        for most, taken in rounds.items():
            taken.append(_upload(most, options))
            print(f"max_per_dataset={most}: {taken[-1].seconds:.1f} s", flush=True)
    rates = {most: _rate(taken, options.scale) for most, taken in rounds.items()}
    ratio = rates[options.per_dataset] / rates[None]
    print(_table(rates, rounds, options))
    print(f"\nspread is {ratio:.1f} times as fast, median of {options.rounds}")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {
            "machine": facts,
            "scale": options.scale,
            "files_per_second": {str(most): rate for most, rate in rates.items()},
            "best_possible": {str(most): best(options.files, most) for most in rates},
            "ratio": ratio,
            "rounds": {str(most): [attrs.asdict(one) for one in rounds[most]] for most in rates},
        }
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spread", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few files, one round: a smoke test")
    parser.add_argument("--files", type=int, help="images (20,000)")
    parser.add_argument("--per-dataset", type=int, help="max_per_dataset (1,000)")
    parser.add_argument("--scale", type=float, default=20.0, help="what times are divided by")
    parser.add_argument("--rounds", type=int, help="rounds of which the median counts (5)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    quick = options.quick
    options.files = options.files or (400 if quick else 20_000)
    options.per_dataset = options.per_dataset or (100 if quick else 1_000)
    options.rounds = options.rounds or (1 if quick else 5)
    return options


def _upload(most: int | None, options: argparse.Namespace) -> Taken:
    spread = [] if most is None else ["--max-per-dataset", str(most)]
    with runner.minimal_server(str(options.scale), module="growing_server") as base_url:
        return runner.run_generated(options.files, base_url, *spread)


def best(files: int, most: int | None) -> float:
    """Return the files/s that the service could do at most, at its own pace."""
    return files / sum(cost(number % (most or files))[0] for number in range(files))


def _rate(rounds: list[Taken], scale: float) -> float:
    return statistics.median(taken.rate for taken in rounds) / scale


def _table(
    rates: dict[int | None, float],
    rounds: dict[int | None, list[Taken]],
    options: argparse.Namespace,
) -> str:
    head = f"{'max_per_dataset':>15} {'files':>7} {'files/s':>8} {'at most':>8} {'seconds':>9}"
    lines = [
        f"{most or 'none':>15} {options.files:>7} {rate:>8.2f} {best(options.files, most):>8.2f}"
        f" {statistics.median(taken.seconds for taken in rounds[most]) * options.scale:>9.0f}"
        for most, rate in rates.items()
    ]
    note = f"(at the service's own pace; it ran {options.scale:g} times as fast)"
    return "\n".join(["", head, *lines, note])


if __name__ == "__main__":
    main()
