"""`config`: label configurations, shown, checked, compared and replaced."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from datagym_async import DataGymClient
from datagym_async.labels import LabelConfig
from datagym_async.testing import ServiceError
from tests.helpers.sentinel import TOKEN
from tests.helpers.terminal import Terminal

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread

PROJECT = "Demo images"


def present() -> LabelConfig:
    config = LabelConfig()
    car = config.add_rectangle("car", "Car", color="#3333FF", shortcut=1)
    car.add_select("kind", "Kind", {"bus": "Bus", "van": "Van"}, required=True)
    return config


def wanted() -> LabelConfig:
    config = LabelConfig()
    config.add_rectangle("car", "Car", color="#3333FF", shortcut=1)
    config.add_freetext("remark", "Remark", 20)
    return config


@pytest.fixture
def labelled(at_service: Cli, service: ServerThread, photos: Path) -> Cli:
    """The command line, and a project with a configuration, a finished task and a begun one."""
    at_service("upload", photos, "-d", "Photos", "--create")
    at_service("projects", "attach", "Photos", PROJECT)

    async def label() -> None:
        async with DataGymClient(TOKEN, service.base_url) as client:
            project = await client.projects.find(PROJECT)
            assert project is not None
            await client.label_configs.upload(project.label_configuration_id, present())
            tasks = (await client.tasks.list(project.id, state="BACKLOG"))[:2]
            box = {
                "rectangle": [{"x": 1, "y": 2, "w": 3, "h": 4}],
                "classifications": {"kind": ["bus"]},
            }
            await client.labels.import_predictions(
                project.id,
                [{"internal_media_ID": task.media_id, "labels": {"car": [box]}} for task in tasks],
                keep_data=False,
            )
            changed = (await client.tasks.get(tasks[0].id)).last_changed_config
            await client.tasks.complete(tasks[0].id, last_changed_config=changed)

    asyncio.run(label())
    return at_service


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The wanted configuration, as JSON."""
    path = tmp_path / "config.json"
    path.write_text(wanted().to_json())
    return path


def test_a_configuration_is_shown(labelled: Cli) -> None:
    """As a table with what is nested, as JSON and as YAML that upload takes."""
    table = labelled("config", "show", PROJECT)
    assert (table.status, table.err) == (0, "")
    assert "  kind" in table.out
    assert "required, bus | van" in table.out
    assert LabelConfig.from_json(labelled("config", "show", PROJECT, "--json").out) == present()
    assert LabelConfig.from_yaml(labelled("config", "show", PROJECT, "--yaml").out) == present()


def test_an_empty_configuration_is_said_to_be_so(labelled: Cli, service: ServerThread) -> None:
    """Not a table of nothing; JSON and YAML are those of none."""

    async def clear() -> None:
        async with DataGymClient(TOKEN, service.base_url) as client:
            project = await client.projects.find(PROJECT)
            assert project is not None
            await client.label_configs.clear(project.label_configuration_id)

    asyncio.run(clear())
    shown = labelled("config", "show", PROJECT)
    assert (shown.status, shown.out) == (0, "")
    assert shown.err == f"The label configuration of {PROJECT!r} is empty.\n"
    assert len(LabelConfig.from_json(labelled("config", "show", PROJECT, "--json").out)) == 0
    assert len(LabelConfig.from_yaml(labelled("config", "show", PROJECT, "--yaml").out)) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", PROJECT, "--json", "--yaml"), "--json and --yaml are two forms"),
        (("from", "labels.json", "--json", "--yaml"), "--json and --yaml are two forms"),
        (("from", "labels.json", "-o", "a.json", "--yaml"), "--yaml is for printing"),
    ],
)
def test_forms_that_exclude_each_other(cli: Cli, words: tuple[str, ...], said: str) -> None:
    """They are refused before a token is asked for."""
    ran = cli("config", *words)
    assert (ran.status, said in ran.err) == (2, True)


