"""The event loop of a command; it gets Ctrl-C and SIGTERM as calls, not as interruptions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from datagym_async._runs._options import DRAIN_SECONDS

T = TypeVar("T")


def run_in_loop(main: Coroutine[object, object, T]) -> T:
    """Run a command to its end, on uvloop if it is installed (extra ``speed``)."""
    try:
        _check_room()
        make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
        with contextlib.suppress(ImportError):
            import uvloop

            make_loop = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(main)
    finally:
        main.close()  # it may not have begun, and Python warns of that


def _check_room() -> None:
    """Raise the system's error now: libuv would abort the process, or the loop could not end."""
    end = threading.Event()
    with ThreadPoolExecutor(6) as threads, contextlib.ExitStack() as stack:
        stack.callback(end.set)
        for _ in range(10):
            stack.callback(os.close, os.dup(2))
        for _ in range(6):  # libuv's four, one for blocking work, one that the loop ends with
            threads.submit(end.wait)


STOPPING: Final = (
    f"Stopping: requests in flight finish first, for up to {DRAIN_SECONDS:.0f} seconds. Press "
    "Ctrl-C again to stop at once"
)
"""What a bulk job says at the first Ctrl-C; the sentence is not ended."""


@contextlib.contextmanager
def on_stop_signals(ask: Callable[[], object]) -> Iterator[None]:
    """Call a function in the running loop at each Ctrl-C and SIGTERM until the block ends."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for each in (signal.SIGINT, signal.SIGTERM):
            # The loop would leave the handlers of a new process behind.
            stack.callback(signal.signal, each, signal.getsignal(each))
            try:
                loop.add_signal_handler(each, ask)
            except NotImplementedError:  # Windows
                signal.signal(each, lambda *_: loop.call_soon_threadsafe(ask))
            else:
                stack.callback(loop.remove_signal_handler, each)
        yield


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM interrupt, not kill, the process until the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with contextlib.ExitStack() as stack:
        if callable(early := signal.getsignal(signal.SIGINT)):  # see `__main__`
            stack.callback(signal.signal, signal.SIGINT, early)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _interrupt))
        yield


def _interrupt(*_: object) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's job in the background
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def ending_in_two_steps(first: Callable[[], object]) -> Iterator[None]:
    """Let the work finish at the first signal; at the next, or after a while, cancel this task."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    asked = False

    def ask() -> None:
        nonlocal asked
        if not asked:
            asked = True
            first()
            # Without a limit, requests to a service that hangs would be tried for ten minutes.
            stack.callback(loop.call_later(DRAIN_SECONDS, ask).cancel)
        elif task is not None:
            task.cancel()

    with contextlib.ExitStack() as stack:
        stack.enter_context(on_stop_signals(ask))
        yield
