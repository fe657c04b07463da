"""Ctrl-C and SIGTERM, told to a running event loop instead of breaking in on it."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Final

STOPPING: Final = "Stopping: what is in flight ends first. Ctrl-C again stops at once, safely too."
"""What a bulk job says at the first Ctrl-C."""


@contextlib.contextmanager
def on_stop_signals(ask: Callable[[], object]) -> Iterator[None]:
    """Call a function in the running loop at each Ctrl-C and SIGTERM until the block ends."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for each in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(each, ask)
            except NotImplementedError:  # Windows
                before = signal.signal(each, lambda *_: loop.call_soon_threadsafe(ask))
                stack.callback(signal.signal, each, before)
            else:
                stack.callback(loop.remove_signal_handler, each)
        yield


@contextlib.contextmanager
def ending_in_two_steps(first: Callable[[], object]) -> Iterator[None]:
    """Let the first signal end the work in its own way, and the next one cancel this task.

    Args:
        first: What the first signal does.
    """
    task = asyncio.current_task()
    asked = False

    def ask() -> None:
        nonlocal asked
        if not asked:
            asked = True
            first()
        elif task is not None:
            task.cancel()

    with on_stop_signals(ask):
        yield
