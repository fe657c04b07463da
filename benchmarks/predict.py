"""Predict a project of many images while things go wrong, and count what is stored.

``python -m benchmarks.predict`` has a program predict 5,000 images of the embedded service with two
worker processes: 3 % of all requests fail, one worker process is killed, and so is the program
itself, by SIGKILL at a third of the images; then it is started again with the same journal. It
tells images/s and memory of the program, and fails where an image has no prediction or two. With
``--cluster`` the workers are those of a Dask cluster, and one more is added when the program is
started again. With ``--import-only`` ready predictions go in, and nothing fails.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cluster import local_cluster
from benchmarks.files import TINY
from benchmarks.machine import machine_facts
from benchmarks.measure import peak_rss
from datagym_async import DataGymClient, RetryPolicy
from datagym_async.distributed import predict
from datagym_async.labels import Annotation, LabelConfig, LabeledImage, Rectangle
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server
from datagym_async.testing import Action, CommitThenDrop, Drop, FaultPlan, Status, chance

if TYPE_CHECKING:
    from datagym_async.data import Sample

_RETRY = RetryPolicy(initial_delay=0.05, settle_after=0.2)


def client() -> DataGymClient:
    """Make the client of a process."""
    return DataGymClient(rate_limit=None, retry=_RETRY)


def model(samples: Sequence[Sample]) -> list[list[Annotation]]:
    """Tell each image by its number; end the process once, where the environment says so."""
    marker, name = Path(os.environ["DIES"]), os.environ["DIES_OF"]
    if any(each.media.name == name for each in samples) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [[Annotation("car", Rectangle(int(each.media.name[:6]), 1, 5, 5))] for each in samples]


async def job(options: argparse.Namespace) -> None:
    """Predict, and print what came of it as JSON."""
    here = importlib.import_module("benchmarks.predict")  # where other processes find it
    asked: dict[str, Any] = {"journal": os.environ["JOURNAL"], "decode": "bytes"}
    began = time.perf_counter()
    async with client() as mine:
        if options.scheduler:
            asked |= {"scheduler": options.scheduler, "connect": here.client}
            report = await predict(mine, options.job, here.model, **asked)
        else:
            asked |= {"processes": options.processes, "client": here.client}
            report = await mine.predict(options.job, here.model, **asked)
    found = report.to_dict() | {"seconds": time.perf_counter() - began, "peak_rss": peak_rss()}
    sys.stdout.write(json.dumps(found) + "\n")


async def measure(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Serve, start the program twice, and look at all tasks."""
    os.environ |= {"DIES": str(scratch / "died"), "JOURNAL": str(scratch / "journal")}
    os.environ["DIES_OF"] = _name(options.images // 2)
    async with _service(options) as (plan, made), _cluster(options) as cluster:
        actions: tuple[Action, ...] = (Status(503), Drop(), CommitThenDrop())
        for number, action in enumerate(actions):
            plan.add(action, when=chance(options.faults / 3, seed=number))
        first = await _start(made, options)
        while first.returncode is None and plan.count("GET", "/media/") < options.images / 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if first.returncode is None:
            first.kill()
        await first.communicate()
        if cluster is not None:
            cluster.scale(options.processes + 1)
        output, _ = await (await _start(made, options)).communicate()
        plan.clear()
        found: dict[str, Any] = json.loads(output.splitlines()[-1])
        found["wrong"] = await _wrong(made)
        found["journal_bytes"] = (scratch / "journal").stat().st_size
    return found | {"a_worker_died": (scratch / "died").exists()}


async def import_only(options: argparse.Namespace) -> dict[str, Any]:
    """Import predictions that are ready, as a prediction does."""
    async with _service(options) as (_, made), client() as mine:
        images = [
            LabeledImage(media_id=media, annotations=[Annotation("car", Rectangle(1, 1, 5, 5))])
            for media in made.datasets[0].media_ids.values()
        ]
        began = time.perf_counter()
        report = await mine.labels.import_predictions(made.id, images, keep_data=False, sizes=False)
        return {"stored": report.stored, "seconds": time.perf_counter() - began}


def _name(number: int) -> str:
    return f"{number:06}.jpg"


@asynccontextmanager
async def _service(options: argparse.Namespace) -> AsyncIterator[tuple[FaultPlan, SeededProject]]:
    """Serve a project of images without labels, to this process and to those that it starts."""
    plan, media = FaultPlan(), [SeedMedia(_name(n), TINY) for n in range(options.images)]
    async with Server(middlewares=[plan.middleware]) as server:
        os.environ |= {"DATAGYM_TOKEN": server.token, "DATAGYM_BASE_URL": server.base_url}
        seed = SeedProject("Street", datasets=[SeedDataset("Photos", media=media)])
        (made,) = await server.seed(seed)
        async with client() as mine:
            config = LabelConfig()
            config.add_rectangle("car", "Car")
            await mine.label_configs.upload(made.label_configuration_id, config)
        yield plan, made


@asynccontextmanager
async def _cluster(options: argparse.Namespace) -> AsyncIterator[Any]:
    """Start the cluster, if there is to be one; the programs find it by its address."""
    if not options.cluster:
        yield None
        return
    async with local_cluster(options.processes) as local:
        options.scheduler = local.scheduler_address
        yield local


async def _start(made: SeededProject, options: argparse.Namespace) -> asyncio.subprocess.Process:
    command = ["-m", "benchmarks.predict", "--job", made.id, "--processes", str(options.processes)]
    command += ["--scheduler", options.scheduler] if options.scheduler else []
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )


async def _wrong(made: SeededProject) -> int:
    """Return how many images have not the one label that tells them."""
    wrong = 0
    async with client() as mine:
        for name, task_id in made.task_ids.items():
            values = (await mine.tasks.get(task_id)).label_iteration.values
            held = [each.point.x for each in values if each.point is not None]
            wrong += held != [int(name[:6])]
    return wrong


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=__doc__)
    parser.add_argument("--images", type=int, default=5_000, help="images (5,000)")
    parser.add_argument("--faults", type=float, default=0.03, help="share of requests that fail")
    parser.add_argument("--processes", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--cluster", action="store_true", help="workers of a Dask cluster")
    parser.add_argument("--import-only", action="store_true", help="predictions that are ready")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--scheduler", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        asyncio.run(job(options))
        return
    facts = machine_facts()
    if options.import_only:
        found = asyncio.run(import_only(options))
        print("\n".join(f"{name}: {value}" for name, value in (found | facts).items()))
        print(f"{found['stored'] / found['seconds']:.0f} predictions/s")
        raise SystemExit(found["stored"] != options.images)
    with tempfile.TemporaryDirectory(prefix="datagym-predict-") as scratch:
        found = asyncio.run(measure(options, Path(scratch)))
    print("\n".join(f"{name}: {value}" for name, value in (found | facts).items()))
    left = found["planned"] - found["skipped"]
    print(f"{left / found['seconds']:.0f} images/s, {found['peak_rss'] / 1e6:.0f} MB")
    is_good = found["ok"] and found["a_worker_died"] and not found["wrong"]
    raise SystemExit(0 if is_good else 1)


if __name__ == "__main__":
    main()
