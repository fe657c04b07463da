"""`export`: labels into files and folders, what is lost, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from datagym_async import DataGymClient, ExportProgress
from datagym_async.cli import _export
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Line,
    Rectangle,
)
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject
from datagym_async.testing import DropMidBody, Hang
from tests.cli.conftest import Cli
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.testing import FaultPlan
    from tests.helpers.server_thread import ServerThread

CAR = Annotation(
    "vehicle", Rectangle(1.75, 2.5, 3.5, 4), [Classification.select("subcategory", "car")]
)
LANE = Annotation("lane", Line([(0, 0), (5, 5)]))


@attrs.frozen
class Bench:
    """The command line, a project with labels on two of three images, and a folder for files."""

    cli: Cli
    folder: Path
    project: SeededProject

    def run(self, format_: str, path: str, *options: str) -> Any:
        """Export the project."""
        return self.cli(
            "export", "streets", "--format", format_, "-o", self.folder / path, *options
        )


@pytest.fixture
def bench(service: ServerThread, at_service: Cli, tmp_path: Path) -> Bench:
    """A bench with three finished tasks."""
    media = [SeedMedia(name, jpeg(3000)) for name in ("a.jpg", "b.jpg", "c.jpg")]
    seed = SeedProject("Streets", datasets=[SeedDataset("Photos", media=media)])
    (project,) = service.call(service.server.seed(seed))
    asyncio.run(_label(service.base_url, project))
    return Bench(at_service, tmp_path / "out", project)


async def _label(base_url: str, project: SeededProject) -> None:
    config = LabelConfig()
    config.add_rectangle("vehicle", "Vehicle").add_select("subcategory", "Kind", {"car": "Car"})
    config.add_line("lane", "Lane")
    config.add_freetext("caption", "Caption")
    ids = project.datasets[0].media_ids
    async with DataGymClient(TOKEN, base_url) as client:
        await client.label_configs.upload(project.label_configuration_id, config)
        images = [
            LabeledImage(
                media_id=ids["a.jpg"],
                annotations=[CAR, LANE],
                classifications=[Classification.freetext("caption", "A car.")],
            ),
            LabeledImage(media_id=ids["b.jpg"], annotations=[CAR]),
        ]
        await client.labels.import_predictions(project.id, images, keep_data=False)
        await client.tasks.complete_many(project.task_ids.values())


def test_json_is_what_the_service_sends(bench: Bench) -> None:
    """The file is an export, whole, with its list of classes; nothing else is in the folder."""
    ran = bench.run("json", "labels.json")
    assert (ran.status, ran.err) == (0, "")
    assert "labels.json" in ran.out
    classes, *tasks = json.loads((bench.folder / "labels.json").read_bytes())
    assert {each["class_name"] for each in classes["label_classes"]} >= {"vehicle", "lane"}
    assert sorted(each["external_media_ID"] for each in tasks) == ["a.jpg", "b.jpg", "c.jpg"]
    assert [each.name for each in bench.folder.iterdir()] == ["labels.json"]


def test_json_lines(bench: Bench) -> None:
    """There is a line for each task, and a file that is there already is replaced."""
    bench.folder.mkdir()
    (bench.folder / "labels.jsonl").write_text("old")
    ran = bench.run("jsonl", "labels.jsonl", "--json")
    lines = (bench.folder / "labels.jsonl").read_bytes().splitlines()
    tasks = {each["external_media_ID"]: each for each in map(json.loads, lines)}
    assert sorted(tasks) == ["a.jpg", "b.jpg", "c.jpg"]
    assert tasks["a.jpg"]["labels"]["vehicle"][0]["rectangle"] == [{"x": 1, "y": 2, "w": 3, "h": 4}]
    assert ran.document == {
        "ok": True,
        "path": str(bench.folder / "labels.jsonl"),
        "format": "jsonl",
        "size": (bench.folder / "labels.jsonl").stat().st_size,
        "tasks": 3,
        "annotations": 3,
        "losses": [],
        "left_out": 0,
    }


@pytest.mark.parametrize("words", [("--select", "kind"), ("--by", "category")])
def test_what_names_classes_has_no_effect_on_json(bench: Bench, words: tuple[str, str]) -> None:
    """It is refused, and nothing is written."""
    ran = bench.run("jsonl", "labels.jsonl", *words)
    assert (ran.status, f"{words[0]} has no effect on the format jsonl" in ran.err) == (2, True)
    assert not (bench.folder / "labels.jsonl").exists()


@pytest.mark.parametrize(
    ("format_", "hint"),
    [("json", "--state all with another --format"), ("yolo", "--state all exp")],
)
def test_a_project_without_a_finished_task(
    bench: Bench, service: ServerThread, format_: str, hint: str
) -> None:
    """Nothing is written, which is said with the way to the other tasks; what was chosen is too."""
    for task_id in bench.project.task_ids.values():
        service.call(service.server.set_task_state(task_id, "WAITING"))
    ran = bench.run(format_, "empty")
    assert (ran.status, "No task of the project is finished" in ran.err) == (0, True)
    assert hint in ran.err
    for number, chosen in enumerate(
        (("--state", "reviewed"), ("-d", "Photos"), ("--only-labelled",))
    ):
        ran = bench.run("yolo", f"other {number}", *chosen)
        assert "No task matches the given states" in ran.err
    ran = bench.run("jsonl", "all", "--state", "all")
    assert "No task" not in ran.err


def test_coco(bench: Bench) -> None:
    """Boxes, captions and the images without labels are there; the line is lost, which counts."""
    ran = bench.run("coco", "coco.json")
    assert ran.status == 1
    assert bench.run("coco", "coco.json", "--lossy-ok").status == 0
    assert "lost: 1 x lines, left out (a.jpg: lane)" in ran.err
    assert "3 tasks with 3 shapes" in ran.out
    written = json.loads((bench.folder / "coco.json").read_bytes())
    assert len(written["images"]) == 3
    assert all(each["width"] and each["height"] for each in written["images"])
    assert [each["bbox"] for each in written["annotations"]] == [[1.75, 2.5, 3.5, 4]] * 2
    assert written["categories"] == [{"id": 1, "name": "Car", "supercategory": "Vehicle"}]
    captions = json.loads((bench.folder / "coco.captions.json").read_bytes())
    assert [each["caption"] for each in captions["annotations"]] == ["A car."]


@pytest.mark.slow
def test_yolo(bench: Bench) -> None:
    """Each image has a label file; the class is the answer to the nested select."""
    ran = bench.run("yolo", "yolo", "--json")
    assert ran.status == 1
    labels = bench.folder / "yolo" / "labels" / "train"
    assert sorted(each.name for each in labels.iterdir()) == ["a.txt", "b.txt", "c.txt"]
    assert (labels / "c.txt").read_text() == ""
    assert "Car" in (bench.folder / "yolo" / "data.yaml").read_text()
    losses: Any = ran.document["losses"]
    assert {each["kind"] for each in losses} == {"line", "classification"}


def test_voc_with_the_entries_as_classes(bench: Bench) -> None:
    """The entry can be the class; a folder that holds something is replaced only when asked."""
    assert bench.run("voc", "voc", "--by", "category", "--lossy-ok").status == 0
    file = bench.folder / "voc" / "Annotations" / "a.xml"
    assert "<name>Vehicle</name>" in file.read_text()
    again = bench.run("voc", "voc")
    assert (again.status, "--overwrite" in again.err) == (2, True)
    assert bench.run("voc", "voc", "--overwrite").status == 1
    assert "<name>Car</name>" in file.read_text()


def test_tasks_that_are_left_out(bench: Bench) -> None:
    """The exit status tells that tasks could not be written."""
    ran = bench.run("yolo", "yolo", "--no-sizes")
    assert ran.status == 1
    assert "3 x images of unknown width and height" in ran.err


def test_a_wrong_path(bench: Bench) -> None:
    """A folder where a file is to be, and an unknown project, are said; nothing is written."""
    bench.folder.mkdir()
    ran = bench.run("json", "")
    assert (ran.status, "name a file" in ran.err) == (2, True)
    ran = bench.cli("export", "nowhere", "-o", bench.folder / "labels.json")
    assert (ran.status, "nowhere" in ran.err) == (2, True)
    assert list(bench.folder.iterdir()) == []


def test_a_link_stays_a_link(bench: Bench) -> None:
    """What a link leads to is replaced, and what is no file is left alone (`/dev/stdout`)."""
    bench.folder.mkdir()
    link, pipe = bench.folder / "link", bench.folder / "pipe"
    link.symlink_to("real.json")
    os.mkfifo(pipe)
    assert bench.run("json", "link").status == 0
    assert link.is_symlink()
    assert len(json.loads((bench.folder / "real.json").read_bytes())) > 0
    ran = bench.run("json", "pipe")
    assert (ran.status, pipe.is_fifo()) == (2, True)
    assert "is not a regular file" in ran.err


def test_an_answer_that_breaks_off(bench: Bench, faults: FaultPlan) -> None:
    """What is there stays, whatever the format."""
    bench.folder.mkdir()
    for format_ in ("json", "jsonl", "coco"):
        (bench.folder / "labels").write_text("old")
        faults.add(DropMidBody(200), path=r"/export/")
        ran = bench.run(format_, "labels")
        assert ran.status == 2
        assert ran.out == ""
        assert (bench.folder / "labels").read_text() == "old"
        assert [each.name for each in bench.folder.iterdir()] == ["labels"]


@pytest.mark.skipif(sys.platform == "win32", reason="raises POSIX signals")
def test_an_interruption(bench: Bench, faults: FaultPlan) -> None:
    """Ctrl-C ends it with 130, and what is there stays."""
    bench.folder.mkdir()
    (bench.folder / "labels.jsonl").write_text("old")

    def interrupt(_: object) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return True

    faults.add(Hang(), path=r"/export/", when=interrupt)
    ran = bench.run("jsonl", "labels.jsonl")
    assert (ran.status, ran.out) == (130, "")
    assert "no partial file is left" in ran.err
    assert (bench.folder / "labels.jsonl").read_text() == "old"
    assert [each.name for each in bench.folder.iterdir()] == ["labels.jsonl"]


def test_whole_pixels(bench: Bench) -> None:
    """--no-exact takes what the service exports, in whole pixels; sizes are read all the same."""
    bench.run("coco", "coco.json", "--no-exact")
    written = json.loads((bench.folder / "coco.json").read_bytes())
    assert [each["bbox"] for each in written["annotations"]] == [[1, 2, 3, 4]] * 2
    assert all(each["width"] and each["height"] for each in written["images"])


def test_exact_lines(bench: Bench) -> None:
    """--exact gives lines every digit, too; json is what the service sends, and says so."""
    assert bench.run("jsonl", "labels.jsonl", "--exact").status == 0
    tasks = [json.loads(line) for line in (bench.folder / "labels.jsonl").read_bytes().splitlines()]
    assert [each["external_media_ID"] for each in tasks] == ["a.jpg", "b.jpg", "c.jpg"]
    box = {"x": 1.75, "y": 2.5, "w": 3.5, "h": 4.0}
    assert [each["rectangle"] for each in tasks[0]["labels"]["vehicle"]] == [[box]]
    ran = bench.run("json", "labels.json", "--exact")
    assert (ran.status, "use jsonl" in ran.err) == (2, True)
    assert not (bench.folder / "labels.json").exists()


@pytest.mark.parametrize("format_", ["json", "jsonl", "coco"])
def test_standard_output(
    bench: Bench, format_: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``-o -`` writes the file there and nothing else; messages go to standard error."""
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    ran = bench.cli("export", "streets", "--format", format_, "-o", "-")
    assert list(here.iterdir()) == []
    quiet = bench.run(format_, "quiet", "--quiet", "--lossy-ok")
    assert (quiet.status, quiet.out) == (0, "")
    assert format_ == "coco" or quiet.err == ""  # nothing is lost
    bench.run(format_, "file")
    if format_ == "json":  # whose lists come in any order
        assert {each.get("external_media_ID") for each in json.loads(ran.out)} == {
            None,
            "a.jpg",
            "b.jpg",
            "c.jpg",
        }
    else:
        assert ran.out == (bench.folder / "file").read_text()
    assert "Wrote" in ran.err


