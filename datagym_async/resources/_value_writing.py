"""Write labels to a task value by value, and leave nothing half-done.

The label-value routes check nothing themselves (observed): what a task cannot be completed with
would only be found out there. So labels are checked and planned before anything is sent.

Writing a geometry is several requests: an empty value is created with the empty answers about it,
then each of them is filled in. Where one fails, the created value is deleted again; an answer about
the whole image, which cannot be deleted, gets back what it said before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping  # attrs may want it at run time
from typing import TYPE_CHECKING, Any

import attrs

from datagym_async._wire import _routes as routes
from datagym_async.exceptions import (
    APIError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
)
from datagym_async.labels import Incomplete, Line, Point, Polygon, Rectangle, Segmentation
from datagym_async.models import EntryType, LabelEntry, LabelValue, TaskDetail
from datagym_async.resources._base import Resource, points_body
from datagym_async.resources._work import to_its_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datagym_async.labels import Annotation, Classification, LabeledImage, Shape
    from datagym_async.resources._base import Door


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


class ValueWriter(Resource):
    """Write a plan to one task.

    Args:
        session: The door to the network.
        task: The task as it was before.
    """

    def __init__(self, session: Door, task: TaskDetail) -> None:
        super().__init__(session)
        self._task = task
        self._ours: set[str] = set()
        self._broken: APIError | None = None

    async def write(self, plan: ValuePlan) -> WriteReport:
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
        fields = {
            "iterationId": self._task.label_iteration.id,
            "mediaId": self._task.media.id,
            "labelTaskId": self._task.id,
            **({"lcEntryValueParentId": parent} if parent else {}),
        }
        value = await self._fetch(routes.create_value(entry.id, fields), LabelValue)
        self._ours.add(value.id)
        return value

    async def _put(self, value: LabelValue, fields: Mapping[str, Any]) -> None:
        said = {
            "lcEntryId": value.entry_id,
            "labelTaskId": self._task.id,
            **({"lcEntryValueParentId": value.parent_id} if value.parent_id else {}),
            **fields,
        }
        await self._fetch(routes.update_value(value.id, said), LabelValue)

    def _note(self, error: APIError) -> None:
        """What is not about this value is about all that follow."""
        if not isinstance(error, APIStatusError) or isinstance(error, AuthenticationError):
            self._broken = error

    async def _undo(self, made: Sequence[str]) -> tuple[str, ...]:
        """Delete a created value with all that hangs on it; return its id if that fails."""
        if made:
            try:
                await self._do(routes.delete_value(made[0]))
            except APIError as error:
                if not (isinstance(error, NotFoundError) and error.key):  # it is gone already
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
            task = await self._fetch(routes.get_task(self._task.id), TaskDetail)
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


_QUESTIONS = frozenset({EntryType.SELECT, EntryType.CHECKLIST, EntryType.FREETEXT})
_SHOWN = 5
_LONGEST_TEXT = 255


@attrs.frozen
class PlannedAnswer:
    """What a classification's value will say.

    Args:
        entry: Its entry.
        fields: The members of the request that say it; None leaves the value as it is.
        children: The answers below it.
    """

    entry: LabelEntry
    fields: Mapping[str, Any] | None
    children: tuple[PlannedAnswer, ...] = ()


@attrs.frozen
class PlannedGeometry:
    """A value to be created.

    Args:
        entry: Its entry.
        fields: The members of the request that say what is drawn.
        answers: The answers about it.
        nested: The geometries in it.
    """

    entry: LabelEntry
    fields: Mapping[str, Any]
    answers: tuple[PlannedAnswer, ...] = ()
    nested: tuple[PlannedGeometry, ...] = ()


@attrs.frozen
class ValuePlan:
    """All that is to be written to one task.

    Args:
        geometries: One for each annotation, in order.
        answers: One for each answer about the whole image.
    """

    geometries: tuple[PlannedGeometry, ...]
    answers: tuple[PlannedAnswer, ...]


def plan_values(labels: LabeledImage, entries: Sequence[LabelEntry]) -> ValuePlan:
    """Return what is to be written.

    Raises:
        ConfigurationError: The labels do not fit the configuration; it names the first few misfits.
    """
    planner = _Planner()
    plan = ValuePlan(
        tuple(planner.geometries(labels.annotations, entries, "")),
        tuple(planner.answers(labels.classifications, entries, "")),
    )
    if planner.problems:
        more = len(planner.problems) - _SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        listed = "; ".join(planner.problems[:_SHOWN])
        raise ConfigurationError(
            f"The labels do not fit the label configuration, nothing was written: {listed}{rest}."
        )
    return plan


def shape_fields(shape: Shape) -> dict[str, Any]:
    """Return the members of a request that draw a shape; none for an incomplete one."""
    match shape:
        case Point(x, y):
            return {"x": x, "y": y}
        case Rectangle(x, y, width, height):
            return {"x": x, "y": y, "width": width, "height": height}
        case Line(points) | Polygon(points):
            return {"points": points_body(points)}
        case Segmentation(rings):
            return {"pointsCollection": [{"points": points_body(ring)} for ring in rings]}
    return {}


@attrs.define
class _Planner:
    """Find the entries of labels, and collect what does not fit."""

    problems: list[str] = attrs.field(factory=list)

    def geometries(
        self, annotations: Iterable[Annotation], entries: Iterable[LabelEntry], at: str
    ) -> Iterable[PlannedGeometry]:
        known = {entry.key.lower(): entry for entry in entries if entry.type not in _QUESTIONS}
        for index, each in enumerate(annotations):
            where = f"{at}annotation {index} ({each.key!r})"
            entry = known.get(each.key.lower())
            if entry is None:
                self.problems.append(f"{where} has the key of no geometry there")
            elif self._fits(each.shape, entry, where):
                yield PlannedGeometry(
                    entry,
                    shape_fields(each.shape),
                    tuple(self.answers(each.classifications, entry.children, f"{where}, ")),
                    tuple(self.geometries(each.nested, entry.children, f"{where}, nested ")),
                )

    def _fits(self, shape: Shape, entry: LabelEntry, where: str) -> bool:
        if isinstance(shape, Incomplete):
            self.problems.append(f"{where} is not complete")
        elif shape.type is not entry.type:
            kind = entry.type.value.lower()
            self.problems.append(f"{where} is a {shape.type.value.lower()}, its key is a {kind}'s")
        else:
            return True
        return False

    def answers(
        self, given: Iterable[Classification], entries: Iterable[LabelEntry], at: str
    ) -> Iterable[PlannedAnswer]:
        known = {entry.key.lower(): entry for entry in entries if entry.type in _QUESTIONS}
        for each in given:
            where = f"{at}answer {each.key!r}"
            entry = known.get(each.key.lower())
            if entry is None:
                self.problems.append(f"{where} has the key of no question there")
                continue
            self._check_answer(each, entry, where)
            children = tuple(self.answers(each.children, entry.children, f"{where}, "))
            yield PlannedAnswer(entry, _answer_fields(each, entry), children)

    def _check_answer(self, given: Classification, entry: LabelEntry, where: str) -> None:
        if entry.type is not EntryType.CHECKLIST and len(given.values) > 1:
            self.problems.append(f"{where} has {len(given.values)} values where one is allowed")
        longest = entry.max_length or _LONGEST_TEXT
        for value in given.options:
            if entry.type is EntryType.FREETEXT and len(value) > longest:
                self.problems.append(f"{where} is longer than {longest} characters")
            if entry.type is not EntryType.FREETEXT and value not in entry.options:
                self.problems.append(f"{where} has no option {value!r}")


def _answer_fields(given: Classification, entry: LabelEntry) -> dict[str, Any] | None:
    """Return what answers, or takes the answer back; None where nothing is said at all."""
    if not given.values:
        return None
    if entry.type is EntryType.CHECKLIST:
        return {"checkedValues": list(given.options)}
    name = "selectKey" if entry.type is EntryType.SELECT else "text"
    return {name: given.value}
