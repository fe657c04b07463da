"""Writing label values one by one: what an import cannot write, and nothing half-done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import nan
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async import ConfigurationError, RetryPolicy
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
)
from datagym_async.models import EntryType, StoredPoint
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, SeedVideo
from datagym_async.testing import CommitThenDelay, CommitThenDrop, Delay, Status
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

if TYPE_CHECKING:
    from datagym_async.testing import Action

OPTIONS = {"a": "A", "b": "B"}


def entry(key: str, kind: str, *children: dict[str, Any], **more: object) -> dict[str, Any]:
    """Return an entry as the service takes it."""
    needs: dict[str, dict[str, object]] = {
        "SELECT": {"options": OPTIONS},
        "CHECKLIST": {"options": OPTIONS},
        "FREETEXT": {"maxLength": 20},
    }
    head = {"entryKey": key, "entryValue": key, "type": kind, "children": list(children)}
    return {**head, **needs.get(kind, {}), **more}


ENTRIES = [
    entry("spot", "POINT"),
    entry("path", "LINE"),
    entry("seg", "IMAGE_SEGMENTATION"),
    entry(
        "area",
        "POLYGON",
        entry("kind", "SELECT", entry("note", "FREETEXT"), entry("tags", "CHECKLIST")),
        entry("box", "RECTANGLE", entry("text", "FREETEXT")),
    ),
    entry("scene", "SELECT", entry("more", "FREETEXT"), entry("flags", "CHECKLIST")),
]
RING = [(0.25, 0.5), (20, 0), (20, 20.125), (0, 20)]
HOLE = [(5, 5), (8, 5), (8, 8)]
SEGMENT = Annotation("seg", Segmentation([RING, HOLE, HOLE]))
AREA = Annotation(
    "area",
    Polygon([(1.5, 2.25), (9, 1), (5, 8)]),
    [
        Classification.select(
            "kind",
            "a",
            Classification.freetext("note", "a note"),
            Classification.checklist("tags", ["b", "a"]),
        )
    ],
    [Annotation("box", Rectangle(1, 2, 3.5, 4), [Classification.freetext("text", "in")])],
)
SCENE = Classification.select(
    "scene", "a", Classification.freetext("more", "é"), Classification.checklist("flags", ["a"])
)
ALL = [Annotation("spot", Point(1.25, 2)), Annotation("path", Line([(0, 0), (1, 1.5)])), SEGMENT]


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """A project with one image and every kind of entry."""
    retry = RetryPolicy.none()
    async with world(SeedMedia("a.jpg", jpeg(2000)), retry=retry) as made:
        config_id = made.project.label_configuration_id
        await made.client.label_configs.upload(config_id, ENTRIES)
        yield made


def task_of(here: World) -> str:
    """Return the task of the image."""
    return here.project.task_ids["a.jpg"]


async def test_what_an_import_cannot_write(here: World) -> None:
    """Holes, several answers below one, nested geometries and fractions of pixels come back."""
    labels = LabeledImage(annotations=[*ALL, AREA], classifications=[SCENE])
    report = await here.client.values.write(task_of(here), labels)
    assert (report.ok, report.left_behind) == (True, ())
    read = await here.client.values.read(task_of(here))
    assert read.annotations == labels.annotations
    assert read.classifications == labels.classifications
    assert (read.media_name, read.media_id) == (
        "a.jpg",
        here.project.datasets[0].media_ids["a.jpg"],
    )
    assert [each.value_id for each in report.annotations] == [
        value.id
        for value in (await here.client.tasks.get(task_of(here))).label_iteration.values
        if value.entry_key != "scene"
    ]


async def test_what_was_written_can_be_completed_and_exported(here: World) -> None:
    """The task completes, and the export has the rings, cut to whole pixels."""
    await here.client.values.write(task_of(here), [SEGMENT])
    assert (await here.client.tasks.complete(task_of(here))).completed
    (task,) = (await here.client.labels.export(here.project_id)).tasks
    assert "seg" in repr(task)


async def test_answers_take_the_place_of_earlier_ones(here: World) -> None:
    """An answer replaces what was answered, None takes it back, and nothing said leaves it."""
    write = here.client.values.write
    await write(task_of(here), LabeledImage(classifications=[SCENE]))
    again = Classification("scene", (), [Classification.freetext("more", None)])
    await write(task_of(here), LabeledImage(classifications=[again]))
    (scene,) = (await here.client.values.read(task_of(here))).classifications
    assert (scene.value, [each.options for each in scene.children]) == ("a", [(), ("a",)])


CORNERS = [(1, 2), (9, 2), (9, 8)]
MISFITS: dict[str, tuple[Annotation | Classification, str]] = {
    "key": (
        Annotation("nope", Point(1, 2)),
        "annotation 0 .'nope'. has a key that is not a geometry",
    ),
    "shape": (Annotation("spot", Line([])), "is a line, its key is a point's"),
    "incomplete": (Annotation("spot", Incomplete(EntryType.POINT, [])), "is not complete"),
    "nested": (
        Annotation("area", Polygon(CORNERS), (), [Annotation("spot", Point(1, 2))]),
        "annotation 0 .'area'., nested annotation 0 .'spot'. has a key that is not",
    ),
    "points": (Annotation("area", Polygon(CORNERS[:2])), "'area'. has fewer than 3 points"),
    "side": (
        Annotation("area", Polygon(CORNERS), (), [Annotation("box", Rectangle(1, 2, -3, 4))]),
        "nested annotation 0 .'box'. has a width or height below zero",
    ),
    "number": (Annotation("spot", Point(nan, 2)), "has a coordinate that is too large, or no nu"),
    "question": (
        Classification.select("area", "a"),
        "answer 'area' has a key that is not a question",
    ),
    "option": (Classification.select("scene", "c"), "has no option 'c'"),
    "two": (Classification("scene", ("a", "b")), "has 2 values where one is allowed"),
    "text": (
        Classification.select("scene", "a", Classification.freetext("more", "x" * 21)),
        "answer 'scene', answer 'more' is longer than 20 characters",
    ),
}


@pytest.mark.parametrize(("misfit", "words"), MISFITS.values(), ids=MISFITS)
async def test_misfits_are_said_before_anything_is_written(
    here: World, misfit: Annotation | Classification, words: str
) -> None:
    """The service would store all of them without a word."""
    labels = (
        LabeledImage(annotations=[misfit, ALL[0]])
        if isinstance(misfit, Annotation)
        else LabeledImage(annotations=ALL, classifications=[misfit])
    )
    with pytest.raises(ConfigurationError, match=words):
        await here.client.values.write(task_of(here), labels)
    assert here.plan.count("POST", "/lcValue/") == 0


async def test_a_video_has_keyframes_instead(here: World) -> None:
    """A shape that is written to a video's task would be seen by nobody."""
    media = [SeedMedia("v.mp4", video=SeedVideo())]
    dataset = SeedDataset("Clips", media, "VIDEO")
    (videos,) = await here.server.seed(SeedProject("Videos", [dataset], media_type="VIDEO"))
    with pytest.raises(ConfigurationError, match="keyframes"):
        await here.client.values.write(videos.task_ids["v.mp4"], [ALL[0]])


