"""The outcomes of a plan's items: written in batches, and compared with the listing.

`note` may be called from the event loop. Everything else blocks: call it in a thread.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias

import attrs

from datagym_async._runs._database import Database
from datagym_async.uploads._values import Double, Outcome, UploadResult
from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.plan._rows import item_of, text
from datagym_async.uploads.plan._tables import State

_STATES = {each: State[each.name].value for each in Outcome}
_SENDING = State.SENDING.value


Left: TypeAlias = tuple[int, UploadResult]
"""The number of an item whose answer was lost, and its result."""


@attrs.define
class Outcomes:
    """Write outcomes, and find those that were lost."""

    _database: Database
    # Seconds for which the service may still be storing the last upload; stored beside the
    # heartbeat for the next run.
    settle_after: float = 0.0
    _notes: deque[tuple[object, ...]] = attrs.Factory(deque)
    _lost: deque[int] = attrs.Factory(deque)

    def note(self, seq: int, result: UploadResult, *, lost: bool = False) -> None:
        """Keep an outcome for the next write; never blocks. A `lost` item stays `SENDING`."""
        if lost:
            self._lost.append(seq)
        self._notes.append(
            (
                _SENDING if lost else _STATES[result.outcome],
                result.dataset_id,
                result.media_id,
                result.attempts,
                round(result.seconds, 3),
                "" if result.status is None else result.status,  # see `Row.bound`
                result.key,
                result.reason,
                seq,
            )
        )

    def flush(self) -> None:
        with self._database.writing() as database:
            self.write(database)

    def write(self, database: sqlite3.Connection) -> None:
        """Write the collected outcomes in the caller's transaction; also a sign of life."""
        notes, lost = list(self._notes), list(self._lost)  # at once: the loop adds some meanwhile
        for some in _each_once(notes):
            for at in range(0, len(some), sql.NOTES_AT_ONCE):
                part = some[at : at + sql.NOTES_AT_ONCE]
                database.execute(sql.note(len(part)), list(chain.from_iterable(part)))
        database.executemany(sql.LOSE, [(seq,) for seq in lost])
        if self._database.path is not None:
            database.execute(sql.BEAT, (time.time(), self.settle_after, self._database.run))
        for _ in notes:  # only now: an earlier error would have lost them
            self._notes.popleft()
        for _ in lost:
            self._lost.popleft()

    def lost_count(self) -> int:
        with self._database.using() as database:
            return int(database.execute(sql.COUNT_LOST).fetchone()[0])

    def seconds_to_settle(self, settle_after: float) -> float:
        """Return the seconds until the service must have finished the last run's uploads."""
        with self._database.using() as database:
            row = database.execute(sql.LAST_BEAT, (self._database.run,)).fetchone()
        heartbeat, theirs = row if row and row[0] is not None else (0.0, None)
        patience = settle_after if theirs is None else max(settle_after, theirs)
        # If the clock was set back, we must not wait longer than that.
        return min(patience, max(0.0, heartbeat + patience - time.time()))

    def settle_lost(self, count: int, *, listed: bool) -> list[Left]:
        """Return up to `count` lost items; they are no longer lost.

        With `listed` those that the target lists, which are uploaded, else any, with the result
        when the answer was lost.
        """
        with self._database.writing() as database:
            rows = database.execute(sql.FOUND if listed else sql.NOT_FOUND, (count,))
            left = [_left(row, is_uploaded=listed) for row in rows]
            database.executemany(sql.FIND, ((seq,) for seq, _ in left))
        return left

    def send_again(self) -> None:
        """Give new turns to the lost items; those without bytes wait for a source to yield them."""
        with self._database.writing() as database:
            for statement in sql.SEND_AGAIN:
                database.execute(statement)

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


def _each_once(notes: Iterable[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    """Yield outcomes in order, in parts with at most one for each item; nothing if none."""
    part: dict[object, tuple[object, ...]] = {}
    for note in notes:
        if note[-1] in part:
            yield list(part.values())
            part = {}
        part[note[-1]] = note
    if part:
        yield list(part.values())


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
