"""The embedded server in a thread of its own, for tests whose subject runs its own event loop."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Self, TypeVar

from aiohttp import web

from datagym_async.server import Server

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from datagym_async.server import Middleware

T = TypeVar("T")


class ServerThread:
    """Run a `Server` in a thread; a context manager."""

    def __init__(self, *, token: str, middlewares: tuple[Middleware, ...] = ()) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server = Server(token=token, middlewares=middlewares)

    def __enter__(self) -> Self:
        self._thread.start()
        self.call(self.server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.server.aclose())
        self.call(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def base_url(self) -> str:
        """The address of the server."""
        return self.server.base_url

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Return what a coroutine gives in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=100)


class Gate:
    """A middleware that holds requests from the n-th on until it is opened."""

    def __init__(self) -> None:
        self._path = ""
        self._hold_from: int | None = None
        self._count = 0
        self._open = asyncio.Event()
        self.reached = threading.Event()
        """Set once a request is held."""

    def hold_from(self, nth: int, path: str = r"/file$") -> None:
        """Hold requests from the n-th on, counted from 1, whose path has this; file uploads."""
        self._hold_from, self._path, self._count = nth, path, 0

    async def release(self) -> None:
        """Let all go on."""
        self._open.set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Hold or pass a request."""
        if self._hold_from is not None and re.search(self._path, request.path):
            self._count += 1
            if self._count >= self._hold_from:
                self.reached.set()
                await self._open.wait()
        return await handler(request)
