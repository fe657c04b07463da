"""Data that no route can make: projects, videos and their objects, task states, deleted datasets.

The values describe it; the functions store it in a transaction and return the ids.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import attrs
import orjson

from datagym_async._threads import in_thread
from datagym_async.server._answers import Json
from datagym_async.server._files import UnreadableImageError, size_of, sniff
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
from datagym_async.server._service import OWNER, Service
from datagym_async.server._store import Transaction, fold, fold_link, new_id, now

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


async def seed_demo(service: Service) -> list[SeededProject]:
    """Make the demo projects, unless they exist."""
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
                seeded.append(await make_project(service, db, project))
            else:
                ids = (row["id"], row["name"], row["config_id"], row["iteration_id"])
                seeded.append(SeededProject(*ids, (), {}))
    return seeded


async def make_project(service: Service, db: Transaction, project: SeedProject) -> SeededProject:
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
        seeded = await make_dataset(service, db, dataset)
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


async def make_dataset(service: Service, db: Transaction, dataset: SeedDataset) -> SeededDataset:
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


async def add_video_objects(
    service: Service, task_id: str, objects: Sequence[SeedVideoObject]
) -> list[str]:
    """Add objects to the video of a task and return their ids; `LookupError` for a wrong key."""
    async with service.store.writing() as db:
        found = await find_label_task(db, task_id)
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
