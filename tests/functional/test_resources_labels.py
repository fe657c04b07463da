"""Labels, configurations, tasks, values and assisted segmentation."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from datagym_async.exceptions import (
    APIResponseValidationError,
    ConfigurationError,
    LabelConfigError,
    NotFoundError,
    RequestRefusedError,
)
from datagym_async.labels import LabelExport, Point
from datagym_async.models import StoredPoint, TaskState
from datagym_async.resources import (
    AiSegmentationResource,
    LabelConfigsResource,
    LabelsResource,
    TasksResource,
    ValuesResource,
)
from tests.helpers.examples import example
from tests.helpers.fake_session import FakeSession, answer, json_of, refusal

if TYPE_CHECKING:
    from datagym_async._wire import Response

VALUE = {"id": "V", "lcEntryId": "E", "entryTypeLcEntry": "POINT", "entryKeyLcEntry": "k"}
CONFIG = {"id": "C", "projectId": "P", "entries": []}


# --- exports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 13, 100_000], ids=["bytes", "pieces", "whole"])
@pytest.mark.parametrize(
    "name", ["01_export_image", "02_export_image_old_names", "03_export_video_project"]
)
async def test_a_streamed_export_is_the_whole_export(name: str, piece: int) -> None:
    """However the answer is cut, the tasks are those of the export read at once."""
    document = example(name)
    session = FakeSession([answer(document), answer(document)], piece=piece)
    labels = LabelsResource(session)
    whole = await labels.export("P")
    streamed = [task async for task in labels.iter_export("P")]
    assert tuple(streamed) == whole.tasks
    assert session.streams_open == 0


async def test_an_empty_export_has_no_tasks() -> None:
    """A project without finished tasks gives nothing, in both ways."""
    session = FakeSession([answer([]), answer([])])
    labels = LabelsResource(session)
    assert await labels.export("P") == LabelExport()
    assert [task async for task in labels.iter_export("P")] == []


async def test_an_export_left_early_is_closed() -> None:
    """The answer is closed when the iteration is."""
    session = FakeSession([answer(example("01_export_image"))])
    async with aclosing(LabelsResource(session).iter_export("P")) as tasks:
        first = await anext(tasks)
    assert (first.media_name, session.streams_open) == ("street_0001.jpg", 0)


GOOD_TASK = {"internal_media_ID": "M", "external_media_ID": "a.jpg", "status": "completed"}
BROKEN: dict[str, tuple[bytes, str, int]] = {
    "cut short": (orjson.dumps([GOOD_TASK] * 3)[:-20], "not JSON", 2),
    "no json": (b"[{'a': 1}]", "not JSON", 0),
    "web page": (b"\n<html>", "base_url", 0),
    "object": (b'{"a": 1}', "a list was expected", 0),
    "empty": (b"", "not JSON", 0),
    "wrong task": (orjson.dumps([GOOD_TASK, {"status": 5}]), r"\[1\]", 1),
}


@pytest.mark.parametrize(("body", "words", "before"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_export_ends_in_an_error(body: bytes, words: str, before: int) -> None:
    """What was whole is given; then the one error for such answers, and the answer is closed."""
    session = FakeSession([answer(body)])
    tasks = LabelsResource(session).iter_export("P")
    for _ in range(before):
        await anext(tasks)
    with pytest.raises(APIResponseValidationError, match=words):
        await anext(tasks)
    assert session.streams_open == 0


async def test_export_of_a_video() -> None:
    """A video's labels come by frame and by object."""
    session = FakeSession([answer(example("04_export_video_task"))])
    labels = await LabelsResource(session).export_video("T", with_classes=False)
    assert (session.sent, len(labels.frames)) == ([("GET", "exportVideoTask/T")], 12)


async def test_bitmaps() -> None:
    """A bitmap is its bytes; a web page is none."""
    page = answer(b"<html>", content_type="text/html")
    session = FakeSession([answer(b"BM", content_type="image/bmp"), page])
    assert await LabelsResource(session).bitmap("T", "road surface") == b"BM"
    with pytest.raises(APIResponseValidationError):
        await LabelsResource(session).bitmap("T", "road")


# --- configurations ------------------------------------------------------------------------------


ENTRY = {"entryKey": "car", "entryValue": "Car", "type": "RECTANGLE"}
PROJECTS = [
    {"id": "P", "name": "Street", "timestamp": 1, "labelConfigurationId": "C", "owner": "o"}
    | {"shortDescription": "", "description": None, "labelIterationId": "I", "datasets": []}
    | {"mediaType": "IMAGE"}
]


async def test_a_configuration_is_stored() -> None:
    """The entries are the body, and the answer is the configuration."""
    session = FakeSession([answer(example("10_label_config_view"))])
    config = await LabelConfigsResource(session).upload("C", [ENTRY])
    assert session.sent == [("PUT", "config/C")]
    assert json_of(session.requests[0]) == [{**ENTRY, "children": []}]
    assert len(config.entries) == 8


