"""What a terminal shows, as a whole: nothing on one screen contradicts the rest of it."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async.testing import Status
from tests.helpers.photos import jpeg
from tests.helpers.screens import check_screen
from tests.helpers.sentinel import TOKEN
from tests.helpers.terminal import Terminal

if TYPE_CHECKING:
    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import Gate, ServerThread

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs a pty"),
    pytest.mark.parametrize("columns", [80, 120]),
]


@pytest.fixture(autouse=True)
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with eight images and a text, below the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(jpeg(3000, seed=number))
    (folder / "notes.txt").write_text("no image")


def upload(service: ServerThread, columns: int, *more: str) -> Terminal:
    """Start an upload of the folder, one image at a time."""
    command = ("upload", "photos", "-d", "Photos", "--concurrency", "1", *more)
    return Terminal(*command, environment=settings(service), columns=columns)


def settings(service: ServerThread) -> dict[str, str]:
    """Return the environment of a user of the service."""
    return {
        "DATAGYM_BASE_URL": service.base_url,
        "DATAGYM_TOKEN": TOKEN,
        "DATAGYM_STATE_DIR": os.environ["DATAGYM_STATE_DIR"],
    }


def test_an_upload(at_service: Cli, service: ServerThread, gate: Gate, columns: int) -> None:
    """While it runs, and at its end."""
    at_service("datasets", "create", "Photos")
    gate.hold_from(4)
    with upload(service, columns) as terminal:
        running = terminal.wait_for_screen("4/9 files", "1 in flight, limit 1", "pinned at 1")
        service.call(gate.release())
        assert terminal.wait() == 1
        check_screen("upload-running", columns, running)
        check_screen("upload-done", columns, terminal.screen)


def test_a_resumed_upload(at_service: Cli, service: ServerThread, gate: Gate, columns: int) -> None:
    """What was done before counts from the beginning, in the same words to the end."""
    at_service("datasets", "create", "Photos")
    with upload(service, columns, "--max-files", "3") as terminal:
        assert terminal.wait() == 1
        check_screen("upload-stopped", columns, terminal.screen)
    gate.hold_from(3)
    with upload(service, columns) as terminal:
        running = terminal.wait_for_screen("5/8+ files", "1 in flight, limit 1", "pinned at 1")
        service.call(gate.release())
        assert terminal.wait() == 1
        check_screen("resume-running", columns, running)
        check_screen("resume-done", columns, terminal.screen)
    with upload(service, columns) as terminal:
        assert terminal.wait() == 1
        check_screen("resume-nothing", columns, terminal.screen)


def test_all_numbers_agree(
    at_service: Cli,
    service: ServerThread,
    faults: FaultPlan,
    gate: Gate,
    tmp_path: Path,
    columns: int,
) -> None:
    """In each drawing of a run whose limit rises and falls, and is held until it is drawn."""
    for number in range(200):
        (tmp_path / "photos" / f"more {number}.jpg").write_bytes(jpeg(1500, seed=number))
    for nth in (40, 80, 120, 160):
        faults.add(Status(503, headers={"Retry-After": "0"}), path="/file$", nth=nth)
    at_service("datasets", "create", "Photos")
    gate.hold_from(100)
    command = ("upload", "photos", "-d", "Photos", "--rate", "0")
    with Terminal(*command, environment=settings(service), columns=columns) as terminal:
        terminal.wait_for_screen(" in flight, limit ")
        service.call(gate.release())
        assert terminal.wait() == 1
        drawings = re.split(r"(?=Reading |Uploading |Done )", terminal.text)
    seen = 0
    for drawing in drawings:
        for count, limit in re.findall(r"(\d+) in flight, limit (\d+)", drawing):
            assert int(count) <= int(limit)
            remark = re.search(r"^limit (\d+): ", drawing, re.MULTILINE)
            assert remark is None or remark[1] == limit
            seen += 1
        for done, total in re.findall(r"(\d+)/(\d+) files", drawing):
            assert int(done) <= int(total)
        assert not ("Done " in drawing and "left" in drawing)
    assert seen


def test_a_download(at_service: Cli, service: ServerThread, columns: int) -> None:
    """At its end, and again when all is there."""
    at_service("upload", "photos", "-d", "Photos", "--create", "--quiet")
    for name in ("download-done", "download-nothing"):
        command = ("download", "-d", "Photos", "there")
        with Terminal(*command, environment=settings(service), columns=columns) as terminal:
            assert terminal.wait() == 0
            check_screen(name, columns, terminal.screen)


def test_a_spread_upload(at_service: Cli, service: ServerThread, columns: int) -> None:
    """Which dataset has got what."""
    at_service("datasets", "create", "Photos")
    with upload(service, columns, "--max-per-dataset", "3") as terminal:
        assert terminal.wait() == 1
        check_screen("spread-done", columns, terminal.screen)


def test_jobs(at_service: Cli, service: ServerThread, columns: int, tmp_path: Path) -> None:
    """The list, and what one of them says."""
    at_service("datasets", "create", "Photos")
    with upload(service, columns, "--max-files", "3") as terminal:
        assert terminal.wait() == 1
    (job,) = at_service("jobs", "list", "--json").documents
    with Terminal("jobs", "list", environment=settings(service), columns=columns) as terminal:
        assert terminal.wait() == 0
        listed = [re.sub(r"…\S+(?=/photos)", _some_folder, line) for line in terminal.screen]
        check_screen("jobs-list", columns, [_at_home(line, job, tmp_path) for line in listed])
    command = ("jobs", "show", str(job["job"]))
    with Terminal(*command, environment=settings(service), columns=columns) as terminal:
        assert terminal.wait() == 0
        # Where a line is broken depends on the folder's name: each label has one line here.
        shown = re.sub(r"\n(?![A-Z])", " ", "\n".join(terminal.screen).strip())
        shown = re.sub(r"^(Journal|Sources) +", r"\1 ", shown, flags=re.MULTILINE)
        lines = _at_home(shown, job, tmp_path).split("\n")
        wrapped = [part for line in lines for part in textwrap.wrap(line, columns)]
        check_screen("jobs-show", columns, wrapped)


def _some_folder(found: re.Match[str]) -> str:
    return "…" + "folder"[: len(found[0]) - 1].ljust(len(found[0]) - 1, "-")


def _at_home(text: str, job: dict[str, object], folder: Path) -> str:
    """Return a text without what is different each time: folders, names and hours."""
    # A long path is broken wherever the terminal ends.
    journal = f"{os.environ['DATAGYM_STATE_DIR']}/{job['job']}.journal"
    state = "/home/me/.local/state/datagym-async/155a0e8d57dbeaf21f7e8567.journal"
    photos = (str(folder / "photos"), "/home/me/photos")
    for path, shown in ((journal, state), photos, (str(folder), "/home/me")):
        text = re.sub(r"\s*".join(map(re.escape, path)), shown, text)
    text = text.replace(str(job["job"]), "155a0e8d57dbeaf21f7e8567")
    text = text.replace(str(job["job"])[:6], "155a0e")
    text = re.sub(r"\(\d+\.\d kB\)", "(28.7 kB)", text)
    text = re.sub(r"[0-9a-f-]{36}", "e9ee2b36-0fb3-47ab-8147-463fc1ec90b9", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "2026-11-29", text)
    return re.sub(r"\b\d\d:\d\d\b", "01:19", text)


@pytest.mark.parametrize("words", [(), ("jobs",), ("jobs", "clean")])
def test_help(service: ServerThread, columns: int, words: tuple[str, ...]) -> None:
    """The commands there are, and the help of a group and of one command."""
    command = (*words, "--help")
    with Terminal(*command, environment=settings(service), columns=columns) as terminal:
        assert terminal.wait() == 0
        check_screen("-".join(("help", *words)), columns, terminal.screen)
