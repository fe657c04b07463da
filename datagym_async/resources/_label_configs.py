"""`LabelConfigsResource`: the label configurations of projects."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from datagym_async._logs import logger
from datagym_async._wire import _routes as routes
from datagym_async.exceptions import ConfigurationError, LabelConfigError, RequestRefusedError
from datagym_async.labels import LabelConfig, diff
from datagym_async.models import ConfigStakes
from datagym_async.resources._base import Resource
from datagym_async.resources._config_backup import read_backup, write_backup
from datagym_async.resources._config_replacement import NOT_CLEARED, ConfigWriter
from datagym_async.resources._exports import iter_tasks
from datagym_async.resources._projects import ProjectsResource
from datagym_async.resources._tasks import all_tasks, begun, finished, read_task

if TYPE_CHECKING:
    from datagym_async.labels._config import Entries
    from datagym_async.models import ConfigBackup, LabelConfiguration, Project
    from datagym_async.resources._base import Door

_log = logger(__name__)

DEFAULT_BACKUPS = "datagym-backups"
"""Folder for backups, below the working directory."""


class LabelConfigsResource(Resource):
    """The label configurations of projects; `Project.label_configuration_id` names them."""

    def __init__(self, session: Door) -> None:
        super().__init__(session)
        # Configurations stored at once are stored twice (observed).
        self._one_writer = asyncio.Lock()

    async def read(self, project_id: str) -> LabelConfiguration | None:
        """Return the label configuration of a project, or None if the project has no task.

        The service has no call for it; a task shows it. Reading a task that nobody has opened
        makes the service create its empty classification values, so that opened ones go first.
        """
        task = await read_task(self._session, project_id)
        return None if task is None else task.label_config

    async def clear(self, config_id: str) -> None:
        """Empty a label configuration. **It deletes every label of the project.**

        Completed and reviewed tasks go back to WAITING_CHANGED.
        """
        await ConfigWriter(self._session, config_id).clear()

    async def upload(
        self,
        config_id: str,
        entries: Entries | Iterable[Mapping[str, object]],
        *,
        replace: bool = False,
        backup: str | os.PathLike[str] | None = DEFAULT_BACKUPS,
        on_backup: Callable[[ConfigBackup], object] | None = None,
    ) -> LabelConfiguration:
        """Store a label configuration and return it as the service has it then.

        With `replace` it takes the place of the present one, **which deletes every label of the
        project**; nothing is sent if nothing differs. Before, the present configuration and the
        labels are saved to a new folder in `backup`. Whatever goes wrong then, a cancellation
        included, the project is left with the old or the new configuration as long as the service
        can be asked at all. One upload of a client goes on at a time; see to it that no other
        client does one, since configurations stored at once are stored twice (observed).

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
            APIError: The service cannot be asked, or refuses; nothing was changed.
        """
        wanted = LabelConfig.of(entries)
        wanted.validate()
        if replace:
            return await self._replace(config_id, wanted, backup, on_backup)
        async with self._one_writer:
            return await ConfigWriter(self._session, config_id).fill_empty(wanted)

    async def restore(
        self,
        config_id: str,
        saved: str | os.PathLike[str],
        *,
        backup: str | os.PathLike[str] | None = DEFAULT_BACKUPS,
        on_backup: Callable[[ConfigBackup], object] | None = None,
    ) -> LabelConfiguration:
        """Put a saved label configuration back, in the place of what is there.

        It is not checked: what the service had once, it takes again. Its labels are imported
        afterwards, with `LabelsResource.import_predictions`.

        Args:
            saved: The folder of a backup, or a file with a configuration.
            backup: The folder that what is there now is saved to (see `upload`).
            on_backup: Called with that backup.

        Raises:
            LabelConfigError: See `upload`; also if the file holds no configuration.
            OSError: The file cannot be read.
            APIError: See `upload`.
        """
        config = await asyncio.to_thread(read_backup, Path(saved))
        return await self._replace(config_id, config, backup, on_backup)

    async def backup(
        self, project_id: str, folder: str | os.PathLike[str] = DEFAULT_BACKUPS
    ) -> ConfigBackup:
        """Save the label configuration and the labels of a project; return where they are.

        Args:
            folder: Where the new folder of the backup goes; made if it is missing.

        Raises:
            LabelConfigError: The project has no task, so that nothing shows its configuration.
            ConfigurationError: The project is unknown.
            OSError: Something cannot be written.
        """
        project = await self._project(project_id)
        config = await self.read(project.id)
        if config is None:
            raise _unseen(project, "so that there is nothing to save")
        return await write_backup(self._session, project, config, Path(folder))

    async def at_stake(self, project_id: str) -> ConfigStakes:
        """Count what clearing the label configuration of a project would destroy."""
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
        config_id: str,
        wanted: LabelConfig,
        backup: str | os.PathLike[str] | None,
        on_backup: Callable[[ConfigBackup], object] | None,
    ) -> LabelConfiguration:
        if not len(wanted):
            raise LabelConfigError(
                "The label configuration has no entries; label_configs.clear empties one"
            )
        async with self._one_writer:
            project = await self._project(config_id)
            writer = ConfigWriter(self._session, project.label_configuration_id, project.id)
            present = await self.read(project.id)
            if present is None:  # without tasks, no labels hang on it
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
                saved = await write_backup(self._session, project, present, Path(backup))
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
        f"The project {project.name!r} has no task, and a task alone shows its label "
        f"configuration, {consequence}"
    )
