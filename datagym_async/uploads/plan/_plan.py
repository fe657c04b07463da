"""The plan of a run: every item in a lasting order, who may have which name, and what became of it.

How it works. Candidates of all finite sources are written to an SQLite database before anything is
sent; `settle` then sorts them and lets each claim its name, first come first served, against one
another and against what the dataset holds. `take` gives them back in order, each with the verdict.
What arrives later (streams) goes through the same three steps in small portions.

The database is a temporary one, or a journal (`_journal_file`): then the plan is kept, with a state
and an outcome for each item, and the next run of the same job begins with what this one has left
(`_resuming`). Outcomes are noted in memory and written with the next portion or soon after
(`_outcomes`): many in one transaction. SQLite keeps memory flat for any number of files; the price
is about 300 bytes of disk an item, and that a folder is walked once to its end before the first
image is sent. A folder walked twice would need no disk, but may change in between, and could not
say which other file holds a name.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any, Self

import attrs

from datagym_async._printable import printable
from datagym_async._runs._soundness import is_of_the_disk
from datagym_async._wire._messages import Body
from datagym_async.models._names import fold_name
from datagym_async.uploads._screening import folded
from datagym_async.uploads._values import Outcome, UploadItem
from datagym_async.uploads.plan import _journal as journal_file
from datagym_async.uploads.plan._journal import Kind, stated
from datagym_async.uploads.plan._names import (
    Claim,
    Holder,
    Renaming,
    Verdict,
    judge,
    refuse_clashes,
)
from datagym_async.uploads.plan._outcomes import Outcomes
from datagym_async.uploads.plan._resuming import Resuming
from datagym_async.uploads.plan._rows import (
    Added,
    Listed,
    Row,
    blob,
    identified,
    item_of,
    row_of,
    text,
)
from datagym_async.uploads.sources._open_files import ByteSource

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from datagym_async.uploads._screening import Screening
    from datagym_async.uploads.sources._candidates import Candidate


_LAST = "SELECT coalesce(max(seq), 0) FROM item"
_SCREENED = "SELECT value FROM meta WHERE name = 'screening'"
_SCREEN = "INSERT OR REPLACE INTO meta VALUES ('screening', ?)"
_ADD = """
INSERT INTO item (seq, part, place, name, content, origin, size, refusal, name_key, link_key,
                  mtime, sha) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_HOLD = "INSERT OR IGNORE INTO held VALUES (?)"
_LIST = "INSERT INTO listed VALUES (?, '', '', 0, 0)"
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
SELECT turn, kind, item.seq, name, content, origin, size, mtime, doubt, reason,
       held.key IS NOT NULL, refusal, link_key IS NOT NULL, by_name.seq, by_name.is_link,
       by_link.seq, EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key)
