"""`LabelConfigsResource`: the label configurations of projects, replaced, saved and restored.

The service can only clear a configuration, with all labels, and fill it again: two calls, between
which the project has none. If this is interrupted, also by a cancellation, the service is asked for
the present configuration, and the old one is put back if it is neither the old nor the new one.

Before that, the configuration and its labels are saved. The folder gets its final name when it is
complete; the next backup of the project deletes the rest of a killed one. Labels are saved as the
service sends them, unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from datagym_async._checks import checked
from datagym_async._files import (
    PRIVATE,
    PRIVATE_FOLDER,
    FolderPart,
    from_home,
    placed_beside_the_loop,
    private_folder,
    read_whole,
    replaced_file,
)
from datagym_async._printable import logger
from datagym_async._threads import in_thread
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import ClearedConfig, check_empty
from datagym_async._wire._messages import Request
from datagym_async.exceptions import (
    APIStatusError,
    ConfigurationError,
    LabelConfigError,
    NotFoundError,
    RequestRefusedError,
)
from datagym_async.labels import LabelConfig, diff
from datagym_async.labels._config import RESERVED, Entries
from datagym_async.models import (
    ConfigBackup,
    ConfigId,
    ConfigStakes,
    LabelConfiguration,
    MediaType,
    Project,
    ProjectId,
    Task,
)
from datagym_async.models._ids import id_of
from datagym_async.resources._base import (
    ApiSession,
    Resource,
    finish_call,
    for_each,
    iter_tasks,
    run_to_end,
    whole_chunks,
)
from datagym_async.resources._projects import ProjectsResource
from datagym_async.resources._tasks import all_tasks, begun, finished, read_task

_log = logger(__name__)

DEFAULT_BACKUPS = "datagym-backups"  # folder for backups, below the working directory


@checked
class LabelConfigsResource(Resource):
    """The label configurations of projects; `Project.label_configuration_id` has their ids.

    Ids are UUIDs. A call raises `NotFoundError` if an id is unknown, and another `APIError` if the
    service cannot be reached or refuses.
    """

    def __init__(self, session: ApiSession) -> None:
        super().__init__(session)
        # Configurations stored at once are stored twice (observed).
        self._one_writer = asyncio.Lock()

    async def read(self, project_id: ProjectId) -> LabelConfiguration | None:
        """Return the label configuration of a project, or None if the project has no task.

        The service has no call for it; only tasks show it. If a task that nobody has opened is
        read, the service creates its empty classification values, so opened tasks are preferred.
        """
        task = await read_task(self._session, project_id)
        return None if task is None else task.label_config

    async def clear(self, config_id: ConfigId) -> None:
        """Empty a label configuration. **This deletes all labels of the project.**

        Completed and reviewed tasks go back to WAITING_CHANGED.
        """
        await ConfigWriter(self._session, config_id).clear()

    async def upload(
        self,
        config_id: ConfigId,
        entries: Entries | Iterable[Mapping[str, object]],
        *,
        replace: bool = False,
        backup: str | os.PathLike[str] | None = DEFAULT_BACKUPS,
        on_backup: Callable[[ConfigBackup], object] | None = None,
    ) -> LabelConfiguration:
        """Store a label configuration and return it as the service has it then.

        With `replace` it takes the place of the present one, **which deletes every label of the
        project**; nothing is sent if nothing differs. Before, the present configuration and the
        labels are saved to a new folder in `backup`. If anything goes wrong then, also a
        cancellation, the project has the old or the new configuration, unless the service cannot
        be reached. A client runs one upload at a time. No other client may run one, because
        configurations that are stored at the same time are there twice (observed).

        Args:
            entries: A `LabelConfig`, what the service shows of one, entries, or root entries as
                the service takes them (``entryKey``, ``entryValue``, ``type`` and so on).
            replace: True to replace what is there; else only an empty configuration is filled.
            backup: The folder that backups go to, each in a folder of its own; made if it is
                missing. None saves nothing.
            on_backup: Called with the backup before anything is cleared.

        Raises:
            LabelConfigError: The entries break a rule, and nothing was sent; or replacing failed:
                the text, `left` and `backup` say what the project has now and where the labels
                are.
            RequestRefusedError: It is not empty, and `replace` is False. Its `unknown` is True if
                an earlier attempt whose answer was lost may have stored the entries.
            ConfigurationError: No project has the configuration.
            OSError: The backup cannot be written; nothing was changed.
            APIError: The service cannot be reached, or refuses; nothing was changed.
        """
        wanted = LabelConfig.from_entries(entries)
        wanted.validate()
        if replace:
            return await self._replace(config_id, wanted, backup, on_backup)
        async with self._one_writer:
            return await ConfigWriter(self._session, config_id).fill_empty(wanted)

    async def restore(
        self,
        config_id: ConfigId,
        saved: str | os.PathLike[str],
        *,
        backup: str | os.PathLike[str] | None = DEFAULT_BACKUPS,
        on_backup: Callable[[ConfigBackup], object] | None = None,
    ) -> LabelConfiguration:
        """Replace the present label configuration with a saved one.

        It is not checked, because the service had accepted it before. Import its labels afterwards
        with `LabelsResource.import_predictions`.

        Args:
            saved: The folder of a backup, or a file with a configuration.
            backup: The folder for a backup of what is there now (see `upload`).
            on_backup: Called with that backup.

        Raises:
            LabelConfigError: See `upload`; also if the file contains no configuration.
            OSError: The file cannot be read.
            APIError: See `upload`.
        """

        def read_saved() -> LabelConfig:
            file = from_home(saved, what="saved")
            file = file / CONFIG_FILE if file.is_dir() else file
            return LabelConfig.from_json(read_whole(file))

        config = await asyncio.to_thread(read_saved)
        return await self._replace(config_id, config, backup, on_backup)

    async def backup(
        self, project_id: ProjectId, folder: str | os.PathLike[str] = DEFAULT_BACKUPS
    ) -> ConfigBackup:
        """Save the label configuration and the labels of a project; return where they are.

        Args:
            folder: The folder in which a new folder for the backup is made; created if needed.

        Raises:
            LabelConfigError: The project has no task, so nothing shows its configuration.
            ConfigurationError: The project is unknown.
            OSError: Something cannot be written.
        """
        project = await self._project(id_of(project_id, "project id"))
        config = await self.read(project.id)
        if config is None:
            raise _unseen(project, "so there is nothing to save")
        return await write_backup(self._session, project, config, from_home(folder, what="folder"))

    async def at_stake(self, project_id: ProjectId) -> ConfigStakes:
        """Count what clearing the label configuration of a project would delete."""
        tasks = await all_tasks(self._session, project_id)
        done, labels = finished(tasks), 0
        if done:  # shapes, and answers that are given
            exported = iter_tasks(self._session, routes.export_labels(project_id))
            async with aclosing(exported):
                async for task in exported:
                    labels += sum(1 for _ in task.walk())
                    labels += sum(each.is_set for each in task.classifications)
        return ConfigStakes(
            tasks=len(tasks), finished=len(done), labels=labels, unfinished=len(begun(tasks))
        )

    async def _replace(
        self,
        config_id: ConfigId,
        wanted: LabelConfig,
        backup: str | os.PathLike[str] | None,
        on_backup: Callable[[ConfigBackup], object] | None,
    ) -> LabelConfiguration:
        if not len(wanted):
            raise LabelConfigError(
                "The label configuration has no entries; label_configs.clear empties one"
            )
        async with self._one_writer:
            project = await self._project(id_of(config_id, "configuration id"))
            writer = ConfigWriter(self._session, project.label_configuration_id, project.id)
            present = await self.read(project.id)
            if present is None:  # without tasks there are no labels
                if backup is None:
                    return await writer.replace(None, wanted, None)
                try:
                    return await writer.fill_empty(wanted)
                except RequestRefusedError as error:
                    if error.key != NOT_CLEARED:
                        raise
                    raise _unseen(
                        project,
                        "so that it can be neither compared nor put back if anything goes wrong;"
                        " attach a dataset with an image first, or give the present one up with"
                        " backup=None",
                    ) from error
            if diff(present, wanted).is_empty:
                return present
            old, saved = LabelConfig.from_entries(present), None
            if backup is not None and len(old):
                place = from_home(backup, what="backup")
                saved = await write_backup(self._session, project, present, place)
                _log.info("saved the label configuration and labels to %s", saved.folder)
                if on_backup is not None:
                    on_backup(saved)
            return await writer.replace(old, wanted, saved)

    async def _project(self, wanted: str) -> Project:
        """Return the project with an id, or with a label configuration of that id."""
        for project in await ProjectsResource(self._session).list():
            if wanted.lower() in (project.id.lower(), project.label_configuration_id.lower()):
                return project
        raise ConfigurationError(
            f"No project has the label configuration or id {wanted!r}; projects.list() shows them"
        )


def _unseen(project: Project, consequence: str) -> LabelConfigError:
    return LabelConfigError(
        f"The project {project.name!r} has no task, and only a task shows its label "
        f"configuration, {consequence}"
    )


# --- replacing a configuration, and putting the old one back if that fails ------------------------

Left: TypeAlias = Literal["untouched", "old", "new", "unknown"]
_Settled: TypeAlias = "tuple[Left, LabelConfiguration | None]"
"""The result of a failed replacement, and the configuration as it was seen last."""

ANSWER = 30.0
"""Seconds for the answer to a call after a cancellation, because the service carries it out."""
PUTTING_BACK = 60.0
"""Seconds for putting the old configuration back, after the wait for lost requests."""

_TURNS = 3
NOT_CLEARED = "ex_gen_config_not_cleared"
_TAKEN = {key: key.upper() for key in RESERVED}


class ConfigWriter(Resource):
    """The calls that change one label configuration; replacing needs its project."""

    def __init__(self, session: ApiSession, config_id: ConfigId, project_id: str = "") -> None:
        super().__init__(session)
        self._config_id = config_id
        self._project_id = project_id

    async def clear(self) -> None:
        await self._fetch(routes.clear_config(self._config_id), ClearedConfig)

    async def fill_empty(self, wanted: LabelConfig) -> LabelConfiguration:
        request = routes.upload_config(self._config_id, wanted.to_payload())
        try:
            return await self._fetch_or_settle(request, LabelConfiguration)
        except RequestRefusedError as error:
            if error.key == NOT_CLEARED:
                error.unknown = error.attempts > 1
            raise

    async def replace(
        self, old: LabelConfig | None, wanted: LabelConfig, backup: ConfigBackup | None
    ) -> LabelConfiguration:
        """Clear it, fill it, and return it; `old` is None if it is unknown."""
        try:
            await finish_call(self.clear(), within=ANSWER)
            return await finish_call(self._fill(wanted), within=ANSWER)
        except (Exception, asyncio.CancelledError) as error:
            wait = self._session.settle_after() if _may_still_run(error) else 0.0
            (left, view), again = await run_to_end(self._settle(old, wanted, wait))
            words = _words(left, backup)
            cancelled = error if isinstance(error, asyncio.CancelledError) else again
            if cancelled is not None:
                cancelled.add_note(f"Cancelled while a label configuration was replaced. {words}")
                _log.warning("cancelled while a label configuration was replaced. %s", words)
                raise cancelled from None
            if left == "new" and view is not None:
                return view  # only the answer was lost
            lost = backup if left != "untouched" else None
            raise LabelConfigError(
                f"The label configuration was not replaced. {words} Cause: {error}",
                backup=lost.folder if lost is not None else None,
                left="old" if left == "untouched" else left,
            ) from error

    async def _settle(self, old: LabelConfig | None, wanted: LabelConfig, wait: float) -> _Settled:
        """Make sure that the project has the old or the new configuration; return which."""
        try:
            async with asyncio.timeout(wait + PUTTING_BACK):
                await asyncio.sleep(wait)
                for turn in range(_TURNS):
                    task = await read_task(self._session, self._project_id)
                    view = None if task is None else task.label_config
                    if view is not None:
                        if old is not None and diff(view, old).is_empty:
                            return "old" if turn else "untouched", view
                        if diff(view, wanted).is_empty:
                            return "new", view
                    if old is None:
                        break
                    if view is None or view.entries:
                        # A lost call has filled it, or two at once, which store entries twice.
                        await self.clear()
                    await self._fill(old)
                    if view is None:
                        return "old", None
        except Exception as error:
            _log.error("The label configuration could not be restored: %s", error)
        return "unknown", None

    async def _fill(self, wanted: LabelConfig) -> LabelConfiguration:
        """Fill it after it was cleared just now."""
        request = routes.upload_config(self._config_id, _as_taken(wanted.to_payload()))
        try:
            return await self._fetch_or_settle(request, LabelConfiguration)
        except RequestRefusedError as error:
            if error.key != NOT_CLEARED:
                raise
        # It was empty, so a lost attempt of ours has filled it. `attempts` may be 1, since aiohttp
        # itself sends a PUT once more if the connection drops.
        await self.clear()
        return await self._fetch_or_settle(request, LabelConfiguration)


def _may_still_run(error: BaseException) -> bool:
    """Return whether the service may still be carrying out the failed call."""
    if not isinstance(error, APIStatusError) or error.attempts > 1:
        return True
    return error.status >= 500 and not isinstance(error, RequestRefusedError)


def _as_taken(payload: Sequence[Mapping[str, Any]]) -> list[Mapping[str, object]]:
    """Return stored entries in a spelling that the service accepts again.

    It compares its reserved words with case, and stores keys in lower case: ``Line`` became
    ``line``, which it would refuse.
    """
    return [
        {
            **entry,
            "entryKey": _TAKEN.get(entry["entryKey"], entry["entryKey"]),
            "children": _as_taken(entry["children"]),
        }
        for entry in payload
    ]


def _words(left: Left, backup: ConfigBackup | None) -> str:
    """Say what the project has now, and where its labels are."""
    if left == "untouched":
        return "The old configuration and all labels are unchanged."
    if backup is None:
        saved = "Nothing was saved before."
    else:
        saved = f"The labels, which are gone from the service, are in {backup.labels}."
    if left == "unknown":
        where = f" The old one is in {backup.config}." if backup is not None else ""
        return f"It is not known what the project has now, perhaps none.{where} {saved}"
    return f"The {left} one is in place. {saved}"


# --- backups of a configuration and its labels ----------------------------------------------------

CONFIG_FILE = "label-config.json"
LABELS_FILE = "labels.json"
UNFINISHED_FILE = "unfinished-tasks.jsonl"
_VIDEOS = "videos"
_LONGEST_NAME = 60


async def write_backup(
    session: ApiSession, project: Project, config: LabelConfiguration, parent: Path
) -> ConfigBackup:
    """Save a project's label configuration and labels in a new folder, made in `parent`."""
    tasks = await all_tasks(session, project.id)
    is_video = project.media_type is MediaType.VIDEO
    videos = {f"{_VIDEOS}/{at}.json": task for at, task in enumerate(tasks, start=1) if is_video}

    def begin() -> _BackupPart:
        private_folder(parent)
        # The service's name is only a hint for people, never a path.
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", project.name)[:_LONGEST_NAME].strip("-") or "project"
        place = parent / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        mark = parent / f"backup of {project.id}"
        return _BackupPart.beside(place, mark=mark, mode=PRIVATE_FOLDER)

    async with placed_beside_the_loop(begin, parent) as part:
        folder = part.filled

        async def copy(request: Request, name: str, brackets: bytes, *, empty: bool) -> None:
            async with (
                aclosing(whole_chunks(session, request, brackets, empty=empty)) as chunks,
                _saved(folder / name) as file,
            ):
                async for chunk in chunks:
                    await in_thread(file.write, chunk)

        async with _saved(folder / CONFIG_FILE) as file:
            await in_thread(file.write, LabelConfig.from_entries(config).to_json().encode())

        # The labels of finished tasks.
        await copy(routes.export_labels(project.id), LABELS_FILE, b"[]", empty=not finished(tasks))

        # Those that are in no export: a line for each task, in no particular order.
        async with _saved(folder / UNFINISHED_FILE) as file:

            async def save(task: Task) -> None:
                request = routes.get_task(task.id)
                with contextlib.suppress(NotFoundError):  # it was deleted meanwhile
                    response = await session.request(request)
                    check_empty(request, response)
                    # The service breaks lines once it has exported anything (observed).
                    await in_thread(file.write, b" ".join(response.body.split(b"\n")) + b"\n")

            await for_each(begun(tasks), save)

        if is_video:
            await in_thread(private_folder, folder / _VIDEOS)
        for name, task in videos.items():
            await copy(routes.export_video(task.id), name, b"{}", empty=False)
    folder = part.target
    return ConfigBackup(
        folder=folder,
        config=folder / CONFIG_FILE,
        labels=folder / LABELS_FILE,
        unfinished=folder / UNFINISHED_FILE,
        videos=tuple(folder / video for video in videos),
    )


class _BackupPart(FolderPart):
    """A backup, which gets a number if there is another one of the same second."""

    def put(self) -> None:
        stem = self.target.name
        for number in itertools.count(2):
            if not self.target.exists():
                with contextlib.suppress(FileExistsError, NotADirectoryError):
                    self.filled.rename(self.target)
                    return
            self.target = self.target.with_name(f"{stem}-{number}")


@asynccontextmanager
async def _saved(path: Path) -> AsyncIterator[BinaryIO]:
    """Give a new file and flush it to the disk, because the service's data are destroyed next."""
    async with replaced_file(path, mode=PRIVATE) as file:
        yield file
        await in_thread(file.flush)
        await in_thread(os.fsync, file.fileno())
