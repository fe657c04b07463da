"""Label configurations as JSON values: the three spellings of the service, read alike.

The body of an upload, the service's view of a configuration (with ids, times and nulls) and the
export file of its editor differ only in what they leave out or add.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from datagym_async._json import check_depth
from datagym_async.exceptions import LabelConfigError
from datagym_async.labels._config_entries import ConfigEntry
from datagym_async.models import EntryType

_PASSED_OVER = frozenset({"id", "lcEntryParentId", "parentEntry", "timestamp"})
_MEMBERS = frozenset(
    {
        *("entryKey", "entryValue", "type", "color", "shortcut", "maxLength"),
        *("required", "options", "children"),
    }
)
# Deep enough to say what is nested too deep, and shallow enough for any stack.
_DEEPEST = 32
_MOST = 10_000
"""Entries: by references a few lines of YAML could stand for any number."""


def read_json(text: str | bytes) -> object:
    """Return what JSON says; a member that is given twice is an error, not the last one.

    Raises:
        LabelConfigError: It is no JSON.
    """
    try:
        check_depth(text)
        document: object = json.loads(text, object_pairs_hook=_object)
    except ValueError as error:
        if isinstance(error, LabelConfigError):
            raise
        raise LabelConfigError(f"The label configuration is no JSON: {error}") from None
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise given_twice(name)
        found[name] = value
    return found


def given_twice(name: object) -> LabelConfigError:
    """Return the error for a member of an object that is given twice."""
    return LabelConfigError(f"The label configuration gives {name!r} twice in one place")


def read_entries(document: object) -> list[ConfigEntry]:
    """Return the entries of a document.

    Args:
        document: A list of entries, or an object that holds one: the service's view of a
            configuration (``entries``), or a task (``labelConfig``).

    Raises:
        LabelConfigError: It is something else; the text says where.
    """
    if isinstance(document, Mapping):
        inner = document.get("labelConfig", document)
        if isinstance(inner, Mapping) and "entries" not in inner:
            raise LabelConfigError("The document holds no entries; a list of them is due")
        document = inner["entries"] if isinstance(inner, Mapping) else inner
    return _entries(document, "", count(1))


def _entries(value: object, at: str, number: Iterator[int]) -> list[ConfigEntry]:
    if not isinstance(value, list):
        raise _unlike(at or "the document", "a list of entries", value)
    if at.count(".children") >= _DEEPEST:
        raise LabelConfigError(f"The label configuration is nested too deep at {at[:60]}...")
    return [_entry(member, f"{at}[{index}]", number) for index, member in enumerate(value)]


def _entry(value: object, at: str, number: Iterator[int]) -> ConfigEntry:
    if next(number) > _MOST:
        raise LabelConfigError(f"The label configuration has more than {_MOST:,} entries")
    if not isinstance(value, Mapping):
        raise _unlike(at, "an entry", value)
    for name in value:
        if name not in _MEMBERS | _PASSED_OVER:
            known = ", ".join(sorted(_MEMBERS))
            raise LabelConfigError(f"{at} has a member {name!r} that no entry has; use {known}")
    key, words, word = (_text(value, name, at) for name in ("entryKey", "entryValue", "type"))
    kind = EntryType(word)
    if kind is EntryType.UNKNOWN:
        known = ", ".join(each for each in EntryType if each is not EntryType.UNKNOWN)
        raise LabelConfigError(f"{at}.type is {word!r}, which is no type; use one of {known}")
    color, shortcut = (
        None if value.get(name) in (None, "") else _word(value[name], f"{at}.{name}")
        for name in ("color", "shortcut")
    )
    longest = value.get("maxLength")
    if isinstance(longest, str) and longest.isascii() and longest.isdigit():
        longest = int(longest[:9])
    if longest is not None and (not isinstance(longest, int) or isinstance(longest, bool)):
        raise _unlike(f"{at}.maxLength", "a whole number", longest)
    required = value.get("required")
    if not isinstance(required, bool | None):
        raise _unlike(f"{at}.required", "true or false", required)
    children = value.get("children")
    return ConfigEntry(
        key,
        words,
        kind,
        color=color,
        shortcut=shortcut,
        max_length=longest,
        required=bool(required),
        options=_options(value.get("options"), f"{at}.options"),
        children=[] if children is None else _entries(children, f"{at}.children", number),
    )


def _text(entry: Mapping[str, object], name: str, at: str) -> str:
    value = entry.get(name)
    if value is None:
        raise LabelConfigError(f"{at} has no {name}; every entry needs one")
    return _word(value, f"{at}.{name}")


def _word(value: object, at: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise _unlike(at, "a text", value)


def _options(value: object, at: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _unlike(at, "an object of keys and texts", value)
    return {_word(key, at): _word(text, f"{at}.{key}") for key, text in value.items()}


def _unlike(at: str, expected: str, value: object) -> LabelConfigError:
    kind = "null" if value is None else type(value).__name__
    return LabelConfigError(f"{at} of the label configuration is {kind}, and {expected} is due")
