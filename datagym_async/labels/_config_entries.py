"""Entries of a label configuration as somebody wants them, without ids, and their making.

The ``add_*`` methods have the names and the order of arguments that users of DataGym know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from datagym_async.exceptions import LabelConfigError
from datagym_async.models import EntryType, LabelEntry

GEOMETRIES = frozenset({EntryType.POINT, EntryType.LINE, EntryType.POLYGON, EntryType.RECTANGLE})
"""Types that may be nested once; the service counts image segmentations apart."""

CHOICES = frozenset({EntryType.SELECT, EntryType.CHECKLIST})
"""Types with options."""

CLASSIFICATIONS = CHOICES | {EntryType.FREETEXT}
"""Types that ask instead of draw."""


def _key(given: str) -> str:
    # The service stores keys in lower case, and exports know them so (observed).
    return given.lower()


def _type(given: EntryType | str) -> EntryType:
    return EntryType(given)


def _options(given: Mapping[str, str]) -> Mapping[str, str]:
    return dict(given)


def _shortcut(given: str | int | None) -> str | None:
    return None if given is None or given == "" else str(given)


@attrs.frozen
class ConfigEntry:
    """One entry of a label configuration, with the entries nested in it.

    Its values may break rules of the service; `LabelConfig.problems` says which.

    Args:
        key: Its key in imports and exports; kept in lower case, as the service stores it.
        value: The text that labellers see.
        type: What kind of label it asks for, also as a word in any case.
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
    children: tuple[ConfigEntry, ...] = attrs.field(
        default=(), converter=tuple["ConfigEntry", ...], kw_only=True
    )

    @classmethod
    def of(cls, entry: EntryLike | EntryHandle) -> ConfigEntry:
        """Return an entry of the service, or of another kind, without its ids."""
        if isinstance(entry, ConfigEntry):
            return entry
        if isinstance(entry, EntryHandle):
            return entry.to_entry()
        members = {each.alias: getattr(entry, each.name) for each in attrs.fields(cls)}
        return cls(**{**members, "children": map(cls.of, entry.children)})

    def walk(self) -> Iterator[ConfigEntry]:
        """Give the entry and all that are nested in it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def to_payload(self) -> dict[str, object]:
        """Return the entry as the service takes it."""
        payload: dict[str, object] = {
            "entryKey": self.key,
            "entryValue": self.value,
            "type": self.type.value,
        }
        optional = {"color": self.color, "shortcut": self.shortcut, "maxLength": self.max_length}
        payload |= {name: value for name, value in optional.items() if value is not None}
        if self.required or self.type in CLASSIFICATIONS:
            payload["required"] = self.required
        if self.options or self.type in CHOICES:
            payload["options"] = dict(self.options)
        payload["children"] = [child.to_payload() for child in self.children]
        return payload


EntryLike: TypeAlias = ConfigEntry | LabelEntry
"""An entry as somebody wants it, or as the service shows it."""


# --- Entries being put together -------------------------------------------------------------------


Children: TypeAlias = "Iterable[EntryLike | EntryHandle] | None"


class EntryList:
    """Entries that can be added to: those of a configuration, and those nested in one entry.

    Each ``add_*`` returns the new entry, to which others can be added in turn. A key that is there
    already among its neighbours is an error, never passed over.
    """

    def __init__(self, entries: Iterable[EntryLike] = ()) -> None:
        self._handles = [EntryHandle(ConfigEntry.of(each)) for each in entries]

    @property
    def entries(self) -> tuple[ConfigEntry, ...]:
        """Return the entries as values."""
        return tuple(handle.to_entry() for handle in self._handles)

    def __len__(self) -> int:
        return len(self._handles)

    def entry(self, *keys: str) -> EntryHandle:
        """Return the entry that the keys lead to, to add to it.

        Args:
            keys: Its key, after the keys of the entries it is nested in.

        Raises:
            LabelConfigError: There is none.
        """
        first, *rest = keys
        found = self._find(first)
        if found is None:
            known = ", ".join(repr(each.key) for each in self._handles) or "none"
            raise LabelConfigError(f"There is no entry with the key {first!r} here, only {known}")
        return found.entry(*rest) if rest else found

    def append_entry(
        self, entry: EntryLike | EntryHandle, overwrite_duplicate: bool = False
    ) -> EntryHandle:
        """Add an entry with all that is nested in it, and return it, to add to it.

        Args:
            entry: The entry; it is copied.
            overwrite_duplicate: True to take the place of an entry with the same key.

        Raises:
            LabelConfigError: The key is there already.
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
        drawn = {"color": color, "shortcut": shortcut}
        return self._add(EntryType.POINT, entry_key, entry_value, children, **drawn)

    def add_line(
        self,
        entry_key: str,
        entry_value: str,
        children: Children = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a line (see `add_rectangle`)."""
        drawn = {"color": color, "shortcut": shortcut}
        return self._add(EntryType.LINE, entry_key, entry_value, children, **drawn)

    def add_polygon(
        self,
        entry_key: str,
        entry_value: str,
        children: Children = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a polygon (see `add_rectangle`)."""
        drawn = {"color": color, "shortcut": shortcut}
        return self._add(EntryType.POLYGON, entry_key, entry_value, children, **drawn)

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

        Raises:
            LabelConfigError: The key is there already.
        """
        drawn = {"color": color, "shortcut": shortcut}
        return self._add(EntryType.RECTANGLE, entry_key, entry_value, children, **drawn)

    def add_image_segmentation(
        self,
        entry_key: str,
        entry_value: str,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add an image segmentation, which stands at the root and nests nothing."""
        return self._add(
            EntryType.IMAGE_SEGMENTATION, entry_key, entry_value, color=color, shortcut=shortcut
        )

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
            entry_key: Its key in imports and exports.
            entry_value: The text that labellers see.
            options: Key to text of each answer.
            children: Questions to nest in it; more can be added to what is returned.
            required: True if it must be answered before a task can be completed.

        Raises:
            LabelConfigError: The key is there already.
        """
        answers = {"options": options, "required": required}
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
        answers = {"options": options, "required": required}
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
        answers = {"max_length": max_length, "required": required}
        return self._add(EntryType.FREETEXT, entry_key, entry_value, children, **answers)

    def _add(
        self, kind: EntryType, key: str, value: str, children: Children = None, **members: Any
    ) -> EntryHandle:
        nested = map(ConfigEntry.of, children or ())
        return self.append_entry(ConfigEntry(key, value, kind, children=nested, **members))


class EntryHandle(EntryList):
    """An entry of a configuration that is being made: what is added to it is nested in it."""

    def __init__(self, entry: ConfigEntry) -> None:
        super().__init__(entry.children)
        self._entry = entry

    def __repr__(self) -> str:
        """Return type and key."""
        return f"<{self._entry.type.value} {self.key!r}, {len(self)} nested>"

    @property
    def key(self) -> str:
        """Return its key."""
        return self._entry.key

    def to_entry(self) -> ConfigEntry:
        """Return it as a value, with all that was added to it."""
        return attrs.evolve(self._entry, children=self.entries)
