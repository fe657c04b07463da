"""The same work on many items, so many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Generic, TypeVar

from datagym_async._groups import first_of
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")

DEFAULT_CONCURRENCY = 8
_MOST = 64


async def for_each(
    items: Iterable[T] | AsyncIterable[T],
    work: Callable[[T], Awaitable[None]],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> None:
    """Do the work on each item, a few at once, in memory that does not grow with the items.

    What the work raises ends all of it, and is raised from here on its own.

    Raises:
        ConfigurationError: `concurrency` is not between 1 and 64.
    """
    if not 1 <= concurrency <= _MOST:
        raise ConfigurationError(f"concurrency is {concurrency}; it must be between 1 and {_MOST}.")
    source = _Source(items)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(_work_off(source, work))
    except BaseExceptionGroup as errors:
        first = first_of(errors)
    else:
        return
    raise first


async def _work_off(source: _Source[T], work: Callable[[T], Awaitable[None]]) -> None:
    async for item in source:
        await work(item)


class _Source(Generic[T]):
    """One iteration for several workers: they ask one after another.

    Args:
        items: What to iterate over; it is asked in the event loop.
    """

    def __init__(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        self._async = aiter(items) if isinstance(items, AsyncIterable) else None
        self._sync = None if isinstance(items, AsyncIterable) else iter(items)
        self._turn = asyncio.Lock()

    def __aiter__(self) -> _Source[T]:
        return self

    async def __anext__(self) -> T:
        async with self._turn:
            if self._async is not None:
                return await anext(self._async)
            return self._next()

    def _next(self) -> T:
        for item in self._sync or ():
            return item
        raise StopAsyncIteration
