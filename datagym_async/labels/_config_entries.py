"""Entries of a label configuration without ids, and a builder for them.

The ``add_*`` methods have the names and arguments of the official SDK, in the same order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

import attrs

from datagym_async._checks import WHOLE, by_annotation, check, check_is, checked, listed
from datagym_async._json import check_depth, why_no_json
from datagym_async.exceptions import LabelConfigError
from datagym_async.models import EntryType, LabelEntry

GEOMETRIES = frozenset({EntryType.POINT, EntryType.LINE, EntryType.POLYGON, EntryType.RECTANGLE})
"""Types that may be nested once; the service counts image segmentations apart."""

CHOICES = frozenset({EntryType.SELECT, EntryType.CHECKLIST})  # types with options

CLASSIFICATIONS = CHOICES | {EntryType.FREETEXT}  # types for questions instead of shapes

TYPES = GEOMETRIES | CLASSIFICATIONS | {EntryType.IMAGE_SEGMENTATION}
TYPES_IN_WORDS = ", ".join(each for each in EntryType if each in TYPES)


def _key(given: str) -> str:
    check_is("key", given, str)
    # The service stores keys in lower case, and exports know them so (observed).
    return given.lower()


def _type(given: EntryType | str) -> EntryType:
    check_is("type", given, str)  # an EntryType is one, too
    return EntryType(given)


def _options(given: Mapping[str, str]) -> Mapping[str, str]:
    check_is("options", given, Mapping)
    return dict(given)


def _shortcut(given: str | int | None) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str):
        check(WHOLE, shortcut=given)
    return str(given) or None


def _children(given: Iterable[ConfigEntry]) -> tuple[ConfigEntry, ...]:
    return listed("children", given, ConfigEntry)


@attrs.frozen(field_transformer=by_annotation)
class ConfigEntry:
    """One entry of a label configuration, with the entries nested in it.

    Its values may break rules of the service, which `LabelConfig.problems` lists.

    Args:
        key: Its key in imports and exports; kept in lower case, as the service stores it.
        value: The text that labellers see.
        type: Its type, also as a word in any case.
        color: Colour of a geometry, for example ``"#3333FF"``, or None.
        shortcut: The digit that selects a geometry, as text or number, or None.
        max_length: Longest text, in characters, of a free text; None for other types.
        required: True if a classification must be answered before a task can be completed.
        options: Key to text of each option of a select or checklist.
        children: The entries nested in it; their order means nothing.
    """

    key: str = attrs.field(converter=_key)
    value: str
    type: EntryType = attrs.field(converter=_type)
    color: str | None = attrs.field(default=None, kw_only=True)
    shortcut: str | None = attrs.field(default=None, converter=_shortcut, kw_only=True)
    max_length: int | None = attrs.field(default=None, kw_only=True)
    required: bool = attrs.field(default=False, kw_only=True)
    options: Mapping[str, str] = attrs.field(factory=dict, converter=_options, kw_only=True)
    children: tuple[ConfigEntry, ...] = attrs.field(default=(), converter=_children, kw_only=True)

    @classmethod
    def of(cls, entry: EntryLike | EntryHandle) -> ConfigEntry:
        """Return an entry of the service, or of a builder, as a value without ids."""
        if isinstance(entry, ConfigEntry):
            return entry
        if isinstance(entry, EntryHandle):
            return entry.to_entry()
        check_is("entry", entry, ConfigEntry, LabelEntry)
        members = {each.alias: getattr(entry, each.name) for each in attrs.fields(cls)}
        return cls(**{**members, "children": map(cls.of, entry.children)})

    def walk(self) -> Iterator[ConfigEntry]:
        """Yield the entry and all entries nested in it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def to_payload(self) -> dict[str, object]:
        """Return the entry as in the body of an upload."""
        named = {"entryKey": self.key, "entryValue": self.value, "type": self.type.value}
        optional = {"color": self.color, "shortcut": self.shortcut, "maxLength": self.max_length}
        payload: dict[str, object] = {**named}
        payload |= {name: value for name, value in optional.items() if value is not None}
        if self.required or self.type in CLASSIFICATIONS:
            payload["required"] = self.required
        if self.options or self.type in CHOICES:
            payload["options"] = dict(self.options)
        payload["children"] = [child.to_payload() for child in self.children]
        return payload


EntryLike: TypeAlias = ConfigEntry | LabelEntry
"""An entry, or one as the service shows it."""


# --- The builder ----------------------------------------------------------------------------------

Children: TypeAlias = "Iterable[EntryLike | EntryHandle] | None"


