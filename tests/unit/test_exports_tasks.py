"""Which task an exported one is, and the order of a label configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from typing import Any, cast

import attrs
import pytest

from datagym_async.exports._tasks import TaskSource, is_cut_of, is_labelled
from datagym_async.formats import LossKind
from datagym_async.labels import (
    Annotation,
    Classification,
    ExportReader,
    Incomplete,
    LabelClass,
    LabeledImage,
    LabeledTask,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    Shape,
)
from datagym_async.models import (
    EntryType,
    LabelConfiguration,
    LabelEntry,
    LabelIteration,
    LabelValue,
    Media,
    MediaSourceType,
    StoredPoint,
    Task,
    TaskDetail,
    TaskState,
)


def image(*shapes: Shape, key: str = "a") -> LabeledImage:
    """Return an image with shapes under one key."""
    return LabeledImage(annotations=[Annotation(key, shape) for shape in shapes])


RING, CUT = [(1.5, 2.9), (3.1, 4.2), (5.9, 1.0)], [(1, 2), (3, 4), (5, 1)]
NOTHING = Incomplete(EntryType.RECTANGLE, [])


@pytest.mark.parametrize(
    ("exported", "exact", "is_it"),
    [
        ([Rectangle(1, 2, 3, 4)], [Rectangle(1.9, 2.1, 3.5, 4)], True),
        ([Polygon(CUT)], [Polygon(RING)], True),
        ([Line(CUT)], [Line(RING)], True),
        ([Point(1, 2)], [Point(1.99, 2.5)], True),
        ([Segmentation([CUT, CUT])], [Segmentation([RING, RING])], True),
        ([Rectangle(1, 2, 3, 4), Rectangle(5, 6, 7, 8)], [Rectangle(5.5, 6, 7, 8)], False),
        (
            [Rectangle(1, 2, 3, 4), Rectangle(5, 6, 7, 8)],
            [Rectangle(5.5, 6, 7, 8), Rectangle(1.5, 2, 3, 4)],
            True,
        ),
        ([Rectangle(1, 2, 3, 4)], [Rectangle(2.9, 2.1, 3.5, 4)], False),
        ([Polygon(CUT)], [Polygon([*RING[:2], (6.0, 1.0)])], False),
        ([Line(CUT)], [Line(RING[::-1])], False),
        ([Point(1, 2)], [Point(2, 2)], False),
        ([Segmentation([CUT, CUT])], [Segmentation([RING])], False),
        ([NOTHING], [Rectangle(-0.5, 2, 3, 4)], True),
        ([NOTHING, Rectangle(1, 2, 3, 4)], [Rectangle(1, 2, 3, 4), Rectangle(-1, 0, 1, 1)], True),
        ([NOTHING], [], False),
        ([], [], True),
    ],
)
def test_exported_shapes_are_exact_ones_cut_to_whole_pixels(
    exported: Sequence[Shape], exact: Sequence[Shape], is_it: bool
) -> None:
    """In any order; what is incomplete in an export may be any other of its key."""
    assert is_cut_of(image(*exported), image(*exact)) is is_it


def test_keys_count() -> None:
    """The same shape of another key, or nested in another one, is another one."""
    box, point = Rectangle(1, 2, 3, 4), Point(1, 1)
    assert not is_cut_of(image(box), image(box, key="b"))
    nested = LabeledImage(annotations=[Annotation("a", box, nested=[Annotation("p", point)])])
    beside = LabeledImage(annotations=[Annotation("a", box), Annotation("p", point)])
    assert is_cut_of(nested, nested)
    assert not is_cut_of(nested, beside)


def test_what_is_labelled() -> None:
    """A shape, or an answer at any depth that is set."""
    unset = Classification.select("sky", None)
    answered = Classification.select("sky", None, Classification.freetext("why", "fog"))
    assert not is_labelled(LabeledImage(classifications=[unset]))
    assert is_labelled(LabeledImage(classifications=[unset, answered]))
    assert is_labelled(image(Point(1, 1)))


def detail(number: int, x: float, config: LabelConfiguration) -> TaskDetail:
    """Return a task of the one media, with a box."""
    value = LabelValue(
        id=f"v{number}",
        entry_id="e",
        entry_type=EntryType.RECTANGLE,
        entry_key="a",
        point=StoredPoint(x, 2.5),
        width=3.5,
        height=4.5,
    )
    return TaskDetail(
        id=f"t{number}",
        state=TaskState.COMPLETED,
        label_config=config,
        label_iteration=LabelIteration(id="i", project_id="p", values=(value,)),
        media=Media(
            id="m", timestamp=1, source_type=MediaSourceType.LOCAL, name="a.jpg", width=9, height=8
        ),
        last_changed_config=1,
    )


@attrs.define
class Fakes:
    """A service with tasks of one media, and the classes that its exports begin with."""

    details: Sequence[TaskDetail]
    classes: Sequence[str] = ()

    async def list(self, *_: object, **__: object) -> Sequence[Task]:
        """Return all tasks."""
        state = TaskState.COMPLETED
        return [
            Task(id=each.id, project_id="p", state=state, media_id="m", media_name="a.jpg")
            for each in self.details
        ]

    async def get(self, task_id: str) -> TaskDetail:
        """Return one of them."""
        return next(each for each in self.details if each.id == task_id)

    async def iter_export(self, _: str, *, reader: ExportReader) -> AsyncIterator[LabeledTask]:
        """Give no task behind the classes."""
        reader.classes = tuple(LabelClass(name, EntryType.RECTANGLE) for name in self.classes)
        nothing: tuple[LabeledTask, ...] = ()
        for task in nothing:
            yield task

    def source(self) -> TaskSource:
        """Return what takes tasks of this service."""
        fake = cast("Any", self)
        return TaskSource(fake, fake, fake, "p")


NO_CONFIG = LabelConfiguration(id="c", project_id="p")


def exported(x: int) -> LabeledTask:
    """Return a task of the one media as it is exported."""
    box = Annotation("a", Rectangle(x, 2, 3, 4))
    return LabeledTask(
        media_id="m", media_name="a.jpg", state=TaskState.COMPLETED, annotations=[box]
    )


@pytest.mark.parametrize("order", list(permutations((1, 2))))
async def test_several_tasks_of_a_media(order: tuple[int, int]) -> None:
    """Each takes its own exact shapes, in whichever order they come; none is taken twice."""
    details = [detail(1, 1.5, NO_CONFIG), detail(2, 20.5, NO_CONFIG)]
    fakes = Fakes([details[at - 1] for at in order])
    tasks = [exported(20), exported(1)]
    assert not await fakes.source().read(tasks, lambda *_: None, exact=True)
    boxes = [each.annotations[0].shape for each in tasks]
    assert boxes == [Rectangle(20.5, 2.5, 3.5, 4.5), Rectangle(1.5, 2.5, 3.5, 4.5)]
    assert {(each.width, each.height) for each in tasks} == {(9, 8)}


async def test_a_task_without_its_like() -> None:
    """It keeps whole pixels, has its size, and is counted once."""
    tasks = [exported(7)]
    losses = (
        await Fakes([detail(1, 1.5, NO_CONFIG)]).source().read(tasks, lambda *_: None, exact=True)
    )
    assert (losses.count(LossKind.CHANGED), losses.is_loss) == (1, False)
    assert tasks[0].annotations[0].shape == Rectangle(7, 2, 3, 4)
    assert (tasks[0].width, tasks[0].height) == (9, 8)


async def test_a_task_that_was_deleted_after_it_was_exported() -> None:
    """It keeps whole pixels, and is counted as well."""
    tasks = [exported(7)]
    losses = await Fakes([]).source().read(tasks, lambda *_: None, exact=True)
    assert [(each.kind, each.examples) for each in losses.items] == [(LossKind.CHANGED, ("a.jpg",))]
    assert tasks == [exported(7)]


async def test_whole_pixels_stay_if_exact_ones_are_not_asked_for() -> None:
    """Only the sizes of images are read then, and nothing has changed by it."""
    tasks = [exported(7), exported(1)]
    said: list[tuple[int, int]] = []
    fakes = Fakes([detail(1, 1.5, NO_CONFIG), detail(2, 20.5, NO_CONFIG)])
    source = fakes.source()
    assert not await source.read(tasks, lambda *numbers: said.append(numbers), exact=False)
    assert [attrs.evolve(each, width=None, height=None) for each in tasks] == [
        exported(7),
        exported(1),
    ]
    assert {(each.width, each.height) for each in tasks} == {(9, 8)}
    assert said == [(1, 2), (2, 2)]


async def test_entries_that_no_export_names() -> None:
    """They are in the order in which they were made; without a task none is known."""
    times = {"x": 3, "b": None, "m": 1}
    config = LabelConfiguration(
        id="c",
        project_id="p",
        entries=tuple(
            LabelEntry(id=key, key=key, value=key, type=EntryType.RECTANGLE, timestamp=time)
            for key, time in times.items()
        ),
    )
    ordered = await Fakes([detail(1, 1.5, config)]).source().config()
    assert ordered is not None
    assert [each.key for each in ordered.entries] == ["b", "m", "x"]
    assert await Fakes([]).source().config() is None


async def test_a_configuration_has_one_order() -> None:
    """That of an export, in whichever order the service shows the entries."""

    def entry(key: str, *children: LabelEntry) -> LabelEntry:
        return LabelEntry(id=key, key=key, value=key, type=EntryType.RECTANGLE, children=children)

    found = set()
    for roots in permutations(("x", "b", "m")):
        for inner in permutations(("q", "p")):
            children = {"m": tuple(map(entry, inner))}
            config = LabelConfiguration(
                id="c",
                project_id="p",
                entries=tuple(entry(key, *children.get(key, ())) for key in roots),
            )
            fakes = Fakes([detail(1, 1.5, config)], classes=("m", "x", "b", "q", "p"))
            ordered = await fakes.source().config()
            assert ordered is not None
            found.add(ordered.to_json())
            assert [each.key for each in ordered.entries] == ["m", "x", "b"]
            assert [each.key for each in ordered.entries[0].children] == ["q", "p"]
    assert len(found) == 1
