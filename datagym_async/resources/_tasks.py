"""`TasksResource`: labelling tasks, on routes that the public documentation does not list."""

from __future__ import annotations

import re

from datagym_async._wire import _routes as routes
from datagym_async.exceptions import ConfigurationError
from datagym_async.models import CompleteResult, Task, TaskDetail, TaskState
from datagym_async.resources._base import Resource

_SEARCH = re.compile(r"[a-zA-Z0-9_ -]*")


class TasksResource(Resource):
    """The labelling tasks of projects."""

    async def list(
        self,
        project_id: str,
        *,
        state: TaskState | str | None = None,
        search: str | None = None,
        limit: int = 0,
    ) -> list[Task]:
        """Return the tasks of a project in one state, sorted by media name.

        Args:
            project_id: UUID of the project.
            state: The state; None is the service's default, WAITING. There is no "all".
            search: Part of the name of the media or of the labeller: letters, digits, blanks,
                underscores and dashes (no dot). Words of digits alone are ignored by the service.
            limit: At most so many tasks; 0 for all.

        Raises:
            ConfigurationError: The state is unknown, `search` holds other characters, or `limit`
                is negative.
            NotFoundError: The project is unknown.
            APIError: The service cannot be asked, or refuses.
        """
        query = _query(state, search, limit)
        return [*await self._fetch(routes.list_tasks(project_id, query), tuple[Task, ...])]

    async def get(self, task_id: str) -> TaskDetail:
        """Return a task with its label configuration, label values and media.

        The service creates the empty classification values of a task at its first reading.

        Args:
            task_id: UUID of the task.

        Raises:
            NotFoundError: The task is unknown.
            APIError: The service cannot be asked, or refuses.
        """
        return await self._fetch(routes.get_task(task_id), TaskDetail)

    async def skip(self, task_id: str) -> None:
        """Set a task to SKIPPED, whatever its state.

        Args:
            task_id: UUID of the task.

        Raises:
            NotFoundError: The task is unknown.
            LimitReachedError: The organisation's label quota is used up.
            APIError: The service cannot be asked, or refuses.
        """
        await self._do(routes.skip_task(task_id))

    async def complete(self, task_id: str, *, last_changed_config: int) -> CompleteResult:
        """Set a task to COMPLETED, whatever its state, if its labels fit the configuration.

        Args:
            task_id: UUID of the task.
            last_changed_config: `TaskDetail.last_changed_config` as it was when the labels were
                made, in milliseconds since 1970. If the configuration is newer, the task is not
                completed and the result says so.

        Raises:
            RequestRefusedError: A label is missing or does not fit.
            NotFoundError: The task is unknown.
            LimitReachedError: The organisation's label quota is used up.
            APIError: The service cannot be asked, or refuses.
        """
        request = routes.complete_task(task_id, last_changed_config=last_changed_config)
        return await self._fetch(request, CompleteResult)


def _query(state: TaskState | str | None, search: str | None, limit: int) -> dict[str, str]:
    query = {}
    if state is not None:
        query["state"] = _state(state)
    if search:
        if not _SEARCH.fullmatch(search):
            raise ConfigurationError(
                f"search={search!r} holds characters that the service refuses; use letters, digits,"
                " blanks, underscores and dashes"
            )
        query["search"] = search
    if limit < 0:
        raise ConfigurationError(f"limit is {limit}; use 0 for all tasks, or a positive number")
    if limit:
        query["limit"] = str(limit)
    return query


def _state(state: TaskState | str) -> str:
    known = TaskState(state)
    if known is TaskState.UNKNOWN:
        states = ", ".join(member for member in TaskState if member is not TaskState.UNKNOWN)
        raise ConfigurationError(f"The task state {state!r} is unknown; use one of {states}")
    return known.value
