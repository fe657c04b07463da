"""Downloads in processes of their own: killed again and again, and started twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datagym_async.server import SeedDataset, SeedMedia
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import Gate, ServerThread

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
JOB = (sys.executable, "-m", "benchmarks.chaos_download")


def test_a_download_killed_again_and_again_is_equal_byte_for_byte(tmp_path: Path) -> None:
    """SIGKILL at four moments that the seed chooses: nothing is lost, cut or left over."""
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [*JOB, "--files", "240", "--kills", "4", "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert (found["equal"], found["lost"], found["differing"], found["left_over"]) == (240, 0, 0, 0)
    assert (found["kills"], found["runs"]) == (4, 5)


def start(server: ServerThread, folder: Path, dataset_id: str) -> subprocess.Popen[str]:
    """Begin to download in a process of its own."""
    return subprocess.Popen(
        [*JOB, "--job", str(folder), server.base_url, dataset_id],
        cwd=ROOT,
        env=os.environ | {"DATAGYM_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_second_process_in_a_folder_says_so_and_stops(tmp_path: Path) -> None:
    """The first one ends as if it had been alone."""
    gate = Gate()
    gate.hold_from(1, r"/media/")
    media = [SeedMedia(f"{number}.jpg", jpeg(2_000, seed=number)) for number in range(20)]
    with ServerThread(token=TOKEN, middlewares=(gate.middleware,)) as server:
        (dataset,) = server.call(server.server.seed_datasets(SeedDataset("Photos", media)))
        with start(server, tmp_path, dataset.id) as first:
            try:
                assert gate.reached.wait(timeout=60)
                with start(server, tmp_path, dataset.id) as second:
                    said, _ = second.communicate(timeout=60)
            finally:
                server.call(gate.release())
            report, _ = first.communicate(timeout=60)

    assert second.returncode == 1
    assert "Another download is writing" in said
    assert (first.returncode, json.loads(report)["downloaded"]) == (0, 20)
