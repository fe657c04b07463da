"""What only a process of its own shows: a terminal, and Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from datagym_async.testing import Status
from tests.helpers.sentinel import TOKEN
from tests.helpers.terminal import Terminal, start

if TYPE_CHECKING:
    from pathlib import Path

    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import Gate, ServerThread

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs a pty and POSIX signals"),
]


def environment(service: ServerThread) -> dict[str, str]:
    """Return the settings of a user of the service."""
    return {"DATAGYM_BASE_URL": service.base_url, "DATAGYM_TOKEN": TOKEN}


def test_the_progress_display(
    service: ServerThread, faults: FaultPlan, gate: Gate, photos: Path
) -> None:
    """On a terminal: files, bytes, rate, time left, in flight and retries are drawn at once."""
    # A read: an upload would wait seconds for the look at what became of it.
    faults.add(Status(503, headers={"Retry-After": "0"}), method="GET", path="/dataset$", nth=1)
    gate.hold_from(3)
    command = ("upload", str(photos), "-d", "Photos", "--create", "--concurrency", "1")
    with Terminal(*command, environment=environment(service)) as terminal:
        assert gate.reached.wait(30)
        seen = len(terminal.text)
        terminal.wait_for("2/4 files")
        terminal.wait_for("1 in flight")
        service.call(gate.release())
        assert terminal.wait() == 0
        shown = terminal.text[seen:]
    assert re.search(r"Uploading \S+ 2/4 files", shown)
    assert re.search(
        r"6\.0/12\.0 kB · [\d.]+ [kM]?B?(bytes)?/s · \d:\d\d:\d\d left · 1 in flight · 1 retry",
        shown,
    )
    assert "4 uploaded" in shown
    assert TOKEN not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_token_is_asked_for(service: ServerThread) -> None:
    """On a terminal the token is asked for once, and not shown while it is typed."""
    settings = {"DATAGYM_BASE_URL": service.base_url}
    with Terminal("datasets", "create", "Photos", environment=settings) as terminal:
        terminal.wait_for("token")
        terminal.type(TOKEN)
        assert terminal.wait() == 0
        assert "Dataset 'Photos' has the id" in terminal.text
        assert TOKEN not in terminal.text


def test_detaching_asks_first(at_service: Cli, service: ServerThread) -> None:
    """On a terminal, detaching says what it destroys and does nothing without a yes."""
    at_service("datasets", "create", "Photos")
    at_service("projects", "attach", "Photos", "Demo images")
    command = ("projects", "detach", "Photos", "Demo images")
    for answer, words in (("n", "Nothing was changed"), ("y", "no longer attached")):
        with Terminal(*command, environment=environment(service)) as terminal:
            terminal.wait_for("Detach it?")
            assert "all their labels" in terminal.text.replace("\n", " ")
            terminal.type(answer)
            assert terminal.wait() == 0
            assert words in terminal.text


def test_ctrl_c_stops_cleanly(
    at_service: Cli, service: ServerThread, gate: Gate, photos: Path
) -> None:
    """Ctrl-C: status 130, how far it got, and the same command goes on from there."""
    gate.hold_from(3)
    command = ("upload", str(photos), "-d", "Photos", "--create", "--concurrency", "1")
    process = start(*command, environment=environment(service))
    assert gate.reached.wait(30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "2 uploaded, 2 pending" in out
    assert "The same command goes on" in err
    assert "Traceback" not in err
    assert TOKEN not in out + err
    service.call(gate.release())
    again = at_service(*command, "--json")
    assert (again.status, again.document["failed"]) == (0, 0)
    names = [each["name"] for each in _media(at_service)]
    assert sorted(str(each) for each in names) == ["a.jpg", "b.jpg", "c.png", "ü.jpg"]


def test_ctrl_c_on_a_terminal(service: ServerThread, gate: Gate, photos: Path) -> None:
    """The display is left as it was, with the closing lines below it and the cursor back."""
    gate.hold_from(3)
    command = ("upload", str(photos), "-d", "Photos", "--create", "--concurrency", "1")
    with Terminal(*command, environment=environment(service)) as terminal:
        assert gate.reached.wait(30)
        terminal.wait_for("2/4 files")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 130
        last = [each for each in terminal.text.splitlines() if each.strip()][-3:]
        assert terminal.cursor_is_shown
    assert "in flight" in last[0]
    assert "2 uploaded, 2 pending" in last[1]
    assert last[2].startswith("Interrupted.")
    service.call(gate.release())


def test_a_reader_that_left(at_service: Cli, service: ServerThread) -> None:
    """`| head` is no error: nothing is said, whichever way the output goes."""
    at_service("datasets", "create", "Photos")
    for more in ((), ("--json",)):
        process = start("datasets", "list", *more, environment=environment(service))
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=30), said) == (1, "")


def test_serve_until_ctrl_c(at_service: Cli, tmp_path: Path) -> None:
    """`serve` prints two export lines that work, keeps its data, and ends with 0 on Ctrl-C."""
    command = ("serve", "--data", str(tmp_path / "data"), "--port", "0", "--seed", "demo")
    first, again = Served(*command), Served(*command)
    with first:
        assert first.token != ""
        created = at_service("datasets", "create", "Kept", "--base-url", first.base_url)
        assert created.status == 2  # the fixture's token is of another server
    with again:
        assert again.token == first.token
        busy = at_service("serve", "--data", tmp_path / "data", "--port", "0")
        assert (busy.status, "already uses the data folder" in busy.err) == (2, True)
        taken = at_service("serve", "--port", again.base_url.rpartition(":")[2])
        assert (taken.status, "is in use" in taken.err, "--port" in taken.err) == (2, True, True)


def test_serve_as_json_with_a_token_of_ones_own(at_service: Cli, tmp_path: Path) -> None:
    """`serve --json` gives address and token to programs; --token-file says which token."""
    (tmp_path / "token").write_text("own-token-4711\n")
    process = start(
        "serve", "--port", "0", "--token-file", str(tmp_path / "token"), "--json", environment={}
    )
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while lines[-1] != "}\n":
        lines.append(process.stdout.readline())
    said = json.loads("".join(lines))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert (said["token"], said["data"], said["dialect"]) == ("own-token-4711", None, "current")


class Served:
    """A `serve` command while the block lasts."""

    def __init__(self, *argv: str) -> None:
        self._argv = argv
        self.base_url = self.token = ""

    def __enter__(self) -> None:
        self._process = start(*self._argv, environment={})
        assert self._process.stdout is not None
        exports = [self._process.stdout.readline().strip() for _ in range(2)]
        self.base_url = exports[0].removeprefix("export DATAGYM_BASE_URL=")
        self.token = exports[1].removeprefix("export DATAGYM_TOKEN=")

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        err = self._process.communicate(timeout=30)[1]
        assert self._process.returncode == 0
        assert self.token not in err


def _media(cli: Cli) -> list[dict[str, object]]:
    media = cli("datasets", "show", "Photos", "--json").document["media"]
    assert isinstance(media, list)
    return media
