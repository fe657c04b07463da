"""Run blocking work in a thread such that a cancelled caller leaves nothing running behind.

What has nothing open and changes nothing (a large answer to decode, a file to read whole) may go
through `asyncio.to_thread`: left running, it ends by itself and harms nobody.
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
"""What means something else to who waits for a function: an end, or that it was cancelled."""
PATIENCE = 1.0  # seconds that a cancelled caller waits for a thread that it may leave behind


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the function returns, called in a thread.

    `asyncio.to_thread` leaves the thread running when its caller is cancelled, with whatever the
    function has open. Here the cancellation waits for the function, so callers hand over work
    in small portions.
    """
    return await _awaited(_started(function, *args, **kwargs), patience=None)


async def in_thread_left_behind(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the function returns, as `in_thread` does, for one that may never return.

    A cancellation waits for it for a second only; the function has to tidy up by itself.
    """
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
        # The cancellation says what there is to say: an error of the function counts as seen.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        loop = asyncio.get_running_loop()
        until = None if patience is None else loop.time() + patience
        while not future.done() and (until is None or loop.time() < until):
            # Asked again: the function still has to end first.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((future,), timeout=until and until - loop.time())
        raise
