"""Export, edit, import: what can go goes, and what cannot is listed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import numpy as np
import pytest

from datagym_async import DataGymClient
from datagym_async.exceptions import ConfigurationError
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Polygon,
    Rectangle,
    Segmentation,
    prepare_prediction,
)
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, SeedVideo, Server
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.labels import LabeledTask

RING = [(1, 1), (9, 1), (9, 9)]


def configuration() -> LabelConfig:
    config = LabelConfig()
    car = config.add_rectangle("car", "Car")
    kind = car.add_select("kind", "Kind", {"bus": "Bus", "van": "Van"})
    kind.add_freetext("note", "Note", max_length=20)
    kind.add_checklist("damage", "Damage", {"dent": "Dent", "rust": "Rust"})
    config.add_image_segmentation("road", "Road")
    weather = config.add_checklist("weather", "Weather", {"rain": "Rain", "fog": "Fog"})
    weather.add_freetext("how", "How", max_length=20)
    return config


def labels(*children: Classification, how: str | None = None) -> LabeledImage:
    """A car with nested answers, and weather."""
    kind = Classification.select("kind", "bus", *children)
    below = [Classification.freetext("how", how)] if how else []
    weather = Classification.checklist("weather", ["rain", "fog"], *below)
    car = Annotation("car", Rectangle(1, 2, 3, 4), [kind])
    return LabeledImage(annotations=[car], classifications=[weather])


@attrs.frozen
class Bench:
    """A project of one image."""

    client: DataGymClient
    project_id: str
    task_id: str

    async def draw(self, image: LabeledImage) -> None:
        """Write labels as people draw them."""
        report = await self.client.values.write(self.task_id, image)
        assert report.ok

    async def export(self) -> LabeledTask:
        """Export the task."""
        await self.client.tasks.skip(self.task_id)
        (task,) = (await self.client.labels.export(self.project_id)).tasks
        return task


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    async with Server(token=TOKEN) as server:
        media = [SeedMedia("a.jpg", content=jpeg(2000))]
        (project,) = await server.seed(SeedProject("P", [SeedDataset("D", media)]))
        async with DataGymClient(TOKEN, server.base_url, rate_limit=None) as client:
            await client.label_configs.upload(project.label_configuration_id, configuration())
            yield Bench(client, project.id, project.task_ids["a.jpg"])


async def test_what_was_drawn_goes_in_again() -> None:
    """An export names all nested answers; one that is set, and edits, go in."""
    async with bench() as there:
        await there.draw(labels(Classification.freetext("note", "old")))
        task = await there.export()
        (car,) = task.annotations
        moved = attrs.evolve(car, shape=Rectangle(5, 6, 7, 8))
        report = await there.client.labels.import_predictions(
            there.project_id, [attrs.evolve(task, annotations=[moved])], keep_data=False
        )
        assert report.ok, report.problems
        again = await there.export()
        assert again.annotations == (moved,)
        assert again.classifications == task.classifications


async def test_what_cannot_go_is_listed() -> None:
    """A segmentation, a second nested answer and one below two options: held back, or left out."""
    async with bench() as there:
        note = Classification.freetext("note", "x")
        damage = Classification.checklist("damage", ["dent"])
        await there.draw(labels(note, damage, how="hard"))
        await there.draw(LabeledImage(annotations=[Annotation("road", Segmentation([RING]))]))
        task = await there.export()
        imported = there.client.labels.import_predictions

        held = await imported(there.project_id, [task], keep_data=False)
        assert [each.outcome for each in held.results] == ["rejected"]
        assert await there.export() == task

        rest = await imported(there.project_id, [task], keep_data=False, partial=True)
        (result,) = rest.results
        assert (rest.stored, rest.ok, rest.problems) == (1, False, (result,))
        assert sorted(each.partition(":")[0] for each in result.left_out) == [
            "global_classifications.weather[2]",
            "labels.car[0].classifications.kind[2]",
            "labels.road[0]",
        ]
        again = await there.export()
        assert [each.key for each in again.annotations] == ["car"]
        assert [each.values for each in again.classifications] == [("rain", "fog")]


async def test_what_was_left_out_can_be_written() -> None:
    """The values API brings it back; then the export is what it was."""
    async with bench() as there:
        await there.draw(LabeledImage(annotations=[Annotation("road", Segmentation([RING]))]))
        task = await there.export()
        left = prepare_prediction(task, configuration().entries, partial=True).left_out
        assert [each.where for each in left] == ["labels.road[0]"]
        empty = LabeledImage(media_id=task.media_id)
        await there.client.labels.import_predictions(there.project_id, [empty], keep_data=False)
        assert (await there.export()).annotations == ()
        await there.draw(LabeledImage(annotations=task.annotations_of("road")))
        assert (await there.export()).annotations == task.annotations


@pytest.mark.parametrize("keep_data", [True, False])
async def test_appending_and_replacing(keep_data: bool) -> None:
    """True adds to what is there, False takes its place."""
    async with bench() as there:
        await there.draw(labels())
        task = await there.export()
        given = LabeledImage(media_id=task.media_id, annotations=task.annotations)
        report = await there.client.labels.import_predictions(
            there.project_id, [given], keep_data=keep_data
        )
        assert report.ok
        assert len((await there.export()).annotations) == (2 if keep_data else 1)


async def test_nothing_goes_into_videos() -> None:
    """The service would store labels there that neither its editor nor an export shows."""
    dataset = SeedDataset("Clips", [SeedMedia("v.mp4", video=SeedVideo())], "VIDEO")
    async with Server(token=TOKEN) as server:
        (project,) = await server.seed(SeedProject("Films", [dataset], media_type="VIDEO"))
        async with DataGymClient(TOKEN, server.base_url) as client:
            with pytest.raises(ConfigurationError, match="videos"):
                await client.labels.import_predictions(project.id, [labels()], keep_data=True)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
async def test_what_models_give(kind: type[np.float64 | np.float32 | np.int64]) -> None:
    """Numbers and arrays of numpy are coordinates like any others."""
    config = LabelConfig()
    config.add_polygon("roof", "Roof")
    config.add_rectangle("car", "Car")
    shapes = (
        Polygon(np.array([[1, 2], [30, 4], [5, 16]], kind)),
        Rectangle(*np.arange(4, 8, dtype=kind)),
    )
    image = LabeledImage(
        media_name="a.jpg",
        annotations=[Annotation("roof", shapes[0]), Annotation("car", shapes[1])],
    )
    media = [SeedMedia("a.jpg", jpeg(2000))]
    async with Server(token=TOKEN) as server:
        (project,) = await server.seed(SeedProject("Roofs", [SeedDataset("Roofs", media)]))
        async with DataGymClient(TOKEN, server.base_url) as client:
            await client.label_configs.upload(project.label_configuration_id, config)
            report = await client.labels.import_predictions(
                project.id, [image], keep_data=False, by_name=True
            )
            stored = await client.values.read(project.task_ids["a.jpg"])
    assert report.ok
    assert tuple(each.shape for each in stored.annotations) == shapes