@pytest.mark.parametrize("step", range(1, 7))
async def test_a_failing_annotation_is_taken_back(here: World, step: int) -> None:
    """Whichever request of an annotation is refused, nothing of it stays, and the others do."""
    here.plan.add(_refuse(), path="/lcValue/", method="PUT", nth=step)
    report = await here.client.values.write(task_of(here), [AREA, ALL[0]])
    failed, good = report.annotations
    assert (failed.ok, failed.value_id, failed.left_behind, good.ok) == (False, None, (), True)
    assert getattr(failed.error, "key", "") == "ex_gen_entry_value_create"
    read = await here.client.values.read(task_of(here))
    assert read.annotations == (ALL[0],)


def _refuse() -> Status:
    return Status.of_json(500, {"key": "ex_gen_entry_value_create", "params": ["x"]})


async def test_what_cannot_be_taken_back_is_named(here: World) -> None:
    """Where even the deletion fails, the report has the id of what is left."""
    here.plan.add(_refuse(), path="/lcValue/", method="PUT")
    here.plan.add(Status(500), path="/lcValue/", method="DELETE")
    report = await here.client.values.write(task_of(here), [ALL[0]])
    assert len(report.left_behind) == 1
    here.plan.clear()
    assert await here.client.values.delete(report.left_behind[0])


async def test_a_refused_creation_leaves_nothing(here: World) -> None:
    """What was refused was not made: nothing is looked for or deleted, and the others stay."""
    here.plan.add(_refuse(), path="/lcValue/", method="POST", nth=1)
    report = await here.client.values.write(task_of(here), ALL)
    assert [each.ok for each in report.annotations] == [False, True, True]
    assert (report.left_behind, here.plan.count("DELETE")) == ((), 0)
    assert (await here.client.values.read(task_of(here))).annotations == tuple(ALL[1:])


async def test_an_empty_value_of_a_lost_answer_is_named(here: World) -> None:
    """A creation whose answer is lost is not retried; what it made is found and named."""
    here.plan.add(CommitThenDrop(), path="/lcValue/", method="POST", nth=2)
    report = await here.client.values.write(task_of(here), ALL)
    assert [each.ok for each in report.annotations] == [True, False, False]
    assert report.annotations[1].error is not None
    assert report.annotations[1].error.unknown
    read = (await here.client.tasks.get(task_of(here))).label_iteration.values
    (stray,) = (value.id for value in read if value.entry_key == "path")
    assert report.left_behind == (stray,)
    assert here.plan.count("POST", "/lcValue/") == 2


