"""`stats`, `gallery` and `preview` on the command line."""

from __future__ import annotations

import asyncio
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async import DataGymClient
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Rectangle,
)
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, SeedVideo
from tests.helpers.photos import half_jpeg, jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread

MISSING = "00000000-0000-0000-0000-000000000000"
NAMES = ("a.jpg", "<script>alert(1)<.jpg", "new.jpg")
CAR = Annotation("car", Rectangle(2, 3, 10, 8), [Classification.select("kind", "bus")])


@pytest.fixture
def project(service: ServerThread) -> SeededProject:
    """A project with two finished tasks, on one of which a box is drawn twice."""
    media = [SeedMedia(name, jpeg(3000)) for name in NAMES]
    seed = SeedProject("Cars", datasets=[SeedDataset("Photos", media=media)])
    (made,) = service.call(service.server.seed(seed))
    asyncio.run(_label(service.base_url, made))
    return made


async def _label(base_url: str, project: SeededProject) -> None:
    config = LabelConfig()
    config.add_rectangle("car", "Car", color="#00ff00").add_select("kind", "K", {"bus": "Bus"})
    ids = project.datasets[0].media_ids
    async with DataGymClient(TOKEN, base_url) as client:
        await client.label_configs.upload(project.label_configuration_id, config)
        images = [
            LabeledImage(media_id=ids[NAMES[0]], annotations=[CAR, CAR]),
            LabeledImage(media_id=ids[NAMES[1]], annotations=[CAR]),
        ]
        report = await client.labels.import_predictions(project.id, images, keep_data=False)
        assert report.ok
        await client.tasks.complete_many([project.task_ids[name] for name in NAMES[:2]])


@pytest.mark.parametrize("of", ["Cars", "Photos"])
@pytest.mark.usefixtures("project")
def test_statistics_of_a_project_and_a_dataset(at_service: Cli, of: str) -> None:
    """Classes, states, doubles; a dataset has the labels that its projects have."""
    ran = at_service("stats", of, "--json", "--fail-on", "double")

    assert ran.status == 1
    assert ran.document["objects"] == 3
    states = ran.document["states"]
    assert isinstance(states, dict)
    assert states["COMPLETED"] == 2
    assert sum(states.values()) == 3
    findings = ran.document["findings"]
    assert isinstance(findings, list)
    assert {each["kind"]: each["count"] for each in findings}["double"] == 1


@pytest.mark.usefixtures("project")
def test_statistics_on_a_screen_and_in_files(at_service: Cli, tmp_path: Path) -> None:
    """A page, charts and JSON are written beside what the screen says; no kind, no failure."""
    files = [tmp_path / name for name in ("a.html", "b.svg", "c.json")]

    ran = at_service("stats", "Cars", *(word for file in files for word in ("-o", file)))

    assert ran.status == 0
    assert "Cars: 2 images with 3 objects of 1 class." in ran.out
    assert "█" in ran.out
    assert _titles(ran.out)[1:] == [
        "Class",
        "State",
        "Objects by size",
        "Images by objects",
        "Question",
        "Findings",
    ]
    assert "<script" not in files[0].read_text()
    assert ET.parse(files[1]).getroot().tag.endswith("svg")
    assert json.loads(files[2].read_text())["images"] == 2


def _titles(text: str) -> list[str]:
    """Return what stands first in each block of a text."""
    return [re.split(" {2,}", block.splitlines()[0])[0] for block in text.split("\n\n")]


def test_statistics_of_a_file(cli: Cli, tmp_path: Path) -> None:
    """A file needs no service and no token."""
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [60, 10, 2, 20]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))

    ran = cli("stats", tmp_path / "coco.json", "--fail-on", "tiny", "--quiet")

    assert (ran.status, ran.out) == (1, "")
    assert "--fail-on tiny: 1 (tiny objects, with a side shorter than the limit)." in ran.err
    over = cli("stats", tmp_path / "coco.json", "-o", tmp_path / "." / "coco.json")
    assert (over.status, "is what is read here" in over.err) == (2, True)
    over = cli("stats", tmp_path, "-o", tmp_path / "coco.json")
    assert (over.status, "is what is read here" in over.err) == (2, True)
    assert json.loads((tmp_path / "coco.json").read_text()) == document
    drawn = ["Objects by size", "Images by objects", "Images by size"]
    assert _titles(cli("stats", tmp_path / "coco.json").out)[1:] == ["Class", *drawn, "Findings"]
    document |= {"annotations": [], "categories": []}
    (tmp_path / "none.json").write_text(json.dumps(document))
    assert _titles(cli("stats", tmp_path / "none.json").out)[1:] == [*drawn[1:], "Findings"]
    (tmp_path / "none.json").unlink()
    pages = ("-o", tmp_path / "a.html", "-o", tmp_path / "a.svg")
    assert [cli("stats", tmp_path, *pages).status for _ in range(2)] == [0, 0]
    assert cli("stats", tmp_path, "-o", tmp_path / "new.json").status == 0


