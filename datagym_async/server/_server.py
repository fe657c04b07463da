"""The server, which runs in the caller's event loop."""

import asyncio
import contextlib
import ipaddress
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from aiohttp import web
from aiohttp.typedefs import Middleware

from datagym_async._threads import in_thread
from datagym_async.server import _seed
from datagym_async.server._answers import Dialect
from datagym_async.server._app import Connection, Counters, ServerStatistics, make_app
from datagym_async.server._files import DataFolder
from datagym_async.server._labels import TaskState
from datagym_async.server._links import FetchLinks, LinkImages
from datagym_async.server._seed import (
    SeedDataset,
    SeededDataset,
    SeededProject,
    SeedProject,
    SeedVideoObject,
)
from datagym_async.server._service import Plan, Service
from datagym_async.server._store import Store, now

# How long requests in flight may take to finish while the server stops, in seconds.
_GRACE: Final = 2.0


class Server:
    """A DataGym-compatible service that keeps its data in a folder.

    An async context manager: `async with Server() as server: ...` listens on `server.base_url` and
    accepts `server.token`. Everything is closed when the block ends.

    Args:
        data: The folder for its data, made private if it does not exist. None for a temporary
            folder, removed at the end.
        host: The address to listen on; see `loopback_only`.
        port: The port; 0 takes a free one.
        token: The token to accept. None for a random one, kept in the folder's file `token`.
        dialect: "current" has `media/…` and `image/…` routes and today's field names; "legacy" has
            `image/…` only and the old names.
        requests_per_connection: A connection is closed after so many, as by the real service.
        max_allowed_packet: A file of this size in bytes or above is refused with 500, as by the
            real service's database.
        fetch_links: Which link images `GET media/{id}` fetches: "public" (from public addresses and
            this machine's loopback, not from private networks), "any", "local" (hosts that are an
            address of this machine or a private network, or "localhost"), or "never". Others are
            answered like an unknown host.
        middlewares: aiohttp middlewares that see each request first, the outermost first.
    """

    def __init__(
        self,
        data: str | os.PathLike[str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        dialect: Dialect = "current",
        requests_per_connection: int = 100,
        max_allowed_packet: int = 16 * 1024 * 1024,
        fetch_links: FetchLinks = "public",
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        texts = {"host": host, "token": "" if token is None else token}
        texts |= {"dialect": dialect, "fetch_links": fetch_links}
        numbers = {"port": port, "requests_per_connection": requests_per_connection}
        numbers["max_allowed_packet"] = max_allowed_packet
        for kind, given in ((str, texts), (int, numbers)):
            for name, value in given.items():
                if not isinstance(value, kind):  # it is not shown: it may be a secret
                    text = f"{name} is of the type {type(value).__name__}"
                    raise TypeError(f"{text}; it must be of the type {kind.__name__}.")
        self._data = None if data is None else Path(data)
        self._host = host
        self._port = port
        self._token = token
        self._wire = dialect, max_allowed_packet
        self._requests_per_connection, self._fetch_links = requests_per_connection, fetch_links
        self._middlewares = tuple(middlewares)
        self._counters = Counters()
        self._service: Service | None = None
        self._stack = contextlib.AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Server {self._service.base_url if self._service else 'not started'}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Open the data folder and listen.

        Raises:
            StoreError: The folder is in use by another server, or cannot be used.
            OSError: The port is taken.
        """
        if self._service is not None:
            raise RuntimeError("This server is already running.")
        async with contextlib.AsyncExitStack() as stack:
            folder = await in_thread(DataFolder.open, self._data)
            stack.push_async_callback(in_thread, folder.close)
            store = await Store.open(folder.database)
            stack.push_async_callback(store.aclose)
            known = {str(row["id"]) for row in await store.rows("SELECT id FROM media")}
            await in_thread(folder.sweep, known)
            token = self._token if self._token is not None else await in_thread(folder.token)
            links = await stack.enter_async_context(LinkImages.open(self._fetch_links))
            service = Service(store, folder, {token}, links, *self._wire)
            self._token = token
            self._port = await self._listen(service, stack)
            host = f"[{self._host}]" if ":" in self._host else self._host
            service.base_url = f"http://{host}:{self._port}"
            self._stack = stack.pop_all()
        self._service = service

    async def aclose(self) -> None:
        """Finish requests in flight and close everything; may be called again."""
        self._service = None
        await self._stack.aclose()

    async def _listen(self, service: Service, stack: contextlib.AsyncExitStack) -> int:
        app = make_app(service, self._counters, self._middlewares)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE)
        await runner.setup()
        manager = runner.server
        assert manager is not None, "setup made it"  # noqa: S101 -- tells the type checker

        def cut_off() -> None:
            for connection in manager.connections:
                connection.force_close()

        # If the cleanup is cancelled, connections are still open.
        stack.callback(cut_off)
        stack.push_async_callback(runner.cleanup)
        loop = asyncio.get_running_loop()
        most = self._requests_per_connection
        listener = await loop.create_server(
            lambda: Connection(manager, self._counters, most, loop=loop),
            self._host,
            self._port,
            backlog=1024,
        )
        stack.callback(listener.close)
        addresses = [listening.getsockname() for listening in listener.sockets]
        service.loopback_only = all(
            ipaddress.ip_address(address[0].partition("%")[0]).is_loopback for address in addresses
        )
        return int(addresses[0][1])

    @property
    def base_url(self) -> str:
        """The address of the service, without a trailing slash."""
        return self._running.base_url

    @property
    def loopback_only(self) -> bool:
        """Whether it listens on loopback addresses only, so that no other machine reaches it."""
        return self._running.loopback_only

    @property
    def token(self) -> str:
        """The token that the server accepts."""
        if self._token is None:
            raise RuntimeError("The token is known once the server has started.")
        return self._token

    @property
    def _running(self) -> Service:
        if self._service is None:
            raise RuntimeError(
                "The server is not running: use `async with Server(...)` or `await server.start()`."
            )
        return self._service

    def statistics(self) -> ServerStatistics:
        """Return the server's counts since it was made."""
        return ServerStatistics(**self._counters)

    async def seed(self, *projects: SeedProject) -> list[SeededProject]:
        """Make projects with their datasets, media and tasks, which no route can do."""
        service = self._running
        async with service.store.writing() as db:
            return [await _seed.make_project(service, db, project) for project in projects]

    async def seed_datasets(self, *datasets: SeedDataset) -> list[SeededDataset]:
        """Make datasets that belong to no project."""
        service = self._running
        async with service.store.writing() as db:
            return [await _seed.make_dataset(service, db, dataset) for dataset in datasets]

    async def seed_demo(self) -> list[SeededProject]:
        """Make one image and one video project, unless they exist, and return them."""
        return await _seed.seed_demo(self._running)

    async def set_task_state(
        self, task_id: str, state: TaskState, *, labeler: str | None = None
    ) -> None:
        """Move a task, as people do in the web interface."""
        async with self._running.store.writing() as db:
            sql = "UPDATE task SET state = ?, labeler = ? WHERE id = ?"
            if not await db.run(sql, state, labeler, task_id):
                raise LookupError(f"There is no task {task_id}.")

    async def add_video_objects(self, task_id: str, *objects: SeedVideoObject) -> list[str]:
        """Draw objects into a task's video, as people do in the editor, and return their ids.

        The label configuration has to be there already, with a geometry of each object's key.
        """
        return await _seed.add_video_objects(self._running, task_id, objects)

    async def delete_dataset(self, dataset_id: str) -> None:
        """Delete a dataset as the web interface does: reading says 404, writing works."""
        async with self._running.store.writing() as db:
            sql = "UPDATE dataset SET deleted_at = ? WHERE id = ?"
            if not await db.run(sql, now(), dataset_id):
                raise LookupError(f"There is no dataset {dataset_id}.")

    async def add_token(self, token: str | None = None) -> str:
        """Accept one more token (a random one by default) until the server stops; return it."""
        token = token or secrets.token_hex(16)
        self._running.tokens.add(token)
        return token

    async def delete_token(self, token: str) -> None:
        """Refuse a token with 403 from now on."""
        self._running.tokens.discard(token)

    def set_plan(self, plan: Plan) -> None:
        """Set limits of the organisation; they last until the server stops."""
        self._running.plan = plan
