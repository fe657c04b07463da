"""What earlier runs of a job have left: what goes on at once, what is done, and what has changed.

Walking the sources again must be cheap: a portion of candidates is looked up in one statement, by
the names that they claim, and what is done and unchanged is only counted. Items that own no name
(clashes, names that cannot be sent) are forgotten at the beginning and judged anew.

Everything here blocks, inside a transaction of the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async.uploads.plan._journal import Kind, State, stated
from datagym_async.uploads.plan._rows import Added, Row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from datagym_async.uploads._values import UploadItem


_PORTION = 500  # SQLite takes 999 values in one statement everywhere

_FORGET = stated("""
DELETE FROM item WHERE state IN ($PLANNED, $REJECTED) AND NOT EXISTS (
    SELECT 1 FROM claimed WHERE key = coalesce(link_key, name_key) AND claimed.seq = item.seq)
""")
_LOST = stated("INSERT INTO lost SELECT seq FROM item WHERE state = $SENDING")
_GO_ON = stated("""
INSERT INTO turn (seq) SELECT seq FROM item
WHERE state IN ($PLANNED, $FAILED) AND content IS NOT NULL
ORDER BY part, place, seq
""")
_SEE_TURNS = "INSERT INTO seen SELECT seq, 0 FROM turn"
_SEE_LOST = """
INSERT INTO seen SELECT seq, 0 FROM lost JOIN item USING (seq) WHERE content IS NOT NULL
"""
_SUM = """
SELECT count(*), coalesce(sum(size), 0), count(lost.seq)
FROM seen JOIN item USING (seq) LEFT JOIN lost USING (seq)
"""
_KNOWN = """
SELECT claimed.key, item.seq, name, content, size, mtime, sha, state, named,
       EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key)
FROM claimed JOIN item USING (seq) LEFT JOIN seen USING (seq) WHERE item.seq <= ? AND claimed.key IN
"""
_NAMED = "INSERT OR REPLACE INTO seen VALUES (?, 1)"
_TURN = "INSERT INTO turn (seq, kind) VALUES (?, ?)"
_PLAN_AGAIN = stated("""
UPDATE item SET state = $PLANNED, part = ?, size = ?, mtime = ?, sha = ? WHERE seq = ?
""")
# Several may want the name of an item that the sources name no longer: the first gets it.
_TAKE_OVER = """
INSERT OR REPLACE INTO claimed
SELECT coalesce(link_key, name_key), turn.seq, link_key IS NOT NULL
FROM turn JOIN item ON item.seq = turn.seq
JOIN claimed ON claimed.key = coalesce(link_key, name_key)
LEFT JOIN seen ON seen.seq = claimed.seq
WHERE turn > ? AND turn.seq > ? AND claimed.seq <= ? AND seen.seq IS NULL ORDER BY turn DESC
"""
_DOUBT = "INSERT OR IGNORE INTO lost VALUES (?)"
_GIVE_BACK = stated("""
UPDATE item SET state = $PLANNED WHERE state = $SENDING
AND seq IN (SELECT seq FROM turn) AND seq NOT IN (SELECT seq FROM lost)
""")


@attrs.define
class _Known:
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

    def is_of(self, row: Row) -> bool:
        return self.named != 1 and (self.name, self.content) == (row.name, row.content)

    def is_unchanged(self, row: Row) -> bool:
        if row.sha is not None and self.sha is not None:
            return row.sha == self.sha
        return (row.size, row.mtime) == (self.size, self.mtime)

    def kind(self, row: Row, *, keeps_verdicts: bool) -> Kind | None:
        """Return what turn it gets, or None for none: it is done."""
        there = bool(self.is_listed) or row.link_key is not None
        unchanged = self.is_unchanged(row)
        if self.state == State.SKIPPED and there:
            return None
        if self.state == State.UPLOADED and there:
            return None if unchanged else Kind.CHANGED
        # A link that was dead may be alive by now.
        is_known = self.state == State.REJECTED and unchanged and row.link_key is None
        return Kind.KNOWN if is_known and keeps_verdicts else Kind.NORMAL


@attrs.define
class _Sorted:
    """What becomes of a portion of candidates."""

    new: list[Row] = attrs.Factory(list)
    named: list[tuple[int]] = attrs.Factory(list)
    turns: list[tuple[int, int]] = attrs.Factory(list)
    again: list[tuple[object, ...]] = attrs.Factory(list)
    counted: list[Row] = attrs.Factory(list)
    done: list[Row] = attrs.Factory(list)


@attrs.define
class Resuming:
    """Find candidates among what earlier runs have left.

    Args:
        last: Number of the last item that earlier runs have written.
        keeps_verdicts: Whether what an earlier run rejected is still rejected: not where images
            are looked at in another way now.
    """

    last: int
    keeps_verdicts: bool = True

    def begin(self, database: sqlite3.Connection) -> Added:
        """Give turns to what can go on from the journal alone; return how much that is."""
        for statement in (_FORGET, _LOST, _GO_ON, _SEE_TURNS, _SEE_LOST):
            database.execute(statement)
        count, size, lost = database.execute(_SUM).fetchone()
        return Added(count, size, unsettled=lost)

    def sort_out(
        self, database: sqlite3.Connection, rows: Sequence[Row], in_memory: dict[int, UploadItem]
    ) -> tuple[list[Row], Added]:
        """Return the candidates that are new, and how many count; give the known ones turns.

        Args:
            database: The plan.
            rows: The candidates.
            in_memory: Items with bytes by their number; those of known ones get theirs.
        """
        found = _Sorted()
        known = self._known(database, [row.key for row in rows if row.key])
        for row in rows:
            match = known.get(row.key) if row.key else None
            if match is None or not match.is_of(row):
                found.new.append(row)
            else:
                self._meet(row, match, found, in_memory)
        database.executemany(_NAMED, found.named)
        database.executemany(_TURN, found.turns)
        database.executemany(_PLAN_AGAIN, found.again)
        counted = Added.of((*found.new, *found.counted))
        done = Added.of(found.done)
        return found.new, attrs.evolve(counted, resumed=done.count, resumed_bytes=done.bytes)

    def _known(self, database: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, _Known]:
        known: dict[bytes, _Known] = {}
        for start in range(0, len(keys), _PORTION):
            some = keys[start : start + _PORTION]
            places = ",".join("?" * len(some))
            for values in database.execute(f"{_KNOWN} ({places})", (self.last, *some)):
                known[values[0]] = _Known(*values)
        return known

    def _meet(
        self, row: Row, known: _Known, found: _Sorted, in_memory: dict[int, UploadItem]
    ) -> None:
        item = in_memory.pop(row.seq, None)
        found.named.append((known.seq,))
        from_journal, known.named = known.named == 0, 1
        if from_journal:
            return
        found.counted.append(row)
        kind = known.kind(row, keeps_verdicts=self.keeps_verdicts)
        if kind is None:
            found.done.append(row)
            return
        found.turns.append((known.seq, kind))
        if kind is Kind.NORMAL:
            found.again.append((row.part, row.size, row.mtime, row.sha, known.seq))
        if item is not None:
            in_memory[known.seq] = item

    def take_over(self, database: sqlite3.Connection, after_turn: int) -> None:
        """Give names whose items the sources name no longer to those that want them now."""
        database.execute(_TAKE_OVER, (after_turn, self.last, self.last))

    def give_back(self, database: sqlite3.Connection, doubtful: Iterable[int]) -> None:
        """Let items that were handed out and not begun be planned again."""
        database.executemany(_DOUBT, ((seq,) for seq in doubtful))
        database.execute(_GIVE_BACK)
