"""What no route can make: projects, video media, task states, deleted datasets.

The values are frozen and say what should be there; the functions make it so in one transaction and
return the ids.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import attrs
import orjson

from ._fold import fold
from ._image_headers import UnreadableImageError, read_size, sniff
from ._service import OWNER, Service
from ._store import Writer, new_id, now

__all__ = [
    "TASK_STATES",
    "MediaType",
    "SeedDataset",
    "SeedMedia",
    "SeedProject",
    "SeedVideo",
    "SeededDataset",
    "SeededProject",
    "TaskState",
    "delete_dataset",
    "seed_datasets",
    "seed_demo",
    "seed_projects",
    "set_task_state",
]

MediaType = Literal["IMAGE", "VIDEO"]
TaskState = Literal[
    "BACKLOG",
    "WAITING",
    "WAITING_CHANGED",
    "IN_PROGRESS",
    "SKIPPED",
    "COMPLETED",
    "REVIEWED",
    "REVIEWED_SKIP",
]
TASK_STATES: tuple[TaskState, ...] = get_args(TaskState)


@attrs.frozen
class SeedVideo:
    """What the service's video parser found out; what it could not is None.

    Attributes:
        presigned: Whether the server serves the content at a pre-signed URL of its own, without a
            token. False: as on a service without AWS, reading the media is 500
            `ex_gen_file_stream`.
    """

    width: int = 640
    height: int = 360
    total_frames: int | None = 250
    duration: float | None = 10.0
    codec_name: str = "h264"
    frame_rate: str = "25/1"
    format_name: str = "mov,mp4,m4a,3gp,3g2,mj2"
    presigned: bool = True


@attrs.frozen
class SeedMedia:
    """One media: a file (`content`), a link (`url`), or an S3 video (`video`, `content`).

    Attributes:
        name: The media name.
        content: The bytes.
        url: The link; a media has either a link or bytes.
        video: Makes it an AWS_S3 video.
        deleted: Whether it was deleted softly.
        state: Where its tasks stand.
        labeler: Who has its tasks.
    """

    name: str
    content: bytes | None = attrs.field(default=None, repr=False)
    url: str | None = None
    video: SeedVideo | None = None
    deleted: bool = False
    state: TaskState = "BACKLOG"
    labeler: str | None = None


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


async def seed_projects(service: Service, projects: Iterable[SeedProject]) -> list[SeededProject]:
    """Make projects with everything in them."""
    async with service.store.writing() as db:
        return [await _make_project(service, db, project) for project in projects]


async def seed_datasets(service: Service, datasets: Iterable[SeedDataset]) -> list[SeededDataset]:
    """Make datasets that belong to no project."""
    async with service.store.writing() as db:
        return [await _make_dataset(service, db, dataset) for dataset in datasets]


async def set_task_state(
    service: Service, task_id: str, state: TaskState, labeler: str | None
) -> None:
    """Move a task."""
    async with service.store.writing() as db:
        moved = await db.run(
            "UPDATE task SET state = ?, labeler = ? WHERE id = ?", state, labeler, task_id
        )
    if not moved:
        raise LookupError(f"There is no task {task_id}.")


async def delete_dataset(service: Service, dataset_id: str) -> None:
    """Delete a dataset softly."""
    async with service.store.writing() as db:
        gone = await db.run("UPDATE dataset SET deleted_at = ? WHERE id = ?", now(), dataset_id)
    if not gone:
        raise LookupError(f"There is no dataset {dataset_id}.")


async def seed_demo(service: Service) -> list[SeededProject]:
    """Make the demo projects, unless they are there."""
    found = await service.store.rows("SELECT name FROM project WHERE deleted_at IS NULL")
    names = {row["name"] for row in found}
    wanted = (
        SeedProject("Demo images", short_description="Attach a dataset and label it"),
        SeedProject("Demo videos", media_type="VIDEO", short_description="For video datasets"),
    )
    await seed_projects(service, [project for project in wanted if project.name not in names])
    return [await _find_project(service, project.name) for project in wanted]


async def _find_project(service: Service, name: str) -> SeededProject:
    rows = await service.store.rows("SELECT * FROM project WHERE name = ? ORDER BY seq DESC", name)
    row = rows[0]
    return SeededProject(row["id"], row["name"], row["config_id"], row["iteration_id"], (), {})


async def _make_project(service: Service, db: Writer, project: SeedProject) -> SeededProject:
    project_id, config_id, iteration_id = new_id(), new_id(), new_id()
    await db.run(
        "INSERT INTO project"
        " (id, name, short_description, description, timestamp, owner, media_type, config_id,"
        " config_timestamp, iteration_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(project_id, project.name, project.short_description, project.description, now(), OWNER),
        *(project.media_type, config_id, now(), iteration_id),
    )
    datasets, tasks = [], {}
    for dataset in project.datasets:
        seeded = await _make_dataset(service, db, dataset)
        datasets.append(seeded)
        await db.run("INSERT INTO project_dataset VALUES (?, ?)", project_id, seeded.id)
        tasks.update(await _make_tasks(db, project_id, dataset, seeded))
    return SeededProject(project_id, project.name, config_id, iteration_id, datasets, tasks)


async def _make_tasks(
    db: Writer, project_id: str, dataset: SeedDataset, seeded: SeededDataset
) -> dict[str, str]:
    tasks = {media.name: new_id() for media in dataset.media}
    await db.run_many(
        "INSERT INTO task (id, project_id, media_id, state, labeler) VALUES (?, ?, ?, ?, ?)",
        [
            (
                tasks[media.name],
                project_id,
                seeded.media_ids[media.name],
                media.state,
                media.labeler,
            )
            for media in {media.name: media for media in dataset.media}.values()
        ],
    )
    return tasks


async def _make_dataset(service: Service, db: Writer, dataset: SeedDataset) -> SeededDataset:
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


async def _make_media(service: Service, db: Writer, dataset_id: str, media: SeedMedia) -> str:
    media_id = new_id()
    if media.content is not None:
        await asyncio.to_thread(service.blobs.write, media_id, media.content)
    width, height = _size(media)
    await db.run(
        "INSERT INTO media"
        " (id, dataset_id, name, folded, timestamp, source, url, url_folded, mime, size, width,"
        " height, video_json, deleted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(media_id, dataset_id, media.name, fold(media.name), now(), _source(media)),
        *(media.url, None if media.url is None else fold(media.url)),
        *(_mime(media), len(media.content or b""), width, height),
        None if media.video is None else orjson.dumps(attrs.asdict(media.video)).decode(),
        now() if media.deleted else None,
    )
    return media_id


def _source(media: SeedMedia) -> str:
    if media.video is not None:
        return "AWS_S3"
    return "LOCAL" if media.url is None else "SHAREABLE_LINK"


def _mime(media: SeedMedia) -> str | None:
    if media.video is not None:
        return "video/mp4"
    return None if media.content is None else sniff(media.content[:512])


def _size(media: SeedMedia) -> tuple[int | None, int | None]:
    if media.video is not None:
        return media.video.width, media.video.height
    if media.content is None:
        return None, None
    try:
        return read_size(media.content)
    except UnreadableImageError as error:
        raise ValueError(
            f"The seed media {media.name!r} is no image the service would take: {error}."
        ) from None
