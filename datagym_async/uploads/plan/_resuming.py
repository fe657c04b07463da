"""What earlier runs of a job have left: what is sent at once, what is done, what has changed.

Walking the sources again must be cheap: a portion of candidates is looked up in one statement, by
the names that they claim, and what is done and unchanged is only counted. Items that own no name
(clashes, names that cannot be sent) are forgotten at the beginning and judged anew.

Everything here blocks, inside a transaction of the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import attrs

from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.plan._rows import Added, Row
from datagym_async.uploads.plan._tables import Kind, State

if TYPE_CHECKING:
    import sqlite3

    from datagym_async.uploads._values import UploadItem


_PORTION = 500  # SQLite takes 999 values in one statement everywhere


class _Known(NamedTuple):
    """An item of an earlier run that a name leads to."""

    key: bytes
    seq: int
    name: bytes
    content: bytes | None
    size: int | None
    mtime: int | None
    sha: bytes | None
    state: int
    named: int | None
    is_listed: int

    def kind(self, row: Row, *, keeps_verdicts: bool) -> Kind | None:
        """Return what turn it gets, or None for none: it is done."""
        there = bool(self.is_listed) or row.link_key is not None
        if self.state == State.SKIPPED and there:
            return None
        if row.sha is not None and self.sha is not None:
            unchanged = row.sha == self.sha
        else:
            unchanged = (row.size, row.mtime) == (self.size, self.mtime)
        if self.state == State.UPLOADED and there:
            return None if unchanged else Kind.CHANGED
        # A link that was dead may be alive by now.
        is_known = self.state == State.REJECTED and unchanged and row.link_key is None
        return Kind.KNOWN if is_known and keeps_verdicts else Kind.NORMAL


@attrs.define
class Resuming:
    """Find candidates among what earlier runs have left."""

    last: int  # number of the last item that they have written
    # What they rejected is still rejected: not where images are looked at in another way now.
    keeps_verdicts: bool = True
    finds_equals: bool = False  # the bytes of what is done are noted

    def sort_out(
        self, database: sqlite3.Connection, rows: Sequence[Row], in_memory: dict[int, UploadItem]
    ) -> tuple[list[Row], Added]:
        """Return the candidates that are new, and how many count; give the known ones turns.

        Items in memory get the number of the item that they are known as.
        """
        new: list[Row] = []
        counted: list[Row] = []
        done: list[Row] = []
        met: set[int] = set()
        turns: list[tuple[int, Kind]] = []
        again: list[tuple[object, ...]] = []
        held: list[tuple[bytes, int]] = []
        known: dict[bytes | None, _Known] = {}
        keys = [row.link_key or row.name_key for row in rows]
        for start in range(0, len(keys), _PORTION):
            some = keys[start : start + _PORTION]
            values = ",".join("?" * len(some))
            for found in database.execute(f"{sql.KNOWN_ITEMS} ({values})", (self.last, *some)):
                known[found[0]] = _Known(*found)
        for row in rows:
            match = known.get(row.link_key or row.name_key)
            is_same = match is not None and (match.name, match.content) == (row.name, row.content)
            # Named twice, it is a clash like any other.
            if match is None or not is_same or match.named == 1 or match.seq in met:
                new.append(row)
                continue
            met.add(match.seq)
            item = in_memory.pop(row.seq, None)
            if match.named == 0:  # it was counted, and has its turn
                continue
            counted.append(row)
            kind = match.kind(row, keeps_verdicts=self.keeps_verdicts)
            if kind is None:
                done.append(row)
                if self.finds_equals and row.sha is not None:
                    held.append((row.sha, match.seq))
                continue
            turns.append((match.seq, kind))
            if kind is Kind.NORMAL:
                again.append((row.part, row.size, row.mtime, row.sha, match.seq))
            if item is not None:
                in_memory[match.seq] = item
        database.executemany(sql.SEE, ((seq,) for seq in met))
        database.executemany(sql.GIVE_TURN, turns)
        database.executemany(sql.PLAN_AGAIN, again)
        database.executemany(sql.HOLD_BYTES, held)
        added, resumed = Added.of((*new, *counted)), Added.of(done)
        return new, attrs.evolve(added, resumed=resumed.count, resumed_bytes=resumed.bytes)
