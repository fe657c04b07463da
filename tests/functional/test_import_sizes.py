"""Labels of a file beside the images that the service has: of which size, and where they end."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from PIL import Image

from datagym_async import DataGymClient
from datagym_async.labels import (
    Annotation,
    LabelConfig,
    LabeledImage,
    Point,
    Polygon,
    Rectangle,
    Shape,
)
from datagym_async.resources import ImportRemark, ImportReport
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server
from tests.helpers.sentinel import TOKEN


def picture(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return stream.getvalue()


@attrs.define
class Bench:
    """A project of one image of 200 x 100 pixels, and its task."""

    client: DataGymClient
    project_id: str
    task_id: str

    async def run(self, *drawn: Annotation, size: Any = (None, None), **how: Any) -> ImportReport:
        """Import labels, by name."""
        width, height = size
        image = LabeledImage(media_name="a.png", annotations=drawn, width=width, height=height)
        return await self.client.labels.import_predictions(
            self.project_id, [image], keep_data=False, by_name=True, **how
        )

    async def shapes(self) -> list[Shape]:
        """The shapes of the image, with every digit."""
        values = (await self.client.tasks.get(self.task_id)).label_iteration.values
        corners = [(each.point, each.width, each.height, each.points) for each in values]
        return [
            Polygon([(it.x, it.y) for it in points])  # type: ignore[misc]
            if points
            else Rectangle(corner.x, corner.y, width, height)  # type: ignore[arg-type, union-attr]
            for corner, width, height, points in corners
        ]


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    config = LabelConfig()
    config.add_rectangle("car", "Car").add_point("door", "Door")
    config.add_polygon("road", "Road")
    async with Server(token=TOKEN) as server:
        seed = SeedProject("P", [SeedDataset("D", [SeedMedia("a.png", picture(200, 100))])])
        (project,) = await server.seed(seed)
        async with DataGymClient(TOKEN, server.base_url, rate_limit=None) as client:
            await client.label_configs.upload(project.label_configuration_id, config)
            yield Bench(client, project.id, project.task_ids["a.png"])


def car(*numbers: float, nested: tuple[Annotation, ...] = ()) -> Annotation:
    return Annotation("car", Rectangle(*numbers), nested=nested)


@pytest.mark.parametrize(
    ("size", "how", "said"),
    [
        ((2000, 1000), {}, "says 2000 x 1000 pixels, the image has 200 x 100, of the same ratio"),
        ((100, 200), {"rescale": True}, "width and height are swapped, as by an EXIF orientation"),
        ((50, 100), {}, "swapped"),
        ((640, 480), {"rescale": True}, "the image has 200 x 100: the labels belong to another"),
        ((2001, 1000), {"rescale": True}, "another image"),
    ],
    ids=["ratio", "swapped", "swapped and smaller", "other", "almost"],
)
async def test_labels_of_another_image_are_held_back(size: Any, how: Any, said: str) -> None:
    """Both sizes are named, and what is likely to have happened."""
    async with bench() as there:
        report = await there.run(car(1, 2, 3, 4), size=size, **how)
        assert [each.outcome for each in report.results] == ["rejected"]
        assert said in report.problems[0].reasons[0]
        assert await there.shapes() == []


async def test_the_same_ratio_is_scaled_on_request() -> None:
    """All shapes, the nested ones too; the report says so."""
    async with bench() as there:
        whole = car(10, 20, 30, 45, nested=(Annotation("door", Point(15, 25)),))
        report = await there.run(whole, size=(2000, 1000), rescale=True)
        (result,) = report.results
        assert (report.ok, result.warnings) == (
            True,
            ("scaled from 2000 x 1000 to 200 x 100 pixels",),
        )
        assert report.remarks == (
            ImportRemark("warning", "scaled from ... x ... to ... x ... pixels"),
        )
        assert await there.shapes() == [Rectangle(1, 2, 3, 4.5)]
        (value,) = (await there.client.tasks.get(there.task_id)).label_iteration.values
        (door,) = [each.point for each in value.children]
        assert door is not None
        assert (door.x, door.y) == (1.5, 2.5)


async def test_yolo_without_images_takes_the_sizes_of_the_service(tmp_path: Path) -> None:
    """Its shares become pixels of the media; where the size is not read, that is the reason."""
    files = {
        "data.yaml": "train: images\nnames: [car, road]\n",
        "labels/a.txt": "0 0.5 0.25 0.5 0.5\n1 0 0 1 0 1 1\n0 0 0.5 0.5 0.5\n",
        "labels/gone.txt": "0 0.5 0.5 0.1 0.1\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    async with bench() as given:
        unread = await given.client.import_labels(
            given.project_id, tmp_path, keep_data=False, sizes=False
        )
        assert "the size of the image is not read" in str(unread.report.problems[0].reasons)
        assert not await given.shapes()
        imported = await given.client.import_labels(given.project_id, tmp_path, keep_data=False)
        (stored, gone) = imported.report.results
        assert (stored.outcome, len(stored.left_out), stored.warnings) == ("stored", 1, ())
        assert "below zero" in stored.left_out[0] or "negative" in stored.left_out[0]
        assert (gone.outcome, gone.media_name, imported.ok) == ("rejected", "gone", False)
        assert await given.shapes() == [
            Rectangle(50, 0, 100, 50), Polygon([(0, 0), (200, 0), (200, 100)])
        ]  # fmt: skip
        clipped = await given.client.import_labels(
            given.project_id, tmp_path, keep_data=False, clip=True
        )
        assert clipped.report.results[0].left_out == ()
        assert Rectangle(0, 25, 50, 50) in await given.shapes()


async def test_noise_of_sums_is_not_beyond_the_edge(tmp_path: Path) -> None:
    """A box of YOLO that ends at the edge is not said to go beyond, nor cut off there."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("train: images\nnames: [car, road]\n")
    (tmp_path / "labels" / "a.txt").write_text("0 0.6535 0.5 0.693 1\n0 0.51 0.5 0.98 1\n")
    async with bench() as given:
        for clip in (False, True):
            imported = await given.client.import_labels(
                given.project_id, tmp_path, keep_data=False, clip=clip
            )
            assert (imported.ok, imported.report.remarks) == (True, ())
        ends = [each.bounds.right for each in await given.shapes() if isinstance(each, Rectangle)]
        assert max(ends) > 200  # by a hair
        assert ends == pytest.approx([200, 200], abs=1e-9)