async def test_an_upload_that_replaces_reads_first() -> None:
    """Only on request is a configuration cleared; opened tasks are asked for before others."""
    no_task = [answer([]) for _ in range(8)]
    session = FakeSession(
        [answer(PROJECTS), *no_task, answer({"configId": "C"}), answer(CONFIG)],
    )
    await LabelConfigsResource(session).upload("C", [ENTRY], replace=True, backup=None)
    assert session.sent == [
        ("GET", "project"),
        *[("GET", "task/P/list")] * 8,
        ("DELETE", "config/C"),
        ("PUT", "config/C"),
    ]
    asked = [dict(request.query)["state"] for request in session.requests[1:9]]
    assert (asked[0], asked[-1]) == ("COMPLETED", "BACKLOG")


async def test_a_configuration_that_nothing_shows_is_not_destroyed() -> None:
    """Without a task it can be filled while it is empty; to give it up is asked for."""
    no_task = [answer([]) for _ in range(8)]
    stored = FakeSession([answer(PROJECTS), *no_task, answer(CONFIG)])
    await LabelConfigsResource(stored).upload("C", [ENTRY], replace=True)
    assert stored.sent[-1] == ("PUT", "config/C")

    full = FakeSession([answer(PROJECTS), *no_task, not_cleared(1)])
    with pytest.raises(LabelConfigError, match="attach a dataset"):
        await LabelConfigsResource(full).upload("C", [ENTRY], replace=True)


async def test_a_configuration_of_no_project() -> None:
    """An id that no project names is said before anything is asked of it."""
    session = FakeSession([answer(PROJECTS)])
    with pytest.raises(ConfigurationError, match="'D'"):
        await LabelConfigsResource(session).upload("D", [ENTRY], replace=True)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"entryKey": {1}}], "entryKey"),
        ([{**ENTRY, "entryKey": "line"}], "word of the service"),
        ([], "no entries"),
    ],
)
async def test_entries_that_cannot_be_stored_clear_nothing(
    entries: list[dict[str, object]], words: str
) -> None:
    """What breaks a rule is found before anything is asked."""
    session = FakeSession()
    with pytest.raises(LabelConfigError, match=words):
        await LabelConfigsResource(session).upload("C", entries, replace=True)
    assert session.requests == []


NOT_CLEARED = "ex_gen_config_not_cleared"


def not_cleared(attempts: int) -> RequestRefusedError:
    return RequestRefusedError("not empty", status=500, key=NOT_CLEARED, attempts=attempts)


async def test_a_full_configuration_is_not_replaced_unasked() -> None:
    """Refused at the first attempt: it was full, and nothing is unknown."""
    session = FakeSession([not_cleared(1)])
    with pytest.raises(RequestRefusedError) as caught:
        await LabelConfigsResource(session).upload("C", [])
    assert caught.value.unknown is False


async def test_a_refusal_after_a_lost_answer_is_unknown() -> None:
    """The first attempt may have filled it; that is said, and nothing is cleared."""
    session = FakeSession([not_cleared(2)])
    with pytest.raises(RequestRefusedError) as caught:
        await LabelConfigsResource(session).upload("C", [])
    assert caught.value.unknown is True
    assert session.sent == [("PUT", "config/C")]


@pytest.mark.parametrize("attempts", [1, 2])
async def test_replacing_survives_a_lost_answer(attempts: int) -> None:
    """It was cleared, so that it was our own lost attempt that filled it: once more."""
    cleared = answer({"configId": "C"})
    no_task = [answer([]) for _ in range(8)]
    session = FakeSession(
        [answer(PROJECTS), *no_task, cleared, not_cleared(attempts), cleared, answer(CONFIG)]
    )
    config = await LabelConfigsResource(session).upload("C", [ENTRY], replace=True, backup=None)
    assert (config.id, session.sent[-4:]) == (
        "C",
        [("DELETE", "config/C"), ("PUT", "config/C")] * 2,
    )


# --- tasks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, {}),
        ({"state": TaskState.COMPLETED}, {"state": "COMPLETED"}),
        ({"state": "waiting_changed", "search": "street 1", "limit": 5},
         {"state": "WAITING_CHANGED", "search": "street 1", "limit": "5"}),
    ],
    ids=["default", "state", "all"],
)  # fmt: skip
async def test_listing_tasks(options: dict[str, Any], query: dict[str, str]) -> None:
    """Only what was asked for is in the query."""
    session = FakeSession([answer(example("13_tasks", "list"))])
    tasks = await TasksResource(session).list("P", **options)
    assert (session.requests[0].query, len(tasks)) == (query, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state": "done"}, "use one of backlog, waiting"),
        ({"state": "UNKNOWN"}, "unknown"),
        ({"search": "a.jpg"}, "search"),
        ({"limit": -1}, "limit"),
    ],
    ids=["state", "fallback", "search", "limit"],
)
async def test_what_the_service_refuses_is_said_before(options: dict[str, Any], words: str) -> None:
    """A wrong state, a dot or a negative limit gets an empty 400 or a 500 from the service."""
    with pytest.raises(ConfigurationError, match=words):
        await TasksResource(FakeSession()).list("P", **options)


