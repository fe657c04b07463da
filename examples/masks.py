"""Masks with holes onto images, and back as PNG files and arrays; offline.

Run it with ``python examples/masks.py``: it starts the embedded server and needs ``server`` and
numpy. In your own code leave the server out and write ``DataGymClient()``: the token is then taken
from ``DATAGYM_TOKEN``.
"""

import asyncio
import io
import tempfile

from PIL import Image

from datagym_async import DataGymClient
from datagym_async.labels import Annotation, LabelConfig, LabeledImage, Segmentation
from datagym_async.server import SeedProject, Server

WIDTH, HEIGHT = 320, 240


def photo(shade: int) -> bytes:
    """Make an image; yours lie on a disk."""
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (shade, 120, 80)).save(buffer, "JPEG")
    return buffer.getvalue()


def ring(left: float, top: float, side: float) -> list[tuple[float, float]]:
    """Return a square; yours come from a model."""
    return [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]


async def main() -> None:
    async with Server() as server:
        (project,) = await server.seed(SeedProject("Roads"))
        async with DataGymClient(server.token, server.base_url) as client:
            dataset = await client.datasets.create("Photos")
            await client.projects.add_dataset(project.id, dataset.id)
            for n in range(4):
                await client.media.upload_file(dataset.id, photo(60 * n), name=f"{n}.jpg")
            config = LabelConfig()
            config.add_image_segmentation("road", "Road")
            await client.label_configs.upload(project.label_configuration_id, config)
            await draw(client, project.id)
            await fetch(client, project.id)


async def draw(client: DataGymClient, project_id: str) -> None:
    """Write what an import cannot, and complete the tasks; what fails is named."""
    tasks = await client.tasks.list(project_id, state="all")
    for n, task in enumerate(tasks):
        segment = Segmentation([ring(20 + n, 20, 180.5), ring(60, 60, 40), ring(120, 120, 30.25)])
        labels = LabeledImage(annotations=[Annotation("road", segment)])
        report = await client.values.write(task.id, labels)
        if not report.ok:
            raise SystemExit(f"{task.media_name}: {report.problems}")
    done = await client.tasks.complete_many(task.id for task in tasks)
    print(f"{done.done} of {len(tasks)} tasks are completed.")


async def fetch(client: DataGymClient, project_id: str) -> None:
    """Bring the masks to files, once, and to arrays."""
    with tempfile.TemporaryDirectory() as folder:
        for attempt in ("first", "second"):
            report = await client.download_bitmaps(project_id, folder)
            files = sorted(result.path.name for result in report.results)
            print(f"The {attempt} run: {dict(report.counts)}, {', '.join(files)}")
    async with client.bitmaps(project_id, keys="road") as stream:
        async for bitmap, mask in stream:
            share = (mask > 0).mean()
            if mask.shape != (HEIGHT, WIDTH) or not 0.3 < share < 0.5:
                raise SystemExit(f"{bitmap.media_name}: {mask.shape}, {share:.0%} of it road")
            print(f"{bitmap.media_name}: {share:.1%} road")


if __name__ == "__main__":
    asyncio.run(main())
