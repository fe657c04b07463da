"""Entries being put together, with the names that users of DataGym know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async.exceptions import LabelConfigError
from datagym_async.labels._config_entries import ConfigEntry
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from datagym_async.labels._config_entries import EntryLike


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
        value = entry.to_entry() if isinstance(entry, EntryHandle) else ConfigEntry.of(entry)
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
        children: Iterable[EntryLike | EntryHandle] | None = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a point (see `add_rectangle`)."""
        return self._draw(EntryType.POINT, entry_key, entry_value, children, color, shortcut)

    def add_line(
        self,
        entry_key: str,
        entry_value: str,
        children: Iterable[EntryLike | EntryHandle] | None = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a line (see `add_rectangle`)."""
        return self._draw(EntryType.LINE, entry_key, entry_value, children, color, shortcut)

    def add_polygon(
        self,
        entry_key: str,
        entry_value: str,
        children: Iterable[EntryLike | EntryHandle] | None = None,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add a polygon (see `add_rectangle`)."""
        return self._draw(EntryType.POLYGON, entry_key, entry_value, children, color, shortcut)

    def add_rectangle(
        self,
        entry_key: str,
        entry_value: str,
        children: Iterable[EntryLike | EntryHandle] | None = None,
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
        return self._draw(EntryType.RECTANGLE, entry_key, entry_value, children, color, shortcut)

    def add_image_segmentation(
        self,
        entry_key: str,
        entry_value: str,
        color: str | None = None,
        shortcut: str | int | None = None,
    ) -> EntryHandle:
        """Add an image segmentation, which stands at the root and nests nothing."""
        return self._draw(
            EntryType.IMAGE_SEGMENTATION, entry_key, entry_value, None, color, shortcut
        )

    def add_select(
        self,
        entry_key: str,
        entry_value: str,
        options: Mapping[str, str],
        children: Iterable[EntryLike | EntryHandle] | None = None,
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
        return self._ask(EntryType.SELECT, entry_key, entry_value, children, required, options)

    def add_checklist(
        self,
        entry_key: str,
        entry_value: str,
        options: Mapping[str, str],
        children: Iterable[EntryLike | EntryHandle] | None = None,
        required: bool = False,
    ) -> EntryHandle:
        """Add a question with any number of answers (see `add_select`)."""
        return self._ask(EntryType.CHECKLIST, entry_key, entry_value, children, required, options)

    def add_freetext(
        self,
        entry_key: str,
        entry_value: str,
        max_length: int = 255,
        children: Iterable[EntryLike | EntryHandle] | None = None,
        required: bool = False,
    ) -> EntryHandle:
        """Add a question with a text of up to `max_length` characters (see `add_select`)."""
        return self.append_entry(
            ConfigEntry(
                entry_key,
                entry_value,
                EntryType.FREETEXT,
                max_length=max_length,
                required=required,
                children=_values(children),
            )
        )

    def _draw(
        self,
        kind: EntryType,
        key: str,
        value: str,
        children: Iterable[EntryLike | EntryHandle] | None,
        color: str | None,
        shortcut: str | int | None,
    ) -> EntryHandle:
        nested = _values(children)
        return self.append_entry(
            ConfigEntry(key, value, kind, color=color, shortcut=shortcut, children=nested)
        )

    def _ask(
        self,
        kind: EntryType,
        key: str,
        value: str,
        children: Iterable[EntryLike | EntryHandle] | None,
        required: bool,
        options: Mapping[str, str],
    ) -> EntryHandle:
        nested = _values(children)
        return self.append_entry(
            ConfigEntry(key, value, kind, required=required, options=options, children=nested)
        )


def _values(given: Iterable[EntryLike | EntryHandle] | None) -> list[ConfigEntry]:
    return [
        each.to_entry() if isinstance(each, EntryHandle) else ConfigEntry.of(each)
        for each in given or ()
    ]


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
