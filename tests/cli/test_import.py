"""`import`: predictions from files, checked or imported."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from datagym_async import DataGymClient
from datagym_async.cli import LINES_OF_PROBLEMS
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject
from datagym_async.testing import RefuseToken
from tests.cli.conftest import Cli
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from datagym_async.testing import FaultPlan
    from tests.helpers.server_thread import ServerThread

CONFIG: list[dict[str, Any]] = [
    {"entryKey": "vehicle", "entryValue": "V", "type": "RECTANGLE", "children": [
        {"entryKey": "subcategory", "entryValue": "S", "type": "SELECT",
         "options": {"car": "Car", "bus": "Bus"}}]},
]  # fmt: skip
BOX = [{"x": 1, "y": 2, "w": 3, "h": 4}]


@attrs.frozen
class Raising:
    """Let a request pass, once this process has got a Ctrl-C."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.05)
        return await handler(request)


@attrs.frozen
class Bench:
    """The command line, a project of three images, and a folder for files."""

    cli: Cli
    project: SeededProject
    folder: Path
    ask: Callable[[], list[int]]

    def item(self, name: str = "a.jpg", key: str = "vehicle", **more: Any) -> dict[str, Any]:
        """A box on an image."""
        labels = {key: [{"rectangle": BOX}]}
        media_id = self.project.datasets[0].media_ids[name]
        return {"internal_media_ID": media_id, "labels": labels, **more}

    def file(self, name: str, value: Any) -> Path:
        """A file with some text or a JSON value."""
        path = self.folder / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    def run(self, file: Path, *options: str) -> Any:
        """Import a file into the project."""
        return self.cli("import", file, "--project", "streets", *options)

    def boxes(self) -> list[int]:
        """How many boxes each image has."""
        return self.ask()


@pytest.fixture
def bench(at_service: Cli, service: ServerThread, tmp_path: Path) -> Bench:
    names = ("a.jpg", "b.jpg", "c.jpg")
    media = [SeedMedia(name, content=jpeg(2000)) for name in names]
    seed = SeedProject("Streets", [SeedDataset("Day", media)])
    (project,) = service.call(service.server.seed(seed))

    async def configure() -> None:
        async with DataGymClient(TOKEN, service.base_url) as client:
            await client.label_configs.upload(project.label_configuration_id, CONFIG)

    async def boxes() -> list[int]:
        for task_id in project.task_ids.values():
            await service.server.set_task_state(task_id, "COMPLETED")
        async with DataGymClient(TOKEN, service.base_url) as client:
            tasks = {each.media_name: each async for each in client.labels.iter_export(project.id)}
        return [len(tasks[name].annotations_of("vehicle")) for name in names]

    service.call(configure())
    return Bench(at_service, project, tmp_path, lambda: service.call(boxes()))


def test_a_file_is_imported(bench: Bench) -> None:
    """An array of items, and as many items a line each; the summary counts."""
    array = bench.file("a.json", [bench.item(), bench.item("b.jpg")])
    lines = "\n".join(json.dumps(bench.item(name)) for name in ("a.jpg", "c.jpg"))
    ran = bench.run(array, "--append")
    assert (ran.status, ran.out) == (0, "2 predictions: 2 stored.\n")
    ran = bench.run(bench.file("b.jsonl", lines + "\n\n"), "--append", "--json")
    assert (ran.status, ran.document["stored"], ran.document["ok"]) == (0, 2, True)
    assert bench.boxes() == [2, 1, 1]


def test_a_long_file_says_how_far_it_is(bench: Bench) -> None:
    """A line for each thousand, and none of it on standard output."""
    file = bench.file("a.jsonl", "\n".join([json.dumps(bench.item())] * 2001))
    ran = bench.run(file, "--append", "--check")
    assert (ran.status, ran.out) == (0, "2,001 predictions: 2,001 checked.\n")
    assert ran.err == "1,000 predictions\n2,000 predictions\n"


def test_replacing(bench: Bench) -> None:
    """The images that the file names have its labels alone, however often it is imported."""
    file = bench.file("a.json", [bench.item()])
    assert [bench.run(file, "--replace").status for _ in range(2)] == [0, 0]
    assert bench.boxes() == [1, 0, 0]


def test_a_check_imports_nothing(bench: Bench) -> None:
    """It says what would be held back, and why; status 1 if anything would be."""
    good, bad = bench.item(), bench.item("b.jpg", "vehicel")
    ran = bench.run(bench.file("a.json", [good]), "--check")
    assert (ran.status, ran.out) == (0, "1 prediction: 1 checked.\n")
    ran = bench.run(bench.file("b.json", [good, bad]), "--check")
    assert (ran.status, ran.out) == (1, "")
    assert "did you mean 'vehicle'?" in ran.err
    assert "2 predictions: 1 rejected, 1 checked." in ran.err
    assert bench.boxes() == [0, 0, 0]


