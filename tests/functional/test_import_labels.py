"""`client.import_labels`: a file of any format into a project, in one call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from datagym_async import DataGymClient, ImportRemark, ImportResult
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.formats import FormatError, LabelMapping, LossKind, PredictionFile
from datagym_async.labels import LabelConfig
from datagym_async.server import (
    SeedDataset,
    SeededProject,
    SeedMedia,
    SeedProject,
    SeedVideo,
    Server,
)
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN


@asynccontextmanager
async def bench(images: int = 3) -> AsyncIterator[tuple[DataGymClient, SeededProject]]:
    async with Server(token=TOKEN) as server:
        media = [SeedMedia(f"{n}.jpg", jpeg(2000)) for n in range(images)]
        (project,) = await server.seed(SeedProject("P", [SeedDataset("D", media)]))
        async with DataGymClient(TOKEN, server.base_url, rate_limit=None) as client:
            yield client, project


async def entries_of(client: DataGymClient, project: SeededProject) -> Any:
    view = await client.label_configs.read(project.id)
    assert view is not None
    return view.entries


def coco(path: Path, images: int = 3, *, classes: int = 1) -> Path:
    """A file with a box an image, each of the next class."""
    document: dict[str, Any] = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in range(images)],
        "categories": [{"id": n, "name": f"class {n}"} for n in range(classes)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": n % classes, "bbox": [n, 1, 2, 3.5]}
            for n in range(images)
        ],
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


async def test_a_file_into_an_empty_project(tmp_path: Path) -> None:
    """The configuration is made of it; the report has a result an image, and names them."""
    file, told = coco(tmp_path / "a.json"), list[ImportResult]()
    async with bench() as (client, project):
        with pytest.raises(ConfigurationError, match="'P' is empty, so that no label can be"):
            await client.import_labels(project.id, file, keep_data=False)
        checked = await client.import_labels(
            project.id, file, keep_data=False, create_config=True, dry_run=True
        )
        assert (checked.ok, [each.outcome for each in checked.report.results]) == (
            True,
            ["checked"] * 3,
        )
        assert not await entries_of(client, project)
        imported = await client.import_labels(
            project.id, file, keep_data=False, create_config=True, on_result=told.append
        )
        assert (imported.ok, imported.report.stored, imported.losses.items) == (True, 3, ())
        assert imported.created is not None
        assert imported.created == LabelConfig.from_entries(await entries_of(client, project))
        assert [each.media_name for each in told] == ["0.jpg", "1.jpg", "2.jpg"]
        assert tuple(told) == imported.report.results
        (value,) = (await client.tasks.get(project.task_ids["2.jpg"])).label_iteration.values
        assert value.point is not None
        assert (value.entry_key, value.point.x, value.height) == ("class_0", 2, 3.5)
        again = await client.import_labels(project.id, file, keep_data=False, create_config=True)
        assert (again.ok, again.created) == (True, None)


async def test_a_file_that_changes_between_two_readings(tmp_path: Path) -> None:
    """What a configuration was made of is what is imported with it; after that it is read anew."""
    source = PredictionFile(coco(tmp_path / "a.json", 1), in_shares=True)
    assert len(await asyncio.to_thread(source.label_config)) == 1
    for images in (1, 2):
        coco(tmp_path / "a.json", 2)
        assert len([each async for each in source]) == images


async def test_what_did_not_arrive(tmp_path: Path) -> None:
    """A class without an entry is a loss, an image without a media a problem, and neither is ok."""
    async with bench() as (client, project):
        first = coco(tmp_path / "a.json")
        await client.import_labels(project.id, first, keep_data=False, create_config=True)
        more = coco(tmp_path / "b.json", 4, classes=2)
        imported = await client.import_labels(project.id, more, "coco", keep_data=False)
        # The other two have labels in the file, which are all lost.
        assert (imported.ok, imported.report.stored, imported.unannotated) == (False, 2, 0)
        assert imported.losses.count(LossKind.NO_ENTRY) == 2
        other = tmp_path / "c.json"
        other.write_text(first.read_text().replace("2.jpg", "gone.jpg"))
        imported = await client.import_labels(project.id, other, keep_data=True)
        assert (imported.ok, imported.losses.is_loss, imported.report.stored) == (False, False, 2)
        assert imported.report.remarks == (
            ImportRemark(
                "rejected", "no media of the project has this name; is its dataset attached?"
            ),
        )


async def test_labels_stay_where_the_new_ones_are_lost(tmp_path: Path) -> None:
    """An image whose labels are all lost is none without labels, which would empty its media."""
    async with bench() as (client, project):
        first = coco(tmp_path / "a.json")
        await client.import_labels(project.id, first, keep_data=False, create_config=True)
        more = json.loads(coco(tmp_path / "b.json", classes=2).read_text())
        more["annotations"][2]["bbox"] = [1, 2]
        (tmp_path / "b.json").write_text(json.dumps(more))
        imported = await client.import_labels(
            project.id, tmp_path / "b.json", keep_data=False, unannotated=True
        )
        assert [each.media_name for each in imported.report.results] == ["0.jpg"]
        assert (imported.losses.count(LossKind.NO_ENTRY), imported.ok) == (1, False)
        for name in project.task_ids:
            task = await client.tasks.get(project.task_ids[name])
            assert len(task.label_iteration.values) == 1


async def test_nothing_imported_is_not_ok(tmp_path: Path) -> None:
    """A file without labels, and images whose labels all were lost."""
    async with bench() as (client, project):
        await client.import_labels(
            project.id, coco(tmp_path / "a.json"), keep_data=False, create_config=True
        )
        empty = json.loads((tmp_path / "a.json").read_text()) | {"annotations": []}
        (tmp_path / "b.json").write_text(json.dumps(empty))
        imported = await client.import_labels(project.id, tmp_path / "b.json", keep_data=False)
        assert (imported.ok, imported.report.results, imported.unannotated) == (False, (), 3)
        asked = await client.import_labels(
            project.id, tmp_path / "b.json", keep_data=False, unannotated=True
        )
        assert (asked.ok, asked.report.stored) == (True, 3)


async def test_items_of_the_service_have_keys(tmp_path: Path) -> None:
    """They need no classes, and no configuration is made of them."""
    file = tmp_path / "items.json"
    async with bench() as (client, project):
        file.write_text(json.dumps([{"external_media_ID": "1.jpg", "labels": {}}]))
        imported = await client.import_labels(project.id, file, keep_data=False, by_name=True)
        assert imported.report.stored == 1
        assert imported.report.results[0].media_id == project.datasets[0].media_ids["1.jpg"]
        with pytest.raises(ConfigurationError, match=r"items\.json has keys of a label config"):
            await client.import_labels(project.id, file, keep_data=False, create_config=True)


async def test_an_id_of_another_project_goes_by_its_name(tmp_path: Path) -> None:
    """A file that one project gave goes into another with the same images."""
    file = coco(tmp_path / "a.json")
    document = json.loads(file.read_text())
    document["images"][0]["media_id"] = "00000000-0000-4000-8000-000000000000"
    async with bench() as (client, project):
        ids = project.datasets[0].media_ids
        document["images"][1] |= {"media_id": ids["1.jpg"], "file_name": "another name.jpg"}
        file.write_text(json.dumps(document))
        imported = await client.import_labels(project.id, file, keep_data=False, create_config=True)
        assert [each.media_id for each in imported.report.results] == [*ids.values()]
        assert imported.ok


async def test_the_mapping_says_what_becomes_what(tmp_path: Path) -> None:
    """As for `formats.read`."""
    async with bench() as (client, project):
        imported = await client.import_labels(
            project.id,
            coco(tmp_path / "a.json"),
            keep_data=False,
            create_config=True,
            mapping=LabelMapping(shape="polygon"),
        )
        assert imported.created is not None
        assert [each.type for each in imported.created.entries] == ["POLYGON"]
        assert imported.losses.count(LossKind.BOX) == 3
        assert imported.ok


async def test_what_cannot_be_imported(tmp_path: Path) -> None:
    """An unknown project, a file of no format, a project of videos: one sentence each."""
    file = coco(tmp_path / "a.json")
    async with bench() as (client, project):
        with pytest.raises(NotFoundError, match="no project"):
            await client.import_labels("0" * 8, file, keep_data=False)
        (tmp_path / "b.txt").write_text("hello")
        with pytest.raises(FormatError, match=r"b\.txt has no known format"):
            await client.import_labels(project.id, tmp_path / "b.txt", keep_data=False)
        with pytest.raises(FormatError, match="no format 'cocoa'"):
            await client.import_labels(project.id, file, "cocoa", keep_data=False)
    async with Server(token=TOKEN) as server:
        clips = SeedDataset("Clips", [SeedMedia("a.mp4", video=SeedVideo())], "VIDEO")
        video = SeedProject("V", [clips], media_type="VIDEO")
        (project,) = await server.seed(video)
        async with DataGymClient(TOKEN, server.base_url) as client:
            with pytest.raises(ConfigurationError, match="is of videos"):
                await client.import_labels(project.id, file, keep_data=False, create_config=True)


async def test_cancelled_it_leaves_nothing_open(tmp_path: Path) -> None:
    """Wherever it is: an open file or request would be a warning, and so an error, here."""
    file = coco(tmp_path / "a.json")
    async with bench() as (client, project):
        for turns in range(0, 60, 7):
            task = asyncio.create_task(
                client.import_labels(project.id, file, keep_data=False, create_config=True)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        imported = await client.import_labels(project.id, file, keep_data=False, create_config=True)
        assert imported.report.stored == 3
