"""What became of the items of a plan: written in batches, and compared with what is listed.

`note` may be called from the event loop. Everything else blocks: call it in a thread.
"""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from datagym_async.uploads._values import Double, Outcome, UploadItem, UploadResult
from datagym_async.uploads.plan._journal import State, Store, stated
from datagym_async.uploads.plan._rows import item_of, text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator


_STATES = {
    Outcome.UPLOADED: State.UPLOADED,
    Outcome.SKIPPED: State.SKIPPED,
    Outcome.REJECTED: State.REJECTED,
    Outcome.FAILED: State.FAILED,
}
# In three statements, however many: each small one lets go of the interpreter, and has to get it
# back from an event loop that is sending.
_TAKE_NOTES = """
INSERT INTO note SELECT
    json_extract(value, '$[8]'), json_extract(value, '$[0]'), json_extract(value, '$[1]'),
    json_extract(value, '$[2]'), json_extract(value, '$[3]'), json_extract(value, '$[4]'),
    json_extract(value, '$[5]'), json_extract(value, '$[6]'), json_extract(value, '$[7]')
FROM json_each(?)
"""
_NOTE = """
UPDATE item SET (state, dataset_id, media_id, attempts, seconds, status, key, reason) = (
    SELECT note.state, note.dataset_id, note.media_id,
           coalesce(item.attempts, 0) + note.attempts, note.seconds, note.status, note.key,
           note.reason
    FROM note WHERE note.seq = item.seq)
WHERE seq IN (SELECT seq FROM note)
"""
_FORGET_NOTES = "DELETE FROM note"
_LOSE = "INSERT OR IGNORE INTO lost VALUES (?)"
_FIND = "DELETE FROM lost WHERE seq = ?"
_BEAT = "UPDATE run SET heartbeat = ?, settle_after = ? WHERE run = ?"

_LOST = """
SELECT item.seq, name, content, origin, size, attempts, seconds, status, item.key, reason,
       {found} FROM lost JOIN item USING (seq)
"""
# Of several copies the oldest: min() takes the other columns of its own row.
_FOUND = (
    _LOST.format(found="listed.media_id, listed.dataset_id, min(listed.at)")
    + """
JOIN listed ON listed.key = name_key AND NOT listed.is_link
LEFT JOIN held ON held.key = name_key
WHERE link_key IS NULL AND held.key IS NULL GROUP BY item.seq LIMIT ?
"""
)
_NOT_FOUND = _LOST.format(found="NULL, dataset_id, 0") + "LIMIT ?"
_FORGET_SEEN = """
DELETE FROM seen WHERE seq IN (SELECT seq FROM lost JOIN item USING (seq) WHERE content IS NULL)
"""
_SEND_AGAIN = stated("""
UPDATE item SET state = $PLANNED, doubt = 1 WHERE seq IN (SELECT seq FROM lost)
""")
_TURN_AGAIN = """
INSERT INTO turn (seq) SELECT seq FROM lost JOIN item USING (seq)
WHERE content IS NOT NULL ORDER BY part, place, seq
"""
_DOUBLES = stated("""
SELECT item.name, item.media_id, listed.media_id FROM (
    SELECT key FROM listed WHERE NOT is_link GROUP BY key HAVING count(*) > 1) AS twice
JOIN claimed ON claimed.key = twice.key
JOIN item ON item.seq = claimed.seq AND item.state = $UPLOADED
JOIN listed ON listed.key = twice.key AND NOT listed.is_link
ORDER BY item.seq, listed.at, listed.media_id
""")
_VANISHED = stated("""
SELECT item.seq, name, content, origin, size, attempts, seconds, NULL, '', '', media_id,
       dataset_id, 0
FROM turn JOIN item USING (seq)
WHERE item.state = $UPLOADED AND link_key IS NULL
AND NOT EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key) LIMIT ?
""")


@attrs.frozen
class Left:
    """An item whose outcome is found by listing the target, or not found.

    Args:
        seq: Its number in the plan.
        result: The result as it was when its answer was lost, of the outcome `FAILED`.
    """

    seq: int
    result: UploadResult

    def uploaded(self) -> UploadResult:
        """Return the result of an item that was found."""
        return attrs.evolve(
            self.result, outcome=Outcome.UPLOADED, reason="", status=None, key="", details=()
        )


