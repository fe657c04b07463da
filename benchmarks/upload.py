"""Compare this uploader with other ways to upload a folder: ``python -m benchmarks.upload``.

In one run, on loopback, against a server that only reads and answers: the whole uploader with
journal, events, screening and reporting on, the same with the library's defaults (screening and
reporting, no journal), a loop over aiohttp written by hand, requests in 16 threads, and the
official SDK. Each upload runs in a fresh process; rounds are interleaved, and medians count.

With ``--pinned`` the client has one processor core and the server another: threads do not flatter
anybody then, and what counts is the work on each file. Beside the usual loop over aiohttp, those
stand that read several files a thread hop, and in the event loop: the best of them is the peer.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from benchmarks import runner, side_venv, table
from benchmarks.contenders import go_upload
from benchmarks.files import link_some, write_files
from benchmarks.machine import machine_facts
from benchmarks.runner import Contender, Taken

Results = dict[tuple[int, str], list[Taken]]

SMALL = 8_000
FULL = {SMALL: 24_000, 200_000: 15_000, 3_000_000: 1_500}
QUICK = {SMALL: 120, 200_000: 40, 3_000_000: 6}


def main() -> None:
    """Run the comparison as the command line asks."""
    options = _arguments()
    facts = machine_facts()  # before the run, for the load that was there without it
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        contenders = list(_contenders(options, Path(scratch)))
        results = _measure(contenders, options, Path(scratch))
    rows = [table.make_row(name, size, taken) for (size, name), taken in results.items()]
    ratios = table.make_ratios(rows, small=SMALL, is_pinned=options.pinned)
    _say("\n" + table.render(rows, ratios) + "\n")
    _say("\n".join(f"{name}: {value}" for name, value in facts.items()))
    _say(f"versions: {_versions(results)}")
    _say(
        f"{table.OURS} ran with rate_limit=None: the default of 200 requests/s would be the result."
    )
    if options.json:
        options.json.write_text(_to_json(facts, results, rows, ratios), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few files, one round: a smoke test")
    parser.add_argument(
        "--rounds", type=int, help="rounds of which the median counts (5; quick: 1)"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", choices=FULL, default=[*FULL], help="bytes a file (all)"
    )
    parser.add_argument("--workers", type=int, default=8, help="workers of the aiohttp loop")
    parser.add_argument("--threads", type=int, default=16, help="threads of requests")
    parser.add_argument(
        "--pinned", action="store_true", help="client and server on a core each (Linux)"
    )
    parser.add_argument("--no-sdk", action="store_true", help="leave the official SDK out")
    parser.add_argument(
        "--sdk-venv", type=Path, help="folder of its environment, kept for next time"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    counts = QUICK if options.quick else FULL
    options.counts = {size: counts[size] for size in options.sizes}
    return options


def _contenders(options: argparse.Namespace, scratch: Path) -> Iterator[Contender]:
    if options.pinned:
        yield from _pinned_contenders(options)
        return
    ours, loop, uvloop = "datagym_async_client", "aiohttp_loop", "--uvloop"
    yield Contender(table.OURS, ours)
    yield Contender(table.LOOP, loop, workers=options.workers)
    if not options.quick:
        yield Contender(table.PLAIN, ours, options=("--defaults",))
    if side_venv.can_import(sys.executable, "uvloop") and not options.quick:
        yield Contender(table.OURS_UV, ours, options=(uvloop,))
        yield Contender(table.PLAIN_UV, ours, options=(uvloop, "--defaults"))
        yield Contender(table.LOOP_UV, loop, workers=options.workers, options=(uvloop,))
    side = None if options.no_sdk else _side_python(options.sdk_venv or scratch / "venv")
    python = side or sys.executable
    if side_venv.can_import(python, "requests"):
        share = 1.0 if options.quick else 0.5
        threads = options.threads
        yield Contender(table.THREADS, "requests_threads", python, workers=threads, share=share)
    else:
        _say(f"SKIPPED {table.THREADS}: not installed; pip install requests")
    if side:
        share = 1.0 if options.quick else 0.25
        yield Contender(table.SDK, "official_sdk", side, workers=1, share=share)
    elif options.no_sdk:
        _say(f"SKIPPED {table.SDK}: --no-sdk")


def _pinned_contenders(options: argparse.Namespace) -> Iterator[Contender]:
    """Give ours and the loops, each on the client's core, on both kinds of event loop."""
    ours, loop, core = "datagym_async_client", "aiohttp_loop", ("--core", "0")
    kinds: list[tuple[tuple[str, ...], int]] = [((), 0)]
    if side_venv.can_import(sys.executable, "uvloop"):
        kinds.append((("--uvloop",), 1))
    for kind, at in kinds:
        workers = options.workers
        yield Contender(
            (table.PLAIN, table.PLAIN_UV)[at], ours, options=(*core, *kind, "--defaults")
        )
        yield Contender((table.OURS, table.OURS_UV)[at], ours, options=(*core, *kind))
        for names, portion in (
            ((table.LOOP, table.LOOP_UV), "1"),
            ((table.SEVERAL, table.SEVERAL_UV), "16"),
            ((table.IN_LOOP, table.IN_LOOP_UV), "0"),
        ):
            more = (*core, *kind, "--portion", portion)
            yield Contender(names[at], loop, workers=workers, options=more)
    if go_upload.is_there():
        yield Contender(table.GO, "go_upload", workers=options.workers, options=core)
    else:
        _say(f"SKIPPED {table.GO}: no Go toolchain here")