@checked
class EntryList:
    """The entries of a configuration, or those nested in one entry, to which others can be added.

    Each ``add_*`` returns the new entry, to which others can be added. Adding a key twice is a
    `LabelConfigError`.
    """

    def __init__(self, entries: Iterable[EntryLike] = ()) -> None:
        found = listed("entries", entries, ConfigEntry, LabelEntry)
        self._handles = [EntryHandle(ConfigEntry.of(each)) for each in found]

    @property
    def entries(self) -> tuple[ConfigEntry, ...]:
        """Return the entries as values."""
        return tuple(handle.to_entry() for handle in self._handles)

    def __len__(self) -> int:
        return len(self._handles)

    def entry(self, key: str, *below: str) -> EntryHandle:
        """Return the entry with a key, or one nested in it, by the keys on the way there.

        Raises:
            LabelConfigError: There is no such entry.
        """
        if (found := self._find(key)) is None:
            known = ", ".join(repr(each.key) for each in self._handles) or "none"
            raise LabelConfigError(f"There is no entry with the key {key!r} here, only {known}")
        return found.entry(*below) if below else found

    def append_entry(
        self, entry: EntryLike | EntryHandle, overwrite_duplicate: bool = False
    ) -> EntryHandle:
        """Add an entry with all entries nested in it, and return it.

        Args:
            entry: The entry; it is copied.
            overwrite_duplicate: Whether to replace an entry with the same key.

        Raises:
            LabelConfigError: The key exists already.
        """
        value = ConfigEntry.of(entry)
        handle, present = EntryHandle(value), self._find(value.key)
        if present is None:
            self._handles.append(handle)
        elif overwrite_duplicate:
            self._handles[self._handles.index(present)] = handle
        else:
            raise LabelConfigError(
                f"The key {value.key!r} is there already; use another key, entry({value.key!r}) to "
                "add to what is there, or overwrite_duplicate=True to replace it"
            )
        return handle

    def _find(self, key: str) -> EntryHandle | None:
        return next((each for each in self._handles if each.key == key.lower()), None)

    def add_point(
        self,
        entry_key: str,
        entry_value: str,
        children: Children = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a point (see `add_rectangle`)."""
        return self._add(EntryType.POINT, entry_key, entry_value, children, color, shortcut)

    def add_line(
        self,
        entry_key: str,
        entry_value: str,
        children: Children = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a line (see `add_rectangle`)."""
        return self._add(EntryType.LINE, entry_key, entry_value, children, color, shortcut)

    def add_polygon(
        self,
        entry_key: str,
        entry_value: str,
        children: Children = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a polygon (see `add_rectangle`)."""
        return self._add(EntryType.POLYGON, entry_key, entry_value, children, color, shortcut)

    def add_rectangle(
        self,
        entry_key: str,
        entry_value: str,
        children: Children = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a rectangle; to another geometry, as one nested in it.

        Args:
            entry_key: Its key in imports and exports.
            entry_value: The text that labellers see.
            children: Entries to nest in it; more can be added to what is returned.
            color: For example ``"#3333FF"``.
            shortcut: A digit, 0 to 9.
        """
        return self._add(EntryType.RECTANGLE, entry_key, entry_value, children, color, shortcut)

    def add_image_segmentation(
        self,
        entry_key: str,
        entry_value: str,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add an image segmentation, which must be at the root and has no nested entries."""
        kind = EntryType.IMAGE_SEGMENTATION
        return self._add(kind, entry_key, entry_value, None, color, shortcut)

    def add_select(
        self,
        entry_key: str,
        entry_value: str,
        options: Mapping[str, str],
        children: Children = None,
        required: bool = False,
    ) -> EntryHandle:
        """Add a question with one answer; to a configuration, one about the whole image.

        Args:
            entry_key, entry_value: As for `add_rectangle`.
            options: Key to text of each answer.
            children: Questions to nest in it; more can be added to what is returned.
            required: True if it must be answered before a task can be completed.
        """
        answers: dict[str, Any] = {"options": options, "required": required}
        return self._add(EntryType.SELECT, entry_key, entry_value, children, **answers)

    def add_checklist(
        self,
        entry_key: str,
        entry_value: str,
        options: Mapping[str, str],
        children: Children = None,
        required: bool = False,
    ) -> EntryHandle:
        """Add a question with any number of answers (see `add_select`)."""
        answers: dict[str, Any] = {"options": options, "required": required}
        return self._add(EntryType.CHECKLIST, entry_key, entry_value, children, **answers)

    def add_freetext(
        self,
        entry_key: str,
        entry_value: str,
        max_length: int = 255,
        children: Children = None,
        required: bool = False,
    ) -> EntryHandle:
        """Add a question with a text of up to `max_length` characters (see `add_select`)."""
        answers: dict[str, Any] = {"max_length": max_length, "required": required}
        return self._add(EntryType.FREETEXT, entry_key, entry_value, children, **answers)

    def _add(
        self,
        kind: EntryType,
        key: str,
        value: str,
        children: Children,
        color: str | None = None,
        shortcut: str | int | None = None,
        **answers: Any,
    ) -> EntryHandle:
        nested = map(ConfigEntry.of, listed("children", children or ()))
        looks: dict[str, Any] = {"children": nested, "color": color, "shortcut": shortcut}
        return self.append_entry(ConfigEntry(key, value, kind, **looks, **answers))


@checked
class EntryHandle(EntryList):
    """An entry of a builder: entries that are added to it are nested in it."""

    def __init__(self, entry: ConfigEntry) -> None:
        super().__init__(entry.children)
        self._entry = entry

    def __repr__(self) -> str:
        return f"<{self._entry.type.value} {self.key!r}, {len(self)} nested>"

    @property
    def key(self) -> str:
        """Return its key."""
        return self._entry.key

    def to_entry(self) -> ConfigEntry:
        """Return it as a value, with all that was added to it."""
        return attrs.evolve(self._entry, children=self.entries)


# --- Entries as JSON values: the three spellings of the service, read alike -----------------------

# The body of an upload, the service's view of a configuration (with ids, times and nulls) and the
# export file of its editor differ only in what they leave out or add.

_PASSED_OVER = frozenset({"id", "lcEntryParentId", "parentEntry", "timestamp"})
_MEMBERS = frozenset(
    {
        *("entryKey", "entryValue", "type", "color", "shortcut", "maxLength"),
        *("required", "options", "children"),
    }
)
# Deep enough to report what is nested too deep, and shallow enough for any stack.
_DEEPEST = 32
_MOST = 10_000  # entries: by references a few lines of YAML could stand for any number


def read_json(text: str | bytes) -> object:
    """Return the value of a JSON text; `LabelConfigError` if invalid or with a member twice."""
    try:
        check_depth(text)
        text = text.removeprefix("\ufeff") if isinstance(text, str) else text
        return json.loads(text, object_pairs_hook=_object)
    except LabelConfigError:
        raise
    except ValueError as error:
        text = f"The label configuration is not JSON: {why_no_json(error)}"
        raise LabelConfigError(text) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise given_twice(name)
        found[name] = value
    return found


def given_twice(name: object) -> LabelConfigError:
    """Return the error for a repeated member of an object."""
    return LabelConfigError(f"The label configuration gives {name!r} twice in one place")


def read_entries(document: object) -> list[ConfigEntry]:
    """Return the entries of a document, as `LabelConfig.from_payload` does."""
    if isinstance(document, Mapping):
        inner = document.get("labelConfig", document)
        if isinstance(inner, Mapping) and "entries" not in inner:
            raise LabelConfigError(
                "The document is not a label configuration: it holds no list of entries"
            )
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
    needed = []
    for name in ("entryKey", "entryValue", "type"):
        if value.get(name) is None:
            raise LabelConfigError(f"{at} has no {name}; every entry needs one")
        needed.append(_word(value[name], f"{at}.{name}"))
    key, words, word = needed
    kind = EntryType(word)
    if kind is EntryType.UNKNOWN:
        raise LabelConfigError(
            f"{at}.type is {word!r}, which is not a type; use one of {TYPES_IN_WORDS}"
        )
    color, shortcut = (
        None if value.get(name) in (None, "") else _word(value[name], f"{at}.{name}")
        for name in ("color", "shortcut")
    )
    longest = value.get("maxLength")
    if isinstance(longest, str) and re.fullmatch("-?[0-9]{1,20}", longest):
        longest = int(longest)  # YAML gives texts
    if longest is not None and (not isinstance(longest, int) or isinstance(longest, bool)):
        raise _unlike(f"{at}.maxLength", "a whole number", longest)
    required = value.get("required")
    if not isinstance(required, bool | None):
        raise _unlike(f"{at}.required", "true or false", required)
    options = value.get("options")
    if not isinstance(options, Mapping | None):
        raise _unlike(f"{at}.options", "an object of keys and texts", options)
    children = value.get("children")
    return ConfigEntry(
        key,
        words,
        kind,
        color=color,
        shortcut=shortcut,
        max_length=longest,
        required=bool(required),
        options={
            _word(key, f"{at}.options"): _word(text, f"{at}.options.{key}")
            for key, text in (options or {}).items()
        },
        children=[] if children is None else _entries(children, f"{at}.children", number),
    )


def _word(value: object, at: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise _unlike(at, "a text", value)


def _unlike(at: str, expected: str, value: object) -> LabelConfigError:
    kind = "null" if value is None else type(value).__name__
    return LabelConfigError(f"{at} of the label configuration is {kind}; it must be {expected}")
