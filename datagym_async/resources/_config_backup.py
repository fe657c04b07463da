"""A label configuration and its labels, saved before they are destroyed.

Each file is written beside its place and renamed; the folder is taken away again if not all of it
could be written. Labels are saved as the service answers them, without a look inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import check_empty, too_large, unexpected
from datagym_async._wire._messages import MAX_IN_PIECES
from datagym_async.exceptions import NotFoundError
from datagym_async.labels import LabelConfig
from datagym_async.models import ConfigBackup, MediaType
from datagym_async.resources._config_tasks import all_tasks, begun, finished
from datagym_async.resources._files import finish, replaced_file
from datagym_async.resources._many import for_each

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aiofiles.threadpool.binary import AsyncBufferedReader

    from datagym_async._wire._messages import Request
    from datagym_async.models import LabelConfiguration, Project, Task
    from datagym_async.resources._ports import Door

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
        OSError: Something cannot be written.
        APIError: The labels cannot be exported.
    """
    folder = await asyncio.to_thread(_new_folder, parent, project.name)
    try:
        return await _Writer(door, project, folder).write(config)
    except BaseException:
        await finish(lambda: shutil.rmtree(folder, ignore_errors=True))
        raise


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


def _new_folder(parent: Path, project: str) -> Path:
    # Nothing from the service is a path: its name is only a hint for people.
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", project)[:_LONGEST_NAME].strip("-") or "project"
    stem = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


class _Writer:
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
        async with replaced_file(path) as file:

            async def save(task: Task) -> None:
                with contextlib.suppress(NotFoundError):  # it was deleted meanwhile
                    await file.write(await self._line(routes.get_task(task.id)))

            await for_each(tasks, save)
            await _to_disk(file)
        return path

    async def _videos(self, tasks: Sequence[Task]) -> tuple[Path, ...]:
        if self._project.media_type is not MediaType.VIDEO:
            return ()
        await asyncio.to_thread((self._folder / _VIDEOS).mkdir)
        return tuple(
            [
                await self._copy(f"{_VIDEOS}/{number}.json", routes.export_video(task.id), "{}")
                for number, task in enumerate(tasks, start=1)
            ]
        )

    async def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        async with replaced_file(path) as file:
            await file.write(content)
            await _to_disk(file)
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
        async with replaced_file(path) as file:
            async with self._door.stream(request) as answer:
                async for chunk in answer.iter_chunks():
                    seen.note(chunk)
                    if seen.size > MAX_IN_PIECES:
                        raise too_large(request, answer.status, MAX_IN_PIECES)
                    await file.write(chunk)
            if seen.text != brackets or not (empty or seen.more):
                raise unexpected(request, answer.status, "whole and not empty JSON was expected")
            await _to_disk(file)
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


async def _to_disk(file: AsyncBufferedReader) -> None:
    """Wait until a file is on the disk: what it holds is destroyed at the service next."""
    await file.flush()
    await asyncio.to_thread(os.fsync, file.fileno())
