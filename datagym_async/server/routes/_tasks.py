"""Tasks: listed, shown, completed (which checks their values), skipped."""

import re
from collections.abc import Iterable
from typing import Final

import attrs
from aiohttp import web

from datagym_async.server._answers import (
    NOT_NULL,
    WORDS,
    EmptyAnswer,
    Json,
    items_of,
    pattern,
    read_number,
    refuse,
    require,
)
from datagym_async.server._labels import (
    SEGMENTATION,
    TASK_STATES,
    Value,
    entries_of,
    find_label_task,
    value_view,
    walk,
    with_globals,
)
from datagym_async.server._service import Call, Route, Service
from datagym_async.server._store import columns, fold
from datagym_async.server.routes._configs import config_view
from datagym_async.server.routes._media import media_view
from datagym_async.server.routes._projects import PROJECT

# Shorter words of a search, and numbers, are ignored.
_SHORTEST_WORD: Final = 3
_LEAST_POINTS: Final = {"LINE": 2, "POLYGON": 3}


async def list_tasks(call: Call) -> web.StreamResponse:
    """GET /task/{project_id}/list: of one state (default WAITING), without deleted media."""
    query = call.request.query
    state = query.get("state") or "WAITING"
    if state not in TASK_STATES:
        raise EmptyAnswer(400)
    limit = (query.get("limit") or "0").strip()
    # A number of 32 bits, as the service's framework reads it.
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", limit) or abs(int(limit)) >= 1 << 31:
        raise EmptyAnswer(400)
    search = query.get("search", "")
    # The name of this field has too many words for the service's message, so it is empty.
    require([("", search, pattern(WORDS))])
    project = await call.service.store.find("Project", PROJECT, call.ids["project_id"])
    if int(limit) < 0:
        raise refuse("ex_system")
    sql = (
        "SELECT t.id AS task_id, t.project_id, p.name AS project_name, t.state AS label_task_state,"
        " t.type AS label_task_type, t.pre_label_state, t.media_id, m.name AS media_name,"
        " t.labeler, p.iteration_id, t.review_comment, t.has_json_upload, p.iteration_run, m.folded"
        " FROM task t JOIN media m ON m.id = t.media_id JOIN project p ON p.id = t.project_id"
        " WHERE t.project_id = ? AND t.state = ? AND t.type <> 'BENCHMARK_SLAVE'"
        " AND m.deleted_at IS NULL ORDER BY m.folded, t.seq"
    )
    rows = await call.service.store.rows(sql, project["id"], state)
    words = {fold(word) for word in search.split() if len(word) >= _SHORTEST_WORD}
    words = {word for word in words if not word.isdigit()}
    if words:
        texts = ((row, row["folded"], fold(row["labeler"] or "")) for row in rows)
        rows = [row for row, *own in texts if all(any(w in text for text in own) for w in words)]
    rows = rows[: int(limit) or None]
    shown = (
        "taskId projectId projectName labelTaskState labelTaskType preLabelState mediaId mediaName"
        " labeler iterationId reviewComment hasJsonUpload iterationRun"
    )
    views: list[Json] = [
        {
            **columns(row, shown),
            "hasJsonUpload": bool(row["has_json_upload"]),
            "benchmark": row["label_task_type"] != "DEFAULT",
        }
        for row in rows
    ]
    return call.answer(views)


async def show(call: Call) -> web.StreamResponse:
    """GET /task/{task_id}: it also makes missing empty global classifications."""
    async with call.service.store.writing() as db:
        found = await find_label_task(db, call.ids["task_id"])
        media = media_view(call.service, found.media)
        if found.media["source"] == "AWS_S3" and media["url"] is None:
            raise refuse("ex_service_unavailable", "aws")
        task, project = found.task, found.project
        entries = entries_of(project)
        values = await with_globals(db, found.id, entries)
        dataset = await db.row("SELECT * FROM dataset WHERE id = ?", found.media["dataset_id"])
        view: dict[str, Json] = {
            "taskId": found.id,
            "labelTaskState": task["state"],
            "projectName": project["name"],
            "labelConfig": await config_view(db, project, entries),
            "labelIteration": {
                "id": project["iteration_id"],
                "projectId": project["id"],
                "run": project["iteration_run"],
                "entryValues": [value_view(value, found) for value in values],
            },
            "media": media,
            "reviewComment": task["review_comment"],
            "aiSegLimitReached": False,
            "lastChangedConfig": project["config_timestamp"],
            "reviewActivated": bool(project["review_activated"]),
            "projectType": project["media_type"],
            "datasetId": dataset["id"] if dataset else None,
            "datasetName": dataset["name"] if dataset else None,
        }
    return call.answer(view)


