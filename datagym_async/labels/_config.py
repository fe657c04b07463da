"""`LabelConfig`, read and written, and the differences between two of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, ClassVar, TypeAlias

import attrs

from datagym_async._checks import SEVERAL, check, checked, listed
from datagym_async._extras import extra_module
from datagym_async._printable import printable
from datagym_async.exceptions import LabelConfigError
from datagym_async.labels._config_entries import (
    ConfigEntry,
    EntryLike,
    EntryList,
    read_entries,
    read_json,
)
from datagym_async.labels._config_rules import grouped, problems_of, warnings_of
from datagym_async.models import LabelConfiguration

Entries: TypeAlias = EntryList | LabelConfiguration | Iterable[EntryLike]

_NAMED = 10


@checked
class LabelConfig(EntryList):
    """A label configuration that can be changed: what labellers draw and answer in a project.

    ::

        config = LabelConfig()
        car = config.add_rectangle("car", "Car", color="#3333FF", shortcut=1)
        car.add_select("kind", "Kind", {"bus": "Bus", "van": "Van"}, required=True)
        config.validate()

    Args:
        entries: Root entries to begin with.
    """

    def __repr__(self) -> str:
        return f"<LabelConfig {', '.join(each.key for each in self.entries) or 'without entries'}>"

    def __eq__(self, other: object) -> bool:
        """Return whether nothing differs; the order of entries and options does not matter."""
        return diff(self, other).is_empty if isinstance(other, LabelConfig) else NotImplemented

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it can change

    def problems(self) -> list[str]:
        """Return what the service would refuse or drop, each as a sentence."""
        return problems_of(self.entries)

    def warnings(self) -> list[str]:
        """Return what the service accepts but its editor does not, each as a sentence."""
        return warnings_of(self.entries)

    def validate(self) -> None:
        """Check that there are no problems.

        Raises:
            LabelConfigError: There are; its `problems` lists them all.
        """
        if problems := self.problems():
            named = " ".join(problems[:_NAMED])
            more = f" ... and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            text = f"The label configuration breaks rules. {named}{more}"
            raise LabelConfigError(text, problems=problems)

    def to_payload(self) -> list[dict[str, object]]:
        """Return the entries as the service takes them."""
        return [entry.to_payload() for entry in self.entries]

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the entries as JSON, as the service and its editor take them.

        Args:
            indent: Blanks for each level; None for one line.
        """
        return json.dumps(self.to_payload(), indent=indent, ensure_ascii=False)

    def to_yaml(self) -> str:
        """Return the entries as YAML, with the names that JSON has for them.

        Raises:
            ConfigurationError: PyYAML is not installed.
        """
        return str(_yaml().write_yaml(self.to_payload()))

    @classmethod
    def from_entries(cls, entries: Entries | Iterable[Mapping[str, object]]) -> LabelConfig:
        """Return the configuration of entries, of a configuration or a view, or of a body.

        Raises:
            LabelConfigError: It is a body that is wrong; the text says where.
        """
        given: Any = entries
        if not hasattr(given, "entries"):
            given = [*listed("entries", given)]
            if given and all(isinstance(each, Mapping) for each in given):
                return cls.from_payload(given)
        return cls(entries_of(given))

    @classmethod
    def from_payload(cls, document: object) -> LabelConfig:
        """Return the configuration of a JSON value, already read.

        Args:
            document: A list of entries (the body of an upload, or the export file of the service's
                editor), or an object with ``entries`` (the service's view of a configuration) or
                ``labelConfig`` (its view of a task). Ids and times are left out.

        Raises:
            LabelConfigError: It is something else (or broken text); the error says where.
        """
        return cls(read_entries(document))

    @classmethod
    def from_json(cls, text: str | bytes) -> LabelConfig:
        """Return the configuration of a JSON text; for its form and errors see `from_payload`."""
        return cls.from_payload(read_json(text))

    @classmethod
    def from_yaml(cls, text: str | bytes) -> LabelConfig:
        """Return the configuration of a YAML text; ``on``, ``no`` or ``12:30`` are texts there.

        Raises:
            LabelConfigError: As for `from_payload`.
            ConfigurationError: PyYAML is not installed.
        """
        return cls.from_payload(_yaml().read_yaml(text))


