"""One task: shown in full, completed, skipped."""

import re
from collections.abc import Mapping
from typing import Final

import attrs
from aiohttp import web

from ._call import Call, Route, empty
from ._config import config_view
from ._entries import load_entries
from ._errors import Bare, refuse
from ._fields import not_null, require
from ._label_tasks import LabelTask, find_label_task, with_globals
from ._media_rows import media_view
from ._render import Json
from ._service import Service
from ._store import Row, Writer
from ._value_rules import first_invalid
from ._value_tree import value_view

__all__ = ["ROUTES"]


async def show(call: Call) -> web.StreamResponse:
    """GET /task/{task_id}: it writes, too: the empty global classifications that are lacking."""
    async with call.service.store.writing() as db:
        found = await find_label_task(db, call.ids["task_id"])
        media = media_view(call.service, found.media)
        if found.media["source"] == "AWS_S3" and media["url"] is None:
            raise refuse("ex_service_unavailable", "aws")
        view = await _view(db, found, media)
    return call.answer(view)


async def complete(call: Call) -> web.StreamResponse:
    """PUT /task/{task_id}/completeTask: from any state, if the values are complete."""
    body = await call.json_object("lastChangedConfig")
    known = _milliseconds(body.get("lastChangedConfig"))
    require(not_null("", known))
    async with call.service.store.writing() as db:
        found = await find_label_task(db, call.ids["task_id"])
        stale = known is not None and known < found.project["config_timestamp"]
        if not stale:
            _count_label(call.service)
            await _complete(db, found)
    return call.answer({"hasLabelConfigChanged": stale, "currentTaskId": found.id})


async def skip(call: Call) -> web.StreamResponse:
    """PUT /task/{task_id}/skipTask: from any state."""
    async with call.service.store.writing() as db:
        found = await find_label_task(db, call.ids["task_id"])
        _count_label(call.service)
        await db.run("UPDATE task SET state = 'SKIPPED' WHERE id = ?", found.id)
    return empty()


async def _view(db: Writer, found: LabelTask, media: Mapping[str, Json]) -> dict[str, Json]:
    task, project = found.task, found.project
    tree = await load_entries(db, project["config_id"])
    values = await with_globals(db, found.id, tree)
    dataset = await _dataset(db, found)
    return {
        "taskId": found.id,
        "labelTaskState": task["state"],
        "projectName": project["name"],
        "labelConfig": await config_view(db, project, tree),
        "labelIteration": {
            "id": project["iteration_id"],
            "projectId": project["id"],
            "run": project["iteration_run"],
            "entryValues": [value_view(value, found.context) for value in values],
        },
        "media": media,
        "reviewComment": task["review_comment"],
        "aiSegLimitReached": False,
        "lastChangedConfig": project["config_timestamp"],
        "reviewActivated": bool(project["review_activated"]),
        "projectType": project["media_type"],
        "datasetId": dataset["id"],
        "datasetName": dataset["name"],
    }


async def _dataset(db: Writer, found: LabelTask) -> Row:
    row = await db.row("SELECT * FROM dataset WHERE id = ?", found.media["dataset_id"])
    if row is None:
        raise refuse("ex_system")
    return row


async def _complete(db: Writer, found: LabelTask) -> None:
    tree = await load_entries(db, found.project["config_id"])
    values = await with_globals(db, found.id, tree)
    invalid = first_invalid(values, video=found.project["media_type"] == "VIDEO")
    if invalid is not None:
        raise refuse("ex_gen_entry_value_validation", invalid.entry.type, invalid.id)
    await db.run("UPDATE lc_value SET valid = 1 WHERE task_id = ?", found.id)
    await db.run("UPDATE task SET state = 'COMPLETED' WHERE id = ?", found.id)


def _count_label(service: Service) -> None:
    """Count one label of the plan; the last one allowed is the limit's own number."""
    plan = service.plan
    if plan.label_limit is not None and plan.labels_used >= plan.label_limit:
        raise refuse("ex_limit", "Label", str(plan.label_limit + 1), str(plan.label_limit))
    service.plan = attrs.evolve(plan, labels_used=plan.labels_used + 1)


def _milliseconds(value: Json) -> int | None:
    """Read a whole number of 64 bits; a text of digits is one."""
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return int(value)
    raise Bare(400)


ROUTES: Final = (
    Route("GET", "/task/{task_id}", show),
    Route("PUT", "/task/{task_id}/completeTask", complete),
    Route("PUT", "/task/{task_id}/skipTask", skip),
)
