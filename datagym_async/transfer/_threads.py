"""Run blocking work in a thread such that a cancelled caller leaves nothing running behind."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the function returns, called in a thread.

    `asyncio.to_thread` leaves the thread running when its caller is cancelled, with whatever the
    function has open. Here the cancellation waits for the function, so callers hand over work
    in small portions.
    """
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    future = loop.run_in_executor(None, lambda: context.run(function, *args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await _settled(future)
        raise


async def _settled(future: asyncio.Future[T]) -> None:
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError:  # asked again: the function still has to end first
            continue
    if not future.cancelled():
        future.exception()  # seen: the cancellation says what there is to say
