"""The labels of many videos at once: a few requests at a time, each video in the export's order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from datagym_async._groups import first_of
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

    from datagym_async.labels import LabeledTask, VideoLabels

DEFAULT_CONCURRENCY = 8
"""Videos asked for at once."""


async def iter_videos(
    tasks: Sequence[LabeledTask],
    fetch: Callable[[str], Awaitable[VideoLabels]],
    *,
    concurrency: int,
) -> AsyncGenerator[tuple[LabeledTask, VideoLabels], None]:
    """Give each task with the labels of its video, in order.

    The videos of one window are asked for together and given before the next window begins: no
    request is under way while the caller has its turn, so that leaving early leaves nothing behind.

    Args:
        tasks: Exported tasks of a video project.
        fetch: Returns the labels of a task by its id.
        concurrency: Videos in one window.

    Raises:
        ConfigurationError: A task is of no video.
    """
    if concurrency < 1:
        raise ConfigurationError(f"concurrency is {concurrency}; use 1 or more")
    named = [(task, _id_of(task)) for task in tasks]
    for first in range(0, len(named), concurrency):
        window = named[first : first + concurrency]
        found = await _all(fetch, [task_id for _, task_id in window])
        for (task, _), labels in zip(window, found, strict=True):
            yield task, labels


def _id_of(task: LabeledTask) -> str:
    if task.task_export_url and task.task_id:
        return task.task_id
    raise ConfigurationError(
        f"The task of {task.media_name!r} is of no video; use labels.export for image projects"
    )


async def _all(
    fetch: Callable[[str], Awaitable[VideoLabels]], ids: Iterable[str]
) -> list[VideoLabels]:
    """Return the labels of a few tasks; the first error ends them all."""

    async def one(task_id: str) -> VideoLabels:
        return await fetch(task_id)

    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one(task_id)) for task_id in ids]
    except ExceptionGroup as errors:
        raise first_of(errors) from None
    return [each.result() for each in asked]
