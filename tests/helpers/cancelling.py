"""Cancel a piece of work: at a moment that is waited for, or at each of its awaits in turn."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


@types.coroutine
def watched(
    inner: Coroutine[Any, Any, T], at: int, reached: Callable[[], None]
) -> Generator[Any, Any, T]:
    """Await a coroutine, and say when it has come to its n-th await that has to wait."""
    count = 0
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            waits_for = inner.send(value) if error is None else inner.throw(error)
        except StopIteration as end:
            result: T = end.value
            return result
        count += 1
        if count == at:
            reached()
        error = None
        try:
            value = yield waits_for
        except BaseException as thrown:  # a cancellation, which is the coroutine's matter
            error = thrown


async def cancelled_at(work: Coroutine[Any, Any, object], at: int) -> bool:
    """Run work and cancel it at its n-th await; return whether it came that far."""
    met = False

    def reached() -> None:
        nonlocal met
        met = True
        task.cancel()

    async def watch() -> None:
        await watched(work, at, reached)

    task = asyncio.create_task(watch())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return met


async def cancelled_when(moment: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Run work, and cancel it at a moment that it comes to; it must end by that."""
    task = asyncio.create_task(work)
    await moment.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