async def test_a_failing_answer_gets_back_what_it_said(here: World) -> None:
    """An answer about the whole image cannot be deleted; it says again what it said."""
    client, task_id = here.client, task_of(here)
    await client.values.write(task_id, LabeledImage(classifications=[SCENE]))
    before = await client.values.read(task_id)
    done = here.plan.count("PUT", "/lcValue/")
    here.plan.add(_refuse(), path="/lcValue/", method="PUT", nth=3)
    other = Classification.select(
        "scene", "b", Classification.freetext("more", "x"), Classification.checklist("flags", [])
    )
    report = await client.values.write(task_id, LabeledImage(classifications=[other]))
    assert (report.ok, report.left_behind) == (False, ())
    assert here.plan.count("PUT", "/lcValue/") - done == 6
    assert await client.values.read(task_id) == before


async def test_an_answer_that_cannot_be_put_back_is_named(here: World) -> None:
    """The report has the ids of the answers that say something else than before."""
    client, task_id = here.client, task_of(here)
    await client.values.write(task_id, LabeledImage(classifications=[SCENE]))
    puts = here.plan.count("PUT", "/lcValue/")
    here.plan.add(
        _refuse(),
        path="/lcValue/",
        method="PUT",
        when=lambda _: here.plan.count("PUT", "/lcValue/") > puts,  # all but the first
    )
    other = Classification.select("scene", "b", Classification.freetext("more", "x"))
    report = await client.values.write(task_id, LabeledImage(classifications=[other]))
    task = await client.tasks.get(task_id)
    (scene,) = (each for each in task.label_iteration.values if each.entry_key == "scene")
    (more,) = (each for each in scene.children if each.entry_key == "more")
    assert (report.ok, report.left_behind) == (False, (more.id, scene.id))
    assert (scene.select_key, more.text) == ("b", "é")


async def test_what_was_begun_is_read_as_it_is(here: World) -> None:
    """A shape whose coordinates were never set is incomplete, as an export writes it."""
    task = await here.client.tasks.get(task_of(here))
    entries = {each.key: each for each in task.label_config.entries}
    entries |= {each.key: each for each in entries["area"].children}
    where = {"iteration_id": task.label_iteration.id, "media_id": task.media.id}

    async def begin(key: str, parent: str | None = None, **said: Any) -> str:
        ids: dict[str, Any] = {"task_id": task.id, "parent_id": parent}
        made = await here.client.values.create(entries[key].id, **ids, **where)
        if said:
            await here.client.values.update(made.id, entry_id=entries[key].id, **ids, **said)
        return made.id

    unset = StoredPoint(None, 1.0)
    await begin("spot")
    await begin("path", points=[Point(1, 2), unset])
    await begin("seg", rings=[[Point(1, 2), unset]])
    await begin("box", await begin("area", points=[unset]))

    spot, path, seg, area = (await here.client.values.read(task.id)).annotations
    there, missing = {"x": 1.0, "y": 2.0}, {"x": None, "y": 1.0}
    assert spot.shape == Incomplete(EntryType.POINT, [{"x": None, "y": None}])
    assert path.shape == Incomplete(EntryType.LINE, [there, missing])
    assert seg.shape == Incomplete(EntryType.IMAGE_SEGMENTATION, [[there, missing]])
    assert area.shape == Incomplete(EntryType.POLYGON, [missing])
    nothing = {"x": None, "y": None, "w": None, "h": None}
    assert area.nested[0].shape == Incomplete(EntryType.RECTANGLE, [nothing])


@pytest.mark.looptime
@pytest.mark.parametrize("step", [1, 3, 5])
async def test_a_cancelled_annotation_is_taken_back(here: World, step: int) -> None:
    """A write that is cancelled half way deletes what it had created of the annotation."""
    here.plan.add(Delay(60), path="/lcValue/", method="PUT", nth=step)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await here.client.values.write(task_of(here), [AREA])
    here.plan.clear()
    assert (await here.client.values.read(task_of(here))).annotations == ()


@pytest.mark.looptime
@pytest.mark.parametrize("late", [Delay(9), CommitThenDelay(9)], ids=["before", "after"])
async def test_cancelled_while_a_value_is_created(here: World, late: Action) -> None:
    """The service creates it all the same, and the answer alone says what is to be deleted."""
    here.plan.add(late, path="/lcValue/", method="POST", nth=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await here.client.values.write(task_of(here), [AREA])
    here.plan.clear()
    assert (await here.client.values.read(task_of(here))).annotations == ()
