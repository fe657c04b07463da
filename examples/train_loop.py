"""Train on a dataset as it streams in, stop in the middle, and go on; offline, in seconds.

Run it with ``python examples/train_loop.py``: it starts the embedded server, puts small labelled
images into a project and trains a softmax regression on them with numpy; it needs the extras
``server`` and ``formats``. To train on your own project, leave the server out and write
``DataGymClient()``: the token is then taken from ``DATAGYM_TOKEN``.
"""

import asyncio
import io
import json
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datagym_async import DataGymClient
from datagym_async.data import DatasetLoader, Sample
from datagym_async.labels import Classification, LabelConfig, LabeledImage
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server

Floats = NDArray[np.float64]

COLOURS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}
KEYS = list(COLOURS)


class Model:
    """A softmax regression from 12 numbers of an image to a colour."""

    def __init__(self) -> None:
        self.weights = np.zeros((13, len(KEYS)))

    def probabilities(self, features: Floats) -> Floats:
        scores = features @ self.weights
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))

    def step(self, features: Floats, targets: NDArray[np.int64], rate: float = 0.5) -> float:
        """Take one step down the gradient, and return the loss before it."""
        found = self.probabilities(features)
        wanted = np.eye(len(KEYS))[targets]
        self.weights -= rate * features.T @ (found - wanted) / len(targets)
        return float(-np.log(found[wanted == 1]).mean())


def prepare(sample: Sample) -> tuple[Floats, int]:
    """Turn an image into the mean colours of its quarters; runs in a thread, beside the loading."""
    height, width, _ = sample.data.shape
    quarters = sample.data.reshape(2, height // 2, 2, width // 2, 3).mean(axis=(1, 3))
    labels = sample.labels
    answer = labels.classification("colour") if labels else None
    key = answer.value if answer and answer.value else ""
    return np.append(quarters.ravel() / 255 - 0.5, 1.0), KEYS.index(key)


def batches_of(
    client: DataGymClient, project_id: str, shard: tuple[int, int] = (0, 1)
) -> DatasetLoader[tuple[tuple[Floats, int], ...]]:
    """Return batches of one shard; the seed is the same for all, each epoch is shuffled anew."""
    return client.loader(
        project_id=project_id,
        decode="numpy",
        transform=prepare,
        batch_size=16,
        shuffle=7,
        shard=shard,
    )


def step(model: Model, batch: tuple[tuple[Floats, int], ...]) -> float:
    features, targets = zip(*batch, strict=True)
    return model.step(np.stack(features), np.array(targets))


async def train_and_stop(client: DataGymClient, project_id: str) -> str:
    """Train until the machine goes down in the midst of the second epoch; return the checkpoint."""
    model, steps = Model(), 0
    async with batches_of(client, project_id) as loader:
        while True:
            async for batch in loader:  # one epoch
                loss = step(model, batch)
                steps += 1
                if steps == 10:
                    print(f"stopped after {steps} batches, in {loader}; loss {loss:.3f}")
                    state = {"loader": loader.state_dict(), "weights": model.weights.tolist()}
                    return json.dumps(state)


async def go_on(client: DataGymClient, project_id: str, checkpoint: str) -> Model:
    """Train to the end of the third epoch, as two shards: each begins at its very next sample."""
    saved, model = json.loads(checkpoint), Model()
    model.weights = np.array(saved["weights"])
    for shard in range(2):
        async with batches_of(client, project_id, (shard, 2)) as loader:
            await loader.load_state_dict(saved["loader"])
            while loader.epoch < 3:
                losses = [step(model, batch) async for batch in loader]
                print(f"shard {shard}: {len(losses)} batches; loss {losses[-1]:.3f}")
    return model


async def accuracy(client: DataGymClient, project_id: str, model: Model) -> float:
    pairs = client.loader(project_id=project_id, decode="numpy", transform=prepare)
    right = [
        int(model.probabilities(features[None]).argmax()) == target
        async for features, target in pairs
    ]
    return sum(right) / len(right)


def photo(colour: str, *, seed: int) -> bytes:
    """Make a small image of about a colour."""
    noise = np.random.default_rng(seed).normal(0, 40, (16, 16, 3))
    stream = io.BytesIO()
    pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


async def make_project(server: Server, client: DataGymClient, count: int = 120) -> str:
    """Make a project in which people have said of each image which colour it has."""
    colours = random.Random(1).choices(KEYS, k=count)
    media = [
        SeedMedia(f"{number:03}.png", photo(colour, seed=number))
        for number, colour in enumerate(colours)
    ]
    seed = SeedProject("Colours", datasets=[SeedDataset("Photos", media=media)])
    (project,) = await server.seed(seed)
    config = LabelConfig()
    config.add_select("colour", "Colour", {key: key.title() for key in KEYS})
    await client.label_configs.upload(project.label_configuration_id, config)
    await label(server, client, project, dict(zip((m.name for m in media), colours, strict=True)))
    return project.id


async def label(
    server: Server, client: DataGymClient, project: SeededProject, colours: dict[str, str]
) -> None:
    """Stand in for the people who label and review."""
    media = (await client.datasets.get(project.datasets[0].id)).media
    images = [
        LabeledImage(
            media_id=each.id, classifications=[Classification.select("colour", colours[each.name])]
        )
        for each in media
    ]
    await client.labels.import_predictions(project.id, images, keep_data=False)
    for task_id in project.task_ids.values():
        await server.set_task_state(task_id, "REVIEWED")


async def main() -> None:
    async with Server() as server, DataGymClient(server.token, server.base_url) as client:
        project_id = await make_project(server, client)
        checkpoint = await train_and_stop(client, project_id)
        model = await go_on(client, project_id, checkpoint)
        share = await accuracy(client, project_id, model)
    print(f"{share:.0%} of the colours are right.")
    if share < 0.9:
        raise SystemExit("The model has learned nothing.")


if __name__ == "__main__":
    asyncio.run(main())
