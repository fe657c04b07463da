"""The rows of a plan: how an item is stored and identified, its outcome, and the target's listing.

Outcomes are written in batches, and compared with the listing. `Outcomes.note` may be called from
the event loop. Everything else blocks: call it in a thread.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeAlias
from zlib import crc32

import attrs

from datagym_async._files import changed_at, regular_only
from datagym_async._runs._disk import DamagedError, Database
from datagym_async.models import Dataset, MediaSourceType
from datagym_async.models._names import fold_link, fold_written, name_key
from datagym_async.resources._links import screen_url
from datagym_async.uploads._screening import screen_name
from datagym_async.uploads._values import (
    Double,
    Outcome,
    UploadItem,
    UploadResult,
    is_elsewhere,
    is_url,
    url_name,
)
from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.plan._tables import State
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
    mark: int = 0  # see `mark_of`

    def bound(self) -> tuple[object, ...]:
        """Return it as `ADD_ITEM` takes it.

        For each value of type bytes, and for each None, Python's sqlite3 looks for an adapter,
        which takes longer than the rest of the statement; a text is copied, a number is not. Called
        for each file, so written out.
        """
        seq, part, place, name, content, origin, size, refusal, key, link, mtime, sha, mark = self
        return (
            *(seq, part, bytearray(place), bytearray(name)),
            0 if content is None else bytearray(content),
            bytearray(origin),
            -1 if size is None else size,
            refusal,
            0 if key is None else bytearray(key),
            0 if link is None else bytearray(link),
            "" if mtime is None else mtime,
            0 if sha is None else bytearray(sha),
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
    if known_by and item.file is None:
        if isinstance(content, bytes):
            sha = hashlib.sha256(content).digest()
        elif (key is not None and link is None) and (
            mtime is None or (known_by == "hash" and not is_elsewhere(str(content)))
        ):
            try:
                found = os.stat(content)  # noqa: PTH116 -- a million times, and Path costs more
                if known_by == "hash":
                    with open(content, "rb", opener=regular_only) as file:
                        sha = hashlib.file_digest(file, "sha256").digest()
                size, mtime = found.st_size, changed_at(found)
            except (OSError, ValueError):
                pass  # reading it says what is wrong
    name = item.name.encode("utf-8", "surrogatepass")
    where = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else None
    values = (
        *(seq, part, candidate.place.encode("utf-8", "surrogatepass"), name, where),
        item.origin.encode("utf-8", "surrogatepass"),
        *(size, refusal, key, link, mtime, sha),
        mark_of(name, where) if known_by else 0,  # only journals compare it
    )
    return tuple.__new__(Row, values)  # its own constructor takes three times as long


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
            database.execute(sql.SET_META, ("dataset_name", name))  # which may be a new one


_STATES = {each: State[each.name].value for each in Outcome}
_SENDING = State.SENDING.value


_Note: TypeAlias = tuple[int, str | None, tuple[object, ...]]
"""An item's number, the dataset it was uploaded to if nothing else is to be said, and values."""
Left: TypeAlias = tuple[int, UploadResult]
"""The number of an item whose answer was lost, and its result."""