async def test_sizes_are_not_compared_where_that_is_not_wanted() -> None:
    """Nor where the file says none."""
    async with bench() as there:
        assert (await there.run(car(1, 2, 3, 4), size=(640, 480), sizes=False)).ok
        assert (await there.run(car(1, 2, 3, 4))).ok
        assert (await there.run(car(1, 2, 3, 4), size=(200, 100))).ok


async def test_a_shape_beyond_the_edge_costs_no_other() -> None:
    """The service refuses negative coordinates: that shape is left out, and told."""
    async with bench() as there:
        report = await there.run(car(-0.5, 2, 3, 4), car(1, 2, 3, 4), car(190, 50, 100, 40))
        (result,) = report.results
        assert (result.outcome, report.ok, report.problems) == ("stored", False, (result,))
        (said,) = result.left_out
        assert said.startswith("labels.car[0].rectangle[0].x: -0.5 is negative, and the service")
        assert said.endswith("clip=True cuts shapes off at the edges of the image")
        assert await there.shapes() == [Rectangle(1, 2, 3, 4), Rectangle(190, 50, 100, 40)]
        # Replacing labels by none is not what is meant by that.
        report = await there.run(car(-0.5, 2, 3, 4))
        assert report.results[0].outcome == "rejected"
        assert len(await there.shapes()) == 2


async def test_a_width_below_zero_is_no_shape_beyond_the_edge() -> None:
    """What is broken holds its image back, as before."""
    async with bench() as there:
        report = await there.run(car(1, 2, -3, 4), car(-1, 2, 3, 4), car(1, 2, 3, 4))
        assert report.results[0].outcome == "rejected"
        assert len(report.results[0].reasons) == 2


async def test_shapes_are_cut_off_on_request() -> None:
    """At the image's own edges, whatever the file says; what is gone with it is counted."""
    outside = car(201, 0, 5, 5, nested=(Annotation("door", Point(1, 1)),))
    inside = car(190, 50, 100, 40, nested=(Annotation("door", Point(250, 60)),))
    road = Annotation("road", Polygon([(-50, 0), (50, 0), (50, 50), (-50, 50)]))
    async with bench() as there:
        report = await there.run(outside, inside, car(-0.5, 2, 3, 4), road, clip=True)
        (result,) = report.results
        assert result.outcome == "stored"
        assert result.remarks == (
            ImportRemark("left out", "nothing of it is within the image", 3),
            ImportRemark("warning", "cut off at the edge of the image", 3),
        )
        assert result.left_out[0] == "labels.car[0]: nothing of it is within the image"
        assert result.warnings[1] == "labels.car[2]: cut off at the edge of the image"
        found = await there.shapes()
    assert {each for each in found if isinstance(each, Rectangle)} == {
        Rectangle(190, 50, 10, 40),
        Rectangle(0, 2, 2.5, 4),
    }
    (polygon,) = [each for each in found if isinstance(each, Polygon)]
    assert (polygon.bounds.left, polygon.bounds.right, polygon.area) == (0, 50, 2500)


async def test_items_in_json_are_cut_off_too() -> None:
    """They say no size; the image has one."""
    async with bench() as there:
        media_id = (await there.client.tasks.get(there.task_id)).media.id
        item = {
            "internal_media_ID": media_id,
            "labels": {"car": [{"rectangle": [{"x": 190, "y": 50, "w": 100, "h": 40}]}]},
        }
        report = await there.client.labels.import_predictions(
            there.project_id, [item], keep_data=False, clip=True
        )
        assert report.ok
        assert await there.shapes() == [Rectangle(190, 50, 10, 40)]
        assert (
            await there.client.labels.import_predictions(there.project_id, [item], keep_data=False)
        ).ok
        assert await there.shapes() == [Rectangle(190, 50, 100, 40)]
