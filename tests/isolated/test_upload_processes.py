"""Uploads in processes of their own: killed, started twice, and amid chaos, at a small scale."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import chaos
from datagym_async.server import SeedDataset, SeedMedia, Server
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import Gate, ServerThread

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run_chaos(*arguments: str, figures: Path) -> dict[str, object]:
    """Run the chaos benchmark and return what it found."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", *arguments, "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(figures.read_text(encoding="utf-8"))
    return found


def test_an_upload_killed_again_and_again_ends_with_everything_once(tmp_path: Path) -> None:
    """SIGKILL at five requests that the seed chooses: nothing is lost, doubled or cut."""
    found = run_chaos("--files", "120", "--kills", "5", figures=tmp_path / "figures.json")

    assert (found["kills"], found["runs"]) == (5, 6)
    assert (found["held"], found["lost"], found["doubled"], found["differing"]) == (120, 0, 0, 0)


def test_a_job_of_all_kinds_killed_again_and_again_ends_with_everything_once(
    tmp_path: Path,
) -> None:
    """Decomposed names, prepared images and links: held as if nothing had happened."""
    pytest.importorskip("PIL")
    arguments = ("--mixed", "--files", "50", "--kills", "4")
    found = run_chaos(*arguments, figures=tmp_path / "figures.json")

    assert (found["kills"], found["runs"]) == (4, 5)
    assert (found["held"], found["lost"], found["doubled"], found["differing"]) == (60, 0, 0, 0)


def test_an_upload_amid_chaos_ends_with_everything_once(tmp_path: Path) -> None:
    """One exchange in twenty goes wrong in one of many ways: nothing is lost, doubled or cut."""
    found = run_chaos("--files", "300", "--faults", "0.05", figures=tmp_path / "figures.json")

    assert found["faults"]
    assert (found["held"], found["lost"], found["doubled"], found["differing"]) == (300, 0, 0, 0)


def start(server: ServerThread, folder: Path, dataset_id: str) -> subprocess.Popen[str]:
    """Begin to upload a folder in a process of its own, with the journal beside the folder."""
    journal = folder.with_name("upload.journal")
    where = (str(folder), server.base_url, dataset_id, str(journal))
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.chaos_job", *where],
        cwd=ROOT,
        env=os.environ | {"DATAGYM_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_second_process_on_a_journal_says_so_and_stops(tmp_path: Path) -> None:
    """The first one ends as if it had been alone, and every image is held once."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.jpg").write_bytes(jpeg(2_000, seed=number))
    gate = Gate()
    with ServerThread(token=TOKEN, middlewares=(gate.middleware,)) as server:
        gate.hold_from(5)
        (dataset,) = server.call(server.server.seed_datasets(SeedDataset("Photos")))
        with start(server, folder, dataset.id) as first:
            assert gate.reached.wait(100)
            with start(server, folder, dataset.id) as second:
                said, _ = second.communicate(timeout=100)
            server.call(gate.release())
            report, _ = first.communicate(timeout=100)

    assert second.returncode == 1
    assert "Another upload is using" in said
    assert first.returncode == 0
    counts = json.loads(report)
    assert (counts["uploaded"], counts["complete"]) == (20, True)


async def test_chaos_would_be_noticed(tmp_path: Path) -> None:
    """The benchmark finds what is lost, doubled and different, or its praise would mean nothing."""
    async with Server(tmp_path / "service") as server:
        good, other = jpeg(2_000, seed=1), jpeg(2_000, seed=2)
        media = [SeedMedia(name, content=good) for name in ("a.jpg", "a.jpg", "b.jpg")]
        (dataset,) = await server.seed_datasets(SeedDataset("Photos", media=tuple(media)))
        hashes = {"a.jpg": chaos.digest(good), "b.jpg": chaos.digest(other), "c.jpg": b""}

        held = await asyncio.wait_for(chaos.look(server, dataset.id, hashes), 30)

    assert held == chaos.Held(held=2, lost=1, doubled=1, differing=1)
