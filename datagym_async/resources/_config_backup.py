"""A label configuration and its labels, saved before they are destroyed.

The folder is filled aside and put in its place when all of it is written; what a kill leaves
behind, the next backup of the project sweeps. Labels are saved as the service answers them, without
a look inside.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from datagym_async._files import (
    PRIVATE,
    PRIVATE_FOLDER,
    FolderPart,
    placed_beside_the_loop,
    private_folder,
    replaced_file,
)
from datagym_async._threads import in_thread
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import check_empty
from datagym_async.exceptions import NotFoundError
from datagym_async.labels import LabelConfig
from datagym_async.models import ConfigBackup, MediaType
from datagym_async.resources._exports import whole_chunks
from datagym_async.resources._tasks import all_tasks, begun, finished
from datagym_async.resources._work import for_each

if TYPE_CHECKING:
    from datagym_async._wire._messages import Request
    from datagym_async.models import LabelConfiguration, Project, Task
    from datagym_async.resources._base import Door

CONFIG_FILE = "label-config.json"
LABELS_FILE = "labels.json"
UNFINISHED_FILE = "unfinished-tasks.jsonl"
_VIDEOS = "videos"
_LONGEST_NAME = 60


async def write_backup(
    door: Door, project: Project, config: LabelConfiguration, parent: Path
) -> ConfigBackup:
    """Save a project's label configuration and labels in a new folder, made in `parent`.

    Raises:
        FileWriteError: Something cannot be written.
        APIError: The labels cannot be exported.
    """
    async with placed_beside_the_loop(partial(_begun, parent, project), parent) as part:
        videos = await _fill(door, project, config, part.filled)
    folder = part.target
    return ConfigBackup(
        folder=folder,
        config=folder / CONFIG_FILE,
        labels=folder / LABELS_FILE,
        unfinished=folder / UNFINISHED_FILE,
        videos=tuple(folder / video for video in videos),
    )


def read_backup(path: Path) -> LabelConfig:
    """Return the label configuration of a backup: of its folder, or of the file itself.

    Raises:
        LabelConfigError: The file holds no label configuration.
        OSError: It cannot be read.
    """
    file = path / CONFIG_FILE if path.is_dir() else path
    return LabelConfig.from_json(file.read_bytes())


class _BackupPart(FolderPart):
    """A backup on its way to a folder that nothing has."""

    def put(self) -> None:
        """Put it in its place, under a number if another backup of the same second is there."""
        stem = self.target.name
        for number in itertools.count(2):
            if not self.target.exists():
                with contextlib.suppress(FileExistsError, NotADirectoryError):
                    self.filled.rename(self.target)
                    return
            self.target = self.target.with_name(f"{stem}-{number}")


def _begun(parent: Path, project: Project) -> _BackupPart:
    private_folder(parent)
    # Nothing from the service is a path: its name is only a hint for people.
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", project.name)[:_LONGEST_NAME].strip("-") or "project"
    place = parent / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return _BackupPart.beside(place, mark=parent / f"backup of {project.id}", mode=PRIVATE_FOLDER)


async def _fill(
    door: Door, project: Project, config: LabelConfiguration, folder: Path
) -> list[str]:
    """Write all files of a backup; return the names of those of videos."""
    tasks = await all_tasks(door, project.id)

    async with _saved(folder / CONFIG_FILE) as file:
        await in_thread(file.write, LabelConfig.from_entries(config).to_json().encode())

    async def copy(request: Request, name: str, brackets: bytes, *, empty: bool = False) -> None:
        async with (
            aclosing(whole_chunks(door, request, brackets, empty=empty)) as chunks,
            _saved(folder / name) as file,
        ):
            async for chunk in chunks:
                await in_thread(file.write, chunk)

    # The labels of finished tasks.
    await copy(routes.export_labels(project.id), LABELS_FILE, b"[]", empty=not finished(tasks))

    # Those that no export holds: a line for each task, in no particular order.
    async with _saved(folder / UNFINISHED_FILE) as file:

        async def save(task: Task) -> None:
            request = routes.get_task(task.id)
            with contextlib.suppress(NotFoundError):  # it was deleted meanwhile
                response = await door.request(request)
                check_empty(request, response)
                # The service breaks lines once it has exported anything (observed).
                await in_thread(file.write, b" ".join(response.body.split(b"\n")) + b"\n")

        await for_each(begun(tasks), save)

    if project.media_type is not MediaType.VIDEO:
        return []
    await in_thread(private_folder, folder / _VIDEOS)
    videos = {f"{_VIDEOS}/{number}.json": task for number, task in enumerate(tasks, start=1)}
    for name, task in videos.items():
        await copy(routes.export_video(task.id), name, b"{}")
    return [*videos]


@asynccontextmanager
async def _saved(path: Path) -> AsyncIterator[BinaryIO]:
    """Give a new file that is on the disk then: what it holds is destroyed at the service next."""
    async with replaced_file(path, mode=PRIVATE) as file:
        yield file
        await in_thread(file.flush)
        await in_thread(os.fsync, file.fileno())
