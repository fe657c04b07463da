"""Standard streams and Ctrl-C at the edges of a process: output never decides about the job."""

from __future__ import annotations

import errno
import io
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from datagym_async.__main__ import main
from tests.cli.test_terminal import environment
from tests.helpers.full_device import NEEDS_FULL_DEVICE
from tests.helpers.terminal import clean_environment

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell and signals"),
]

PROGRAM = (sys.executable, "-m", "datagym_async")


def in_shell(
    redirection: str, *argv: object, service: ServerThread, **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command with its streams redirected by a shell."""
    return subprocess.run(
        [
            "/bin/sh",
            "-c",
            f'${{F:+ulimit -f $F}}; exec "$@" {redirection}',
            "sh",
            *PROGRAM,
            *map(str, argv),
        ],
        env=clean_environment() | environment(service) | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream(
    at_service: Cli, service: ServerThread, photos: Path, redirection: str
) -> None:
    """A stream that is closed is nowhere; the job is done, and nothing goes into its files."""
    ran = in_shell(redirection, "upload", photos, "-d", "P", "--create", service=service)

    assert (ran.returncode, b"Traceback" in ran.stderr) == (0, False)
    assert at_service("datasets", "list", "--json").documents[0]["media_count"] == 4


@NEEDS_FULL_DEVICE
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_a_full_disk_behind_standard_output(
    at_service: Cli, service: ServerThread, photos: Path, more: tuple[str, ...]
) -> None:
    """The status is that of the upload, and somebody is told what the output lacks."""
    ran = in_shell(">/dev/full", "upload", photos, "-d", "P", "--create", *more, service=service)

    assert (ran.returncode, ran.stdout) == (0, b"")
    assert b"Standard output could not be written completely: No space left" in ran.stderr
    assert at_service("datasets", "list", "--json").documents[0]["media_count"] == 4


@NEEDS_FULL_DEVICE
def test_a_full_disk_behind_standard_error(
    at_service: Cli, service: ServerThread, photos: Path
) -> None:
    """Progress and messages are dropped; result and status are what they are."""
    ran = in_shell("2>/dev/full", "upload", photos, "-d", "P", "--create", service=service)

    assert (ran.returncode, b"4 uploaded" in ran.stdout) == (0, True)


@NEEDS_FULL_DEVICE
def test_a_list_that_is_not_written_whole(at_service: Cli, service: ServerThread) -> None:
    """Where the output is all of the job, it failed."""
    at_service("datasets", "create", "P")
    ran = in_shell(">/dev/full", "datasets", "list", service=service)

    assert (ran.returncode, b"Traceback" in ran.stderr) == (1, False)
    assert b"Not all of the output could be written" in ran.stderr


@pytest.fixture
def many_classes(tmp_path: Path) -> Path:
    """Return a file whose label configuration is larger than what a pipe holds."""
    (file := tmp_path / "classes.txt").write_text("".join(f"class {n}\n" for n in range(1200)))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    return file


@pytest.mark.parametrize("more", [(), ("--yaml",)], ids=["json", "yaml"])
def test_a_configuration_that_is_not_written_whole(
    service: ServerThread, many_classes: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """Half of one would be uploaded with status 0 behind it."""
    command = ("config", "from", many_classes.parent / "labels", "--classes", many_classes, *more)
    whole = in_shell("", *command, service=service)
    ran = in_shell(f"> {tmp_path / 'half'}", *command, service=service, F="8")

    assert (whole.returncode, whole.stdout.count(b"class 1199") > 0) == (0, True)
    assert (ran.returncode, b"Traceback" in ran.stderr) == (1, False)
    assert b"Not all of the output could be written" in ran.stderr


def test_streams_of_a_parent_that_does_not_wait(service: ServerThread, many_classes: Path) -> None:
    """Programs with an event loop pass on pipes that are full, or empty, at once (Node.js)."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    argv = ["config", "from", str(many_classes.parent / "labels"), "--classes", str(many_classes)]
    whole = in_shell("", *argv, service=service).stdout
    with subprocess.Popen(
        [*PROGRAM, *argv],
        env=clean_environment() | environment(service),
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None and select.select([], [writing], [], 0)[1]:
            select.select([], [], [], 0.05)  # until it is full
        os.close(writing)
        with os.fdopen(reading, "rb") as output:
            said = output.read()

    assert (process.returncode, said == whole) == (0, True)


def test_a_list_on_a_stream_that_is_not_waited_for(
    at_service: Cli, service: ServerThread, photos: Path
) -> None:
    """What does not block says that it has nothing, which is not its end."""
    at_service("datasets", "create", "P")
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with subprocess.Popen(
        [*PROGRAM, "upload", "-", "-d", "P", "--no-journal", "--json"],
        env=clean_environment() | environment(service),
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None and not os.get_blocking(reading):
            select.select([], [], [], 0.05)
        os.close(reading)
        os.write(writing, f"{photos / 'a.jpg'}\n".encode())
        os.close(writing)
        said, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, b"")
    assert json.loads(said)["uploaded"] == 1


def test_an_unbuffered_stream_that_takes_a_part(
    at_service: Cli, service: ServerThread, tmp_path: Path
) -> None:
    """PYTHONUNBUFFERED is usual in containers; what a write leaves over is written or told of."""
    for number in range(6):
        at_service("datasets", "create", f"P {number}")
    output = tmp_path / "list"
    # A file that is full after a block stands for a pipe at which a signal interrupts the write.
    ran = in_shell(
        f"> {output}", "datasets", "list", "--json", service=service, PYTHONUNBUFFERED="1", F="1"
    )

    assert output.stat().st_size in (512, 1024)
    assert b"Standard output could not be written completely: File too large" in ran.stderr


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("upload", "--help")])
@pytest.mark.parametrize(
    "redirection", [pytest.param(">/dev/full", marks=NEEDS_FULL_DEVICE), ">&-"]
)
def test_help_that_nobody_sees(
    service: ServerThread, words: tuple[str, ...], redirection: str
) -> None:
    """Nothing is wrong with the command."""
    ran = in_shell(redirection, *words, service=service)
    assert (ran.returncode, b"Traceback" in ran.stderr) == (0, False)


