"""Exports with every digit: of tasks that are finished or not, and where they change meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from datagym_async import DataGymClient
from datagym_async.exceptions import ConfigurationError
from datagym_async.exports import ExportFormat
from datagym_async.formats import LossKind, coco
from datagym_async.labels import (
    Annotation,
    LabelConfig,
    LabeledImage,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.models import TaskState
from datagym_async.resources import LabelsResource
from datagym_async.server import (
    SeedDataset,
    SeededProject,
    SeedMedia,
    SeedProject,
    SeedVideo,
    Server,
)
from datagym_async.testing import FaultPlan, ServiceError
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

NAMES = ("a.jpg", "b.jpg", "c.jpg")


@attrs.frozen
class Project:
    """A client, and a project of three images without labels."""

    client: DataGymClient
    seeded: SeededProject

    async def write(self, config: LabelConfig, images: Iterable[LabeledImage]) -> None:
        """Store labels of images by their names, and complete the tasks of these."""
        ids = self.seeded.datasets[0].media_ids
        await self.client.label_configs.upload(self.seeded.label_configuration_id, config)
        given = [attrs.evolve(each, media_id=ids[each.media_name]) for each in images]
        report = await self.client.labels.import_predictions(self.seeded.id, given, keep_data=False)
        assert report.ok
        media = {each.media_id for each in given}
        tasks = await self.client.tasks.list(self.seeded.id, state="all")
        await self.client.tasks.complete_many(each.id for each in tasks if each.media_id in media)

    async def coco(self, path: Path, **options: Any) -> tuple[dict[str, Any], Any]:
        """Export to COCO; return the document and what came of it."""
        done = await self.client.export_labels(self.seeded.id, path, "coco", **options)
        return json.loads(path.read_bytes()), done


@asynccontextmanager
async def project(*plans: FaultPlan) -> AsyncIterator[Project]:
    """A project on an embedded server."""
    async with (
        Server(token=TOKEN, middlewares=[each.middleware for each in plans]) as server,
        DataGymClient(TOKEN, server.base_url, rate_limit=None) as client,
    ):
        media = [SeedMedia(name, jpeg(3000)) for name in NAMES]
        (seeded,) = await server.seed(SeedProject("P", [SeedDataset("Photos", media)]))
        yield Project(client, seeded)


def boxes_of(document: dict[str, Any]) -> dict[str, list[list[float]]]:
    """Return the boxes of each image, sorted."""
    names = {each["id"]: each["file_name"] for each in document["images"]}
    found: dict[str, list[list[float]]] = {name: [] for name in names.values()}
    for each in document["annotations"]:
        found[names[each["image_id"]]].append(each["bbox"])
    return {name: sorted(boxes) for name, boxes in found.items()}


async def test_boxes_come_back_within_a_hundredth_of_a_pixel(tmp_path: Path) -> None:
    """COCO, service, COCO: 300 boxes of 4 to 24 pixels are where they were."""
    chance = random.Random(15)

    def box() -> list[float]:
        side = (chance.uniform(4, 24), chance.uniform(4, 24))
        return [chance.uniform(0, 30), chance.uniform(0, 30), *side]

    given = {
        "images": [{"id": at, "file_name": name} for at, name in enumerate(NAMES)],
        "categories": [{"id": 7, "name": "car", "supercategory": "vehicle"}],
        "annotations": [
            {"id": at, "image_id": at % 3, "category_id": 7, "bbox": box()} for at in range(300)
        ],
    }
    source = tmp_path / "given.json"
    source.write_text(json.dumps(given))
    async with project() as here:
        config = await asyncio.to_thread(coco.label_config, source)
        await here.write(config, (await asyncio.to_thread(coco.read, source)).images)
        written, done = await here.coco(tmp_path / "out.json")
        cut, whole_pixels = await here.coco(tmp_path / "cut.json", exact=False)
    assert (done.exact, whole_pixels.exact) == (True, False)
    before, after = boxes_of(given), boxes_of(written)
    assert after.keys() == before.keys()
    for name, boxes in before.items():
        for one, other in zip(boxes, after[name], strict=True):
            assert one == pytest.approx(other, abs=0.01)
    assert boxes_of(cut) != after
    assert all(number == int(number) for boxes in boxes_of(cut).values() for number in boxes[0])


async def test_every_shape_is_exact(tmp_path: Path) -> None:
    """Outlines and nested points, too; a segment with a hole stays one."""
    config = LabelConfig()
    config.add_polygon("pg", "Outline").add_point("nose", "Nose")
    config.add_image_segmentation("seg", "Segment")
    ring, hole = [(1.25, 1.5), (9.75, 1.5), (5.5, 9.25)], [(4.5, 3.5), (6.5, 3.5), (5.5, 5.5)]
    shapes = [
        Annotation("pg", Polygon(ring), nested=[Annotation("nose", Point(2.125, 3.375))]),
        Annotation("seg", Segmentation([ring, hole])),
    ]
    async with project() as here:
        await here.write(config, [LabeledImage(media_name="a.jpg", annotations=shapes[:1])])
        (task,) = await here.client.tasks.list(here.seeded.id, state=TaskState.COMPLETED)
        await here.client.values.write(task.id, shapes[1:])
        path = tmp_path / "lines.jsonl"
        await here.client.export_labels(here.seeded.id, path, "jsonl", exact=True)
        (line,) = map(json.loads, path.read_bytes().splitlines())
    assert line["labels"]["pg"][0]["polygon"] == [{"x": x, "y": y} for x, y in ring]
    nested = line["labels"]["pg"][0]["nested_geometries"]["nose"][0]
    assert nested["point"] == [{"x": 2.125, "y": 3.375}]
    rings = line["labels"]["seg"][0]["image_segmentation"]
    assert [[(each["x"], each["y"]) for each in every] for every in rings] == [ring, hole]


async def test_a_task_that_changes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exported shapes stay, in whole pixels, and that is told; the others are exact."""
    plan = FaultPlan()
    async with project(plan) as here:
        config = LabelConfig()
        config.add_rectangle("car", "Car")
        box = [Annotation("car", Rectangle(1.5, 2.5, 3.5, 4.5))]
        await here.write(config, [LabeledImage(media_name=n, annotations=box) for n in NAMES])
        tasks = await here.client.tasks.list(here.seeded.id, state=TaskState.COMPLETED)
        first = next(each for each in tasks if each.media_name == "a.jpg")
        is_moved = False

        async def move(*_: object) -> None:
            nonlocal is_moved
            if not is_moved:
                is_moved = True
                more = [Annotation("car", Rectangle(20, 20, 5, 5))]
                await here.client.values.write(first.id, more)

        source_read = LabelsResource.iter_export

        async def export_then_move(*args: Any, **options: Any) -> AsyncIterator[Any]:
            async for task in source_read(*args, **options):
                yield task
            await move()

        # Of the class: jobs have resources of their own, with another patience.
        monkeypatch.setattr(LabelsResource, "iter_export", export_then_move)
        written, done = await here.coco(tmp_path / "coco.json")
    assert done.losses.count(LossKind.CHANGED) == 1
    assert "a.jpg" in str(done.losses)
    exact = [[1.5, 2.5, 3.5, 4.5]]
    assert boxes_of(written) == {"a.jpg": [[1, 2, 3, 4]], "b.jpg": exact, "c.jpg": exact}


