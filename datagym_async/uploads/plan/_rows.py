"""The rows of a plan: how an item is written down, and what it is known by.

What the target of an upload holds now: a table of the plan, replaced by each whole listing.

A listing comes in parts, and may break off. So it is gathered beside the one that counts, and
takes its place at its end: half a listing is never taken for what the target holds.

The service lists media in any order, so they are appended, and the table is sorted once, at the
end: inserted one by one where their names belong, a million took five times as long.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

import attrs

from datagym_async._regular_files import regular_only
from datagym_async.models import MediaSourceType
from datagym_async.models._names import fold_link, fold_name
from datagym_async.resources._urls import screen as screen_url
from datagym_async.uploads._screening import folded, screen_name
from datagym_async.uploads._values import UploadItem, is_url, url_name
from datagym_async.uploads.plan._journal import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datagym_async.models import Dataset
    from datagym_async.uploads.sources._candidates import Candidate


class Row(NamedTuple):
    """One item as it is written: a tuple, since SQLite takes it as it is."""

    seq: int
    part: int
    place: bytes
    name: bytes
    content: bytes | None
    origin: bytes
    size: int | None
    refusal: str
    name_key: bytes | None
    link_key: bytes | None
    mtime: int | None = None
    sha: bytes | None = None

    @property
    def key(self) -> bytes | None:
        """Return what it claims for itself alone: a link's address, else its name."""
        return self.link_key or self.name_key


@attrs.frozen
class Added:
    """What was found in the sources, or in the journal.

    Args:
        count: Items that were not counted before.
        bytes: Their bytes, as far as these are known.
        resumed: Items among them that an earlier run had settled.
        resumed_bytes: Their bytes.
        unsettled: Items among them that an earlier run left without an answer.
    """

    count: int = 0
    bytes: int = 0
    resumed: int = 0
    resumed_bytes: int = 0
    unsettled: int = 0

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Added:
        """Return the count of rows that are all new."""
        sizes = [row.size or 0 for row in rows]
        return cls(len(sizes), sum(sizes))


def blob(text: str) -> bytes:
    """Return a text as it is written: file names may hold bytes that SQLite's TEXT could not."""
    return text.encode("utf-8", "surrogatepass")


def text(data: bytes | None) -> str:
    """Return a text as it was before it was written."""
    return "" if data is None else data.decode("utf-8", "surrogatepass")


def item_of(name: bytes, content: bytes | None, origin: bytes) -> UploadItem:
    """Return the item of a row; what was in memory has no bytes any more."""
    return UploadItem(text(name), b"" if content is None else text(content), origin=text(origin))


def row_of(seq: int, part: int, candidate: Candidate) -> Row:
    """Return a candidate as it is written."""
    item = candidate.item
    refusal, name_key, link_key = _keys(candidate)
    return Row(
        seq,
        part,
        blob(candidate.place),
        blob(item.name),
        blob(item.content) if isinstance(item.content, str) else None,
        blob(item.origin),
        candidate.size,
        refusal,
        name_key,
        link_key,
        candidate.mtime,
    )


def _keys(candidate: Candidate) -> tuple[str, bytes | None, bytes | None]:
    """Return why the candidate cannot be sent, and the keys of its name and of its link."""
    item = candidate.item
    if candidate.refusal:
        return candidate.refusal, None, None
    if isinstance(item.content, str) and is_url(item.content):
        if refusal := screen_url(item.content):
            return refusal, None, None
        name = url_name(item.content)
        return "", blob(f"n{folded(name) if name else ''}"), blob(f"u{fold_link(item.content)}")
    if refusal := screen_name(item.name):
        return refusal, None, None
    return "", blob(f"n{folded(item.name)}"), None


def identified(row: Row, item: UploadItem, *, by_hash: bool) -> Row:
    """Return the row with what its item is known by: size and time of a file, hash of bytes."""
    if item.file is not None:
        return row  # known by its name and size
    if isinstance(item.content, bytes):
        return row._replace(sha=hashlib.sha256(item.content).digest())
    if row.link_key or row.refusal or (row.mtime is not None and not by_hash):
        return row  # it has no bytes of its own, or was looked at when its folder was read
    try:
        found = os.stat(item.content)  # noqa: PTH116 -- a million times, and Path costs more
        sha = _hash(item.content) if by_hash else None
    except (OSError, ValueError):
        return row  # reading it says what is wrong
    # Ten times as fast as _replace, and a million of these are made.
    return Row(*row[:6], found.st_size, *row[7:10], found.st_mtime_ns, sha)


def _hash(path: str) -> bytes:
    with open(path, "rb", opener=regular_only) as file:
        return hashlib.file_digest(file, "sha256").digest()


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