@attrs.define
class Outcomes:
    """Write outcomes down, and find those that were lost.

    Args:
        store: The plan's database.
        settle_after: Seconds for which the service could still be storing what was sent last;
            kept beside the heartbeat for the next run.
    """

    _store: Store
    settle_after: float = 0.0
    _notes: deque[tuple[object, ...]] = attrs.Factory(deque)
    _lost: deque[int] = attrs.Factory(deque)

    def note(self, seq: int, result: UploadResult, *, lost: bool = False) -> None:
        """Remember an outcome for the next time that something is written; never blocks.

        Args:
            seq: Number of the item in the plan.
            result: What became of it.
            lost: Whether its answer was lost and could not be looked up: it stays `SENDING`.
        """
        if lost:
            self._lost.append(seq)
        self._notes.append(
            (
                State.SENDING if lost else _STATES[result.outcome],
                result.dataset_id,
                result.media_id,
                result.attempts,
                round(result.seconds, 3),
                result.status,
                result.key,
                result.reason,
                seq,
            )
        )

    def flush(self) -> None:
        """Write what was noted."""
        with self._store.writing() as database:
            self.write(database)

    def write(self, database: sqlite3.Connection) -> None:
        """Write what was noted, inside a transaction of the caller's; it also says: still alive."""
        notes = list(self._notes)
        lost = [(seq,) for seq in self._lost]
        for some in _each_once(notes):
            database.execute(_TAKE_NOTES, (json.dumps(some),))
            database.execute(_NOTE)
            database.execute(_FORGET_NOTES)
        database.executemany(_LOSE, lost)
        if self._store.path is not None:
            database.execute(_BEAT, (time.time(), self.settle_after, self._store.run))
        for _ in notes:  # only now: an error before would have lost them
            self._notes.popleft()
        for _ in lost:
            self._lost.popleft()

    def lost_count(self) -> int:
        """Return how many items wait to be looked up."""
        with self._store.using() as database:
            return int(database.execute("SELECT count(*) FROM lost").fetchone()[0])

    def seconds_to_settle(self, settle_after: float) -> float:
        """Return how long to wait until the last run's uploads are over on the service's side.

        Args:
            settle_after: What this run would wait.
        """
        with self._store.using() as database:
            row = database.execute(
                "SELECT max(heartbeat), max(settle_after) FROM run WHERE run < ?",
                (self._store.run,),
            ).fetchone()
        heartbeat, theirs = row if row and row[0] is not None else (0.0, None)
        patience = settle_after if theirs is None else max(settle_after, theirs)
        # A clock that was set back must not make us wait for longer than that.
        return min(patience, max(0.0, heartbeat + patience - time.time()))

    def found(self, count: int) -> list[Left]:
        """Return lost items that the target lists, at most so many; they are lost no longer."""
        with self._store.writing() as database:
            left = [_left(row) for row in database.execute(_FOUND, (count,))]
            database.executemany(_FIND, ((each.seq,) for each in left))
        return left

    def not_found(self, count: int) -> list[Left]:
        """Return other lost items, at most so many; they are lost no longer."""
        with self._store.writing() as database:
            left = [_left(row) for row in database.execute(_NOT_FOUND, (count,))]
            database.executemany(_FIND, ((each.seq,) for each in left))
        return left

    def send_again(self) -> None:
        """Give new turns to the lost items; those whose bytes are gone wait to be named again."""
        with self._store.writing() as database:
            for statement in (_FORGET_SEEN, _SEND_AGAIN, _TURN_AGAIN, "DELETE FROM lost"):
                database.execute(statement)

    def doubles(self) -> list[Double]:
        """Return the uploaded names that the target lists more than once."""
        with self._store.using() as database:
            rows = database.execute(_DOUBLES).fetchall()
        copies: dict[bytes, list[str]] = {}
        ours: dict[bytes, str | None] = {}
        for name, mine, media_id in rows:
            copies.setdefault(name, []).append(media_id)
            ours[name] = mine
        return [_double(text(name), ours[name], ids) for name, ids in copies.items()]

    def vanished(self, count: int) -> list[Left]:
        """Return items that this run uploaded and that the target does not list."""
        with self._store.using() as database:
            return [_left(row) for row in database.execute(_VANISHED, (count,))]


def _each_once(notes: Iterable[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    """Give notes in order, in parts in which each item has one; nothing where there is none."""
    part: list[tuple[object, ...]] = []
    seen: set[object] = set()
    for note in notes:
        if note[-1] in seen:
            yield part
            part, seen = [], set()
        part.append(note)
        seen.add(note[-1])
    if part:
        yield part


def _double(name: str, mine: str | None, media_ids: list[str]) -> Double:
    kept = mine if mine in media_ids else media_ids[0]  # the oldest comes first
    extras = tuple(each for each in media_ids if each != kept)
    return Double(name=name, kept=str(kept), extras=extras)


def _left(row: tuple[Any, ...]) -> Left:
    seq, name, content, origin, size, attempts, seconds, status, key, reason, *where = row
    item: UploadItem = item_of(name, content, origin)
    return Left(
        seq,
        UploadResult(
            item=item,
            outcome=Outcome.FAILED,
            dataset_id=where[1] or "",
            media_id=where[0],
            size=size,
            seconds=seconds or 0.0,
            attempts=max(1, attempts or 0),
            reason=reason or "",
            status=status,
            key=key or "",
        ),
    )