def test_a_configuration_is_checked(cli: Cli, tmp_path: Path, file: Path) -> None:
    """All problems come at once, and status 1 with them; no service is asked."""
    assert cli("config", "validate", file).out.endswith("2 entries, no problem.\n")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("- {entryKey: line, entryValue: L., type: select, options: {A: a}}")
    ran = cli("config", "validate", wrong)
    assert (ran.status, ran.out.count("problem: line: ")) == (1, 2)
    assert ran.err.count("warning: ") == 2
    document = cli("config", "validate", wrong, "--json").document
    assert [len(cast("list[str]", document[key])) for key in ("problems", "warnings")] == [2, 2]


@pytest.mark.parametrize(("text", "words"), [("[{]", "not JSON"), (None, "cannot be read")])
def test_a_file_that_is_none(cli: Cli, tmp_path: Path, text: str | None, words: str) -> None:
    """It is named, with the reason."""
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    ran = cli("config", "validate", path)
    assert (ran.status, words in ran.err, path.name in ran.err) == (2, True, True)


def test_a_file_of_labels_is_no_configuration(cli: Cli, tmp_path: Path) -> None:
    """It is called what it is, with the command that makes a configuration of it."""
    path = tmp_path / "labels of cars.json"
    path.write_text('{"images": [], "annotations": [], "categories": []}')
    ran = cli("config", "validate", path)
    assert ran.status == 2
    assert f"It holds labels (coco); `config from '{path}'` makes one" in " ".join(ran.err.split())


def test_a_difference_is_shown(labelled: Cli, file: Path, tmp_path: Path) -> None:
    """A line for each entry, and status 1; nothing and status 0 where there is none."""
    ran = labelled("config", "diff", PROJECT, file)
    assert (ran.status, ran.out) == (
        1,
        "- car/kind (select 'Kind')\n+ remark (freetext 'Remark')\n",
    )
    document = labelled("config", "diff", PROJECT, file, "--json").document
    assert document == {"added": ["remark"], "removed": ["car/kind"], "changed": []}
    same = tmp_path / "same.yaml"
    same.write_text(present().to_yaml())
    assert labelled("config", "diff", PROJECT, same).status == 0


def test_an_upload_needs_a_yes(labelled: Cli, file: Path) -> None:
    """Where nobody can answer, it says what is at stake and changes nothing."""
    ran = labelled("config", "upload", PROJECT, file)
    assert ran.status == 2
    assert "1 finished task with 1 label, 1 begun task" in ran.err
    assert "+ remark" in ran.err
    assert "--yes" in ran.err
    assert LabelConfig.from_json(labelled("config", "show", PROJECT, "--json").out) == present()


def test_an_upload(labelled: Cli, file: Path, tmp_path: Path) -> None:
    """The labels are saved, the configuration is replaced, and once more there is nothing to do."""
    folder = tmp_path / "backups"
    command = ("config", "upload", PROJECT, file, "--yes", "--backup-folder", folder)
    ran = labelled(*command, "--json")
    document = ran.document
    assert (ran.status, document["changed"]) == (0, True)
    assert document["stakes"] == {"tasks": 4, "finished": 1, "labels": 1, "unfinished": 1}
    backup = cast("dict[str, str]", document["backup"])
    assert LabelConfig.from_json(Path(backup["config"]).read_bytes()) == present()
    assert len(json.loads(Path(backup["labels"]).read_bytes())) == 2
    assert LabelConfig.from_json(labelled("config", "show", PROJECT, "--json").out) == wanted()

    again = labelled(*command)
    assert (again.status, again.err) == (0, "Nothing differs; nothing was changed.\n")

    back = labelled("config", "restore", PROJECT, backup["folder"], *command[4:])
    assert "is replaced" in back.out
    said = [shlex.split(line) for line in back.err.splitlines() if line[:8] == "datagym-"]
    assert [Path(words[2]).name for words in said] == ["labels.json", "unfinished-tasks.jsonl"]
    assert [labelled(*words[1:]).status for words in said] == [0, 0]
    assert str(folder) in back.out
    assert LabelConfig.from_json(labelled("config", "show", PROJECT, "--json").out) == present()


