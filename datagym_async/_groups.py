"""Tasks that belong together, and errors out of exception groups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


@asynccontextmanager
async def together() -> AsyncGenerator[asyncio.TaskGroup, None]:
    """Give a group of tasks whose first error comes out as it was raised, and not in a group.

    An `ExceptionGroup` that a task raises itself comes out whole.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
    else:
        return
    try:
        raise first  # here, or its own cause would be lost
    finally:
        del first  # its traceback has this frame


def first_of(error: Exception) -> Exception:
    """Return the first single error of an exception group, however deep; others as they are."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
