"""To look at what the embedded service holds: previews, statistics, galleries, contact sheets."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from datagym_async import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    DataGymClient,
    DownloadConfig,
    FileWriteError,
    LabeledTask,
    NotFoundError,
    PermissionDeniedError,
    TaskState,
    UploadConfig,
    UploadItem,
    clean_jobs,
    failed_items,
    formats,
    list_jobs,
    look,
    show_job,
)
from datagym_async.formats import FormatError, LossKind, PredictionFile
from datagym_async.labels import (
    Annotation,
    Classification,
    Incomplete,
    LabelConfig,
    LabeledImage,
    Rectangle,
    Segmentation,
    to_payload,
)
from datagym_async.look import GalleryOptions
from datagym_async.models import EntryType
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, SeedVideo, Server
from datagym_async.testing import Status
from tests.helpers.coco_files import NUMPY_2
from tests.helpers.full_device import NEEDS_FULL_DEVICE
from tests.helpers.label_files import text
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from blockbuster import BlockBuster

MEDIA = ("a.jpg", "b.jpg", "new.jpg")
CAR = Annotation("car", Rectangle(2, 3, 10, 8), [Classification.select("kind", "bus")])
HOLED = Segmentation([[(0, 0), (20, 0), (20, 20), (0, 20)], [(5, 5), (9, 5), (9, 9), (5, 9)]])


def config() -> LabelConfig:
    """Return a label configuration with a colour."""
    made = LabelConfig()
    made.add_rectangle("car", "Car", color="#00ff00").add_select("kind", "Kind", {"bus": "Bus"})
    made.add_image_segmentation("road", "Road", color="#ff0000")
    made.add_checklist("weather", "Weather", {"rain": "Rain"})
    return made


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Two finished tasks, one of them with a segment, and one that nobody has opened."""
    async with world(*(SeedMedia(name, jpeg(3000)) for name in MEDIA)) as made:
        tasks, client = made.project.task_ids, made.client
        await client.label_configs.upload(made.project.label_configuration_id, config())
        await client.values.write(tasks["a.jpg"], [CAR, Annotation("road", HOLED)])
        await client.values.write(tasks["b.jpg"], [CAR])
        await client.tasks.complete_many([tasks["a.jpg"], tasks["b.jpg"]])
        yield made


async def test_a_preview_shows_the_labels_of_a_task(here: World) -> None:
    """Shapes, segments and colours are those of the task, also of one that is not exported."""
    project, media = here.project, here.project.datasets[0].media_ids

    plain = await here.client.preview(media["a.jpg"])
    drawn = await here.client.preview(media["a.jpg"], project_id=project.id, text=False)
    untouched = await here.client.preview(media["new.jpg"], project_id=project.id)

    assert plain.size == drawn.size
    assert drawn.getpixel((7, 3)) == (0, 255, 0)  # the upper edge of the car
    assert drawn.getpixel((15, 15)) != plain.getpixel((15, 15))  # half covered by the road
    assert drawn.getpixel((15, 25)) == plain.getpixel((15, 25))
    plain = await here.client.preview(media["new.jpg"])
    assert untouched.tobytes() == plain.tobytes()
    new = here.project.task_ids["new.jpg"]
    read = f"/api/v1/task/{new}"  # which would create its values
    assert read not in {each.path for each in here.plan.requests}
    begun = LabeledImage(media_id=media["new.jpg"], annotations=[CAR])
    await here.client.labels.import_predictions(project.id, [begun], keep_data=False)
    drawn = await here.client.preview(media["new.jpg"], project_id=project.id)
    assert drawn.tobytes() != plain.tobytes()


async def test_previews_of_what_is_not_there(here: World) -> None:
    """Unknown media and projects without it are said to be so."""
    with pytest.raises(NotFoundError):
        await here.client.preview("00000000-0000-0000-0000-000000000000")
    with pytest.raises(NotFoundError, match="has no task of the media"):
        await here.client.preview(
            "00000000-0000-0000-0000-000000000000", project_id=here.project.id
        )
    with pytest.raises(ConfigurationError):
        await here.client.preview(LabeledImage())  # type: ignore[arg-type]


# --- Galleries ------------------------------------------------------------------------------------

IN_THREADS = GalleryOptions(workers=0, size=64)


def data(gallery: look.Gallery, kind: str, number: int = 0) -> Any:
    """Return what a file of data holds."""
    text = (gallery.path.parent / "data" / f"{kind}-{number}.js").read_text("ascii")
    assert text.startswith(f'datagymLook("{kind}",{number},')
    return json.loads(text.partition(f'"{kind}",{number},')[2].removesuffix(");\n"))


