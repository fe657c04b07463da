"""The route table: every call, its path, its replay column and its lane."""

from __future__ import annotations

import inspect

import orjson
import pytest

from datagym_async._wire import (
    BINARY_TYPE,
    JSON_TYPE,
    MAX_BITMAP,
    MAX_DOCUMENT,
    MAX_VALUE,
    Body,
    Lane,
    Replay,
    Request,
)
from datagym_async._wire import _routes as routes
from datagym_async.exceptions import ConfigurationError

BODY = Body.of_bytes(b"jpeg")
SAFE, SETTLE, NEVER = Replay.SAFE, Replay.SETTLE, Replay.NEVER
CALL, UPLOAD, DOWNLOAD = Lane.CALL, Lane.UPLOAD, Lane.DOWNLOAD

TABLE: dict[str, tuple[Request, str, Replay, Lane]] = {
    "check token": (routes.check_token(), "HEAD project", SAFE, CALL),
    "list projects": (routes.list_projects(), "GET project", SAFE, CALL),
    "add dataset": (routes.add_dataset("P", "D"), "POST project/P/dataset/D", SAFE, CALL),
    "remove dataset": (
        routes.remove_dataset("P", "D"),
        "DELETE project/P/dataset/D/remove",
        SAFE,
        CALL,
    ),
    "list datasets": (routes.list_datasets(), "GET dataset", SAFE, CALL),
    "get dataset": (routes.get_dataset("D"), "GET dataset/D", SAFE, CALL),
    "create dataset": (routes.create_dataset("n", ""), "POST dataset", SETTLE, CALL),
    "upload file": (
        routes.upload_file("D", "a.jpg", BODY, dialect="media"),
        "POST media/D/file",
        SETTLE,
        UPLOAD,
    ),
    "upload file, old": (
        routes.upload_file("D", "a.jpg", BODY, dialect="image"),
        "POST image/D/file",
        SETTLE,
        UPLOAD,
    ),
    "upload urls": (
        routes.upload_urls("D", ["u"], dialect="media"),
        "POST media/D/url",
        SETTLE,
        UPLOAD,
    ),
    "upload urls, old": (
        routes.upload_urls("D", ["u"], dialect="image"),
        "POST image/D/url",
        SETTLE,
        UPLOAD,
    ),
    "download": (routes.download_media("M", dialect="media"), "GET media/M", SAFE, DOWNLOAD),
    "download, old": (routes.download_media("M", dialect="image"), "GET image/M", SAFE, DOWNLOAD),
    "download a link": (
        routes.download_media("M", dialect="media", link=True),
        "GET media/M",
        NEVER,
        DOWNLOAD,
    ),
    "probe": (routes.probe_media("M", dialect="media"), "GET media/M", SAFE, CALL),
    "delete media": (routes.delete_media("M", dialect="media"), "DELETE media/M", SAFE, CALL),
    "delete media, old": (routes.delete_media("M", dialect="image"), "DELETE image/M", SAFE, CALL),
    "replace labels": (
        routes.import_predictions("P", [], keep_data=False),
        "POST project/P/prediction",
        SAFE,
        CALL,
    ),
    "append labels": (
        routes.import_predictions("P", [], keep_data=True),
        "POST project/P/prediction",
        NEVER,
        CALL,
    ),
    "export": (routes.export_labels("P"), "GET export/P", SAFE, DOWNLOAD),
    "export video": (routes.export_video("T"), "GET exportVideoTask/T", SAFE, DOWNLOAD),
    "bitmap": (
        routes.export_bitmap("T", "road surface"),
        "GET export/bitmap/T/road%20surface",
        SAFE,
        DOWNLOAD,
    ),
    "clear config": (routes.clear_config("C"), "DELETE config/C", SAFE, CALL),
    "upload config": (routes.upload_config("C", []), "PUT config/C", SETTLE, CALL),
    "list tasks": (routes.list_tasks("P", {"limit": "3"}), "GET task/P/list", SAFE, CALL),
    "get task": (routes.get_task("T"), "GET task/T", SAFE, CALL),
    "skip task": (routes.skip_task("T"), "PUT task/T/skipTask", SAFE, CALL),
    "complete task": (
        routes.complete_task("T", last_changed_config=5),
        "PUT task/T/completeTask",
        SAFE,
        CALL,
    ),
    "create value": (routes.create_value("E", {}), "POST lcValue/E", NEVER, CALL),
    "update value": (routes.update_value("V", {}), "PUT lcValue/V", SAFE, CALL),
    "delete value": (routes.delete_value("V"), "DELETE lcValue/V", SAFE, CALL),
    "change type": (routes.change_value_type("V", "E"), "PUT lcValue/V/changeType", SAFE, CALL),
    "prepare": (routes.prepare_segmentation("M"), "POST aiseg/M/prepare", SAFE, CALL),
    "calculate": (routes.calculate_segmentation({}), "POST aiseg/calculate", SAFE, CALL),
    "finish": (routes.finish_segmentation("M"), "DELETE aiseg/M/finish", SAFE, CALL),
}