async def test_tasks_that_are_not_finished(tmp_path: Path) -> None:
    """They are in no export, and are read one by one; whole pixels of them there are none."""
    async with project() as here:
        config = LabelConfig()
        config.add_rectangle("car", "Car")
        box = [Annotation("car", Rectangle(1.5, 2.5, 3.5, 4.5))]
        await here.write(config, [LabeledImage(media_name="a.jpg", annotations=box)])
        ids = here.seeded.datasets[0].media_ids
        image = LabeledImage(media_id=ids["b.jpg"], annotations=box)
        await here.client.labels.import_predictions(here.seeded.id, [image], keep_data=False)
        written, done = await here.coco(tmp_path / "all.json", states="all")
        assert boxes_of(written) == {"a.jpg": [[1.5, 2.5, 3.5, 4.5]]} | {
            "b.jpg": [[1.5, 2.5, 3.5, 4.5]],
            "c.jpg": [],
        }
        assert (done.exact, done.tasks) == (True, 3)
        written, _ = await here.coco(tmp_path / "l.json", states="backlog", only_labelled=True)
        assert boxes_of(written) == {"b.jpg": [[1.5, 2.5, 3.5, 4.5]]}
        dataset = here.seeded.datasets[0].id
        written, _ = await here.coco(tmp_path / "d.json", datasets=[dataset])
        assert list(boxes_of(written)) == ["a.jpg"]
        with pytest.raises(ConfigurationError, match="read one by one"):
            await here.coco(tmp_path / "x.json", states="all", exact=False)
        with pytest.raises(ConfigurationError, match="use jsonl"):
            await here.client.export_labels(here.seeded.id, tmp_path / "x", datasets=dataset)


