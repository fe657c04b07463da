"""What is looked at: the images of a project, a dataset or a folder, each with its labels.

The service's images are listed once and held compactly, with their labels packed (as a loader holds
them); the bytes of an image are read when its turn comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async.data._listing import Library
from datagym_async.exceptions import NotFoundError
from datagym_async.labels import LabeledImage
from datagym_async.look._marks import Colors, colors_of
from datagym_async.models import TaskState
from datagym_async.resources import LabelConfigsResource, MediaResource, TasksResource
from datagym_async.resources._values import labels_of

if TYPE_CHECKING:
    from datagym_async.models import Task

_UNTOUCHED: Final = frozenset({TaskState.BACKLOG, TaskState.WAITING})


@attrs.frozen
class LookSources:
    """The parts of a client that looking draws on."""

    base_url: str
    library: Library
    media: MediaResource
    tasks: TasksResource
    label_configs: LabelConfigsResource


@attrs.frozen(kw_only=True)
class Subject:
    """One image that is looked at.

    Args:
        name: Its name.
        media_id: Its media at the service; empty for a file.
        labels: Its labels; None where there are none.
        state: Where its task stands; empty where there is none.
        task_id: Its task; empty where there is none, or it is not known.
        is_link: Whether the service only has a link to it.
        path: The file, of a folder.
    """

    name: str
    media_id: str = ""
    labels: LabeledImage | None = None
    state: str = ""
    task_id: str = ""
    is_link: bool = False
    path: Path | None = None


@attrs.frozen
class Looked:
    """All that is looked at.

    Args:
        title: What it is called.
        subjects: Its images.
        load: Gives the bytes of an image, or its file, and its labels with what only a request
            of its own tells.
        colors: Colours of its label configuration.
        editor: Address of the service's editor of a task, without the id; empty without one.
        notes: What should be known of it, in sentences.
    """

    title: str
    subjects: Sequence[Subject]
    load: Callable[[Subject], Awaitable[tuple[bytes | Path, LabeledImage | None]]]
    colors: Colors = attrs.field(factory=dict)
    editor: str = ""
    notes: tuple[str, ...] = ()


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
        if not _may_have_labels(task):  # to read it would make the service create values
            return None, {}
        detail = await sources.tasks.get(task.id)
        return labels_of(detail), colors_of(detail.label_config)
    raise NotFoundError(f"The project {project_id} has no task of the media {media_id}", status=404)


def _may_have_labels(task: Task) -> bool:
    return task.state not in _UNTOUCHED or task.has_json_upload