@pytest.mark.parametrize(("request_", "line", "replay", "lane"), TABLE.values(), ids=TABLE)
def test_the_table(request_: Request, line: str, replay: Replay, lane: Lane) -> None:
    """Each call has the method and path of the documentation and the right retry column."""
    found = (f"{request_.method} {request_.path}", request_.replay, request_.lane)
    assert found == (line, replay, lane)


def test_every_route_is_in_the_table() -> None:
    """27 routes: the documented and the undocumented ones."""
    lines = {line.replace("image/", "media/") for _, line, _, _ in TABLE.values()}
    assert len(lines - {"HEAD project"}) == 27


BODIES = {
    "create dataset": (
        routes.create_dataset("n", "d"),
        {"name": "n", "shortDescription": "d"},
    ),
    "urls": (routes.upload_urls("D", ("u", "v"), dialect="media"), ["u", "v"]),
    "predictions": (
        routes.import_predictions("P", [{"internal_media_ID": "M"}], keep_data=False),
        [{"internal_media_ID": "M", "keepData": False}],
    ),
    "config": (routes.upload_config("C", [{"entryKey": "k"}]), [{"entryKey": "k"}]),
    "complete": (routes.complete_task("T", last_changed_config=5), {"lastChangedConfig": 5}),
    "create value": (
        routes.create_value("E", {"mediaId": "M"}),
        {"mediaId": "M", "lcEntryId": "E"},
    ),
    "update value": (routes.update_value("V", {"x": 1.5}), {"x": 1.5, "id": "V"}),
    "change type": (routes.change_value_type("V", "E"), {"newLcEntryId": "E"}),
}


@pytest.mark.parametrize(("request_", "value"), BODIES.values(), ids=BODIES)
def test_bodies_are_what_the_service_takes(request_: Request, value: object) -> None:
    """The service refuses unknown fields, so that these are all and no more."""
    assert request_.body is not None
    assert request_.body.data is not None
    assert orjson.loads(request_.body.data) == value
    assert (request_.body.content_type, request_.body.size) == (
        JSON_TYPE,
        len(request_.body.data),
    )


def test_an_upload_names_its_file_in_a_header() -> None:
    """The name travels encoded; the body is labelled as no form."""
    request = routes.upload_file("D", "täst.jpg", BODY, dialect="media")
    assert request.headers == {"X-filename": "t%C3%A4st.jpg"}
    assert request.body is not None
    assert request.body.content_type == BINARY_TYPE


BAD_IDS = ["", "   ", ".", "..", ". .", "a/b", "a\\b", "a;b", "a\nb", "../config/C", None, 5]


@pytest.mark.parametrize("value", BAD_IDS, ids=repr)
def test_an_id_cannot_lead_elsewhere(value: str) -> None:
    """An id that could change the route, or is none, is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="dataset id"):
        routes.get_dataset(value)


@pytest.mark.parametrize(
    ("value", "path"),
    [("a?b#c", "dataset/a%3Fb%23c"), ("%2F", "dataset/%252F"), ("é", "dataset/%C3%A9")],
)
def test_an_id_is_quoted(value: str, path: str) -> None:
    """Whatever else an id holds stays inside its segment of the path."""
    assert routes.get_dataset(value).path == path


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "<object object at .*> cannot be sent as JSON: Type is not JSON serializable"),
        ("a\udcff", r"^'a\\udcff' cannot be sent as JSON: it has half a character"),
        ({"b": [1, {"c\ud800": 2}]}, r"^'c\\ud800' cannot be sent as JSON"),
        (2**70, "^1180591620717411303424 cannot be sent as JSON: Integer exceeds"),
        ({5: 6}, "^{5: 6} cannot be sent as JSON: Dict key must be str"),
    ],
)
def test_what_json_cannot_carry_is_refused(value: object, words: str) -> None:
    """The part that is not JSON is named before anything is sent."""
    with pytest.raises(ConfigurationError, match=words):
        routes.json_body([{"entryKey": value}])


def test_endless_nesting_is_refused() -> None:
    """A list that contains itself."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ConfigurationError, match="cannot be sent as JSON: Recursion limit"):
        routes.json_body(endless)


def test_every_route_says_what_it_is() -> None:
    """Each public function of the route table has a docstring."""
    functions = inspect.getmembers(routes, inspect.isfunction)
    own = [(name, f) for name, f in functions if f.__module__ == routes.__name__]
    assert [name for name, f in own if not name.startswith("_") and not f.__doc__] == []


def test_what_is_read_whole_has_a_bound_of_its_kind() -> None:
    """What grows with a project or dataset may be long; a single value may not."""
    documents = [
        routes.list_datasets(),
        routes.get_dataset("1"),
        routes.export_labels("1"),
        routes.export_video("1"),
        routes.list_tasks("1", {}),
    ]
    assert {request.max_bytes for request in documents} == {MAX_DOCUMENT}
    assert routes.export_bitmap("1", "key").max_bytes == MAX_BITMAP
    assert routes.list_projects().max_bytes == routes.get_task("1").max_bytes == MAX_VALUE
    assert routes.download_media("1", dialect="media", max_bytes=5).max_bytes == 5
