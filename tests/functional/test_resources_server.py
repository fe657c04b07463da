"""Every resource against the embedded service, in both generations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from datagym_async import DataGymClient
from datagym_async.exceptions import AlreadyExistsError, BadRequestError, ServiceUnavailableError
from datagym_async.labels import Point, Rectangle
from datagym_async.models import TaskState, UrlStatus
from datagym_async.server import (
    SeedDataset,
    SeededProject,
    SeedMedia,
    SeedProject,
    SeedVideo,
    Server,
)
from tests.helpers.photos import gif, jpeg, png
from tests.helpers.sentinel import TOKEN

ENTRIES = [
    {"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"},
    {"entryKey": "lane", "entryValue": "Lane", "type": "LINE"},
    {"entryKey": "road", "entryValue": "Road", "type": "IMAGE_SEGMENTATION"},
]
PHOTO = jpeg(4000)


@attrs.frozen
class World:
    client: DataGymClient
    project: SeededProject

    @property
    def dataset_id(self) -> str:
        return self.project.datasets[0].id


@pytest.fixture(params=["current", "legacy"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with Server(token=TOKEN, dialect=request.param) as server:
        (project,) = await server.seed(SeedProject("Streets", datasets=(SeedDataset("Day"),)))
        async with DataGymClient(TOKEN, server.base_url) as client:
            yield World(client, project)


async def test_projects_and_datasets(world: World) -> None:
    """Create, find, attach and detach, twice each."""
    client = world.client
    await client.ping()
    created = await client.datasets.create("Photos 2026", short_description="new")
    again = await client.datasets.create("PHOTOS 2026", exist_ok=True)
    assert (again.id, again.short_description) == (created.id, "new")
    with pytest.raises(AlreadyExistsError):
        await client.datasets.create("photos 2026")
    for _ in range(2):
        await client.projects.add_dataset(world.project.id, created.id)
    (project,) = await client.projects.list()
    assert {dataset.name for dataset in project.datasets} == {"Day", "Photos 2026"}
    for _ in range(2):
        await client.projects.remove_dataset(world.project.id, created.id)
    found = await client.projects.find("streets")
    assert found is not None
    assert [dataset.name for dataset in found.datasets] == ["Day"]


async def test_files(world: World, tmp_path: Path) -> None:
    """Store, list, fetch in every way and delete."""
    client = world.client
    path = tmp_path / "b.png"
    path.write_bytes(png(4000))
    first = await client.media.upload_file(world.dataset_id, PHOTO, name="straße 100%.jpg")
    second = await client.media.upload_file(world.dataset_id, path)
    listed = (await client.datasets.get(world.dataset_id)).media
    assert {media.name: media.id for media in listed} == {
        "straße 100%.jpg": first.id,
        "b.png": second.id,
    }
    assert await client.media.download(first.id) == PHOTO
    assert await client.media.download_to(second.id, tmp_path / "c.png") == 4000
    assert (tmp_path / "c.png").read_bytes() == path.read_bytes()
    async with client.media.stream(first.id) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == PHOTO
    assert [await client.media.delete(first.id) for _ in range(2)] == [True, False]


async def test_refused_files(world: World) -> None:
    """The folded name is taken once; a GIF is refused by its content."""
    await world.client.media.upload_file(world.dataset_id, PHOTO, name="a.jpg")
    with pytest.raises(AlreadyExistsError, match=r"A\.JPG"):
        await world.client.media.upload_file(world.dataset_id, PHOTO, name="A.JPG")
    with pytest.raises(BadRequestError, match="image/gif"):
        await world.client.media.upload_file(world.dataset_id, gif(), name="g.jpg")


async def test_urls(world: World) -> None:
    """One result a URL, in order, whatever the service does with it."""
    long = "https://a.test/" + "x" * 300 + ".jpg"
    urls = ["https://a.test/a.jpg", "https://a.test/a.gif", long, "https://a.test/a.jpg"]
    first = await world.client.media.upload_urls(world.dataset_id, urls)
    second = await world.client.media.upload_urls(world.dataset_id, urls[:1])
    assert [result.status for result in first + second] == [
        UrlStatus.SUCCESS,
        UrlStatus.UNSUPPORTED_MIME_TYPE,
        UrlStatus.FAILED,
        UrlStatus.SUCCESS,
        UrlStatus.DUPLICATE,
    ]


async def test_labels(world: World) -> None:
    """Configure, import, segment, complete, export, fetch the bitmap."""
    client, project = world.client, world.project
    media = await client.media.upload_file(world.dataset_id, PHOTO, name="a.jpg")
    config = await client.label_configs.upload(
        project.label_configuration_id, ENTRIES, replace=True
    )
    boxes = [{"rectangle": [{"x": 1, "y": 2, "w": 3, "h": 4}]}]
    imported = await client.labels.import_predictions(
        project.id, [{"internal_media_ID": media.id, "labels": {"car": boxes}}], keep_data=False
    )
    assert imported.stored == 1
    (task,) = await client.tasks.list(project.id, state=TaskState.BACKLOG)
    detail = await client.tasks.get(task.id)
    road = next(entry for entry in config.entries if entry.key == "road")
    value = await client.values.create(
        road.id, iteration_id=detail.label_iteration.id, media_id=media.id, task_id=task.id
    )
    ring = [Point(1, 1), Point(9, 1), Point(9, 9)]
    await client.values.update(value.id, entry_id=road.id, task_id=task.id, rings=[ring])
    stale = await client.tasks.complete(task.id, last_changed_config=1)
    done = await client.tasks.complete(task.id, last_changed_config=detail.last_changed_config)
    assert (stale.completed, done.completed) == (False, True)

    export = await client.labels.export(project.id)
    streamed = [exported async for exported in client.labels.iter_export(project.id)]
    assert tuple(streamed) == export.tasks
    assert {cls.name for cls in export.label_classes} == {"car", "lane", "road"}
    (car,) = streamed[0].annotations_of("car")
    assert car.shape == Rectangle(1, 2, 3, 4)
    assert (await client.labels.bitmap(task.id, "road")).startswith(b"BM")
    assert [await client.values.delete(value.id) for _ in range(2)] == [True, False]


async def test_what_is_not_installed(world: World) -> None:
    """Assisted segmentation is no part of most services, and they say so."""
    with pytest.raises(ServiceUnavailableError, match="not installed"):
        await world.client.ai_segmentation.prepare("M")


async def test_videos_are_fetched_where_they_are(tmp_path: Path) -> None:
    """The text URL that a video's download answers is followed, in every way."""
    film = SeedMedia("a.mp4", content=b"film" * 1000, video=SeedVideo())
    async with Server(token=TOKEN) as server:
        dataset = SeedDataset("Films", media=(film,), media_type="VIDEO")
        (project,) = await server.seed(SeedProject("V", datasets=(dataset,), media_type="VIDEO"))
        media_id = project.datasets[0].media_ids["a.mp4"]
        async with DataGymClient(TOKEN, server.base_url) as client:
            assert await client.media.download(media_id) == film.content
            assert await client.media.download_to(media_id, tmp_path / "a.mp4") == 4000
            labels = await client.labels.export_video(project.task_ids["a.mp4"])
    assert (dict(labels.frames), dict(labels.objects)) == ({}, {})
