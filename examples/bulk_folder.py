"""Upload a folder into a dataset and look at every result; offline, against the embedded server.

Run it with ``python examples/bulk_folder.py [FOLDER]``; it needs the extra ``server``. To upload to
your own account, leave the server out and write ``DataGymClient()``: the token is then taken from
``DATAGYM_TOKEN``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from PIL import Image

from datagym_async import DataGymClient, UploadConfig
from datagym_async.server import Server


def make_photos(folder: Path, count: int = 40) -> None:
    """Make something to upload: JPEG files in two subfolders, and one file that is no image."""
    for number in range(count):
        path = folder / ("left" if number % 2 else "right") / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (number * 5 % 256, 80, 160)).save(path)
    (folder / "notes.jpg").write_text("not an image, whatever its name says")


async def upload(client: DataGymClient, folder: Path) -> None:
    dataset = await client.datasets.create("Photos 2026", exist_ok=True)
    # Files in different subfolders may share a name, so they are named by their path.
    config = UploadConfig(concurrency=8, name="relative")

    async with client.uploader(dataset.id, folder, config=config) as run:
        async for result in run:  # in the order in which they finish
            if result.is_problem:
                print(f"{result.outcome}: {result.source}: {result.reason}")
    print(run.report.summary())

    # Again: what the dataset holds is skipped, so that a run may be interrupted at any time.
    report = await client.upload(dataset.id, folder, config=config)
    print(f"Second run: {report.uploaded} uploaded, {report.skipped} skipped.")


async def main(folder: Path) -> None:
    async with Server() as server, DataGymClient(server.token, server.base_url) as client:
        await upload(client, folder)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            make_photos(Path(temporary))
            asyncio.run(main(Path(temporary)))
