"""What others have named reaches no terminal as it is, by any command, in any of its ways."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from aiohttp import web

from datagym_async import DataGymClient
from datagym_async.cli import COMMANDS, load
from datagym_async.labels import Annotation, Segmentation
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from tests.cli.conftest import Cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such names of files there")

EVIL = "\x1b]0;x\x07\x9b31m\u202e\n[red]x[bold]\r\x7f"
SHOWN = r"\x1b]0;x\x07\x9b31m\u202e\n[red]x[bold]\r\x7f"
_OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and drawing, on a terminal alone
_RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_KEPT = re.compile(r"[0-9a-f-]{36}|[A-Z_]{2,}|#[0-9A-Fa-f]{6}|https?://.*|ex_[a-z_]*")

CONFIG: list[dict[str, Any]] = [
    {"entryKey": "seg", "entryValue": "Seg", "type": "IMAGE_SEGMENTATION"},
    {"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"},
]
OTHER: list[dict[str, Any]] = [
    {"entryKey": "car", "entryValue": f"Car {EVIL}", "type": "RECTANGLE"},
    {"entryKey": f"k{EVIL}", "entryValue": "Car", "type": "RECTANGLE"},
]


@attrs.define
class Villain:
    """A middleware that puts escape sequences into every text of every answer.

    Attributes:
        refuses: What gets an error: ``"nothing"``, ``"work"`` (what changes or fetches something)
            or ``"all"``.
    """

    refuses: str = "nothing"
    is_on: bool = False
    _errors: int = 0

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        if not self.is_on:
            return await handler(request)
        is_work = request.method in {"POST", "PUT", "DELETE"} or "/media/" in request.path
        if self.refuses == "all" or (self.refuses == "work" and is_work):
            return self._error()
        answer = await handler(request)
        if not isinstance(answer, web.Response) or answer.content_type != "application/json":
            return answer
        assert isinstance(answer.body, bytes)
        return web.json_response(spoilt(json.loads(answer.body)), status=answer.status)

    def _error(self) -> web.Response:
        self._errors += 1
        key = "ex_notfound" if self._errors % 2 else f"ex_{EVIL}"
        detail = {"name": EVIL, "key": EVIL, "params": [EVIL]}
        body = {"key": key, "msg": EVIL, "params": [EVIL] * 3, "details": [detail], "code": 412}
        return web.json_response(body, status=412)


def spoilt(value: object) -> object:
    """Return a JSON value with an escape sequence behind each text that is no id or constant."""
    if isinstance(value, dict):
        return {key: spoilt(member) for key, member in value.items()}
    if isinstance(value, list):
        return [spoilt(each) for each in value]
    return value + EVIL if isinstance(value, str) and not _KEPT.fullmatch(value) else value


@attrs.frozen
class World:
    """A service of a villain, a labelled project there, and a folder of odd files."""

    villain: Villain
    project: SeededProject
    folder: Path

    @property
    def photos(self) -> Path:
        """Photos with names that steer a terminal, that are no text, and that are just names."""
        folder = self.folder / f"photos {EVIL}"
        if not folder.exists():
            folder.mkdir()
            for name in (f"a {EVIL}.jpg", os.fsdecode(b"caf\xe9.jpg"), "good.jpg", "[red]b.jpg"):
                (folder / name).write_bytes(jpeg(2000))
            (folder / f"broken {EVIL}.png").write_bytes(b"none")
        return folder

    def file(self, name: str, value: object) -> Path:
        """A JSON file."""
        path = self.folder / name
        path.write_text(json.dumps(value))
        return path

    def commands(self) -> Iterator[tuple[str, list[object]]]:
        """All commands with their arguments, in an order in which each finds something to do."""
        project, dataset = self.project.id, self.project.datasets[0].id
        tasks = list(self.project.task_ids.values())
        media_id = self.project.datasets[0].media_ids["a.jpg"]
        box = {f"no {EVIL}": [{"rectangle": [{"x": 1, "y": 2, "w": 3, "h": 4}]}]}
        predictions = [{"internal_media_ID": media_id, "labels": box}]
        image = {"id": 1, "file_name": f"{EVIL}.jpg", "width": 9, "height": 9}
        coco: dict[str, Any] = {"images": [image]}
        coco |= {"categories": [], "annotations": []}
        config, evil = self.file("config.json", OTHER), self.folder / EVIL
        yield "projects list", []
        yield "datasets list", []
        yield "datasets show", [dataset]
        yield "datasets show", [EVIL]
        yield "datasets create", [f"new {EVIL}"]
        yield "datasets create", ["plain"]
        yield "media list", [dataset]
        yield "media get", [dataset, EVIL, "-o", evil / "media"]
        yield "media rm", [dataset, EVIL, "--yes"]
        yield "auth login", ["--profile", EVIL]
        yield "auth status", ["--profile", f"no {EVIL}"]
        yield "auth status", []
        yield "projects attach", [dataset, f"Street {EVIL}"]
        yield "projects attach", [dataset, project]
        yield "config show", [project]
        yield "config show", [project, "--yaml"]
        yield "config validate", [config]
        yield "config validate", [self.file(f"wrong {EVIL}.json", [{"entryKey": EVIL}])]
        yield "config diff", [project, config]
        yield "config from", [self.file(f"made of {EVIL}.json", coco), "--output", evil / "c.json"]
        yield "config from", [self.file(f"no classes {EVIL}.json", predictions)]
        yield "tasks list", [project]
        yield "tasks complete", [tasks[0], EVIL]
        yield "tasks skip", [tasks[0], EVIL]
        yield "upload", [self.photos, "-d", dataset]
        yield "upload", [self.photos, "-d", dataset, "--fresh", "--dry-run"]
        yield "upload", [f"https://host.example/{EVIL}.jpg", "no/" + EVIL, "-d", dataset]
        yield "upload", [f"--no-such-{EVIL}"]
        yield "upload", [self.photos, "-d", dataset, "--max-bytes", EVIL]
        yield "jobs list", []
        yield "jobs show", ["nothing " + EVIL]
        for journal in self._journals():
            yield "jobs show", [journal]
            yield "jobs resume", [journal]
        yield "jobs resume", ["nothing " + EVIL]
        yield "stats", [project]
        yield "stats", [f"no {EVIL}"]
        yield "gallery", [project, "-o", evil / "gallery", "--workers", "0"]
        yield "gallery", [self.photos, "--labels", f"no {EVIL}", "-o", evil / "gallery"]
        yield "preview", [project, "-o", evil / "preview.png"]
        yield "preview", [project, "--class", EVIL]
        yield "auth logout", ["--all", "--yes"]
        yield "auth logout", ["--profile", EVIL, "--yes"]
        yield "jobs clean", ["--yes", "--unfinished"]
        yield "download", [evil / "got", "-d", dataset]
        yield "download", [evil / "all", "--project", project, "--labels", "jsonl"]
        yield "export", [project, "-o", self.folder / "labels.json"]
        yield "export", [project, "-o", evil / "coco.json", "-f", "coco", "--no-sizes"]
        yield "export", [project, "-o", self.folder / f"{EVIL}.json", "-f", "coco", "--no-sizes"]
        yield "import", [self.file("p.json", predictions), "-p", project, "--check"]
        yield "import", [self.file("p.json", predictions), "-p", project, "--append"]
        yield "import", [self.file("coco.json", coco), "-p", project, "--check", "--unannotated"]
        yield "import", [self.file("no.json", EVIL), "-p", project, "--check"]
        yield "bitmaps", [project, evil / "bitmaps"]
        yield "config backup", [project, "--backup-folder", evil / "backup"]
        yield "config upload", [project, config, "--yes", "--backup-folder", evil / "b"]
        yield "config restore", [project, config, "--yes", "--no-backup"]
        yield "projects detach", [dataset, project, "--yes"]
        yield "demo", [self.photos]

    def _journals(self) -> Iterator[str]:
        folder = Path(os.environ["DATAGYM_STATE_DIR"])
        yield from (each.stem for each in folder.glob("*.journal"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world, with its address and token in the environment."""
    villain, content = Villain(), jpeg(2000)
    media = [SeedMedia(f"{each}.jpg", content, state="WAITING") for each in "abc"]
    with ServerThread(token=TOKEN, middlewares=(villain.middleware,)) as service:

        async def prepare() -> SeededProject:
            seed = SeedProject("Street scenes", [SeedDataset("Streets", media)])
            (made,) = await service.server.seed(seed)
            async with DataGymClient(TOKEN, service.base_url) as client:
                await client.label_configs.upload(made.label_configuration_id, CONFIG)
                segment = Annotation("seg", Segmentation([[(1, 1), (9, 1), (9, 9)]]))
                for name in ("a.jpg", "b.jpg"):
                    await client.values.write(made.task_ids[name], [segment])
                await client.tasks.complete(made.task_ids["b.jpg"])
            return made

        monkeypatch.setenv("DATAGYM_BASE_URL", service.base_url)
        monkeypatch.setenv("DATAGYM_TOKEN", TOKEN)
        project = service.call(prepare())
        villain.is_on = True
        yield World(villain, project, tmp_path)


