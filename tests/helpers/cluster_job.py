"""Jobs on a cluster of processes, as programs: Dask warns of much at its end, and forks nothing.

``python -m tests.helpers.cluster_job predict`` writes what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import distributed as dask

from datagym_async import ConfigurationError, DataGymClient, RetryPolicy
from datagym_async.distributed import _cluster, predict
from datagym_async.labels import LabelConfig
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server
from datagym_async.testing import FaultPlan, Status
from tests.helpers import models
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

IMAGES = 99
QUIET: dict[str, Any] = {"asynchronous": True, "dashboard_address": None, "silence_logs": 50}


@asynccontextmanager
async def project(plan: FaultPlan) -> AsyncIterator[tuple[DataGymClient, SeededProject]]:
    """Give a client, and a project of images without labels; workers find it by environment."""
    media = [SeedMedia(f"{number:02}.jpg", jpeg(2000)) for number in range(IMAGES)]
    async with Server(token=TOKEN, middlewares=[plan.middleware]) as server:
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

    await ask("nobody", "tcp://127.0.0.1:9")
    await ask("nonsense", "nonsense://there")
    await ask("no client", 3)
    one = dask.LocalCluster(n_workers=0, processes=False, **QUIET)  # type: ignore[no-untyped-call]
    async with one as cluster:
        await ask("no worker", cluster.scheduler_address)
        cluster.scale(1)
        async with dask.Client(cluster, asynchronous=True) as client:  # type: ignore[no-untyped-call]
            await client.wait_for_workers(1)
        theirs = iter([("0.0.9", "3.11.0"), _cluster.versions()])
        _cluster.versions = lambda: next(theirs)
        await ask("version", cluster.scheduler_address)
    return said


PROGRAMS: dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]] = {
    "predict": predicted,
    "refused": refused,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(PROGRAMS[sys.argv[1]]())))
