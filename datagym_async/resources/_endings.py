"""Work that comes to its end although its caller is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


async def to_its_answer(call: Coroutine[Any, Any, T], *, within: float) -> T:
    """Return what a call gives; if the wait for it is cancelled, wait for its end all the same.

    A service does not notice that nobody waits any more: it would carry out what it is at work on
    after its caller has put things right.

    Args:
        call: The call.
        within: Seconds to wait for its end once cancelled.
    """
    task = asyncio.get_running_loop().create_task(call)  # awaited here in every case
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await to_its_end(_ended(task, within))
        raise
    return task.result()


async def _ended(task: asyncio.Task[Any], within: float) -> None:
    await asyncio.wait([task], timeout=within)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # or the loop would complain; its caller looks for itself


async def to_its_end(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """Return what the work gives, done to its end even if the wait for it is cancelled.

    The work sets itself a limit in time. A cancellation is returned; raise it.
    """
    # A task group would cancel it. It is awaited here in every case, so that it is never alone.
    task = asyncio.get_running_loop().create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    return task.result(), cancelled
