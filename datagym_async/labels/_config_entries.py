"""`ConfigEntry`: one entry of a label configuration as somebody wants it, without ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import attrs

from datagym_async.models import EntryType

GEOMETRIES = frozenset({EntryType.POINT, EntryType.LINE, EntryType.POLYGON, EntryType.RECTANGLE})
"""Types that may be nested once; the service counts image segmentations apart."""

CHOICES = frozenset({EntryType.SELECT, EntryType.CHECKLIST})
"""Types with options."""

CLASSIFICATIONS = CHOICES | {EntryType.FREETEXT}
"""Types that ask instead of draw."""


class EntryLike(Protocol):
    """What is an entry to all who read one: `ConfigEntry`, and `LabelEntry` of the service."""

    @property
    def key(self) -> str:
        """Its key in imports and exports."""

    @property
    def value(self) -> str:
        """The text that labellers see."""

    @property
    def type(self) -> EntryType:
        """What kind of label it asks for."""

    @property
    def color(self) -> str | None:
        """Colour of a geometry."""

    @property
    def shortcut(self) -> str | None:
        """The digit that selects a geometry."""

    @property
    def max_length(self) -> int | None:
        """Longest text, in characters, of a free text."""

    @property
    def required(self) -> bool:
        """Whether a classification must be answered."""

    @property
    def options(self) -> Mapping[str, str]:
        """Key to text of each option."""

    @property
    def children(self) -> Iterable[EntryLike]:
        """The entries nested in it."""


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
    def of(cls, entry: EntryLike) -> ConfigEntry:
        """Return an entry of the service, or of another kind, without its ids."""
        if isinstance(entry, ConfigEntry):
            return entry
        return cls(
            entry.key,
            entry.value,
            entry.type,
            color=entry.color,
            shortcut=entry.shortcut,
            max_length=entry.max_length,
            required=entry.required,
            options=entry.options,
            children=map(cls.of, entry.children),
        )

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