async def test_a_gallery_of_a_project(here: World, tmp_path: Path) -> None:
    """All images are there with their states; segments have their outlines, tasks their editor.

    All of it is in the export: of the tasks only one is read, for the label configuration.
    """
    before = len(here.plan.requests)
    gallery = await here.client.gallery(
        tmp_path / "site", project_id=here.project.id, options=IN_THREADS
    )

    rows, meta = data(gallery, "page"), data(gallery, "meta")
    read = {f"/api/v1/task/{task_id}" for task_id in here.project.task_ids.values()}
    assert sum(each.path in read for each in here.plan.requests[before:]) == 1
    assert (gallery.images, gallery.objects, gallery.failed, gallery.notes) == (3, 3, 0, ())
    assert [row["n"] for row in rows] == sorted(MEDIA)
    assert [[mark[1] for mark in row["m"]] for row in rows] == [["mask", "box"], ["box"], []]
    assert [mark[3] for mark in rows[0]["m"]] == ["", "kind bus"]
    assert rows[0]["m"][0][2] == "M0 0L20 0L20 20L0 20ZM5 5L9 5L9 9L5 9Z"
    assert rows[0]["e"].endswith(f"/label-mode/task/{here.project.task_ids['a.jpg']}")
    assert {name: color for name, color, _ in meta["classes"]} == {
        "car": "#00ff00",
        "road": "#ff0000",
    }
    assert sorted(filter(None, meta["states"])) == ["BACKLOG", "COMPLETED"]
    with Image.open(gallery.path.parent / rows[0]["t"]) as thumbnail:
        assert (thumbnail.format, max(thumbnail.size) <= 64) == ("WEBP", True)


async def test_a_gallery_of_a_dataset(here: World, tmp_path: Path) -> None:
    """Its labels are those of its project."""
    dataset_id = here.dataset_id
    gallery = await here.client.gallery(tmp_path, dataset_id=dataset_id, options=IN_THREADS)

    assert gallery.objects == 3
    with pytest.raises(NotFoundError, match="is not attached"):
        await here.client.gallery(
            tmp_path, project_id=here.project.id, dataset_id="00000000-0000-0000-0000-000000000000"
        )


async def test_a_dataset_of_several_projects(here: World, tmp_path: Path) -> None:
    """Statistics count the labels of all its projects; a gallery says whose labels it shows."""
    images = [SeedMedia(name, jpeg(3000)) for name in ("x.jpg", "y.jpg")]
    client, theirs = here.client, SeedDataset("Theirs", images)
    (other,) = await here.server.seed(SeedProject("Zoo", datasets=(theirs,)))
    await client.projects.add_dataset(other.id, here.dataset_id)
    await client.label_configs.upload(other.label_configuration_id, config())
    tasks = {each.media_name: each.id for each in (await client.tasks.list(other.id, state="all"))}
    for name in ("a.jpg", "x.jpg"):
        await client.values.write(tasks[name], [Annotation("car", Rectangle(1, 2, 3, 4))])
        await client.tasks.complete(tasks[name])

    counted = await client.stats(dataset_id=here.dataset_id)
    of_one = await client.stats(dataset_id=here.dataset_id, project_id=other.id)
    gallery = await client.gallery(tmp_path, dataset_id=here.dataset_id, options=IN_THREADS)
    theirs_alone = await client.gallery(
        tmp_path / "own", project_id=other.id, dataset_id=here.dataset_id, options=IN_THREADS
    )

    assert (theirs_alone.images, theirs_alone.objects, theirs_alone.notes) == (3, 1, ())
    assert (counted.objects, counted.notes) == (4, ("3 media; labels of 2 projects.",))
    assert counted.states == {"COMPLETED": 3, "BACKLOG": 3}
    assert (of_one.objects, of_one.images) == (1, 1)
    assert of_one.states == {"COMPLETED": 1, "BACKLOG": 2}
    assert counted.name == of_one.name == here.project.datasets[0].name
    words = "The labels are those of the project {}, not of {}."
    assert (gallery.objects, *gallery.notes) in (
        (1, words.format("Zoo", "Street scenes")),
        (3, words.format("Street scenes", "Zoo")),
    )


