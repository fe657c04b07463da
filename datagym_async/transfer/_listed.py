"""What the target of an upload holds now: a table of the plan, replaced by each whole listing.

A listing comes in parts, and may break off. So it is gathered beside the one that counts, and takes
its place at its end: half a listing is never taken for what the target holds.

The service lists media in any order, so they are appended, and the table is sorted once, at the
end: inserted one by one where their names belong, a million took five times as long.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async._wire._names import fold_name
from datagym_async.models import MediaSourceType
from datagym_async.transfer._journal_file import Store
from datagym_async.transfer._rows import blob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datagym_async.models import Dataset

_BEGIN = "DROP TABLE IF EXISTS temp.arriving"
_ARRIVING = """
CREATE TEMP TABLE arriving (key BLOB, media_id TEXT, dataset_id TEXT, at INTEGER, is_link INTEGER)
"""
_ADD = "INSERT INTO arriving VALUES (?, ?, ?, ?, ?)"
_DROP = "DELETE FROM arriving WHERE dataset_id = ?"
_REPLACE = (
    "DROP TABLE temp.listed",
    "CREATE INDEX temp.listed_by_key ON arriving (key)",
    "ALTER TABLE temp.arriving RENAME TO listed",
)
_KNOWN = "SELECT 1 FROM meta WHERE name = 'dataset_name'"
_NAME = "INSERT INTO meta VALUES ('dataset_name', ?)"
_HOLD = "INSERT OR IGNORE INTO held SELECT key FROM listed"


@attrs.frozen
class Listed:
    """Take listings of the target, part by part.

    Args:
        store: The plan's database.
    """

    _store: Store

    def begin(self) -> None:
        """Begin a listing; one that did not come to its end is forgotten."""
        with self._store.writing() as database:
            database.execute(_BEGIN)
            database.execute(_ARRIVING)

    def add(self, part: Dataset) -> None:
        """Enter some media of a dataset."""
        with self._store.writing() as database:
            database.executemany(_ADD, _rows(part))

    def drop(self, dataset_id: str) -> None:
        """Forget what was entered of a dataset in this listing."""
        with self._store.writing() as database:
            database.execute(_DROP, (dataset_id,))

    def end(self, name: str) -> None:
        """Let the listing count: it is whole.

        Args:
            name: Name of the target. In the first run of a plan, what is listed was held before it.
        """
        with self._store.writing() as database:
            for statement in _REPLACE:
                database.execute(statement)
            if not database.execute(_KNOWN).fetchone():
                database.execute(_HOLD)
                database.execute(_NAME, (name,))

    def replace(self, parts: Iterable[Dataset], *, name: str) -> None:
        """Enter a whole listing."""
        self.begin()
        for part in parts:
            self.add(part)
        self.end(name)


def _rows(part: Dataset) -> Iterator[tuple[object, ...]]:
    for each in part.media:
        is_link = each.source_type == MediaSourceType.SHAREABLE_LINK
        key = blob(f"n{fold_name(each.stored_name)}")
        yield key, each.id, part.id, each.timestamp, is_link