def test_a_reader_that_has_left(at_service: Cli, service: ServerThread, photos: Path) -> None:
    """`| head` ends the output and not the job."""
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [*PROGRAM, "upload", str(photos), "-d", "P", "--create"],
        env=clean_environment() | environment(service),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (ran.returncode, b"Broken" in ran.stderr) == (0, False)
    assert at_service("datasets", "list", "--json").documents[0]["media_count"] == 4


@pytest.mark.parametrize(("system", "is_told"), [("linux", True), ("win32", False)])
def test_a_reader_that_has_left_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, is_told: bool
) -> None:
    """There it is the error of an invalid argument, and no broken pipe."""

    class Left(io.StringIO):
        def write(self, _: str) -> NoReturn:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setenv("DATAGYM_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sys, "stdout", Left())
    monkeypatch.setattr(sys, "stderr", told := io.StringIO())

    assert main(["--version"]) == 0
    assert bool(told.getvalue()) is is_told
    assert main(["jobs", "list", "--json"]) == 1
    assert ("Not all of the output" in told.getvalue()) is is_told


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_another_encoding(
    service: ServerThread, photos: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON says the same in every encoding; what a text cannot hold is a question mark."""
    monkeypatch.chdir(photos.anchor)  # temporary files may be below the checkout
    (photos / "日本.jpg").write_text("no image")
    command = ("upload", photos, "-d", "P", "--create", "--no-journal")
    set_up = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    as_json = in_shell("", *command, "--json", service=service, **set_up)
    as_text = in_shell("", *command, service=service, **set_up)

    assert (as_json.returncode, as_text.returncode) == (1, 1)  # one is no image
    document = json.loads(as_json.stdout.decode(encoding))
    assert "日本.jpg" in json.dumps(document, ensure_ascii=False)
    name = "日本.jpg" if encoding == "utf-8" else "??.jpg"
    assert f"rejected: {name}" in as_text.stderr.decode(encoding).replace(f"{photos}/", "")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8]}
    image = {"id": 1, "file_name": "a.jpg", "width": 20, "height": 20}
    labels = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "car"}]}
    (photos / "labels.json").write_text(json.dumps(labels))
    counted = in_shell("", "stats", photos / "labels.json", service=service, **set_up)
    assert (b"?" in counted.stdout, b"#" in counted.stdout) == (False, encoding != "utf-8")


INTERRUPTING = """
import importlib.abc, os, signal, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

wanted = sys.argv.pop(1)
sys.meta_path.insert(0, Finder())
from datagym_async.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module",
    [
        "typer",
        "rich",
        "datagym_async.cli._app",
        "datagym_async.cli._resources",
        "asyncio",
        "uvloop",
    ],
)
def test_an_early_interruption(service: ServerThread, module: str) -> None:
    """Ctrl-C while the program is still being loaded is answered by one word and 130."""
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTING, module, "datasets", "list"],
        env=clean_environment() | environment(service),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "Interrupted.\n")


def test_an_interruption_that_is_ignored_stays_so(service: ServerThread) -> None:
    """A shell's job in the background does not hear Ctrl-C."""
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTING, "typer", "datasets", "list"],
        env=clean_environment() | environment(service),
        capture_output=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert ran.returncode == 0
