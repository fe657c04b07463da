"""Upload, download, load and predict in one process for hours, and see whether anything grows.

``python -m benchmarks.soak --minutes 60``: round after round, 1 % of all exchanges with the
embedded service, which runs in the same process, go wrong in mixed ways. Each round uploads a
folder into a new dataset, downloads it, loads it in random order, shows it to a model, and deletes
the dataset. After ten rounds there is a new service, since one keeps rows of what was deleted, and
a new client. Each round must end with everything once; and descriptors, threads, tasks and memory
of the last quarter of the rounds are compared with those of the second. The exit status is 1 if
something is lost, or grows by more than `ROOM`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import psutil

from benchmarks.chaos import Mixed, digest
from benchmarks.files import write_files
from benchmarks.machine import machine_facts
from datagym_async import DataGymClient, RetryPolicy, Timeout
from datagym_async.data import Sample
from datagym_async.exceptions import APIError, TransferError
from datagym_async.labels import Annotation, LabelConfig, Rectangle
from datagym_async.server import SeededProject, SeedProject, Server
from datagym_async.testing import FaultPlan, chance
from datagym_async.uploads import UploadConfig

T = TypeVar("T")

ROOM = {"descriptors": 2.0, "threads": 0.0, "tasks": 1.0, "connections": 8.0, "rss_mb": 6.0}
"""How much more there may be at the end: connections that are kept for reuse come and go."""
_TRIES = 10  # of one job, until nothing is left of it


@attrs.frozen
class Level:
    """What the process holds after a round; of a connection it has both ends, and serves one."""

    descriptors: int
    threads: int
    tasks: int
    connections: int
    rss_mb: float


def level(server: Server) -> Level:
    """Return what the process holds now beside its connections, without garbage.

    What the allocator keeps of what was freed is given back first (with glibc): how much that is
    says how busy the machine was, and it hides what is really held.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    process, connections = psutil.Process(), server.statistics().open_connections
    descriptors = process.num_fds() if hasattr(process, "num_fds") else 0
    return Level(
        descriptors=descriptors - 2 * connections,
        threads=threading.active_count(),
        tasks=len(asyncio.all_tasks()) - connections,
        connections=connections,
        rss_mb=process.memory_info().rss / 1e6,
    )


