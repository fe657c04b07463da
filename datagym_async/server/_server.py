"""The server, which runs in the caller's event loop and also makes data that no route can.

That is projects, videos and their objects, task states, deleted datasets. The values describe such
data; the functions below the server store it in a transaction.
"""

import asyncio
import contextlib
import io
import ipaddress
import os
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias, get_args

import attrs
import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from datagym_async._threads import in_thread, opened_in_thread
from datagym_async.server._answers import Dialect, Json, Refusal
from datagym_async.server._app import Connection, Counters, ServerStatistics, make_app
from datagym_async.server._files import DataFolder, UnreadableImageError, size_of, sniff
from datagym_async.server._labels import (
    EMPTY,
    TaskState,
    Value,
    empty_values,
    entries_of,
    find_label_task,
    insert_values,
    points_view,
)
from datagym_async.server._links import FetchLinks, LinkImages
from datagym_async.server._service import OWNER, Plan, Service
from datagym_async.server._store import Store, Transaction, fold, fold_link, new_id, now

# How long requests in flight may take to finish while the server stops, in seconds.
_GRACE: Final = 2.0

MediaType: TypeAlias = Literal["IMAGE", "VIDEO"]
FrameType: TypeAlias = Literal["START", "CHANGE", "END", "START_END"]


@attrs.frozen
class SeedVideo:
    """What the service's video parser found out; None is unknown."""

    width: int = 640
    height: int = 360
    total_frames: int | None = 250
    duration: float | None = 10.0
    codec_name: str = "h264"
    frame_rate: str = "25/1"
    format_name: str = "mov,mp4,m4a,3gp,3g2,mj2"
    presigned: bool = True
    """Whether the server serves the content at a pre-signed URL of its own, without a token. False:
    as on a service without AWS, reading the media is 500 `ex_gen_file_stream`."""


@attrs.frozen
class SeedMedia:
    """One media: a file (`content`), a link (`url`), or an S3 video (`video`, `content`)."""

    name: str
    content: bytes | None = attrs.field(default=None, repr=False)
    url: str | None = None
    video: SeedVideo | None = None
    deleted: bool = False
    """Whether it was deleted softly."""
    state: TaskState = "BACKLOG"
    """The state of its tasks."""
    labeler: str | None = None
    """The user who has its tasks."""


@attrs.frozen
class SeedDataset:
    """One dataset. Names may repeat here, as a race on the real service makes them."""

    name: str
    media: Sequence[SeedMedia] = ()
    media_type: MediaType = "IMAGE"
    short_description: str | None = None
    deleted: bool = False


@attrs.frozen
class SeedProject:
    """One project with its datasets, which must be of its media type."""

    name: str
    datasets: Sequence[SeedDataset] = ()
    media_type: MediaType = "IMAGE"
    short_description: str = ""
    description: str | None = None


@attrs.frozen
class SeededDataset:
    """The ids of a seeded dataset, and of its media by name (of equal names the last)."""

    id: str
    name: str
    media_ids: Mapping[str, str]


@attrs.frozen
class SeededProject:
    """The ids of a seeded project, and of its tasks by media name (of equal names the last)."""

    id: str
    name: str
    label_configuration_id: str
    label_iteration_id: str
    datasets: Sequence[SeededDataset]
    task_ids: Mapping[str, str]


@attrs.frozen
class SeedKeyframe:
    """The changes of an object at one frame."""

    frame: int
    """Number of the frame, counted from 0."""
    shape: Sequence[float] | None = None
    """Its coordinates in one row: x, y of a point, x, y, width, height of a rectangle, all points
    of a line or polygon; None if only an answer changed. A missing one was never set."""
    type: FrameType = "CHANGE"
    """Its effect on the object's visibility."""
    answers: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """The chosen option, the ticked ones or the text, by the key of a question at any depth; an
    empty sequence removes an answer."""


@attrs.frozen
class SeedVideoObject:
    """An object in a video, under the key of a geometry of the label configuration."""

    key: str
    keyframes: Sequence[SeedKeyframe] = ()


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
        for name, known in (("dialect", get_args(Dialect)), ("fetch_links", get_args(FetchLinks))):
            if texts[name] not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}.")
        if not host:  # which is every address
            raise ValueError("host must not be empty.")
        if not 0 <= port <= 65_535:
            raise ValueError("port must be from 0 to 65535.")
        self._data = None if data is None else Path(data).expanduser()
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
            opened = opened_in_thread(partial(DataFolder.open, self._data), DataFolder.close)
            folder = await stack.enter_async_context(opened)
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
            return [await _make_project(service, db, project) for project in projects]

    async def seed_datasets(self, *datasets: SeedDataset) -> list[SeededDataset]:
        """Make datasets that belong to no project."""
        service = self._running
        async with service.store.writing() as db:
            return [await _make_dataset(service, db, dataset) for dataset in datasets]

    async def seed_demo(self) -> list[SeededProject]:
        """Make one image and one video project, unless they exist, and return them."""
        service = self._running
        wanted = (
            SeedProject("Demo images", short_description="Attach a dataset and label it"),
            SeedProject("Demo videos", media_type="VIDEO", short_description="For video datasets"),
        )
        seeded = []
        async with service.store.writing() as db:
            for project in wanted:
                row = await db.row(
                    "SELECT * FROM project WHERE name = ? AND deleted_at IS NULL ORDER BY seq DESC",
                    project.name,
                )
                if row is None:
                    seeded.append(await _make_project(service, db, project))
                else:
                    ids = (row["id"], row["name"], row["config_id"], row["iteration_id"])
                    seeded.append(SeededProject(*ids, (), {}))
        return seeded

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
        async with self._running.store.writing() as db:
            try:
                found = await find_label_task(db, task_id)
            except Refusal:
                raise LookupError(f"There is no task {task_id}.") from None
            entries = {each.key: each for each in entries_of(found.project) if each.is_geometry}
            values = []
            for each in objects:
                entry = entries.get(each.key.lower())
                if entry is None:
                    raise LookupError(
                        f"The label configuration has no geometry {each.key!r} for a seeded object."
                    )
                values.append(_with_changes(empty_values(entry), each.keyframes))
            await insert_values(db, found.id, values)
        return [value.id for value in values]

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