def _yaml() -> Any:
    return extra_module("datagym_async.labels._config_yaml")


# --- Differences between two; the order of entries and options does not matter -------------------

_COMPARED = ("value", "type", "color", "shortcut", "max_length", "required", "options")


@attrs.frozen
class EntryChange:
    """An entry that is in one configuration only, or differs.

    Args:
        path: Its key, after the keys of the entries it is nested in, joined by slashes.
        before: The current entry, or None if it is new.
        after: The wanted entry, or None if it is removed.
    """

    path: str
    before: ConfigEntry | None
    after: ConfigEntry | None

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the attributes that differ; none for a new or a removed entry."""
        before, after = self.before, self.after
        if before is None or after is None:
            return ()
        return tuple(name for name in _COMPARED if getattr(before, name) != getattr(after, name))

    def __str__(self) -> str:
        before, after = self.before, self.after
        entry = after or before
        if before is None or after is None:
            words = f"{entry.type.value.lower()} {entry.value!r}" if entry is not None else ""
            return printable(f"{'-' if after is None else '+'} {self.path} ({words})")
        parts = []
        for name in self.fields:
            old, new = getattr(before, name), getattr(after, name)
            if name != "options":
                parts.append(f"{name} {_plain(old)} -> {_plain(new)}")
                continue
            for key in dict.fromkeys((*old, *new)):
                if key not in old or key not in new:
                    parts.append(f"option {'+' if key not in old else '-'}{key}")
                elif old[key] != new[key]:
                    parts.append(f"option {key} {old[key]!r} -> {new[key]!r}")
        return printable(f"~ {self.path}: {', '.join(parts)}")


@attrs.frozen
class ConfigDiff:
    """The differences between two label configurations; false if there are none.

    Args:
        added: The new entries, each before those nested in it.
        removed: The entries that are removed.
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
        """Return a line for each difference: ``+`` new, ``-`` removed, ``~`` changed."""
        return "\n".join(map(str, (*self.removed, *self.changed, *self.added)))


@checked
def diff(current: Entries, wanted: Entries) -> ConfigDiff:
    """Return the changes that make one configuration equal to another.

    Args:
        current: The current configuration: a `LabelConfig`, a view of the service, or entries.
        wanted: The wanted configuration.
    """
    changes = [*_compared(entries_of(current), entries_of(wanted), "")]
    return ConfigDiff(
        added=tuple(each for each in changes if each.before is None),
        removed=tuple(each for each in changes if each.after is None),
        changed=tuple(each for each in changes if each.fields),
    )


def entries_of(given: Entries) -> tuple[ConfigEntry, ...]:
    """Return the root entries of a configuration, a view or entries."""
    found: Iterable[EntryLike] = given if not hasattr(given, "entries") else given.entries
    check(SEVERAL, entries=found)
    return tuple(map(ConfigEntry.of, found))


def _compared(
    current: Iterable[ConfigEntry], wanted: Iterable[ConfigEntry], above: str
) -> Iterator[EntryChange]:
    before, after = (grouped((each.key, each) for each in given) for given in (current, wanted))
    for key in dict.fromkeys((*before, *after)):
        # Races store entries twice (observed): neighbours with one key are compared in pairs.
        for old, new in zip_longest(before.get(key, ()), after.get(key, ())):
            path = f"{above}{key}"
            yield EntryChange(path, old, new)
            olds, news = (each.children if each is not None else () for each in (old, new))
            yield from _compared(olds, news, f"{path}/")


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return f"{value!r}" if type(value) is str else f"{value}"
