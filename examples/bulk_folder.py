"""Upload a folder, stop on the way, and go on; offline, against the embedded server.

Run it with ``python examples/bulk_folder.py [FOLDER]``; it needs the extra ``server``. To upload to
your own account, leave the server out and write ``DataGymClient()``: the token is then taken from
``DATAGYM_TOKEN``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import attrs
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


async def upload(client: DataGymClient, folder: Path, journal: Path) -> None:
    dataset = await client.datasets.create("Photos 2026", exist_ok=True)
    # Files in different subfolders may share a name, so they are named by their path. Datasets
    # stay fast while they are small, so what does not fit goes into "Photos 2026 2" and so on.
    config = UploadConfig(name="relative", journal=journal, max_per_dataset=25)

    # As if somebody had closed the laptop after ten files: the run ends before its end.
    first = attrs.evolve(config, max_files=10)
    async with client.uploader(dataset.id, folder, config=first) as run:
        async for result in run:  # in the order in which they finish
            if result.is_problem:
                print(f"{result.outcome}: {result.source}: {result.reason}")
    print(run.report)

    # The same again goes on: what the journal knows as done is neither read nor sent again.
    report = await client.upload(dataset.id, folder, config=config)
    print(report)
    print(f"{report.resumed} were done by the first run.")
    for share in report.datasets:
        print(f"{share.name}: {share.uploaded} uploaded by this run.")


async def main(folder: Path, journal: Path) -> None:
    async with Server() as server, DataGymClient(server.token, server.base_url) as client:
        await upload(client, folder, journal)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        photos = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary) / "photos"
        if len(sys.argv) == 1:
            make_photos(photos)
        # The server forgets all at its end, and so does the journal; usually it would stay.
        asyncio.run(main(photos, Path(temporary) / "upload.journal"))