def _side_python(folder: Path) -> str | None:
    _say(f"Making an environment for requests and the official SDK in {folder}")
    try:
        return side_venv.make_side_venv(folder)
    except side_venv.SideEnvironmentError as error:
        _say(f"SKIPPED {table.SDK}: {error}")
        return None


def _measure(contenders: list[Contender], options: argparse.Namespace, scratch: Path) -> Results:
    """Run all rounds: sizes and contenders take turns, so that no one gets the quiet minute."""
    counts: dict[int, int] = options.counts
    results: Results = {(size, one.name): [] for size in counts for one in contenders}
    core = ("--core", "1") if options.pinned else ()
    with runner.minimal_server(*core) as base_url:
        for number in range(options.rounds):
            _say(f"round {number + 1} of {options.rounds}")
            for size, count in counts.items():
                for contender in contenders:
                    folder = _folder(scratch, size, count, int(count * contender.share))
                    taken = runner.run(contender, folder, base_url)
                    results[size, contender.name].append(taken)
            contenders = contenders[1:] + contenders[:1]
    return results


def _folder(scratch: Path, size: int, count: int, share: int) -> Path:
    """Return a folder with the first few of so many files; both are made when they are missing."""
    whole, part = scratch / f"{size}-{count}", scratch / f"{size}-{share}"
    if not whole.exists():
        write_files(whole, count=count, size=size)
    return part if part.exists() else link_some(whole, part, count=share)


def _versions(results: Results) -> dict[str, str]:
    rounds = [taken for all_taken in results.values() for taken in all_taken]
    return {name: version for taken in rounds for name, version in taken.versions.items()}


def _to_json(
    facts: dict[str, str | int | float],
    results: Results,
    rows: list[table.Row],
    ratios: list[table.Ratio],
) -> str:
    rounds = [
        {"contender": name, "size": size, "rounds": [attrs.asdict(taken) for taken in all_taken]}
        for (size, name), all_taken in results.items()
    ]
    value = {
        "machine": facts,
        "versions": _versions(results),
        "rate_limit": None,
        "rows": [attrs.asdict(row) for row in rows],
        "ratios": [{**attrs.asdict(ratio), "is_met": ratio.is_met} for ratio in ratios],
        "rounds": rounds,
    }
    return json.dumps(value, indent=1)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
