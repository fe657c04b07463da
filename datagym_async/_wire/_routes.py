"""A function for every call of the service's API, which returns its `Request`.

The media routes begin with ``image`` in the public documentation, and with ``media`` on current
servers.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, unquote

import orjson

from datagym_async._checks import shown
from datagym_async._printable import quoted
from datagym_async._wire._messages import (
    JSON_TYPE,
    MAX_BITMAP,
    MAX_DOCUMENT,
    MAX_IN_MEMORY,
    NONE,
    Body,
    Lane,
    Replay,
    Request,
)
from datagym_async.exceptions import ConfigurationError
from datagym_async.models import MediaSourceType
from datagym_async.models import _ids as ids
from datagym_async.models._names import encode_name

Dialect: TypeAlias = Literal["image", "media"]

_SETTLE: Final = Replay.SETTLE  # to ask an enum for its member costs as much as a call
_UPLOAD: Final = Lane.UPLOAD
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
# Images are compressed already, and a gzip body that a gateway has cut off looks whole to aiohttp.
_AS_IT_IS = MappingProxyType({"Accept-Encoding": "identity"})  # known to be the same again
_STEERING = re.compile(r"[/\\;]")
_DEEPEST = 254  # levels of what orjson writes
_HALVES = re.compile("[\ud800-\udfff]")  # of characters, which no coding takes


def segment(value: object, what: str) -> str:
    """Return an id or key quoted for a path; one that could lead elsewhere is refused."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value  # as all ids of the service are
    value = ids.id_of(value, what)
    if not value.strip():
        raise ConfigurationError(f"The {what} is empty; pass the id from the service.")
    # The service unquotes %2F and resolves dots before it chooses the route.
    if value.strip(". ") == "" or not value.isprintable() or _STEERING.search(value):
        raise ConfigurationError(
            f"The {what} {quoted(value[:80])} cannot be part of a path; pass the id from the "
            "service."
        )
    return quote(value, safe="")


def json_body(value: object) -> Body:
    """Return a request body in JSON, or raise `ConfigurationError` if JSON cannot carry it."""
    data, why = _dumped(value)
    if why:
        found = _innermost(value)
        why = "it has half a character" if isinstance(found, str) else why
        raise ConfigurationError(f"{shown(found)} cannot be sent as JSON: {why}.")
    return Body.of_bytes(data, content_type=JSON_TYPE)


def _dumped(value: object) -> tuple[bytes, str]:
    """Return a value in JSON, or why there is none."""
    try:
        # Labels of models have numbers of numpy.
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), ""
    except orjson.JSONEncodeError as error:
        return b"", str(error)


def _innermost(value: object) -> object:
    """Return the part of a value that JSON cannot carry, or that is nested too deeply."""
    for _ in range(_DEEPEST):
        inside = value if isinstance(value, list | tuple) else ()
        inside = (*value, *value.values()) if isinstance(value, dict) else inside
        wrong = [each for each in inside if _dumped(each)[1]]
        if not wrong:
            break
        value = wrong[0]
    return value


# --- projects ------------------------------------------------------------------------------------


def check_token() -> Request:
    """HEAD project: is the token good?"""
    return Request("HEAD", "project")


def list_projects() -> Request:
    """GET project."""
    return Request("GET", "project")


def add_dataset(project_id: ids.ProjectId, dataset_id: ids.DatasetId) -> Request:
    """POST project/…/dataset/…: repeated, it answers 412 ``ex_already_contains``."""
    return Request("POST", _project_dataset(project_id, dataset_id))


def remove_dataset(project_id: ids.ProjectId, dataset_id: ids.DatasetId) -> Request:
    """DELETE project/…/dataset/…/remove: repeated, it answers ``ex_gen_does_not_contain``."""
    return Request("DELETE", f"{_project_dataset(project_id, dataset_id)}/remove")


def _project_dataset(project_id: ids.ProjectId, dataset_id: ids.DatasetId) -> str:
    project, dataset = segment(project_id, "project id"), segment(dataset_id, "dataset id")
    return f"project/{project}/dataset/{dataset}"


# --- datasets ------------------------------------------------------------------------------------


def list_datasets() -> Request:
    """GET dataset: all datasets with all their media."""
    return Request("GET", "dataset", max_bytes=MAX_DOCUMENT)


def get_dataset(dataset_id: ids.DatasetId) -> Request:
    """GET dataset/…."""
    path = f"dataset/{segment(dataset_id, 'dataset id')}"
    return Request("GET", path, max_bytes=MAX_DOCUMENT)


