"""Write labels to a task value by value, and leave nothing half-done.

Writing a geometry is several requests: an empty value is created with the empty answers about it,
then each of them is filled in. Where one fails, the created value is deleted again; an answer about
the whole image, which cannot be deleted, gets back what it said before.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import attrs

from datagym_async.exceptions import APIError, APIStatusError, AuthenticationError
from datagym_async.models import EntryType
from datagym_async.resources._endings import to_its_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from datagym_async.models import LabelEntry, LabelValue, TaskDetail
    from datagym_async.resources._value_plan import Plan, PlannedAnswer, PlannedGeometry
    from datagym_async.resources._values import ValuesResource

_TIDYING = 10.0
"""Seconds that a cancelled write takes at most to delete what it has begun."""


@attrs.frozen
class ValueOutcome:
    """What became of one annotation, or of one answer about the whole image.

    Args:
        key: Key of its entry.
        value_id: UUID of its value; None if it was not written.
        error: Why it was not written, or None.
        left_behind: UUIDs of values that a failed write may have left in the task: one that could
            not be deleted again, or an empty one whose creation was never answered. Look at them,
            and delete them with `ValuesResource.delete`: an empty geometry keeps its task from
            being completed.
    """

    key: str
    value_id: str | None = None
    error: APIError | None = attrs.field(default=None, eq=False)
    left_behind: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether it was written as a whole."""
        return self.error is None


