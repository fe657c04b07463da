"""Blocking work in threads that does not go on after its caller was cancelled.

`asyncio.to_thread` is enough for work that has nothing open and changes nothing, such as decoding a
large answer: it ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_NO_ERRORS = StopIteration, StopAsyncIteration, asyncio.CancelledError, CancelledError
"""Exceptions that would mean something else to the caller: an end, or a cancellation."""
PATIENCE = 1.0  # seconds that a cancelled caller waits for a thread that it may leave behind


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread; a cancellation waits for its end.

    `asyncio.to_thread` would leave the thread running, with everything that is open there. So pass
    work in small portions.
    """
    return await _awaited(_started(function, *args, **kwargs), patience=None)


async def in_thread_left_behind(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the same for a function that may never return: a cancellation waits for a second only."""
    return await _awaited(_started(function, *args, **kwargs), patience=PATIENCE)


def _started(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()

    def call() -> T:
        try:
            return context.run(function, *args, **kwargs)
        except _NO_ERRORS as error:
            raise RuntimeError(f"{type(error).__name__} was raised in a thread") from error

    return loop.run_in_executor(None, call)


async def _awaited(future: asyncio.Future[T], *, patience: float | None) -> T:
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        # An error of the function counts as seen.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        loop = asyncio.get_running_loop()
        until = None if patience is None else loop.time() + patience
        while not future.done() and (until is None or loop.time() < until):
            # Also after another cancellation the function has to end first.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((future,), timeout=until and until - loop.time())
        raise
