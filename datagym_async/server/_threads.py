"""Blocking work in a thread, such that a cancellation never leaves the thread behind."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["in_thread"]

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in a thread and return what it returns.

    Cancelled, it waits for the thread before it goes: whoever cleans up then has the files to
    himself.
    """
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(None, lambda: function(*args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            # Looked at, so that it is not reported as "never retrieved".
            work.exception()
        raise
