"""`download`: exit status, what is said, and going on."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from datagym_async.testing import DropMidBody, RefuseToken, ServiceError, Status
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.terminal import said_until, start

if TYPE_CHECKING:
    from datagym_async.server import SeededProject
    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import Gate, ServerThread

IMAGES = {f"{number}.jpg": jpeg(2_000, seed=number) for number in range(6)}


@pytest.fixture
def project(service: ServerThread) -> SeededProject:
    """A project with one dataset of six images."""
    media = [SeedMedia(name, content) for name, content in IMAGES.items()]
    seed = SeedProject("Streets", datasets=[SeedDataset("Photos", media)])
    (made,) = service.call(service.server.seed(seed))
    return made


def images_in(folder: Path) -> dict[str, bytes]:
    """Return the images in a folder."""
    return {path.name: path.read_bytes() for path in folder.glob("*.jpg")}


@pytest.mark.usefixtures("project")
def test_a_dataset_comes_into_a_folder(at_service: Cli, tmp_path: Path) -> None:
    """By its name; the same command again fetches nothing."""
    first = at_service("download", tmp_path / "out", "--dataset", "photos")
    second = at_service("download", tmp_path / "out", "--dataset", "photos", "--verify")

    assert (first.status, second.status) == (0, 0)
    assert "6 media of 'Photos': 6 downloaded" in first.out
    assert "0 downloaded, 6 present" in second.out
    assert images_in(tmp_path / "out") == IMAGES


@pytest.mark.usefixtures("project")
def test_folders_come_back(at_service: Cli, tmp_path: Path) -> None:
    """What was uploaded by relative names is downloaded into the same folders, with --tree."""
    images = {
        f"{folder}{number}.jpg": jpeg(2_000, seed=number + len(folder))
        for folder in ("", "cam 1/", "cam 1/Tag/", "Zürich/")
        for number in range(2)
    }
    for name, content in images.items():
        (path := tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    source = tmp_path / "in"
    up = at_service("upload", source, "--dataset", "Tree", "--create", "--name", "relative")
    flat = at_service("download", tmp_path / "flat", "--dataset", "Tree")
    down = at_service("download", tmp_path / "out", "--dataset", "Tree", "--tree")

    assert (up.status, flat.status, down.status) == (0, 0, 0)
    assert "cam 1_Tag_0.jpg" in images_in(tmp_path / "flat")
    found = {
        p.relative_to(tmp_path / "out").as_posix(): p.read_bytes()
        for p in tmp_path.glob("out/**/*.jpg")
    }
    assert found == images


@pytest.mark.usefixtures("project")
def test_a_project_comes_into_a_folder(at_service: Cli, tmp_path: Path) -> None:
    """Each dataset has a folder of its own; --json prints the report and nothing else."""
    ran = at_service("download", tmp_path / "out", "--project", "Streets", "--json")

    assert (ran.status, ran.err) == (0, "")
    assert (ran.document["downloaded"], ran.document["complete"]) == (6, True)
    assert images_in(tmp_path / "out" / "Photos") == IMAGES


def test_what_failed_is_said_and_reported(
    at_service: Cli, tmp_path: Path, project: SeededProject, faults: FaultPlan
) -> None:
    """Status 1, a line for the media, and both kinds of report."""
    media = project.datasets[0].media_ids["3.jpg"]
    faults.add(ServiceError(500, "ex_gen_file_stream"), path=media)

    ran = at_service(
        "download", tmp_path / "out", "-d", "Photos", "--report", tmp_path / "report.json"
    )
    quiet = at_service(
        "download", tmp_path / "out", "-d", "Photos", "--report", tmp_path / "r.csv", "--quiet"
    )

    assert (ran.status, quiet.status) == (1, 1)
    assert "failed: 3.jpg:" in ran.err
    assert "tries again what failed" in ran.err
    assert json.loads((tmp_path / "report.json").read_text())["failed"] == 1
    assert "3.jpg" in (tmp_path / "r.csv").read_text()
    assert quiet.out == ""


def test_a_private_store_is_asked_with_an_option(
    at_service: Cli,
    tmp_path: Path,
    project: SeededProject,
    faults: FaultPlan,
    service: ServerThread,
) -> None:
    """Without it the reason names it; with it the media comes."""
    # By another name the same server is another origin.
    url = service.server.base_url.replace("127.0.0.1", "localhost") + "/store.jpg"
    media = project.datasets[0].media_ids["3.jpg"]
    faults.add(Status(200, url.encode(), content_type="text/plain"), path=media)
    faults.add(Status(200, jpeg(2_000), content_type="image/jpeg"), path=r"/store\.jpg$")
    command = ("download", tmp_path / "out", "-d", "Photos")

    refused = at_service(*command)
    asked = at_service(*command, "--allow-private-store")

    assert (refused.status, asked.status) == (1, 0)
    assert "not a public address; --allow-private-store allows it" in refused.err
    assert (tmp_path / "out" / "3.jpg").read_bytes() == jpeg(2_000)


def test_link_images_are_left_alone_and_named(
    at_service: Cli, tmp_path: Path, service: ServerThread
) -> None:
    """Nobody asks the service for one unless told to; the summary says the option."""
    media = [SeedMedia("l.jpg", url="http://127.0.0.1:1/l.jpg")]
    service.call(service.server.seed_datasets(SeedDataset("Links", media)))

    ran = at_service("download", tmp_path / "out", "-d", "Links")

    assert ran.status == 0
    assert "1 skipped" in ran.out
    assert "--links source fetches them" in ran.out


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "add --dataset or --project"),
        (("-d", "Nothing"), "There is no dataset named 'Nothing'. `datagym-async"),
        (("-d", "streets"), "There is no dataset named 'streets'. It is a project."),
        (("-d", "Photos", "--allow-private-links"), "needs --links source"),
        (
            ("-d", "Photos", "--split", "train=1"),
            "--split has no effect without --labels",
        ),
        (
            ("-d", "Photos", "--no-exact"),
            "--no-exact has no effect without --labels other",
        ),
        (("-d", "Photos", "--zero-based", "--labels", "yolo"), "without --labels voc."),
        (("-d", "Photos", "--clip", "--labels", "json"), "--clip has no effect without --labels"),
        (("-d", "Photos", "--labels", "voc", "--group", "x"), "without parts; add --split"),
        (("-d", "Photos", "--project", "x"), "--project needs --labels, --bitmaps or --links"),
        (
            ("-d", "Photos", "--store-option", "region=x"),
            "--store-option needs a folder in a store",
        ),
        (("-d", "Photos", "--token-file", ""), "'--token-file': path is ''; it must be a path"),
        (("-d", "Photos", "--report", "s3://b/r.json"), "'--report': s3://b/r.json is an address"),
        (("-d", "Photos", "--report", "x.txt"), "must end in .json, .csv or .html"),
    ],
)
def test_wrong_usage_is_said(
    at_service: Cli, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """Status 2, one sentence, and no folder."""
    ran = at_service("download", tmp_path / "out", *arguments)

    assert ran.status == 2
    assert sentence in " ".join(ran.err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("project")
def test_a_folder_of_something_else_is_refused(at_service: Cli, tmp_path: Path) -> None:
    """Status 2, and what lies there stays as it is."""
    (tmp_path / "mine.txt").write_text("mine")

    ran = at_service("download", tmp_path, "-d", "Photos")

    assert ran.status == 2
    assert "is not empty" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.usefixtures("project")
def test_a_run_that_has_to_stop_says_how_to_resume(
    at_service: Cli, tmp_path: Path, faults: FaultPlan
) -> None:
    """Status 1 after some were downloaded; the report is written all the same."""
    faults.add(RefuseToken(), method="GET", path=r"/media/", nth=5)

    ran = at_service(
        *("download", tmp_path / "out", "-d", "Photos", "--concurrency", 1),
        *("--report", tmp_path / "report.json"),
    )

    assert ran.status == 1
    assert "The download stopped" in ran.err
    assert "resumes where this one stopped" in ran.err
    assert json.loads((tmp_path / "report.json").read_text())["complete"] is False


@pytest.mark.usefixtures("project")
def test_a_run_that_stops_before_anything_arrived(
    at_service: Cli, tmp_path: Path, faults: FaultPlan
) -> None:
    """Status 1 as well: it began, and the same command is right."""
    faults.add(RefuseToken(), method="GET", path=r"/media/")

    ran = at_service("download", tmp_path / "out", "-d", "Photos", "--concurrency", 1)

    assert (ran.status, "resumes where this one stopped" in ran.err) == (1, True)
    faults.clear()
    again = at_service("download", tmp_path / "out", "-d", "Photos")
    assert (again.status, images_in(tmp_path / "out")) == (0, IMAGES)


@pytest.mark.usefixtures("project")
def test_a_limit_ends_the_run(at_service: Cli, tmp_path: Path) -> None:
    """Status 1, the limit by name, and the way on."""
    ran = at_service("download", tmp_path / "out", "-d", "Photos", "--max-files", 2)

    assert ran.status == 1
    assert "It stopped at --max-files: 2 were fetched." in ran.out
    assert len(images_in(tmp_path / "out")) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c(
    service: ServerThread, tmp_path: Path, gate: Gate, at_service: Cli, times: int
) -> None:
    """Once: what is in flight ends; twice: at once. Both 130, and the same command resumes."""
    gate.hold_from(1, r"/media/")
    out = tmp_path / "out"
    process = start(
        *("download", str(out), "-d", "Photos", "--concurrency", "1"),
        environment={"DATAGYM_TOKEN": TOKEN, "DATAGYM_BASE_URL": service.base_url},
    )
    assert gate.reached.wait(100)
    process.send_signal(signal.SIGINT)
    said_until(process, "Stopping: requests in flight finish first")
    if times == 1:
        service.call(gate.release())
    else:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)

    assert process.returncode == 130
    assert len(images_in(out)) == (1 if times == 1 else 0)
    service.call(gate.release())
    assert at_service("download", out, "-d", "Photos").status == 0
    assert images_in(out) == IMAGES


@pytest.mark.usefixtures("project")
def test_an_answer_that_breaks_off_is_asked_for_again(
    at_service: Cli, tmp_path: Path, faults: FaultPlan
) -> None:
    """Nobody notices but the count of retries."""
    faults.add(DropMidBody(100), method="GET", path=r"/media/", nth=2)

    assert at_service("download", tmp_path / "out", "-d", "Photos").status == 0
    assert images_in(tmp_path / "out") == IMAGES
