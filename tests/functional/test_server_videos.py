"""Videos on the embedded server: seeded objects, shown and exported with the service's mistakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import cast

import pytest

from datagym_async.server import (
    SeedDataset,
    SeedKeyframe,
    SeedMedia,
    SeedProject,
    SeedVideo,
    SeedVideoObject,
    Server,
)
from tests.helpers.service import Service, service

ENTRIES = [
    {
        "entryKey": "cup",
        "entryValue": "Cup",
        "type": "RECTANGLE",
        "children": [
            {
                "entryKey": "material",
                "entryValue": "Material",
                "type": "SELECT",
                "required": True,
                "options": {"glass": "Glass", "paper": "Paper"},
                "children": [
                    {"entryKey": "name", "entryValue": "Name", "type": "FREETEXT", "maxLength": 9}
                ],
            },
            {
                "entryKey": "tags",
                "entryValue": "Tags",
                "type": "CHECKLIST",
                "options": {"a": "A", "b": "B"},
            },
        ],
    },
    {"entryKey": "goal", "entryValue": "Goal", "type": "POLYGON"},
    {"entryKey": "ball", "entryValue": "Ball", "type": "POINT"},
    {"entryKey": "scene", "entryValue": "Scene", "type": "SELECT", "options": {"in": "In"}},
]
CUP = SeedVideoObject(
    "cup",
    [
        SeedKeyframe(0, (10, 20, 30.9, 40), "START", {"material": ["glass"], "name": ["mug"]}),
        SeedKeyframe(2, (12, 20, 30, 40), "END", {"tags": []}),
        SeedKeyframe(3, answers={"material": []}),
        SeedKeyframe(5, (12, -1, 30, 40), "START_END", {"name": ["cup"], "tags": ["a", "b"]}),
        SeedKeyframe(7, (1, 1, 1, 1), "START"),
    ],
)
GOAL = SeedVideoObject("goal", [SeedKeyframe(1, (1, 2, 3, 4, 5.5, 6), "START_END")])
BALL = SeedVideoObject("ball", [SeedKeyframe(2, (7.25, 8), "START_END"), SeedKeyframe(3, ())])


@pytest.fixture
async def film() -> AsyncIterator[tuple[Service, list[str], str]]:
    """A video's task with three objects: the service, the ids of the objects and of the task."""
    media = [SeedMedia("v.mp4", video=SeedVideo())]
    seed = SeedProject("Videos", [SeedDataset("d", media, "VIDEO")], media_type="VIDEO")
    async with Server() as server, service(server) as client:
        (project,) = await server.seed(seed)
        path = f"/config/{project.label_configuration_id}"
        assert (await client.ask("PUT", path, value=ENTRIES)).status == 200
        task_id = project.task_ids["v.mp4"]
        yield client, await server.add_video_objects(task_id, CUP, GOAL, BALL), task_id


async def test_export_of_a_video(film: tuple[Service, list[str], str]) -> None:
    """Keyframes come out as the service writes them: cut to whole pixels, mistakes included."""
    client, (cup, goal, ball), task_id = film
    view = (await client.ask("GET", f"/exportVideoTask/{task_id}/")).fields
    assert view["frames"] == {
        "0": [{"visibleObjectId": cup}],
        "1": [{"visibleObjectId": cup}, {"visibleObjectId": goal}],
        "2": [{"visibleObjectId": cup}, {"visibleObjectId": ball}],
        "5": [{"visibleObjectId": cup}],
    }
    objects = cast("Mapping[str, object]", view["object"])
    assert objects[cup] == {
        "0": {
            "rectangle": [{"x": 10, "y": 20, "w": 30, "h": 40}],
            "classifications": {"material": ["glass", {"name": ["mug"]}]},
        },
        "2": {
            "rectangle": [{"x": 12, "y": 20, "w": 30, "h": 40}],
            "classifications": {"tags": ["null"]},
        },
        "3": {"classifications": {"material": [None]}},
        "5": {
            "rectangle": [{"x": "null", "y": "null", "w": "null", "h": "null"}],
            "classifications": {"material": ["null", {"name": ["cup"]}], "tags": ["a", "b"]},
        },
        "7": {"rectangle": [{"x": 1, "y": 1, "w": 1, "h": 1}]},
    }
    assert objects[goal] == {"1": {"polygon": [{"x": 5.5, "Y": 6.0}]}}
    assert objects[ball] == {"2": {"point": [{"x": 7.25, "Y": 8.0}]}, "3": {"point": [{}]}}


async def test_keyframes_of_a_task(film: tuple[Service, list[str], str]) -> None:
    """The task shows each object with its key and its keyframes, and a global question without."""
    client, (cup, *_), task_id = film
    task = (await client.ask("GET", f"/task/{task_id}")).fields
    values = cast("Mapping[str, list[dict[str, object]]]", task["labelIteration"])["entryValues"]
    keys = {value["id"]: value["entryKeyLcEntry"] for value in values}
    assert sorted(map(str, keys.values())) == ["ball", "cup", "goal", "scene"]
    shown = next(value for value in values if value["id"] == cup)
    first = cast("list[dict[str, object]]", shown["change"])[0]
    assert {name: first[name] for name in ("frameNumber", "type", "x", "width")} == {
        "frameNumber": 0,
        "type": "START",
        "x": 10.0,
        "width": 30.9,
    }
    assert shown["point"] == {"id": cup, "x": None, "y": None}


async def test_completing_a_video(film: tuple[Service, list[str], str]) -> None:
    """A video with keyframes can be completed, and its global questions have no keyframes."""
    client, _, task_id = film
    known = (await client.ask("GET", f"/task/{task_id}")).fields["lastChangedConfig"]
    body = {"lastChangedConfig": known}
    reply = await client.ask("PUT", f"/task/{task_id}/completeTask", value=body)
    assert reply.fields == {"hasLabelConfigChanged": False, "currentTaskId": task_id}
    view = (await client.ask("GET", f"/exportVideoTask/{task_id}")).fields
    objects = cast("Mapping[str, object]", view["object"])
    assert [keyframes for keyframes in objects.values() if not keyframes] == [{}]


async def test_an_object_needs_its_task_and_its_entry(film: tuple[Service, list[str], str]) -> None:
    """An object of no task, or of a key that the configuration does not have, is a sentence."""
    client, _, task_id = film
    for task, words in ((task_id, "no geometry 'car'"), ("other", "no task other")):
        with pytest.raises(LookupError, match=words):
            await client.server.add_video_objects(task, SeedVideoObject("car"))


async def test_a_video_that_was_not_understood_breaks_the_export() -> None:
    """Without one of a video's figures the export of its whole project is 500."""
    media = [SeedMedia("v.mp4", video=SeedVideo(total_frames=None), state="COMPLETED")]
    seed = SeedProject("Videos", [SeedDataset("d", media, "VIDEO")], media_type="VIDEO")
    async with Server() as server, service(server) as client:
        (project,) = await server.seed(seed)
        reply = await client.ask("GET", f"/export/{project.id}")
        assert (reply.status, reply.key) == (500, "ex_system")
