"""Show how soon a large job goes on: ``python -m benchmarks.resume --items 1000000``.

A folder of so many small files, nearly all of which an earlier run has uploaded: the journal says
so, and the dataset lists them. 100 files are left in the journal, 100 have come since. Measured, in
a fresh process, is the time from the call to the first upload that reaches the service, and to the
end of the run. The service is the minimal one, which lists the dataset like the real one does.

The journal is made with the parts that an upload is made of, without a service and without sending.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from benchmarks import runner
from benchmarks.contenders.generated import DATASET
from benchmarks.files import TINY
from benchmarks.machine import machine_facts
from benchmarks.minimal_server import held_name
from datagym_async.uploads import Outcome, UploadItem, UploadResult
from datagym_async.uploads.plan import Job, Plan
from datagym_async.uploads.plan import _journal as journal_file
from datagym_async.uploads.sources import Candidate

GOAL_SECONDS = 10.0
_ROOT = Path(__file__).parents[1]
_LEFT, _NEW = 100, 100
_LINKS = 50_000  # names of one file; file systems bound them, ext4 at 65,000
_STEP = 1_000


@attrs.frozen
class Resumed:
    """What one resumed run took.

    Args:
        to_first: Seconds to the first upload that reached the service.
        to_end: Seconds to the end.
        peak_rss_mb: Megabytes of resident memory at most.
        summary: The run's own account.
    """

    to_first: float
    to_end: float
    peak_rss_mb: float
    summary: str


def main() -> None:
    """Measure as the command line asks."""
    options = _arguments()
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        folder = Path(scratch) / "files"
        _say(f"making {options.items + _NEW:,} files")
        _link(folder, options.items + _NEW)
        rounds = [_round(folder, options.items) for _ in range(options.rounds)]
    first = statistics.median(each.to_first for each in rounds)
    end = statistics.median(each.to_end for each in rounds)
    peak = statistics.median(each.peak_rss_mb for each in rounds)
    verdict = "met" if first <= GOAL_SECONDS else "MISSED"
    _say(rounds[-1].summary)
    _say(f"{options.items:,} items, of which {_LEFT} were left; {_NEW} more files")
    _say(f"to the first upload: {first:.2f} s (goal {GOAL_SECONDS:g}: {verdict})")
    _say(f"to the end:          {end:.2f} s, median of {options.rounds}; peak RSS {peak:.0f} MB")
    _say("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {"machine": facts, "items": options.items, "to_first": first, "to_end": end}
        found = {**value, "rounds": [attrs.asdict(each) for each in rounds]}
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resume", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few items: a smoke test")
    parser.add_argument("--items", type=int, help="items that the journal knows (1,000,000)")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of which the median counts")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    options.items = options.items or (2_000 if options.quick else 1_000_000)
    return options


def _link(folder: Path, count: int) -> None:
    """Make a folder of small files, many names to one file."""
    folder.mkdir()
    for number in range(count):
        path = folder / held_name(number)
        if number % _LINKS == 0:
            path.write_bytes(TINY + number.to_bytes(8, "big"))
        else:
            path.hardlink_to(folder / held_name(number - number % _LINKS))


def _round(folder: Path, items: int) -> Resumed:
    journal = folder.with_name("upload.journal")
    with runner.minimal_server("--held", str(items - _LEFT)) as base_url:
        began = time.perf_counter()
        make_journal(journal, folder, base_url, items)
        _say(f"made the journal in {time.perf_counter() - began:.1f} s")
        return _resume(journal, folder, base_url)


def make_journal(path: Path, folder: Path, base_url: str, items: int) -> None:
    """Write a journal in which all but the last few of a folder's items are uploaded."""
    job = Job.of(base_url, DATASET, str(folder))
    plan = Plan()
    plan.open(journal_file.journal(path, job, fresh=True))
    try:
        plan.listed.begin()
        plan.listed.end("Benchmark")
        candidates = _candidates(folder, items)
        while some := list(itertools.islice(candidates, _STEP)):
            plan.add((0, each) for each in some)
        plan.settle()
        result = UploadResult(
            item=UploadItem("any", b""),
            outcome=Outcome.UPLOADED,
            dataset_id=DATASET,
            media_id="00000000-0000-4000-9000-000000000000",
            attempts=1,
        )
        for seq in range(1, items - _LEFT + 1):
            plan.outcomes.note(seq, result)
            if seq % (10 * _STEP) == 0:
                plan.outcomes.flush()
    finally:
        plan.close()


def _candidates(folder: Path, count: int) -> Iterator[Candidate]:
    for name in map(held_name, range(count)):
        yield Candidate(UploadItem(name, str(folder / name)), place=name)


def _resume(journal: Path, folder: Path, base_url: str) -> Resumed:
    command = [sys.executable, "-m", "benchmarks.contenders.resumed"]
    command += [str(folder), base_url, str(journal)]
    done = subprocess.run(
        command, capture_output=True, check=False, text=True, cwd=_ROOT, errors="replace"
    )
    if done.returncode:
        raise SystemExit(f"the resumed run failed: {done.stderr.strip()}")
    said, taken = map(json.loads, done.stdout.splitlines()[-2:])
    counts = runner.counts(base_url)
    if counts["uploads"] != _LEFT + _NEW:
        raise SystemExit(f"the resumed run uploaded {counts['uploads']} files: {said['summary']}")
    return Resumed(
        to_first=counts["first_upload"] - said["began"],
        to_end=taken["seconds"],
        peak_rss_mb=taken["peak_rss"] / 1e6,
        summary=said["summary"],
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
