"""What differs between two label configurations. The order of entries and options is nothing."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, TypeAlias

import attrs

from datagym_async.labels._config_entries import ConfigEntry
from datagym_async.models import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datagym_async.labels._config_building import EntryList
    from datagym_async.labels._config_entries import EntryLike
    from datagym_async.models import LabelConfiguration

    Entries: TypeAlias = EntryList | LabelConfiguration | Iterable[EntryLike]

_COMPARED = ("value", "type", "color", "shortcut", "max_length", "required", "options")


@attrs.frozen
class EntryChange:
    """An entry that is in one configuration only, or differs.

    Args:
        path: Its key, after the keys of the entries it is nested in, joined by slashes.
        before: What it was, or None if it is new.
        after: What it is to be, or None if it goes.
    """

    path: str
    before: ConfigEntry | None
    after: ConfigEntry | None

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the attributes in which they differ; none for a new entry or one that goes."""
        if self.before is None or self.after is None:
            return ()
        before, after = self.before, self.after
        return tuple(name for name in _COMPARED if getattr(before, name) != getattr(after, name))

    def __str__(self) -> str:
        """Return it as one line."""
        if self.before is None or self.after is None:
            sign, entry = ("+", self.after) if self.before is None else ("-", self.before)
            return f"{sign} {self.path} ({_words(entry)})"
        return f"~ {self.path}: " + ", ".join(map(self._words_of, self.fields))

    def _words_of(self, name: str) -> str:
        before, after = getattr(self.before, name), getattr(self.after, name)
        if name == "options":
            return ", ".join(_words_of_options(before, after))
        return f"{name} {_plain(before)} -> {_plain(after)}"


@attrs.frozen
class ConfigDiff:
    """What differs between two label configurations; false if nothing does.

    Args:
        added: The new entries, each before those nested in it.
        removed: The entries that go.
        changed: The entries that stay and differ.
    """

    added: tuple[EntryChange, ...] = ()
    removed: tuple[EntryChange, ...] = ()
    changed: tuple[EntryChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing differs."""
        return not (self.added or self.removed or self.changed)

    def __bool__(self) -> bool:
        return not self.is_empty

    def __str__(self) -> str:
        """Return a line for each difference: ``+`` new, ``-`` gone, ``~`` changed."""
        return "\n".join(map(str, (*self.removed, *self.changed, *self.added)))


def diff(current: Entries, wanted: Entries) -> ConfigDiff:
    """Return what has to change for one configuration to become another.

    Args:
        current: The configuration as it is: a `LabelConfig`, what the service shows, or entries.
        wanted: The configuration as it is to be.
    """
    changes = [*_compared(entries_of(current), entries_of(wanted), "")]
    return ConfigDiff(
        added=tuple(each for each in changes if each.before is None),
        removed=tuple(each for each in changes if each.after is None),
        changed=tuple(each for each in changes if each.fields),
    )


def entries_of(given: Entries) -> tuple[ConfigEntry, ...]:
    """Return the root entries of whatever holds some."""
    found: Iterable[EntryLike] = given if not hasattr(given, "entries") else given.entries
    return tuple(map(ConfigEntry.of, found))


def _compared(
    current: Iterable[ConfigEntry], wanted: Iterable[ConfigEntry], above: str
) -> Iterator[EntryChange]:
    before, after = _by_key(current), _by_key(wanted)
    for key in dict.fromkeys((*before, *after)):
        # Races store entries twice (observed): neighbours with one key are compared in pairs.
        for old, new in zip_longest(before.get(key, ()), after.get(key, ())):
            path = f"{above}{key}"
            yield EntryChange(path, old, new)
            yield from _compared(_children(old), _children(new), f"{path}/")


def _by_key(entries: Iterable[ConfigEntry]) -> dict[str, list[ConfigEntry]]:
    found: dict[str, list[ConfigEntry]] = {}
    for entry in entries:
        found.setdefault(entry.key, []).append(entry)
    return found


def _children(entry: ConfigEntry | None) -> tuple[ConfigEntry, ...]:
    return entry.children if entry is not None else ()


def _words(entry: ConfigEntry | None) -> str:
    return f"{entry.type.value.lower()} {entry.value!r}" if entry is not None else ""


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return (
        repr(value) if isinstance(value, str) and not isinstance(value, EntryType) else f"{value}"
    )


def _words_of_options(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            yield f"option {'+' if old is None else '-'}{key}"
        elif old != new:
            yield f"option {key} {old!r} -> {new!r}"
