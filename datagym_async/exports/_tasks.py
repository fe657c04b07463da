"""The tasks of an export and their labels: as the service exports them, or exact.

An export has only finished tasks, whole pixels, and no sizes of images. The details of a task have
exact coordinates and the size, for one request each (observed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from itertools import chain
from typing import Final

import attrs

from datagym_async._runs._engine import DatasetLookup
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.formats import LossKind, LossReport
from datagym_async.formats._losses import Losses, answers_set
from datagym_async.formats._written import with_parents
from datagym_async.labels import (
    ExportReader,
    Incomplete,
    LabelConfig,
    LabeledImage,
    LabeledTask,
    Rectangle,
    Shape,
)
from datagym_async.labels._config import grouped
from datagym_async.labels._geometry import rings_of
from datagym_async.models import Dataset, LabelEntry, MediaType, Task, TaskDetail, TaskState
from datagym_async.resources import LabelsResource, TasksResource
from datagym_async.resources._base import DEFAULT_CONCURRENCY, for_each
from datagym_async.resources._tasks import FINISHED, States, queries
from datagym_async.resources._values import labels_of

_BATCH: Final = 256  # tasks that are read at once, to give them in order


def states_of(given: States) -> frozenset[TaskState]:
    """Return the chosen states, by default those of an export; for errors see `tasks.list`."""
    if given is None:
        return frozenset(FINISHED)
    return frozenset(TaskState(each["state"]) for each in queries(given, search=None, limit=0))


def is_labelled(image: LabeledImage) -> bool:
    """Return whether an image has an object or an answer."""
    return bool(image.annotations) or any(answers_set("", image.classifications))


@attrs.define
class TaskSource:
    labels: LabelsResource
    tasks: TasksResource
    datasets: DatasetLookup
    project_id: str
    states: frozenset[TaskState] = frozenset(FINISHED)
    dataset_ids: Sequence[str] = ()  # none for all
    only_labelled: bool = False
    _reader: ExportReader = attrs.field(factory=ExportReader, init=False)
    _shown: TaskDetail | None = attrs.field(default=None, init=False)  # the first that was read

    @property
    def is_all(self) -> bool:
        """Return whether these are all tasks that the service exports."""
        return self.states == frozenset(FINISHED) and not (self.dataset_ids or self.only_labelled)

    @property
    def needs_details(self) -> bool:
        """Return whether an export lacks some of them."""
        return not self.states <= frozenset(FINISHED)

    async def exported(self) -> AsyncGenerator[LabeledTask, None]:
        """Give the tasks as the service exports them."""
        media = await self._media_ids()
        exported = self.labels.iter_export(self.project_id, reader=self._reader)
        async with aclosing(exported) as tasks:
            async for task in tasks:
                is_chosen = media is None or task.media_id in media
                if task.state in self.states and is_chosen and self._wants(task):
                    yield task

    async def read(
        self, exported: list[LabeledTask], on_read: Callable[[int, int], None], *, exact: bool
    ) -> LossReport:
        """Add the sizes of images, and exact shapes, to exported tasks, from the details of each.

        If a task has changed or was deleted, its exported shapes stay and are counted; if deleted,
        its image has no size. `on_read` gets the numbers of tasks read and in total.
        """
        losses, done = Losses(), 0
        # Videos have no shapes there.
        images = ((at, each) for at, each in enumerate(exported) if each.task_export_url is None)
        places = grouped((each.media_id, at) for at, each in images)
        wanted = [each for each in await self._listed() if each.media_id in places]
        left = {media_id: [*each] for media_id, each in places.items()}  # that are not exact yet

        async def read(task: Task) -> None:
            nonlocal done
            with suppress(NotFoundError):  # deleted in the meantime
                known = labels_of(await self._detail(task.id))
                if known.width and known.height:
                    for at in places[task.media_id]:
                        sized = attrs.evolve(exported[at], width=known.width, height=known.height)
                        exported[at] = sized
                # A media may have several tasks: the exported one has the same shapes.
                own = [at for at in left[task.media_id] if is_cut_of(exported[at], known)]
                if exact and own:
                    exported[own[0]] = attrs.evolve(exported[own[0]], annotations=known.annotations)
                    left[task.media_id].remove(own[0])
            done += 1
            on_read(done, len(wanted))

        await for_each(wanted, read, concurrency=DEFAULT_CONCURRENCY)
        for at in chain.from_iterable(left.values()) if exact else ():
            losses.add(LossKind.CHANGED, exported[at].media_name)
        return losses.report()

    async def exact(self, on_read: Callable[[int, int], None]) -> AsyncGenerator[LabeledTask, None]:
        """Give the tasks as they are now, from the details of each, sorted by media names.

        Those that were deleted or are in another state by now are left out. A project of videos is
        refused.
        """
        wanted, done = await self._listed(), 0
        for start in range(0, len(wanted), _BATCH):
            batch, found = wanted[start : start + _BATCH], dict[str, LabeledTask]()

            async def read(task: Task, found: dict[str, LabeledTask] = found) -> None:
                nonlocal done
                with suppress(NotFoundError):
                    detail = await self._detail(task.id)
                    if detail.project_type is MediaType.VIDEO:
                        raise ConfigurationError(
                            "The labels of videos are keyframes, which no task shows as an image "
                            "does; leave exact and states out, or use labels.export_videos."
                        )
                    if detail.state in self.states:
                        found[task.id] = LabeledTask(
                            **attrs.asdict(labels_of(detail), recurse=False),
                            stored_media_name=detail.media.stored_name,
                            labeler=task.labeler,
                            state=detail.state,
                            task_id=detail.id,
                        )
                done += 1
                on_read(done, len(wanted))

            await for_each(batch, read, concurrency=DEFAULT_CONCURRENCY)
            for task in batch:
                known = found.pop(task.id, None)
                if known is not None and self._wants(known):
                    yield known

    async def config(self) -> LabelConfig | None:
        """Return the label configuration in the order of an export; None if there is no task.

        Elsewhere the service lists entries in an order that changes between calls (observed).
        """
        for task in () if self._shown else await self.tasks.list(self.project_id, state="all"):
            with suppress(NotFoundError):
                await self._detail(task.id)
                break
        if self._shown is None:
            return None
        if not self._reader.classes:
            exported = self.labels.iter_export(self.project_id, reader=self._reader)
            async with aclosing(exported) as tasks:
                await anext(tasks, None)
        rank = {each.name: at for at, each in reversed([*enumerate(self._reader.classes)])}

        def ordered(entries: Sequence[LabelEntry]) -> list[LabelEntry]:
            found = [attrs.evolve(each, children=(*ordered(each.children),)) for each in entries]
            return sorted(found, key=lambda one: (rank.get(one.key, len(rank)), one.timestamp or 0))

        return LabelConfig.from_entries(ordered(self._shown.label_config.entries))

    async def _detail(self, task_id: str) -> TaskDetail:
        detail = await self.tasks.get(task_id)
        self._shown = self._shown or detail
        return detail

    def _wants(self, task: LabeledTask) -> bool:
        return not self.only_labelled or is_labelled(task)

    async def _listed(self) -> list[Task]:
        media = await self._media_ids()
        found = await self.tasks.list(self.project_id, state=sorted(self.states))
        kept = [each for each in found if media is None or each.media_id in media]
        return sorted(kept, key=lambda each: (each.media_name, each.media_id, each.id))

    async def _media_ids(self) -> frozenset[str] | None:
        if not self.dataset_ids:
            return None

        async def gather(parts: AsyncIterator[Dataset]) -> set[str]:
            return {media.id async for part in parts for media in part.media}

        found = [await self.datasets.read_parts(gather, each) for each in self.dataset_ids]
        return frozenset().union(*found)


def is_cut_of(exported: LabeledImage, exact: LabeledImage) -> bool:
    """Return whether exported shapes are these, with coordinates cut to whole pixels.

    An incomplete one may be any shape of its key: if a coordinate is negative, the service exports
    none at all (observed).
    """
    cut, whole = _cut(exported), _cut(exact)
    if Counter(key for key, _ in cut) != Counter(key for key, _ in whole):
        return False
    complete = Counter(each for each in cut if each[1] is not None)
    return complete <= Counter(whole)


def _cut(image: LabeledImage) -> list[tuple[str, tuple[int, ...] | None]]:
    """Return path and whole coordinates of each shape, None for an incomplete one."""
    return [
        (f"{parent.key}/{each.key}" if parent else each.key, _coordinates(each.shape))
        for each, parent in with_parents(image)
    ]


def _coordinates(shape: Shape) -> tuple[int, ...] | None:
    if isinstance(shape, Incomplete):
        return None
    if isinstance(shape, Rectangle):
        return tuple(map(int, attrs.astuple(shape)))
    return tuple(int(n) for ring in rings_of(shape) for each in ring for n in (each.x, each.y))
