"""The plan of a run: every item in a lasting order, who may have which name, and what became of it.

How it works. Candidates of all finite sources are written to an SQLite database before anything is
sent; `settle` then sorts them and lets each claim its name, first come first served, against one
another and against what the dataset holds. `take` gives them back in order, each with the verdict.
What arrives later (streams) goes through the same three steps in small portions.

The database is a temporary one, or a journal (`_journal_file`): then the plan is kept, with a state
and an outcome for each item, and the next run of the same job begins with what this one has left
(`_resuming`). Outcomes are noted in memory and written with the next portion, or soon after: many
in one transaction. SQLite keeps memory flat for any number of files; the price is about 300 bytes
of disk an item, and that a folder is walked once to its end before the first image is sent.

Everything here but `note` blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import attrs

from datagym_async._wire._names import fold_name
from datagym_async.models import MediaSourceType
from datagym_async.resources._urls import screen as screen_url
from datagym_async.transfer import _journal_file as journal_file
from datagym_async.transfer._clashes import Claim, Holder, Verdict, judge
from datagym_async.transfer._items import Outcome, UploadItem, is_url, url_name
from datagym_async.transfer._journal_schema import Kind, State
from datagym_async.transfer._outcomes import Outcomes
from datagym_async.transfer._resuming import Resuming, Row, blob, text
from datagym_async.transfer._screening import folded, screen_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datagym_async.models import Dataset
    from datagym_async.transfer._candidates import Candidate
    from datagym_async.transfer._items import UploadResult
    from datagym_async.transfer._resuming import Added

_ADD = """
INSERT INTO item (seq, part, place, name, content, origin, size, refusal, name_key, link_key,
                  mtime, sha) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_HOLD = "INSERT OR IGNORE INTO held VALUES (?)"
_LIST = "INSERT OR IGNORE INTO listed VALUES (?, ?, ?, ?, ?)"
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
SELECT turn, kind, item.seq, name, content, origin, size, item.attempts, item.reason,
       held.key IS NOT NULL, refusal, link_key IS NOT NULL, by_name.seq, by_name.is_link,
       by_link.seq, EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key)