def create_dataset(name: str, short_description: str) -> Request:
    """POST dataset: it takes these two fields and answers 400 to any other."""
    body = json_body({"name": name, "shortDescription": short_description})
    return Request("POST", "dataset", body=body, replay=Replay.SETTLE)


# --- media ---------------------------------------------------------------------------------------


def upload_file(dataset_id: ids.DatasetId, name: str, body: Body, *, dialect: Dialect) -> Request:
    """POST media/…/file: raw bytes, with the name in a header."""
    # Called for each file: so the path is kept, and the fields are given by position, since names
    # make a dict for the call.
    path = _file_path(dialect, ids.id_of(dataset_id, "dataset id"))
    headers = {"X-filename": encode_name(name)}
    return Request("POST", path, NONE, headers, body, _SETTLE, _UPLOAD)


@functools.lru_cache(64)
def _file_path(dialect: Dialect, dataset_id: str) -> str:
    return f"{dialect}/{segment(dataset_id, 'dataset id')}/file"


def upload_urls(dataset_id: ids.DatasetId, urls: Sequence[str], *, dialect: Dialect) -> Request:
    """POST media/…/url: repeated, it answers DUPLICATE for what it has stored.

    Two at once store an address twice (observed), so that a repetition waits as SETTLE does.
    """
    path = f"{dialect}/{segment(dataset_id, 'dataset id')}/url"
    body = json_body(list(urls))
    return Request("POST", path, body=body, replay=Replay.SETTLE, lane=Lane.UPLOAD)


def download_media(
    media_id: ids.MediaId, *, dialect: Dialect, link: bool = False, max_bytes: int = MAX_IN_MEMORY
) -> Request:
    """GET media/….

    A GET of a link that the service cannot serve marks the media invalid and moves its tasks to
    SKIPPED (observed), so that it is not repeated.
    """
    link |= getattr(media_id, "source_type", None) is MediaSourceType.SHAREABLE_LINK
    return Request(
        "GET",
        f"{dialect}/{segment(media_id, 'media id')}",
        headers=_AS_IT_IS,
        replay=Replay.NEVER if link else Replay.SAFE,
        lane=Lane.DOWNLOAD,
        max_bytes=max_bytes,
        gives_bytes=True,
    )


def probe_media(media_id: ids.MediaId, *, dialect: Dialect) -> Request:
    """GET media/… of an id that does not exist: does the service know the route?"""
    return Request("GET", f"{dialect}/{segment(media_id, 'media id')}")


def delete_media(media_id: ids.MediaId, *, dialect: Dialect) -> Request:
    """DELETE media/…: repeated, it answers ``ex_gen_image_delete``."""
    return Request("DELETE", f"{dialect}/{segment(media_id, 'media id')}")


# --- labels --------------------------------------------------------------------------------------


def import_predictions(
    project_id: ids.ProjectId, predictions: Sequence[Mapping[str, object]], *, keep_data: bool
) -> Request:
    """POST project/…/prediction: replaces the labels of each media, or appends to them."""
    return Request(
        "POST",
        f"project/{segment(project_id, 'project id')}/prediction",
        body=json_body([{**prediction, "keepData": keep_data} for prediction in predictions]),
        replay=Replay.NEVER if keep_data else Replay.SAFE,
    )


def export_labels(project_id: ids.ProjectId) -> Request:
    """GET export/…."""
    path = f"export/{segment(project_id, 'project id')}"
    return Request("GET", path, lane=Lane.DOWNLOAD, max_bytes=MAX_DOCUMENT)


def export_video(task_id: ids.TaskId) -> Request:
    """GET exportVideoTask/…."""
    path = f"exportVideoTask/{segment(task_id, 'task id')}"
    return Request("GET", path, lane=Lane.DOWNLOAD, max_bytes=MAX_DOCUMENT)


def export_bitmap(task_id: ids.TaskId, export_key: str) -> Request:
    """GET export/bitmap/…/…."""
    task, key = segment(task_id, "task id"), segment(export_key, "export key")
    path = f"export/bitmap/{task}/{key}"
    return Request("GET", path, lane=Lane.DOWNLOAD, max_bytes=MAX_BITMAP, gives_bytes=True)


# --- label configurations ------------------------------------------------------------------------


def clear_config(config_id: ids.ConfigId) -> Request:
    """DELETE config/…: it destroys every label of the project; repeated, it does nothing more."""
    return Request("DELETE", f"config/{segment(config_id, 'configuration id')}")


def upload_config(config_id: ids.ConfigId, entries: Sequence[Mapping[str, object]]) -> Request:
    """PUT config/…: repeated, it answers ``ex_gen_config_not_cleared``.

    Two at once store every key twice (observed), so that a repetition waits as SETTLE does.
    """
    return Request(
        "PUT",
        f"config/{segment(config_id, 'configuration id')}",
        body=json_body(list(entries)),
        replay=Replay.SETTLE,
    )


