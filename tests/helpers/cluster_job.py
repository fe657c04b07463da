"""Jobs on a cluster of processes, as programs: Dask warns of much at its end, and forks nothing.

``python -m tests.helpers.cluster_job predict`` writes what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import distributed as dask
from aiohttp import web

from datagym_async import (
    ConfigurationError,
    DataGymClient,
    DownloadConfig,
    RetryPolicy,
    TransferError,
    UploadConfig,
)
from datagym_async.distributed import _cluster, predict, through
from datagym_async.labels import LabelConfig
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server
from datagym_async.testing import CommitThenDrop, FaultPlan, Status
from tests.helpers import models
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

IMAGES = 99
QUIET: dict[str, Any] = {"asynchronous": True, "dashboard_address": None, "silence_logs": 50}


@attrs.define
class Gauge:
    """Counts file uploads that are being answered."""

    now: int = 0
    peak: int = 0

    @web.middleware
    async def middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Pass a request on, and count it if it is one."""
        is_file = request.method == "POST" and request.path.endswith("/file")
        self.now += is_file
        self.peak = max(self.peak, self.now)
        try:
            answer: web.StreamResponse = await handler(request)
            return answer
        finally:
            self.now -= is_file


@asynccontextmanager
async def project(
    plan: FaultPlan, *more: Any
) -> AsyncIterator[tuple[DataGymClient, SeededProject]]:
    """Give a client, and a project of images without labels; workers find it by environment."""
    media = [SeedMedia(f"{number:02}.jpg", jpeg(2000)) for number in range(IMAGES)]
    async with Server(token=TOKEN, middlewares=[*more, plan.middleware]) as server:
        os.environ |= {"DATAGYM_TOKEN": TOKEN, "DATAGYM_BASE_URL": server.base_url}
        seed = SeedProject("Street", datasets=[SeedDataset("Photos", media=media)])
        (made,) = await server.seed(seed)
        retry = RetryPolicy(initial_delay=0.01)
        async with DataGymClient(rate_limit=None, retry=retry) as client:
            config = LabelConfig()
            config.add_rectangle("car", "Car")
            await client.label_configs.upload(made.label_configuration_id, config)
            yield client, made


async def predicted() -> dict[str, Any]:
    """Predict while one of two workers is killed and a third one comes."""
    plan, added = FaultPlan(), asyncio.Event()
    for nth in range(10, 90, 20):
        plan.add(Status(503), path="/media/", nth=nth)
    with tempfile.TemporaryDirectory() as folder:
        marker = os.environ["MARKER"] = str(Path(folder, "died"))
        cluster = dask.LocalCluster(n_workers=2, threads_per_worker=1, **QUIET)  # type: ignore[no-untyped-call]
        async with project(plan) as (client, made), cluster:

            def note(_: object) -> None:
                if not added.is_set():
                    added.set()
                    cluster.scale(3)  # type: ignore[no-untyped-call]

            report = await predict(
                client,
                made.id,
                models.dies_once,
                scheduler=cluster.scheduler_address,
                setup=models.marker,
                batch_size=4,
                decode="bytes",
                on_progress=note,
            )
            plan.clear()
            held = {}
            for name, task_id in made.task_ids.items():
                values = (await client.tasks.get(task_id)).label_iteration.values
                held[name] = [each.point.x for each in values if each.point is not None]
            was_killed = Path(marker).exists()
    return report.to_dict() | {"held": held, "added": added.is_set(), "killed": was_killed}


async def refused() -> dict[str, Any]:
    """Return what is said of schedulers that cannot be used."""
    _cluster._PATIENCE = 0.3
    said: dict[str, str] = {}

    async def ask(what: str, scheduler: Any) -> None:
        async with DataGymClient("token", "http://localhost:1") as client:
            try:
                await predict(client, "0" * 8, models.boxes, scheduler=scheduler)
            except ConfigurationError as error:
                said[what] = str(error)

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    await ask("nobody", "tcp://127.0.0.1:9")
    async with await asyncio.start_server(mute, "127.0.0.1", 0) as other:
        await ask("another", f"tcp://127.0.0.1:{other.sockets[0].getsockname()[1]}")
    async with Server() as web:
        await ask("a web server", web.base_url.replace("http:", "tcp:"))
    await ask("nonsense", "nonsense://there")
    await ask("no client", 3)
    one = dask.LocalCluster(n_workers=0, **QUIET)  # type: ignore[no-untyped-call]
    async with one as cluster:
        async with _client(cluster) as ours:
            await ask("no worker", ours)
        _cluster._PATIENCE = 60.0  # with who is there, on any machine
        async with _outdated(cluster):
            await ask("version", cluster.scheduler_address)
    return said


def _outdated(cluster: Any) -> Any:
    """Return a worker that has an older version of this package."""
    of = "from datagym_async.distributed import _cluster; _cluster.__version__ = '0.0.9'"
    return dask.Nanny(cluster.scheduler_address, nthreads=1, preload=[of])