def test_the_results_as_json(bench: Bench) -> None:
    """Counts, and a result for each prediction that somebody should look at."""
    given = [bench.item(), bench.item("b.jpg", "vehicel"), {"labels": {}}]
    ran = bench.run(bench.file("a.json", given), "--replace", "--json")
    assert ran.status == 1
    document = ran.document
    assert (document["stored"], document["rejected"], document["complete"]) == (1, 2, True)
    assert [each["index"] for each in document["results"]] == [1, 2]
    assert document["results"][0]["reasons"][0].startswith("labels.vehicel: ")
    nameless = bench.file("b.json", [bench.item(), *[{"labels": {}}] * 2])
    (kind,) = bench.run(nameless, "--check", "--json").document["kinds"]
    assert kind["names"] == ["predictions[1]", "predictions[2]"]
    one = bench.run(bench.file("c.json", [bench.item(), {"labels": {}}]), "--check")
    assert one.err.startswith("rejected: predictions[1]: ")


def test_the_rest_goes_on_request(bench: Bench) -> None:
    """--partial leaves out what cannot go, and says so; --strict holds back what is doubtful."""
    item = bench.item(labels={"vehicle": [{"rectangle": BOX}, {}]}, score=1)
    file = bench.file("a.json", [item])
    ran = bench.run(file, "--append", "--partial")
    assert (ran.status, "left out: predictions[0]" in ran.err) == (1, True)
    assert ran.err.endswith("1 prediction: 1 stored, 1 with something left out.\n")
    assert bench.boxes() == [1, 0, 0]
    ran = bench.run(file, "--replace", "--partial", "--lossy-ok", "--json")
    assert (ran.status, ran.document["ok"]) == (0, True)
    ran = bench.run(file, "--append", "--partial", "--strict")
    assert (ran.status, "score: the service ignores it" in ran.err) == (1, True)
    assert bench.boxes() == [1, 0, 0]


def test_an_export_goes_in_again(bench: Bench) -> None:
    """The list of classes is no prediction; images can be found by name."""
    task = {"external_media_ID": "B.JPG", "status": "completed", "labeler": None}
    labels = bench.item()["labels"]
    file = bench.file("a.json", [{"label_classes": []}, {**task, "labels": labels}])
    assert bench.run(file, "--append").status == 1
    assert bench.run(file, "--append", "--by-name").status == 0
    assert bench.boxes() == [0, 1, 0]


def coco(*, annotated: str) -> dict[str, Any]:
    images = [{"id": n, "file_name": f"{name}.jpg"} for n, name in enumerate("abc")]
    box = {"id": 1, "image_id": "abc".index(annotated), "category_id": 3, "bbox": [1, 2, 3, 4]}
    category = {"id": 3, "name": "bus", "supercategory": "vehicle"}
    return {"images": images, "annotations": [box], "categories": [category]}


def test_coco(bench: Bench) -> None:
    """Images go by name; those without labels keep what they have, unless asked."""
    assert bench.run(bench.file("a.json", [bench.item()]), "--append").status == 0
    file = bench.file("coco.json", coco(annotated="b"))
    ran = bench.run(file, "--replace", "--json")
    assert (ran.status, ran.document["stored"]) == (0, 1), ran
    assert bench.boxes() == [1, 1, 0]


def test_coco_images_without_labels_are_emptied_on_request(bench: Bench) -> None:
    """--unannotated with --replace takes the labels of images that the file leaves empty."""
    assert bench.run(bench.file("a.json", [bench.item()]), "--append").status == 0
    file = bench.file("coco.json", coco(annotated="b"))
    quiet = bench.run(file, "--replace", "--unannotated", "--quiet")
    assert (quiet.status, quiet.out) == (0, "")
    assert bench.boxes() == [0, 1, 0]


@pytest.mark.parametrize(
    ("name", "text", "options", "words"),
    [
        ("a.json", "[]", (), "--append or --replace"),
        ("a.json", "[]", ("--append", "--replace"), "--append or --replace"),
        ("a.txt", "hello", ("--append",), "no known format"),
        ("a.json", "{}", ("--append", "--format", "json"), "no JSON array"),
        ("a.json", "[{]", ("--append",), "not JSON"),
        ("a.jsonl", "{}\n{\n", ("--check",), "line 2"),
        ("a.json", "{}", ("--append",), "no known format"),
        ("a.json", "{}", ("--append", "--format", "coco"), "images"),
    ],
    ids=["neither", "both", "text", "object", "broken", "line", "no known format", "coco"],
)
def test_what_cannot_be_read(
    bench: Bench, name: str, text: str, options: tuple[str, ...], words: str
) -> None:
    """Status 2, and one sentence that says what is wrong."""
    ran = bench.run(bench.file(name, text), *options)
    assert (ran.status, words in ran.err) == (2, True), ran.err


