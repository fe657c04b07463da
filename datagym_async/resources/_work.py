"""Work on many items at once, and work that ends although its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

from datagym_async._threads import together
from datagym_async.exceptions import ConfigurationError

T = TypeVar("T")

DEFAULT_CONCURRENCY = 8
MOST = 64  # items that may be worked on at once


async def in_batches(source: AsyncIterable[T], size: int) -> AsyncGenerator[list[T], None]:
    batch: list[T] = []
    async for item in source:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def for_each(
    items: Iterable[T] | AsyncIterable[T],
    work: Callable[[T], Awaitable[None]],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> None:
    """Do the work on each item, a few at once, in constant memory; an error ends all of it."""
    if not 1 <= concurrency <= MOST:
        raise ConfigurationError(f"concurrency is {concurrency}; it must be between 1 and {MOST}.")
    source, turn = one_by_one(items), asyncio.Lock()

    async def run_worker() -> None:
        while True:
            async with turn:  # they share one iteration
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    return
            await work(item)

    async with aclosing(source), together() as group:
        for _ in range(concurrency):
            group.create_task(run_worker())


async def one_by_one(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """Yield the items of any kind of iterable."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def finish_call(call: Coroutine[Any, Any, T], *, within: float) -> T:
    """Return the result of a call; after a cancellation, wait for its end for `within` seconds.

    The service does not notice that its caller has gone, and would carry out the request after the
    caller has tidied up.
    """
    task = asyncio.get_running_loop().create_task(call)  # awaited here in every case
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await run_to_end(_ended(task, within))
        raise
    return task.result()


async def _ended(task: asyncio.Task[Any], within: float) -> None:
    await asyncio.wait([task], timeout=within)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # or the loop would warn; its caller looks for itself


async def run_to_end(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """Return the result of work that no cancellation ends, and the cancellation, to be raised.

    The work must have its own limit in time.
    """
    # A task group would cancel it. It is always awaited here.
    task = asyncio.get_running_loop().create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    return task.result(), cancelled
