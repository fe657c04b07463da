"""What a start loads and needs, in a fresh interpreter; for its time see benchmarks/startup.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICE = ("aiohttp.web", "aiosqlite", "datagym_async.server", "PIL")
JOBS = ("data", "downloads", "exports", "formats", "imports", "uploads")
SLOW = ("aiohttp", "cattrs", "orjson", "rich", "sqlite3", "tenacity", "typer")


def loaded_by(script: str) -> set[str]:
    """Return the modules that a script loads."""
    told = f"{script}\nimport json, sys\nsys.stderr.write(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr))


def test_importing_the_client_loads_its_options_alone() -> None:
    """The name of the client costs its options, their checks and the errors: no job, no aiohttp."""
    loaded = loaded_by("from datagym_async import DataGymClient")

    assert {each for each in loaded if each.startswith("datagym_async")} == {
        "datagym_async",
        "datagym_async._checks",
        "datagym_async._client",
        "datagym_async._client_jobs",
        "datagym_async._client_reading",
        "datagym_async._printable",
        "datagym_async._public",
        "datagym_async._retry",
        "datagym_async._retry._delays",
        "datagym_async._transport",
        "datagym_async._transport._options",
        "datagym_async._wire",
        "datagym_async._wire._messages",
        "datagym_async._wire._redact",
        "datagym_async.exceptions",
    }
    assert not loaded & {*SLOW, *SERVICE}


def test_a_client_that_is_made_has_loaded_what_calls_need() -> None:
    """Calls load nothing in the event loop; jobs and the embedded server are not loaded yet."""
    made = "from datagym_async import DataGymClient\nclient = DataGymClient('a' * 32)"
    opened = f"""{made}
import asyncio, sys
async def main():
    before = {{*sys.modules}}
    async with client:
        client.projects, client.media, client.labels, client.statistics(), client.limiter
    assert not [each for each in {{*sys.modules}} - before if each.startswith("datagym")]
asyncio.run(main())"""

    loaded = loaded_by(opened)

    assert {"aiohttp", "datagym_async._session", "datagym_async.resources"} <= loaded
    assert not loaded & {*SERVICE, "typer", "rich", *(f"datagym_async.{each}" for each in JOBS)}


@pytest.mark.parametrize(
    ("name", "package"),
    [("UploadConfig", "uploads"), ("DownloadConfig", "downloads"), ("Dataset", "models")],
)
def test_a_name_loads_its_package(name: str, package: str) -> None:
    """A name that is asked for loads the package that has it, and no other job."""
    loaded = loaded_by(f"import datagym_async; datagym_async.{name}")

    assert f"datagym_async.{package}" in loaded
    others = {"data", "downloads", "uploads"} - {package}
    assert not loaded & {f"datagym_async.{each}" for each in others}


def test_the_version_of_the_command_line_loads_next_to_nothing() -> None:
    """`datagym-async --version` needs no library and no client."""
    loaded = loaded_by(
        "from datagym_async.__main__ import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit:\n    pass"
    )

    assert "datagym_async._version" in loaded
    assert not loaded & {*SLOW, *SERVICE, "attrs", "datagym_async._client", "datagym_async.cli"}


@pytest.mark.parametrize("word", ["--help", "nope", "login"])
def test_help_of_the_command_line_loads_no_client(word: str) -> None:
    """Help, also after a wrong word, needs typer and rich, and no part of the network or jobs."""
    loaded = loaded_by(
        "import contextlib, io\n"
        "from datagym_async.__main__ import main\n"
        "with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    main([{word!r}])"
    )

    unneeded = {"aiohttp", "cattrs", "orjson", "tenacity", *SERVICE}
    assert not loaded & {*unneeded, *(f"datagym_async.{each}" for each in JOBS)}


def test_files_of_labels_are_read_and_written_without_a_network() -> None:
    """Formats need nothing of HTTP, nor the parser of mail that comes with Python's own."""
    loaded = loaded_by("import datagym_async.formats")

    assert "datagym_async.resources" in loaded
    assert not loaded & {"aiohttp", "http", "email", "datagym_async._transport"}


@pytest.mark.parametrize("module", ["predict", "look._thumbnails"])
def test_worker_processes_are_loaded_when_some_begin(module: str) -> None:
    """multiprocessing reads the disk when it loads, so a thread loads it, and only if needed."""
    loaded = loaded_by(f"import datagym_async.{module}")

    assert f"datagym_async.{module}" in loaded
    assert not loaded & {"multiprocessing", "datagym_async._processes"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("most", [8, 10, 12])
def test_a_command_without_room_for_an_event_loop_says_so(most: int) -> None:
    """Under `ulimit -n 12` it ended with the words of uvloop, and a task that was destroyed."""
    limited = f"""import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))
sys.argv = ["datagym-async", "projects", "list"]
runpy.run_module("datagym_async", run_name="__main__")"""
    environment = {
        **os.environ,
        "DATAGYM_TOKEN": "a" * 32,
        "DATAGYM_BASE_URL": "http://127.0.0.1:9",
    }

    done = subprocess.run(
        [sys.executable, "-c", limited],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    said = "Error: Too many open files; raise the limit of open files (`ulimit -n`).\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
