"""`config from` and `import`: a class is known by its name, in whatever company it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from datagym_async import DataGymClient
from datagym_async.labels import Rectangle
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject
from tests.cli.conftest import Cli
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread

NAMES = [
    (("кошка", "собака", "машина"), ("собака", "машина")),
    (("猫", "狗"), ("狗", "猫")),
    (("Car", "car"), ("Car",)),
    (("Car", "car", "CAR"), ("CAR", "car")),
    (("C", "C++", "C#"), ("C#", "C++")),
]


@attrs.frozen
class Bench:
    """The command line, an empty project of one image, and a folder for files."""

    cli: Cli
    service: ServerThread
    project: SeededProject
    folder: Path

    def run(self, command: str, widths: dict[str, int], group: str, *options: str) -> Any:
        """Run a command with a COCO file of a box of each class, as wide as said."""
        ids = {name: at for at, name in enumerate(widths)}
        above = {"supercategory": group} if group else {}
        content = {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "categories": [{"id": ids[name], "name": name, **above} for name in widths],
            "annotations": [
                {"id": at, "image_id": 1, "category_id": at, "bbox": [1, 1, widths[name], 9]}
                for name, at in ids.items()
            ],
        }
        file = self.folder / "coco.json"
        file.write_text(json.dumps(content))
        return self.cli(*command.split(), file, *options)

    def stored(self) -> dict[int, tuple[str, str | None]]:
        """Return the key of each box and its answer, by its width."""

        async def ask() -> dict[int, tuple[str, str | None]]:
            (task_id,) = self.project.task_ids.values()
            await self.service.server.set_task_state(task_id, "COMPLETED")
            async with DataGymClient(TOKEN, self.service.base_url) as client:
                (task,) = [each async for each in client.labels.iter_export(self.project.id)]
            found = {}
            for each in task.annotations:
                assert isinstance(each.shape, Rectangle)
                answer = next((one.value for one in each.classifications), None)
                found[round(each.shape.width)] = (each.key, answer)
            return found

        return self.service.call(ask())


@pytest.fixture
def bench(at_service: Cli, service: ServerThread, tmp_path: Path) -> Bench:
    media = [SeedMedia("a.jpg", content=jpeg(2000))]
    seed = SeedProject("Streets", [SeedDataset("Day", media)])
    (project,) = service.call(service.server.seed(seed))
    return Bench(at_service, service, project, tmp_path)


@pytest.mark.parametrize("group", ["", "being"])
@pytest.mark.parametrize(("first", "second"), NAMES)
def test_a_class_is_stored_as_itself(
    bench: Bench, first: tuple[str, ...], second: tuple[str, ...], group: str
) -> None:
    """With a configuration of one file, another one with some of its classes is stored right."""
    widths = {name: 5 + at for at, name in enumerate(first)}
    made = bench.run("config from", widths, group, "--upload", "streets", "--yes", "--no-backup")
    assert made.status == 0, made.err
    ran = bench.run("import", widths, group, "--project", "streets", "--replace")
    assert ran.status == 0, ran.err
    whole = bench.stored()
    assert len({*whole.values()}) == len(first)
    part = {name: widths[name] for name in second}
    ran = bench.run("import", part, group, "--project", "streets", "--replace")
    assert ran.status == 0, ran.err
    assert bench.stored() == {width: whole[width] for width in part.values()}


def test_a_class_that_is_not_there_is_rejected_by_name(bench: Bench) -> None:
    """A name that no entry has is stored as nothing else; the rest is, and the status is 1."""
    made = bench.run("config from", {"кошка": 5}, "", "--upload", "streets", "--yes", "--no-backup")
    assert made.status == 0, made.err
    widths = {"собака": 6, "кошка": 7}
    ran = bench.run("import", widths, "", "--project", "streets", "--replace")
    assert ran.status == 1
    assert "'собака'" in ran.err
    assert bench.stored() == {7: ("koshka", None)}


def test_an_import_that_makes_a_configuration_says_how_names_are_spelled(bench: Bench) -> None:
    """It says once what `config from` says, and all of the file is stored."""
    ran = bench.run("import", {"кошка": 5}, "", "-p", "streets", "--replace", "--create-config")
    assert ran.status == 0, ran.err
    assert ran.err.count("'кошка' is 'koshka'") == 1
    assert bench.stored() == {5: ("koshka", None)}
