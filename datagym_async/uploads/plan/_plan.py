"""The plan of a run: every item in a fixed order, with its name and its outcome.

Candidates of all finite sources are written to an SQLite database before anything is sent; `settle`
then sorts them and lets each claim its name, first come first served, among each other and against
the dataset's names. `take` returns them in order, each with its verdict. Items that arrive later
(streams) go through the same three steps in small portions.

The database is a temporary one, or a journal (`_journal`), with which the next run of the same job
begins with the items that this one has left (`_names`). SQLite keeps memory flat for any number
of files; the price is about 300 bytes of disk an item, and that a folder is walked to its end
before the first image is sent. Walked twice, it might change in between.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import attrs

from datagym_async._printable import printable
from datagym_async._runs._disk import Database, is_of_the_disk
from datagym_async._wire._messages import Body
from datagym_async.exceptions import MOVE_TEMPORARY
from datagym_async.uploads._screening import Screening
from datagym_async.uploads._values import Dedupe, Outcome, UploadItem
from datagym_async.uploads.plan import _journal as journal_file
from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.plan._names import (
    Claim,
    Resuming,
    Verdict,
    drop_repeats,
    judge,
    number_clashes,
    refuse_clashes,
)
from datagym_async.uploads.plan._rows import Added, KnownBy, Listed, Outcomes, item_of, row_of, text
from datagym_async.uploads.plan._tables import Kind
from datagym_async.uploads.sources._candidates import Candidate
from datagym_async.uploads.sources._open_files import ByteSource

_CHANGED = Verdict(
    Outcome.SKIPPED,
    "It has changed since this job uploaded it, and the dataset holds the bytes uploaded then; "
    "upload it under another name, or delete that image first.",
)


@attrs.define
class Planned:
    """One item of the plan in flight, and later its bytes."""

    item: UploadItem
    size: int | None = None
    verdict: Verdict | None = None  # the verdict against sending it
    seq: int = 0  # in the plan; 0 if its outcome is not recorded
    mtime: int | None = None  # in nanoseconds, if a journal needs it
    doubt: bool = False  # an attempt of an earlier run may have arrived since
    is_held: bool = False  # the target had its name before the first run
    warnings: tuple[str, ...] = ()  # warnings, whatever its outcome
    there: tuple[str, str] = ("", "")  # of one that is skipped, the dataset and media of its name
    home: str = ""  # of one that is sent all the same, the dataset that has its name and refuses it
    # Once it is read:
    body: Body | None = None  # what to send; None for links and items that are not sent
    source: ByteSource | None = None  # of the body's bytes, if the body is not a file
    is_awaited: bool = False  # its open file is still to be read, in the event loop
    is_stored: bool = False  # the same for an object of a store
    is_changed: bool = False  # its file has changed since it was listed
    is_turned: bool = False  # the service ignores its EXIF orientation, which is not upright

    def reject(self, reason: str, outcome: Outcome = Outcome.REJECTED) -> Planned:
        """Do not send it, for a reason; what failed is tried again by the next run."""
        self.body = self.source = None
        self.verdict = Verdict(outcome, reason)
        return self


class Plan:
    """Keep the items of a run on disk, in order, with a verdict and an outcome for each.

    Without a journal, everything is deleted when it closes. With `by_hash` a journal also
    identifies a file by the hash of its bytes; `keeps_hashes` stores the hashes of items in memory,
    to compare them at the end. For `dedupe` see `UploadConfig`.
    """

    def __init__(
        self,
        *,
        skip_existing: bool = True,
        by_hash: bool = False,
        keeps_hashes: bool = False,
        dedupe: Dedupe = None,
    ) -> None:
        self._skips = skip_existing
        self._dedupe = dedupe
        self.duplicates: int = 0  # items handed out that are equal to others
        self._by_hash, self._keeps_hashes = by_hash, keeps_hashes
        self._in_memory: dict[int, UploadItem] = {}
        self._resuming: Resuming | None = None
        self._added = self._settled = 0  # items
        self._keys = 0  # names and addresses that they are about to claim
        self._may_clash = False  # whether two items may want the same of these
        self._turned = self._taken = 0  # turns
        self._use(Database(None, journal_file.WHAT))

    def _use(self, database: Database) -> None:
        self._database = database
        self.outcomes: Outcomes = Outcomes(database)
        self.listed: Listed = Listed(database)

    def open(self, database: Database | None = None) -> None:
        """Begin with a temporary database, or with the items of a journal."""
        self._use(database or journal_file.temporary())
        if database is not None:
            with database.using() as connection:
                (self._added,) = connection.execute(sql.LAST_ITEM).fetchone()
            self._settled = self._added
            self._resuming = Resuming(self._added, finds_equals=self._dedupe is not None)
            self._may_clash = self._added > 0  # some may wait for names

    def close(self, *, complete: bool = False, doubtful: Iterable[int] = ()) -> None:
        """Write the rest and close, once or more; `doubtful` items may have been stored."""
        try:
            if self._resuming is not None and self._database.is_open:
                # Items whose outcome cannot be written now stay in `SENDING`; the next run settles
                # them.
                with contextlib.suppress(sqlite3.Error), self._database.writing() as database:
                    self.outcomes.write(database)
                    database.execute(sql.END_RUN, (complete, self._database.run))
                    if not complete:  # items that were not begun are planned again
                        database.executemany(sql.LOSE, ((seq,) for seq in doubtful))
                        database.execute(sql.GIVE_BACK)
        finally:
            # A journal without items is of a run that found no dataset, say; in one that could not
            # be read there may be some.
            is_empty = self._resuming is not None and not self._added
            self._database.close(delete=is_empty and not complete)
            self._in_memory.clear()

    def using(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._database.using()

    @property
    def path(self) -> str:
        """Return the journal's path, or an empty text."""
        return str(self._database.path or "")

    @property
    def earlier(self) -> int:
        """Return the number of the last item that earlier runs wrote."""
        return 0 if self._resuming is None else self._resuming.last

    def failure_text(self, error: sqlite3.Error) -> str:
        """Return the message for a database that fails during a run."""
        if self._database.path is None:
            return f"The plan's temporary file failed: {error}; {MOVE_TEMPORARY}"
        if not is_of_the_disk(error):
            return journal_file.unusable(self._database.path, error)
        return (
            f"The journal {printable(self.path)} failed and was not changed since; free some space "
            "there and in the folder for temporary files (SQLITE_TMPDIR), or repair the disk, then "
            f"run the same upload again: {error}"
        )

    def resume(self) -> Added:
        """Give turns to the items that earlier runs have left, and return how many there are."""
        if self._resuming is None:
            return Added()
        with self._database.writing() as database:
            for statement in sql.RESUME:
                database.execute(statement)
            if self._dedupe is not None:
                database.execute(sql.KNOWN_BYTES)
                database.execute(sql.CLAIM_BYTES, (0,))
            count, size, lost = database.execute(sql.SUM_RESUMED).fetchone()
            (done,) = database.execute(sql.COUNT_DONE).fetchone()
            self._turned = _last_turn(database)
        return Added(count, size, unsettled=lost, earlier=done if count or done else None)

    def forget_run(self) -> None:
        """Leave a journal as the run before has left it: the sources of this one have no image."""
        if self._resuming is not None:
            self._added = self._resuming.last
            with self._database.writing() as database:
                database.execute(sql.FORGET_ITEMS, (self._added,))
                database.execute(sql.FORGET_RUN, (self._database.run,))

    def add(self, entries: Iterable[tuple[int, Candidate]]) -> Added:
        """Add candidates, each with the number of its leaf: those of a lower one come first."""
        known_by: KnownBy = "hash" if self._by_hash or self._dedupe else "time"
        of_files: KnownBy = known_by if self._resuming is not None or self._dedupe else ""
        of_bytes: KnownBy = known_by if self._keeps_hashes else of_files
        rows = []
        depending = set()
        for part, candidate in entries:
            self._added += 1
            if candidate.depends:
                depending.add(self._added)
            item = candidate.item
            kept = of_files
            if item.file is not None or (isinstance(item.content, bytes) and item.content):
                self._in_memory[self._added] = item
                kept = of_bytes
            rows.append(row_of(self._added, part, candidate, kept))
        with self._database.writing() as database:
            repeated = len(rows)
            named = [(row.content, row.name, row.seq) for row in rows if row.seq in depending]
            if named and database.executemany(sql.NAME_PATH, named).rowcount < len(named):
                again = {
                    each[2] for each in named if not database.execute(sql.IS_NAMED, each).fetchone()
                }
                rows = [row for row in rows if row.seq not in again]
            repeated -= len(rows)
            if self._resuming is None or not self._resuming.last:
                added = Added.of(rows)
            else:
                rows, added = self._resuming.sort_out(database, rows, self._in_memory)
            database.executemany(sql.ADD_ITEM, [row.bound() for row in rows])
        self._keys += sum((row.name_key is not None) + (row.link_key is not None) for row in rows)
        return attrs.evolve(added, repeated=repeated) if repeated else added

    def settle(self, *, renames: bool = False, goes_on: bool = False) -> Added:
        """Sort the items added since the last time, and let them claim their names in that order.

        With `renames` those that clash are numbered; `goes_on` if the sources have items to come.
        Returns how to correct the count of items.
        """
        added = Added()
        with self._database.writing() as database:
            database.execute(sql.SORT, (self._settled,))
            for statement in (sql.CLAIM_NAMES, sql.CLAIM_LINKS):
                self._keys -= database.execute(statement, (self._turned,)).rowcount
            if self._resuming is not None and self._resuming.last:
                # Names of items that the sources no longer have go to the items that want them now.
                last = self._resuming.last
                known = {"turn": self._turned, "last": last, "renames": renames}
                self.outcomes.write(database)
                if goes_on and self._skips:
                    database.execute(sql.LEAVE, known)
                database.execute(sql.TAKE_OVER, known)
            if self._keys:  # not all were free
                self._may_clash = True
                self.outcomes.write(database)
                added = drop_repeats(database, self._turned)
                if renames:
                    more = number_clashes(database, self._turned, self._resuming, self._in_memory)
                    count, size = added.count + more.count, added.bytes + more.bytes
                    added = attrs.evolve(more, count=count, bytes=size, repeated=added.repeated)
                self._keys = 0
            if self._dedupe is not None:
                database.execute(sql.DROP_BYTES)
                database.execute(sql.CLAIM_BYTES, (self._turned,))
            self._turned = _last_turn(database)
        self._settled = self._added
        return added

    def refuse_clashes(self, screening: Screening) -> None:
        """Refuse to begin if images of finite sources clash, with a `ConfigurationError`."""
        with self._database.using() as database:
            refuse_clashes(database, screening, self._in_memory)

    def take(self, count: int) -> list[Planned]:
        """Return up to `count` settled items; those to be sent are marked as `SENDING` first."""
        with self._database.writing() as database:
            self.outcomes.write(database)
            (last,) = database.execute(sql.TAKEN, (self._taken, count)).fetchone()
            may_clash = self._may_clash or database.execute(sql.IS_HELD).fetchone()[0]
            take = sql.TAKE if may_clash else sql.TAKE_ALONE
            rows = database.execute(take, (self._taken, last)).fetchall()
            found = [self._planned(database, row) for row in rows]
            if self._dedupe is not None:
                # Record which are equal to others, byte for byte, and which are skipped for it.
                seqs = json.dumps([each.seq for each in found])
                equals = database.execute(sql.EQUAL_BYTES, (seqs,))
                equal = {seq: item_of(*first) for seq, *first in equals}
                for planned in found:
                    first = equal.get(planned.seq)
                    if first is None or not (planned.verdict is None or planned.verdict.is_clash):
                        continue
                    said = f"It is equal to {first.source or printable(first.name)}, byte for byte"
                    self.duplicates += 1
                    if self._dedupe == "skip":
                        skipped = f'{said}, so it was skipped (dedupe="skip").'
                        planned.verdict = Verdict(Outcome.SKIPPED, skipped)
                    else:
                        planned.warnings += (f"{said}.",)
            if self._resuming is not None:  # without a journal there is no next run that needs it
                # In one statement: many small ones compete with the event loop for the interpreter
                # lock.
                sending = [each.seq for each in found if each.verdict is None]
                database.execute(sql.SENDING, (json.dumps(sending),))
        self._taken = last or self._taken
        return found

    def _planned(self, database: sqlite3.Connection, row: tuple[Any, ...]) -> Planned:
        seq, name, content, origin, size, mtime, refusal = row[:7]
        is_link = refusal is None
        item = self._in_memory.pop(seq, None) if self._in_memory else None
        if item is None:
            item = item_of(name, content, origin)
        elif item.name != text(name):  # it was numbered
            item = attrs.evolve(item, name=text(name))
        planned = Planned(item, size, None, seq, mtime)
        claim: tuple[Any, ...] = (seq, 0, None, 0, None)
        if len(row) > 7:
            kind, reason, doubt, is_held = row[7:11]
            claim = row[11:]
            if kind == Kind.CHANGED:
                return Planned(item, size, _CHANGED)  # without a number: it stays uploaded
            if kind == Kind.HELD:
                claim = (seq, *claim[1:])
            if kind == Kind.RENAMED:
                planned.warnings = (reason,)
            planned.doubt, planned.is_held = bool(doubt), bool(is_held)
        holder, holder_is_link, link_holder, is_there, key = claim
        if not (refusal or is_link or is_there) and holder == seq:
            return planned  # no other item has its name, the usual case
        wanted = Claim(
            *(seq, refusal or "", is_link, holder, holder_is_link, link_holder),
            is_held=is_there and self._skips,
        )

        def of(holder: int) -> UploadItem:
            return item_of(*database.execute(sql.HOLDER, (holder,)).fetchone())

        planned.verdict = judge(item, wanted, of)
        if planned.verdict is not None and planned.verdict.outcome is Outcome.SKIPPED:
            planned.there = database.execute(sql.LISTED_AT, (key,)).fetchone()
        elif is_there and planned.verdict is None:
            planned.home, _ = database.execute(sql.LISTED_AT, (key,)).fetchone()
        return planned

    def note_prepared(self, sent: Iterable[tuple[int, bytes]]) -> None:
        """Store the hashes of prepared images in memory, to compare them at the end."""
        if self._keeps_hashes and sent:
            with self._database.writing() as database:
                database.executemany(sql.KEEP_SENT, sent)

    def note_read(self, portion: Iterable[Planned]) -> None:
        """Record in a journal, before sending, which files have changed since they were listed."""
        if self._resuming is None:
            return
        changed = [
            (each.size, each.mtime, each.seq)
            for each in portion
            if each.is_changed and each.body is not None and each.mtime is not None
        ]
        if changed:
            with self._database.writing() as database:
                database.executemany(sql.IS_NOW, changed)


def _last_turn(database: sqlite3.Connection) -> int:
    return int(database.execute(sql.LAST_TURN).fetchone()[0])
