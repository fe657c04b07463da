"""What became of tasks that were completed or skipped by the dozen."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from datagym_async.exceptions import APIError

TaskVerdict: TypeAlias = Literal["completed", "skipped", "config_changed", "failed"]


@attrs.frozen
class TaskOutcome:
    """What became of one task.

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


@attrs.frozen
class TasksReport:
    """What became of many tasks.

    Args:
        outcomes: One outcome a task, in the order in which they were settled.
    """

    outcomes: tuple[TaskOutcome, ...] = attrs.field(default=(), repr=False)

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