async def test_predictions_are_compared(here: World, tmp_path: Path) -> None:
    """Classes are found in the configuration of the project; what has no partner is said."""
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "gone.jpg"}],
        "categories": [{"id": 1, "name": "Car"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 8]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [30, 3, 10, 8]},
        ],
    }
    (tmp_path / "p.json").write_text(json.dumps(document))
    options = GalleryOptions(workers=0, compare=tmp_path / "p.json")

    gallery = await here.client.gallery(
        tmp_path / "site", project_id=here.project.id, options=options
    )

    assert (gallery.missed, gallery.false) == (2, 1)
    words = "3 images with 3 objects: open {}. Without a partner: 2 here, 1 in the other labels."
    assert str(gallery) == words.format(gallery.path)
    assert gallery.notes == ("1 image of p.json not found here.",)
    row = data(gallery, "page")[0]
    assert [mark[5] for mark in row["m"]] == [-1, 0]
    assert [mark[5] for mark in row["p"]] == [1, -1]
    assert [short[6] for short in data(gallery, "index")] == [2, 1, 0]
    counts = {name: count for name, _, count in data(gallery, "meta")["classes"]}
    assert counts == {"car": 2, "road": 1}  # without those of the predictions

    results = [{"image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 8], "score": 0.9}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    options = GalleryOptions(
        workers=0, compare=tmp_path / "results.json", images=tmp_path / "p.json"
    )
    gallery = await here.client.gallery(
        tmp_path / "site", project_id=here.project.id, options=options
    )
    assert (gallery.missed, gallery.false) == (2, 0)


async def test_predictions_of_yolo_have_the_sizes_of_the_media(here: World, tmp_path: Path) -> None:
    """They are shares of images that only the service has."""
    task = await here.client.tasks.get(here.project.task_ids["a.jpg"])
    width, height = task.media.width, task.media.height
    assert width
    assert height
    shares = [(2 + 10 / 2) / width, (3 + 8 / 2) / height, 10 / width, 8 / height]
    text = " ".join(map(str, [0, *shares]))
    (tmp_path / "labels").mkdir()
    for name in MEDIA:
        (tmp_path / "labels" / name).with_suffix(".txt").write_text(text)
    options = GalleryOptions(workers=0, compare=tmp_path / "labels", classes=["Car"])

    gallery = await here.client.gallery(
        tmp_path / "site", project_id=here.project.id, options=options
    )

    assert (gallery.missed, gallery.false, gallery.notes) == (1, 1, ())  # a road, and new.jpg


async def test_a_project_without_a_finished_task(tmp_path: Path) -> None:
    """Its labels are in no export: that is said instead of showing none."""
    async with world() as made:
        seed = SeedDataset("Day", media=[SeedMedia("a.jpg", jpeg(2000))])
        (project,) = await made.server.seed(SeedProject("P", datasets=[seed]))
        gallery = await made.client.gallery(tmp_path, project_id=project.id, options=IN_THREADS)
        counted = await made.client.stats(project_id=project.id)
        of_both = await made.client.stats(dataset_id=project.datasets[0].id)
        (bare,) = await made.server.seed_datasets(attrs.evolve(seed, name="Of no project"))
        alone = await made.client.stats(dataset_id=bare.id)
        shown = await made.client.gallery(tmp_path, dataset_id=bare.id, options=IN_THREADS)
        (empty,) = await made.server.seed(SeedProject("Empty"))
        nothing = await made.client.gallery(tmp_path, project_id=empty.id, options=IN_THREADS)
    assert gallery.notes[0].startswith("No task is finished")
    assert counted.notes[0].startswith("No task is finished")
    assert of_both.notes[0] == "1 media; labels of 1 project."
    assert alone.notes == ("1 media; the dataset is in no project, so they have no labels.",)
    assert (alone.name, shown.images, shown.objects, shown.notes) == ("Of no project", 1, 0, ())
    assert (nothing.images, nothing.notes) == (0, ())


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the test's folder the home, and work in an empty folder in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.usefixtures("at_home")
async def test_paths_of_jobs_may_begin_at_home(here: World, tmp_path: Path) -> None:
    """As those of uploads and downloads do; none makes a folder named ~."""
    client, project = here.client, here.project_id
    options = GalleryOptions(workers=0, compare=Path("~/labels.json"))

    exported = await client.export_labels(project, "~/labels.json")
    bitmaps = await client.download_bitmaps(project, "~/bitmaps")
    gallery = await client.gallery("~/gallery", project_id=project, options=options)
    counted = await look.stats("~/labels.json")
    imported = await client.import_labels(project, "~/labels.json", keep_data=True, dry_run=True)

    backup = await client.label_configs.backup(project, "~/backups")

    assert exported.path == tmp_path / "labels.json"
    assert backup.folder.parent == tmp_path / "backups"
    assert (bitmaps.folder, gallery.path.parent) == (tmp_path / "bitmaps", tmp_path / "gallery")
    assert (counted.name, counted.images) == ("labels.json", 2)
    assert len(imported.report.results) == 2
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.usefixtures("at_home")
async def test_paths_of_files_may_begin_at_home(here: World, tmp_path: Path) -> None:
    """Also those of single calls, reports, journals, formats and the service's own folder."""
    client, media = here.client, await here.media()
    config = UploadConfig(journal="~/jobs/a.journal")

    report = await client.upload(here.dataset_id, UploadItem("x.jpg", b"no image"), config=config)
    await client.media.download_to(media[0].id, "~/a.jpg")
    await client.labels.export_to(here.project_id, "~/export.json")
    async with Server("~/service"):
        pass

    def blocking() -> None:
        report.to_csv("~/report.csv")
        report.to_json("~/report.json")
        assert len(list(failed_items("~/report.json", rejected=True))) == 1
        images = [LabeledImage(media_name="a.jpg", width=8, height=8)]
        formats.write(images, "~/coco.json", "coco")
        assert len(formats.read("~/coco.json").images) == 1
        with pytest.raises(ConfigurationError, match="holds no certificate"):
            DataGymClient("token", ca_file="~/report.csv")
        assert show_job("~/jobs/a.journal").counts["rejected"] == 1
        assert list_jobs("~/jobs") == clean_jobs("~/jobs", unfinished=True) != []

    await asyncio.to_thread(blocking)

    made = {"a.jpg", "coco.json", "export.json", "jobs", "report.csv", "report.json", "service"}
    assert {each.name for each in tmp_path.iterdir()} == made | {"here"}
    assert list((tmp_path / "here").iterdir()) == []


async def test_videos_are_counted_and_not_downloaded(tmp_path: Path) -> None:
    """A gallery shows images; statistics count videos by their state."""
    async with world() as made:
        clip = SeedMedia("clip.mp4", video=SeedVideo(), state="COMPLETED")
        seed = SeedDataset("Clips", media=[clip], media_type="VIDEO")
        (project,) = await made.server.seed(SeedProject("V", datasets=[seed], media_type="VIDEO"))

        gallery = await made.client.gallery(tmp_path, project_id=project.id, options=IN_THREADS)
        counted = await made.client.stats(project_id=project.id)
        (bare,) = await made.server.seed_datasets(attrs.evolve(seed, name="Of no project"))
        alone = await made.client.gallery(
            tmp_path / "alone", dataset_id=bare.id, options=IN_THREADS
        )

    assert (gallery.images, gallery.notes) == (0, ("1 video not shown.",))
    assert (alone.images, alone.notes) == (0, ("1 video not shown.",))
    assert (counted.images, counted.states) == (0, {"COMPLETED": 1})
    assert counted.notes == ("1 video: their labels are not looked at.",)


async def test_an_image_that_cannot_be_had_is_said_to_be_so(here: World, tmp_path: Path) -> None:
    """All others are shown, and it is there with what is known of it."""
    media_id = here.project.datasets[0].media_ids["a.jpg"]
    here.plan.add(Status(404), path=media_id)

    gallery = await here.client.gallery(tmp_path, project_id=here.project.id, options=IN_THREADS)

    assert gallery.failed == 1
    assert gallery.problems[0].startswith("a.jpg: ")
    row = data(gallery, "page")[0]
    assert (row["t"], row["n"], len(row["m"])) == ("", "a.jpg", 2)
    assert row["x"]


def photos(folder: Path, *names: str) -> None:
    """Write images of 64 x 48 pixels."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), "gray").save(folder / name, "JPEG")


async def test_a_gallery_of_a_folder(tmp_path: Path) -> None:
    """Labels are found by path or last part; two of one last part take nobody else's."""
    photos(tmp_path / "in", "a/1.jpg", "b/1.jpg", "b/2.jpg", "broken.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"nothing")
    document = {
        "images": [
            {"id": n, "file_name": name}
            for n, name in enumerate(("b/1.jpg", "elsewhere/2.jpg", "1.jpg"))
        ],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 30, 9]} for n in range(3)
        ],
    }
    (tmp_path / "in" / "labels.json").write_text(json.dumps(document))

    gallery = await look.gallery(tmp_path / "in", tmp_path / "site", options=IN_THREADS)

    rows = data(gallery, "page")
    assert [(row["n"], len(row["m"])) for row in rows] == [
        ("a/1.jpg", 0),
        ("b/1.jpg", 1),
        ("b/2.jpg", 1),
        ("broken.png", 0),
    ]
    assert rows[1]["m"][0][1:3] == ["box", "M1 2H31V11H1Z"]
    assert gallery.problems == ("broken.png: It is not an image that can be read.",)
    said = "1 image of labels.json left out: several images here have the same name."
    assert gallery.notes == (said,)


