"""A stream in lists: what is handed to a thread goes there many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable

T = TypeVar("T")


async def in_batches(source: AsyncIterable[T], size: int) -> AsyncGenerator[list[T], None]:
    """Give what a source gives, so many at a time; the last list may be shorter.

    Args:
        source: What to read; whoever opened it closes it.
        size: The length of a list.
    """
    batch: list[T] = []
    async for item in source:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
