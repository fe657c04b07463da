"""Let people label only what a model is least sure of; offline, in seconds.

Run it with ``python examples/active_learning.py``: it starts the embedded server with a project of
small images, a few of them labelled. Then, round by round: export what people have labelled, train,
list the tasks that are open, predict, import the predictions for people to see, and ask people for
those that the model is least sure of. It needs the extras ``server`` and ``formats``. With your own
project, leave out the server and those who stand in for people, and write ``DataGymClient()``: the
token is then taken from ``DATAGYM_TOKEN``.
"""

import asyncio
import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datagym_async import DataGymClient, TaskState
from datagym_async.data import Sample
from datagym_async.labels import Classification, LabelConfig, LabeledImage
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server

Floats = NDArray[np.float64]

KEYS = ["dark", "medium", "bright"]
OPEN = [TaskState.BACKLOG, TaskState.WAITING, TaskState.WAITING_CHANGED, TaskState.IN_PROGRESS]
ROUNDS, ASKED = 3, 6


def brightness(sample: Sample) -> tuple[str, float]:
    """Return an image's id and the one number that this model looks at."""
    return sample.media.id, float(sample.data.mean()) / 255


class Model:
    """Class means of one number: probabilities fall with the distance from each."""

    def __init__(self, known: dict[str, str], seen: dict[str, float]) -> None:
        self.means = np.array(
            [np.mean([seen[each] for each in known if known[each] == key]) for key in KEYS]
        )

    def probabilities(self, number: float) -> Floats:
        weights = np.exp(-(((number - self.means) / 0.08) ** 2) / 2) + 1e-9
        return np.asarray(weights / weights.sum())


async def run(client: DataGymClient, project_id: str, people: "People") -> float:
    pairs = client.loader(project_id=project_id, labels=False, decode="numpy", transform=brightness)
    seen = dict([pair async for pair in pairs])
    model = await trained(client, project_id, seen)

    for number in range(1, ROUNDS + 1):
        # List what is open, and predict it.
        tasks = await client.tasks.list(project_id, state=OPEN)
        found = {task.media_id: model.probabilities(seen[task.media_id]) for task in tasks}

        # Import the predictions: people see them when they open the task, and need only correct.
        predictions = [image_of(media_id, KEYS[p.argmax()]) for media_id, p in found.items()]
        report = await client.labels.import_predictions(project_id, predictions, keep_data=False)

        # Ask people for those that the model is least sure of, and learn from them.
        least_sure = sorted(found, key=lambda media_id: found[media_id].max())[:ASKED]
        await people.label(least_sure)
        model = await trained(client, project_id, seen)
        sure = np.mean([found[media_id].max() for media_id in least_sure])
        print(
            f"round {number}: {report.stored} predicted, people asked for {len(least_sure)}, of "
            f"which the model was {sure:.0%} sure"
        )

    return sum(guess(model, seen[each]) == people.truth[each] for each in seen) / len(seen)


async def trained(client: DataGymClient, project_id: str, seen: dict[str, float]) -> Model:
    """Export what people have said, and train on that and nothing else."""
    export = await client.labels.export(project_id)
    known = {
        task.media_id: answer.value
        for task in export.tasks
        if (answer := task.classification("light")) and answer.value
    }
    return Model(known, seen)


def guess(model: Model, number: float) -> str:
    return KEYS[model.probabilities(number).argmax()]


def image_of(media_id: str, key: str) -> LabeledImage:
    return LabeledImage(media_id=media_id, classifications=[Classification.select("light", key)])


class People:
    """Stand in for the people who open a task, correct what is there, and review it."""

    def __init__(
        self, server: Server, client: DataGymClient, project: SeededProject, truth: dict[str, str]
    ) -> None:
        self.server, self.client, self.project, self.truth = server, client, project, truth

    async def label(self, media_ids: Iterable[str]) -> None:
        ids = set(media_ids)
        images = [image_of(media_id, self.truth[media_id]) for media_id in ids]
        await self.client.labels.import_predictions(self.project.id, images, keep_data=False)
        for task in await self.client.tasks.list(self.project.id, state="all"):
            if task.media_id in ids:
                await self.server.set_task_state(task.id, "REVIEWED")


def photo(level: float, *, seed: int) -> bytes:
    """Make a small gray image of about a brightness."""
    noise = np.random.default_rng(seed).normal(0, 30, (12, 12))
    stream = io.BytesIO()
    Image.fromarray(np.clip(level + noise, 0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


async def make_project(server: Server, client: DataGymClient, count: int = 60) -> People:
    """Make a project of which people know more than they have labelled."""
    levels = np.random.default_rng(3).uniform(20, 235, count)
    media = [SeedMedia(f"{n:02}.png", photo(level, seed=n)) for n, level in enumerate(levels)]
    seed = SeedProject("Light", datasets=[SeedDataset("Photos", media=media)])
    (project,) = await server.seed(seed)
    config = LabelConfig()
    config.add_select("light", "Light", {key: key.title() for key in KEYS})
    await client.label_configs.upload(project.label_configuration_id, config)
    names = {each.name: KEYS[int(level // 80)] for each, level in zip(media, levels, strict=True)}
    stored = (await client.datasets.get(project.datasets[0].id)).media
    people = People(server, client, project, {each.id: names[each.name] for each in stored})
    first = [next(each for each, key in people.truth.items() if key == wanted) for wanted in KEYS]
    await people.label(first)
    return people


async def main() -> None:
    async with Server() as server, DataGymClient(server.token, server.base_url) as client:
        people = await make_project(server, client)
        share = await run(client, people.project.id, people)
    print(f"{share:.0%} are right, with {len(KEYS) + ROUNDS * ASKED} labels of people.")
    if share < 0.8:
        raise SystemExit("The model has learned nothing.")


if __name__ == "__main__":
    asyncio.run(main())
