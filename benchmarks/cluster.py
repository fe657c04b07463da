"""Upload through three worker processes, one killed and one added, and by this process alone.

``python -m benchmarks.cluster`` uploads the same small images to `benchmarks.growing_server`,
spread over datasets, by a local cluster of Dask and then by a plain client; with ``--scale 1000``
the service costs nearly nothing. It tells files/s, CPU, what the service saw in flight at once and
in one second at most, and fails where an image is missing or there twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import distributed as dask

from benchmarks import runner
from benchmarks.files import TINY
from benchmarks.growing_server import FIRST
from benchmarks.machine import machine_facts
from benchmarks.measure import cpu_seconds, peak_rss
from datagym_async import DataGymClient, UploadConfig
from datagym_async.distributed import through

if TYPE_CHECKING:
    from datagym_async.uploads import Uploader


@attrs.define
class Found:
    """What one upload took, and what the service saw of it."""

    what: str
    rate: float = 0.0
    cpu_ms: float = 0.0
    workers_cpu_ms: float = 0.0
    peak_mb: float = 0.0
    in_flight: int = 0
    in_a_second: int = 0
    lost: int = 0
    doubled: int = 0


async def _through_cluster(run: Uploader, cluster: Any, options: argparse.Namespace) -> float:
    """Upload, kill a worker at a third and add one at the half; return the workers' CPU time."""
    seen = 0
    async with dask.Client(cluster, asynchronous=True) as client:  # type: ignore[no-untyped-call]
        processes: dict[str, int] = await client.run(os.getpid)
        async for _ in run:
            seen += 1
            if options.kill and seen == options.files // 3:
                os.kill(next(iter(processes.values())), signal.SIGKILL)
            if options.kill and seen == options.files // 2:
                cluster.scale(options.workers + 1)
        used: dict[str, float] = await client.run(cpu_seconds)
    return sum(used.values())


async def measure(folder: Path, options: argparse.Namespace, *, alone: bool) -> Found:
    """Upload a folder to a fresh service."""
    found = Found("one process" if alone else f"{options.workers} workers")
    journal = folder.with_name(f"{alone}.journal")
    config = UploadConfig(concurrency=options.concurrency, journal=journal, max_per_dataset=1_000)
    with runner.minimal_server(str(options.scale), module="growing_server") as base_url:
        os.environ |= {"DATAGYM_TOKEN": "benchmark", "DATAGYM_BASE_URL": base_url}
        async with DataGymClient(rate_limit=options.rate) as client:
            if alone:
                cpu, began = cpu_seconds(), time.perf_counter()
                await client.upload(FIRST, folder, config=config)
                seconds, theirs = time.perf_counter() - began, 0.0
            else:
                local: Any = dask.LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=options.workers,
                    threads_per_worker=1,
                    asynchronous=True,
                    dashboard_address=None,
                    silence_logs=50,
                )
                async with local, through(client, scheduler=local.scheduler_address) as there:
                    cpu, began = cpu_seconds(), time.perf_counter()
                    async with there.uploader(FIRST, folder, config=config) as run:
                        theirs = await _through_cluster(run, local, options)
                        seconds = time.perf_counter() - began
            names = Counter(it.name for each in await client.datasets.list() for it in each.media)
        counts = await asyncio.to_thread(runner.counts, base_url)
    found.rate = options.files / seconds
    found.cpu_ms = (cpu_seconds() - cpu) / options.files * 1000
    found.workers_cpu_ms = theirs / options.files * 1000
    found.peak_mb = peak_rss() / 1e6
    found.in_flight, found.in_a_second = int(counts["peak"]), int(counts["busiest"])
    found.lost = options.files - len(names)
    found.doubled = sum(count > 1 for count in names.values())
    print(found, flush=True)
    return found


def _compared(options: argparse.Namespace) -> list[Found]:
    with tempfile.TemporaryDirectory(prefix="datagym-cluster-") as scratch:
        folder = Path(scratch, "photos")
        folder.mkdir()
        for number in range(options.files):
            content = TINY + number.to_bytes(4, "big") * (options.size // 4)
            (folder / f"photo-{number:06}.jpg").write_bytes(content)
        return [asyncio.run(measure(folder, options, alone=alone)) for alone in (False, True)]


def main() -> None:
    """Compare as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="images (20,000)")
    parser.add_argument("--size", type=int, default=8_000, help="bytes of each (8,000)")
    parser.add_argument("--workers", type=int, default=3, help="worker processes (3)")
    parser.add_argument("--concurrency", type=int, default=8, help="uploads at once (8)")
    parser.add_argument("--rate", type=float, help="requests a second (no limit)")
    parser.add_argument("--scale", type=float, default=4.0, help="what times are divided by (4)")
    parser.add_argument("--no-kill", dest="kill", action="store_false", help="let all live")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    facts = machine_facts()
    rows = _compared(options)
    print(f"the cluster is {rows[0].rate / rows[1].rate:.2f} times as fast")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if options.json:
        value = {"machine": facts, "rows": [attrs.asdict(each) for each in rows]}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")
    raise SystemExit(any(each.lost or each.doubled for each in rows))


if __name__ == "__main__":
    main()
