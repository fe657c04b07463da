"""Label configurations: filled while empty, cleared with every label that hangs on them.

What a request says is read in three steps: a body of the wrong shape is the framework's 400, broken
field rules are collected into one bean validation, and the meaning (types, nesting, duplicates) is
refused with the first thing wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

import attrs
from aiohttp import web

from datagym_async.server._call import Call, Route
from datagym_async.server._errors import (
    WORDS,
    Detail,
    EmptyAnswer,
    is_reserved,
    not_empty,
    not_null,
    pattern,
    read_text,
    refuse,
    require,
    size,
)
from datagym_async.server._json import Json, as_list
from datagym_async.server._labels import (
    CLASSIFICATIONS,
    GEOMETRIES,
    SEGMENTATION,
    Entry,
    EntryTree,
    insert_entries,
)
from datagym_async.server._store import Row, Transaction, new_id, now

_MAX_DEPTH: Final = 4
_MOST_ENTRIES: Final = 10_000

_TITLE: Final = "^[a-zA-Z0-9_ !@#$%^&*()?\\-àâçéèêëîïôûùüÿñæœäöüß]*$"
_DIGIT: Final = "^[0-9]{1}$"
_FIELDS: Final = frozenset(
    {
        *("id", "entryKey", "entryValue", "type", "color", "shortcut", "maxLength", "options"),
        *("required", "children", "lcEntryParentId", "parentEntry"),
    }
)


async def fill(call: Call) -> web.StreamResponse:
    """PUT /config/{config_id}: all or nothing, and only where nothing is."""
    wanted = read_entries(await call.json())
    config_id = call.ids["config_id"]
    async with call.service.store.writing() as db:
        project = await _project_of(db, config_id)
        if await db.row("SELECT 1 FROM lc_entry WHERE config_id = ? LIMIT 1", config_id):
            raise refuse("ex_gen_config_not_cleared", config_id)
        entries = build_entries(wanted, timestamp=now())
        await insert_entries(db, project["config_id"], entries)
        if entries:
            await _reopen_tasks(db, project["id"])
        await _touch(db, config_id)
        view = await config_view(db, project, EntryTree(entries))
    return call.answer(view)


async def clear(call: Call) -> web.StreamResponse:
    """DELETE /config/{config_id}: finished tasks go back to WAITING_CHANGED."""
    config_id = call.ids["config_id"]
    async with call.service.store.writing() as db:
        project = await _project_of(db, config_id)
        # The values hang on the entries and go with them.
        await db.run("DELETE FROM lc_entry WHERE config_id = ?", config_id)
        await _reopen_tasks(db, project["id"])
        await _touch(db, config_id)
    return call.answer({"configId": config_id})


async def config_view(db: Transaction, project: Row, tree: EntryTree) -> dict[str, Json]:
    """Return a project's label configuration as the service shows it."""
    counts = await db.row(
        "SELECT sum(state = 'COMPLETED') AS completed, sum(state = 'REVIEWED') AS reviewed"
        " FROM task WHERE project_id = ?",
        project["id"],
    )
    return {
        "id": project["config_id"],
        "projectId": project["id"],
        "entries": [root.view() for root in tree.roots],
        "numberOfCompletedTasks": counts["completed"] or 0 if counts else 0,
        "numberOfReviewedTasks": counts["reviewed"] or 0 if counts else 0,
    }


async def _project_of(db: Transaction, config_id: str) -> Row:
    row = await db.row("SELECT * FROM project WHERE config_id = ?", config_id)
    if row is None:
        raise refuse("ex_notfound", "Label Configuration", "id", config_id)
    return row


async def _reopen_tasks(db: Transaction, project_id: str) -> None:
    await db.run(
        "UPDATE task SET labeler = NULL,"
        " state = CASE type WHEN 'DEFAULT' THEN 'WAITING_CHANGED' ELSE 'IN_PROGRESS' END"
        " WHERE project_id = ? AND state IN ('COMPLETED', 'REVIEWED')",
        project_id,
    )


async def _touch(db: Transaction, config_id: str) -> None:
    """Note the change, and never at the time of the last one: clients compare for older."""
    await db.run(
        "UPDATE project SET config_timestamp = max(?, config_timestamp + 1) WHERE config_id = ?",
        now(),
        config_id,
    )