def test_an_upload_that_fails(labelled: Cli, file: Path, tmp_path: Path, faults: FaultPlan) -> None:
    """The sentence says that the old one is back, and where the labels are."""
    faults.add(ServiceError(500, "ex_gen_config_depth"), method="PUT", path="/config/", first=1)
    folder = tmp_path / "backups"
    ran = labelled("config", "upload", PROJECT, file, "--yes", "--backup-folder", folder)
    assert (ran.status, "The old one is in place" in ran.err) == (2, True)
    (saved,) = folder.iterdir()
    assert str(saved / "labels.json") in ran.err


def test_a_wrong_file_is_not_uploaded(labelled: Cli, tmp_path: Path, faults: FaultPlan) -> None:
    """Its problems are said, and nothing is asked."""
    wrong = tmp_path / "wrong.json"
    wrong.write_text('[{"entryKey": "a.b", "entryValue": "A", "type": "point"}]')
    asked = len(faults.requests)
    ran = labelled("config", "upload", PROJECT, wrong, "--yes")
    assert (ran.status, "'.'" in ran.err, len(faults.requests)) == (2, True, asked)


def test_a_project_without_tasks(at_service: Cli, file: Path) -> None:
    """An empty configuration is filled; a full one that nothing shows is left alone."""
    shown = at_service("config", "show", PROJECT)
    assert (shown.status, "has no task" in shown.err) == (2, True)
    assert at_service("config", "upload", PROJECT, file, "--yes").status == 0
    again = at_service("config", "upload", PROJECT, file, "--yes")
    assert (again.status, "--no-backup" in again.err) == (2, True)
    assert at_service("config", "upload", PROJECT, file, "--yes", "--no-backup").status == 0


def test_a_backup(labelled: Cli, tmp_path: Path) -> None:
    """It prints the folder, and as JSON each file."""
    ran = labelled("config", "backup", PROJECT, "--backup-folder", tmp_path / "backups")
    folder = Path(ran.out.strip())
    assert sorted(path.name for path in folder.iterdir()) == [
        "label-config.json",
        "labels.json",
        "unfinished-tasks.jsonl",
    ]
    document = labelled(
        "config", "backup", PROJECT, "--backup-folder", tmp_path / "backups", "--json"
    ).document
    assert Path(str(document["labels"])).is_file()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pty")
def test_it_asks(labelled: Cli, service: ServerThread, file: Path, tmp_path: Path) -> None:
    """On a terminal it shows what changes and what is at stake, and takes no for an answer."""
    del labelled
    environment = {"DATAGYM_BASE_URL": service.base_url, "DATAGYM_TOKEN": TOKEN}
    folder = str(tmp_path / "backups")
    command = ("config", "upload", PROJECT, str(file), "--backup-folder", folder)
    with Terminal(*command, environment=environment, columns=200) as terminal:
        terminal.wait_for("Replace the label configuration")
        assert "This affects 1 finished task" in terminal.text
        terminal.type("n\n")
        terminal.wait_for("Nothing was changed")
    assert not Path(folder).exists()


class Interrupting:
    """Let a request pass, once this process has got a Ctrl-C, and another one."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)  # until the loop of the command has seen it
        return await handler(request)


def test_interrupted_again_and_again(labelled: Cli, tmp_path: Path, faults: FaultPlan) -> None:
    """Ctrl-C leaves the old or the new configuration, however often it comes."""
    file = tmp_path / "wanted.json"
    file.write_text(wanted().to_json())
    faults.add(Interrupting(), method="DELETE", path="/config/", first=1)
    place = tmp_path / "saved"
    ran = labelled("config", "upload", PROJECT, file, "--yes", "--backup-folder", place)
    assert (ran.status, "Stopping" in ran.err) == (130, True)
    assert LabelConfig.from_json(labelled("config", "show", PROJECT, "--json").out) == present()
    (backup,) = place.iterdir()
    assert (backup / "labels.json").stat().st_size > 100
