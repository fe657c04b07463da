"""The plan of a run: every candidate in a lasting order, and who may have which name.

How it works. Candidates of all finite sources are written to a temporary SQLite database before
anything is sent; `settle` then sorts them and lets each claim its name, first come first served,
against one another and against what the dataset holds. `take` gives them back in order, each with
the verdict. What arrives later (streams) goes through the same three steps in small portions.

SQLite keeps a database without a name in memory while it is small and on disk beyond that, so the
memory stays flat for any number of files; the price is about 200 bytes of disk an item, and that
a folder is walked once to its end before the first image is sent. A folder walked twice would
need no disk, but may change in between, and could not say which other file holds a name.

Everything here blocks: call it in a thread, from one caller at a time.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Self

import attrs

from datagym_async._wire._names import fold_name
from datagym_async.exceptions import ClientClosedError
from datagym_async.resources._urls import screen as screen_url
from datagym_async.transfer._clashes import Claim, Holder, Verdict, judge
from datagym_async.transfer._items import UploadItem, is_url, url_name
from datagym_async.transfer._screening import folded, screen_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datagym_async.transfer._candidates import Candidate

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -4096;
CREATE TABLE item (
    seq INTEGER PRIMARY KEY, part INTEGER, place BLOB, name BLOB, content BLOB, origin BLOB,
    size INTEGER, refusal TEXT, name_key BLOB, link_key BLOB
);
CREATE TABLE turn (turn INTEGER PRIMARY KEY, seq INTEGER);
CREATE TABLE held (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE claimed (key BLOB PRIMARY KEY, seq INTEGER, is_link INTEGER) WITHOUT ROWID;
"""
_ADD = "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_HOLD = "INSERT OR IGNORE INTO held VALUES (?)"
_SORT = "INSERT INTO turn (seq) SELECT seq FROM item WHERE seq > ? ORDER BY part, place, seq"
_CLAIM_NAMES = """
INSERT OR IGNORE INTO claimed
SELECT name_key, seq, link_key IS NOT NULL FROM turn JOIN item USING (seq)
WHERE turn > ? AND name_key IS NOT NULL ORDER BY turn
"""
_CLAIM_LINKS = """
INSERT OR IGNORE INTO claimed
SELECT link_key, seq, 1 FROM turn JOIN item USING (seq)
WHERE turn > ? AND link_key IS NOT NULL ORDER BY turn
"""
_TAKE = """
SELECT turn, item.seq, name, content, origin, size, refusal, link_key IS NOT NULL,
       by_name.seq, by_name.is_link, by_link.seq, held.key IS NOT NULL
FROM turn JOIN item USING (seq)
LEFT JOIN claimed AS by_name ON by_name.key = name_key
LEFT JOIN claimed AS by_link ON by_link.key = link_key
LEFT JOIN held ON held.key = name_key
WHERE turn > ? ORDER BY turn LIMIT ?
"""
_HOLDER = "SELECT name, content, origin FROM item WHERE seq = ?"


@attrs.frozen
class Planned:
    """One item of the plan.

    Args:
        item: The item.
        size: Bytes, where they are known without reading.
        verdict: What is decided against sending it, or None.
    """

    item: UploadItem
    size: int | None = None
    verdict: Verdict | None = None


def _blob(text: str) -> bytes:
    # File names may hold bytes that are not UTF-8, which SQLite's TEXT could not give back.
    return text.encode("utf-8", "surrogatepass")


def _text(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogatepass")


def _keys(candidate: Candidate) -> tuple[str, bytes | None, bytes | None]:
    """Return why the candidate cannot be sent, and the keys of its name and of its link."""
    item = candidate.item
    if candidate.refusal:
        return candidate.refusal, None, None
    if isinstance(item.content, str) and is_url(item.content):
        if refusal := screen_url(item.content):
            return refusal, None, None
        name = url_name(item.content)
        return "", _blob(f"n{folded(name) if name else ''}"), _blob(f"u{item.content.casefold()}")
    if refusal := screen_name(item.name):
        return refusal, None, None
    return "", _blob(f"n{folded(item.name)}"), None


class Plan:
    """Hold the items of a run on disk, in order, with a verdict for each.

    A context manager; what it holds is gone when it closes.
    """

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._in_memory: dict[int, UploadItem] = {}
        self._added = 0
        self._settled = 0  # items, and turns: each item gets one
        self._taken = 0

    def open(self) -> None:
        """Make the database."""
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.executescript(_SCHEMA)
        self._connection.execute("BEGIN")  # one for the life of the plan: nothing outlives it

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ClientClosedError("The plan of this upload is closed.")
        return self._connection

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the plan and its disk space; closing twice is fine."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._in_memory.clear()

    def hold(self, stored_names: Iterable[str]) -> None:
        """Enter the names that the dataset holds already.

        Args:
            stored_names: Names as the service lists them, encoded.
        """
        self._database.executemany(_HOLD, ((_blob(f"n{fold_name(one)}"),) for one in stored_names))

    def add(self, entries: Iterable[tuple[int, Candidate]]) -> None:
        """Enter candidates, each with the number of its leaf: those of a lower one come first."""
        self._database.executemany(_ADD, (self._row(*each) for each in entries))

    def _row(self, part: int, candidate: Candidate) -> tuple[object, ...]:
        self._added += 1
        item = candidate.item
        refusal, name_key, link_key = _keys(candidate)
        content = item.content
        if isinstance(content, bytes) and content:
            self._in_memory[self._added] = item
        return (
            self._added,
            part,
            _blob(candidate.place),
            _blob(item.name),
            _blob(content) if isinstance(content, str) else None,
            _blob(item.origin),
            candidate.size,
            refusal,
            name_key,
            link_key,
        )

    def settle(self) -> None:
        """Sort what was added since the last time, and let it claim its names in that order."""
        for statement in (_SORT, _CLAIM_NAMES, _CLAIM_LINKS):
            self._database.execute(statement, (self._settled,))
        self._settled = self._added

    def take(self, count: int) -> list[Planned]:
        """Return the next settled items in order, at most so many; none at the end."""
        rows = self._database.execute(_TAKE, (self._taken, count)).fetchall()
        if rows:
            self._taken = rows[-1][0]
        return [self._planned(row) for row in rows]

    def _planned(self, row: tuple[Any, ...]) -> Planned:
        _, seq, name, content, origin, size, refusal, *holders = row
        item = self._in_memory.pop(seq, None)
        if item is None:
            item = UploadItem(
                _text(name), b"" if content is None else _text(content), origin=_text(origin)
            )
        claim = Claim(seq, refusal, *holders)
        return Planned(item, size, judge(item, claim, self._holder))

    def _holder(self, seq: int) -> Holder:
        name, content, origin = self._database.execute(_HOLDER, (seq,)).fetchone()
        return Holder(_text(name), _text(content or b""), _text(origin))
