"""Signals are told to the event loop: the first lets work end, the second cancels it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import attrs
import pytest

from datagym_async._runs import DRAIN_SECONDS
from datagym_async.cli import _signals, ending_in_two_steps, on_stop_signals
from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from datagym_async.testing import Hang
from tests.helpers.photos import jpeg
from tests.helpers.service import until

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="raises POSIX signals")


def refuse(*_: object) -> NoReturn:
    """Be a loop that cannot handle signals, as that of Windows."""
    raise NotImplementedError


def simulated(monkeypatch: pytest.MonkeyPatch, *, windows: bool) -> None:
    """Take the loop's own signal handling away."""
    if windows:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", refuse)


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_are_told(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, windows: bool
) -> None:
    """Both signals call the function in the loop, and only while the block runs."""
    simulated(monkeypatch, windows=windows)
    before = signal.getsignal(signal.SIGTERM)
    told = asyncio.Event()
    with on_stop_signals(told.set):
        signal.raise_signal(number)
        async with asyncio.timeout(30):
            await told.wait()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("windows", [False, True])
async def test_two_steps(monkeypatch: pytest.MonkeyPatch, windows: bool) -> None:
    """The first signal is a wish, the second an order."""
    simulated(monkeypatch, windows=windows)
    steps: list[str] = []

    async def work(began: Callable[[], None]) -> None:
        with ending_in_two_steps(lambda: steps.append("asked")):
            began()
            await asyncio.Event().wait()

    began = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work(began.set))
        await began.wait()
        signal.raise_signal(signal.SIGINT)
        await until(lambda: steps == ["asked"])
        assert not task.done()
        signal.raise_signal(signal.SIGINT)
    assert (steps, task.cancelled()) == (["asked"], True)


@pytest.mark.looptime
@pytest.mark.parametrize("hangs", [True, False])
async def test_one_signal_ends_what_hangs_after_a_while(
    monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """What a service never answers is cancelled; nothing is once the block has ended."""
    asked = asyncio.Event()

    @contextlib.contextmanager
    def signalled(ask: Callable[[], object]) -> Iterator[None]:
        ask()
        yield

    async def work() -> None:
        with ending_in_two_steps(asked.set):
            await asyncio.sleep(3600 if hangs else DRAIN_SECONDS - 1)
        await asyncio.sleep(2)

    monkeypatch.setattr(_signals, "on_stop_signals", signalled)
    began, task = asyncio.get_running_loop().time(), asyncio.create_task(work())
    await asyncio.wait([task])
    assert (asked.is_set(), task.cancelled()) == (True, hangs)
    assert asyncio.get_running_loop().time() - began == DRAIN_SECONDS + (0 if hangs else 1)


@pytest.mark.parametrize("room", range(6))
def test_a_command_without_room_for_threads_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """libuv would abort the process, and a loop that cannot end made a job that was done fail."""
    before, begun = {*threading.enumerate()}, False
    start = threading.Thread.start

    def start_in_room(thread: threading.Thread) -> None:
        if len({*threading.enumerate()} - before) >= room:
            raise RuntimeError("can't start new thread")
        start(thread)

    async def command() -> None:
        nonlocal begun
        begun = True

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", start_in_room)
        with pytest.raises(RuntimeError, match="start new thread"):
            _signals.run_in_loop(command())
    assert (begun, {*threading.enumerate()} <= before) == (False, True)
    _signals.run_in_loop(command())
    assert begun


@attrs.define
class Interrupts:
    """Press Ctrl-C once a request is there, and never answer it."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        os.kill(os.getpid(), signal.SIGINT)
        return await Hang().apply(request, handler)


COMMANDS: dict[str, tuple[list[str], str, str]] = {
    "tasks": (
        ["tasks", "skip", "-p", "Streets", "--state", "backlog", "--yes"],
        "/skip",
        "Interrupted. The same command continues with the remaining tasks.",
    ),
    "import": (
        ["import", "labels.json", "-p", "Streets", "--create-config", "--append", "--batch-size=1"],
        "/prediction$",
        "whether those of predictions[1] to [1] were, which were on their way, is not known.",
    ),
    "early import": (
        ["import", "labels.json", "-p", "Streets", "--create-config", "--append"],
        "/project",
        "Interrupted; predictions that are not listed were not imported.",
    ),
    "gallery": (
        ["gallery", "Streets", "--workers", "0"],
        "/media/",
        "Interrupted; the same command makes the gallery again.",
    ),
    "download": (
        ["download", "out", "-p", "Streets"],
        "/media/",
        "Interrupted. The same command resumes where this one stopped.",
    ),
    "listing": (
        ["download", "out", "-p", "Streets"],
        "/dataset/",
        "Interrupted. The same command resumes where this one stopped.",
    ),
    "upload": (
        ["upload", "new", "-d", "Day", "--concurrency", "1", "--settle-after", "0.1"],
        "/file",
        "Interrupted. The same command resumes where this one stopped.",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_interrupted_says_how_to_go_on(
    at_service: Cli,
    service: ServerThread,
    faults: FaultPlan,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
) -> None:
    """After one Ctrl-C and a while without an answer: status 130, and the rest is done again."""
    argv, path, words = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_signals, "DRAIN_SECONDS", 0.05)
    media = [SeedMedia(f"{each}.jpg", jpeg(2000)) for each in "abc"]
    seed = SeedProject("Streets", [SeedDataset("Day", media)])
    service.call(service.server.seed(seed))
    coco = {
        "images": [{"id": at, "file_name": f"{each}.jpg"} for at, each in enumerate("abc")],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"id": at, "image_id": at, "category_id": 1, "bbox": [1, 2, 9, 9]} for at in range(3)
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(coco))
    (tmp_path / "new").mkdir()
    for each in "de":
        (tmp_path / "new" / f"{each}.jpg").write_bytes(jpeg(2000))

    faults.add(Interrupts(), path=path, nth=2 if name in {"tasks", "import", "upload"} else 1)
    argv = [str(tmp_path / each) if each == "out" else each for each in argv]
    ran = at_service(*argv)

    assert ran.status == 130
    said = " ".join(ran.err.split())
    assert said.endswith(words)
    assert name != "import" or "Stopping: requests in flight finish first" in said
    assert name != "early import" or "Nothing was imported. Interrupted" in said
    faults.clear()
    assert at_service(*argv).status == 0
