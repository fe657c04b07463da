"""GET /task/{project_id}/list."""

import re
from collections.abc import Sequence
from typing import Final

import orjson
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
    """Read a number of 32 bits, as the service's framework does."""
    if re.fullmatch(r"[+-]?[0-9]{1,10}", text.strip()) and abs(int(text)) < 1 << 31:
        return int(text)
    raise Bare(400)


def _query(project_id: str, state: str, search: str, limit: int) -> tuple[str, Sequence[str | int]]:
    sql = (
        "SELECT t.*, m.name AS media_name FROM task t JOIN media m ON m.id = t.media_id"
        " WHERE t.project_id = ? AND t.state = ? AND t.type <> 'BENCHMARK_SLAVE'"
        " AND m.deleted_at IS NULL"
    )
    parameters: list[str | int] = [project_id, state]
    words = {fold(word) for word in search.split() if len(word) >= _SHORTEST_WORD}
    words = {word for word in words if not word.isdigit()}
    if words:
        # One list, not one condition a word: SQLite takes some hundred conditions at most.
        sql += (
            " AND NOT EXISTS (SELECT 1 FROM json_each(?) AS word WHERE NOT"
            " (instr(m.folded, word.value) OR instr(fold(coalesce(t.labeler, '')), word.value)))"
        )
        parameters.append(orjson.dumps(sorted(words)).decode())
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
