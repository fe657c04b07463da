"""What a list of tasks is asked for: states, search, limit; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from datagym_async.exceptions import ConfigurationError
from datagym_async.models import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEARCH = re.compile(r"[a-zA-Z0-9_ -]*")
_KNOWN = tuple(state for state in TaskState if state is not TaskState.UNKNOWN)

States: TypeAlias = "TaskState | str | Iterable[TaskState | str] | None"
"""A state, several states, ``"all"``, or None for the service's own default, WAITING."""


def queries(states: States, *, search: str | None, limit: int) -> list[dict[str, str]]:
    """Return the query of each request: the service takes one state at a time.

    Raises:
        ConfigurationError: What cannot be asked for.
    """
    common = _common(search, limit)
    if states is None:
        return [common]
    return [{"state": state.value, **common} for state in _states(states)]


def _common(search: str | None, limit: int) -> dict[str, str]:
    if search and not _SEARCH.fullmatch(search):
        raise ConfigurationError(
            f"search={search!r} holds characters that the service refuses; use letters, digits,"
            " blanks, underscores and dashes"
        )
    if limit < 0:
        raise ConfigurationError(f"limit is {limit}; use 0 for all tasks, or a positive number")
    words = {"search": search} if search else {}
    return {**words, "limit": str(limit)} if limit else words


def _states(wanted: TaskState | str | Iterable[TaskState | str]) -> tuple[TaskState, ...]:
    if wanted == "all":
        return _KNOWN
    each = (wanted,) if isinstance(wanted, str) else wanted
    found = tuple(dict.fromkeys(_state(state) for state in each))
    if not found:
        raise ConfigurationError('No task state is given; name at least one, or "all"')
    return found


def _state(state: TaskState | str) -> TaskState:
    known = TaskState(state)
    if known is TaskState.UNKNOWN:
        states = ", ".join(_KNOWN)
        raise ConfigurationError(f"The task state {state!r} is unknown; use one of {states}")
    return known
