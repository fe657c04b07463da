"""What is looked at: the images of a project, a dataset or a folder, each with its labels.

The service's images are listed once and held compactly, with their labels packed (as a loader holds
them); the bytes of an image are read when its turn comes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path

import attrs

from datagym_async._runs._text import counted
from datagym_async.data._listing import Library, list_media
from datagym_async.exceptions import NotFoundError
from datagym_async.formats import PredictionFile
from datagym_async.labels import LabeledImage, parse_image, parse_task
from datagym_async.look._marks import Colors, colors_of
from datagym_async.look._stats import LabelStatistics, StatisticsTally
from datagym_async.resources import LabelConfigsResource, MediaResource, TasksResource
from datagym_async.resources._tasks import begun, finished
from datagym_async.resources._values import labels_of


@attrs.frozen
class LookSources:
    """The parts of a client that looking draws on."""

    base_url: str
    library: Library
    media: MediaResource
    tasks: TasksResource
    label_configs: LabelConfigsResource


async def task_labels(
    sources: LookSources, media_id: str, project_id: str
) -> tuple[LabeledImage | None, Colors]:
    """Return the labels of a media as its task has them, in whatever state, and the colours.

    Raises:
        NotFoundError: The project has no task of the media.
    """
    async with aclosing(sources.tasks.iter(project_id, state="all")) as tasks:
        found = [task async for task in tasks if task.media_id == media_id.lower()]
    for task in found[:1]:
        if not (finished([task]) or begun([task])):  # read, the service would create its values
            return None, {}
        detail = await sources.tasks.get(task.id)
        return labels_of(detail), colors_of(detail.label_config)
    raise NotFoundError(f"The project {project_id} has no task of the media {media_id}", status=404)


# --- Labels as they come: of a project, a dataset, a file -----------------------------------------


async def service_statistics(
    sources: LookSources, project_id: str | None, dataset_id: str | None, *, tiny: float
) -> LabelStatistics:
    """Return what the labels of a project hold, or those that all projects have of a dataset.

    Raises:
        NotFoundError: There is no such project or dataset.
    """
    projects = await sources.library.projects.list()
    listing, name = None, ""
    if project_id is not None:
        projects = [each for each in projects if each.id == project_id.lower()]
        name = projects[0].name if projects else ""
        if not projects:
            raise NotFoundError(f"There is no project {project_id}", status=404)
    if dataset_id is not None:
        listing = await list_media(sources.library, dataset_id, None, links="service")
        attached = [
            (project, dataset)
            for project in projects
            for dataset in project.datasets
            if dataset.id == dataset_id.lower()
        ]
        projects = [project for project, _ in attached]
        name = attached[0][1].name if attached else dataset_id
    tally = StatisticsTally(name, tiny=tiny)
    if listing is not None:
        for media in listing:
            ending = Path(media.name).suffix.lower()
            kind = f"{media.source_type.value.lower()} {ending if len(ending) < 8 else ''}"
            tally.kinds[kind.rstrip()] += 1
        tally.notes.append(
            f"{len(listing):,} media; labels of {counted(len(projects), 'project')}."
        )
    videos = 0
    for project in projects:
        async with aclosing(sources.library.labels.iter_export(project.id)) as exported:
            async for task in exported:
                if listing is not None and listing.find(task.media_id) is None:
                    continue
                if task.task_export_url:
                    videos += 1
                    tally.states[task.state.value] += 1
                else:
                    tally.add(task)
        async with aclosing(sources.tasks.iter(project.id, state="all")) as tasks:
            async for each in tasks:
                is_of_it = listing is None or listing.find(each.media_id) is not None
                if is_of_it and not finished([each]):  # the others are exported
                    tally.states[each.state.value] += 1
    if videos:
        tally.notes.append(f"{counted(videos, 'video')}: their labels are not looked at.")
    return tally.statistics()


async def file_statistics(path: Path, *, tiny: float) -> LabelStatistics:
    """Return what the labels of a file hold; for what it may be see `labels_in`."""
    tally = StatisticsTally(path.name, tiny=tiny)
    async with aclosing(labels_in(path)) as images:
        async for image in images:
            tally.add(image)
    return tally.statistics()


async def labels_in(path: Path) -> AsyncGenerator[LabeledImage, None]:
    """Give the labels of a file or folder.

    It may be an export or any file that an import takes.

    Raises:
        FormatError: It holds labels in no way that is known here.
        OSError: It cannot be read.
    """
    async with aclosing(aiter(PredictionFile(path, unannotated=True))) as items:
        async for item in items:
            if isinstance(item, Mapping):
                yield parse_task(item) if "status" in item else parse_image(item)
            else:
                yield item
