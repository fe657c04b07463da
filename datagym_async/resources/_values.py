"""`ValuesResource`: single label values, on routes that the public documentation does not list.

The routes check nothing (observed), so wrong labels would only be found when the task is completed.
So `ValuesResource.write` checks and plans everything before it sends anything. A geometry needs
several requests: an empty value is created with its empty answers, then each is filled in. If one
fails, the created value is deleted again; an answer about the whole image, which cannot be deleted,
gets its former content.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from datagym_async._checks import checked
from datagym_async._json import LARGEST
from datagym_async._printable import tally
from datagym_async._wire import _routes as routes
from datagym_async.exceptions import (
    APIError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
)
from datagym_async.labels import (
    Annotation,
    Classification,
    Incomplete,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
from datagym_async.labels._config import LONGEST_TEXT
from datagym_async.labels._config_entries import CLASSIFICATIONS
from datagym_async.labels._values import FEWEST
from datagym_async.models import EntryType, LabelEntry, LabelValue, MediaType, TaskDetail
from datagym_async.models import _ids as ids
from datagym_async.resources._base import AnyPoint, Resource, finish_call, first_few, points_body

if TYPE_CHECKING:
    from uuid import UUID

_TIDYING = 10.0  # seconds that a cancelled write takes at most to delete what it has begun
_SHOWN = 5


@attrs.frozen
class ValueOutcome:
    """What happened to one annotation, or of one answer about the whole image.

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
    """What happened to the labels that were to be written to one task.

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

    def __str__(self) -> str:
        total, bad = len(self.annotations) + len(self.classifications), len(self.problems)
        return tally("label", (("written", total - bad), ("failed", bad)), total)


@checked
class ValuesResource(Resource):
    """The label values of tasks: the only way to write image segmentations.

    Ids are UUIDs. A call raises `NotFoundError` for one that is unknown, `RequestRefusedError` for
    some that do not belong together, and another `APIError` where the service cannot be asked.
    """

    async def create(
        self,
        entry_id: ids.EntryId,
        *,
        iteration_id: str | UUID,
        media_id: ids.MediaId,
        task_id: ids.TaskId,
        parent_id: ids.ValueId | None = None,
    ) -> LabelValue:
        """Create an empty value, with the empty values nested in it, and return it.

        A call whose answer is lost is not repeated; the error's `unknown` is then True.

        Args:
            entry_id: UUID of the entry of the label configuration.
            iteration_id: UUID of the project's labelling iteration.
            parent_id: UUID of the value it is nested in, or None.
        """
        fields = {
            "iterationId": ids.id_of(iteration_id, "iteration id"),
            "mediaId": ids.id_of(media_id, "media id"),
            "labelTaskId": ids.id_of(task_id, "task id"),
            "lcEntryValueParentId": ids.id_or_none(parent_id, "value id"),
        }
        return await self._fetch(routes.create_value(entry_id, _given(fields)), LabelValue)

    async def update(
        self,
        value_id: ids.ValueId,
        *,
        entry_id: ids.EntryId,
        task_id: ids.TaskId,
        parent_id: ids.ValueId | None = None,
        comment: str | None = None,
        valid: bool | None = None,
        x: float | None = None,
        y: float | None = None,
        width: float | None = None,
        height: float | None = None,
        points: Iterable[AnyPoint] | None = None,
        rings: Iterable[Iterable[AnyPoint]] | None = None,
        select_key: str | None = None,
        checked_values: Sequence[str] | None = None,
        text: str | None = None,
    ) -> LabelValue:
        """Replace what a value says and return it. The service checks it at completion only.

        Args:
            parent_id: UUID of the value it is nested in, or None.
            comment: A remark of at most 128 characters.
            valid: What to store as its validity; None is the service's default, False.
            x: Pixels from the left: a point, or the left edge of a rectangle.
            y: Pixels from the top: a point, or the top edge of a rectangle.
            width: Width of a rectangle in pixels.
            height: Height of a rectangle in pixels.
            points: The points of a line or polygon.
            rings: The rings of an image segmentation: outline first, then holes.
            select_key: Key of the chosen option of a select.
            checked_values: Keys of the ticked options of a checklist.
            text: A free text.
        """
        fields = {
            "lcEntryId": ids.id_of(entry_id, "entry id"),
            "labelTaskId": ids.id_of(task_id, "task id"),
            "lcEntryValueParentId": ids.id_or_none(parent_id, "value id"),
            "comment": comment,
            "valid": valid,
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "points": None if points is None else points_body(points),
            "pointsCollection": None if rings is None else _rings(rings),
            "selectKey": select_key,
            "checkedValues": None if checked_values is None else list(checked_values),
            "text": text,
        }
        return await self.put(value_id, _given(fields))

    async def put(self, value_id: ids.ValueId, fields: Mapping[str, object]) -> LabelValue:
        """Replace what a value says, in the members of the request itself, and return it.

        They are ``lcEntryId``, ``labelTaskId`` and those of the type, which `update` has as
        arguments.
        """
        return await self._fetch(routes.update_value(value_id, fields), LabelValue)

    async def _task(self, task_id: ids.TaskId) -> TaskDetail:
        return await self._fetch(routes.get_task(task_id), TaskDetail)

    async def read(self, task_id: ids.TaskId) -> LabeledImage:
        """Return the labels of a task in any state, with every digit of their coordinates.

        An export has finished tasks alone, and cuts coordinates to whole pixels. The service
        creates the empty classification values of a task at its first reading. The task is of an
        image project.
        """
        return labels_of(await self._task(task_id))

    async def write(
        self, task_id: ids.TaskId, labels: LabeledImage | Iterable[Annotation]
    ) -> WriteReport:
        """Add annotations to a task, and answer the questions about its image.

        This writes what an import cannot: segmentations with holes, and several answers below one
        answer. It takes several requests for each annotation, one after the other. If an annotation
        fails, what was created of it is deleted again. So it is if the call is cancelled, which may
        take some seconds. Answers replace earlier ones. Annotations are added: if you write twice,
        they are there twice.

        Args:
            task_id: UUID of the task, in any state; its state stays.
            labels: The labels, or annotations alone. The media they name is not looked at.

        Returns:
            What became of each, and the ids of what may be left behind. An annotation that fails
            does not stop the others, unless the service cannot be reached any more.

        Raises:
            ConfigurationError: A key is unknown, a shape is not that of its key or cannot be drawn,
                an option is not in the list, or it is a video's task; nothing was written.
            APIError: The task cannot be read; nothing was written.
        """
        if not isinstance(labels, LabeledImage):
            labels = LabeledImage(annotations=tuple(labels))
        before = await self._task(task_id)
        if before.project_type is MediaType.VIDEO:
            raise ConfigurationError(
                "The labels of a video are keyframes, which the service has no route to write."
            )
        planner, entries = _Planner(), before.label_config.entries
        geometries = [*planner.geometries(labels.annotations, entries, "")]
        answers = [*planner.answers(labels.classifications, entries, "")]
        if planner.problems:
            raise ConfigurationError(
                "The labels do not fit the label configuration, nothing was written:"
                f" {'; '.join(first_few(planner.problems, _SHOWN))}."
            )
        # One after the other: the service locks itself up otherwise.
        writer = _Writer(self, before)
        return WriteReport(
            ids.id_of(task_id, "task id"),
            tuple([await writer.geometry(each) for each in geometries]),
            tuple([await writer.answer(each) for each in answers]),
        )

    async def delete(self, value_id: ids.ValueId) -> bool:
        """Delete a geometry's value with what is nested in it.

        Returns:
            True if this call deleted it, False if it was gone already: unknown, deleted before, or
            deleted by an attempt of this call whose answer was lost.

        Raises:
            RequestRefusedError: It is the value of a classification of the whole image.
        """
        return await self._do(routes.delete_value(value_id), "ex_notfound")

    async def change_type(self, value_id: ids.ValueId, new_entry_id: ids.EntryId) -> LabelValue:
        """Move a geometry's value to another entry of the same geometry type and return it.

        `RequestRefusedError`: the types differ, or it belongs to that entry already.
        """
        return await self._fetch(routes.change_value_type(value_id, new_entry_id), LabelValue)


# --- labels of a task, with every digit of their coordinates --------------------------------------


def labels_of(task: TaskDetail) -> LabeledImage:
    values = task.label_iteration.values
    return LabeledImage(
        media_id=task.media.id,
        media_name=task.media.name,
        annotations=_annotations(values),
        classifications=_answers(values),
        width=task.media.width,
        height=task.media.height,
    )


def _annotations(values: Iterable[LabelValue]) -> list[Annotation]:
    return [
        Annotation(
            value.entry_key, shape_of(value), _answers(value.children), _annotations(value.children)
        )
        for value in values
        if value.entry_type not in CLASSIFICATIONS
    ]


def _answers(values: Iterable[LabelValue]) -> list[Classification]:
    return [answer_of(value) for value in values if value.entry_type in CLASSIFICATIONS]


def answer_of(value: LabelValue) -> Classification:
    children = _answers(value.children)
    if value.entry_type is EntryType.CHECKLIST:
        return Classification.checklist(value.entry_key, value.checked_values, *children)
    if value.entry_type is EntryType.SELECT:
        return Classification.select(value.entry_key, value.select_key, *children)
    return Classification.freetext(value.entry_key, value.text, *children)


def shape_of(value: LabelValue) -> Shape:
    """Return the shape of a value; an incomplete one if a coordinate was never set."""
    corner, points = _points([value.point] if value.point else []), _points(value.points)
    match value.entry_type:
        case EntryType.POINT if corner:
            return corner[0]
        case EntryType.RECTANGLE if corner and None not in (value.width, value.height):
            return Rectangle(corner[0].x, corner[0].y, value.width or 0.0, value.height or 0.0)
        case EntryType.LINE if points is not None:
            return Line(points)
        case EntryType.POLYGON if points is not None:
            return Polygon(points)
        case EntryType.IMAGE_SEGMENTATION:
            rings = [_points(ring.points) for ring in value.rings]
            if None not in rings:
                return Segmentation(ring for ring in rings if ring is not None)
    return Incomplete(value.entry_type, _payload(value))


def _points(stored: Iterable[AnyPoint]) -> list[Point] | None:
    """Return the points, or None if a coordinate of one is missing."""
    pairs = [(each.x, each.y) for each in stored]
    points = [Point(x, y) for x, y in pairs if x is not None and y is not None]
    return points if len(points) == len(pairs) else None


def _payload(value: LabelValue) -> list[Any]:
    """Return an incomplete shape as an export writes it."""
    if value.rings:
        return [points_body(ring.points) for ring in value.rings]
    points = points_body([value.point] if value.point else value.points)
    if value.entry_type is EntryType.RECTANGLE:
        [corner] = points or [{"x": None, "y": None}]
        return [{**corner, "w": value.width, "h": value.height}]
    return [*points]


# --- writing labels -------------------------------------------------------------------------------


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _rings(rings: Iterable[Iterable[AnyPoint]]) -> list[dict[str, object]]:
    return [{"points": points_body(ring)} for ring in rings]


@attrs.define
class _Writer:
    """Writes what was planned to one task; `_task` is its state before."""

    _values: ValuesResource
    _task: TaskDetail
    _ours: set[str] = attrs.field(factory=set, init=False)
    _broken: APIError | None = attrs.field(default=None, init=False)

    async def geometry(self, planned: _Geometry) -> ValueOutcome:
        """Draw a geometry, or delete what was created of it."""
        made: list[str] = []

        async def undo(error: APIError | None) -> tuple[str, ...]:
            try:
                if made:
                    await self._values.delete(made[0])
                    return ()
                if error is None or not error.unknown:
                    return ()
                task = await self._values._task(self._task.id)
            except APIError:
                return tuple(made[:1])
            # A creation without an answer may have made a value.
            before = {value.id for value in self._task.label_iteration.values} | self._ours
            return tuple(
                value.id
                for value in task.label_iteration.values
                if value.entry_id == planned.entry.id
                and value.id not in before
                and not (value.points or value.rings or (value.point and value.point.x is not None))
            )

        return await self._as_a_whole(planned.entry, partial(self._draw, planned, None, made), undo)

    async def answer(self, planned: _Answer) -> ValueOutcome:
        """Answer a question about the whole image, or put the former answer back."""
        changed: list[LabelValue] = []
        fill = partial(self._fill, self._task.label_iteration.values, planned, None, changed)

        async def undo(_: APIError | None) -> tuple[str, ...]:
            left = []
            for value in reversed(changed):
                try:
                    await self._answer(value, answer_of(value))
                except APIError:
                    left.append(value.id)
            return tuple(left)

        return await self._as_a_whole(planned.entry, fill, undo)

    async def _as_a_whole(
        self,
        entry: LabelEntry,
        write: Callable[[], Awaitable[str]],
        undo: Callable[[APIError | None], Awaitable[tuple[str, ...]]],
    ) -> ValueOutcome:
        """Write, or undo it; that returns the ids of the values that are left behind."""
        if self._broken is not None:
            return ValueOutcome(entry.key, error=self._broken)
        try:
            return ValueOutcome(entry.key, await write())
        except APIError as error:
            # An error that is not about this value is about all that follow.
            if not isinstance(error, APIStatusError) or isinstance(error, AuthenticationError):
                self._broken = error
            return ValueOutcome(entry.key, error=error, left_behind=await undo(error))
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TIDYING):
                    await undo(None)
            raise

    async def _draw(self, planned: _Geometry, parent: str | None, made: list[str]) -> str:
        # After a cancellation it waits for the answer, which says what is to be deleted.
        value = await finish_call(self._create(planned.entry, parent, made), within=_TIDYING)
        await self._put(value, planned.fields)
        for answer in planned.answers:
            await self._fill(value.children, answer, value.id, [])
        for nested in planned.nested:
            await self._draw(nested, value.id, made)
        return value.id

    async def _fill(
        self,
        there: Iterable[LabelValue],
        planned: _Answer,
        parent: str | None,
        changed: list[LabelValue],
    ) -> str:
        """Write an answer and those below it; add each value to `changed` first."""
        found = next((value for value in there if value.entry_id == planned.entry.id), None)
        value = found or await self._create(planned.entry, parent, [])
        # Without values there is no answer, not even an unset one.
        if planned.said.values and (planned.said.is_set or answer_of(value).is_set):
            changed.append(value)
            # After a cancellation it waits, or a late call would undo what is put back.
            await finish_call(self._answer(value, planned.said), within=_TIDYING)
        for child in planned.children:
            await self._fill(value.children, child, value.id, changed)
        return value.id

    async def _create(self, entry: LabelEntry, parent: str | None, made: list[str]) -> LabelValue:
        value = await self._values.create(
            entry.id,
            iteration_id=self._task.label_iteration.id,
            media_id=self._task.media.id,
            task_id=self._task.id,
            parent_id=parent,
        )
        self._ours.add(value.id)
        made.append(value.id)
        return value

    async def _answer(self, value: LabelValue, said: Classification) -> None:
        if value.entry_type is EntryType.CHECKLIST:
            await self._put(value, {"checkedValues": list(said.options)})
        else:
            member = "selectKey" if value.entry_type is EntryType.SELECT else "text"
            await self._put(value, {member: said.value})

    async def _put(self, value: LabelValue, fields: Mapping[str, Any]) -> None:
        parent = _given({"lcEntryValueParentId": value.parent_id})
        ids = {"lcEntryId": value.entry_id, "labelTaskId": self._task.id, **parent}
        await self._values.put(value.id, {**ids, **fields})


def _shape_fields(shape: Shape, kind: EntryType) -> dict[str, Any]:
    """Return the members of a request for a shape, or raise `ValueError` if it is invalid."""
    if not isinstance(shape, Incomplete) and shape.type is not kind:
        raise ValueError(f"is a {shape.type.value.lower()}, its key is a {kind.value.lower()}'s")
    fields: dict[str, Any]
    rings: Sequence[Sequence[Point]]
    match shape:
        case Point(x, y):
            fields, rings = {"x": x, "y": y}, [(shape,)]
        case Rectangle(x, y, width, height):
            if width < 0 or height < 0:
                raise ValueError("has a width or height below zero")
            fields = {"x": x, "y": y, "width": width, "height": height}
            rings = [(Point(x, y), Point(width, height))]
        case Line(points) | Polygon(points):
            fields, rings = {"points": points_body(points)}, [points]
        case Segmentation(rings):
            fields = {"pointsCollection": _rings(rings)}
        case _:
            raise ValueError("is not complete")
    least = FEWEST.get(shape.type, 1)
    if any(len(ring) < least for ring in rings or [()]):
        raise ValueError(f"has fewer than {least} points")
    if not all(-LARGEST <= n <= LARGEST for ring in rings for at in ring for n in (at.x, at.y)):
        raise ValueError("has a coordinate that is too large, or no number")
    return fields


@attrs.frozen
class _Answer:
    entry: LabelEntry
    said: Classification
    children: tuple[_Answer, ...]


@attrs.frozen
class _Geometry:
    """A value to be created, with its answers and nested geometries."""

    entry: LabelEntry
    fields: Mapping[str, Any]
    answers: tuple[_Answer, ...]
    nested: tuple[_Geometry, ...]


@attrs.define
class _Planner:
    """Finds the entries of labels, and collects what does not fit."""

    problems: list[str] = attrs.field(factory=list)

    def geometries(
        self, annotations: Iterable[Annotation], entries: Iterable[LabelEntry], at: str
    ) -> Iterator[_Geometry]:
        known = {entry.key.lower(): entry for entry in entries if entry.type not in CLASSIFICATIONS}
        for index, each in enumerate(annotations):
            where = f"{at}annotation {index} ({each.key!r})"
            entry = known.get(each.key.lower())
            if entry is None:
                self.problems.append(f"{where} has a key that is not a geometry there")
                continue
            try:
                fields = _shape_fields(each.shape, entry.type)
            except ValueError as wrong:
                self.problems.append(f"{where} {wrong}")
                continue
            answers = self.answers(each.classifications, entry.children, f"{where}, ")
            nested = self.geometries(each.nested, entry.children, f"{where}, nested ")
            yield _Geometry(entry, fields, tuple(answers), tuple(nested))

    def answers(
        self, given: Iterable[Classification], entries: Iterable[LabelEntry], at: str
    ) -> Iterator[_Answer]:
        known = {entry.key.lower(): entry for entry in entries if entry.type in CLASSIFICATIONS}
        for each in given:
            where = f"{at}answer {each.key!r}"
            entry = known.get(each.key.lower())
            if entry is None:
                self.problems.append(f"{where} has a key that is not a question there")
                continue
            if entry.type is not EntryType.CHECKLIST and len(each.values) > 1:
                self.problems.append(f"{where} has {len(each.values)} values where one is allowed")
            longest = min(entry.max_length or LONGEST_TEXT, LONGEST_TEXT)
            for value in each.options:
                if entry.type is EntryType.FREETEXT and len(value) > longest:
                    self.problems.append(f"{where} is longer than {longest} characters")
                if entry.type is not EntryType.FREETEXT and value not in entry.options:
                    self.problems.append(f"{where} has no option {value!r}")
            children = self.answers(each.children, entry.children, f"{where}, ")
            yield _Answer(entry, each, tuple(children))