async def test_shapes_of_files_are_shown_as_they_are(tmp_path: Path) -> None:
    """Points and lines, polygons and boxes, and masks with their holes."""
    photos(tmp_path / "in", "a.jpg", "b.jpg")
    corners = {"point": 1, "linestrip": 2, "polygon": 3}
    shapes = [
        {"label": kind, "shape_type": kind, "points": [[5, 5], [15, 5], [9, 15]][:count]}
        for kind, count in corners.items()
    ]
    mask = np.zeros((48, 64), int)
    mask[2:18, 2:18], mask[8:12, 8:12] = 1, 0
    changes = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0, append=0))
    counts = np.diff(changes, prepend=0, append=mask.size).tolist()
    document = {
        "images": [{"id": 1, "file_name": "b.jpg", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [2, 2, 16, 16],
                "segmentation": {"size": [48, 64], "counts": counts},
                "iscrowd": 0,
            }
        ],
    }
    files = {"labelme/a.json": {"imagePath": "a.jpg", "shapes": shapes}, "coco.json": document}
    for name, content in files.items():
        text(tmp_path / name, json.dumps(content))

    kinds = []
    for name in ("labelme", "coco.json"):
        gallery = await look.gallery(
            tmp_path / "in", tmp_path / "site", labels=tmp_path / name, options=IN_THREADS
        )
        kinds += [[mark[1:3] for mark in row["m"]] for row in data(gallery, "page")]

    assert kinds[0] == [
        ["point", "M5 5h0"],
        ["line", "M5 5L15 5"],
        ["polygon", "M5 5L15 5L9 15Z"],
    ]
    assert kinds[1:3] == [[], []]
    (((kind, path),)) = kinds[3]
    assert (kind, path.count("M"), path.count("Z")) == ("mask", 2, 2)


