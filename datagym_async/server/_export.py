"""Exports: all finished tasks of a project, and the keyframes of one video."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote_plus

import orjson
from aiohttp import web

from ._call import Call, Route
from ._entries import SEGMENTATION, EntryTree, load_entries
from ._errors import refuse
from ._export_view import classifications_view, label_classes, labels_view
from ._label_tasks import find_label_task
from ._media import form_encoded
from ._projects import find_project
from ._render import Json
from ._service import Service
from ._store import Row, Store, now
from ._value_tree import Value, load_values
from ._video_view import keyframes_view, visible_frames

__all__ = ["EXPORTED", "ROUTES"]

EXPORTED: Final = ("COMPLETED", "SKIPPED", "REVIEWED")
"""The states of tasks that are finished."""


async def export_project(call: Call) -> web.StreamResponse:
    """GET /export/{project_id}: from here on the service pretty-prints everything."""
    store = call.service.store
    project = await find_project(store, call.ids["project_id"])
    rows = await _finished_tasks(store, project)
    tree = await load_entries(store, project["config_id"])
    tasks = [await _task(call.service, project, tree, row) for row in rows]
    overview: list[Json] = [{"label_classes": label_classes(tree)}] if tasks else []
    call.service.pretty = True
    return _attachment(call, [*overview, *tasks], project["name"])


async def export_video(call: Call) -> web.StreamResponse:
    """GET /exportVideoTask/{task_id}: in any state; keyframes are seeded, no route makes them."""
    store = call.service.store
    found = await find_label_task(store, call.ids["task_id"], what="Task")
    if found.project["media_type"] != "VIDEO":
        raise refuse("ex_gen_invalid_project_mediatype")
    tree = await load_entries(store, found.project["config_id"])
    values = await load_values(store, found.id, tree)
    view: Json = {
        "frames": visible_frames(values),
        "object": {value.id: keyframes_view(value) for value in values},
    }
    response = _attachment(call, view, found.id)
    response.headers["Content-Type"] = "application/json;charset=UTF-8"
    return response


async def _finished_tasks(store: Store, project: Row) -> list[Row]:
    return await store.rows(
        "SELECT t.*, m.name AS media_name, m.source, m.video_json, m.width, m.height"
        " FROM task t JOIN media m ON m.id = t.media_id"
        " WHERE t.project_id = ? AND t.type IN ('DEFAULT', 'BENCHMARK_MASTER')"
        " AND t.state IN (?, ?, ?) AND m.deleted_at IS NULL ORDER BY t.seq",
        project["id"],
        *EXPORTED,
    )


async def _task(service: Service, project: Row, tree: EntryTree, row: Row) -> Json:
    head: dict[str, Json] = {
        "internal_media_ID": row["media_id"],
        "external_media_ID": row["media_name"],
        "labeler": row["labeler"],
        "status": row["state"].lower(),
    }
    if project["media_type"] == "VIDEO":
        return {**head, **_video(service, row)}
    values = await load_values(service.store, row["id"], tree)
    if urls := _segmentations(service, row["id"], values):
        head["segmentations"] = urls
    return {
        **head,
        "global_classifications": classifications_view(values),
        "labels": labels_view(values),
    }


def _segmentations(service: Service, task_id: str, values: Iterable[Value]) -> list[Json]:
    drawn = [value for value in values if value.entry.type == SEGMENTATION and value.valid]
    keys = sorted({value.entry.key for value in drawn})
    base = f"{service.base_url}/api/v1/export/bitmap/{task_id}"
    return [f"{base}/{quote_plus(key)}" for key in keys]


def _video(service: Service, row: Row) -> dict[str, Json]:
    view: dict[str, Json] = {
        "task_export_url": f"{service.base_url}/api/v1/exportVideoTask/{row['id']}/"
    }
    if row["source"] == "AWS_S3":
        video = orjson.loads(row["video_json"])
        if None in (row["height"], row["width"], *video.values()):
            # What the parser did not find out brings the whole export down.
            raise refuse("ex_system")
        view |= {
            "video_height": str(row["height"]),
            "video_width": str(row["width"]),
            "video_total_frames": str(video["total_frames"]),
            "video_frame_rate": str(video["frame_rate"]),
            "video_duration": str(video["duration"]),
        }
    return view


def _attachment(call: Call, view: Json, name: str) -> web.StreamResponse:
    headers = {"Content-Type": "application/json"}
    response = web.Response(body=call.service.render(view), headers=headers)
    filename = f"datagym_export_{now()}_{form_encoded(name)}.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


ROUTES: Final = (
    Route("GET", "/export/{project_id}", export_project),
    Route("GET", "/exportVideoTask/{task_id}", export_video, anonymous="ex_forbidden"),
)
