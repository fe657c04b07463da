"""Exports from the embedded server: images streamed and whole, videos with their classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async import DataGymClient
from datagym_async.exceptions import (
    APIResponseValidationError,
    ConfigurationError,
    RequestRefusedError,
)
from datagym_async.labels import (
    Annotation,
    Classification,
    Incomplete,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    to_prediction,
)
from datagym_async.models import TaskState
from datagym_async.resources import LabelsResource
from datagym_async.server import (
    SeedDataset,
    SeedKeyframe,
    SeedMedia,
    SeedProject,
    SeedVideo,
    SeedVideoObject,
    Server,
)
from tests.helpers.examples import example
from tests.helpers.fake_session import FakeSession, answer, refusal
from tests.helpers.photos import png
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async._wire import Request, Response
    from datagym_async.server import SeededProject

ENTRIES: list[dict[str, Any]] = [
    {
        "entryKey": "cup",
        "entryValue": "Cup",
        "type": "RECTANGLE",
        "children": [
            {
                "entryKey": "material",
                "entryValue": "Material",
                "type": "SELECT",
                "options": {"glass": "Glass", "paper": "Paper"},
            }
        ],
    },
    {"entryKey": "goal", "entryValue": "Goal", "type": "POLYGON"},
    {"entryKey": "ball", "entryValue": "Ball", "type": "POINT"},
]
CUP = SeedVideoObject(
    "cup",
    [
        SeedKeyframe(0, (10, 20, 30, 40), "START", {"material": ["glass"]}),
        SeedKeyframe(4, (18, 20, 30, 20), "END"),
    ],
)
GOAL = SeedVideoObject("goal", [SeedKeyframe(1, (1, 2, 3, 4, 5.5, 6), "START_END")])
BALL = SeedVideoObject("ball", [SeedKeyframe(2, (7.25, 8), "START_END")])


# --- images --------------------------------------------------------------------------------------


async def test_labels_go_in_and_come_out() -> None:
    """Values, import, export, values: the same, but for what was not answered."""
    media = SeedMedia("a.png", content=png(2000))
    async with Server(token=TOKEN) as server, DataGymClient(TOKEN, server.base_url) as client:
        (project,) = await server.seed(SeedProject("P", [SeedDataset("d", [media])]))
        await client.label_configs.upload(project.label_configuration_id, ENTRIES)
        (task,) = await client.tasks.list(project.id, state=TaskState.BACKLOG)
        given = {
            "internal_media_ID": task.media_id,
            "labels": {
                "cup": [
                    {
                        "rectangle": [{"x": 1, "y": 2, "w": 3, "h": 4}],
                        "classifications": {"material": ["glass"]},
                    }
                ],
                "goal": [{"polygon": [{"x": n, "y": n * n} for n in range(4)]}],
            },
        }
        await client.labels.import_predictions(project.id, [given], keep_data=False)
        detail = await client.tasks.get(task.id)
        await client.tasks.complete(task.id, last_changed_config=detail.last_changed_config)

        (whole,) = (await client.labels.export(project.id)).tasks
        (streamed,) = [each async for each in client.labels.iter_export(project.id)]
    assert whole == streamed
    assert whole.annotations_of("cup") == (
        Annotation("cup", Rectangle(1, 2, 3, 4), [Classification.select("material", "glass")]),
    )
    assert whole.annotations_of("goal")[0].shape == Polygon([(0, 0), (1, 1), (2, 4), (3, 9)])
    assert (
        to_prediction(whole)["labels"]["cup"][0]["rectangle"]
        == (
            given["labels"]["cup"][0]["rectangle"]  # type: ignore[index]  # as written above
        )
    )


async def test_segmentations_tell_the_task() -> None:
    """The address of a bitmap has the id of the task, which nothing else in the export has."""
    document = example("01_export_image")
    export = await LabelsResource(FakeSession([answer(document)])).export("P")
    task = export.tasks[0]
    (road,) = task.annotations_of("road surface")
    assert isinstance(road.shape, Segmentation)
    assert (task.task_id, len(road.shape.rings)) == ("a7e0c9d4-11aa-4f0b-8c55-9e2d3b4c5d01", 2)


WRONG_POLYGON = [
    {"label_classes": []},
    {"internal_media_ID": "M", "external_media_ID": "a", "status": "completed"},
    {
        "internal_media_ID": "N",
        "external_media_ID": "b",
        "status": "completed",
        "labels": {"car": [{"polygon": [{"x": 1, "y": 1}, {"x": {}, "y": 1}]}]},
    },
]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_what_does_not_fit_is_named(streamed: bool) -> None:
    """The error has the path from the top of the file, however the export is read."""
    labels = LabelsResource(FakeSession([answer(WRONG_POLYGON)]))
    with pytest.raises(APIResponseValidationError) as caught:
        _ = [t async for t in labels.iter_export("P")] if streamed else await labels.export("P")
    assert caught.value.field_path == "[2].labels.car[0].polygon[1].x"


# --- videos --------------------------------------------------------------------------------------


@pytest.fixture
async def films() -> AsyncIterator[tuple[DataGymClient, SeededProject]]:
    """A client and a project of five skipped videos, of which the first has three objects."""
    media = [SeedMedia(f"v{n}.mp4", video=SeedVideo(), state="SKIPPED") for n in range(5)]
    seed = SeedProject("Videos", [SeedDataset("d", media, "VIDEO")], media_type="VIDEO")
    async with Server(token=TOKEN) as server, DataGymClient(TOKEN, server.base_url) as client:
        (project,) = await server.seed(seed)
        await client.label_configs.upload(project.label_configuration_id, ENTRIES)
        await server.add_video_objects(project.task_ids["v0.mp4"], CUP, GOAL, BALL)
        yield client, project


async def test_objects_of_a_video(films: tuple[DataGymClient, SeededProject]) -> None:
    """Each object has its class, its runs and its shapes; what the service lost is said."""
    client, project = films
    labels = await client.labels.export_video(project.task_ids["v0.mp4"])
    objects = {each.key: each for each in labels.objects.values() if each.keyframes}
    assert objects.keys() == {"cup", "goal", "ball"}
    assert objects["cup"].rectangle_at(2) == Rectangle(14, 20, 30, 30)
    assert objects["cup"].classifications_at(3) == (Classification.select("material", "glass"),)
    assert objects["ball"].keyframes[0].shape == Point(7.25, 8)
    assert isinstance(objects["goal"].keyframes[0].shape, Incomplete)
    assert len(labels.notes) == 2


async def test_objects_without_classes(films: tuple[DataGymClient, SeededProject]) -> None:
    """Without the task the keys are not known."""
    client, project = films
    labels = await client.labels.export_video(project.task_ids["v0.mp4"], with_classes=False)
    assert {each.key for each in labels.objects.values()} == {None}
    assert len(labels.frames) == 5


async def test_videos_of_a_project(films: tuple[DataGymClient, SeededProject]) -> None:
    """All videos come in the order of the export, with their tasks."""
    client, project = films
    exported = [each.media_id for each in (await client.labels.export(project.id)).tasks]
    found = [pair async for pair in client.labels.export_videos(project.id, concurrency=2)]
    assert [task.media_id for task, _ in found] == exported
    assert {task.task_id for task, _ in found} == set(project.task_ids.values())
    seen = {task.media_name: len(labels.frames) for task, labels in found}
    assert seen == {"v0.mp4": 5, "v1.mp4": 0, "v2.mp4": 0, "v3.mp4": 0, "v4.mp4": 0}


def video_service(answers: Mapping[str, Response]) -> FakeSession:
    """Return a session that answers by path."""

    def handler(request: Request) -> Response:
        return answers[request.path]

    return FakeSession(handler=handler)


VIDEOS = {
    "export/P": answer(example("03_export_video_project")),
    "exportVideoTask/2a38755c-0e85-48a0-a5f6-6eb3652a0909": answer({"frames": {}, "object": {}}),
    "exportVideoTask/a7e0c9d4-11aa-4f0b-8c55-9e2d3b4c5d03": answer(example("04_export_video_task")),
}


async def test_videos_are_asked_for_at_our_own_address() -> None:
    """The addresses in an export are the service's own idea; the ids in them are enough."""
    session = video_service(VIDEOS)
    async with aclosing(
        LabelsResource(session).export_videos("P", with_classes=False, concurrency=1)
    ) as videos:
        task, labels = await anext(videos)
    assert (task.media_name, labels.objects) == ("1618926555949_HayDay.mp4", {})
    assert [path for _, path in session.sent] == [*VIDEOS][:2]


async def test_the_first_error_ends_the_videos() -> None:
    """An error comes out as itself, not in a group."""
    path = [*VIDEOS][2]
    refused = {**VIDEOS, path: refusal(500, "ex_gen_invalid_project_mediatype")}
    videos = LabelsResource(video_service(refused)).export_videos("P", with_classes=False)
    with pytest.raises(RequestRefusedError):
        _ = [pair async for pair in videos]


@pytest.mark.parametrize(
    ("document", "concurrency", "words"),
    [
        ("01_export_image", 8, "is not of a video"),
        ("03_export_video_project", 0, "must be 1 or more"),
    ],
)
async def test_what_cannot_be_exported_as_videos(
    document: str, concurrency: int, words: str
) -> None:
    """A project of images, or no request at all, is refused before a video is asked for."""
    session = FakeSession([answer(example(document))])
    videos = LabelsResource(session).export_videos("P", concurrency=concurrency)
    with pytest.raises(ConfigurationError, match=words):
        _ = [pair async for pair in videos]
    assert len(session.requests) == 1