@attrs.define
class Outcomes:
    """Write outcomes, and find those that were lost."""

    _database: Database
    # Seconds for which the service may still be storing the last upload; stored beside the
    # heartbeat for the next run.
    settle_after: float = 0.0
    _notes: deque[_Note] = attrs.Factory(deque)
    _lost: deque[int] = attrs.Factory(deque)

    def note(self, seq: int, result: UploadResult, *, lost: bool = False) -> None:
        """Keep an outcome for the next write; never blocks. A `lost` item stays `SENDING`."""
        if lost:
            self._lost.append(seq)
        is_all = not (lost or result.status or result.key or result.reason)
        if is_all and result.attempts == 1 and result.outcome is Outcome.UPLOADED:
            usual = result.media_id, result.seconds, seq
            self._notes.append((seq, result.dataset_id, usual))
            return
        other = (
            _SENDING if lost else _STATES[result.outcome],
            result.dataset_id,
            result.media_id,
            result.attempts,
            result.seconds,
            "" if result.status is None else result.status,  # see `Row.bound`
            result.key,
            result.reason,
            seq,
        )
        self._notes.append((seq, None, other))

    def flush(self) -> None:
        with self._database.writing() as database:
            self.write(database)

    def write(self, database: sqlite3.Connection) -> None:
        """Write the collected outcomes in the caller's transaction; also a sign of life."""
        notes, lost = list(self._notes), list(self._lost)  # at once: the loop adds some meanwhile
        for some in _each_once(notes):
            alike: dict[str | None, list[tuple[object, ...]]] = {}
            for _, uploaded_to, values in some:
                alike.setdefault(uploaded_to, []).append(values)
            for uploaded_to, found in alike.items():
                for at in range(0, len(found), sql.NOTES_AT_ONCE):
                    part = found[at : at + sql.NOTES_AT_ONCE]
                    bound = list(chain.from_iterable(part))
                    if is_upload := uploaded_to is not None:
                        bound.append(uploaded_to)
                    database.execute(sql.note(len(part), uploads=is_upload), bound)
        database.executemany(sql.LOSE, [(seq,) for seq in lost])
        if self._database.path is not None:
            database.execute(sql.BEAT, (time.time(), self.settle_after, self._database.run))
        for _ in notes:  # only now: an earlier error would have lost them
            self._notes.popleft()
        for _ in lost:
            self._lost.popleft()

    def lost_count(self, *, earlier: bool = False) -> int:
        """Return how many items are lost: of this run, or of `earlier` ones."""
        with self._database.using() as database:
            return int(database.execute(sql.COUNT_LOST, (earlier,)).fetchone()[0])

    def seconds_to_settle(self, settle_after: float) -> float:
        """Return the seconds until the service must have finished the last run's uploads."""
        with self._database.using() as database:
            row = database.execute(sql.LAST_BEAT, (self._database.run,)).fetchone()
        heartbeat, theirs = row if row and row[0] is not None else (0.0, None)
        patience = settle_after if theirs is None else max(settle_after, theirs)
        # If the clock was set back, we must not wait longer than that.
        return min(patience, max(0.0, heartbeat + patience - time.time()))

    def settle_lost(self, count: int, *, listed: bool, earlier: bool = False) -> list[Left]:
        """Return up to `count` lost items, which are lost until their outcome is noted.

        They are those of this run, or of `earlier` ones. With `listed` those that the target lists,
        which are uploaded, else any, with the result when the answer was lost.
        """
        with self._database.writing() as database:
            self.write(database)
            database.execute(sql.FIND)
            rows = database.execute(sql.FOUND if listed else sql.NOT_FOUND, (earlier, count))
            return [_left(row, is_uploaded=listed) for row in rows]

    def send_again(self) -> int:
        """Give new turns to what earlier runs lost, and return how many got one.

        Those without bytes wait for a source to yield them.
        """
        with self._database.writing() as database:
            _, given, _ = [database.execute(statement).rowcount for statement in sql.SEND_AGAIN]
        return given

    def doubles(self) -> list[Double]:
        """Return the uploaded names that the target lists more than once."""
        with self._database.using() as database:
            rows = database.execute(sql.DOUBLES).fetchall()
        copies: dict[tuple[bytes, str | None], list[str]] = {}
        for name, mine, media_id in rows:  # the oldest comes first
            copies.setdefault((name, mine), []).append(media_id)
        doubles = []
        for (name, mine), ids in copies.items():
            kept = mine if mine in ids else ids[0]
            extras = tuple(each for each in ids if each != kept)
            doubles.append(Double(name=text(name), kept=str(kept), extras=extras))
        return doubles

    def vanished(self, count: int) -> list[Left]:
        """Return items that this run uploaded and that the target does not list."""
        with self._database.using() as database:
            return [_left(row) for row in database.execute(sql.VANISHED, (count,))]


def _each_once(notes: Iterable[_Note]) -> Iterator[Iterable[_Note]]:
    """Yield outcomes in order, in parts with at most one for each item; nothing if none."""
    part: dict[int, _Note] = {}
    for note in notes:
        if note[0] in part:
            yield part.values()
            part = {}
        part[note[0]] = note
    if part:
        yield part.values()


def _left(row: tuple[Any, ...], *, is_uploaded: bool = False) -> Left:
    seq, name, content, origin, size, attempts, seconds, status, key, reason, *where = row
    result = UploadResult(
        item=item_of(name, content, origin),
        outcome=Outcome.UPLOADED if is_uploaded else Outcome.FAILED,
        dataset_id=where[1] or "",
        media_id=where[0],
        size=size,
        seconds=seconds or 0.0,
        attempts=max(1, attempts or 0),
    )
    if not is_uploaded:
        result = attrs.evolve(result, reason=reason or "", status=status, key=key or "")
    return seq, result
