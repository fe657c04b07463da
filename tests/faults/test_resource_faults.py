"""Resources when the answer is lost although the service did what was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest

from datagym_async import DataGymClient, RetryPolicy
from datagym_async.exceptions import APIError
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server
from datagym_async.testing import CommitThenDrop, DropMidBody, FaultPlan, WrongShape
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

PHOTO = jpeg(4000)
QUICK = RetryPolicy(initial_delay=0.01, max_delay=0.02, settle_after=0.01)
ENTRIES = [{"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"}]


@attrs.frozen
class World:
    client: DataGymClient
    project: SeededProject
    plan: FaultPlan

    @property
    def dataset_id(self) -> str:
        return self.project.datasets[0].id


@pytest.fixture
async def world() -> AsyncIterator[World]:
    plan = FaultPlan()
    async with Server(token=TOKEN, middlewares=[plan.middleware]) as server:
        dataset = SeedDataset("Day", media=(SeedMedia("old.jpg", content=PHOTO),))
        (project,) = await server.seed(SeedProject("Streets", datasets=(dataset,)))
        async with DataGymClient(TOKEN, server.base_url, retry=QUICK) as client:
            yield World(client, project, plan)


async def test_an_upload_is_not_doubled(world: World) -> None:
    """The media is found by its name, and sent once."""
    world.plan.add(CommitThenDrop(), method="POST", path="/file$", first=1)
    media = await world.client.media.upload_file(world.dataset_id, PHOTO, name="täst.jpg")
    listed = (await world.client.datasets.get(world.dataset_id)).media
    assert [found.id for found in listed if found.name == "täst.jpg"] == [media.id]
    assert world.plan.count("POST", "/file$") == 1


async def test_a_dataset_is_not_doubled(world: World) -> None:
    """The dataset is found by its name, and created once."""
    world.plan.add(CommitThenDrop(), method="POST", path="/dataset$", first=1)
    created = await world.client.datasets.create("Night")
    listed = await world.client.datasets.list()
    assert [dataset.id for dataset in listed if dataset.name == "Night"] == [created.id]
    assert world.plan.count("POST", "/dataset$") == 1


async def test_urls_are_sent_again(world: World) -> None:
    """A repetition answers DUPLICATE for what the first attempt stored; nothing is doubled."""
    world.plan.add(CommitThenDrop(), method="POST", path="/url$", first=1)
    await world.client.media.upload_urls(world.dataset_id, ["https://a.test/a.jpg"])
    listed = (await world.client.datasets.get(world.dataset_id)).media
    assert [media.name for media in listed].count("a.jpg") == 1


async def test_done_already_is_done(world: World) -> None:
    """Attaching and detaching survive a lost answer."""
    client, project_id = world.client, world.project.id
    created = await client.datasets.create("Night")
    world.plan.add(CommitThenDrop(), method="POST", path="/project/", first=1)
    world.plan.add(CommitThenDrop(), method="DELETE", path="/remove$", first=1)
    await client.projects.add_dataset(project_id, created.id)
    await client.projects.remove_dataset(project_id, created.id)
    (project,) = await client.projects.list()
    assert [dataset.name for dataset in project.datasets] == ["Day"]


async def test_a_replaced_configuration_is_stored_once(world: World) -> None:
    """Whoever repeats the lost request, no entry is stored twice and the answer is complete."""
    world.plan.add(CommitThenDrop(), method="PUT", path="/config/", first=1)
    config = await world.client.label_configs.upload(
        world.project.label_configuration_id, ENTRIES, replace=True
    )
    (task,) = world.project.task_ids.values()
    detail = await world.client.tasks.get(task)
    assert [entry.key for entry in config.entries] == ["car"]
    assert [entry.id for entry in detail.label_config.entries] == [config.entries[0].id]


async def test_a_broken_download_leaves_nothing(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Half an image is an error, and no file."""
    world.plan.add(DropMidBody(), method="GET", path="/media/")
    folder = tmp_path_factory.mktemp("out")
    media_id = world.project.datasets[0].media_ids["old.jpg"]
    with pytest.raises(APIError):
        await world.client.media.download_to(media_id, folder / "a.jpg")
    assert list(folder.iterdir()) == []


async def test_an_answer_of_another_shape_is_said(world: World) -> None:
    """A good status with a wrong body is one typed error."""
    world.plan.add(WrongShape(), path="/dataset/")
    with pytest.raises(APIError, match="not as expected"):
        await world.client.datasets.get(world.dataset_id)