async def _make_project(service: Service, db: Transaction, project: SeedProject) -> SeededProject:
    project_id, config_id, iteration_id = new_id(), new_id(), new_id()
    await db.run(
        "INSERT INTO project"
        " (id, name, short_description, description, timestamp, owner, media_type, config_id,"
        " config_timestamp, iteration_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(project_id, project.name, project.short_description, project.description, now(), OWNER),
        *(project.media_type, config_id, now(), iteration_id),
    )
    datasets: list[SeededDataset] = []
    tasks: dict[str, str] = {}
    for dataset in project.datasets:
        seeded = await _make_dataset(service, db, dataset)
        datasets.append(seeded)
        await db.run("INSERT INTO project_dataset VALUES (?, ?)", project_id, seeded.id)
        # Of equal names the last one has the task.
        media = {each.name: each for each in dataset.media}.values()
        made = {each.name: new_id() for each in media}
        await db.run_many(
            "INSERT INTO task (id, project_id, media_id, state, labeler) VALUES (?, ?, ?, ?, ?)",
            [
                (made[each.name], project_id, seeded.media_ids[each.name], each.state, each.labeler)
                for each in media
            ],
        )
        tasks.update(made)
    return SeededProject(project_id, project.name, config_id, iteration_id, datasets, tasks)


async def _make_dataset(service: Service, db: Transaction, dataset: SeedDataset) -> SeededDataset:
    dataset_id = new_id()
    await db.run(
        "INSERT INTO dataset"
        " (id, name, folded, short_description, timestamp, owner, media_type, deleted_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(dataset_id, dataset.name, fold(dataset.name), dataset.short_description, now(), OWNER),
        *(dataset.media_type, now() if dataset.deleted else None),
    )
    ids = {}
    for media in dataset.media:
        ids[media.name] = await _make_media(service, db, dataset_id, media)
    return SeededDataset(dataset_id, dataset.name, ids)


async def _make_media(service: Service, db: Transaction, dataset_id: str, media: SeedMedia) -> str:
    media_id = new_id()
    width = height = mime = None
    source = "LOCAL" if media.url is None else "SHAREABLE_LINK"
    if media.video is not None:
        source, mime = "AWS_S3", "video/mp4"
        width, height = media.video.width, media.video.height
    elif media.content is not None:
        mime = sniff(media.content[:512])
        try:
            width, height = size_of(io.BytesIO(media.content))
        except UnreadableImageError as error:
            raise ValueError(
                f"The seed media {media.name!r} is not an image that the service accepts: {error}."
            ) from None
    elif media.url is None:
        raise ValueError(f"The seed media {media.name!r} has no content, no url and no video.")
    if media.content is not None:
        await in_thread(service.folder.write, media_id, media.content)
    await db.run(
        "INSERT INTO media"
        " (id, dataset_id, name, folded, timestamp, source, url, url_folded, mime, size, width,"
        " height, video_json, deleted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(media_id, dataset_id, media.name, fold(media.name), now(), source),
        *(media.url, None if media.url is None else fold_link(media.url)),
        *(mime, len(media.content or b""), width, height),
        None if media.video is None else orjson.dumps(attrs.asdict(media.video)).decode(),
        now() if media.deleted else None,
    )
    return media_id


def _with_changes(value: Value, keyframes: Sequence[SeedKeyframe]) -> Value:
    """Return a value, and those below it, with the changes at the keyframes."""
    kind, key = value.entry.type, value.entry.key
    changes: list[Json] = []
    for each in keyframes:
        if value.entry.is_geometry:
            members = None if each.shape is None else _drawn(kind, each.shape)
        elif (given := each.answers.get(key)) is None:
            members = None
        elif kind == "CHECKLIST":
            members = {"checkedValues": list(given)}
        else:
            members = {"selectKey" if kind == "SELECT" else "text": given[0] if given else None}
        if members is not None:
            head: dict[str, Json] = {"id": new_id(), "frameNumber": each.frame, "type": each.type}
            changes.append({**head, "kind": kind, **members})
    children = tuple(_with_changes(child, keyframes) for child in value.children)
    return attrs.evolve(value, payload={**value.payload, "change": changes}, children=children)


def _drawn(kind: str, shape: Sequence[float]) -> Mapping[str, Json]:
    """Return the members of a keyframe: those of the value, except that a point stays a point."""
    numbers: list[float | None] = [float(number) for number in shape]
    if kind not in ("POINT", "RECTANGLE"):
        return {"points": points_view(list(pairwise(numbers))[::2])}
    members: dict[str, Json] = dict(zip(EMPTY[kind], [*numbers, *[None] * 4], strict=False))
    return {"point": members} if kind == "POINT" else members