def growth(levels: Sequence[Level]) -> dict[str, float]:
    """Return how much more of each there is in the last quarter than in the second: medians.

    The first quarter is left out: pools fill, modules and caches load.
    """
    quarter = max(1, len(levels) // 4)
    early, late = levels[quarter : 2 * quarter] or levels[-1:], levels[-quarter:]
    return {
        name: statistics.median(getattr(each, name) for each in late)
        - statistics.median(getattr(each, name) for each in early)
        for name in ROOM
    }


def model(samples: Sequence[Sample]) -> list[list[Annotation]]:
    """Find a box on each image."""
    return [[Annotation("car", Rectangle(1, 1, 5, 5))] for _ in samples]


@attrs.define
class Soak:
    """The service, a client, the files, and what is counted."""

    server: Server
    plan: FaultPlan
    client: DataGymClient
    project: SeededProject
    files: Path
    scratch: Path
    again: int = 0

    async def round(self, number: int) -> None:
        """Let one folder go through all jobs; `AssertionError` says what was lost."""
        name, wanted = f"Soak {number}", await asyncio.to_thread(hashes, self.files)
        dataset = await self._until(lambda: self.client.datasets.ensure(name), lambda _: True)
        out, state = self.scratch / "out", self.scratch / "state"
        await asyncio.to_thread(state.mkdir)
        # A service that stores what it was sent after the look for it has made a second copy.
        config = UploadConfig(journal=state / "upload.journal", remove_doubles=True)
        sent = await self._until(
            lambda: self.client.upload(dataset.id, self.files, config=config),
            lambda report: report.complete and not report.failed,
        )
        got = await self._until(
            lambda: self.client.download_dataset(dataset.id, out), lambda report: report.complete
        )
        found = await asyncio.to_thread(hashes, out)
        assert found == wanted, f"differs: {found.items() ^ wanted.items()}, {sent}, {got}"

        loaded = await self._until(lambda: self._load(dataset.id, number), lambda _: True)
        assert loaded == wanted, f"a loader differs: {loaded.items() ^ wanted.items()}"

        await self._until(lambda: self._attach(dataset.id), lambda _: True)
        report = await self._until(
            lambda: self.client.predict(
                self.project.id, model, states="all", decode="bytes", journal=state / "predict"
            ),
            lambda report: report.complete,
        )
        assert report.ok, str(report)
        assert report.planned == len(wanted), f"{report.planned} images predicted"

        await self.server.delete_dataset(dataset.id)
        await asyncio.to_thread(shutil.rmtree, out)
        await asyncio.to_thread(shutil.rmtree, state)
        self.plan.requests.clear()  # the record of the service is no leak of the client

    async def _load(self, dataset_id: str, number: int) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        loader = self.client.loader(dataset_id, decode="bytes", shuffle=number)
        async with loader:
            async for sample in loader:
                assert isinstance(sample, Sample)
                assert sample.media.name not in found, "a loader gave an image twice"
                assert isinstance(sample.data, bytes)
                found[sample.media.name] = digest(sample.data)
        return found

    async def _attach(self, dataset_id: str) -> None:
        (project,) = await self.client.projects.list()
        if dataset_id not in {each.id for each in project.datasets}:
            await self.client.projects.add_dataset(self.project.id, dataset_id)

    async def _until(self, work: Callable[[], Awaitable[T]], is_done: Callable[[T], bool]) -> T:
        """Do a job again until nothing is left of it, as its user would."""
        for _ in range(_TRIES):
            began = time.monotonic()
            try:
                found = await work()
            except (APIError, TransferError) as error:
                print(f"again, after {time.monotonic() - began:.0f} s: {error}", flush=True)
            else:
                if is_done(found):
                    return found
            self.again += 1
        raise AssertionError(f"not done in {_TRIES} runs")


def hashes(folder: Path) -> dict[str, bytes]:
    """Return the hash of each image of a folder by its name."""
    return {path.name: digest(path.read_bytes()) for path in sorted(folder.glob("*.jpg"))}


async def soak(scratch: Path, options: argparse.Namespace) -> list[Level]:
    """Go through round after round until the time is over."""
    plan, faults = FaultPlan(), Mixed(random.Random(options.seed))
    files = write_files(scratch / "files", count=options.files, size=20_000)
    levels: list[Level] = []
    again, began = 0, time.monotonic()
    while len(levels) < 8 or time.monotonic() - began < options.minutes * 60:
        service = scratch / f"service {len(levels)}"
        async with (
            Server(service, middlewares=[plan.middleware]) as server,
            DataGymClient(
                server.token,
                server.base_url,
                rate_limit=None,
                retry=RetryPolicy(initial_delay=0.05, max_delay=1.0),
                timeout=Timeout(connect=10, read=20, upload=2),
            ) as client,
        ):
            (project,) = await server.seed(SeedProject("Soak"))
            config = LabelConfig()
            config.add_rectangle("car", "Car")
            await client.label_configs.upload(project.label_configuration_id, config)
            plan.add(faults, when=chance(options.faults, seed=options.seed + len(levels)))
            there = Soak(server, plan, client, project, files, scratch)
            for _ in range(options.shift):
                await there.round(len(levels))
                levels.append(level(server))
            again += there.again
            plan.clear()
        await asyncio.to_thread(shutil.rmtree, service)
        seconds = time.monotonic() - began
        print(
            f"{seconds:7.0f} s, {len(levels):5} rounds: {shown(attrs.asdict(levels[-1]))}",
            flush=True,
        )
    wrong = ", ".join(f"{count} {name}" for name, count in sorted(faults.counts.items()))
    print(
        f"{len(levels)} rounds of {options.files} images, {again} jobs done again,"
        f" {sum(faults.counts.values())} exchanges went wrong: {wrong or 'none'}"
    )
    return levels


def shown(values: dict[str, float]) -> str:
    """Return figures for people."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--files", type=int, default=120, help="images of a round")
    parser.add_argument("--faults", type=float, default=0.01, help="share of exchanges that fail")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--shift", type=int, default=10, help="rounds of a service and a client")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="datagym-soak-") as name:
        levels = asyncio.run(soak(Path(name), options))
    grown = growth(levels)
    is_flat = all(grown[each] <= room for each, room in ROOM.items())
    print(f"growth: {shown(grown)} ({'flat' if is_flat else 'GROWS'}; room {shown(ROOM)})")
    print("\n".join(f"{each}: {value}" for each, value in facts.items()))
    if options.json:
        rows = [attrs.asdict(each) for each in levels]
        value = {"machine": facts, "growth": grown, "flat": is_flat, "levels": rows}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")
    raise SystemExit(0 if is_flat else 1)


if __name__ == "__main__":
    main()
