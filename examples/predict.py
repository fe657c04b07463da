"""Find the bright blobs on images, and bring them into their tasks for people to correct; offline.

Run it with ``python examples/predict.py``: it starts the embedded server with a project of made
images, and predicts them with scikit-image's Laplacian of Gaussian. The run is stopped half-way and
called again: with its journal, it does what is left. It needs the extras ``server``, ``formats``,
``images`` and ``demo``. With your own project, leave out the server, and write ``DataGymClient()``:
the token is then taken from ``DATAGYM_TOKEN``.
"""

import asyncio
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.feature import blob_log

from datagym_async import DataGymClient
from datagym_async.data import Sample
from datagym_async.labels import Annotation, LabelConfig, Rectangle
from datagym_async.predict import PredictProgress
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server

IMAGES, SIDE, BLOBS = 60, 96, 4


def setup() -> dict[str, Any]:
    """Load what the model needs, once a process: here only its parameters."""
    return {"min_sigma": 3, "max_sigma": 8, "num_sigma": 6, "threshold": 0.15}


def model(samples: Sequence[Sample], parameters: dict[str, Any]) -> list[list[Annotation]]:
    """Return the boxes around the blobs of each image."""
    return [blobs_on(sample.data.mean(axis=2) / 255, parameters) for sample in samples]


def blobs_on(gray: np.ndarray[Any, Any], parameters: dict[str, Any]) -> list[Annotation]:
    found = []
    for y, x, sigma in blob_log(gray, **parameters):  # type: ignore[no-untyped-call]
        radius = sigma * 2**0.5
        left, top = max(x - radius, 0), max(y - radius, 0)
        width, height = min(2 * radius, SIDE - left), min(2 * radius, SIDE - top)
        found.append(Annotation("blob", Rectangle(left, top, width, height)))
    return found


async def run(client: DataGymClient, project_id: str, journal: Path) -> None:
    # The first run is stopped by a deadline, as a night's job would be.
    half_way = asyncio.Event()

    def note(progress: PredictProgress) -> None:
        if progress.settled >= IMAGES // 2:
            half_way.set()

    first = asyncio.create_task(
        client.predict(project_id, model, setup=setup, journal=journal, on_progress=note)
    )
    await half_way.wait()
    first.cancel()
    await asyncio.wait([first])

    # The same call again does what is left.
    report = await client.predict(project_id, model, setup=setup, journal=journal)
    print(report)
    if not report.ok:
        raise SystemExit(f"Some images have no prediction: {report.problems[:3]}")


def photo(seed: int) -> bytes:
    """Make a dark image with a few bright blobs, none near another."""
    random = np.random.default_rng(seed)
    ys, xs = np.mgrid[0:SIDE, 0:SIDE]
    gray = random.normal(20, 4, (SIDE, SIDE))
    for at in random.permutation(9)[:BLOBS]:
        y, x = 16 + 32 * (at // 3), 16 + 32 * (at % 3)
        gray += 200 * np.exp(-((ys - y) ** 2 + (xs - x) ** 2) / (2 * random.uniform(4, 7) ** 2))
    stream = io.BytesIO()
    Image.fromarray(np.clip(gray, 0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


async def main() -> None:
    media = [SeedMedia(f"{number:03}.png", photo(number)) for number in range(IMAGES)]
    seed = SeedProject("Blobs", datasets=[SeedDataset("Photos", media=media)])
    async with Server() as server, DataGymClient(server.token, server.base_url) as client:
        (project,) = await server.seed(seed)
        config = LabelConfig()
        config.add_rectangle("blob", "Blob")
        await client.label_configs.upload(project.label_configuration_id, config)
        with tempfile.TemporaryDirectory() as folder:
            await run(client, project.id, Path(folder, "predict.journal"))
        await client.tasks.complete_many(project.task_ids.values())
        export = await client.labels.export(project.id)
    found = sum(len(task.annotations) for task in export.tasks)
    print(f"{found} of {IMAGES * BLOBS} blobs were found and stored.")
    if abs(found - IMAGES * BLOBS) > IMAGES:
        raise SystemExit("The model has found nothing like it.")


if __name__ == "__main__":
    asyncio.run(main())