async def test_labels_that_name_an_image_twice_are_said(tmp_path: Path) -> None:
    """As in an import the first ones count; the last ones took their place in silence."""
    photos(tmp_path / "in", "a.jpg")
    document = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(("a.jpg", "sub/A.JPG"))],
        "categories": [{"id": n, "name": f"class {n}"} for n in range(2)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": n, "bbox": [1, 2, 30, 9]} for n in range(2)
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(document))

    labels = tmp_path / "labels.json"
    made = await look.gallery(tmp_path / "in", tmp_path / "o", labels=labels, options=IN_THREADS)

    assert [each[0] for each in data(made, "meta")["classes"]] == ["class_0"]
    said = "1 image of labels.json left out: another one there has the labels of the same image."
    assert (made.objects, made.notes) == (1, (said,))


@pytest.mark.parametrize(
    "name", ["a%20b.jpg", "A B.JPG", "elsewhere/a b.jpg", "a b", "u\u0308.jpg"]
)
async def test_images_of_a_folder_are_found_as_by_an_import(tmp_path: Path, name: str) -> None:
    """Escaped names, other letters, paths of another machine, and names without a suffix."""
    photos(tmp_path / "in", "a b.jpg", "\u00fc.jpg")
    document = {
        "images": [{"id": 1, "file_name": name}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 9]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(document))

    labels = tmp_path / "labels.json"
    gallery = await look.gallery(
        tmp_path / "in", tmp_path / "site", labels=labels, options=IN_THREADS
    )

    assert (gallery.objects, gallery.notes) == (1, ())