# --- tasks ---------------------------------------------------------------------------------------


def list_tasks(project_id: ids.ProjectId, query: Mapping[str, str]) -> Request:
    """GET task/…/list."""
    path = f"task/{segment(project_id, 'project id')}/list"
    return Request("GET", path, query=dict(query), max_bytes=MAX_DOCUMENT)


def get_task(task_id: ids.TaskId) -> Request:
    """GET task/…: it creates missing classification values, once."""
    return Request("GET", f"task/{segment(task_id, 'task id')}")


def skip_task(task_id: ids.TaskId) -> Request:
    """PUT task/…/skipTask."""
    return Request("PUT", f"task/{segment(task_id, 'task id')}/skipTask")


def complete_task(task_id: ids.TaskId, *, last_changed_config: int) -> Request:
    """PUT task/…/completeTask."""
    path = f"task/{segment(task_id, 'task id')}/completeTask"
    return Request("PUT", path, body=json_body({"lastChangedConfig": last_changed_config}))


# --- label values --------------------------------------------------------------------------------


def create_value(entry_id: ids.EntryId, fields: Mapping[str, object]) -> Request:
    """POST lcValue/<entry>: repeated, it creates a second value."""
    path = f"lcValue/{segment(entry_id, 'entry id')}"
    body = json_body({**fields, "lcEntryId": ids.id_of(entry_id, "entry id")})
    return Request("POST", path, body=body, replay=Replay.NEVER)


def update_value(value_id: ids.ValueId, fields: Mapping[str, object]) -> Request:
    """PUT lcValue/<value>: the id must be in the body too, or 500 is the answer."""
    path = f"lcValue/{segment(value_id, 'value id')}"
    return Request("PUT", path, body=json_body({**fields, "id": ids.id_of(value_id, "value id")}))


def delete_value(value_id: ids.ValueId) -> Request:
    """DELETE lcValue/<value>: repeated, it answers 404."""
    return Request("DELETE", f"lcValue/{segment(value_id, 'value id')}")


def change_value_type(value_id: ids.ValueId, new_entry_id: ids.EntryId) -> Request:
    """PUT lcValue/<value>/changeType: repeated, it answers ``ex_gen_entry_types_are_the_same``."""
    path = f"lcValue/{segment(value_id, 'value id')}/changeType"
    return Request(
        "PUT", path, body=json_body({"newLcEntryId": ids.id_of(new_entry_id, "entry id")})
    )


# --- assisted segmentation -----------------------------------------------------------------------


def prepare_segmentation(media_id: ids.MediaId) -> Request:
    """POST aiseg/…/prepare."""
    return Request("POST", f"aiseg/{segment(media_id, 'media id')}/prepare")


def calculate_segmentation(fields: Mapping[str, object]) -> Request:
    """POST aiseg/calculate."""
    return Request("POST", "aiseg/calculate", body=json_body(fields))


def finish_segmentation(media_id: ids.MediaId) -> Request:
    """DELETE aiseg/…/finish."""
    return Request("DELETE", f"aiseg/{segment(media_id, 'media id')}/finish")


# --- any other route -----------------------------------------------------------------------------


def raw_request(
    method: object, path: object, query: object, json: object, safe_to_repeat: bool | None
) -> Request:
    """Return a request to any other route, or raise `ConfigurationError` for a wrong argument."""
    if not (isinstance(method, str) and method.isascii() and method.isalpha()):
        raise ConfigurationError(f"The method is {method!r}; give GET, POST, PUT, DELETE or HEAD")
    if not isinstance(path, str) or "?" in path or "#" in path or "://" in path:
        raise ConfigurationError(
            f"The path is {str(path)[:80]!r}; give a path below api/v1/, "
            "and the query as query={...}"
        )
    # A URL contains only text; None would be sent as "None", half a character not at all.
    if not isinstance(query, Mapping) or not all(
        isinstance(each, str) and not _HALVES.search(each) for each in (*query, *query.values())
    ):
        raise ConfigurationError('The query must map names to texts: query={"state": "OPEN"}')
    parts = path.strip("/").removeprefix("api/v1/").split("/")
    safe = method.upper() in {"GET", "HEAD"} if safe_to_repeat is None else safe_to_repeat
    return Request(
        method.upper(),
        "/".join(segment(unquote(part), "part of the path") for part in parts),
        query=query,
        body=None if json is None else json_body(json),
        replay=Replay.SAFE if safe else Replay.NEVER,
    )
