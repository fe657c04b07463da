"""Label configurations: filled if they are empty, cleared with all labels.

A request is read in three steps: a body of the wrong shape is the framework's 400, broken rules of
fields are collected into one bean validation, and of wrong types, nesting or duplicates the first
is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

import attrs
from aiohttp import web

from datagym_async.server._answers import (
    NOT_EMPTY,
    NOT_NULL,
    WORDS,
    EmptyAnswer,
    Field,
    Json,
    Rule,
    as_list,
    is_reserved,
    pattern,
    read_number,
    read_text,
    refuse,
    require,
    size,
)
from datagym_async.server._labels import (
    CLASSIFICATIONS,
    GEOMETRIES,
    SEGMENTATION,
    Entries,
    Entry,
    entries_of,
    store_entries,
    walk,
)
from datagym_async.server._service import Call, Route
from datagym_async.server._store import Row, Transaction, columns, new_id, now

_MAX_DEPTH: Final = 4
_MOST_ENTRIES: Final = 10_000

_TEXT: Final = (NOT_NULL, NOT_EMPTY, size(1, 56))
_TITLE: Final = pattern("^[a-zA-Z0-9_ !@#$%^&*()?\\-àâçéèêëîïôûùüÿñæœäöüß]*$")
_LEAST: Final = Rule(lambda number: number is None or number >= 1, "ex_min", ["1"])
_MOST: Final = Rule(lambda number: number is None or number <= 255, "ex_max", ["255"])
_PROJECT: Final = "SELECT * FROM project WHERE config_id = ?"
_FIELDS: Final = frozenset(
    {
        *("id", "entryKey", "entryValue", "type", "color", "shortcut", "maxLength", "options"),
        *("required", "children", "lcEntryParentId", "parentEntry"),
    }
)


async def fill(call: Call) -> web.StreamResponse:
    """PUT /config/{config_id}: all or nothing, and only if it is empty."""
    wanted = read_entries(await call.json())
    config_id = call.ids["config_id"]
    async with call.service.store.writing() as db:
        project = await db.find("Label Configuration", _PROJECT, config_id)
        if entries_of(project):
            raise refuse("ex_gen_config_not_cleared", config_id)
        entries = build_entries(wanted, timestamp=now())
        await store_entries(db, project, entries)
        await _note_change(db, project, reopen=bool(entries))
        view = await config_view(db, project, entries)
    return call.answer(view)


async def clear(call: Call) -> web.StreamResponse:
    """DELETE /config/{config_id}: finished tasks go back to WAITING_CHANGED."""
    config_id = call.ids["config_id"]
    async with call.service.store.writing() as db:
        project = await db.find("Label Configuration", _PROJECT, config_id)
        await store_entries(db, project, ())
        sql = "DELETE FROM lc_value WHERE task_id IN (SELECT id FROM task WHERE project_id = ?)"
        await db.run(sql, project["id"])
        await _note_change(db, project, reopen=True)
    return call.answer({"configId": config_id})


async def _note_change(db: Transaction, project: Row, *, reopen: bool) -> None:
    if reopen:
        await db.run(
            "UPDATE task SET labeler = NULL,"
            " state = CASE type WHEN 'DEFAULT' THEN 'WAITING_CHANGED' ELSE 'IN_PROGRESS' END"
            " WHERE project_id = ? AND state IN ('COMPLETED', 'REVIEWED')",
            project["id"],
        )
    # Later than the last change, because clients compare the times.
    sql = "UPDATE project SET config_timestamp = max(?, config_timestamp + 1) WHERE id = ?"
    await db.run(sql, now(), project["id"])


async def config_view(db: Transaction, project: Row, entries: Entries) -> dict[str, Json]:
    counts = await db.rows(
        "SELECT count(CASE state WHEN 'COMPLETED' THEN 1 END) AS number_of_completed_tasks,"
        " count(CASE state WHEN 'REVIEWED' THEN 1 END) AS number_of_reviewed_tasks"
        " FROM task WHERE project_id = ?",
        project["id"],
    )
    return {
        "id": project["config_id"],
        "projectId": project["id"],
        "entries": [root.view() for root in entries],
        **columns(counts[0], "numberOfCompletedTasks numberOfReviewedTasks"),
    }


@attrs.frozen
class EntryInput:
    """One entry of a request, of which only the types are checked."""

    id: str | None
    key: str | None
    value: str | None
    type: str | None  # in capitals
    color: str | None
    shortcut: str | None
    max_length: int | None
    options: Mapping[str, str]
    required: bool
    children: tuple["EntryInput", ...]


def read_entries(body: Json) -> tuple[EntryInput, ...]:
    """Read a request's entries and check their fields."""
    if isinstance(body, Sequence) and len(body) > _MOST_ENTRIES:
        raise EmptyAnswer(413)
    entries = _read(body)
    require(chain.from_iterable(map(_fields, walk(entries))))
    return entries