async def test_tasks_one_by_one() -> None:
    """Reading, skipping and completing; a newer configuration means not completed."""
    changed = answer(example("13_tasks", "complete_response_config_changed"))
    session = FakeSession([answer(example("13_tasks", "detail")), answer(None), changed])
    tasks = TasksResource(session)
    detail = await tasks.get("T")
    await tasks.skip("T")
    result = await tasks.complete("T", last_changed_config=detail.last_changed_config)
    assert result.completed is False
    assert json_of(session.requests[2]) == example("13_tasks", "complete_request")


# --- values --------------------------------------------------------------------------------------


async def test_a_value_is_created_empty() -> None:
    """Only what is known is sent; the answer is the empty value."""
    session = FakeSession([answer(VALUE)])
    value = await ValuesResource(session).create("E", iteration_id="I", media_id="M", task_id="T")
    assert json_of(session.requests[0]) == {
        "iterationId": "I",
        "mediaId": "M",
        "labelTaskId": "T",
        "lcEntryId": "E",
    }
    assert value.id == "V"


UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "point": ({"x": 0, "y": 1.5}, {"x": 0, "y": 1.5}),
    "rectangle": (
        {"x": 1, "y": 2, "width": 3, "height": 4},
        {"x": 1, "y": 2, "width": 3, "height": 4},
    ),
    "line": ({"points": [Point(1, 2)]}, {"points": [{"x": 1, "y": 2}]}),
    "segmentation": (
        {"rings": [[Point(1, 2)], []]},
        {"pointsCollection": [{"points": [{"x": 1, "y": 2}]}, {"points": []}]},
    ),
    "select": ({"select_key": "bus"}, {"selectKey": "bus"}),
    "checklist": ({"checked_values": ("a", "b")}, {"checkedValues": ["a", "b"]}),
    "unticked": ({"checked_values": ()}, {"checkedValues": []}),
    "text": (
        {"text": "", "comment": "c", "valid": True},
        {"text": "", "comment": "c", "valid": True},
    ),
}


@pytest.mark.parametrize(("fields", "body"), UPDATES.values(), ids=UPDATES)
async def test_values_are_updated(fields: dict[str, Any], body: dict[str, Any]) -> None:
    """The ids go along, the id of the value included; empty is not absent."""
    session = FakeSession([answer(VALUE)])
    await ValuesResource(session).update("V", entry_id="E", task_id="T", **fields)
    expected = {"id": "V", "lcEntryId": "E", "labelTaskId": "T", **body}
    assert json_of(session.requests[0]) == expected


VALUE_DELETES: dict[str, tuple[Response, bool]] = {
    "deleted": (answer(None), True),
    "gone": (refusal(404, "ex_notfound", "Label Entry Value", "id", "V"), False),
}


@pytest.mark.parametrize(("response", "deleted"), VALUE_DELETES.values(), ids=VALUE_DELETES)
async def test_values_are_deleted(response: Response, deleted: bool) -> None:
    """What is gone is gone."""
    assert await ValuesResource(FakeSession([response])).delete("V") is deleted


async def test_an_unknown_route_deletes_no_value() -> None:
    """A 404 without a key speaks of the address."""
    with pytest.raises(NotFoundError):
        await ValuesResource(FakeSession([answer(b"", status=404)])).delete("V")


async def test_values_change_their_entry() -> None:
    """The new entry is all that is sent."""
    session = FakeSession([answer(VALUE)])
    await ValuesResource(session).change_type("V", "F")
    assert json_of(session.requests[0]) == {"newLcEntryId": "F"}


# --- assisted segmentation -----------------------------------------------------------------------


async def test_assisted_segmentation() -> None:
    """Prepare, calculate, finish: the outline comes back as points."""
    outline = {"imageId": "M", "result": [{"x": 1, "y": 2.5}]}
    session = FakeSession([answer(None), answer(outline), answer(None)])
    assisted = AiSegmentationResource(session)
    await assisted.prepare("M")
    result = await assisted.calculate("M", positive_points=[Point(3, 4)], num_points=9)
    await assisted.finish("M")
    assert result.points == (StoredPoint(1.0, 2.5),)
    assert json_of(session.requests[1]) == {
        "imageId": "M",
        "positivePoints": [{"x": 3, "y": 4}],
        "negativePoints": [],
        "numPoints": 9,
    }
