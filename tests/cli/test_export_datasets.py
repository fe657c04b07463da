"""`export --images`, `--split` and `--classes`, `download --labels`: folders that trainers take."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import yaml

from datagym_async import DataGymClient
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Rectangle,
)
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject
from datagym_async.testing import Hang, ServiceError, Status
from tests.cli.conftest import Cli
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.testing import FaultPlan
    from tests.helpers.server_thread import ServerThread

NAMES = ("a.jpg", "b.jpg", "night/a.jpg", "z.jpg")
BOX = Annotation("vehicle", Rectangle(4.5, 6.25, 20, 10.5), [Classification.select("kind", "bus")])


@attrs.frozen
class Bench:
    """The command line, a project of four finished images, three of them with a bus."""

    cli: Cli
    root: Path
    project: SeededProject

    def export(self, *options: object) -> Any:
        """Export the project as YOLO."""
        words = ("export", "streets", "--format", "yolo", "--select", "kind")
        return self.cli(*words, "-o", self.root / "yolo", *options)

    def files(self, folder: str = "yolo") -> list[str]:
        """Return all files of a folder."""
        root = self.root / folder
        return sorted(each.relative_to(root).as_posix() for each in root.rglob("*.*"))

    @property
    def names(self) -> dict[int, str]:
        """The numbers of classes in what was exported."""
        found: dict[int, str] = yaml.safe_load((self.root / "yolo" / "data.yaml").read_text())[
            "names"
        ]
        return found


@pytest.fixture
def bench(service: ServerThread, at_service: Cli, tmp_path: Path) -> Bench:
    """A bench."""
    media = [SeedMedia(name, jpeg(3000, seed=at)) for at, name in enumerate(NAMES)]
    seed = SeedProject("Streets", datasets=[SeedDataset("Photos", media=media)])
    (project,) = service.call(service.server.seed(seed))
    asyncio.run(_label(service.base_url, project))
    return Bench(at_service, tmp_path, project)


async def _label(base_url: str, project: SeededProject) -> None:
    config = LabelConfig()
    kinds = {"tram": "Tram line", "bus": "City bus"}
    config.add_rectangle("vehicle", "Vehicle").add_select("kind", "Kind", kinds)
    async with DataGymClient(TOKEN, base_url) as client:
        await client.label_configs.upload(project.label_configuration_id, config)
        ids = project.datasets[0].media_ids
        images = [LabeledImage(media_id=ids[name], annotations=[BOX]) for name in NAMES[:3]]
        await client.labels.import_predictions(project.id, images, keep_data=False)
        await client.tasks.complete_many(project.task_ids.values())


LAYOUT = [
    "data.yaml",
    *(f"images/train/{name}" for name in NAMES),
    *(f"labels/train/{Path(name).with_suffix('.txt').as_posix()}" for name in NAMES),
]


def test_images_that_are_downloaded(bench: Bench, service: ServerThread) -> None:
    """They lie beside their labels; a second export fetches none of them again."""
    ran = bench.export("--images", "download")
    assert ran.status == 0
    assert ran.err.replace("\n", " ").strip() == (
        f"The images were downloaded to {bench.root / 'yolo.media'}, where the next export finds "
        "them; you may delete that folder."
    )
    assert bench.files() == LAYOUT
    image = bench.root / "yolo" / "images" / "train" / "a.jpg"
    assert image.read_bytes() == jpeg(3000, seed=0)
    assert image.stat().st_nlink == 2  # the one of the download
    assert bench.names == {0: "Tram line", 1: "City bus"}  # used or not
    first = (bench.root / "yolo" / "labels" / "train" / "a.txt").read_text()
    assert first.split()[0] == "1"

    image.unlink()
    assert bench.export("--images", "download", "--overwrite", "--json").status == 0
    assert image.stat().st_nlink == 2
    shutil.rmtree(bench.root / "yolo.media")
    assert image.read_bytes() == jpeg(3000, seed=0)


@pytest.mark.parametrize("way", ["link", "copy"])
def test_images_of_an_earlier_download(bench: Bench, way: str) -> None:
    """Its manifest says which file each media has."""
    media = bench.root / "media"
    assert bench.cli("download", media, "--dataset", "photos").status == 0
    assert bench.export("--images", way, "--images-from", media).status == 0
    assert bench.files() == LAYOUT
    image = bench.root / "yolo" / "images" / "train" / "night" / "a.jpg"
    assert image.read_bytes() == jpeg(3000, seed=2)
    assert image.stat().st_nlink == (2 if way == "link" else 1)


def test_a_manifest_that_was_changed_is_named_with_its_line(bench: Bench) -> None:
    """Before anything is written; a path in it that leads outside is refused as well."""
    media = bench.root / "media"
    assert bench.cli("download", media, "--dataset", "photos").status == 0
    manifest = media / "manifest.jsonl"
    first, rest = manifest.read_bytes().split(b"\n", 1)
    outside, none = ({**json.loads(first), "file": file} for file in ("../../a.jpg", None))
    for wrong, words in (
        (b"{}", "line 1: it is not what a download has written"),
        (b"\xff" + first, "line 1: it is not what a download has written"),
        (b"[" * 100_000, "line 1: it is not what a download has written"),
        (json.dumps(none).encode(), "line 1: it is not what a download has written"),
        (json.dumps(outside).encode(), "../../a.jpg"),
    ):
        manifest.write_bytes(wrong + b"\n" + rest)
        ran = bench.export("--images", "copy", "--images-from", media)
        assert (ran.status, words in ran.err) == (2, True), ran.err
        assert not (bench.root / "yolo").exists()
    assert bench.cli("download", media, "--dataset", "photos").status == 0
    assert bench.export("--images", "copy", "--images-from", media).status == 0


def test_images_of_any_folder(bench: Bench) -> None:
    """They are found by name; one that is not there is told, and its labels are there alone."""
    media = bench.root / "mine"
    for at, name in enumerate(NAMES[:3]):
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        (media / name).write_bytes(jpeg(3000, seed=at))
    ran = bench.export("--images", "copy", "--images-from", media)
    assert (ran.status, "z.jpg" in ran.err) == (1, True)
    assert bench.files() == [name for name in LAYOUT if name != "images/train/z.jpg"]
    (media / "deep").mkdir()  # where the last part of a name tells it
    (media / "b.jpg").replace(media / "deep" / "b.jpg")
    ran = bench.export("--images", "link", "--images-from", media, "--overwrite", "--lossy-ok")
    assert ran.status == 0
    assert "images/train/b.jpg" in bench.files()
    bench.export("--images", "link", "--images-from", bench.root, "--overwrite")
    assert "images/train/b.jpg" in bench.files(), "those of the last export are no second ones"


def test_what_cannot_go_together(bench: Bench) -> None:
    """Links need files, and files a way; it is said before anything is fetched."""
    ran = bench.export("--images", "link")
    assert (ran.status, "--images-from" in ran.err) == (2, True)
    ran = bench.export("--images-from", bench.root)
    assert (ran.status, "--images" in ran.err) == (2, True)
    ran = bench.export("--images", "copy", "--images-from", bench.root / "nowhere")
    assert (ran.status, "is not a folder" in ran.err) == (2, True)
    ran = bench.export("--split", "train=0.8,rest=0.2")
    assert (ran.status, "rest" in ran.err) == (2, True)
    ran = bench.export("--classes", bench.root / "none.txt")
    assert (ran.status, "none.txt" in ran.err) == (2, True)
    ran = bench.cli("export", "streets", "-o", bench.root / "x.json", "--split", "train=1")
    assert (ran.status, "neither images nor parts" in ran.err) == (2, True)
    assert [each.name for each in bench.root.iterdir()] == []


def test_a_media_that_cannot_be_had(bench: Bench, faults: FaultPlan) -> None:
    """Its labels are there without it, which is told and counts; the others are whole."""
    media_id = bench.project.datasets[0].media_ids["b.jpg"]
    faults.add(ServiceError(404, "ex_notfound"), path=f"/{media_id}")
    ran = bench.export("--images", "download")
    assert (ran.status, "lost: 1 x images without a file" in ran.err) == (1, True)
    assert len([name for name in bench.files() if name.startswith("images/")]) == 3


def test_an_export_that_breaks_off_is_not_there(bench: Bench, faults: FaultPlan) -> None:
    """What was downloaded stays beside it, and is not fetched again."""
    faults.add(Status(401), path=r"/media/", nth=3)
    ran = bench.export("--images", "download", "--retries", "0")
    assert ran.status != 0
    assert not (bench.root / "yolo").exists()
    faults.clear()
    assert bench.export("--images", "download").status == 0
    assert bench.files() == LAYOUT


def test_parts(bench: Bench) -> None:
    """Each image is in one part with its labels; what is of one folder stays together."""
    split = ("--split", "train=0.5,val=0.5", "--images", "download")
    assert bench.export(*split).status == 0
    images = [name for name in bench.files() if name.startswith("images/")]
    labels = [name for name in bench.files() if name.startswith("labels/")]
    assert sorted(name.split("/", 2)[2] for name in images) == sorted(NAMES)
    assert [name.split("/")[1] for name in images] == [name.split("/")[1] for name in labels]
    data = yaml.safe_load((bench.root / "yolo" / "data.yaml").read_text())
    assert (data["train"], data["val"]) == ("images/train", "images/val")
    assert bench.export(*split, "--group", r"(.*)\.jpg", "--overwrite").status == 0
    assert sorted(name.split("/", 2)[2] for name in bench.files() if "images/" in name) == sorted(
        NAMES
    )


def test_numbers_that_stay(bench: Bench) -> None:
    """A file fixes them, of any of three kinds; other classes come after these."""
    names = bench.root / "names.txt"
    names.write_text("City bus\nBicycle\n")
    assert bench.export("--classes", names).status == 0
    assert bench.names == {0: "City bus", 1: "Bicycle", 2: "Tram line"}
    kept = bench.root / "kept.yaml"
    shutil.copyfile(bench.root / "yolo" / "data.yaml", kept)
    assert bench.export("--categories", kept, "--overwrite").status == 0
    assert bench.names == {0: "City bus", 1: "Bicycle", 2: "Tram line"}


async def _complete(base_url: str, project: SeededProject, shape: Rectangle) -> None:
    async with DataGymClient(TOKEN, base_url) as client:
        for name, task_id in project.task_ids.items():
            if name == "z.jpg":
                kind = [Classification.select("kind", "tram")]
                await client.values.write(task_id, [Annotation("vehicle", shape, kind)])
                await client.tasks.complete(task_id)


def test_more_tasks_change_no_number(bench: Bench, service: ServerThread) -> None:
    """Classes are those of the project, and not of the tasks that happen to be finished."""
    assert bench.export("--only-labelled").status == 0
    before = bench.names
    asyncio.run(_complete(service.base_url, bench.project, Rectangle(1, 2, 3, 4)))
    assert bench.export("--only-labelled", "--overwrite").status == 0
    assert bench.names == before == {0: "Tram line", 1: "City bus"}
    text = (bench.root / "yolo" / "labels" / "train" / "z.txt").read_text()
    assert text.split()[0] == "0"


def test_what_goes_beyond_an_image(bench: Bench, service: ServerThread) -> None:
    """It is told; --clip cuts it off at the edge, in each format, and tells that."""
    asyncio.run(_complete(service.base_url, bench.project, Rectangle(-0.5, 2, 1000, 3)))
    ran = bench.export()
    assert (ran.status, "changed: 1 x shapes that extend beyond" in ran.err) == (0, True)
    ran = bench.export("--clip", "--overwrite")
    assert (ran.status, "cut off at the edges" in ran.err) == (0, True)
    line = (bench.root / "yolo" / "labels" / "train" / "z.txt").read_text()
    assert [float(each) for each in line.split()][1::2] == [0.5, 1.0]
    words = ("export", "streets", "--format", "coco", "--select", "kind", "--clip")
    assert bench.cli(*words, "-o", bench.root / "coco.json").status == 0
    document = json.loads((bench.root / "coco.json").read_bytes())
    (image,) = (each for each in document["images"] if each["file_name"] == "z.jpg")
    (box,) = (e["bbox"] for e in document["annotations"] if e["image_id"] == image["id"])
    assert box == [0, 2, image["width"], 3]


def test_the_first_pixel_of_voc(bench: Bench) -> None:
    """It is 1, as the format has it, and 0 with --zero-based."""
    file = bench.root / "voc" / "Annotations" / "a.xml"
    words = ("export", "streets", "--format", "voc", "--select", "kind", "-o", bench.root / "voc")
    for options, edge in ((), "5.5"), (("--zero-based", "--overwrite"), "4.5"):
        bench.cli(*words, *options)
        assert f"<xmin>{edge}</xmin>" in file.read_text()


def test_coco_with_images(bench: Bench) -> None:
    """It is a folder then, and names the images as they lie there."""
    words = ("export", "streets", "--format", "coco", "--select", "kind")
    ran = bench.cli(*words, "-o", bench.root / "coco", "--images", "download")
    assert ran.status == 0
    (file,) = (bench.root / "coco" / "annotations").iterdir()
    document = json.loads(file.read_bytes())
    folder = next(each for each in (bench.root / "coco" / "images").rglob("z.jpg")).parent
    assert all((folder / each["file_name"]).is_file() for each in document["images"])
    assert [each["bbox"] for each in document["annotations"]] == [[4.5, 6.25, 20, 10.5]] * 3


CATEGORIES = [
    {"id": 3, "name": "кошка", "supercategory": "animal"},
    {
        "id": 7,
        "name": "person",
        "supercategory": "human",
        "keypoints": ["nose", "left_eye", "right_eye"],
        "skeleton": [[1, 2], [1, 3]],
    },
    {"id": 9, "name": "other", "supercategory": "animal"},
    {"id": 11, "name": "other", "supercategory": "human"},
]


def test_a_coco_file_goes_round(service: ServerThread, at_service: Cli, tmp_path: Path) -> None:
    """Into an empty project and out again by three commands: categories, boxes, keypoints."""
    media = [SeedMedia(name, jpeg(3000, seed=at)) for at, name in enumerate(NAMES)]
    seed = SeedProject("Round", datasets=[SeedDataset("Rounds", media=media)])
    service.call(service.server.seed(seed))
    chance = random.Random(4)
    annotations: list[dict[str, Any]] = []
    for number in range(40):
        category = CATEGORIES[number % 4]
        box = [chance.uniform(0, 23), chance.uniform(0, 23), *(chance.uniform(4, 24),) * 2]
        said = {"id": number + 1, "image_id": number % 3 + 10, "category_id": category["id"]}
        annotations.append({**said, "bbox": box, "iscrowd": 0})
        if "keypoints" in category:
            x, y = box[0] + 1.125, box[1] + 2.375
            points = [0, 0, 0, x, y, 2, x + 1, y, 2]
            annotations[-1] |= {"keypoints": points, "num_keypoints": 2}
    images = [{"id": at + 10, "file_name": name} for at, name in enumerate(NAMES)]
    given = {"images": images, "categories": CATEGORIES, "annotations": annotations}
    file, out = tmp_path / "in.json", tmp_path / "out.json"
    file.write_text(json.dumps(given))

    words = ("--replace", "--create-config", "--shape", "rectangle")
    assert at_service("import", file, "--project", "round", *words).status == 0
    done = at_service("tasks", "complete", "--project", "round", "--state", "backlog", "--yes")
    assert done.status == 0
    ran = at_service("export", "round", "-o", out, "--format", "coco", "--categories", file)
    assert (ran.status, ran.err) == (0, "")

    def plain(document: dict[str, Any]) -> list[tuple[object, ...]]:
        names = {each["id"]: each["file_name"] for each in document["images"]}
        found = []
        for each in document["annotations"]:
            points = [round(number, 2) for number in each.get("keypoints", ())]
            box = [round(number, 2) for number in each["bbox"]]
            found.append((names[each["image_id"]], each["category_id"], box, points))
        return sorted(found)

    written = json.loads(out.read_bytes())
    assert written["categories"] == CATEGORIES
    assert plain(written) == plain(given)


@pytest.mark.parametrize("format_", ["yolo", "yolo-seg", "yolo-obb", "voc", "imagefolder"])
def test_labels_beside_a_download(bench: Bench, format_: str) -> None:
    """They are a dataset of their own, with links to what was downloaded, and exact."""
    out = bench.root / "out"
    words = ("download", out, "--dataset", "photos", "--labels", format_)
    ran = bench.cli(*words, "--split", "train=0.5,val=0.5")
    assert ran.status in (0, 1)
    dataset = out / f"labels.{format_}"
    linked = list(dataset.rglob("*.jpg"))
    assert len(linked) == len(NAMES)
    assert {each.stat().st_ino for each in linked} <= {
        each.stat().st_ino for each in out.rglob("*.jpg") if dataset not in each.parents
    }


def test_downloaded_labels_are_exact(bench: Bench) -> None:
    """COCO beside a download has every digit; --no-exact has whole pixels."""
    out = bench.root / "out"
    for option, box in ((), [4.5, 6.25, 20, 10.5]), (("--no-exact",), [4, 6, 20, 10]):
        ran = bench.cli("download", out, "--project", "streets", "--labels", "coco", *option)
        document = json.loads((out / "labels.coco.json").read_bytes())
        assert [each["bbox"] for each in document["annotations"]] == [box] * 3
        assert (out / document["images"][0]["file_name"]).is_file()
        assert ran.status == 1  # the select is not the one that tells the class by default
        assert "answers to selects" in ran.err
    ran = bench.cli("download", out, "--project", "streets", "--labels", "coco", "--lossy-ok")
    assert ran.status == 0


@pytest.mark.skipif(sys.platform == "win32", reason="raises POSIX signals")
def test_an_interruption_while_it_downloads(bench: Bench, faults: FaultPlan) -> None:
    """The folder is not there, nor half of one; the same command goes on with the download."""

    def interrupt(_: object) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return True

    faults.add(Hang(), path=r"/media/", when=interrupt)
    ran = bench.export("--images", "download")
    assert (ran.status, ran.out) == (130, "")
    assert [each.name for each in bench.root.iterdir()] == ["yolo.media"]
    faults.clear()
    assert bench.export("--images", "download").status == 0
    assert bench.files() == LAYOUT
