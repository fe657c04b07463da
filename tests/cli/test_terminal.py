"""What only a process of its own shows: a terminal, and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async.cli._serve import command_to_set
from datagym_async.testing import Status
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.terminal import Terminal, said_until, start

if TYPE_CHECKING:
    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import Gate, ServerThread

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs a pty and POSIX signals"),
]


NAMES = ["a.jpg", "b.jpg", "c.png", "ü.jpg"]


def one_by_one(photos: Path) -> tuple[str, ...]:
    """Return a command that uploads one photo at a time."""
    return ("upload", str(photos), "-d", "Photos", "--create", "--concurrency", "1")


def environment(service: ServerThread) -> dict[str, str]:
    """Return the settings of a user of the service."""
    return {
        "DATAGYM_BASE_URL": service.base_url,
        "DATAGYM_TOKEN": TOKEN,
        "DATAGYM_STATE_DIR": os.environ["DATAGYM_STATE_DIR"],
    }


def test_the_progress_display(
    service: ServerThread, faults: FaultPlan, gate: Gate, photos: Path
) -> None:
    """On a terminal: files, bytes, rate, time left, in flight, limit and retries, all at once."""
    # A read: an upload would wait seconds for the look at what became of it.
    faults.add(Status(503, headers={"Retry-After": "0"}), method="GET", path="/dataset$", nth=1)
    gate.hold_from(3)
    with Terminal(*one_by_one(photos), environment=environment(service)) as terminal:
        assert gate.reached.wait(100)
        seen = len(terminal.text)
        terminal.wait_for("2/4 files")
        terminal.wait_for("1 in flight, limit 1")
        terminal.wait_for("limit 1: pinned at 1")
        service.call(gate.release())
        assert terminal.wait() == 0
        shown = terminal.text[seen:]
    assert re.search(r"Uploading \S+ 2/4 files", shown)
    assert re.search(r"6\.0/12\.0 kB · [\d.]+ [kM]?B?(bytes)?/s · \d:\d\d:\d\d left · ", shown)
    assert re.search(r"1 in flight, limit 1 ·\s+1 retry", shown)
    assert re.search(r"uploaded +4 +12\.0 kB", shown)
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
    with Terminal("auth", "login", environment=settings) as terminal:
        terminal.wait_for("token")
        terminal.type("")
        assert terminal.wait() == 2
        assert "No token was given." in terminal.text


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


def test_cleaning_asks_first(at_service: Cli, service: ServerThread, photos: Path) -> None:
    """On a terminal, deleting journals says which, and does nothing without a yes."""
    at_service("upload", str(photos), "-d", "Photos", "--create")
    command = ("jobs", "clean", "--older-than", "30d")
    with Terminal(*command, environment=environment(service)) as terminal:
        terminal.wait_for("Delete the journals of complete jobs not written for 30 days in")
        terminal.type("n")
        assert terminal.wait() == 0
        assert "Nothing was deleted" in terminal.text
    assert len(at_service("jobs", "list", "--json").documents) == 1
    with Terminal("jobs", "clean", "--unfinished", environment=environment(service)) as terminal:
        terminal.wait_for("of all jobs, also of unfinished ones, in")
        terminal.type("y")
        assert terminal.wait() == 0
        assert "Deleted 1 journal" in terminal.text
    assert at_service("jobs", "list", "--json").documents == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_first_signal_drains(
    at_service: Cli, service: ServerThread, gate: Gate, photos: Path, number: signal.Signals
) -> None:
    """Once: what is in flight ends, status 130, and the same command resumes from there."""
    gate.hold_from(3)
    process = start(*one_by_one(photos), environment=environment(service))
    assert gate.reached.wait(100)
    process.send_signal(number)
    said = said_until(process, "Stopping")
    service.call(gate.release())
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "3 uploaded, 1 pending" in out
    assert "Interrupted. The same command resumes" in err
    assert "Traceback" not in said + err
    assert TOKEN not in said + out + err
    again = at_service(*one_by_one(photos), "--json")
    assert again.status == 0
    assert (again.document["uploaded"], again.document["skipped"]) == (1, 3)
    assert _names(at_service) == NAMES


def test_the_second_ctrl_c_stops_at_once(
    at_service: Cli, service: ServerThread, gate: Gate, photos: Path
) -> None:
    """Twice: stopped though the service is silent, and still each image is there once."""
    gate.hold_from(3)
    process = start(*one_by_one(photos), environment=environment(service))
    assert gate.reached.wait(100)
    process.send_signal(signal.SIGINT)
    said = said_until(process, "Stopping")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "2 uploaded, 1 pending, 1 unsettled" in out
    assert "Interrupted. The same command resumes" in err
    assert "Traceback" not in said + err
    service.call(gate.release())
    again = at_service(*one_by_one(photos), "--settle-after", "0.1", "--json")
    assert (again.status, again.document["failed"]) == (0, 0)
    assert _names(at_service) == NAMES


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_an_upload_whose_standard_input_is_silent(
    at_service: Cli, service: ServerThread, gate: Gate, photos: Path, number: signal.Signals
) -> None:
    """A read that never returns holds neither the run nor the end of the program."""
    gate.hold_from(1)
    reading, writing = os.pipe()
    try:
        os.write(writing, f"{min(photos.glob('*.jpg'))}\n".encode())
        command = ("upload", "-", "-d", "Photos", "--create")
        process = start(*command, environment=environment(service), stdin=reading)
        assert gate.reached.wait(100)
        process.send_signal(number)
        said = said_until(process, "Stopping")
        service.call(gate.release())
        out, err = process.communicate(timeout=100)
    finally:
        os.close(reading)
        os.close(writing)
    assert process.returncode == 130
    assert "1 item for 'Photos': 1 uploaded" in out
    assert "Interrupted. The same command resumes" in err
    assert "Traceback" not in said + err
    assert len(_names(at_service)) == 1


def test_a_killed_upload_goes_on(
    at_service: Cli, service: ServerThread, gate: Gate, photos: Path
) -> None:
    """Killed without a warning: the journal reads, and the same command completes the job."""
    gate.hold_from(3)
    process = start(*one_by_one(photos), environment=environment(service))
    assert gate.reached.wait(100)
    process.kill()
    process.communicate(timeout=100)
    jobs = at_service("jobs", "list", "--json").documents
    assert [(each["problem"], each["complete"]) for each in jobs] == [("", False)]
    service.call(gate.release())
    again = at_service(*one_by_one(photos), "--settle-after", "0.1", "--json")
    assert (again.status, again.document["failed"]) == (0, 0)
    assert _names(at_service) == NAMES


def test_one_process_a_journal(
    at_service: Cli, service: ServerThread, gate: Gate, photos: Path
) -> None:
    """The second process on one journal says so and stops: status 2, one sentence."""
    gate.hold_from(1)
    process = start(*one_by_one(photos), environment=environment(service))
    assert gate.reached.wait(100)
    second = at_service(*one_by_one(photos))
    assert (second.status, second.out) == (2, "")
    assert "Another upload is using" in second.err
    assert second.err.count("\n") == 1
    running = at_service("jobs", "list", "--json").documents
    assert [each["in_use"] for each in running] == [True]
    service.call(gate.release())
    process.communicate(timeout=100)
    assert process.returncode == 0


def test_ctrl_c_on_a_terminal(service: ServerThread, gate: Gate, photos: Path) -> None:
    """The display is left as it was, with the closing lines below it and the cursor back."""
    gate.hold_from(3)
    with Terminal(*one_by_one(photos), environment=environment(service)) as terminal:
        assert gate.reached.wait(100)
        terminal.wait_for("2/4 files")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("Stopping: ")
        terminal.wait_for("Stopping ━")
        service.call(gate.release())
        assert terminal.wait() == 130
        shown = " ".join(terminal.text.split())
        assert terminal.cursor_is_shown
    assert "Press Ctrl-C again to stop at once" in shown
    assert "3 uploaded, 1 pending" in shown
    assert shown.endswith("Interrupted. The same command resumes where this one stopped.")


def test_a_watch_ends_with_ctrl_c(at_service: Cli, service: ServerThread, photos: Path) -> None:
    """--watch uploads what is there and what arrives; Ctrl-C is its proper end: status 0."""
    command = ("upload", str(photos), "-d", "Photos", "--create", "--watch", "--stats", "0.1")
    process = start(*command, environment=environment(service))
    said_until(process, "4/4")
    (photos / "late.jpg").write_bytes(jpeg(2000, seed=5))
    said_until(process, "5/5")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, "Traceback" in err) == (0, False)
    assert "5 uploaded" in out
    assert _names(at_service) == sorted([*NAMES, "late.jpg"])
    (job,) = at_service("jobs", "list", "--json").documents
    assert job["complete"] is True


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
        assert (process.wait(timeout=100), said) == (1, "")


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


def test_variables_are_set_as_the_usual_shell_of_the_system_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`export` is no command of Windows."""
    assert command_to_set("X", "it's") == """export X='it'"'"'s'"""
    monkeypatch.setattr(sys, "platform", "win32")
    assert command_to_set("X", "it's") == "$env:X = 'it''s'"


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
    process.communicate(timeout=100)
    assert process.returncode == 0
    assert (said["token"], said["data"], said["dialect"]) == ("own-token-4711", None, "current")


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_serve_for_other_machines_is_warned_of(host: str, *, warned: bool) -> None:
    """Whoever opens the server to the network is told what that means; loopback is silent."""
    process = start("serve", "--host", host, "--port", "0", environment={})
    said = said_until(process, "In another terminal")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)
    assert (f"Other machines can reach this server at {host}" in said) == warned


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
        err = self._process.communicate(timeout=100)[1]
        assert self._process.returncode == 0
        assert self.token not in err


def _names(cli: Cli) -> list[str]:
    return sorted(str(each["name"]) for each in _media(cli))


def _media(cli: Cli) -> list[dict[str, object]]:
    media = cli("datasets", "show", "Photos", "--json").document["media"]
    assert isinstance(media, list)
    return media
