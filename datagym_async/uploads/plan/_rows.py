"""The rows of a plan: how an item is stored and identified, and the target's listing.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias
from zlib import crc32

import attrs

from datagym_async._regular_files import regular_only
from datagym_async._runs._database import DamagedError, Database
from datagym_async.models import Dataset, MediaSourceType
from datagym_async.models._names import fold_link, fold_written, name_key
from datagym_async.resources._urls import screen as screen_url
from datagym_async.uploads._screening import screen_name
from datagym_async.uploads._values import UploadItem, is_elsewhere, is_url, url_name
from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.sources._candidates import Candidate


class Row(NamedTuple):
    """One item as it is written: a tuple, because SQLite uses that directly."""

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
    mark: int | None = None

    def bound(self) -> tuple[object, ...]:
        """Return it as `ADD_ITEM` takes it.

        For each value of type bytes, and for each None, Python's sqlite3 looks for an adapter,
        which takes longer than the rest of the statement. Called for each file, so written out.
        """
        seq, part, place, name, content, origin, size, refusal, key, link, mtime, sha, mark = self
        return (
            *(seq, part, bytearray(place), bytearray(name)),
            "" if content is None else bytearray(content),
            bytearray(origin),
            "" if size is None else size,
            refusal,
            "" if key is None else bytearray(key),
            "" if link is None else bytearray(link),
            "" if mtime is None else mtime,
            "" if sha is None else bytearray(sha),
            mark,
        )


@attrs.frozen
class Added:
    """Counts of items found in the sources, or in the journal."""

    count: int = 0  # items that were not counted before
    bytes: int = 0  # their bytes, as far as they are known
    resumed: int = 0  # items among them that an earlier run had settled
    resumed_bytes: int = 0
    unsettled: int = 0  # items among them that an earlier run left without an answer
    repeated: int = 0  # repetitions of items; not part of other counts
    earlier: int | None = None  # of a journal: items that are done, and not counted yet

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Added:
        """Return the count of rows that are all new."""
        sizes = [row.size or 0 for row in rows]
        return cls(len(sizes), sum(sizes))


_NO_TEXT = "a text in it was changed"


def blob(text: str) -> bytes:
    """Return a text as it is stored: file names may contain bytes that SQLite's TEXT cannot."""
    return text.encode("utf-8", "surrogatepass")


def text(data: bytes | None) -> str:
    """Return a stored text; bytes that are not a text raise a `DamagedError`."""
    try:
        return "" if data is None else data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise DamagedError(_NO_TEXT) from None


def mark_of(name: bytes, content: bytes | None) -> int:
    """Return the checksum of an item's name and source: after a kill there is no seal."""
    return crc32(content or b"", crc32(name))


def item_of(name: bytes, content: bytes | None, origin: bytes) -> UploadItem:
    """Return the item of a row; an item that was in memory has no bytes any more."""
    # Called for each file, so without `text` and without the checks of the constructor.
    item = UploadItem.__new__(UploadItem)
    try:
        item.__attrs_init__(
            name.decode("utf-8", "surrogatepass"),
            b"" if content is None else content.decode("utf-8", "surrogatepass"),
            origin=origin.decode("utf-8", "surrogatepass"),
        )
    except UnicodeDecodeError:
        raise DamagedError(_NO_TEXT) from None
    return item


KnownBy: TypeAlias = Literal["", "time", "hash"]
"""What of an item is kept: nothing, size and time of a file, or the hash of its bytes as well."""


def row_of(seq: int, part: int, candidate: Candidate, known_by: KnownBy = "") -> Row:
    """Return a candidate of a leaf as a row; called for each file, so `blob` is repeated here."""
    item, content = candidate.item, candidate.item.content
    refusal, size, mtime = candidate.refusal, candidate.size, candidate.mtime
    key = link = sha = None
    # What it claims: a name, and for a link also its address. Only files whose folder was read have
    # a time of change.
    if not refusal and mtime is None and isinstance(content, str) and is_url(content):
        refusal = screen_url(content) or ""
        if not refusal:
            # The service uses its text as the name, unchanged (observed).
            key = blob(f"n{name_key(url_name(content))}")
            link = blob(f"u{fold_link(content)}")
    elif not refusal and not (refusal := screen_name(item.name)):
        key = f"n{fold_written(item.name)}".encode("utf-8", "surrogatepass")

    # An open file is identified by its name and size; objects and members by `mtime` alone.
    if known_by and item.file is None and not (mtime and is_elsewhere(str(content))):
        if isinstance(content, bytes):
            sha = hashlib.sha256(content).digest()
        elif key is not None and link is None and (mtime is None or known_by == "hash"):
            try:
                found = os.stat(content)  # noqa: PTH116 -- a million times, and Path costs more
                if known_by == "hash":
                    with open(content, "rb", opener=regular_only) as file:
                        sha = hashlib.file_digest(file, "sha256").digest()
                size, mtime = found.st_size, found.st_mtime_ns
            except (OSError, ValueError):
                pass  # reading it says what is wrong
    name = item.name.encode("utf-8", "surrogatepass")
    where = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else None
    return Row(
        seq,
        part,
        candidate.place.encode("utf-8", "surrogatepass"),
        name,
        where,
        item.origin.encode("utf-8", "surrogatepass"),
        size,
        refusal,
        key,
        link,
        mtime,
        sha,
        mark_of(name, where),
    )


@attrs.frozen
class Listed:
    """Store listings of the target in the plan's database, part by part."""

    _database: Database

    def begin(self) -> None:
        with self._database.writing() as database:
            for statement in sql.BEGIN_LISTING:
                database.execute(statement)

    def add(self, part: Dataset) -> None:
        rows = (
            (blob(f"n{name_key(each.stored_name)}"), each.id, part.id, each.timestamp, is_link)
            for each in part.media
            for is_link in (each.source_type == MediaSourceType.SHAREABLE_LINK,)
        )
        with self._database.writing() as database:
            database.executemany(sql.ADD_LISTED, rows)

    def drop(self, dataset_id: str) -> None:
        with self._database.writing() as database:
            database.execute(sql.DROP_LISTED, (dataset_id,))

    def end(self, name: str) -> None:
        """Put the complete listing into effect; names in a plan's first one existed before it."""
        with self._database.writing() as database:
            for statement in sql.END_LISTING:
                database.execute(statement)
            if not database.execute(sql.TARGET_NAME).fetchone():
                database.execute(sql.HOLD_LISTED)
                database.execute(sql.SET_META, ("dataset_name", name))
