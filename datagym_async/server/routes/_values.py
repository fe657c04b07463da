"""The lcValue routes: one label value at a time, with few checks.

The members of a request are `x`, `y`, `width`, `height`, `points`, `pointsCollection`, `selectKey`,
`checkedValues` and `text`. Only their types are checked: a polygon of two points and negative
coordinates are stored.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import attrs
from aiohttp import web

from datagym_async.server._answers import (
    NOT_EMPTY,
    NOT_NULL,
    EmptyAnswer,
    Json,
    as_list,
    read_number,
    read_text,
    refuse,
    require,
    size,
)
from datagym_async.server._labels import (
    EMPTY,
    GEOMETRIES,
    Entries,
    Entry,
    LabelTask,
    Value,
    dump,
    empty_values,
    entries_of,
    find_label_task,
    insert_values,
    load_values,
    points_view,
    questions_of,
    value_view,
    walk,
)
from datagym_async.server._service import Call, Route
from datagym_async.server._store import Transaction, new_id

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
    entry_id, parent_id = call.ids["id"], body.get("lcEntryValueParentId")
    if body["lcEntryId"] != entry_id:
        raise refuse("ex_gen_entry_definition_incorrect", str(body["lcEntryId"]))
    async with call.service.store.writing() as db:
        sql = "SELECT 1 FROM project WHERE instr(entries_json, lower(?))"
        await db.find("Entry", sql, entry_id)
        found = await find_label_task(db, str(body["labelTaskId"]))
        sql = "SELECT 1 FROM media WHERE id = ? AND deleted_at IS NULL"
        await db.find("media", sql, str(body["mediaId"]))
        sql = "SELECT 1 FROM project WHERE iteration_id = ?"
        await db.find("Label Iteration", sql, str(body["iterationId"]))
        # Only an entry of the task's configuration, below a value of its parent entry, or the task
        # would be damaged.
        entry = _find_entry(entries_of(found.project), entry_id)
        if parent_id:
            sql = "SELECT 1 FROM lc_value WHERE id = ? AND task_id = ? AND entry_id = ?"
            ids = str(parent_id), found.id, entry.parent_id or ""
            await db.find("Label Entry Value", sql, *ids)
        value = empty_values(entry, str(parent_id).lower() if parent_id else None)
        await insert_values(db, found.id, [value])
    return call.answer(value_view(value, found))


async def update(call: Call) -> web.StreamResponse:
    """PUT /lcValue/{id}: replaces a drawing or an answer."""
    body = await call.json_object()
    _demand_texts(body, {"lcEntryId": "", "labelTaskId": ""})
    comment = None if body.get("comment") is None else str(body["comment"])
    require([("Comment", comment, size(0, 128))])
    value_id = call.ids["id"]
    if body.get("id") != value_id:
        raise refuse("ex_gen_entry_definition_incorrect", str(body.get("id") or "null"))
    async with call.service.store.writing() as db:
        _, entries, value = await _find_value(db, value_id)
        if _find_entry(entries, str(body["lcEntryId"])).type != value.entry.type:
            raise refuse("ex_gen_entry_type_not_found", "entry type")
        read = {name: _READERS[name](body.get(name)) for name in EMPTY[value.entry.type]}
        keyframes = {name: old for name, old in value.payload.items() if name == "change"}
        await db.run(
            "UPDATE lc_value SET payload_json = ?, valid = ?, comment = ? WHERE id = ?",
            dump({**read, **keyframes}),
            int(body.get("valid") is True),
            comment,
            value.id,
        )
        found, _, value = await _find_value(db, value_id)
    # The service leaves out the nested answers here.
    return call.answer(value_view(attrs.evolve(value, children=()), found))


async def delete(call: Call) -> web.StreamResponse:
    """DELETE /lcValue/{id}: geometries only; an answer stays with its question."""
    async with call.service.store.writing() as db:
        _, _, value = await _find_value(db, call.ids["id"])
        if value.entry.is_classification:
            raise refuse("ex_gen_entry_value_delete", call.ids["id"])
        await db.run("DELETE FROM lc_value WHERE id = ?", value.id)
    return web.Response()


async def change_type(call: Call) -> web.StreamResponse:
    """PUT /lcValue/{id}/changeType: to another entry that draws the same."""
    body = await call.json_object()
    _demand_texts(body, {"newLcEntryId": ""})
    async with call.service.store.writing() as db:
        found, entries, value = await _find_value(db, call.ids["id"])
        entry = _find_entry(entries, str(body["newLcEntryId"]))
        if entry.id == value.entry.id:
            raise refuse("ex_gen_entry_types_are_the_same")
        if entry.type != value.entry.type:
            raise refuse("ex_gen_entry_types_not_the_same")
        if entry.type not in GEOMETRIES:
            raise refuse("ex_gen_entry_not_geometry", entry.type)
        # The questions of the old entry are replaced by those of the new one.
        await db.run("DELETE FROM lc_value WHERE parent_id = ?", value.id)
        await db.run("UPDATE lc_value SET entry_id = ? WHERE id = ?", entry.id, value.id)
        questions = questions_of(entry.children)
        await insert_values(db, found.id, [empty_values(child, value.id) for child in questions])
        found, _, value = await _find_value(db, value.id)
    return call.answer(value_view(value, found))


def _demand_texts(body: Mapping[str, Json], fields: Mapping[str, str]) -> None:
    texts = {name: None if body.get(name) is None else str(body[name]) for name in fields}
    # All that are missing come first, then all that are empty, missing ones among them.
    rules = (NOT_NULL, NOT_EMPTY)
    require((title, texts[name], rule) for rule in rules for name, title in fields.items())


def _find_entry(entries: Entries, entry_id: str) -> Entry:
    entry = next((each for each in walk(entries) if each.id.lower() == entry_id.lower()), None)
    if entry is None:
        raise refuse("ex_notfound", "Entry", "id", entry_id)
    return entry


async def _find_value(db: Transaction, value_id: str) -> tuple[LabelTask, Entries, Value]:
    sql = "SELECT task_id FROM lc_value WHERE id = ?"
    row = await db.find("Label Entry Value", sql, value_id)
    found = await find_label_task(db, row["task_id"])
    entries = entries_of(found.project)
    values = walk(await load_values(db, found.id, entries))
    return found, entries, next(value for value in values if value.id == value_id.lower())


_number: Final = partial(read_number, kind=float)


def _list(value: Json) -> Sequence[Json]:
    items = [] if value is None else as_list(value)
    if items is None:
        raise EmptyAnswer(400)
    return items


def _objects(value: Json) -> list[Mapping[str, Json]]:
    members = _list(value)
    objects = [member for member in members if isinstance(member, Mapping)]
    if len(objects) < len(members):
        raise EmptyAnswer(400)
    return objects


def _points(value: Json) -> list[Json]:
    pairs = ((_number(point.get("x")), _number(point.get("y"))) for point in _objects(value))
    return points_view(pairs)


# By the members that a payload may have.
_READERS: Final[Mapping[str, Callable[[Json], Json]]] = {
    **dict.fromkeys(("x", "y", "width", "height"), _number),
    **dict.fromkeys(("selectKey", "text"), read_text),
    "points": _points,
    "pointsCollection": lambda value: [
        {"id": new_id(), "points": _points(ring.get("points"))} for ring in _objects(value)
    ],
    "checkedValues": lambda value: [read_text(key) for key in _list(value)],
}

ROUTES: Final = (
    Route("POST", "/lcValue/{id}", create),
    Route("PUT", "/lcValue/{id}", update),
    Route("DELETE", "/lcValue/{id}", delete),
    Route("PUT", "/lcValue/{id}/changeType", change_type),
)