async def uploaded() -> dict[str, Any]:
    """Upload while one of two workers is killed and a third one comes, and then once more."""
    plan, gauge, images, lost = FaultPlan(), Gauge(), 240, set[str]()

    def note(record: logging.LogRecord) -> bool:
        lost.add(record.getMessage().split()[2])  # the address of a worker
        return True

    logging.getLogger("datagym_async.distributed._jobs").addFilter(note)
    for nth in range(20, 200, 40):
        plan.add(Status(503), path="/file$", nth=nth)
    plan.add(CommitThenDrop(), path="/file$", nth=70)
    folder = Path(tempfile.mkdtemp(dir=os.environ["WHERE"]))
    for number in range(images):
        (folder / f"{number:03}.jpg").write_bytes(jpeg(3000, seed=number))
    cluster = dask.LocalCluster(n_workers=2, threads_per_worker=1, **QUIET)  # type: ignore[no-untyped-call]
    async with project(plan, gauge.middleware) as (client, _), cluster, _client(cluster) as ours:
        dataset = (await client.datasets.create("Shared")).id
        config = UploadConfig(journal=folder.with_suffix(".journal"), concurrency=6)
        async with _client(cluster) as another, through(client, scheduler=ours) as there:
            await another.close()  # Dask held it for the current one
            async with there.uploader(dataset, folder, config=config) as run:
                await _killing(run, cluster)
            plan.clear()
            again = await there.upload(dataset, folder, config=config)
            target = folder.with_name("there")
            bounded = DownloadConfig(max_bytes=100)  # only of this call
            held_back = await there.download_dataset(dataset, target, config=bounded)
            async with there.downloader(dataset, target) as fetching:
                await _killing(fetching, cluster)
        media = (await client.datasets.get(dataset)).media
    counts = {name: getattr(run.report, name) for name in ("uploaded", "failed", "rejected")}
    equal = [(target / it.name).read_bytes() == (folder / it.name).read_bytes() for it in media]
    return counts | {
        "complete": run.report.complete,
        "names": len({each.name for each in media}),
        "peak": gauge.peak,
        "again": again.skipped,
        "lost": len(lost),
        "held back": held_back.failed,
        "downloaded": fetching.report.downloaded,
        "equal": sum(equal),
    }


async def _settled(cluster: Any) -> None:
    """Wait until a cluster has the workers that it was told to have."""
    await cluster


async def left_alone() -> dict[str, Any]:
    """Upload and predict while a worker without a token comes, all go, and an old one comes."""
    _cluster._WITHOUT_WORKERS = 0.3
    plan, seen, said = FaultPlan(), 0, dict[str, Any]()
    folder = Path(tempfile.mkdtemp(dir=os.environ["WHERE"]))
    for number in range(120):
        (folder / f"{number:03}.jpg").write_bytes(jpeg(3000, seed=number))
    cluster = dask.LocalCluster(n_workers=1, threads_per_worker=1, **QUIET)  # type: ignore[no-untyped-call]
    async with project(plan) as (client, made), cluster:
        dataset = (await client.datasets.create("Shared")).id

        async def tokenless(at: int) -> None:
            nonlocal seen
            seen += 1
            if seen == at:
                del os.environ["DATAGYM_TOKEN"]
                cluster.scale(2)  # type: ignore[no-untyped-call]
                await _settled(cluster)

        async with through(client, scheduler=cluster.scheduler_address) as there:
            async with there.uploader(dataset, folder, config=UploadConfig(concurrency=2)) as run:
                async for _ in run:
                    await tokenless(20)
            said["uploaded"] = run.report.uploaded
            folder.joinpath("more.jpg").write_bytes(jpeg(3000))
            cluster.scale(0)  # type: ignore[no-untyped-call]
            await _settled(cluster)
            try:
                await there.upload(dataset, folder)
            except TransferError as error:
                said["upload"] = str(error)
            try:
                await there.predict(made.id, models.boxes, decode="bytes")
            except TransferError as error:
                said["predict"] = str(error)
            async with _outdated(cluster):
                try:
                    await there.predict(made.id, models.boxes, decode="bytes")
                except TransferError as error:
                    said["outdated predict"] = str(error)
                try:
                    await there.upload(dataset, folder)
                except TransferError as error:
                    said["outdated upload"] = str(error)
    return said


async def _killing(run: Any, cluster: Any) -> None:
    """Iterate over a run to its end; at its 60th result a worker is killed, and one is added."""
    seen = 0
    async for _ in run:
        seen += 1
        if seen == 60:
            os.kill(await _a_worker(cluster), signal.SIGKILL)
            cluster.scale(3)


def _client(cluster: Any) -> Any:
    return dask.Client(cluster, asynchronous=True)  # type: ignore[no-untyped-call]


async def _a_worker(cluster: Any) -> int:
    """Return the process of a worker that has a part in a job: one that has just come has none."""

    def parts(dask_worker: Any) -> tuple[int, int]:
        return len(dask_worker.state.actors), os.getpid()

    async with _client(cluster) as client:
        found: dict[str, tuple[int, int]] = await client.run(parts)
    held, process = max(found.values())
    assert held
    return process


PROGRAMS: dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]] = {
    "predict": predicted,
    "upload": uploaded,
    "refused": refused,
    "left alone": left_alone,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(PROGRAMS[sys.argv[1]]())))
