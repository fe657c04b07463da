"""GET /task/{project_id}/list."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from . import _fields as rules
from ._call import Call, Route
from ._errors import Bare, refuse
from ._fold import fold
from ._projects import find_project
from ._render import Json
from ._seed import TASK_STATES
from ._store import Row

__all__ = ["ROUTES"]

# Shorter words of a search, and numbers, are ignored.
_SHORTEST_WORD: Final = 3


async def list_tasks(call: Call) -> web.StreamResponse:
    """List the tasks of one state, WAITING unless told; tasks of deleted media are left out."""
    query = call.request.query
    state = query.get("state") or "WAITING"
    if state not in TASK_STATES:
        raise Bare(400)
    limit = _limit(query.get("limit") or "0")
    search = query.get("search", "")
    # The name of this field has too many words for the service's message, so it is empty.
    rules.require(rules.pattern("", search, rules.WORDS))
    project = await find_project(call.service.store, call.ids["project_id"])
    if limit < 0:
        raise refuse("ex_system")
    sql, parameters = _query(project["id"], state, search, limit)
    rows = await call.service.store.rows(sql, *parameters)
    return call.answer([_task(project, row) for row in rows])


def _limit(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Bare(400) from None


def _query(project_id: str, state: str, search: str, limit: int) -> tuple[str, Sequence[str | int]]:
    sql = (
        "SELECT t.*, m.name AS media_name FROM task t JOIN media m ON m.id = t.media_id"
        " WHERE t.project_id = ? AND t.state = ? AND t.type <> 'BENCHMARK_SLAVE'"
        " AND m.deleted_at IS NULL"
    )
    parameters: list[str | int] = [project_id, state]
    for word in search.split():
        if len(word) >= _SHORTEST_WORD and not word.isdigit():
            sql += " AND (instr(m.folded, ?) OR instr(fold(coalesce(t.labeler, '')), ?))"
            parameters += [fold(word), fold(word)]
    parameters.append(limit or -1)
    return f"{sql} ORDER BY m.folded, t.seq LIMIT ?", parameters


def _task(project: Row, row: Row) -> Json:
    return {
        "taskId": row["id"],
        "projectId": project["id"],
        "projectName": project["name"],
        "labelTaskState": row["state"],
        "labelTaskType": row["type"],
        "preLabelState": row["pre_label_state"],
        "mediaId": row["media_id"],
        "mediaName": row["media_name"],
        "labeler": row["labeler"],
        "iterationId": project["iteration_id"],
        "reviewComment": row["review_comment"],
        "hasJsonUpload": bool(row["has_json_upload"]),
        "iterationRun": project["iteration_run"],
        "benchmark": row["type"] != "DEFAULT",
    }


ROUTES: Final = (Route("GET", "/task/{project_id}/list", list_tasks),)
