"""What a request says a label configuration should be: shape, then fields, then meaning.

Pure: each step takes what the one before it made, and raises the `Answer` that the service gives.
A body of the wrong shape is the framework's 400, broken field rules are collected into one bean
validation, and the meaning (types, nesting, duplicates) is refused with the first thing wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from ._entries import CLASSIFICATIONS, GEOMETRIES, SEGMENTATION, Entry
from ._errors import Bare, Detail, refuse
from ._fields import WORDS, not_empty, not_null, pattern, require, size
from ._render import Json
from ._store import new_id
from ._words import is_reserved

__all__ = ["EntryInput", "build_entries", "read_entries"]

MAX_DEPTH: Final = 4

_TITLE: Final = "^[a-zA-Z0-9_ !@#$%^&*()?\\-àâçéèêëîïôûùüÿñæœäöüß]*$"
_DIGIT: Final = "^[0-9]{1}$"
_FIELDS: Final = frozenset(
    {
        *("id", "entryKey", "entryValue", "type", "color", "shortcut", "maxLength", "options"),
        *("required", "children", "lcEntryParentId", "parentEntry"),
    }
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

    def walk(self) -> Iterator["EntryInput"]:
        """Yield the entry and everything below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_entries(body: Json) -> tuple[EntryInput, ...]:
    """Read a request's entries and check their fields.

    Raises:
        Bare: 400 for a wrong shape or an unknown field.
        Refusal: `ex_system` for an entry or children that are null.
        InvalidFields: Everything that breaks the rule of a field.
    """
    entries = _read_list(body)
    require(*(_broken_rules(entry) for root in entries for entry in root.walk()))
    return entries


def _read_list(value: Json) -> tuple[EntryInput, ...]:
    if value is None:
        raise refuse("ex_system")
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise Bare(400)
    for member in value:
        if member is not None and not (isinstance(member, Mapping) and member.keys() <= _FIELDS):
            raise Bare(400)
    if None in value:
        raise refuse("ex_system")
    return tuple(_read_entry(member) for member in value if isinstance(member, Mapping))


def _read_entry(value: Mapping[str, Json]) -> EntryInput:
    return EntryInput(
        id=_text(value.get("id")),
        key=_text(value.get("entryKey")),
        value=_text(value.get("entryValue")),
        type=_text(value.get("type")),
        color=_text(value.get("color")),
        shortcut=_text(value.get("shortcut")),
        max_length=_whole(value.get("maxLength")),
        options=_options(value.get("options")),
        required=_flag(value.get("required")),
        children=_read_list(value["children"]) if "children" in value else (),
    )


def _text(value: Json) -> str | None:
    """Read a text; numbers and flags are taken for their spelling."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if value is None or isinstance(value, str):
        return value
    raise Bare(400)


def _whole(value: Json) -> int | None:
    """Read a whole number; a text of digits is one, a fraction is cut off."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):
            pass
    raise Bare(400)


def _flag(value: Json) -> bool:
    """Read a flag; null is false, and its spelling will do."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if value in ("true", "false"):
        return value == "true"
    raise Bare(400)


def _options(value: Json) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Bare(400)
    return {key: _text(text) or "" for key, text in value.items()}


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
        _check_depth(root)
        _check_nesting(root)
    _check_duplicates(entries)
    return tuple(_built(entry, None, timestamp) for entry in entries)


def _check_alone(entry: EntryInput) -> None:
    if entry.id is not None:
        raise refuse("ex_notfound", "Entry", "id", entry.id)
    if entry.key is not None and is_reserved(entry.key):
        raise refuse("ex_gen_forbidden_keyword", entry.key)
    kind = _type_of(entry)
    if kind not in GEOMETRIES | CLASSIFICATIONS | {SEGMENTATION}:
        raise refuse("ex_gen_entry_type_not_found", "entry type")
    if kind == "FREETEXT" and entry.max_length is None:
        raise refuse("ex_gen_entry_classification_incorrect", kind)


def _type_of(entry: EntryInput) -> str:
    return (entry.type or "").upper()


def _check_depth(root: EntryInput) -> None:
    if _depth(root) > MAX_DEPTH:
        raise refuse("ex_gen_config_depth")


def _depth(entry: EntryInput) -> int:
    return 1 + max(map(_depth, entry.children), default=0)


def _check_nesting(root: EntryInput) -> None:
    """Geometries stand at the root or directly below a geometry that is a root."""
    for child in root.children:
        allowed = _type_of(root) in GEOMETRIES
        for entry in child.walk():
            if _type_of(entry) in GEOMETRIES and not (allowed and entry is child):
                raise refuse("ex_gen_geometry_definition_incorrect", _type_of(entry).lower())


def _check_duplicates(entries: Sequence[EntryInput]) -> None:
    _refuse_twins("Label entry", "entryKey:", [root.key for root in entries])
    for root in entries:
        _refuse_twins("Label entry", "entryKey:", [entry.key for entry in root.walk()])
    shortcuts = [entry.shortcut for root in entries for entry in root.walk()]
    _refuse_twins("Shortcut", "value:", shortcuts)


def _refuse_twins(what: str, criterion: str, names: Sequence[str | None]) -> None:
    seen: set[str] = set()
    for name in names:
        if name is not None and name in seen:
            raise refuse("ex_alreadyexists", what, criterion, name)
        seen.add(name or "")


def _built(entry: EntryInput, parent_id: str | None, timestamp: int) -> Entry:
    kind, entry_id = _type_of(entry), new_id()
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
