"""The tasks of a project as the way to its label configuration, and what hangs on it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from datagym_async._wire import _routes as routes
from datagym_async.exceptions import NotFoundError
from datagym_async.models import TaskState
from datagym_async.resources._exports import iter_tasks
from datagym_async.resources._tasks import TasksResource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datagym_async.models import LabelConfiguration, Task, TaskDetail
    from datagym_async.resources._ports import Door

# A task that somebody has opened holds all its values: reading it writes nothing.
_OPENED_FIRST = (
    TaskState.COMPLETED,
    TaskState.REVIEWED,
    TaskState.IN_PROGRESS,
    TaskState.SKIPPED,
    TaskState.REVIEWED_SKIP,
    TaskState.WAITING_CHANGED,
    TaskState.WAITING,
    TaskState.BACKLOG,
)
_FINISHED = frozenset({TaskState.COMPLETED, TaskState.SKIPPED, TaskState.REVIEWED})
_UNTOUCHED = frozenset({TaskState.BACKLOG, TaskState.WAITING})


async def read_config(door: Door, project_id: str) -> LabelConfiguration | None:
    """Return the label configuration of a project as one of its tasks shows it, or None.

    Raises:
        APIError: The service cannot be asked, or refuses.
    """
    task = await read_task(door, project_id)
    return task.label_config if task is not None else None


async def read_task(door: Door, project_id: str) -> TaskDetail | None:
    """Return a task of a project, one that somebody has opened if there is any, or None.

    Raises:
        APIError: The service cannot be asked, or refuses.
    """
    tasks = TasksResource(door)
    for state in _OPENED_FIRST:
        for task in await tasks.list(project_id, state=state, limit=1):
            try:
                return await tasks.get(task.id)
            except NotFoundError:
                continue  # it was deleted meanwhile
    return None


async def all_tasks(door: Door, project_id: str) -> list[Task]:
    """Return the tasks of a project in every state."""
    tasks = TasksResource(door)
    found: list[Task] = []
    for state in _OPENED_FIRST:
        found += await tasks.list(project_id, state=state)
    return found


def finished(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that an export holds."""
    return [task for task in tasks if task.state in _FINISHED]


def begun(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that no export holds, and that are likely to have labels all the same."""
    return [
        task
        for task in tasks
        if task.state not in _FINISHED and (task.has_json_upload or task.state not in _UNTOUCHED)
    ]


async def count_labels(door: Door, project_id: str) -> int:
    """Return how many labels an export holds: shapes, and answers that are given."""
    request, labels = routes.export_labels(project_id), 0
    async with door.stream(request) as answer, aclosing(iter_tasks(request, answer)) as tasks:
        async for task in tasks:
            labels += sum(1 for _ in task.walk())
            labels += sum(each.is_set for each in task.classifications)
    return labels