@pytest.mark.parametrize("exact", [False, True])
async def test_datasets_that_are_chosen(tmp_path: Path, exact: bool) -> None:
    """Only their tasks are written, whatever their images are called."""
    async with (
        Server(token=TOKEN) as server,
        DataGymClient(TOKEN, server.base_url, rate_limit=None) as client,
    ):
        datasets = [SeedDataset(name, [SeedMedia("a.jpg", jpeg(3000))]) for name in ("1", "2", "3")]
        (seeded,) = await server.seed(SeedProject("P", datasets))
        tasks = await client.tasks.list(seeded.id, state="all")
        await client.tasks.complete_many(each.id for each in tasks)
        path = tmp_path / "l.jsonl"
        wanted = [each.id for each in seeded.datasets[1:]]
        done = await client.export_labels(seeded.id, path, "jsonl", datasets=wanted, exact=exact)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found = {each["internal_media_ID"] for each in lines}
        assert found == {each.media_ids["a.jpg"] for each in seeded.datasets[1:]}
        assert (done.tasks, len(lines)) == (2, 2)
        for more in ({"datasets": wanted}, {"states": "completed"}):
            with pytest.raises(ConfigurationError, match="use jsonl"):
                await client.export_labels(seeded.id, tmp_path / "x", **more)
        assert [each.name for each in tmp_path.iterdir()] == ["l.jsonl"]


async def test_videos_have_no_exact_shapes(tmp_path: Path) -> None:
    """Their labels are keyframes, which would be lost without a word; nothing is written."""
    clips = SeedDataset("Clips", [SeedMedia("v.mp4", video=SeedVideo(), state="SKIPPED")], "VIDEO")
    async with (
        Server(token=TOKEN) as server,
        DataGymClient(TOKEN, server.base_url, rate_limit=None) as client,
    ):
        (seeded,) = await server.seed(SeedProject("Films", [clips], media_type="VIDEO"))
        wanted: tuple[ExportFormat, ...] = ("jsonl", "coco")
        for name in wanted:
            with pytest.raises(ConfigurationError, match=r"are keyframes.*labels\.export_videos"):
                await client.export_labels(seeded.id, tmp_path / name, name, states="all")
    assert not list(tmp_path.iterdir())


async def test_a_task_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    """Where tasks are read one by one it is left out, as in an export of that moment."""
    plan = FaultPlan()
    async with project(plan) as here:
        plan.add(ServiceError(404, "ex_notfound"), path=r"/task/[^/]+$", nth=1)
        _, done = await here.coco(tmp_path / "all.json", states="all")
    assert done.tasks == 2


async def test_a_negative_coordinate_costs_nothing(tmp_path: Path) -> None:
    """The service exports such a shape without any coordinates; the task has them all."""
    async with project() as here:
        config = LabelConfig()
        config.add_rectangle("car", "Car")
        box = [Annotation("car", Rectangle(-0.5, 2.5, 3.5, 4.5))]
        image = LabeledImage(media_name="a.jpg", annotations=[])
        await here.write(config, [image])
        (task,) = await here.client.tasks.list(here.seeded.id, state=TaskState.COMPLETED)
        report = await here.client.values.write(task.id, box)
        assert report.ok
        written, _ = await here.coco(tmp_path / "coco.json")
    assert boxes_of(written) == {"a.jpg": [[-0.5, 2.5, 3.5, 4.5]]}