@pytest.mark.parametrize(("other", "where"), [("results.json", "truth.json"), ("yolo", "in")])
async def test_labels_that_lie_elsewhere_are_compared(
    tmp_path: Path, other: str, where: str
) -> None:
    """Results have the numbers of the file of labels, and YOLO the sizes of the images."""
    photos(tmp_path / "in", "a.jpg")
    with Image.open(tmp_path / "in" / "a.jpg") as image:
        width, height = image.size
    box = [width / 4, height / 4, width / 2, height / 2]
    document = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": width, "height": height}],
        "categories": [{"id": 9, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 9, "bbox": box}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    results = [{"image_id": 7, "category_id": 9, "bbox": box, "score": 0.5}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")

    for labels, compared, images in (
        ("truth.json", other, None),
        (other, "truth.json", tmp_path / "truth.json"),
    ):
        options = look.GalleryOptions(
            workers=0, compare=tmp_path / compared, images=images, classes=["car"]
        )
        gallery = await look.gallery(
            tmp_path / "in", tmp_path / "site", labels=tmp_path / labels, options=options
        )

        assert (gallery.objects, gallery.missed, gallery.false) == (1, 0, 0)
        assert gallery.notes == ()
    counted = await look.stats(tmp_path / other, images=tmp_path / where, classes=["car"])
    assert [(each.key, each.objects) for each in counted.classes] == [("car", 1)]


async def test_shares_of_an_image_that_cannot_be_read_are_nowhere(tmp_path: Path) -> None:
    """Its size is not known; labels without coordinates are counted."""
    text(tmp_path / "in" / "a.jpg", "nothing")
    text(tmp_path / "yolo" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    task = LabeledTask(
        media_id="1",
        media_name="a.jpg",
        state=TaskState.COMPLETED,
        annotations=[Annotation("car", Incomplete(EntryType.RECTANGLE, [dict.fromkeys("xywh")]))],
    )
    text(tmp_path / "export.json", json.dumps([to_payload(task)]))
    options = GalleryOptions(workers=0, compare=tmp_path / "yolo", classes=["car"])

    gallery = await look.gallery(
        tmp_path / "in", tmp_path / "site", labels=tmp_path / "export.json", options=options
    )

    assert (gallery.failed, gallery.missed, gallery.false) == (1, 0, 0)
    (row,) = data(gallery, "page")
    assert (row["m"], row["p"], row["u"], row["w"]) == ([], [], 1, 0)


async def test_images_of_all_suffixes_are_in_a_gallery(tmp_path: Path) -> None:
    """Those that an import knows; one that Pillow cannot read is there, and told."""
    photos(tmp_path / "in", "a.jfif", "b.JPE")
    (tmp_path / "in" / "c.heic").write_bytes(b"\0\0\0\x18ftypheic")

    gallery = await look.gallery(tmp_path / "in", tmp_path / "site", options=IN_THREADS)

    assert [row["n"] for row in data(gallery, "page")] == ["a.jfif", "b.JPE", "c.heic"]
    assert gallery.problems == ("c.heic: It is not an image that can be read.",)


async def test_a_gallery_among_its_images_is_none_of_them(tmp_path: Path) -> None:
    """`gallery .` writes into a folder of the images, and shows the same ones the next time."""
    photos(tmp_path, "a.jpg", "b/c.jpg", ".datagym/parts/d.jpg")

    for _ in range(2):
        gallery = await look.gallery(tmp_path, tmp_path / "gallery", options=IN_THREADS)

        assert [row["n"] for row in data(gallery, "page")] == ["a.jpg", "b/c.jpg"]
        assert gallery.problems == ()


async def test_two_galleries_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    """Each deletes what the other has made, and numbers its thumbnails from 0."""
    photos(tmp_path / "in", "a.jpg")
    fcntl, site = pytest.importorskip("fcntl"), tmp_path / "site"
    await look.gallery(tmp_path / "in", site, options=IN_THREADS)
    before = set(site.rglob("*"))

    with (site / ".datagym-gallery").open("ab") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="Another run is making a gallery"):
            await look.gallery(tmp_path / "in", site, options=IN_THREADS)
    assert set(site.rglob("*")) == before
    assert (await look.gallery(tmp_path / "in", site, options=IN_THREADS)).images == 1


@pytest.mark.parametrize("by", ["deleted", "replaced", "a file"])
async def test_a_gallery_whose_folder_goes_meanwhile(
    no_blocking_calls: BlockBuster, tmp_path: Path, by: str
) -> None:
    """It is no success: what was written before is gone."""
    no_blocking_calls.deactivate()  # somebody else does it, at this moment
    photos(tmp_path / "in", "a.jpg", "b.jpg")
    site = tmp_path / "site"

    def at_the_first(done: int) -> None:
        if done == 1:
            while site.exists():  # the other image may be written at this moment
                shutil.rmtree(site, ignore_errors=True)
            if by == "replaced":
                site.mkdir(exist_ok=True)
                (site / ".datagym-gallery").touch()
            if by == "a file":
                site.touch()

    options = look.GalleryOptions(workers=0, on_progress=at_the_first)
    with pytest.raises(FileWriteError, match="it was deleted or replaced while") as raised:
        await look.gallery(tmp_path / "in", site, options=options)

    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(site))
    assert not (site / "index.html").exists()
    assert (await look.gallery(tmp_path / "in", tmp_path / "other", options=IN_THREADS)).images == 2


async def test_an_old_page_that_cannot_be_deleted(tmp_path: Path) -> None:
    """The error names the folder, and its lock is not held any longer."""
    fcntl, site = pytest.importorskip("fcntl"), tmp_path / "site"
    photos(tmp_path / "in", "a.jpg")
    await look.gallery(tmp_path / "in", site, options=IN_THREADS)
    (site / "index.html").unlink()
    (site / "index.html" / "in the way").mkdir(parents=True)

    with pytest.raises(FileWriteError, match="site cannot be written") as raised:
        await look.gallery(tmp_path / "in", site, options=IN_THREADS)

    with (site / ".datagym-gallery").open("ab") as ours:  # while the error with its frames lives
        fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
    del raised
    shutil.rmtree(site / "index.html")
    assert (await look.gallery(tmp_path / "in", site, options=IN_THREADS)).images == 1


@NEEDS_FULL_DEVICE
async def test_a_disk_that_is_full_is_no_fault_of_the_images(tmp_path: Path) -> None:
    """The gallery ends at the first thumbnail without room; they were problems of their images."""
    photos(tmp_path / "in", "a.jpg", "b.jpg")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere" / "000"
    elsewhere.mkdir(parents=True)
    (elsewhere / "000000.webp").symlink_to("/dev/full")
    site.mkdir()
    (site / ".datagym-gallery").touch()
    (site / "thumbs").symlink_to(elsewhere.parent)

    with pytest.raises(FileWriteError, match=r"0.webp cannot be written .No space") as raised:
        await look.gallery(tmp_path / "in", site, options=IN_THREADS)

    assert raised.value.errno == errno.ENOSPC
    assert not (site / "index.html").exists()


async def test_large_images_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some small files that decode to 500 MB each took several GB together."""
    (tmp_path / "in").mkdir()
    for number in range(4):
        Image.new("1", (6000, 6000)).save(tmp_path / "in" / f"{number}.png")
    now, most, load = 0, 0, PngImagePlugin.PngImageFile.load

    def counting(image: PngImagePlugin.PngImageFile) -> object:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return load(image)
        finally:
            now -= 1

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", counting)
    made = await look.gallery(tmp_path / "in", tmp_path / "site", options=IN_THREADS)

    assert (made.images, made.failed) == (4, 0)
    assert most == 1


async def test_a_gallery_of_yolo(tmp_path: Path) -> None:
    """A dataset of YOLO is its own labels."""
    photos(tmp_path / "images" / "train", "a.jpg")
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/train\nnames: [car]\n")

    gallery = await look.gallery(tmp_path, tmp_path / "site", options=IN_THREADS)

    assert data(gallery, "page")[0]["m"][0][:3] == [0, "box", "M24 12H40V36H24Z"]


async def test_turned_images_are_shown_as_they_are_stored(tmp_path: Path) -> None:
    """A browser would turn them by EXIF, the labels not: the page has the thumbnail alone."""
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(tmp_path / "in" / "a.jpg", exif=exif)

    gallery = await look.gallery(tmp_path / "in", tmp_path / "site", options=IN_THREADS)

    (row,) = data(gallery, "page")
    assert (row["w"], row["h"], row["o"]) == (64, 48, "")
    with Image.open(gallery.path.parent / row["t"]) as thumbnail:
        assert (thumbnail.size, dict(thumbnail.getexif())) == ((64, 48), {})

    (tmp_path / "in" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "in" / "classes.txt").write_text("car\n")
    gallery = await look.gallery(tmp_path / "in", tmp_path / "site", options=IN_THREADS)
    counted = await look.stats(tmp_path / "in")
    assert gallery.notes == counted.notes  # labels of trainers may lie elsewhere then
    assert counted.notes == (f"1 x {LossKind.TURNED.text} (a.jpg)",)


async def test_thumbnails_are_made_in_processes(tmp_path: Path) -> None:
    """Fresh ones make the same as threads do, and are gone in the end."""
    photos(tmp_path / "in", "a.jpg", "b.jpg")
    options = GalleryOptions(workers=1, size=32)

    gallery = await look.gallery(tmp_path / "in", tmp_path / "site", options=options)

    rows = data(gallery, "page")
    assert gallery.failed == 0
    with Image.open(gallery.path.parent / rows[1]["t"]) as thumbnail:
        assert thumbnail.size == (32, 24)


async def test_what_lies_in_the_way_is_left_alone(tmp_path: Path) -> None:
    """A folder that contains something other is refused; that of a gallery before is made anew."""
    photos(tmp_path / "in", "a.jpg")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.tex").write_text("all of it")

    with pytest.raises(ConfigurationError, match="contains something other"):
        await look.gallery(tmp_path / "in", tmp_path / "site", options=IN_THREADS)
    with pytest.raises(ConfigurationError, match=r"a\.jpg is not a folder; name a new one"):
        await look.gallery(tmp_path / "in", tmp_path / "in" / "a.jpg", options=IN_THREADS)
    with pytest.raises(ConfigurationError, match="There is no image"):
        await look.gallery(tmp_path / "site", tmp_path / "new", options=IN_THREADS)
    await look.gallery(tmp_path / "in", tmp_path / "new", options=IN_THREADS)
    photos(tmp_path / "in", "b.jpg")
    again = await look.gallery(tmp_path / "in", tmp_path / "new", options=IN_THREADS)

    assert again.images == 2
    assert (tmp_path / "site" / "thesis.tex").read_text() == "all of it"


def test_nothing_to_choose_from() -> None:
    """Where there is no image, no class or state is to blame."""
    nothing: Any = SimpleNamespace(title="Empty", subjects=())

    with pytest.raises(ConfigurationError, match=r"^There is no image in Empty$"):
        look.Choice().of(nothing)


def test_a_program_makes_a_gallery_without_a_guard(tmp_path: Path) -> None:
    """It runs once: no process that makes thumbnails runs its file again."""
    photos(tmp_path / "in", "a.jpg", "b.jpg")
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\n"
        "from datagym_async import look\n"
        "print('begun')\n"
        f"print(asyncio.run(look.gallery({str(tmp_path / 'in')!r}, {str(tmp_path / 'site')!r})))\n"
    )

    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)

    page = tmp_path / "site" / "index.html"
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"begun\n2 images with 0 objects: open {page}.\n"


async def test_labels_of_no_known_format(tmp_path: Path) -> None:
    """Asked for, they are an error; a folder may have none."""
    photos(tmp_path / "in", "a.jpg")
    (tmp_path / "labels.json").write_text("hello")

    with pytest.raises(FormatError):
        await look.gallery(
            tmp_path / "in", tmp_path / "site", labels=tmp_path / "labels.json", options=IN_THREADS
        )
    gallery = await look.gallery(tmp_path / "in", tmp_path / "site", options=IN_THREADS)
    assert gallery.notes[0].startswith("No labels are shown: ")


@pytest.mark.parametrize("wrong", [{"size": 8}, {"least": 0}, {"least": 2}])
def test_options_of_a_gallery(wrong: dict[str, Any]) -> None:
    """What is out of range is said at once."""
    with pytest.raises(ConfigurationError):
        GalleryOptions(**wrong)


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (APIConnectionError("gone"), True),
        (PermissionDeniedError("no", status=403), True),
        (NotFoundError("deleted", status=404), False),
    ],
)
async def test_a_sheet_of_a_service_that_is_gone(
    tmp_path: Path, error: Exception, ends: bool
) -> None:
    """It is an error; it was a sheet of gray fields. An image that was deleted is one of them.

    Its name may have any length: Pillow refuses to write more than a million letters.
    """

    async def load(_: object) -> object:
        raise error

    named = ["long" * 300_000, *(f"{n}.jpg" for n in range(19))]
    subjects = [SimpleNamespace(name=each, labels=None, state="") for each in named]
    looked: Any = SimpleNamespace(title="a", subjects=subjects, load=load, config=None)
    sheet = tmp_path / "sheet.png"

    if ends:
        with pytest.raises(type(error)) as raised:
            await look.build_sheet(looked, sheet, look.Choice())
        assert raised.value is error
    else:
        names = tuple(each.name for each in subjects)
        assert await look.build_sheet(looked, sheet, look.Choice()) == (20, names)
    assert sheet.exists() == (not ends)


async def test_a_service_that_is_gone_ends_a_gallery(here: World, tmp_path: Path) -> None:
    """Its error comes out: each image would say the same."""
    with pytest.raises(ConfigurationError, match="Nothing is named"):
        await here.client.gallery(tmp_path)
    for path in ("/media/", ""):
        here.plan.add(Status(401), path=path)
        with pytest.raises(AuthenticationError):
            await here.client.gallery(tmp_path, project_id=here.project.id, options=IN_THREADS)
        assert not (tmp_path / "index.html").exists()


@pytest.mark.filterwarnings(NUMPY_2)
@pytest.mark.parametrize("name", ["json", "jsonl", "coco", "yolo", "yolo-seg", "voc", "kitti"])
async def test_a_download_is_looked_at_with_the_labels_it_wrote_last(
    here: World, tmp_path: Path, name: Any
) -> None:
    """Each image is there once, whatever lies beside its labels; and they are those of an import.

    Labels of a second run replace those of the first, which is in another format.
    """
    folder, project, client = tmp_path / "photos", here.project.id, here.client
    await client.download_project(project, folder, config=DownloadConfig(labels=["cvat"]))
    await client.values.write(here.project.task_ids["b.jpg"], [CAR, CAR])
    await client.tasks.complete(here.project.task_ids["b.jpg"])
    await client.download_project(project, folder, config=DownloadConfig(labels=[name]))

    gallery = await look.gallery(folder, tmp_path / "gallery")
    counted = await look.stats(folder)
    read = [image async for image in PredictionFile(folder)]

    assert (gallery.images, gallery.objects) == (3, 5)
    assert (counted.images, sum(each.objects for each in counted.classes)) == (2, 5)
    assert len(read) == 2
