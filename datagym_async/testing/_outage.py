"""A service that is gone for a while."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from datagym_async.server import Server


@contextlib.asynccontextmanager
async def outage(server: Server) -> AsyncIterator[None]:
    """Stop a server for the length of the block: connections to it are refused.

    It comes back at the end, on the same port and with the same token. Give it a data folder, or
    it has forgotten everything by then; what is in flight may finish for a short time.

    Args:
        server: A running server.
    """
    await server.aclose()
    try:
        yield
    finally:
        await server.start()
