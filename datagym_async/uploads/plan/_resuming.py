"""The items of a job's earlier runs: which are sent at once, are done, or have changed.

Walking the sources again must be cheap: a portion of candidates is looked up in one statement, by
the names that they claim, and items that are done and unchanged are only counted. Items without a
name (clashes, names that cannot be sent) are forgotten at the beginning and judged again.

Everything here blocks, inside a transaction of the plan.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import attrs

from datagym_async.uploads._values import UploadItem
from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.plan._rows import Added, Row
from datagym_async.uploads.plan._tables import Kind, State

_PORTION = 500  # every SQLite accepts 999 values in one statement


class _Known(NamedTuple):
    """An item of an earlier run, found by its name."""

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

    def kind(self, row: Row) -> Kind | None:
        """Return the kind of its turn, or None if it is done."""
        there = bool(self.is_listed) or row.link_key is not None
        if self.state == State.SKIPPED and there:
            return None
        if row.sha is not None and self.sha is not None:
            unchanged = row.sha == self.sha
        else:
            unchanged = (row.size, row.mtime) == (self.size, self.mtime)
        if self.state == State.UPLOADED and there:
            return None if unchanged else Kind.CHANGED
        return Kind.NORMAL  # what was rejected is checked again: the file may be repaired


@attrs.define
class Resuming:
    last: int  # number of the last item that they wrote
    finds_equals: bool = False  # whether the hashes of finished items are noted

    def sort_out(
        self, database: sqlite3.Connection, rows: Sequence[Row], in_memory: dict[int, UploadItem]
    ) -> tuple[list[Row], Added]:
        """Return the new candidates, and the counts; give turns to the known ones."""
        new, counted, done = list[Row](), list[Row](), list[Row]()
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
            kind = match.kind(row)
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
