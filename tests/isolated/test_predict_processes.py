"""`client.predict` with worker processes: one that dies costs no image its prediction."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from multiprocessing import active_children
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async import DataGymClient
from datagym_async._processes import WorkerProcesses
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import LabelConfig
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server
from tests.helpers import models
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from blockbuster import BlockBuster

    from datagym_async.predict import PredictReport

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL"),
]


@pytest.fixture(autouse=True)
def blocking_allowed(no_blocking_calls: BlockBuster) -> None:
    """Let the finalisers of multiprocessing's semaphores write, wherever the collector runs."""
    no_blocking_calls.deactivate()


@pytest.mark.parametrize("is_deadly", [False, True])
def test_a_worker_that_is_killed_costs_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_deadly: bool
) -> None:
    """Its images are shown to the next one; an image that kills each is found out and named."""
    monkeypatch.setenv("DATAGYM_TOKEN", TOKEN)
    monkeypatch.setenv("MARKER", str(tmp_path / "died"))

    async def run() -> tuple[PredictReport, dict[str, list[float | None]]]:
        media = [SeedMedia(f"{number:02}.jpg", jpeg(2000)) for number in range(40)]
        async with Server(token=TOKEN) as server:
            os.environ["DATAGYM_BASE_URL"] = server.base_url
            seed = SeedProject("Street", datasets=[SeedDataset("Photos", media=media)])
            (project,) = await server.seed(seed)
            async with DataGymClient(rate_limit=None) as client:
                config = LabelConfig()
                config.add_rectangle("car", "Car")
                await client.label_configs.upload(project.label_configuration_id, config)
                report = await client.predict(
                    project.id,
                    models.dies_always if is_deadly else models.dies_once,
                    setup=None if is_deadly else models.marker,
                    processes=2,
                    batch_size=4,
                    decode="bytes",
                )
                held = {}
                for name, task_id in project.task_ids.items():
                    values = (await client.tasks.get(task_id)).label_iteration.values
                    held[name] = [each.point.x for each in values if each.point is not None]
                return report, held

    monkeypatch.setenv("DATAGYM_BASE_URL", "")  # so that it is taken away again
    report, held = asyncio.run(run())
    assert active_children() == []  # asked so, Python lets go of those that have ended, too
    lost = {"07.jpg"} if is_deadly else set()
    assert report.complete
    assert {each.name for each in report.problems} == lost
    assert is_deadly or (tmp_path / "died").exists()
    assert held == {name: [] if name in lost else [int(name[:2])] for name in held}
    assert len(held) == 40


def test_the_processes_of_a_program_that_is_killed_end_by_themselves() -> None:
    """Those of a prediction and of a gallery: else what they print to would never end."""
    program = (
        "import os, signal\n"
        "from datagym_async.look._thumbnails import _pool\n"
        "if __name__ == '__main__':\n"
        "    pool = _pool(2)\n"
        "    [each.result() for each in [pool.submit(os.getpid) for _ in range(20)]]\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False
    )
    assert ran.returncode == -9


def test_workers_that_end_as_they_start_are_no_fault_of_the_images(tmp_path: Path) -> None:
    """A program without the usual last line starts itself in each worker: that is said at once."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\n"
        "from datagym_async import TransferError\n"
        "from tests.helpers import models\n"
        "from tests.helpers.photos import jpeg\n"
        "from tests.helpers.world import SeedMedia, world\n"
        "async def run():\n"
        "    async with world(*(SeedMedia(f'{n}.jpg', jpeg(2000)) for n in range(40))) as here:\n"
        "        try:\n"
        "            options = {'processes': 2, 'client': models.patient_client}\n"
        "            await here.client.predict(here.project_id, models.boxes, **options)\n"
        "        except TransferError as error:\n"
        "            print(error, error.report)\n"
        "asyncio.run(run())\n"
    )
    ran = subprocess.run(
        [sys.executable, program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr
    assert 'below `if __name__ == "__main__":`; or use processes=0' in ran.stdout
    assert "0 stored, 40 left." in ran.stdout


@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (errno.ENOSYS, ConfigurationError),
        (errno.EROFS, ConfigurationError),
        (errno.EMFILE, OSError),  # of which the command line says what to do
    ],
)
def test_a_system_without_shared_memory_is_named(
    number: int, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some containers have none: the error says so, and what works there."""

    def refuse(*_: object) -> None:
        raise OSError(number, "no semaphores")

    monkeypatch.setattr(SpawnContext, "Lock", refuse)
    with pytest.raises(raised, match="no semaphores") as error:
        WorkerProcesses(1)
    assert ("ask for 0 processes" in str(error.value)) == (raised is ConfigurationError)


def test_nothing_is_left_of_a_pool_whose_worker_was_killed_while_another_was_started() -> None:
    """Python 3.11 forgets that one: it would wait for work, and the program for it."""
    pool = WorkerProcesses(2)
    os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
    with pytest.raises(BrokenExecutor):
        pool.submit(time.sleep, 60).result()
    # What `submit` does that asked just before the first was missed.
    late = pool.context.Process(target=time.sleep, args=(600,))
    late.start()
    pool.end()
    assert active_children() == []