@pytest.mark.parametrize(
    ("refuses", "screen", "options"),
    [
        ("nothing", "pipe", []),
        ("nothing", "terminal", []),
        ("nothing", "terminal", ["--json"]),
        ("work", "terminal", ["--debug"]),
        ("all", "pipe", ["--debug"]),
    ],
)
def test_no_command_prints_what_steers_a_terminal(
    world: World,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    refuses: str,
    screen: str,
    options: list[str],
) -> None:
    """Names, errors and paths with control characters and markup: none raw, markup as written."""
    monkeypatch.setenv("TERM", "xterm-256color")
    if screen == "terminal":
        monkeypatch.setenv("FORCE_COLOR", "1")
    world.villain.refuses = refuses
    run, shown = set(), 0
    for command, arguments in world.commands():
        ran = cli(*command.split(), *arguments, *options)
        said = ran.out + ran.err
        if screen == "terminal":
            said = _OURS.sub("", said).replace("\r\n", "\n").replace("\r", "")
        found = [ascii(line) for line in said.split("\n") if _RAW.search(line)]
        assert not found, f"{command}: {found}"
        assert not re.search(r"^\[red\]x", said, re.MULTILINE), f"{command} let a line be forged"
        run.add(command)
        shown += SHOWN in said or json.dumps(EVIL)[1:-1] in said
    assert shown >= len(run) // 2, "so few of them quoted it that nothing was tried"
    assert run == set(_all_commands()) - {"serve"}  # which says its own address and token


def test_no_usage_error_prints_what_steers_a_terminal(cli: Cli) -> None:
    """A word that is no command is quoted, too."""
    ran = cli(EVIL)
    assert ran.status == 2
    assert SHOWN in ran.err
    assert not _RAW.search(ran.err)


def _all_commands() -> Iterator[str]:
    for name in COMMANDS:
        inner = getattr(load(name), "commands", None)
        yield from (f"{name} {each}" for each in inner) if inner else [name]
