"""The command line in this process, against the embedded server in a thread."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import attrs
import pytest

from datagym_async.__main__ import main
from datagym_async.cli import _progress
from datagym_async.testing import FaultPlan
from tests.helpers.photos import jpeg, png
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import Gate, ServerThread


@attrs.frozen
class Result:
    """What one run of the command line gave."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        """The JSON object on standard output."""
        return cast("dict[str, object]", json.loads(self.out))

    @property
    def documents(self) -> list[dict[str, object]]:
        """The JSON array on standard output."""
        return cast("list[dict[str, object]]", json.loads(self.out))


class Cli(Protocol):
    """Runs the command line; the token must not be seen in what it says."""

    def __call__(self, *argv: object) -> Result: ...


@pytest.fixture
def faults() -> FaultPlan:
    """What goes wrong with the service."""
    return FaultPlan()


@pytest.fixture
def gate() -> Gate:
    """What holds uploads at the service."""
    return Gate()


@pytest.fixture
def service(faults: FaultPlan, gate: Gate) -> Iterator[ServerThread]:
    """An embedded server with the demo's projects."""
    with ServerThread(token=TOKEN, middlewares=(faults.middleware, gate.middleware)) as running:
        running.call(running.server.seed_demo())
        yield running


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of journals, for commands in this process and below it."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("DATAGYM_STATE_DIR", str(folder))
    # The gallery of a demonstration stays for whoever looks at it.
    temporary = str(tmp_path_factory.mktemp("temporary"))
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    monkeypatch.setenv("TMPDIR", temporary)
    return folder


@pytest.fixture(autouse=True)
def no_lines_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say how far a command is only if a test asks for it: any command may take some seconds."""
    display, usual = _progress._display, _progress.SAY_EVERY
    monkeypatch.setattr(
        _progress, "_display", lambda output, every: display(output, 0 if every == usual else every)
    )


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line without settings."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*argv: object) -> Result:
        capsys.readouterr()
        status = main([str(each) for each in argv])
        said = capsys.readouterr()
        assert TOKEN not in said.out + said.err
        return Result(status, said.out, said.err)

    return run


@pytest.fixture
def at_service(service: ServerThread, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line with address and token of `service` in its environment."""
    monkeypatch.setenv("DATAGYM_BASE_URL", service.base_url)
    monkeypatch.setenv("DATAGYM_TOKEN", TOKEN)
    return cli


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(("a.jpg", "b.jpg", "ü.jpg")):
        (folder / name).write_bytes(jpeg(3000, seed=seed))
    (folder / "c.png").write_bytes(png(3000, seed=9))
    return folder
