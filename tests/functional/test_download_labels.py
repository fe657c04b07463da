"""Labels and bitmaps beside downloaded media."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from datagym_async import ConfigurationError, DownloadConfig, TransferError
from datagym_async.formats import PredictionFile, WrittenFormat
from datagym_async.labels import Annotation, Point, Rectangle, Segmentation
from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from datagym_async.testing import Status
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

ENTRIES: list[dict[str, object]] = [
    {"entryKey": key, "entryValue": key, "type": kind}
    for key, kind in (("box", "RECTANGLE"), ("pt", "POINT"), ("seg", "IMAGE_SEGMENTATION"))
]
BOX = Annotation("box", Rectangle(4, 6, 20, 10))
POINT = Annotation("pt", Point(3, 4))
SEGMENT = Annotation("seg", Segmentation([[(2, 2), (40, 2), (40, 40), (2, 40)]]))
MEDIA = ("a.jpg", "../b.jpg", "open.jpg")


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Two completed tasks with labels, one with a segment, and an unfinished one."""
    async with world(*(SeedMedia(name, jpeg(2_000, seed=3)) for name in MEDIA)) as made:
        tasks, client = made.project.task_ids, made.client
        await client.label_configs.upload(made.project.label_configuration_id, ENTRIES)
        await client.values.write(tasks["a.jpg"], [BOX, SEGMENT])
        await client.values.write(tasks["../b.jpg"], [POINT])
        await client.tasks.complete_many([tasks["a.jpg"], tasks["../b.jpg"]])
        yield made


async def test_json_lines_join_labels_with_files(here: World, tmp_path: Path) -> None:
    """One line a finished task, with its file beside the labels as the service exports them."""
    config = DownloadConfig(labels="jsonl")
    report = await here.client.download_dataset(here.dataset_id, tmp_path, config=config)

    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    found = {line["file"]: line for line in lines}
    assert (report.ok, report.labelled, report.written) == (True, 2, ("labels.jsonl",))
    assert sorted(found) == ["_._b.jpg", "a.jpg"]
    assert all((tmp_path / name).is_file() for name in found)
    assert found["a.jpg"]["labels"]["box"][0]["rectangle"] == [{"x": 4, "y": 6, "w": 20, "h": 10}]
    assert found["_._b.jpg"]["external_media_ID"] == "../b.jpg"