def _read(value: Json) -> tuple[EntryInput, ...]:
    if value is None:
        raise refuse("ex_system")
    members = as_list(value)
    if members is None:
        raise EmptyAnswer(400)
    for member in members:
        if member is not None and not (isinstance(member, Mapping) and member.keys() <= _FIELDS):
            raise EmptyAnswer(400)
    if None in members:
        raise refuse("ex_system")
    return tuple(
        EntryInput(
            id=read_text(member.get("id")),
            key=read_text(member.get("entryKey")),
            value=read_text(member.get("entryValue")),
            type=kind.upper() if (kind := read_text(member.get("type"))) else kind,
            color=read_text(member.get("color")),
            shortcut=read_text(member.get("shortcut")),
            max_length=read_number(member.get("maxLength"), int),
            options=_options(member.get("options")),
            required=_flag(member.get("required")),
            children=_read(member["children"]) if "children" in member else (),
        )
        for member in members
        if isinstance(member, Mapping)
    )


def _flag(value: Json) -> bool:
    """Read a flag or its text; null is false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if value in ("true", "false"):
        return value == "true"
    raise EmptyAnswer(400)


def _options(value: Json) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise EmptyAnswer(400)
    return {key: read_text(text) or "" for key, text in value.items()}


def _fields(entry: EntryInput) -> Iterator[Field]:
    yield "Entry Key", entry.key, *_TEXT, pattern(WORDS)
    yield "Entry Value", entry.value, *_TEXT, _TITLE
    yield "Type", entry.type, NOT_NULL, NOT_EMPTY
    yield "Shortcut", entry.shortcut, pattern("^[0-9]{1}$")
    yield "Max Length", entry.max_length, _LEAST, _MOST


def build_entries(entries: Sequence[EntryInput], *, timestamp: int) -> tuple[Entry, ...]:
    """Return entries with new ids for the database, or refuse the first that is wrong."""
    for root in entries:
        for entry in walk([root]):
            if entry.id is not None:
                raise refuse("ex_notfound", "Entry", "id", entry.id)
            if entry.key is not None and is_reserved(entry.key):
                raise refuse("ex_gen_forbidden_keyword", entry.key)
            if entry.type not in GEOMETRIES | CLASSIFICATIONS | {SEGMENTATION}:
                raise refuse("ex_gen_entry_type_not_found", "entry type")
            if entry.type == "FREETEXT" and entry.max_length is None:
                raise refuse("ex_gen_entry_classification_incorrect", entry.type)
        if _depth(root) > _MAX_DEPTH:
            raise refuse("ex_gen_config_depth")
        # Geometries stand at the root or directly below a geometry that is a root.
        for child in root.children:
            may_draw = root.type in GEOMETRIES
            for entry in walk([child]):
                if entry.type in GEOMETRIES and not (may_draw and entry is child):
                    raise refuse("ex_gen_geometry_definition_incorrect", entry.type.lower())
    _refuse_twins("Label entry", "entryKey:", [root.key for root in entries])
    for root in entries:
        _refuse_twins("Label entry", "entryKey:", [entry.key for entry in walk([root])])
    _refuse_twins("Shortcut", "value:", [entry.shortcut for entry in walk(entries)])
    return tuple(_built(entry, None, timestamp) for entry in entries)


def _depth(entry: EntryInput) -> int:
    return 1 + max(map(_depth, entry.children), default=0)


def _refuse_twins(what: str, criterion: str, names: Sequence[str | None]) -> None:
    seen: set[str] = set()
    for name in names:
        if name is not None and name in seen:
            raise refuse("ex_alreadyexists", what, criterion, name)
        seen.add(name or "")


def _built(entry: EntryInput, parent_id: str | None, timestamp: int) -> Entry:
    kind, entry_id = entry.type or "", new_id()
    drawn, asked = kind not in CLASSIFICATIONS, kind in CLASSIFICATIONS
    return Entry(
        id=entry_id,
        parent_id=parent_id,
        key=(entry.key or "").lower(),
        value=entry.value or "",
        type=kind,
        timestamp=timestamp,
        color=entry.color if drawn else None,
        shortcut=entry.shortcut if drawn else None,
        max_length=entry.max_length if kind == "FREETEXT" else None,
        required=entry.required and asked,
        options=entry.options if kind in ("SELECT", "CHECKLIST") else {},
        children=tuple(_built(child, entry_id, timestamp) for child in entry.children),
    )


ROUTES: Final = (
    Route("PUT", "/config/{config_id}", fill),
    Route("DELETE", "/config/{config_id}", clear),
)
