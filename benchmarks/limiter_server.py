"""A service that takes a while and works on so many requests at once.

``python -m benchmarks.limiter_server SECONDS PLACES`` prints its port and serves until it is ended.
Whatever comes beyond its places waits, first come first served, as behind a semaphore: more in
flight than that makes answers slower and not more.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

from benchmarks.minimal_server import Connection, Counts


class Places:
    """Work that takes a while, so many at once."""

    def __init__(self, seconds: float, places: int) -> None:
        self._seconds = seconds
        self._free = places
        self._waiting: deque[tuple[asyncio.Transport, bytes]] = deque()

    def work(self, way: asyncio.Transport, answer: bytes) -> None:
        """Send an answer when its work is done."""
        self._waiting.append((way, answer))
        self._start()

    def _start(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            loop = asyncio.get_running_loop()
            loop.call_later(self._seconds, self._end, *self._waiting.popleft())

    def _end(self, way: asyncio.Transport, answer: bytes) -> None:
        self._free += 1
        if not way.is_closing():
            way.write(answer)
        self._start()


class _Way:
    """The way back of a connection, through the places."""

    def __init__(self, transport: asyncio.Transport, places: Places) -> None:
        self._transport = transport
        self._places = places

    def write(self, answer: bytes) -> None:
        """Send it when its work is done."""
        self._places.work(self._transport, answer)


class SlowConnection(Connection):
    """A connection whose answers take a place each."""

    def __init__(self, places: Places) -> None:
        super().__init__(Counts())
        self._places = places

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = _Way(transport, self._places)  # type: ignore[assignment]  # it writes


async def serve(seconds: float, places: int) -> None:
    """Listen on a free port of loopback, print it, and serve until cancelled."""
    shared = Places(seconds, places)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SlowConnection(shared), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), int(sys.argv[2])))