FROM turn JOIN item USING (seq)
LEFT JOIN claimed AS by_name ON by_name.key = name_key
LEFT JOIN claimed AS by_link ON by_link.key = link_key
LEFT JOIN held ON held.key = name_key
WHERE turn > ? ORDER BY turn LIMIT ?
"""
_SENDING = stated("""
UPDATE item SET state = $SENDING WHERE seq IN (SELECT value FROM json_each(?))
""")
_IS_NOW = "UPDATE item SET size = ?, mtime = ?, sha = NULL WHERE seq = ?"
_COMPLETE = "UPDATE run SET complete = ? WHERE run = ?"
_WHERE = "SELECT dataset_id, media_id FROM listed WHERE key = ? ORDER BY is_link, at LIMIT 1"
_HOLDER = "SELECT name, content, origin FROM item WHERE seq = ?"
_CHANGED = Verdict(
    Outcome.SKIPPED,
    "It has changed since this job uploaded it, and the dataset holds the bytes uploaded then; "
    "upload it under another name, or delete that image first.",
)


NOWHERE = ("", "")
"""Stands for the ids of a dataset and of a media that are not known."""


@attrs.define
class Planned:
    """One item of the plan on its way to the service; what is read of it is noted in it.

    Args:
        item: The item.
        size: Its bytes, where they are known.
        verdict: What is decided against sending it, or None.
        seq: Its number in the plan; 0 if the plan is not to be told of its outcome.
        doubt: Whether an attempt of an earlier run may have arrived since.
        is_held: Whether the target held its name before the first run.
        warnings: What should be known of it whatever becomes of it.
        there: Ids of the dataset and of the media that have its name, for one that is skipped.
        mtime: When it was changed, in nanoseconds, where a journal asks for it.

    Attributes:
        body: What to send, once it is read; None for a link, and for what is not sent.
        source: What the body's bytes come from, where that is no file of its own.
        is_awaited: Whether its open file is still to be read, in the event loop.
        is_changed: Whether its file was read as another one than it was listed as.
    """

    item: UploadItem
    size: int | None = None
    verdict: Verdict | None = None
    seq: int = 0
    doubt: bool = False
    is_held: bool = False
    warnings: tuple[str, ...] = ()
    there: tuple[str, str] = NOWHERE
    mtime: int | None = None
    body: Body | None = None
    source: ByteSource | None = None
    is_awaited: bool = False
    is_changed: bool = False

    def reject(self, reason: str) -> Planned:
        """Return it, rejected for a reason."""
        self.body = self.source = None
        self.verdict = Verdict(Outcome.REJECTED, reason)
        return self


class Plan:
    """Hold the items of a run on disk, in order, with a verdict and an outcome for each.

    A context manager; without a journal, what it holds is gone when it closes.

    Args:
        skip_existing: Whether an item whose name is there already is skipped.
        by_hash: Whether a file of a journal is known by the hash of its bytes, too.
        keeps_hashes: Whether the hash of what is in memory is kept, to be compared at the end.
    """

    def __init__(
        self,
        *,
        skip_existing: bool = True,
        by_hash: bool = False,
        keeps_hashes: bool = False,
        screening: str = "",
    ) -> None:
        self._store = journal_file.Store(None)
        self._skips = skip_existing
        self._by_hash = by_hash
        self._keeps_hashes = keeps_hashes
        self._screening = screening
        self._resuming: Resuming | None = None
        self.outcomes = Outcomes(self._store)
        self.listed = Listed(self._store)
        self._in_memory: dict[int, UploadItem] = {}
        self._added = 0
        self._settled = 0  # items
        self._turned = 0
        self._taken = 0  # turns

    def open(self, store: journal_file.Store | None = None) -> None:
        """Begin with a temporary database, or with what a journal holds."""
        self._store = store or journal_file.temporary()
        self.outcomes = Outcomes(self._store)
        self.listed = Listed(self._store)
        if store is not None:
            with store.writing() as database:
                (self._added,) = database.execute(_LAST).fetchone()
                is_as_before = database.execute(_SCREENED).fetchone() in {None, (self._screening,)}
                database.execute(_SCREEN, (self._screening,))
            self._settled = self._added
            self._resuming = Resuming(self._added, keeps_verdicts=is_as_before)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, *, complete: bool = False, doubtful: Iterable[int] = ()) -> None:
        """Write what is left to be written, and close; closing twice is fine.

        Args:
            complete: Whether the run came to its end.
            doubtful: Items that were cut off while they were sent, and may have arrived.
        """
        try:
            if self._resuming is not None and self._store.is_open:
                self._write_last(self._resuming, complete, doubtful)
        finally:
            self._store.close()
            self._in_memory.clear()

    def _write_last(self, resuming: Resuming, complete: bool, doubtful: Iterable[int]) -> None:
        # What cannot be written now is in `SENDING`, which the next run settles.
        with contextlib.suppress(sqlite3.Error), self._store.writing() as database:
            self.outcomes.write(database)
            database.execute(_COMPLETE, (complete, self._store.run))
            if not complete:
                resuming.give_back(database, doubtful)

    def using(self) -> AbstractContextManager[sqlite3.Connection]:
        """Have the database for oneself, in a thread, to look something up."""
        return self._store.using()

    @property
    def path(self) -> str:
        """Return the journal's path; empty where there is none."""
        return str(self._store.path or "")

    def told_failed(self, error: sqlite3.Error) -> str:
        """Return what to say when the database fails in the midst of a run."""
        if self._store.path is None:
            return f"The plan's temporary file failed: {error}"
        if not is_of_the_disk(error):
            return str(journal_file.unusable(self._store.path, error))
        return (
            f"The journal {printable(self.path)} failed, and is as it was written last; make room "
            f"or repair the disk, then the same upload again goes on: {error}"
        )

    def hold(self, stored_names: Iterable[str]) -> None:
        """Enter names that the dataset holds already.

        Args:
            stored_names: Names as the service lists them, encoded.
        """
        keys = [blob(f"n{fold_name(one)}") for one in stored_names]
        with self._store.writing() as database:
            database.executemany(_HOLD, ((key,) for key in keys))
            database.executemany(_LIST, ((key,) for key in keys))

    def resume(self) -> Added:
        """Give turns to what earlier runs have left, and return how much that is."""
        if self._resuming is None:
            return Added()
        with self._store.writing() as database:
            added = self._resuming.begin(database)
            self._turned = _last_turn(database)
        return added

    def add(self, entries: Iterable[tuple[int, Candidate]]) -> Added:
        """Enter candidates, each with the number of its leaf: those of a lower one come first."""
        rows = [self._row(*each) for each in entries]
        with self._store.writing() as database:
            if self._resuming is None:
                added = Added.of(rows)
            else:
                rows, added = self._resuming.sort_out(database, rows, self._in_memory)
            database.executemany(_ADD, rows)
        return added

    def _row(self, part: int, candidate: Candidate) -> Row:
        self._added += 1
        row, item = row_of(self._added, part, candidate), candidate.item
        if item.data or item.file is not None:
            self._in_memory[self._added] = item
        is_kept = self._keeps_hashes and self._added in self._in_memory
        if self._resuming is None and not is_kept:
            return row
        return identified(row, item, by_hash=self._by_hash)

    def settle(self, *, renames: bool = False) -> Added:
        """Sort what was added since the last time, and let it claim its names in that order.

        Args:
            renames: Whether an item whose name another one has is numbered.

        Returns:
            What to correct in the count of items.
        """
        added = Added()
        with self._store.writing() as database:
            database.execute(_SORT, (self._settled,))
            for statement in (_CLAIM_NAMES, _CLAIM_LINKS):
                database.execute(statement, (self._turned,))
            if self._resuming is not None and self._resuming.last:
                self._resuming.take_over(database, self._turned)
            if renames:
                renaming = Renaming(self._resuming, self._in_memory)
                added = renaming.settle(database, self._turned)
            self._turned = _last_turn(database)
        self._settled = self._added
        return added

    def refuse_clashes(self, screening: Screening) -> None:
        """Refuse to begin if images of finite sources clash.

        Raises:
            ConfigurationError: They do; it names some of them.
        """

        def item(row: Row) -> UploadItem:
            return self._in_memory.get(row.seq) or item_of(row.name, row.content, row.origin)

        with self._store.using() as database:
            refuse_clashes(database, screening, item)

    def take(self, count: int) -> list[Planned]:
        """Return the next settled items in order, at most so many; none at the end.

        Those without a verdict are marked as being sent, before they can be.
        """
        with self._store.writing() as database:
            self.outcomes.write(database)
            rows = database.execute(_TAKE, (self._taken, count)).fetchall()
            found = [self._planned(database, row) for row in rows]
            # In one statement: many small ones fight the event loop for the interpreter.
            sending = [each.seq for each in found if each.verdict is None]
            database.execute(_SENDING, (json.dumps(sending),))
        if rows:
            self._taken = rows[-1][0]
        return found

    def note_read(self, portion: Iterable[Planned]) -> None:
        """Note in a journal what files were when they were read, where they were listed otherwise.

        Args:
            portion: Items that are read, none of which is being sent yet.
        """
        if self._resuming is None:
            return
        changed = [
            (each.size, each.mtime, each.seq)
            for each in portion
            if each.is_changed and each.body is not None and each.mtime is not None
        ]
        if changed:
            with self._store.writing() as database:
                database.executemany(_IS_NOW, changed)

    def _planned(self, database: sqlite3.Connection, row: tuple[Any, ...]) -> Planned:
        _, kind, seq, name, content, origin, size, mtime, doubt, reason, is_held, *claim = row
        item = self._in_memory.pop(seq, None) or item_of(name, content, origin)
        if item.name != (known := name.decode("utf-8", "surrogatepass")):
            item = attrs.evolve(item, name=known)
        if kind == Kind.CHANGED:
            return Planned(item, size, _CHANGED)  # without a number: it stays uploaded
        planned = Planned(item, size, None, seq, bool(doubt), bool(is_held), mtime=mtime)
        if kind == Kind.KNOWN:
            return planned.reject(reason or "")
        claimed = Claim(seq, *claim)
        if not self._skips:
            claimed = attrs.evolve(claimed, is_held=False)
        planned.verdict = judge(item, claimed, lambda holder: _holder(database, holder))
        if kind == Kind.RENAMED:
            planned.warnings = (reason,)
        if planned.verdict is not None and planned.verdict.outcome is Outcome.SKIPPED:
            planned.there = _where(database, item)
        return planned


def _holder(database: sqlite3.Connection, seq: int) -> Holder:
    name, content, origin = database.execute(_HOLDER, (seq,)).fetchone()
    return Holder(text(name), text(content), text(origin))


def _where(database: sqlite3.Connection, item: UploadItem) -> tuple[str, str]:
    row = database.execute(_WHERE, (blob(f"n{folded(item.name)}"),)).fetchone()
    return NOWHERE if row is None else (row[0], row[1])


def _last_turn(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT coalesce(max(turn), 0) FROM turn").fetchone()[0])