def test_a_gallery_of_a_folder_has_the_labels_in_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one JSON file is asked first; the one that Label Studio puts beside YOLO has none.

    The folder that one is in is called ".".
    """
    (tmp_path / "in" / "labels").mkdir(parents=True)
    (tmp_path / "in" / "a.jpg").write_bytes(jpeg(3000))
    (tmp_path / "in" / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "in" / "classes.txt").write_text("car\n")
    (tmp_path / "in" / "notes.json").write_text('{"categories": [{"id": 0, "name": "car"}]}')
    ran = cli("gallery", tmp_path / "in", "-o", tmp_path / "site", "--workers", 0, "--json")
    assert (ran.status, ran.document["objects"], ran.document["notes"]) == (0, 1, [])
    monkeypatch.chdir(tmp_path / "in")
    assert cli("stats", ".").out.startswith(".: 1 image with 1 object of 1 class.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "There is no file, project or dataset 'nothing'."),
        (["Car"], "Did you mean 'Cars'?"),
        (["Photo"], "Did you mean 'Photos'?"),
        (["Cars", "--fail-on", "ugly"], "--fail-on does not know 'ugly'"),
        (["Cars", "--fail-on", ""], "--fail-on does not know ''"),
        (["Cars", "-o", "a.png"], "must end in .html, .svg or .json"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_statistics_cannot_do(at_service: Cli, arguments: list[str], said: str) -> None:
    """A wrong word is said to be one, with the way out."""
    ran = at_service("stats", *arguments)

    assert ran.status == 2
    assert said in ran.err


# --- gallery and preview --------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["Cars", "Photos"])
@pytest.mark.usefixtures("project")
def test_a_gallery_of_a_project_and_a_dataset(at_service: Cli, tmp_path: Path, of: str) -> None:
    """It says what to open, and what is there."""
    ran = at_service("gallery", of, "-o", tmp_path / "site", "--workers", 0)

    assert (ran.status, ran.err.count("Error")) == (0, 0)
    assert f"3 images with 3 objects: open {tmp_path / 'site' / 'index.html'}." in ran.out
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize(
    "argv",
    [
        ("stats", "no.json"),
        ("gallery", "no.json", "-o", "g"),
        ("preview", "no.json", "-o", "p.png"),
    ],
)
def test_a_slip_in_a_path_is_not_about_the_token_alone(cli: Cli, argv: tuple[str, ...]) -> None:
    """What is no file may be a project or dataset; without a token the file is what was meant."""
    ran = cli(*argv)

    assert ran.status == 2
    assert "There is no file or folder 'no.json', and a project or dataset needs a tok" in ran.err


def test_a_gallery_of_a_folder_needs_no_token(cli: Cli, tmp_path: Path) -> None:
    """What cannot be decoded is named, and makes status 1."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(jpeg(3000))
    (tmp_path / "in" / "b.jpg").write_bytes(b"nothing")

    ran = cli("gallery", tmp_path / "in", "-o", tmp_path / "site", "--workers", 0, "--json")
    said = cli("gallery", tmp_path / "in", "-o", tmp_path / "site", "--workers", 0)

    assert (ran.status, ran.document["images"], ran.document["failed"]) == (1, 2, 1)
    assert "cannot be shown: b.jpg: " in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "There is no file, project or dataset 'nothing'."),
        (["Cars", "--labels", "a.json"], "--labels is for files and folders"),
        (["Cars", "--classes", "a.txt"], "--classes is for files and folders"),
        (
            ["Cars", "--project", "Cars"],
            "--project is for datasets and media, and 'Cars' is neither",
        ),
        ([".", "--project", "Cars"], "--project is for datasets and media, and '.' is a path here"),
        (["Cars", "--compare", "no.json"], "no.json"),
        (["Cars", "--iou", "0.7"], "--iou needs --compare."),
        (["notes.txt"], "notes.txt is no image"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_a_gallery_cannot_do(
    at_service: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    """A wrong word is said to be one."""
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "a.jpg"):
        (tmp_path / name).touch()
    ran = at_service("gallery", *arguments, "-o", tmp_path / "site", "--workers", 0)

    assert ran.status == 2
    assert said in ran.err


@pytest.mark.parametrize("suffix", ["png", "jpg", "pdf"])
@pytest.mark.usefixtures("project")
def test_a_contact_sheet(at_service: Cli, tmp_path: Path, suffix: str) -> None:
    """It is a picture or a document; images are chosen by what they are."""
    ran = at_service("preview", "Cars", "--class", "car", "-o", tmp_path / f"a.{suffix}")

    assert ran.status == 0
    assert "2 images in" in ran.out
    start = {"png": b"\x89PNG", "jpg": b"\xff\xd8", "pdf": b"%PDF"}[suffix]
    assert (tmp_path / f"a.{suffix}").read_bytes().startswith(start)


def test_the_same_seed_chooses_the_same_images(
    at_service: Cli, project: SeededProject, tmp_path: Path
) -> None:
    """State and name choose as well; a media is drawn alone."""

    def run(*arguments: object) -> tuple[int, bytes]:
        ran = at_service("preview", *arguments, "-o", tmp_path / "a.png", "--json")
        assert ran.status == 0, ran.err
        return int(str(ran.document["images"])), (tmp_path / "a.png").read_bytes()

    assert run("Cars", "-n", 1, "--seed", 5) == run("Cars", "-n", 1, "--seed", 5)
    assert run("Cars", "--state", "completed")[0] == 2
    assert run("Photos", "-p", "Cars", "--query", "SCRIPT")[0] == 1
    media_id = project.datasets[0].media_ids["a.jpg"]
    with_labels, plain = run(media_id, "-p", "Cars"), run(media_id)
    assert with_labels[0] == plain[0] == 1
    assert with_labels != plain


def test_an_image_on_the_disk(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is drawn with the labels of its folder."""
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 9, 9]}],
    }
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(jpeg(3000))
    drawn = []
    for _ in range(2):
        assert cli("preview", tmp_path / "a.jpg", "-o", tmp_path / "out.png").status == 0
        drawn.append((tmp_path / "out.png").read_bytes())
        (tmp_path / "labels.json").write_text(json.dumps(document))

    assert drawn[0] != drawn[1]
    for what in (tmp_path / "a.jpg", tmp_path):
        over = cli("preview", what, "-o", tmp_path / "a.jpg")
        assert (over.status, "is what is read here" in over.err) == (2, True)
        assert (tmp_path / "a.jpg").read_bytes() == jpeg(3000)
    monkeypatch.chdir(tmp_path)
    assert [cli("preview", ".").status for _ in range(2)] == [0, 0]  # over its own sheet


def test_a_media_that_cannot_be_drawn(
    service: ServerThread, at_service: Cli, tmp_path: Path
) -> None:
    """A video, or half an image, is said in words, and nothing is written."""
    half = SeedProject("Half", datasets=[SeedDataset("H", [SeedMedia("h.jpg", half_jpeg(9000))])])
    clip = SeedMedia("c.mp4", b"\0\0\0 ftypmp42", video=SeedVideo())
    clips = SeedProject("V", [SeedDataset("C", [clip], media_type="VIDEO")], media_type="VIDEO")
    image, video = service.call(service.server.seed(half, clips))

    words = {
        image.datasets[0].media_ids["h.jpg"]: "image file is truncated",
        video.datasets[0].media_ids["c.mp4"]: "It is not an image that can be read.",
    }
    for media_id, why in words.items():
        ran = at_service("preview", media_id, "-o", tmp_path / "a.png")
        assert (ran.status, ran.out) == (1, "")
        assert f"The media {media_id} cannot be drawn: {why}" in ran.err
    assert list(tmp_path.glob("*.png")) == []


def test_images_on_a_sheet_that_cannot_be_read_are_named(cli: Cli, tmp_path: Path) -> None:
    """The sheet is made, with gray fields for them, and the status says that it is not all."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(jpeg(3000))
    for at in range(12):
        (tmp_path / "in" / f"bad {at:02}.jpg").write_bytes(b"\xff\xd8\xff")
    sheet = tmp_path / "sheet.png"

    ran = cli("preview", tmp_path / "in", "-o", sheet)
    assert (ran.status, ran.out) == (1, f"13 images in {sheet}.\n")
    names = [f"bad {at:02}.jpg" for at in range(12)]
    lines = [f"cannot be read: {name}" for name in names[:10]]
    assert ran.err.splitlines()[:11] == [*lines, "... and 2 more"]
    shown = cli("preview", tmp_path / "in", "-o", sheet, "--json")
    assert (shown.status, shown.document["images"], shown.document["broken"]) == (1, 13, names)
    alone = cli("preview", tmp_path / "in" / names[0], "-o", sheet)
    assert (alone.status, alone.err.splitlines()[0]) == (1, lines[0])


def test_statistics_of_labels_whose_images_are_elsewhere(cli: Cli, tmp_path: Path) -> None:
    """What is not read is said with the option that helps; the service has its images."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "classes.txt").write_text("car\n")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    (tmp_path / "a.jpg").write_bytes(jpeg(3000))
    lost = cli("stats", tmp_path / "labels")
    assert "there is no such image; name its folder with --images" in lost.out
    found = cli("stats", tmp_path / "labels", "--images", tmp_path)
    assert found.out.startswith("labels: 1 image with 1 object of 1 class.\n\n")
    refused = cli("stats", "Cars", "--images", tmp_path)
    assert (refused.status, "--images is for files and folders" in refused.err) == (2, True)


def test_a_picture_without_labels_says_why(
    at_service: Cli, project: SeededProject, tmp_path: Path
) -> None:
    """Labels that are not drawn are no secret, on the disk and at the service."""
    del project
    (tmp_path / "a.jpg").write_bytes(jpeg(3000))
    picture = tmp_path / "sheets" / "out.png"
    picture.parent.mkdir()
    plain = at_service("preview", tmp_path / "a.jpg", "-o", picture)
    assert (plain.status, plain.err.startswith("No labels are shown: ")) == (0, True)
    shown = at_service("preview", tmp_path / "a.jpg", "-o", picture, "--json")
    assert (shown.status, shown.document["images"], shown.err) == (0, 1, "")
    assert shown.document["notes"] == [plain.err.strip()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Cars", "-o", "a.gif"], "must end in .png, .jpg, .webp or .pdf"),
        (
            ["Cars", "--class", "bike", "--query", "b"],
            "None of 3 images of Cars has the class 'bike' and 'b' in its name (there are",
        ),
        (["Cars", "--state", "done"], "has the state 'done' (there are states: "),
        ([MISSING], "There is no project, dataset or media"),
        (["nothing"], "There is no file, project or dataset 'nothing'."),
        ([MISSING, "-p", "Cars"], f"has no task of the media {MISSING}"),
        ([MISSING, "--labels", "a.json"], "--labels is for files and folders"),
        (
            ["Cars", "--images", "a.json"],
            "--images is for files and folders, and 'Cars' is not a path",
        ),
        ([".", "--project", "Cars"], "--project is for datasets and media, and '.' is a path here"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_a_preview_cannot_do(
    at_service: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    """A wrong word is said to be one, and nothing is written."""
    monkeypatch.chdir(tmp_path)

    ran = at_service("preview", *arguments)

    assert ran.status == 2
    assert said in ran.err
    assert not list(tmp_path.glob("*.png"))


def test_what_is_made_is_opened_in_a_browser(
    at_service: Cli,
    service: ServerThread,
    project: SeededProject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If that is wanted, and it was made; labels that are not shown are said to be there."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    picture, site = tmp_path / "a.png", tmp_path / "site"
    assert at_service("preview", "Cars", "-o", picture, "--open").status == 0
    assert at_service("preview", "nothing", "-o", picture, "--open").status == 2
    made = at_service("gallery", "Cars", "-o", site, "--workers", 0, "--open")
    assert (made.status, made.err) == (0, "")

    service.call(_reopen(service, project))
    note = "No task is finished, and the labels of other tasks are not shown."
    bare = at_service("gallery", "Cars", "-o", site, "--workers", 0, "--json")
    assert (bare.status, bare.document["objects"], bare.document["notes"]) == (0, 0, [note])
    for words in (
        ["gallery", "Cars", "-o", site, "--workers", 0],
        ["preview", "Cars", "-o", picture],
    ):
        said = at_service(*words)
        assert (said.status, said.err.strip()) == (0, note)
    assert opened == [picture.as_uri(), (site / "index.html").as_uri()]


async def _reopen(service: ServerThread, project: SeededProject) -> None:
    for name in NAMES[:2]:
        await service.server.set_task_state(project.task_ids[name], "WAITING")


# --- Reports as pages -----------------------------------------------------------------------------


def test_a_run_is_told_on_a_page(at_service: Cli, tmp_path: Path) -> None:
    """Uploads and downloads write one, with how they went over time."""
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(jpeg(3000, seed=ord(name[0])))
    pages = [tmp_path / name for name in ("up.html", "down.html")]

    up = at_service("upload", tmp_path / "in", "-d", "New", "--create", "--report", pages[0])
    down = at_service("download", tmp_path / "out", "-d", "New", "--report", pages[1])

    assert (up.status, down.status) == (0, 0)
    for page, word in zip(pages, ("uploaded", "downloaded"), strict=True):
        text = page.read_text()
        assert f"<b>2</b> {word}" in text
        assert "Items by the time they took" in text