FROM turn JOIN item USING (seq)
LEFT JOIN claimed AS by_name ON by_name.key = name_key
LEFT JOIN claimed AS by_link ON by_link.key = link_key
LEFT JOIN held ON held.key = name_key
WHERE turn > ? ORDER BY turn LIMIT ?
"""
_SENDING = f"UPDATE item SET state = {State.SENDING:d} WHERE seq = ?"
_BEAT = "UPDATE run SET heartbeat = ?, settle_after = ?, complete = ? WHERE run = ?"
_HOLDER = "SELECT name, content, origin FROM item WHERE seq = ?"
_CHANGED = (
    "It has changed since this job uploaded it, and the dataset keeps the bytes uploaded then; "
    "upload it under another name, or delete that image first."
)


@attrs.frozen
class Ticket:
    """What the plan must know of an item that has an outcome, and what a retry of it means.

    Args:
        seq: Number of the item in its plan.
        attempts: How often earlier runs may have sent it: one of them may have arrived.
        is_held: Whether the target held its name before the first run.
    """

    seq: int
    attempts: int = 0
    is_held: bool = False


@attrs.frozen
class Planned:
    """One item of the plan.

    Args:
        item: The item.
        size: Bytes, where they are known without reading.
        verdict: What is decided against sending it, or None.
        ticket: Its number in the plan, and what is known of earlier attempts.
    """

    item: UploadItem
    size: int | None = None
    verdict: Verdict | None = None
    ticket: Ticket = Ticket(0)


def _keys(candidate: Candidate) -> tuple[str, bytes | None, bytes | None]:
    """Return why the candidate cannot be sent, and the keys of its name and of its link."""
    item = candidate.item
    if candidate.refusal:
        return candidate.refusal, None, None
    if isinstance(item.content, str) and is_url(item.content):
        if refusal := screen_url(item.content):
            return refusal, None, None
        name = url_name(item.content)
        return "", blob(f"n{folded(name) if name else ''}"), blob(f"u{item.content.casefold()}")
    if refusal := screen_name(item.name):
        return refusal, None, None
    return "", blob(f"n{folded(item.name)}"), None


class Plan:
    """Hold the items of a run on disk, in order, with a verdict and an outcome for each.

    A context manager; without a journal, what it holds is gone when it closes.

    Args:
        skip_existing: Whether an item whose name is held already is skipped.
        by_hash: Whether the hash of its bytes is part of what a file is known by.
    """

    def __init__(self, *, skip_existing: bool = True, by_hash: bool = False) -> None:
        self._store = journal_file.Store(None)
        self._skips = skip_existing
        self._by_hash = by_hash
        self._resuming: Resuming | None = None
        self._outcomes = Outcomes(self._store)
        self._in_memory: dict[int, UploadItem] = {}
        self._added = 0
        self._settled = 0
        self._turns = 0
        self._taken = 0
        self._settle_after = 0.0
        self._notes: deque[tuple[object, ...]] = deque()

    def open(self, store: journal_file.Store | None = None) -> None:
        """Begin with a database of its own, or with what a journal holds."""
        self._store = store or journal_file.temporary()
        self._outcomes = Outcomes(self._store)
        if store is not None:
            self._resuming = Resuming(store, by_hash=self._by_hash)
            self._added = self._settled = self._resuming.last_seq()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def outcomes(self) -> Outcomes:
        """Return what became of the items."""
        return self._outcomes

    @property
    def path(self) -> str:
        """Return the journal's path, or nothing."""
        return str(self._store.path or "")

    def close(self, *, complete: bool = False, doubtful: Iterable[int] = ()) -> None:
        """Write what is left to be written, and close; closing twice is fine.

        Args:
            complete: Whether the run came to its end.
            doubtful: Items that were cut off while they were sent: they stay in `SENDING`.
        """
        try:
            if self._store.path is not None and self._store.is_open:
                self._write_last(complete=complete, doubtful=doubtful)
        finally:
            self._store.close()
            self._in_memory.clear()

    def _write_last(self, *, complete: bool, doubtful: Iterable[int]) -> None:
        # What cannot be written now stays in `SENDING`, which the next run settles.
        with contextlib.suppress(sqlite3.Error), self._store.writing() as database:
            self._write_notes(database, complete=complete)
            if self._resuming is not None:
                self._resuming.give_back(database, doubtful)

    def hold(self, stored_names: Iterable[str]) -> None:
        """Enter names that the dataset holds already.

        Args:
            stored_names: Names as the service lists them, encoded.
        """
        keys = [blob(f"n{fold_name(one)}") for one in stored_names]
        with self._store.writing() as database:
            database.executemany(_HOLD, ((key,) for key in keys))
            database.executemany(_LIST, ((key, "", "", 0, 0) for key in keys))

    def list(self, datasets: Iterable[Dataset]) -> None:
        """Enter all that the target holds now; the first time, also as held before the job."""
        with self._store.writing() as database:
            database.execute("DELETE FROM listed")
            for dataset in datasets:
                database.executemany(_LIST, _listed(dataset))
            if not database.execute("SELECT 1 FROM meta WHERE name = 'is_held'").fetchone():
                database.execute("INSERT OR IGNORE INTO held SELECT key FROM listed")
                database.execute("INSERT INTO meta VALUES ('is_held', '1')")

    def name_dataset(self, name: str) -> None:
        """Note the dataset's name, for people."""
        with self._store.writing() as database:
            database.execute("INSERT OR REPLACE INTO meta VALUES ('dataset_name', ?)", (name,))

    def resume(self) -> Added:
        """Give turns to what earlier runs have left, and return how much that is."""
        if self._resuming is None:
            return Added_none
        with self._store.writing() as database:
            added = self._resuming.begin(database)
        self._count_turns()
        return added

    def add(self, entries: Iterable[tuple[int, Candidate]]) -> Added:
        """Enter candidates, each with the number of its leaf: those of a lower one come first.

        Returns:
            How many there are that were not counted before, and what earlier runs did with them.
        """
        rows = [self._row(*each) for each in entries]
        with self._store.writing() as database:
            if self._resuming is None:
                added = Added_of(rows)
            else:
                rows, added = self._resuming.sort_out(database, rows, self._in_memory)
            database.executemany(_ADD, (row.values for row in rows))
        return added

    def _row(self, part: int, candidate: Candidate) -> Row:
        self._added += 1
        item = candidate.item
        refusal, name_key, link_key = _keys(candidate)
        content = item.content
        if isinstance(content, bytes) and content:
            self._in_memory[self._added] = item
        return Row(
            self._added,
            part,
            blob(candidate.place),
            blob(item.name),
            blob(content) if isinstance(content, str) else None,
            blob(item.origin),
            candidate.size,
            refusal,
            name_key,
            link_key,
        )
