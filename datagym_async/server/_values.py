"""The lcValue routes: one label value at a time, with few questions asked."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import orjson
from aiohttp import web

from ._call import Call, Route, empty
from ._entries import GEOMETRIES, Entry, EntryTree, Reader, load_entries
from ._errors import Bare, refuse
from ._fields import not_empty, not_null, require, size
from ._label_tasks import LabelTask, find_label_task
from ._render import Json
from ._store import Row, Writer
from ._value_input import read_payload
from ._value_tree import Value, empty_values, insert_values, load_values, value_view

__all__ = ["ROUTES"]

# A field's name is shown when it has at most two words.
_CREATE_FIELDS: Final = {
    "iterationId": "Iteration Id",
    "mediaId": "Media Id",
    "labelTaskId": "",
    "lcEntryId": "",
}


async def create(call: Call) -> web.StreamResponse:
    """POST /lcValue/{id}: an empty value of an entry, and of the questions below it."""
    body = await call.json_object(*_CREATE_FIELDS, "lcEntryValueParentId")
    _demand_texts(body, _CREATE_FIELDS)
    entry_id = call.ids["id"]
    if body["lcEntryId"] != entry_id:
        raise refuse("ex_gen_entry_definition_incorrect", str(body["lcEntryId"]))
    async with call.service.store.writing() as db:
        entry, found = await _entry_and_task(db, entry_id, body)
        value = empty_values(entry, await _parent_id(db, found, body.get("lcEntryValueParentId")))
        await insert_values(db, found.id, [value])
    return call.answer(value_view(value, found.context))


async def update(call: Call) -> web.StreamResponse:
    """PUT /lcValue/{id}: replaces what was drawn or answered."""
    body = await call.json()
    if not isinstance(body, Mapping):
        raise Bare(400)
    _demand_texts(body, {"lcEntryId": "", "labelTaskId": ""})
    comment = body.get("comment")
    require(size("Comment", None if comment is None else str(comment), 0, 128))
    value_id = call.ids["id"]
    if body.get("id") != value_id:
        raise refuse("ex_gen_entry_definition_incorrect", str(body.get("id") or "null"))
    async with call.service.store.writing() as db:
        found, tree, value = await _find_value(db, value_id)
        if _entry(tree, str(body["lcEntryId"])).type != value.entry.type:
            raise refuse("ex_gen_entry_type_not_found", "entry type")
        payload = read_payload(value.entry.type, body)
        await _store_payload(db, value, payload, body)
        found, tree, value = await _find_value(db, value_id)
    # The answers below it are left out here, although they are still there.
    return call.answer(value_view(attrs.evolve(value, children=()), found.context))


async def delete(call: Call) -> web.StreamResponse:
    """DELETE /lcValue/{id}: what was drawn; an answer stays with its question."""
    async with call.service.store.writing() as db:
        _, _, value = await _find_value(db, call.ids["id"])
        if value.entry.is_classification:
            raise refuse("ex_gen_entry_value_delete", call.ids["id"])
        await db.run("DELETE FROM lc_value WHERE id = ?", value.id)
    return empty()


async def change_type(call: Call) -> web.StreamResponse:
    """PUT /lcValue/{id}/changeType: to another entry that draws the same."""
    body = await call.json()
    if not isinstance(body, Mapping):
        raise Bare(400)
    _demand_texts(body, {"newLcEntryId": ""})
    async with call.service.store.writing() as db:
        _, tree, value = await _find_value(db, call.ids["id"])
        entry = _entry(tree, str(body["newLcEntryId"]))
        _demand_change(value.entry, entry)
        await db.run("DELETE FROM lc_value WHERE parent_id = ?", value.id)
        await db.run("UPDATE lc_value SET entry_id = ? WHERE id = ?", entry.id, value.id)
        await _add_questions(db, value, entry)
        found, _, value = await _find_value(db, value.id)
    return call.answer(value_view(value, found.context))


def _demand_texts(body: Mapping[str, Json], fields: Mapping[str, str]) -> None:
    texts = {name: None if body.get(name) is None else str(body[name]) for name in fields}
    require(
        *(not_null(title, texts[name]) for name, title in fields.items()),
        *(not_empty(title, texts[name]) for name, title in fields.items()),
    )


def _demand_change(old: Entry, new: Entry) -> None:
    if old.id == new.id:
        raise refuse("ex_gen_entry_types_are_the_same")
    if old.type != new.type:
        raise refuse("ex_gen_entry_types_not_the_same")
    if new.type not in GEOMETRIES:
        raise refuse("ex_gen_entry_not_geometry", new.type)


async def _entry_and_task(
    db: Writer, entry_id: str, body: Mapping[str, Json]
) -> tuple[Entry, LabelTask]:
    if not await db.row("SELECT 1 FROM lc_entry WHERE id = ?", entry_id):
        raise refuse("ex_notfound", "Entry", "id", entry_id)
    found = await find_label_task(db, str(body["labelTaskId"]))
    media_id, iteration_id = str(body["mediaId"]), str(body["iterationId"])
    if not await db.row("SELECT 1 FROM media WHERE id = ? AND deleted_at IS NULL", media_id):
        raise refuse("ex_notfound", "media", "id", media_id)
    if not await db.row("SELECT 1 FROM project WHERE iteration_id = ?", iteration_id):
        raise refuse("ex_notfound", "Label Iteration", "id", iteration_id)
    # By the task's own configuration: an entry of another project would spoil the task for good.
    return _entry(await load_entries(db, found.project["config_id"]), entry_id), found


async def _parent_id(db: Writer, found: LabelTask, given: Json) -> str | None:
    """Return the id of the value that a new one hangs on, which must be of the same task."""
    if not given:
        return None
    row = await db.row("SELECT id FROM lc_value WHERE id = ? AND task_id = ?", str(given), found.id)
    if row is None:
        raise refuse("ex_notfound", "Label Entry Value", "id", str(given))
    return str(row["id"])


def _entry(tree: EntryTree, entry_id: str) -> Entry:
    entry = tree.by_id().get(entry_id.lower())
    if entry is None:
        raise refuse("ex_notfound", "Entry", "id", entry_id)
    return entry


async def _find_value(db: Reader, value_id: str) -> tuple[LabelTask, EntryTree, Value]:
    row: Row | None = await db.row("SELECT task_id FROM lc_value WHERE id = ?", value_id)
    if row is None:
        raise refuse("ex_notfound", "Label Entry Value", "id", value_id)
    found = await find_label_task(db, row["task_id"])
    tree = await load_entries(db, found.project["config_id"])
    roots: Sequence[Value] = await load_values(db, found.id, tree)
    values = (value for root in roots for value in root.walk())
    return found, tree, next(value for value in values if value.id == value_id.lower())


async def _store_payload(
    db: Writer, value: Value, payload: Mapping[str, Json], body: Mapping[str, Json]
) -> None:
    comment = body.get("comment")
    keyframes = {name: old for name, old in value.payload.items() if name == "change"}
    await db.run(
        "UPDATE lc_value SET payload_json = ?, valid = ?, comment = ? WHERE id = ?",
        orjson.dumps({**payload, **keyframes}).decode(),
        int(body.get("valid") is True),
        None if comment is None else str(comment),
        value.id,
    )


async def _add_questions(db: Writer, value: Value, entry: Entry) -> None:
    row = await db.row("SELECT task_id FROM lc_value WHERE id = ?", value.id)
    questions = (child for child in entry.children if child.is_classification)
    if row is not None:
        made = [empty_values(child, value.id) for child in questions]
        await insert_values(db, row["task_id"], made)


ROUTES: Final = (
    Route("POST", "/lcValue/{id}", create),
    Route("PUT", "/lcValue/{id}", update),
    Route("DELETE", "/lcValue/{id}", delete),
    Route("PUT", "/lcValue/{id}/changeType", change_type),
)
