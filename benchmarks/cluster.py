"""Upload through three worker processes while workers and the program die, and by one process.

``python -m benchmarks.cluster`` has a program upload small images to `benchmarks.growing_server`,
spread over datasets, by a local cluster of Dask: a worker is killed by SIGKILL at a quarter, one is
added at a third, the program itself is killed at a half and started again with its journal. Then
the same by a cluster that is left in peace, and by one process alone. It tells files/s, CPU, memory
of the program, what the service saw in flight at once and in one second at most, and fails where an
image is missing or there twice, or a limit was passed. With ``--scale 1000`` the service costs
nearly nothing, so that this side is the bound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import distributed as dask

from benchmarks import runner
from benchmarks.files import TINY
from benchmarks.growing_server import FIRST
from benchmarks.machine import machine_facts
from benchmarks.measure import cpu_seconds, peak_rss
from datagym_async import DataGymClient, UploadConfig
from datagym_async.distributed import through


def local_cluster(workers: int) -> Any:
    """Return a cluster of so many processes, to be entered."""
    return dask.LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers,
        threads_per_worker=1,
        asynchronous=True,
        dashboard_address=None,
        silence_logs=50,
    )


@attrs.define
class Found:
    """What one upload took, and what the service saw of it."""

    what: str
    rate: float = 0.0
    cpu_ms: float = 0.0
    scheduler_cpu_ms: float = 0.0
    workers_cpu_ms: float = 0.0
    peak_mb: float = 0.0
    in_flight: int = 0
    in_a_second: int = 0
    journal_bytes: float = 0.0
    requests: int = 0
    skipped: int = 0
    lost: int = 0
    doubled: int = 0
    is_complete: bool = False


async def job(options: argparse.Namespace) -> None:
    """Upload, and print what came of it as JSON."""
    config = UploadConfig(
        concurrency=options.concurrency, journal=options.journal, max_per_dataset=1_000
    )
    began, cpu = time.perf_counter(), cpu_seconds()
    async with DataGymClient(rate_limit=options.rate) as client:
        if options.scheduler:
            async with through(client, scheduler=options.scheduler) as there:
                report = await there.upload(FIRST, options.folder, config=config)
        else:
            report = await client.upload(FIRST, options.folder, config=config)
    taken = {
        "seconds": time.perf_counter() - began,
        "cpu": cpu_seconds() - cpu,
        "peak_rss": peak_rss(),
        "skipped": report.skipped,
        "complete": report.complete and report.uploaded + report.skipped == options.files,
    }
    sys.stdout.write(json.dumps(taken) + "\n")


async def measure(what: str, options: argparse.Namespace) -> Found:
    """Upload the folder to a fresh service by a program, through a cluster if it is named so."""
    found = Found(what)
    journal = Path(options.folder).with_name(f"{what}.journal")
    with runner.minimal_server(str(options.scale), module="growing_server") as base_url:
        os.environ |= {"DATAGYM_TOKEN": "benchmark", "DATAGYM_BASE_URL": base_url}
        command = ["-m", "benchmarks.cluster", "--job", "--folder", options.folder]
        command += ["--journal", str(journal), "--files", str(options.files)]
        command += ["--concurrency", str(options.concurrency)]
        command += ["--rate", str(options.rate)] if options.rate else []

        async def start(*arguments: str) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                sys.executable, *command, *arguments, stdout=asyncio.subprocess.PIPE
            )

        async def uploads(share: float) -> None:
            """Wait until the service has seen this share of the files."""
            seen = 0.0
            while seen < share * options.files:
                await asyncio.sleep(0.1)
                seen = (await asyncio.to_thread(runner.counts, base_url))["uploads"]

        if what == "one process":
            output, _ = await (await start()).communicate()
        else:
            async with (
                local_cluster(options.workers) as local,
                dask.Client(local, asynchronous=True) as client,  # type: ignore[no-untyped-call]
            ):
                before, ours = await client.run(cpu_seconds), cpu_seconds()
                program = await start("--scheduler", local.scheduler_address)
                if what == "a cluster that loses":
                    await uploads(1 / 4)
                    processes: dict[str, int] = await client.run(os.getpid)
                    os.kill(next(iter(processes.values())), signal.SIGKILL)
                    await uploads(1 / 3)
                    local.scale(options.workers + 1)
                    await uploads(1 / 2)
                    program.kill()
                    await program.wait()
                    program = await start("--scheduler", local.scheduler_address)
                output, _ = await program.communicate()
                found.scheduler_cpu_ms = (cpu_seconds() - ours) / options.files * 1000
                used: dict[str, float] = await client.run(cpu_seconds)
                theirs = sum(each - before.get(name, 0.0) for name, each in used.items())
                found.workers_cpu_ms = theirs / options.files * 1000
        async with DataGymClient() as mine:
            names = Counter(it.name for each in await mine.datasets.list() for it in each.media)
        counts = await asyncio.to_thread(runner.counts, base_url)
    taken = json.loads(output.splitlines()[-1])
    sent = options.files - taken["skipped"]
    found.rate, found.cpu_ms = sent / taken["seconds"], taken["cpu"] / sent * 1000
    found.peak_mb, found.skipped = taken["peak_rss"] / 1e6, taken["skipped"]
    found.is_complete, found.requests = taken["complete"], int(counts["uploads"])
    found.journal_bytes = journal.stat().st_size / options.files
    found.in_flight, found.in_a_second = int(counts["peak"]), int(counts["busiest"])
    found.lost, found.doubled = options.files - len(names), names.total() - len(names)
    print(found, flush=True)
    return found


def _compared(options: argparse.Namespace) -> list[Found]:
    with tempfile.TemporaryDirectory(prefix="datagym-cluster-") as scratch:
        folder = Path(scratch, "photos")
        folder.mkdir()
        for number in range(options.files):
            content = TINY + number.to_bytes(4, "big") * (options.size // 4)
            (folder / f"photo-{number:06}.jpg").write_bytes(content)
        options.folder = str(folder)
        runs = ("a cluster that loses", "a cluster in peace", "one process")
        return [asyncio.run(measure(what, options)) for what in runs[options.only_peace :]]


def main() -> None:
    """Compare as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="images (20,000)")
    parser.add_argument("--size", type=int, default=8_000, help="bytes of each (8,000)")
    parser.add_argument("--workers", type=int, default=3, help="worker processes (3)")
    parser.add_argument("--concurrency", type=int, default=8, help="uploads at once (8)")
    parser.add_argument("--rate", type=float, help="requests a second (no limit)")
    parser.add_argument("--scale", type=float, default=4.0, help="what times are divided by (4)")
    parser.add_argument("--only-peace", action="store_true", help="kill nothing")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    for each in ("--folder", "--journal", "--scheduler"):
        parser.add_argument(each, help=argparse.SUPPRESS)
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        asyncio.run(job(options))
        return
    facts = machine_facts()
    rows = _compared(options)
    print(f"in peace it is {rows[-2].rate / rows[-1].rate:.2f} times as fast as one process")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {"machine": facts, "rows": [attrs.asdict(each) for each in rows]}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")

    def is_wrong(row: Found) -> bool:
        too_many = row.in_flight > options.concurrency
        if options.rate:  # those on their way may arrive closer together than they began
            too_many = too_many or row.in_a_second > options.rate + options.concurrency
        return bool(row.lost or row.doubled or too_many or not row.is_complete)

    raise SystemExit(any(map(is_wrong, rows)))


if __name__ == "__main__":
    main()
