"""Signals are told to the event loop: the first lets work end, the second cancels it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from datagym_async._runs import DRAIN_SECONDS
from datagym_async.cli import _signals, ending_in_two_steps, on_stop_signals

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
        async with asyncio.timeout(5):
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
        await asyncio.sleep(0.01)
        assert (steps, task.done()) == (["asked"], False)
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
    before, begun = threading.active_count(), False
    start = threading.Thread.start

    def start_in_room(thread: threading.Thread) -> None:
        if threading.active_count() - before >= room:
            raise RuntimeError("can't start new thread")
        start(thread)

    async def command() -> None:
        nonlocal begun
        begun = True

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", start_in_room)
        with pytest.raises(RuntimeError, match="start new thread"):
            _signals.run_in_loop(command())
    assert (begun, threading.active_count()) == (False, before)
    _signals.run_in_loop(command())
    assert begun
