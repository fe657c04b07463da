"""kill -9 in the midst of writing: the next run ends with no file of ours beside the target.

And the modes of what is left in the end: ours is private, what was asked for is as the umask says.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async import DownloadConfig, UploadConfig
from datagym_async.labels import Annotation, Segmentation
from datagym_async.server import SeedMedia
from datagym_async.uploads.plan import jobs_folder
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from datagym_async import DataGymClient
    from datagym_async.data import Sample

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="modes and signals are of another kind there"),
]

KINDS = ("json", "jsonl", "coco", "yolo", "bitmaps", "backup")
SCRIPT = """
import asyncio, os, signal, sys
from datagym_async import DataGymClient, _files
from tests.isolated.test_files_left import write

def killed(self):
    os.kill(os.getpid(), signal.SIGKILL)

async def main(kind, base_url, token, project, target):
    owner = _files.FolderPart if kind == "yolo" else _files.Part
    owner.put = killed
    async with DataGymClient(token, base_url, rate_limit=None) as client:
        await write(client, kind, project, target)

asyncio.run(main(*sys.argv[1:]))
"""


async def write(client: DataGymClient, kind: str, project_id: str, target: str) -> None:
    """Write the labels of a project in one of the ways there are."""
    if kind == "bitmaps":
        await client.download_bitmaps(project_id, target, concurrency=1)
    elif kind == "backup":
        await client.label_configs.backup(project_id, target)
    else:
        await client.export_labels(project_id, target, kind)  # type: ignore[arg-type]


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Give a project with a segment on each of its images."""
    names = ("a.jpg", "b.jpg")
    async with world(*(SeedMedia(name, jpeg(2000)) for name in names)) as made:
        client, tasks = made.client, made.project.task_ids
        entry = {"entryKey": "seg", "entryValue": "seg", "type": "IMAGE_SEGMENTATION"}
        await client.label_configs.upload(made.project.label_configuration_id, [entry])
        segment = Annotation("seg", Segmentation([[(2, 2), (40, 2), (40, 40)]]))
        for name in names:
            await client.values.write(tasks[name], [segment])
        await client.tasks.complete_many(list(tasks.values()))
        yield made


@pytest.mark.parametrize("kind", KINDS)
async def test_a_killed_run_leaves_nothing_once_the_next_has_ended(
    here: World, tmp_path: Path, kind: str
) -> None:
    """Whatever is written: the part of the killed one is beside the target, and then is not."""
    target = tmp_path / "out"
    words = (kind, here.client.base_url, here.server.token, here.project_id, str(target))
    for _ in range(2):
        killed = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, *words)
        assert await killed.wait() == -signal.SIGKILL
    assert parts_in(tmp_path) != []

    await write(here.client, kind, here.project_id, str(target))

    assert parts_in(tmp_path) == []
    assert target.exists()


def parts_in(folder: Path) -> list[str]:
    """Return what is hidden in a folder or below."""
    return [str(each) for each in folder.rglob("*") if each.name.startswith(".")]


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set the umask of the process for a test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


async def test_files_of_ours_are_private_and_what_was_asked_for_is_not(
    here: World, tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journals with what SQLite keeps beside them, manifests, reports, caches, backups."""
    state, photos, client = tmp_path / "state", tmp_path / "photos", here.client
    monkeypatch.setenv("DATAGYM_STATE_DIR", str(state))
    photos.mkdir()
    (photos / "new.jpg").write_bytes(jpeg(2000, seed=9))
    ours, seen = [state], []
    config = UploadConfig(journal=True)
    async with client.uploader(here.dataset_id, photos, config=config) as run:
        async for _ in run:
            seen += [(each.name, mode_of(each)) for each in jobs_folder().iterdir()]
        await asyncio.to_thread(run.report.to_json, tmp_path / "report.json")
        await asyncio.to_thread(run.report.to_csv, tmp_path / "report.csv")
    out = tmp_path / "out"
    config_of = DownloadConfig(labels=("json", "coco"), project_id=here.project_id)
    await client.download_dataset(here.dataset_id, out, config=config_of)
    await client.label_configs.backup(here.project_id, tmp_path / "backups")
    async with client.loader(here.dataset_id, cache=tmp_path / "cache") as loader:
        async for _ in loader:
            pass
    await client.export_labels(here.project_id, tmp_path / "labels.json")
    journal = tmp_path / "predict.journal"
    await client.predict(here.project_id, nothing, journal=journal, decode="bytes", states="all")

    assert {name.rpartition("-")[2] for name, _ in seen} >= {"shm", "wal"}
    assert {mode for _, mode in seen} == {0o600}
    ours += [tmp_path / "report.json", tmp_path / "report.csv", out / ".datagym"]
    ours += list(tmp_path.glob("*predict.journal*"))
    ours += [out / "manifest.jsonl", out / "manifest.csv", tmp_path / "backups", tmp_path / "cache"]
    for top in (state, out / ".datagym", tmp_path / "backups", tmp_path / "cache"):
        ours += list(top.rglob("*"))
    assert len(ours) > 15
    assert journal in ours
    for each in ours:
        assert mode_of(each) == (0o700 if each.is_dir() else 0o600), each
    asked = [out / "a.jpg", out / "labels.json", out / "labels.coco.json", tmp_path / "labels.json"]
    assert {mode_of(each) for each in asked} == {0o666 & ~umask}
    assert mode_of(out) == 0o777 & ~umask


def nothing(samples: Sequence[Sample]) -> list[None]:
    """Predict nothing, as a model may."""
    return [None for _ in samples]


def mode_of(path: Path) -> int:
    """Return who may do what with a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)
