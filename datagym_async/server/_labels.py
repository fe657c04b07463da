"""Importing labels: POST /project/{project_id}/prediction, all items of a request or none."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from aiohttp import web

from ._call import Call, Route
from ._dialect import Dialect
from ._entries import EntryTree, load_entries
from ._errors import refuse
from ._json_errors import syntax_error
from ._label_tasks import with_globals
from ._prediction_schema import problems_of, report
from ._prediction_values import answered, geometry_values, global_answers
from ._projects import find_project
from ._render import Json, parse
from ._store import Row, Writer
from ._value_tree import Value, insert_values

__all__ = ["ROUTES"]

# What the service's JSON library says about a document that is no array.
_NO_ARRAY: Final = "A JSONArray text must start with '[' at 1 [character 2 line 1]"
_NO_BODY: Final = "Unable to parse the content. No data available?"


async def import_labels(call: Call) -> web.StreamResponse:
    """POST /project/{project_id}/prediction: 200 also says what was wrong, as one text."""
    store = call.service.store
    project = await find_project(store, call.ids["project_id"])
    body = await call.body()
    try:
        document = [_renamed(item, call.service.settings.dialect) for item in _read(body)]
    except orjson.JSONDecodeError:
        return call.answer({"errorMessages": syntax_error(body)})
    problems = problems_of(document)
    if not problems:
        async with store.writing() as db:
            tree = await load_entries(db, project["config_id"])
            for item in document:
                await _import_item(db, project, tree, item if isinstance(item, Mapping) else {})
    return call.answer({"errorMessages": report(problems)})


def _read(body: bytes) -> Sequence[Json]:
    """Return the document's items.

    Raises:
        Refusal: `ex_gen_error_messages` for no body, or one that is no array.
        JSONDecodeError: It is no JSON.
    """
    if not body.strip():
        raise refuse("ex_gen_error_messages", _NO_BODY)
    document = parse(body)
    if not isinstance(document, list):
        raise refuse("ex_gen_error_messages", _NO_ARRAY)
    return document


def _renamed(item: Json, dialect: Dialect) -> Json:
    """Return an item with today's name for what the old service called its image."""
    if dialect == "legacy" and isinstance(item, Mapping) and "internal_image_ID" in item:
        return {**item, "internal_media_ID": item["internal_image_ID"]}
    return item


async def _import_item(db: Writer, project: Row, tree: EntryTree, item: Mapping[str, Json]) -> None:
    media_id = item.get("internal_media_ID")
    if media_id is None:
        # Passed over without a word, as the service does.
        return
    task_id = await _find_task(db, project, str(media_id))
    if item.get("keepData") is False:
        await db.run("DELETE FROM lc_value WHERE task_id = ?", task_id)
    await insert_values(db, task_id, geometry_values(tree, item))
    await _answer_globals(db, task_id, tree, item)
    await db.run("UPDATE task SET has_json_upload = 1 WHERE id = ?", task_id)


async def _find_task(db: Writer, project: Row, media_id: str) -> str:
    row = await db.row(
        "SELECT id FROM task WHERE project_id = ? AND media_id = ? AND type = 'DEFAULT'",
        project["id"],
        media_id,
    )
    if row is None:
        raise refuse("ex_gen_json_upload_not_found_task")
    return str(row["id"])


async def _answer_globals(
    db: Writer, task_id: str, tree: EntryTree, item: Mapping[str, Json]
) -> None:
    """Fill in the global classifications; every task has one value of each from now on."""
    answers = global_answers(tree, item)
    there = {value.entry.id: value for value in await with_globals(db, task_id, tree)}
    for entry, given in answers:
        await _update_payloads(db, answered(there[entry.id], given))


async def _update_payloads(db: Writer, root: Value) -> None:
    await db.run_many(
        "UPDATE lc_value SET payload_json = ? WHERE id = ?",
        [(orjson.dumps(dict(value.payload)).decode(), value.id) for value in root.walk()],
    )


ROUTES: Final = (Route("POST", "/project/{project_id}/prediction", import_labels),)