def test_what_standard_output_cannot_take(bench: Bench) -> None:
    """Folders, and the summary as well as the export, are refused before anything is fetched."""
    ran = bench.cli("export", "streets", "--format", "yolo", "-o", "-")
    assert (ran.status, ran.out, "is a folder of files" in ran.err) == (2, "", True)
    ran = bench.cli("export", "streets", "-o", "-", "--json")
    assert (ran.status, ran.out, "--json" in ran.err) == (2, "", True)


def test_standard_output_takes_whole_exports(bench: Bench, faults: FaultPlan) -> None:
    """Nothing of an answer that breaks off goes to standard output."""
    faults.add(DropMidBody(200), path=r"/export/")
    ran = bench.cli("export", "streets", "--format", "coco", "-o", "-")
    assert (ran.status, ran.out) == (2, "")


def test_captions_have_no_place_in_standard_output(bench: Bench) -> None:
    """They are said to be lost, since there is no file beside it."""
    ran = bench.cli("export", "streets", "--format", "coco", "-o", "-")
    assert "lost: 1 x captions" in ran.err


def test_chosen_tasks(bench: Bench, service: ServerThread) -> None:
    """--only-labelled, --dataset and --state choose tasks; those of other states are read alone."""

    def names(*options: str) -> list[str]:
        assert bench.run("jsonl", "labels.jsonl", *options).status == 0
        lines = (bench.folder / "labels.jsonl").read_bytes().splitlines()
        return sorted(json.loads(line)["external_media_ID"] for line in lines)

    assert names("--only-labelled") == ["a.jpg", "b.jpg"]
    assert names("--dataset", "photos") == ["a.jpg", "b.jpg", "c.jpg"]
    assert names("--state", "completed") == ["a.jpg", "b.jpg", "c.jpg"]
    assert names("--state", "skipped") == []
    assert names("--state", "all", "--only-labelled") == ["a.jpg", "b.jpg"]
    assert names("--state", "skipped", "--state", "all") == ["a.jpg", "b.jpg", "c.jpg"]
    assert names("--state", "backlog", "--state", "waiting") == []
    ran = bench.run("coco", "coco.json", "--dataset", "nothing")
    assert (ran.status, "no dataset" in ran.err) == (2, True)
    ran = bench.run("jsonl", "labels.jsonl", "--state", "finished")
    assert (ran.status, "finished" in ran.err) == (2, True)
    ran = bench.run("coco", "coco.json", "--state", "all", "--no-exact")
    assert (ran.status, "read one by one" in ran.err) == (2, True)
    ran = bench.run("json", "labels.json", "--only-labelled")
    assert (ran.status, "use jsonl" in ran.err) == (2, True)


def test_progress_without_a_terminal(bench: Bench) -> None:
    """--quiet says nothing if all is well; else what was lost, and the end, as of other jobs."""
    assert bench.run("jsonl", "labels.jsonl", "--quiet").out == ""
    ran = bench.run("coco", "coco.json", "--quiet")
    assert (ran.out, "1 x lines" in ran.err, "\nWrote " in ran.err) == ("", True, True)


def test_what_is_shown() -> None:
    """A line says the phase and how far it is."""
    lines = [
        _export.step_of(progress).line()
        for progress in (
            ExportProgress(phase="export", done=2_000_000, unit="bytes"),
            ExportProgress(phase="export", done=12),
            ExportProgress(phase="sizes", done=1, total=12),
            ExportProgress(phase="images", done=3, total=12),
            ExportProgress(phase="write", done=12, total=12),
        )
    ]
    assert lines == [
        "Exporting: 2.0 MB",
        "Exporting: 12 tasks",
        "Reading sizes: 1/12 tasks",
        "Downloading: 3/12 tasks",
        "Writing: 12/12 tasks",
    ]
