"""`TasksResource`: labelling tasks, on routes that the public documentation does not list."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Literal, TypeAlias

import attrs

from datagym_async._checks import checked, listed
from datagym_async._printable import Shown, tally, told
from datagym_async._wire import _routes as routes
from datagym_async._wire._codec import decode_value
from datagym_async.exceptions import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
)
from datagym_async.models import CompleteResult, ProjectId, Task, TaskDetail, TaskId, TaskState
from datagym_async.models._ids import id_of
from datagym_async.resources._base import (
    DEFAULT_CONCURRENCY,
    ApiSession,
    Resource,
    for_each,
    iter_items,
)

TaskVerdict: TypeAlias = Literal["completed", "skipped", "config_changed", "failed"]


@attrs.frozen
class TaskOutcome:
    """What happened to one task.

    Args:
        task_id: UUID of the task.
        verdict: ``"completed"`` or ``"skipped"``; ``"config_changed"`` if the label configuration
            is newer than the caller's view of it, so that nothing was done; else ``"failed"``.
        error: What the service said of a failed one, or None.
    """

    task_id: str
    verdict: TaskVerdict
    error: APIError | None = attrs.field(default=None, eq=False)

    @property
    def ok(self) -> bool:
        """Return whether the task is where it was to go."""
        return self.verdict in ("completed", "skipped")

    @property
    def reason(self) -> str:
        """Return why it is not there, as a sentence; empty if it is."""
        if self.verdict == "config_changed":
            return "The label configuration was being changed; try again."
        return "" if self.error is None else str(self.error)

    def __str__(self) -> str:
        return told(self.verdict, self.task_id, self.reason)


@attrs.frozen
class TasksReport(Shown):
    """What happened to many tasks."""

    outcomes: tuple[TaskOutcome, ...] = attrs.field(default=(), repr=False)
    """One outcome a task, in the order in which they were settled."""

    @property
    def ok(self) -> bool:
        """Return whether every task is where it was to go."""
        return not self.problems

    @property
    def done(self) -> int:
        """Return how many are."""
        return sum(outcome.ok for outcome in self.outcomes)

    @property
    def problems(self) -> tuple[TaskOutcome, ...]:
        """Return the outcomes of the others."""
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)

    def __str__(self) -> str:
        counts = Counter(each.verdict for each in self.outcomes if each.ok)
        # In one order, whichever was answered first.
        parts = [(word, counts[word]) for word in ("completed", "skipped")]
        return tally("task", (*parts, ("failed", len(self.problems))), len(self.outcomes))


@checked
class TasksResource(Resource):
    """The labelling tasks of projects.

    Ids are UUIDs. A call raises `NotFoundError` for an id that is unknown, and another `APIError`
    if the service cannot be reached or refuses.
    """

    async def list(
        self,
        project_id: ProjectId,
        *,
        state: States = None,
        search: str | None = None,
        limit: int = 0,
    ) -> list[Task]:
        """Return the tasks of a project, state by state, each sorted by media name.

        Args:
            state: The state, several states, or ``"all"``; None is the service's default, WAITING.
                Each state is a request of its own, all at once; a task that changes its state
                meanwhile is listed once, or missing.
            search: Part of the name of the media or of the labeller: letters, digits, blanks,
                underscores and dashes (no dot). Words of digits alone are ignored by the service.
            limit: The most tasks to return; 0 for all.

        Raises:
            ConfigurationError: The state is unknown, `search` holds other characters, or `limit`
                is negative.
            APIResponseValidationError: A listing has more than 256 MiB; `iter` takes any.
        """
        asked = queries(state, search=search, limit=limit)
        answers: dict[int, tuple[Task, ...]] = {}

        async def ask(index: int) -> None:
            request = routes.list_tasks(project_id, asked[index])
            answers[index] = await self._fetch(request, tuple[Task, ...])

        await for_each(range(len(asked)), ask)
        found = {task.id: task for index in sorted(answers) for task in answers[index]}
        return [*found.values()][: limit or None]

    async def iter(
        self, project_id: ProjectId, *, state: States = None, search: str | None = None
    ) -> AsyncGenerator[Task, None]:
        """Give the tasks of a project as they arrive, in constant memory.

        Arguments and errors are those of `list`; an answer that breaks off is an `APIError`. The
        states are asked for one after another; a task that changes its state meanwhile can come
        twice, or not at all. An iteration that is left early is best wrapped in
        ``contextlib.aclosing``.
        """
        for query in queries(state, search=search, limit=0):
            request = routes.list_tasks(project_id, query)
            read = partial(decode_value, request, kind=Task)
            async with aclosing(iter_items(self._session, request, read)) as tasks:
                async for task in tasks:
                    yield task

    async def get(self, task_id: TaskId) -> TaskDetail:
        """Return a task with its label configuration, label values and media.

        The service creates the empty classification values of a task at its first reading.
        """
        return await self._fetch(routes.get_task(task_id), TaskDetail)

    async def skip(self, task_id: TaskId) -> None:
        """Set a task to SKIPPED, whatever its state; see `complete` for the label quota."""
        await self._do(routes.skip_task(task_id))

    async def complete(
        self, task_id: TaskId, *, last_changed_config: int | None = None
    ) -> CompleteResult:
        """Set a task to COMPLETED, whatever its state, if its labels fit the configuration.

        Args:
            last_changed_config: `TaskDetail.last_changed_config` as it was when the labels were
                made, in milliseconds since 1970. If the configuration is newer, the task is not
                completed and the result says so. None reads it from the task now; if it changes
                just then, it is read once more.

        Raises:
            RequestRefusedError: A label is missing or does not fit.
            LimitReachedError: The organisation's label quota is used up.
        """
        return await _Completer(self, last_changed_config).complete(task_id)

    async def complete_many(
        self,
        task_ids: Iterable[TaskId] | AsyncIterable[TaskId],
        *,
        last_changed_config: int | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        on_outcome: Callable[[TaskOutcome], None] | None = None,
    ) -> TasksReport:
        """Set many tasks to COMPLETED, a few at once, and report what became of each.

        A task that the service refuses does not stop the others. If the call is cancelled, the
        tasks that `on_outcome` got are settled, and those in flight may be. Completing a task
        again does no harm.

        Args:
            task_ids: UUIDs of the tasks, or tasks.
            last_changed_config: See `complete`: with a time, tasks of a newer configuration are
                left alone and reported as such; with None, the present one is taken.
            concurrency: Tasks in flight, from 1 to 64.
            on_outcome: Called with each outcome as it is settled; must not raise.

        Raises:
            ConfigurationError: `concurrency` is out of its range.
            AuthenticationError: No token reached the service.
            PermissionDeniedError: The token is not valid, or no longer.
        """
        completer = _Completer(self, last_changed_config)

        async def complete(task_id: str) -> TaskOutcome:
            result = await completer.complete(task_id)
            return TaskOutcome(task_id, "completed" if result.completed else "config_changed")

        return await _settle_all(self, task_ids, complete, concurrency, on_outcome)

    async def skip_many(
        self,
        task_ids: Iterable[TaskId] | AsyncIterable[TaskId],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        on_outcome: Callable[[TaskOutcome], None] | None = None,
    ) -> TasksReport:
        """Set many tasks to SKIPPED; arguments, errors and report are those of `complete_many`."""

        async def skip(task_id: str) -> TaskOutcome:
            await self.skip(task_id)
            return TaskOutcome(task_id, "skipped")

        return await _settle_all(self, task_ids, skip, concurrency, on_outcome)


@attrs.define
class _Completer:
    """Completes tasks with a given time of their configuration, or with the present one.

    The tasks of a project share one configuration, so it is read once. If the service answers that
    the time is too old, it is read from that task.
    """

    _tasks: TasksResource
    _given: int | None
    _known: int | None = attrs.field(default=None, init=False)
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    async def complete(self, task_id: TaskId) -> CompleteResult:
        if self._given is not None:
            return await self._complete(task_id, self._given)
        async with self._turn:  # the first of several tasks reads it for all of them
            known = await self._read(task_id) if self._known is None else self._known
        result = await self._complete(task_id, known)
        if result.completed:
            return result
        return await self._complete(task_id, await self._read(task_id))

    async def _complete(self, task_id: TaskId, last_changed_config: int) -> CompleteResult:
        request = routes.complete_task(task_id, last_changed_config=last_changed_config)
        return await self._tasks._fetch(request, CompleteResult)

    async def _read(self, task_id: TaskId) -> int:
        fresh = (await self._tasks.get(task_id)).last_changed_config
        self._known = max(fresh, self._known or 0)
        return fresh


async def _settle_all(
    tasks: TasksResource,
    task_ids: Iterable[TaskId] | AsyncIterable[TaskId],
    work: Callable[[str], Awaitable[TaskOutcome]],
    concurrency: int,
    on_outcome: Callable[[TaskOutcome], None] | None,
) -> TasksReport:
    outcomes: list[TaskOutcome] = []

    async def settle(given: TaskId) -> None:
        task_id = id_of(given, "task id")
        try:
            outcome = await work(task_id)
        except AuthenticationError:  # all other tasks would fail as well
            raise
        except APIError as error:
            if isinstance(error, PermissionDeniedError):  # of the token, or of this task alone
                try:
                    await tasks._do(routes.check_token())
                except APIError as other:  # any other one tells nothing of the token
                    if isinstance(other, AuthenticationError | PermissionDeniedError):
                        raise
            outcome = TaskOutcome(task_id, "failed", error)
        outcomes.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)

    await for_each(task_ids, settle, concurrency=concurrency)
    return TasksReport(tuple(outcomes))


_SEARCH = re.compile(r"[a-zA-Z0-9_ -]*")
_KNOWN = tuple(state for state in TaskState if state is not TaskState.UNKNOWN)

States: TypeAlias = "TaskState | str | Iterable[TaskState | str] | None"
"""A state, several states, ``"all"``, or None for the service's own default, WAITING."""


