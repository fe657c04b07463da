"""The listing of a download: the media of a dataset or project, and the project they belong to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing

import attrs

from datagym_async._printable import quoted
from datagym_async._runs._needs import DownloadSources
from datagym_async._threads import in_thread
from datagym_async.downloads._config import DownloadConfig
from datagym_async.downloads._manifest import DownloadJob, Manifest
from datagym_async.downloads._report import DownloadTally
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.models import Dataset, Project
from datagym_async.resources._work import in_batches

_BATCH = 1000


@attrs.define
class Listing:
    """Write the listing of the service into a manifest."""

    _job: DownloadJob
    _sources: DownloadSources
    _config: DownloadConfig
    _tally: DownloadTally
    _only: Collection[str] | None = None  # ids of media; None for all
    name: str = attrs.field(default="", init=False)  # of the dataset or project, once known
    project: Project | None = attrs.field(default=None, init=False)  # whose labels are joined

    async def enter(self, manifest: Manifest) -> None:
        """List everything and add it.

        Raises a `ConfigurationError` if the project is unknown, or if labels need one and it is not
        clear which.
        """
        if self._job.kind == "project":
            self.project = _of_id(self._job.id, await self._sources.projects.list())
            for each in sorted(self.project.datasets, key=lambda one: (one.timestamp, one.id)):
                try:
                    await self._enter_media(manifest, each.id, subfolder=True)
                except NotFoundError:
                    note = f"The dataset {quoted(each.name)} of the project is gone."
                    self._tally.notes.append(note)
            self.name = self.project.name
        else:
            if self._config.needs_project:  # first: if it is not clear, nothing is added
                self.project = self._choose(await self._sources.projects.list())
            self.name = await self._enter_media(manifest, self._job.id, subfolder=False)
        while await in_thread(manifest.allot, _BATCH):
            pass
        self._tally.planned = await in_thread(manifest.count)
        if self._config.links != "source" or self.project is None:
            return
        if await in_thread(manifest.has_links):
            # Add the task of each media: only a task has the address of a link image.
            async with (
                aclosing(self._sources.tasks.iter(self.project.id, state="all")) as tasks,
                aclosing(in_batches(tasks, _BATCH)) as batches,
            ):
                async for batch in batches:
                    rows = [(task.id, task.media_id) for task in batch]
                    await in_thread(manifest.enter_tasks, rows)

    async def _enter_media(self, manifest: Manifest, dataset_id: str, *, subfolder: bool) -> str:
        """Add a dataset part by part; return its name."""

        async def enter(parts: AsyncIterator[Dataset]) -> str:
            name = ""
            async for part in parts:
                name, tree, kept = part.name, self._config.tree, part
                if self._only is not None:
                    own = [each for each in part.media if each.id in self._only]
                    kept = attrs.evolve(part, media=tuple(own))
                await in_thread(manifest.enter, kept, subfolder=subfolder, tree=tree)
            return name

        return await self._sources.datasets.read_parts(enter, dataset_id)

    def _choose(self, projects: Sequence[Project]) -> Project | None:
        """Return the project that is joined with a dataset; None if links do not need one."""
        if self._config.project_id is not None:
            return _of_id(self._config.project_id, projects)
        dataset_id = self._job.id.lower()
        found = [one for one in projects if any(dataset_id == each.id for each in one.datasets)]
        if len(found) == 1 or not (self._config.labels or self._config.bitmaps):
            return found[0] if found else None
        names = ", ".join(f"{quoted(each.name)} ({each.id})" for each in found)
        which = f"is attached to several projects ({names})" if found else "is in no project"
        raise ConfigurationError(
            f"The dataset {which}; name the project of the labels with project_id=...."
        )


def _of_id(project_id: str, projects: Sequence[Project]) -> Project:
    for each in projects:
        if each.id == project_id.lower():
            return each
    msg = f"There is no project with the id {project_id!r}; client.projects.list() lists all."
    raise ConfigurationError(msg)
