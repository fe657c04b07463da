"""`client.export_labels`: cancelled, refused, and against an answer that is no export."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async import DataGymClient, NotFoundError, RetryPolicy
from datagym_async.exceptions import APIError, ConfigurationError
from datagym_async.formats import LabelMapping
from datagym_async.labels import Annotation, LabelConfig, LabeledImage, Rectangle
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server
from datagym_async.testing import FaultPlan, Hang, Html, ServiceError
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.exports import ExportProgress

NAMES = ("a.jpg", "b.jpg")


@asynccontextmanager
async def project_of_two(plan: FaultPlan) -> AsyncIterator[tuple[DataGymClient, str]]:
    """A project with two finished tasks, and a client that does not try again."""
    async with Server(token=TOKEN, middlewares=[plan.middleware]) as server:
        media = [SeedMedia(name, jpeg(3000)) for name in NAMES]
        seed = SeedProject("Streets", datasets=[SeedDataset("Photos", media=media)])
        (project,) = await server.seed(seed)
        async with DataGymClient(
            TOKEN, server.base_url, rate_limit=None, retry=RetryPolicy(max_retries=0)
        ) as client:
            config = LabelConfig()
            config.add_rectangle("car", "Car")
            await client.label_configs.upload(project.label_configuration_id, config)
            image = LabeledImage(
                media_id=project.datasets[0].media_ids["a.jpg"],
                annotations=[Annotation("car", Rectangle(1, 2, 3, 4))],
            )
            await client.labels.import_predictions(project.id, [image], keep_data=False)
            await client.tasks.complete_many(project.task_ids.values())
            yield client, project.id


async def test_progress(tmp_path: Path) -> None:
    """It is told of each phase; the last word of each is the whole."""
    async with project_of_two(FaultPlan()) as (client, project_id):
        told: list[ExportProgress] = []
        done = await client.export_labels(
            project_id, tmp_path / "coco.json", "coco", on_progress=told.append
        )
        last = {each.phase: (each.done, each.total) for each in told}
        assert last == {"export": (2, None), "sizes": (2, 2), "write": (2, 2)}
        assert (done.tasks, done.annotations, done.left_out) == (2, 1, 0)
        told.clear()
        await client.export_labels(
            project_id, tmp_path / "l.jsonl", "jsonl", states="all", on_progress=told.append
        )
        assert [(each.phase, each.done, each.total) for each in told] == [
            ("sizes", 1, 2),
            ("sizes", 2, 2),
        ]
        told.clear()
        done = await client.export_labels(project_id, tmp_path / "x.json", on_progress=told.append)
        assert (told[-1].done, told[-1].unit) == (done.size, "bytes")
        assert done.size == (tmp_path / "x.json").stat().st_size
        told.clear()
        place = tmp_path / "yolo"
        await client.export_labels(
            project_id, place, "yolo", images="download", on_progress=told.append
        )
        phases = {each.phase: (each.done, each.total) for each in told}
        assert list(phases.items())[-2:] == [("images", (2, 2)), ("write", (2, 2))]


@pytest.mark.parametrize("wanted", ["json", "jsonl", "coco", "yolo"])
@pytest.mark.parametrize("action", [Html(), ServiceError(500, "ex_system")])
async def test_failures_leave_nothing(tmp_path: Path, wanted: Any, action: Any) -> None:
    """An answer that is no export, and an error: nothing is left behind, and the cause is said."""
    plan = FaultPlan()
    async with project_of_two(plan) as (client, project_id):
        plan.add(action, path=r"/export/")
        with pytest.raises(APIError):
            await client.export_labels(project_id, tmp_path / "out", wanted)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [r"/export/", r"/task/[^/]+$"])
@pytest.mark.parametrize("wanted", ["json", "jsonl", "coco", "voc"])
async def test_cancelling(tmp_path: Path, wanted: Any, path: str) -> None:
    """Cancelled while it waits for the service, it leaves nothing behind."""
    plan = FaultPlan()
    async with project_of_two(plan) as (client, project_id):
        if wanted in ("json", "jsonl") and "task" in path:
            path = r"/export/"
        arrived = asyncio.Event()

        def note(request: object) -> bool:
            arrived.set()
            return True

        plan.add(Hang(), path=path, when=note)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(client.export_labels(project_id, tmp_path / "out", wanted))
            await arrived.wait()
            work.cancel()
        assert work.cancelled()
        assert list(tmp_path.iterdir()) == []


async def test_a_task_that_is_gone(tmp_path: Path) -> None:
    """Its image has no size, and its shapes are in whole pixels; the others have theirs."""
    plan = FaultPlan()
    async with project_of_two(plan) as (client, project_id):
        plan.add(ServiceError(404, "ex_notfound"), path=r"/task/[^/]+$", nth=1)
        done = await client.export_labels(project_id, tmp_path / "coco.json", "coco")
        images = json.loads((tmp_path / "coco.json").read_bytes())["images"]
        assert sorted(bool(each.get("width")) for each in images) == [False, True]
        assert [each.kind.value for each in done.losses.items] == ["changed", "size"]
        plan.add(ServiceError(500, "ex_system"), path=r"/task/[^/]+$")
        with pytest.raises(APIError):
            await client.export_labels(project_id, tmp_path / "coco.json", "coco")


async def test_what_cannot_be_used_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    """Nobody waits for an export that cannot be written: its classes, its parts, its images."""
    plan = FaultPlan()
    async with project_of_two(plan) as (client, project_id):
        asked = plan.add(Hang(), path="/export")
        export = partial(client.export_labels, project_id, tmp_path / "x", "yolo")
        with pytest.raises(ConfigurationError, match=r"none.yaml cannot be read"):
            await export(classes=tmp_path / "none.yaml")
        with pytest.raises(ConfigurationError, match="holds 'rest'"):
            await export(split="train=0.9,rest=0.1")
        with pytest.raises(ConfigurationError, match="holds 'rest'"):
            await export(split={"train": 0.9, "rest": 0.1})
        with pytest.raises(ConfigurationError, match=r"shares of the split are .*'most'"):
            await export(split={"train": "most"})  # type: ignore[dict-item]
        with pytest.raises(ConfigurationError, match="is not a regular expression"):
            await export(split="train=1", group="(")
        with pytest.raises(ConfigurationError, match="no effect without parts; add split="):
            await export(group="folder")
        with pytest.raises(ConfigurationError, match="zero_based has no effect on the format yolo"):
            await export(zero_based=True)
        with pytest.raises(ConfigurationError, match="images is 'move'; it must be one of 'link'"):
            await export(images="move", images_from=tmp_path)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="is not a folder"):
            await export(images="link", images_from=tmp_path / "nowhere")
        with pytest.raises(ConfigurationError, match="use a folder in it"):
            await client.export_labels(project_id, ".", "yolo", overwrite=True)
        photos = tmp_path / "x" / "photos"
        for folder, way in ((photos.parent, "copy"), (photos, "link"), (photos, "download")):
            photos.mkdir(parents=True)
            with pytest.raises(ConfigurationError, match="would be deleted with what is in"):
                await export(images=way, images_from=folder, overwrite=True)  # type: ignore[arg-type]
            photos.rmdir()
            photos.parent.rmdir()
        with pytest.raises(ConfigurationError, match="Name their folder"):
            await export(images="copy")
        with pytest.raises(ConfigurationError, match="can hold neither images"):
            await client.export_labels(project_id, tmp_path / "x", images="download")
        idle: dict[str, Any] = {
            "clip": True,
            "classes": ["a"],
            "mapping": LabelMapping(caption="c"),
        }
        for name, value in idle.items():
            with pytest.raises(ConfigurationError, match=f"{name} has no effect on the format jso"):
                await client.export_labels(project_id, tmp_path / "x", "jsonl", **{name: value})
        assert asked.matched == 0
        assert list(tmp_path.iterdir()) == []


async def test_coco_is_a_file_or_a_folder(tmp_path: Path) -> None:
    """With parts it is a folder, which may be there, and without them it never is one."""
    (tmp_path / "coco").mkdir()
    async with project_of_two(FaultPlan()) as (client, project_id):
        await client.export_labels(project_id, tmp_path / "coco", "coco", split="train=1")
        with pytest.raises(ConfigurationError, match="is a folder, but the format is a file"):
            await client.export_labels(project_id, tmp_path / "coco", "coco", overwrite=True)
    (found,) = (tmp_path / "coco").rglob("*.json")
    assert found == tmp_path / "coco" / "annotations" / "instances_train.json"


async def test_what_cannot_be_exported(tmp_path: Path) -> None:
    """An unknown format or project, and a path in use, are said before anything is written."""
    async with project_of_two(FaultPlan()) as (client, project_id):
        with pytest.raises(ConfigurationError, match="use one of json"):
            await client.export_labels(project_id, tmp_path / "x", "tfrecord")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="name a file"):
            await client.export_labels(project_id, tmp_path)
        with pytest.raises(NotFoundError):
            await client.export_labels(
                "00000000-0000-4000-8000-000000000000", tmp_path / "x", "jsonl"
            )
        assert list(tmp_path.iterdir()) == []
