"""Jobs on a cluster of processes: workers die and come, and nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from datagym_async import ConfigurationError, DataGymClient
from datagym_async.distributed._cluster import Cluster, check_versions, versions
from datagym_async.distributed._jobs import WorkerActors
from datagym_async.exceptions import FileChangedError
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL"),
]


def run(program: str, where: Path | None = None) -> Any:
    """Return what a program of `tests.helpers.cluster_job` says; nothing of it is the token."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.helpers.cluster_job", program],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "WHERE": str(where)},
    )
    assert ran.returncode == 0, ran.stderr
    assert TOKEN not in ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def test_workers_die_and_come_and_each_image_has_its_prediction() -> None:
    """One is killed in mid-run, one is added, the service fails now and then."""
    found = run("predict")
    assert (found["killed"], found["added"]) == (True, True)
    assert (found["ok"], found["stored"], found["problems"]) == (True, 99, [])
    assert found["held"] == {f"{number:02}.jpg": [number] for number in range(99)}


def test_a_command_with_processes_is_quiet_beside_another_cluster(tmp_path: Path) -> None:
    """Dask warns that the port of its pages, for which nobody has asked, is taken."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg(3000))
    words = ["upload", "photos", "-d", "Photos", "--create", "--workers-local", "1", "--quiet"]
    with ServerThread(token=TOKEN) as thread, socket.socket() as other:
        with suppress(OSError):  # a cluster on this machine has it
            other.bind(("127.0.0.1", 8787))
            other.listen()
        ran = subprocess.run(
            [sys.executable, "-m", "datagym_async", *words],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            cwd=tmp_path,
            env={
                **os.environ,
                "DATAGYM_BASE_URL": thread.base_url,
                "DATAGYM_TOKEN": TOKEN,
                "DATAGYM_STATE_DIR": str(tmp_path / "state"),
            },
        )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_workers_die_and_come_and_each_image_is_uploaded_once(tmp_path: Path) -> None:
    """So is each downloaded; limits are those of the job, and the same upload finds all done."""
    found = run("upload", tmp_path)
    assert found == {
        "uploaded": 240,
        "failed": 0,
        "rejected": 0,
        "complete": True,
        "names": 240,
        "peak": found["peak"],
        "again": 240,
        "lost": 2,
        "held back": 240,
        "downloaded": 240,
        "equal": 240,
    }
    assert 1 < found["peak"] <= 6


def test_a_worker_without_a_token_takes_no_part_and_without_workers_a_job_ends(
    tmp_path: Path,
) -> None:
    """Who comes later and has no token costs no image; without any worker the job says so.

    Nor does one that comes later with another version: there is a check at no door alone.
    """
    found = run("left alone", tmp_path)
    assert found["uploaded"] == 120
    assert found["upload"].startswith("The upload stopped: The cluster has no workers")
    assert found["predict"].startswith("The prediction stopped: The cluster has no workers")
    assert "A worker has datagym_async 0.0.9 on Python " in found["outdated predict"]
    assert found["outdated upload"].startswith("The upload stopped: The cluster has no workers")


def test_a_cluster_that_cannot_be_used_is_refused() -> None:
    """No scheduler, something else, no worker, another version: each with a way out."""
    said = run("refused")
    assert len(said) == 7
    assert said["nobody"].startswith("No scheduler answers at tcp://127.0.0.1:9 (")
    assert "(it is not a scheduler); start one" in said["another"]
    assert "(it is not a scheduler); start one" in said["a web server"]
    assert said["nonsense"].startswith("No scheduler answers at nonsense://there (")
    assert "asynchronous=True" in said["no client"]
    assert said["no worker"].endswith("start one with `dask worker ADDRESS`")
    assert re.fullmatch(
        r"The worker \S+ has datagym_async 0\.0\.9 on Python (\S+), and the caller has \S+ on \1; "
        "install the same versions on both sides",
        said["version"],
    )


def test_a_scheduler_without_the_package_and_another_dask(caplog: pytest.LogCaptureFixture) -> None:
    """The scheduler reads what goes to the workers; where Dask alone differs, it is only told."""
    with pytest.raises(ConfigurationError, match=r"The scheduler cannot run .*No mod"):
        check_versions("The scheduler", ModuleNotFoundError("No module named 'datagym_async'"))
    check_versions("The worker w", (*versions()[:2], "2026.1.0"))
    assert "The worker w has Dask 2026.1.0, and the caller has " in caplog.text


async def test_what_a_worker_lacks_is_told_as_its_own() -> None:
    """A file that it does not see is there for whoever reads the report."""

    class Actor:
        async def exchange(self) -> FileChangedError:
            return FileChangedError("The file 'a.jpg' vanished")

    hands = WorkerActors(Cluster(None), DataGymClient, "http://here")
    hands._actors["tcp://w"], hands._looked = (Actor(), None), float("inf")
    with pytest.raises(FileChangedError, match=r"^On the worker tcp://w: The file 'a\.jpg' v"):
        await hands.ask("a.jpg", "exchange")