def queries(states: States, *, search: str | None, limit: int) -> list[dict[str, str]]:
    """Return the query of each request: one for each state."""
    if search and not _SEARCH.fullmatch(search):
        raise ConfigurationError(
            f"search={search!r} holds characters that the service refuses; use letters, digits,"
            " blanks, underscores and dashes"
        )
    if limit < 0:
        raise ConfigurationError(f"limit is {limit}; use 0 for all tasks, or a positive number")
    common = {"search": search} if search else {}
    if limit:
        common["limit"] = str(limit)
    if states is None:
        return [common]
    wanted = listed("states", (states,) if isinstance(states, str) else states, str)
    given = {TaskState(each): each for each in (_KNOWN if states == "all" else wanted)}
    if not given:
        raise ConfigurationError('No task state is given; name at least one, or "all"')
    if TaskState.UNKNOWN in given:
        raise ConfigurationError(
            f"The task state {given[TaskState.UNKNOWN]!r} is unknown; use one of"
            f" {', '.join(_KNOWN).lower()}"
        )
    return [{"state": state.value, **common} for state in given]


# Reading a task that somebody has opened writes nothing, because it has all its values.
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
FINISHED = (TaskState.COMPLETED, TaskState.SKIPPED, TaskState.REVIEWED)
"""States of the tasks that are exported and have bitmaps."""
_UNTOUCHED = frozenset({TaskState.BACKLOG, TaskState.WAITING})


async def read_task(session: ApiSession, project_id: ProjectId) -> TaskDetail | None:
    """Return a task of a project, if possible one that somebody has opened, or None."""
    tasks = TasksResource(session)
    for state in _OPENED_FIRST:
        for task in await tasks.list(project_id, state=state, limit=1):
            try:
                return await tasks.get(task.id)
            except NotFoundError:
                continue  # it was deleted meanwhile
    return None


async def all_tasks(session: ApiSession, project_id: ProjectId) -> list[Task]:
    return await TasksResource(session).list(project_id, state=_OPENED_FIRST)


def finished(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that are in an export."""
    return [task for task in tasks if task.state in FINISHED]


def begun(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that are in no export, but probably have labels."""
    return [
        task
        for task in tasks
        if task.state not in FINISHED and (task.has_json_upload or task.state not in _UNTOUCHED)
    ]
