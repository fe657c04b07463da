"""Locks after a fork: a process that was forked in between keeps nobody from what was locked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.helpers.python import printed_by

SCRIPT = """
import asyncio, os, sys
from pathlib import Path
from datagym_async import DataGymClient, UploadConfig
from datagym_async._locks import LockFile, lock
from datagym_async.server import SeedDataset, SeedProject, Server
from tests.helpers.photos import jpeg

home = Path(sys.argv[1])
(photos := home / "photos").mkdir()
for number in range(5):
    (photos / f"{number}.jpg").write_bytes(jpeg(2000, seed=number))


def client_of(server):
    return DataGymClient(server.token, server.base_url)


async def main():
    config = UploadConfig(journal=home / "a.journal")
    async with Server(home / "service") as server, client_of(server) as client:
        (project,) = await server.seed(SeedProject("P", datasets=[SeedDataset("D")]))
        dataset_id = project.datasets[0].id
        await client.upload(dataset_id, photos / "0.jpg")
        async with (
            client.uploader(dataset_id, photos, config=config) as upload,
            client.downloader(dataset_id, home / "out") as download,
        ):
            with LockFile(home / "lock") as file:
                print(lock(file.fileno()))
                ends, goes_on = os.pipe()
                if not (child := os.fork()):
                    os.close(goes_on)
                    os.read(ends, 1)  # until the parent goes on, or has ended
                    os._exit(0)
            print((await upload.finish()).complete, (await download.finish()).complete)

        # All of it again, while the other process lives.
        report = await client.upload(dataset_id, photos, config=config)
        print(report.skipped, report.uploaded)
        print((await client.download_dataset(dataset_id, home / "out")).complete)
        with LockFile(home / "lock") as file:
            print(lock(file.fileno()))
    async with Server(home / "service") as server, client_of(server) as client:
        print(len((await client.datasets.get(dataset_id)).media))
    print(os.waitpid(child, os.WNOHANG) == (0, 0))
    os.close(goes_on)
    os.waitpid(child, 0)


asyncio.run(main())
"""

WHILE_DECODING = """
import os, signal
from types import SimpleNamespace
from datagym_async._runs._images import in_turn

large = SimpleNamespace(format="PNG", width=9000, height=9000, info={})
with in_turn(large):
    if not (child := os.fork()):
        signal.alarm(30)  # ends it
        with in_turn(large):
            os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows"),
]


def test_a_process_that_was_forked_keeps_no_lock(tmp_path: Path) -> None:
    """Such as a worker of a pool, which lives on: journal, folder and server are free at once."""
    words = printed_by("-c", SCRIPT, tmp_path).split()
    assert words == ["True"] * 3 + ["5", "0", "True", "True", "5", "True"]


def test_large_images_are_decoded_in_a_process_that_was_forked_meanwhile() -> None:
    """One at a time there, too, and not after one of the parent that ends elsewhere."""
    assert printed_by("-c", WHILE_DECODING).split() == ["7"]
