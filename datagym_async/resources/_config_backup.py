"""A label configuration and its labels, saved before they are destroyed.

The folder is filled aside and put in its place when all of it is written; what a kill leaves
behind, the next backup of the project sweeps. Labels are saved as the service answers them, without
a look inside.
"""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import attrs

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
from datagym_async._wire._codec import check_empty, too_large, unexpected
from datagym_async._wire._messages import MAX_IN_PIECES
from datagym_async.exceptions import NotFoundError
from datagym_async.labels import LabelConfig
from datagym_async.models import ConfigBackup, MediaType
from datagym_async.resources._tasks import all_tasks, begun, finished
from datagym_async.resources._work import for_each

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Save a project's label configuration and labels in a new folder.

    Args:
        door: The door to the network.
        project: The project.
        config: Its label configuration as it is.
        parent: Where the new folder goes; made if it is missing.

    Raises:
        FileWriteError: Something cannot be written.
        APIError: The labels cannot be exported.
    """
    async with placed_beside_the_loop(lambda: _begun(parent, project), parent) as part:
        found = await _BackupWriter(door, project, part.filled).write(config)
    place = part.place
    return attrs.evolve(
        found,
        folder=place,
        config=place / CONFIG_FILE,
        labels=place / LABELS_FILE,
        unfinished=place / UNFINISHED_FILE,
        videos=tuple(place / _VIDEOS / video.name for video in found.videos),
    )


def read_backup(path: Path) -> LabelConfig:
    """Return the label configuration of a backup.

    Args:
        path: Its folder, or the file with the configuration.

    Raises:
        LabelConfigError: The file holds no label configuration.
        OSError: It cannot be read.
    """
    file = path / CONFIG_FILE if path.is_dir() else path
    return LabelConfig.from_json(file.read_bytes())


def _name_of(project: str) -> str:
    # Nothing from the service is a path: its name is only a hint for people.
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", project)[:_LONGEST_NAME].strip("-") or "project"
    return f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


@attrs.define
class _BackupPart:
    """A backup on its way to a folder that nothing has.

    Attributes:
        place: The folder, once it is put there.
    """

    _part: FolderPart
    place: Path

    @property
    def filled(self) -> Path:
        """Return where it is written."""
        return self._part.filled

    def put(self) -> None:
        """Put it in its place, under a number if another backup of the same second is there."""
        number, stem = 1, self.place.name
        while True:
            if not self.place.exists():
                with contextlib.suppress(FileExistsError, NotADirectoryError):
                    self.filled.rename(self.place)
                    return
            number += 1
            self.place = self.place.with_name(f"{stem}-{number}")

    def drop(self) -> None:
        """Delete what is not in its place."""
        self._part.drop()


def _begun(parent: Path, project: Project) -> _BackupPart:
    private_folder(parent)
    place, mark = parent / _name_of(project.name), parent / f"backup of {project.id}"
    return _BackupPart(FolderPart.beside(place, mark=mark, mode=PRIVATE_FOLDER), place)


class _BackupWriter:
    """Writes the files of one backup."""

    def __init__(self, door: Door, project: Project, folder: Path) -> None:
        self._door = door
        self._project = project
        self._folder = folder

    async def write(self, config: LabelConfiguration) -> ConfigBackup:
        """Write all files."""
        tasks = await all_tasks(self._door, self._project.id)
        text = LabelConfig.from_entries(config).to_json()
        return ConfigBackup(
            folder=self._folder,
            config=await self._write(CONFIG_FILE, text.encode()),
            labels=await self._labels(empty=not finished(tasks)),
            unfinished=await self._unfinished(begun(tasks)),
            videos=await self._videos(tasks),
        )

    async def _labels(self, *, empty: bool) -> Path:
        request = routes.export_labels(self._project.id)
        return await self._copy(LABELS_FILE, request, "[]", empty=empty)

    async def _unfinished(self, tasks: Sequence[Task]) -> Path:
        """Write a line for each task, in no particular order."""
        path = self._folder / UNFINISHED_FILE
        async with replaced_file(path, mode=PRIVATE) as file:

            async def save(task: Task) -> None:
                with contextlib.suppress(NotFoundError):  # it was deleted meanwhile
                    line = await self._line(routes.get_task(task.id))
                    await in_thread(file.write, line)

            await for_each(tasks, save)
            await in_thread(_to_disk, file)
        return path

    async def _videos(self, tasks: Sequence[Task]) -> tuple[Path, ...]:
        if self._project.media_type is not MediaType.VIDEO:
            return ()
        await in_thread(private_folder, self._folder / _VIDEOS)
        return tuple(
            [
                await self._copy(f"{_VIDEOS}/{number}.json", routes.export_video(task.id), "{}")
                for number, task in enumerate(tasks, start=1)
            ]
        )

    async def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        async with replaced_file(path, mode=PRIVATE) as file:
            await in_thread(file.write, content)
            await in_thread(_to_disk, file)
        return path

    async def _line(self, request: Request) -> bytes:
        response = await self._door.request(request)
        check_empty(request, response)
        # The service breaks lines once it has exported anything (observed).
        return b" ".join(response.body.split(b"\n")) + b"\n"

    async def _copy(
        self, name: str, request: Request, brackets: str, *, empty: bool = False
    ) -> Path:
        """Write an answer to a file as it arrives, and make sure that it is whole.

        Args:
            name: Name of the file in the folder.
            request: What to ask.
            brackets: What the document begins and ends with.
            empty: Whether nothing may be between them.
        """
        path, seen = self._folder / name, _Ends()
        async with replaced_file(path, mode=PRIVATE) as file:
            async with self._door.stream(request) as answer:
                async for chunk in answer.iter_chunks():
                    seen.note(chunk)
                    if seen.size > MAX_IN_PIECES:
                        raise too_large(request, answer.status, MAX_IN_PIECES)
                    await in_thread(file.write, chunk)
            if seen.text != brackets or not (empty or seen.more):
                raise unexpected(request, answer.status, "whole and not empty JSON was expected")
            await in_thread(_to_disk, file)
        return path


@attrs.define
class _Ends:
    """The first and the last character of a document, and whether there are others."""

    first: bytes = b""
    last: bytes = b""
    more: bool = False
    size: int = 0

    def note(self, chunk: bytes) -> None:
        """Look at a further piece."""
        self.size += len(chunk)
        text = chunk.strip()
        self.more = self.more or len(self.first + text) > 2
        self.first = self.first or text[:1]
        self.last = text[-1:] or self.last

    @property
    def text(self) -> str:
        """Return both."""
        return (self.first + self.last).decode("latin-1")


def _to_disk(file: BinaryIO) -> None:
    """Wait until a file is on the disk: what it holds is destroyed at the service next."""
    file.flush()
    os.fsync(file.fileno())