async def complete(call: Call) -> web.StreamResponse:
    """PUT /task/{task_id}/completeTask: from any state, if the values are complete."""
    body = await call.json_object("lastChangedConfig")
    known = read_number(body.get("lastChangedConfig"), int)
    if known is not None and abs(known) >= 1 << 63:
        raise EmptyAnswer(400)
    require([("", known, NOT_NULL)])
    async with call.service.store.writing() as db:
        found = await find_label_task(db, call.ids["task_id"])
        stale = known is not None and known < found.project["config_timestamp"]
        if not stale:
            _count_label(call.service)
            values = await with_globals(db, found.id, entries_of(found.project))
            invalid = first_invalid(values, video=found.project["media_type"] == "VIDEO")
            if invalid is not None:
                raise refuse("ex_gen_entry_value_validation", invalid.entry.type, invalid.id)
            await db.run("UPDATE lc_value SET valid = 1 WHERE task_id = ?", found.id)
            await db.run("UPDATE task SET state = 'COMPLETED' WHERE id = ?", found.id)
    return call.answer({"hasLabelConfigChanged": stale, "currentTaskId": found.id})


async def skip(call: Call) -> web.StreamResponse:
    """PUT /task/{task_id}/skipTask: from any state."""
    async with call.service.store.writing() as db:
        found = await find_label_task(db, call.ids["task_id"])
        _count_label(call.service)
        await db.run("UPDATE task SET state = 'SKIPPED' WHERE id = ?", found.id)
    return web.Response()


def _count_label(service: Service) -> None:
    plan = service.plan
    if plan.label_limit is not None and plan.labels_used >= plan.label_limit:
        raise refuse("ex_limit", "Label", str(plan.label_limit + 1), str(plan.label_limit))
    service.plan = attrs.evolve(plan, labels_used=plan.labels_used + 1)


def first_invalid(values: Iterable[Value], *, video: bool) -> Value | None:
    """Return the first incomplete value, or None; in a video geometries need keyframes."""
    for value in walk(values):
        if video and items_of(value.payload.get("change")):
            continue
        if (video and value.entry.is_geometry) or not is_valid(value):
            return value
    return None


def is_valid(value: Value) -> bool:
    payload, kind = value.payload, value.entry.type
    if kind in ("POINT", "RECTANGLE"):
        return None not in payload.values()
    if kind in _LEAST_POINTS:
        return len(items_of(payload.get("points"))) >= _LEAST_POINTS[kind]
    if kind == SEGMENTATION:
        return len(items_of(payload.get("pointsCollection"))) > 0
    entry = value.entry
    if kind == "FREETEXT":
        text = payload.get("text")
        long = isinstance(text, str) and len(text) > (entry.max_length or 255)
        return not long and (bool(text) or not entry.required)
    if not entry.required:
        return True
    if kind == "SELECT":
        return payload.get("selectKey") in entry.options
    checked = items_of(payload.get("checkedValues"))
    return len(checked) > 0 and all(key in entry.options for key in checked)


async def has_no_ai(call: Call) -> web.StreamResponse:
    """AI-assisted segmentation, which is not installed on any open-core service."""
    raise refuse("ex_service_unavailable", "ai")


ROUTES: Final = (
    Route("GET", "/task/{project_id}/list", list_tasks),
    Route("GET", "/task/{task_id}", show),
    Route("PUT", "/task/{task_id}/completeTask", complete),
    Route("PUT", "/task/{task_id}/skipTask", skip),
    Route("POST", "/aiseg/{image_id}/prepare", has_no_ai),
    Route("POST", "/aiseg/calculate", has_no_ai),
    Route("DELETE", "/aiseg/{image_id}/finish", has_no_ai),
)