async def test_a_document_of_all_labels(here: World, tmp_path: Path) -> None:
    """JSON holds the same, as one document; a project's files are named with their folders."""
    config = DownloadConfig(labels=("json", "jsonl"))
    await here.client.download_project(here.project_id, tmp_path, config=config)

    document = json.loads((tmp_path / "labels.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert document["project"] == {"id": here.project_id, "name": "Street scenes"}
    assert document["tasks"] == lines
    assert {each["file"] for each in lines} == {"Photos/a.jpg", "Photos/_._b.jpg"}
    for name in ("labels.json", "labels.jsonl"):  # and an import reads both
        assert [each async for each in PredictionFile(tmp_path / name)] == lines


async def test_an_export_without_labels_is_an_empty_document(tmp_path: Path) -> None:
    """No finished task gives files without tasks, which every reader takes."""
    async with world(SeedMedia("a.jpg", jpeg(2_000))) as made:
        config = DownloadConfig(labels=("json", "jsonl"))
        report = await made.client.download_project(made.project_id, tmp_path, config=config)

    assert json.loads((tmp_path / "labels.json").read_text())["tasks"] == []
    assert [each async for each in PredictionFile(tmp_path / "labels.json")] == []
    assert (tmp_path / "labels.jsonl").read_text() == ""
    assert (report.ok, report.labelled) == (True, 0)


async def test_coco_names_the_files(here: World, tmp_path: Path) -> None:
    """Images are named as they lie in the folder, and as large as they are; losses are notes."""
    config = DownloadConfig(labels="coco")
    await here.client.download_dataset(here.dataset_id, tmp_path, config=config)
    (tmp_path / "labels.coco.captions.json").touch()  # as of labels that have lost their captions
    async with here.client.downloader(here.dataset_id, tmp_path, config=config) as run:
        report = await run.finish()
        progress = run.progress

    assert progress.tasks_read == progress.tasks_total == 2  # those that are exported
    coco = json.loads((tmp_path / "labels.coco.json").read_text())
    images = {each["file_name"]: each for each in coco["images"]}
    assert report.written == ("labels.coco.json",)
    assert [path.name for path in tmp_path.glob("labels*")] == ["labels.coco.json"]
    assert all((tmp_path / name).is_file() for name in images)
    assert images["a.jpg"]["width"] > 0
    boxes = {each["name"]: each["id"] for each in coco["categories"]}
    found = [each for each in coco["annotations"] if each["category_id"] == boxes["box"]]
    assert [each["bbox"] for each in found] == [[4, 6, 20, 10]]
    assert all(note.startswith("coco: ") for note in report.notes)


@pytest.mark.parametrize("kind", ["dataset", "project"])
async def test_yolo_has_a_text_for_each_file(here: World, tmp_path: Path, kind: str) -> None:
    """Its images are those of the download; the same command again replaces it."""
    config = DownloadConfig(labels="yolo")
    is_project = kind == "project"
    download = here.client.download_project if is_project else here.client.download_dataset
    source = here.project_id if is_project else here.dataset_id
    await download(source, tmp_path, config=config)
    report = await download(source, tmp_path, config=config)

    texts = sorted((tmp_path / "labels.yolo").rglob("*.txt"))
    assert report.ok
    assert [path.stem for path in texts if path.read_text().strip()] == ["a"]
    assert (tmp_path / "labels.yolo" / "data.yaml").is_file()


XML = "/Annotations/Photos/a.xml"
NARROW = "train=0.95,val=0.01,test=0.04"  # in whose middle the hash of "Photos" is


@pytest.mark.parametrize(
    ("kind", "options", "file", "pattern", "found"),
    [
        ("coco", {}, ".json", r'"name": ?"(\w+)"', ["seg", "box"]),
        ("coco", {"classes": "classes.txt"}, ".json", r'"name": ?"(\w+)"', ["box", "seg"]),
        ("coco", {"exact": False}, ".json", r'"width": ?(\d+)', ["32", "32"]),
        ("voc", {}, XML, r"<xm\w+>(\d+)", ["5", "24", "3", "40"]),
        ("voc", {"clip": True}, XML, r"<xm\w+>(\d+)", ["5", "24", "3", "32"]),
        ("voc", {"zero_based": True}, XML, r"<xm\w+>(\d+)", ["4", "24", "2", "40"]),
        ("yolo", {"split": NARROW, "group": "folder"}, "/labels/val/Photos/a.txt", "^.", ["1"]),
    ],
)
async def test_labels_are_written_as_the_options_say(
    here: World,
    tmp_path: Path,
    kind: WrittenFormat,
    options: dict[str, Any],
    file: str,
    pattern: str,
    found: list[str],
) -> None:
    """The order of classes, sizes, edges and parts are those of the same export."""
    (tmp_path / "classes.txt").write_text("box\n")
    given = {
        name: tmp_path / value if name == "classes" else value for name, value in options.items()
    }
    config = DownloadConfig(labels=kind, **given)
    await here.client.download_project(here.project_id, tmp_path / "out", config=config)

    text = (tmp_path / "out" / f"labels.{kind}{file}").read_text()
    assert re.findall(pattern, text) == found


@pytest.mark.parametrize("kind", ["yolo", "voc", "kitti", "cvat", "imagefolder"])
async def test_files_added_to_a_folder_of_labels_stay(
    here: World, tmp_path: Path, kind: Literal["yolo", "voc", "kitti", "cvat", "imagefolder"]
) -> None:
    """What a trainer has written there is kept; what an earlier run has written is replaced."""
    folder = tmp_path / f"labels.{kind}"
    parts = DownloadConfig(labels=kind, split="train=0.5,val=0.5", exact=False)
    await here.client.download_dataset(here.dataset_id, tmp_path, config=parts)
    (folder / "runs" / "train").mkdir(parents=True)
    (folder / "runs" / "train" / "best.pt").write_bytes(b"weights")
    (folder / "notes.txt").write_text("mine")

    config = DownloadConfig(labels=kind, exact=False)
    report = await here.client.download_dataset(here.dataset_id, tmp_path, config=config)

    assert report.ok
    assert (folder / "runs" / "train" / "best.pt").read_bytes() == b"weights"
    assert (folder / "notes.txt").read_text() == "mine"
    await here.client.download_dataset(here.dataset_id, tmp_path / "b", config=config)
    own = {
        path.relative_to(tmp_path / "b" / folder.name)
        for path in (tmp_path / "b" / folder.name).rglob("*")
    }
    added = {Path("runs"), Path("runs/train"), Path("runs/train/best.pt"), Path("notes.txt")}
    assert {path.relative_to(folder) for path in folder.rglob("*")} == own | added
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".datagym-")]