@attrs.frozen
class WriteReport:
    """What became of the labels that were to be written to one task.

    Args:
        task_id: UUID of the task.
        annotations: One outcome for each annotation, in order; a nested one shares the fate of the
            one it is in.
        classifications: One outcome for each answer about the whole image, in order.
    """

    task_id: str
    annotations: tuple[ValueOutcome, ...] = ()
    classifications: tuple[ValueOutcome, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether everything was written."""
        return not self.problems

    @property
    def problems(self) -> tuple[ValueOutcome, ...]:
        """Return the outcomes of what was not."""
        return tuple(each for each in (*self.annotations, *self.classifications) if not each.ok)

    @property
    def left_behind(self) -> tuple[str, ...]:
        """Return the UUIDs of all values that may be left half-done."""
        return tuple(value_id for each in self.problems for value_id in each.left_behind)


class Writer:
    """Write a plan to one task.

    Args:
        values: The routes.
        read: Returns the task as it is.
        task: The task as it was before.
    """

    def __init__(
        self, values: ValuesResource, read: Callable[[], Awaitable[TaskDetail]], task: TaskDetail
    ) -> None:
        self._values = values
        self._read = read
        self._task = task
        self._ours: set[str] = set()
        self._broken: APIError | None = None

    async def write(self, plan: Plan) -> WriteReport:
        """Write everything, one after the other; the service locks itself up otherwise."""
        annotations = [await self._geometry(each) for each in plan.geometries]
        answers = [await self._answer(each) for each in plan.answers]
        return WriteReport(self._task.id, tuple(annotations), tuple(answers))

    async def _geometry(self, planned: PlannedGeometry) -> ValueOutcome:
        if self._broken is not None:
            return ValueOutcome(planned.entry.key, error=self._broken)
        made: list[str] = []
        try:
            await self._draw(planned, None, made)
        except APIError as error:
            self._note(error)
            left = await self._undo(made) if made else await self._strays(planned.entry, error)
            return ValueOutcome(planned.entry.key, error=error, left_behind=left)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TIDYING):
                    await self._undo(made)
            raise
        return ValueOutcome(planned.entry.key, made[0])

    async def _draw(self, planned: PlannedGeometry, parent: str | None, made: list[str]) -> None:
        # Cancelled, it waits for the answer: that alone says what is to be deleted.
        begun = self._begin(planned.entry, parent, made)
        value = await to_its_answer(begun, within=_TIDYING)
        await self._put(value, planned.fields)
        for answer in planned.answers:
            await self._fill(value.children, answer, value.id, [])
        for nested in planned.nested:
            await self._draw(nested, value.id, made)

    async def _begin(self, entry: LabelEntry, parent: str | None, made: list[str]) -> LabelValue:
        value = await self._create(entry, parent)
        made.append(value.id)
        return value

    async def _answer(self, planned: PlannedAnswer) -> ValueOutcome:
        """Answer a question about the whole image, or put back what was answered before."""
        if self._broken is not None:
            return ValueOutcome(planned.entry.key, error=self._broken)
        changed: list[LabelValue] = []
        values = self._task.label_iteration.values
        try:
            value = await self._fill(values, planned, None, changed)
        except APIError as error:
            self._note(error)
            left = await self._put_back(changed)
            return ValueOutcome(planned.entry.key, error=error, left_behind=left)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TIDYING):
                    await self._put_back(changed)
            raise
        return ValueOutcome(planned.entry.key, value.id)

    async def _fill(
        self,
        there: Iterable[LabelValue],
        planned: PlannedAnswer,
        parent: str | None,
        changed: list[LabelValue],
    ) -> LabelValue:
        """Write an answer and those below it to their values; note each before it is changed."""
        found = next((value for value in there if value.entry_id == planned.entry.id), None)
        value = found or await self._create(planned.entry, parent)
        if planned.fields is not None and (_is_said(planned.fields) or _is_said(_fields(value))):
            changed.append(value)
            # Cancelled, it waits: carried out late, it would undo what is put back.
            await to_its_answer(self._put(value, planned.fields), within=_TIDYING)
        for child in planned.children:
            await self._fill(value.children, child, value.id, changed)
        return value

    async def _create(self, entry: LabelEntry, parent: str | None) -> LabelValue:
        value = await self._values.create(
            entry.id,
            iteration_id=self._task.label_iteration.id,
            media_id=self._task.media.id,
            task_id=self._task.id,
            parent_id=parent,
        )
        self._ours.add(value.id)
        return value

    async def _put(self, value: LabelValue, fields: Mapping[str, Any]) -> None:
        await self._values.put(
            value.id,
            {
                "lcEntryId": value.entry_id,
                "labelTaskId": self._task.id,
                **({"lcEntryValueParentId": value.parent_id} if value.parent_id else {}),
                **fields,
            },
        )

    def _note(self, error: APIError) -> None:
        """What is not about this value is about all that follow."""
        if not isinstance(error, APIStatusError) or isinstance(error, AuthenticationError):
            self._broken = error

    async def _undo(self, made: Sequence[str]) -> tuple[str, ...]:
        """Delete a created value with all that hangs on it; return its id if that fails."""
        if made:
            try:
                await self._values.delete(made[0])
            except APIError:
                return (made[0],)
        return ()

    async def _put_back(self, changed: Sequence[LabelValue]) -> tuple[str, ...]:
        """Let values say again what they said; return the ids of those that could not."""
        left = []
        for value in reversed(changed):
            try:
                await self._put(value, _fields(value))
            except APIError:
                left.append(value.id)
        return tuple(left)

    async def _strays(self, entry: LabelEntry, error: APIError) -> tuple[str, ...]:
        """Return the values that a creation without an answer may have made."""
        if not error.unknown:
            return ()
        try:
            task = await self._read()
        except APIError:
            return ()
        before = {value.id for value in self._task.label_iteration.values} | self._ours
        return tuple(
            value.id
            for value in task.label_iteration.values
            if value.entry_id == entry.id and value.id not in before and not _is_drawn(value)
        )


def _is_drawn(value: LabelValue) -> bool:
    return bool(value.points or value.rings or (value.point and value.point.x is not None))


def _is_said(fields: Mapping[str, Any]) -> bool:
    return any(said not in (None, []) for said in fields.values())


def _fields(value: LabelValue) -> dict[str, Any]:
    """Return the members of a request that let a classification's value say what it says."""
    if value.entry_type is EntryType.CHECKLIST:
        return {"checkedValues": list(value.checked_values)}
    if value.entry_type is EntryType.SELECT:
        return {"selectKey": value.select_key}
    return {"text": value.text}
