"""Label configurations: the tree of entries, as it is stored and as it is shown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import attrs
import orjson

from ._render import Json
from ._store import Row, Writer

__all__ = [
    "CLASSIFICATIONS",
    "GEOMETRIES",
    "SEGMENTATION",
    "Entry",
    "EntryTree",
    "Reader",
    "insert_entries",
    "load_entries",
]

SEGMENTATION: Final = "IMAGE_SEGMENTATION"
GEOMETRIES: Final = frozenset({"POINT", "LINE", "POLYGON", "RECTANGLE"})
CLASSIFICATIONS: Final = frozenset({"SELECT", "CHECKLIST", "FREETEXT"})


class Reader(Protocol):
    """What a query needs: the store, or a transaction that has written something already."""

    async def rows(self, sql: str, *parameters: str | int | float | bytes | None) -> list[Row]:
        """Return all rows of a query."""

    async def row(self, sql: str, *parameters: str | int | float | bytes | None) -> Row | None:
        """Return the first row of a query, or None."""


@attrs.frozen
class Entry:
    """One entry of a label configuration with everything below it.

    Attributes:
        key: What the export calls it, in lower case.
        value: What people read.
        type: One of `GEOMETRIES`, `CLASSIFICATIONS` or `SEGMENTATION`.
    """

    id: str
    parent_id: str | None
    key: str
    value: str
    type: str
    timestamp: int
    color: str | None = None
    shortcut: str | None = None
    max_length: int | None = None
    required: bool = False
    options: Mapping[str, str] = attrs.field(factory=dict)
    children: tuple["Entry", ...] = ()

    @property
    def is_classification(self) -> bool:
        """Whether it asks a question rather than marks a place."""
        return self.type in CLASSIFICATIONS

    @property
    def is_geometry(self) -> bool:
        """Whether it marks a place, as a segmentation does too."""
        return not self.is_classification

    def view(self) -> dict[str, Json]:
        """Return the entry as the service shows it."""
        return {
            "id": self.id,
            "lcEntryParentId": self.parent_id,
            "entryKey": self.key,
            "entryValue": self.value,
            "type": self.type,
            "color": self.color,
            "shortcut": self.shortcut,
            "timestamp": self.timestamp,
            "maxLength": self.max_length,
            "children": [child.view() for child in self.children],
            "options": dict(self.options),
            "required": self.required,
        }

    def walk(self) -> Iterator["Entry"]:
        """Yield the entry and everything below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@attrs.frozen
class EntryTree:
    """All entries of one configuration."""

    roots: tuple[Entry, ...]

    def walk(self) -> Iterator[Entry]:
        """Yield every entry, parents first."""
        for root in self.roots:
            yield from root.walk()

    def by_id(self) -> dict[str, Entry]:
        """Return every entry by its id in lower case."""
        return {entry.id.lower(): entry for entry in self.walk()}

    def root_classifications(self) -> Iterator[Entry]:
        """Yield the entries of the global classifications."""
        return (root for root in self.roots if root.is_classification)


async def load_entries(db: Reader, config_id: str) -> EntryTree:
    """Read a configuration; an empty or unknown one has no entries."""
    rows = await db.rows("SELECT * FROM lc_entry WHERE config_id = ? ORDER BY seq", config_id)
    below: dict[str | None, list[Row]] = {}
    for row in rows:
        below.setdefault(row["parent_id"], []).append(row)
    return EntryTree(_entries_below(None, below))


def _entries_below(
    parent: str | None, rows: Mapping[str | None, Sequence[Row]]
) -> tuple[Entry, ...]:
    return tuple(_entry(row, _entries_below(row["id"], rows)) for row in rows.get(parent, ()))


def _entry(row: Row, children: tuple[Entry, ...]) -> Entry:
    return Entry(
        id=row["id"],
        parent_id=row["parent_id"],
        key=row["entry_key"],
        value=row["entry_value"],
        type=row["type"],
        timestamp=row["timestamp"],
        color=row["color"],
        shortcut=row["shortcut"],
        max_length=row["max_length"],
        required=bool(row["required"]),
        options=orjson.loads(row["options_json"]),
        children=children,
    )


async def insert_entries(db: Writer, config_id: str, roots: Iterable[Entry]) -> None:
    """Store the entries of a configuration."""
    await db.run_many(
        "INSERT INTO lc_entry (id, config_id, parent_id, entry_key, entry_value, type, color,"
        " shortcut, timestamp, max_length, required, options_json)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_columns(config_id, entry) for root in roots for entry in root.walk()],
    )


def _columns(config_id: str, entry: Entry) -> tuple[str | int | None, ...]:
    return (
        entry.id,
        config_id,
        entry.parent_id,
        entry.key,
        entry.value,
        entry.type,
        entry.color,
        entry.shortcut,
        entry.timestamp,
        entry.max_length,
        int(entry.required),
        orjson.dumps(dict(entry.options)).decode(),
    )