def test_a_file_that_is_not_there(bench: Bench) -> None:
    """It is named."""
    ran = bench.run(bench.folder / "none.json", "--check")
    assert (ran.status, "none.json" in ran.err) == (2, True)


def test_an_import_that_stops_says_what_was_stored(bench: Bench, faults: FaultPlan) -> None:
    """What was stored before is counted; the status is 1, as of each job that has begun."""
    file = bench.file("a.json", [bench.item(), bench.item("b.jpg")])
    faults.add(RefuseToken(403), method="POST", path=r"/prediction$", nth=2)
    ran = bench.run(file, "--append", "--batch-size", "1", "--json")
    assert (ran.status, ran.document["stored"], ran.document["complete"]) == (1, 1, False)
    assert "refused the token" in ran.err
    faults.add(RefuseToken(403), method="POST", path=r"/prediction$")
    assert bench.run(file, "--append", "--batch-size", "1").status == 1
    faults.add(RefuseToken(403), path=r"/project$")
    ran = bench.run(file, "--append")  # which does not even begin
    assert (ran.status, ran.err.count("\n"), "refused the token" in ran.err) == (2, 1, True)


def test_many_kinds_of_problems_are_not_all_said(bench: Bench) -> None:
    """A few are said; --json has all of them."""
    kinds = LINES_OF_PROBLEMS + 2
    file = bench.file("a.json", [bench.item(key=f"car_{n}") for n in range(kinds)])
    ran = bench.run(file, "--check")
    assert (ran.status, ran.err.count("rejected: predictions[")) == (1, LINES_OF_PROBLEMS)
    assert "(and 2 further kinds; --json lists them all)" in ran.err
    assert len(bench.run(file, "--check", "--json").document["results"]) == kinds


def test_what_is_said_is_counted_by_kind(bench: Bench) -> None:
    """One line a kind, with a count and a few names, what was held back first; in JSON all."""
    beyond = [{"rectangle": [{"x": -1 - n, "y": 2, "w": 3, "h": 4}]} for n in range(30)]
    good = {"rectangle": BOX}
    names = ("a.jpg", "b.jpg", "c.jpg", "a.jpg")
    items = [bench.item(name, labels={"vehicle": [*beyond, good]}) for name in names]
    items += [bench.item("c.jpg", key="lorry")]
    file = bench.file("a.json", items)
    ran = bench.run(file, "--check", "--append")
    ids = [item["internal_media_ID"] for item in items]
    held, left_out, summary = ran.err.splitlines()
    assert held.startswith(f"rejected: predictions[4] {ids[2]}: labels.lorry: the label config")
    assert left_out.startswith("left out: 120 x ... is negative, and the service refuses it; --cl")
    assert left_out.endswith(f"({ids[0]}, {ids[1]}, {ids[2]}, ...)")
    assert summary == "5 predictions: 1 rejected, 4 checked, 4 with something left out."
    assert ran.status == 1
    document = bench.run(file, "--check", "--append", "--json").document
    assert [(each["word"], each["count"]) for each in document["kinds"]] == [
        ("left out", 120),
        ("rejected", 1),
    ]
    assert len(document["results"]) == 5


def test_nothing_to_import_is_no_success(bench: Bench) -> None:
    """Status 1, and a sentence; whatever else may be lost."""
    empty = coco(annotated="b") | {"annotations": []}
    for file in (bench.file("a.json", []), bench.file("coco.json", empty)):
        for more in ((), ("--lossy-ok",)):
            ran = bench.run(file, "--replace", *more)
            why = f"Nothing was imported: {file} has no labels for this project."
            assert (ran.status, why in " ".join(ran.err.split())) == (1, True)
        assert bench.run(file, "--replace", "--json").document["ok"] is False
    assert "3 images without labels stay as they are" in bench.run(file, "--replace").err


def test_asked_to_stop(bench: Bench, faults: FaultPlan) -> None:
    """Ctrl-C once: what is on its way ends and is counted, and nothing more is sent."""
    items = [bench.item(name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    file = bench.file("a.json", items)
    faults.add(Raising(), method="POST", path=r"/prediction$", nth=1)
    ran = bench.run(file, "--append", "--batch-size", "1", "--json")
    assert (ran.status, ran.document["complete"], ran.document["ok"]) == (130, False, False)
    assert ran.document["stored"] == sum(bench.boxes())
    assert bench.boxes()[0] == 1
    assert bench.boxes()[2] == 0