@attrs.frozen
class EntryInput:
    """One entry as a request gives it, types checked, nothing else."""

    id: str | None
    key: str | None
    value: str | None
    type: str | None
    color: str | None
    shortcut: str | None
    max_length: int | None
    options: Mapping[str, str]
    required: bool
    children: tuple["EntryInput", ...]

    @property
    def kind(self) -> str:
        """The type as it is stored: any case will do."""
        return (self.type or "").upper()

    def walk(self) -> Iterator["EntryInput"]:
        """Yield the entry and everything below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_entries(body: Json) -> tuple[EntryInput, ...]:
    """Read a request's entries and check their fields.

    Raises:
        EmptyAnswer: 400 for a wrong shape or an unknown field, 413 for more entries than anybody
            labels with.
        Refusal: `ex_system` for an entry or children that are null.
        InvalidFields: Everything that breaks the rule of a field.
    """
    if isinstance(body, Sequence) and len(body) > _MOST_ENTRIES:
        raise EmptyAnswer(413)
    entries = _read_list(body)
    walked = (entry for root in entries for entry in root.walk())
    require(chain.from_iterable(map(_broken_rules, walked)))
    return entries


def _read_list(value: Json) -> tuple[EntryInput, ...]:
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
    return tuple(_read_entry(member) for member in members if isinstance(member, Mapping))


def _read_entry(value: Mapping[str, Json]) -> EntryInput:
    return EntryInput(
        id=read_text(value.get("id")),
        key=read_text(value.get("entryKey")),
        value=read_text(value.get("entryValue")),
        type=read_text(value.get("type")),
        color=read_text(value.get("color")),
        shortcut=read_text(value.get("shortcut")),
        max_length=_whole(value.get("maxLength")),
        options=_options(value.get("options")),
        required=_flag(value.get("required")),
        children=_read_list(value["children"]) if "children" in value else (),
    )


def _whole(value: Json) -> int | None:
    """Read a whole number; a text of digits is one, a fraction is cut off."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):
            pass
    raise EmptyAnswer(400)


def _flag(value: Json) -> bool:
    """Read a flag; null is false, and its spelling will do."""
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


def _broken_rules(entry: EntryInput) -> Iterator[Detail]:
    yield from not_null("Entry Key", entry.key)
    yield from not_empty("Entry Key", entry.key)
    yield from size("Entry Key", entry.key, 1, 56)
    yield from pattern("Entry Key", entry.key, WORDS)
    yield from not_null("Entry Value", entry.value)
    yield from not_empty("Entry Value", entry.value)
    yield from size("Entry Value", entry.value, 1, 56)
    yield from pattern("Entry Value", entry.value, _TITLE)
    yield from not_null("Type", entry.type)
    yield from not_empty("Type", entry.type)
    yield from pattern("Shortcut", entry.shortcut, _DIGIT)
    if entry.max_length is not None and entry.max_length < 1:
        yield Detail("Max Length", "ex_min", ["Max Length", "1"])
    if entry.max_length is not None and entry.max_length > 255:
        yield Detail("Max Length", "ex_max", ["Max Length", "255"])


def build_entries(entries: Sequence[EntryInput], *, timestamp: int) -> tuple[Entry, ...]:
    """Check what the entries mean together and return them as they are to be stored, with new ids.

    Raises:
        Refusal: The first thing wrong.
    """
    for root in entries:
        for entry in root.walk():
            _check_alone(entry)
        if _depth(root) > _MAX_DEPTH:
            raise refuse("ex_gen_config_depth")
        # Geometries stand at the root or directly below a geometry that is a root.
        for child in root.children:
            allowed = root.kind in GEOMETRIES
            for entry in child.walk():
                if entry.kind in GEOMETRIES and not (allowed and entry is child):
                    raise refuse("ex_gen_geometry_definition_incorrect", entry.kind.lower())
    _refuse_twins("Label entry", "entryKey:", [root.key for root in entries])
    for root in entries:
        _refuse_twins("Label entry", "entryKey:", [entry.key for entry in root.walk()])
    shortcuts = [entry.shortcut for root in entries for entry in root.walk()]
    _refuse_twins("Shortcut", "value:", shortcuts)
    return tuple(_built(entry, None, timestamp) for entry in entries)


def _check_alone(entry: EntryInput) -> None:
    if entry.id is not None:
        raise refuse("ex_notfound", "Entry", "id", entry.id)
    if entry.key is not None and is_reserved(entry.key):
        raise refuse("ex_gen_forbidden_keyword", entry.key)
    if entry.kind not in GEOMETRIES | CLASSIFICATIONS | {SEGMENTATION}:
        raise refuse("ex_gen_entry_type_not_found", "entry type")
    if entry.kind == "FREETEXT" and entry.max_length is None:
        raise refuse("ex_gen_entry_classification_incorrect", entry.kind)


def _depth(entry: EntryInput) -> int:
    return 1 + max(map(_depth, entry.children), default=0)


def _refuse_twins(what: str, criterion: str, names: Sequence[str | None]) -> None:
    seen: set[str] = set()
    for name in names:
        if name is not None and name in seen:
            raise refuse("ex_alreadyexists", what, criterion, name)
        seen.add(name or "")


def _built(entry: EntryInput, parent_id: str | None, timestamp: int) -> Entry:
    kind, entry_id = entry.kind, new_id()
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