async def test_bitmaps_lie_beside(here: World, tmp_path: Path) -> None:
    """They are named after the files; the same download again fetches them only to verify."""
    config = DownloadConfig(bitmaps=True)
    first = await here.client.download_dataset(here.dataset_id, tmp_path, config=config)
    await here.client.download_dataset(here.dataset_id, tmp_path, config=config)
    asked = here.plan.count("GET", "/export/bitmap/")
    await here.client.download_dataset(
        here.dataset_id, tmp_path, config=attrs.evolve(config, verify=True)
    )

    assert (first.ok, first.bitmaps, asked) == (True, 1, 1)
    assert here.plan.count("GET", "/export/bitmap/") == 2
    assert (tmp_path / "bitmaps" / "seg" / "a.png").read_bytes()[:4] == b"\x89PNG"


async def test_a_bitmap_has_the_name_of_a_file_that_is_not_there(
    here: World, tmp_path: Path
) -> None:
    """It has the same name when the file is: other media may have the name that the service has."""
    here.plan.add(Status(404), path=f"/{here.project.datasets[0].media_ids['a.jpg']}$", first=1)
    config = DownloadConfig(bitmaps=True)
    for failed in (1, 0):
        report = await here.client.download_project(here.project_id, tmp_path, config=config)
        assert (report.failed, report.bitmaps) == (failed, 1)
        assert [path.name for path in (tmp_path / "bitmaps" / "seg").iterdir()] == ["Photos_a.png"]


async def test_a_bitmap_that_fails_is_told(here: World, tmp_path: Path) -> None:
    """The media are there, the report is not good, and says which it was."""
    here.plan.add(Status(404), path="/export/bitmap/")
    config = DownloadConfig(bitmaps=True)
    report = await here.client.download_dataset(here.dataset_id, tmp_path, config=config)

    assert (report.downloaded, report.failed, report.bitmaps_failed) == (3, 0, 1)
    assert not report.ok
    assert "The bitmap 'seg' of 'a.jpg'" in report.notes[0]


async def test_labels_of_other_datasets_are_left_out(here: World, tmp_path: Path) -> None:
    """A dataset's labels are those of its own media, not of all that its project holds."""
    other = await here.client.datasets.create("Other")
    await here.client.media.upload_file(other.id, jpeg(2_000), name="z.jpg")
    await here.client.projects.add_dataset(here.project_id, other.id)

    config = DownloadConfig(labels="jsonl")
    report = await here.client.download_dataset(other.id, tmp_path, config=config)

    assert (report.ok, report.labelled) == (True, 0)


async def test_which_project_must_be_clear(here: World, tmp_path: Path) -> None:
    """A dataset of no project, or of several, needs `project_id` for its labels."""
    alone = await here.client.datasets.create("Alone")
    config = DownloadConfig(labels="json")
    with pytest.raises(ConfigurationError, match="is in no project"):
        await here.client.download_dataset(alone.id, tmp_path / "alone", config=config)
    wrong = attrs.evolve(config, project_id=here.project_id)
    with pytest.raises(ConfigurationError, match="is not attached to the project 'Street scenes'"):
        await here.client.download_dataset(alone.id, tmp_path / "alone", config=wrong)
    (second,) = await here.server.seed(SeedProject("Second", datasets=[SeedDataset("X")]))
    await here.client.projects.add_dataset(second.id, here.dataset_id)

    with pytest.raises(ConfigurationError, match=r"several projects .*Second"):
        await here.client.download_dataset(here.dataset_id, tmp_path / "out", config=config)
    chosen = attrs.evolve(config, project_id=second.id)
    report = await here.client.download_dataset(here.dataset_id, tmp_path / "out", config=chosen)

    assert (report.ok, report.labelled) == (True, 0)


async def test_labels_that_cannot_be_exported_stop_the_run(here: World, tmp_path: Path) -> None:
    """The media are there, and in the lists; the same call again ends it."""
    fault = here.plan.add(Status(404), path=r"/export/[0-9a-f-]+$")
    config = DownloadConfig(labels="json")
    with pytest.raises(TransferError, match="The download stopped"):
        await here.client.download_dataset(here.dataset_id, tmp_path, config=config)
    assert fault.taken
    assert not (tmp_path / "labels.json").exists()
    rows = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert [row["outcome"] for row in rows] == ["downloaded"] * 3
    here.plan.clear()

    report = await here.client.download_dataset(here.dataset_id, tmp_path, config=config)

    assert (report.present, report.labelled, report.ok) == (3, 2, True)
