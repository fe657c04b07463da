"""The tables of a plan and every statement on them, in the order of a run.

One schema for temporary files and journals. Tables that outlive a run:

* ``meta``: the journal's job (service, dataset, sources), and the last run's options; never a
  token.
* ``run``: when each run began, when it was last active, and whether it was completed.
* ``item``: every item with its identity, its state and its outcome; ``doubt`` says that an attempt
  which was not found may arrive late.
* ``claimed``: which item has a name (or a link's address).
* ``renamed``: which items were given another name, by their path, hash, or name and size.
* ``held``: the names that the target had before the first run.

Temporary tables, for one run:

* ``turn``: the order in which items are handed out.
* ``seen``: items of earlier runs that this one has seen: 0 handed out from the journal, 1 yielded
  by the sources.
* ``path``: files whose names depend on their source, by their paths.
* ``wanted``: the first item with a path that wants a name which another one has.
* ``number``: the number for the next clash of a name, or of an item with the same identity.
* ``lost``: items whose answers are to be looked up, of this run or of earlier ones.
* ``content``: which item has which bytes, if duplicates are looked for.
* ``sent``: hashes of prepared images in memory.
* ``listed``: the media of the target now. A listing comes in parts, and may break off. So it is
  collected in ``arriving``, which replaces ``listed`` at its end.

Statements with ``$PLANNED`` and the like have the numbers of the states there (`stated`).
"""

from __future__ import annotations

import enum
import functools

APPLICATION_ID = 0x44474A31  # "DGJ1"
VERSION = 3


class State(enum.IntEnum):
    """The state of an item."""

    PLANNED = 0  # not begun, or certainly not arrived
    SENDING = 1  # handed to a worker, without an outcome: it may have arrived
    UPLOADED = 2
    SKIPPED = 3
    REJECTED = 4
    FAILED = 5


class Kind(enum.IntEnum):
    """Why an item has a turn."""

    NORMAL = 0  # to be judged, and sent if there is no verdict against it
    HELD = 1  # likewise, but the item that has its name is of an earlier run and not named so far
    CHANGED = 2  # an earlier run uploaded it, and it has changed since
    RENAMED = 3  # it is numbered, since another item has its name; the journal says so


def stated(sql: str) -> str:
    """Return a statement in which the names of states (``$PLANNED``) are their numbers."""
    for each in (*State, Kind.HELD):
        sql = sql.replace(f"${each.name}", str(each.value))
    return sql


SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE run (
    run INTEGER PRIMARY KEY, started REAL, heartbeat REAL, settle_after REAL, complete INTEGER
);
CREATE TABLE item (
    seq INTEGER PRIMARY KEY, part INTEGER, place BLOB, name BLOB, content BLOB, origin BLOB,
    size INTEGER, refusal TEXT, name_key BLOB, link_key BLOB,
    mtime INTEGER, sha BLOB, state INTEGER NOT NULL DEFAULT 0, doubt INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER, dataset_id TEXT, media_id TEXT, seconds REAL, status INTEGER, key TEXT,
    reason TEXT, mark INTEGER
);
CREATE TABLE claimed (key BLOB PRIMARY KEY, seq INTEGER, is_link INTEGER) WITHOUT ROWID;
CREATE TABLE held (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE renamed (identity BLOB PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
"""
OF_ONE_RUN = """
CREATE TEMP TABLE turn (turn INTEGER PRIMARY KEY, seq INTEGER, kind INTEGER NOT NULL DEFAULT 0);
CREATE TEMP TABLE seen (seq INTEGER PRIMARY KEY, named INTEGER);
CREATE INDEX temp.not_named ON seen (seq) WHERE named = 0;
CREATE TEMP TABLE path (path BLOB PRIMARY KEY, name BLOB, seq INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE wanted (path BLOB, key BLOB, seq INTEGER, PRIMARY KEY (path, key)) WITHOUT ROWID;
CREATE TEMP TABLE number (key BLOB PRIMARY KEY, next INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE lost (seq INTEGER PRIMARY KEY, is_earlier INTEGER NOT NULL);
CREATE TEMP TABLE content (sha BLOB PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE sent (seq INTEGER PRIMARY KEY, sha BLOB);
CREATE TEMP TABLE listed (key BLOB, media_id TEXT, dataset_id TEXT, at INTEGER, is_link INTEGER);
"""

TEMPORARY = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -4096;
"""
# With WAL and NORMAL a commit does not wait for the disk: it survives the end of the process, even
# a kill. A power cut may lose the last commits, but not the file; a listing of the dataset then
# shows the lost outcomes.
LASTING = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -8192;
PRAGMA wal_autocheckpoint = 4000;
"""

# A journal is opened.

SET_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
ALL_META = "SELECT name, value FROM meta"
BEGIN_RUN = "INSERT INTO run (started, heartbeat, complete) VALUES (?, ?, 0) RETURNING run"
END_RUN = "UPDATE run SET complete = ? WHERE run = ?"
BEAT = "UPDATE run SET heartbeat = ?, settle_after = ? WHERE run = ?"
LAST_BEAT = "SELECT max(heartbeat), max(settle_after) FROM run WHERE run < ?"
ODD_ITEM = stated("""SELECT CAST(name AS BLOB), CAST(content AS BLOB) FROM item
WHERE state NOT BETWEEN $PLANNED AND $FAILED OR typeof(state) != 'integer'
OR typeof(name) != 'blob' OR typeof(content) NOT IN ('blob', 'null')
OR typeof(origin) != 'blob' OR typeof(size) NOT IN ('integer', 'null')
OR typeof(mtime) NOT IN ('integer', 'null') OR typeof(reason) NOT IN ('text', 'null')
OR mark IS NOT mark_of(name, content)
OR (state = $UPLOADED AND media_id IS NULL AND dataset_id IS NULL AND attempts IS NULL) LIMIT 1""")
ODD_CLAIM = """SELECT 1 FROM claimed LEFT JOIN item USING (seq)
WHERE item.seq IS NULL OR (claimed.key IS NOT name_key AND claimed.key IS NOT link_key) LIMIT 1"""

# The target is listed.

BEGIN_LISTING = (
    "DROP TABLE IF EXISTS temp.arriving",
    """CREATE TEMP TABLE arriving
(key BLOB, media_id TEXT, dataset_id TEXT, at INTEGER, is_link INTEGER)""",
)
ADD_LISTED = "INSERT INTO arriving VALUES (?, ?, ?, ?, ?)"
DROP_LISTED = "DELETE FROM arriving WHERE dataset_id = ?"
# The service lists media in any order. So they are appended, and sorted once at the end: inserting
# a million one by one in their places took five times as long.
END_LISTING = (
    "DROP TABLE temp.listed",
    "CREATE INDEX temp.listed_by_key ON arriving (key)",
    "ALTER TABLE temp.arriving RENAME TO listed",
)
TARGET_NAME = "SELECT 1 FROM meta WHERE name = 'dataset_name'"
HOLD_LISTED = "INSERT OR IGNORE INTO held SELECT key FROM listed"

# Items of earlier runs get turns, before the sources are read.

# Other options may leave an item out, or name it otherwise: what was not sent is planned anew.
FORGET_UNSENT = stated("""BEGIN; DELETE FROM item WHERE state IN ($PLANNED, $FAILED);
DELETE FROM claimed WHERE seq NOT IN (SELECT seq FROM item);
DELETE FROM renamed WHERE seq NOT IN (SELECT seq FROM item); COMMIT;""")
RESUME = (
    # Items without a name (clashes, names that cannot be sent) are judged again.
    stated("""DELETE FROM item WHERE state IN ($PLANNED, $SKIPPED, $REJECTED) AND NOT EXISTS (
    SELECT 1 FROM claimed WHERE key = coalesce(link_key, name_key) AND claimed.seq = item.seq)"""),
    stated("INSERT INTO lost SELECT seq, 1 FROM item WHERE state = $SENDING"),
    stated("""INSERT INTO turn (seq) SELECT seq FROM item
WHERE state IN ($PLANNED, $FAILED) AND content IS NOT NULL ORDER BY part, place, seq"""),
    "INSERT INTO seen SELECT seq, 0 FROM turn",
    """INSERT INTO seen SELECT seq, 0 FROM lost JOIN item USING (seq) WHERE content IS NOT NULL""",
)
SUM_RESUMED = """SELECT count(*), coalesce(sum(size), 0), count(lost.seq)
FROM seen JOIN item USING (seq) LEFT JOIN lost USING (seq)"""
COUNT_DONE = stated("SELECT count(*) FROM item WHERE state IN ($UPLOADED, $SKIPPED)")

# Candidates are added. Those of an earlier run are found by what they claim.

LAST_ITEM = "SELECT coalesce(max(seq), 0) FROM item"
ADD_ITEM = """INSERT INTO item
(seq, part, place, name, content, origin, size, refusal, name_key, link_key, mtime, sha, mark)
VALUES (?, ?, ?, ?, nullif(?, 0), ?, nullif(?, -1), ?, nullif(?, 0), nullif(?, 0),
        nullif(?, ''), nullif(?, 0), ?)"""
KNOWN_ITEMS = """SELECT claimed.key, item.seq, name, content, size, mtime, sha, state, named,
       EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key
               AND (link_key IS NULL OR listed.media_id = coalesce(item.media_id, listed.media_id)))
FROM claimed JOIN item USING (seq) LEFT JOIN seen USING (seq)
WHERE item.seq <= ? AND claimed.key IN"""
SEE = "INSERT OR REPLACE INTO seen VALUES (?, 1)"
GIVE_TURN = "INSERT INTO turn (seq, kind) VALUES (?, ?)"
PLAN_AGAIN = stated("""UPDATE item
SET state = $PLANNED, part = ?, size = ?, mtime = ?, sha = ? WHERE seq = ?""")

# For each file the first name that a rule gives counts, not one from a source.

NAME_PATH = "INSERT OR IGNORE INTO path VALUES (?, ?, ?)"
IS_NAMED = "SELECT 1 FROM path WHERE path = ? AND (name = ? OR seq = ?)"

# They are sorted, and claim their names.

LAST_TURN = "SELECT coalesce(max(turn), 0) FROM turn"
SORT = "INSERT INTO turn (seq) SELECT seq FROM item WHERE seq > ? ORDER BY part, place, seq"
CLAIM_NAMES = """INSERT OR IGNORE INTO claimed
SELECT name_key, seq, link_key IS NOT NULL FROM turn JOIN item USING (seq)
WHERE turn > ? AND name_key IS NOT NULL ORDER BY turn"""
CLAIM_LINKS = """INSERT OR IGNORE INTO claimed
SELECT link_key, seq, 1 FROM turn JOIN item USING (seq)
WHERE turn > ? AND link_key IS NOT NULL ORDER BY turn"""
# Several may want the name of an item that the sources no longer have: the first gets it. If that
# item was left by an earlier run, it was tried first, and its file may be gone. One that an earlier
# run has numbered keeps that name.
_OF_EARLIER = """FROM turn JOIN item ON item.seq = turn.seq
JOIN claimed ON claimed.key = coalesce(item.link_key, item.name_key)
JOIN item AS holder ON holder.seq = claimed.seq LEFT JOIN seen ON seen.seq = claimed.seq
WHERE turn > :turn AND turn.kind = 0 AND turn.seq > :last AND claimed.seq <= :last
AND NOT (:renames AND EXISTS (SELECT 1 FROM renamed WHERE identity = CAST(coalesce(
    'p' || item.content, 'h' || item.sha, 'f' || coalesce(item.size, 0) || ' ' || item.name
) AS BLOB)))"""  # see `_names._identity`
TAKE_OVER = stated(f"""INSERT OR REPLACE INTO claimed
SELECT claimed.key, turn.seq, item.link_key IS NOT NULL {_OF_EARLIER} AND (seen.seq IS NULL
OR (NOT seen.named AND holder.state IN ($PLANNED, $REJECTED, $FAILED))) ORDER BY turn DESC""")
# A source that goes on may yield the item yet: while the target has its image, it keeps its name.
LEAVE = stated(f"""UPDATE turn SET kind = $HELD WHERE turn IN (
SELECT turn {_OF_EARLIER} AND seen.seq IS NULL AND item.link_key IS NULL
AND holder.state IN ($UPLOADED, $SKIPPED)
AND EXISTS (SELECT 1 FROM listed WHERE listed.key = claimed.key))""")  # noqa: S608 -- our own text

# A repeated item is one item. If its file has changed in between, it is judged again.

_REPEATS = """SELECT turn, item.seq, item.part, item.size, item.mtime, item.sha,
       holder.seq, holder.size, holder.mtime, holder.state FROM turn JOIN item USING (seq) """
REPEATS = f"""{_REPEATS} JOIN claimed ON claimed.key = coalesce(item.link_key, item.name_key)
JOIN item AS holder ON holder.seq = claimed.seq
WHERE turn > ? AND turn.kind = 0 AND holder.seq <> item.seq AND holder.content = item.content"""
WANT = stated("""INSERT OR IGNORE INTO wanted SELECT item.content, item.name_key, item.seq
FROM turn JOIN item USING (seq) JOIN claimed ON claimed.key = item.name_key
JOIN item AS holder ON holder.seq = claimed.seq
WHERE turn > ? AND turn.kind <= $HELD AND item.content IS NOT NULL AND item.link_key IS NULL
AND holder.seq <> item.seq AND holder.content IS NOT item.content ORDER BY turn""")
WANTED_TWICE = stated(f"""{_REPEATS}
JOIN wanted ON path = item.content AND wanted.key = item.name_key
JOIN item AS holder ON holder.seq = wanted.seq
WHERE turn > ? AND turn.kind <= $HELD AND holder.seq <> item.seq""")
WANTED_BEFORE = "UPDATE wanted SET seq = ? WHERE path = ? AND key = ?"
TURN_TO = "UPDATE turn SET seq = ?, kind = ? WHERE turn = ?"

# With `dedupe`, equal bytes are found by their hash: those of an item that has its name, and that
# the target has or will get.

KNOWN_BYTES = stated("""INSERT OR IGNORE INTO content
SELECT sha, item.seq FROM item JOIN claimed ON claimed.key = name_key AND claimed.seq = item.seq
WHERE sha IS NOT NULL AND (state = $SENDING OR (state IN ($UPLOADED, $SKIPPED)
AND EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key)))
ORDER BY state = $SENDING, item.seq""")
# An item that an earlier run left may be of a file that was renamed since.
DROP_BYTES = stated("""DELETE FROM content WHERE seq IN (
    SELECT seq FROM seen JOIN item USING (seq)
    WHERE named = 0 AND state IN ($REJECTED, $FAILED))""")
HOLD_BYTES = "INSERT OR IGNORE INTO content VALUES (?, ?)"
CLAIM_BYTES = """INSERT OR IGNORE INTO content
SELECT sha, item.seq FROM turn JOIN item USING (seq)
JOIN claimed ON claimed.key = name_key AND claimed.seq = item.seq
WHERE turn > ? AND kind IN (0, 3) AND sha IS NOT NULL ORDER BY turn"""
EQUAL_BYTES = """SELECT item.seq, first.name, first.content, first.origin
FROM item JOIN content ON content.sha = item.sha AND content.seq <> item.seq
JOIN item AS first ON first.seq = content.seq
WHERE item.seq IN (SELECT value FROM json_each(?))"""

# Clashes are numbered. The name of a link cannot change.

CLASHES = """SELECT turn, holder.name, holder.content, holder.origin,
       item.seq, item.part, item.place, item.name, item.content, item.origin, item.size,
       item.refusal, item.name_key, item.link_key, item.mtime, item.sha
FROM turn JOIN item USING (seq) JOIN claimed ON claimed.key = item.name_key
JOIN item AS holder ON holder.seq = claimed.seq
WHERE turn > ? AND turn.kind = 0 AND holder.seq <> item.seq
AND (item.link_key IS NULL OR claimed.is_link = 0)
ORDER BY turn LIMIT ?"""
NEXT_NUMBER = "SELECT coalesce(max(next), 2) FROM number WHERE key = ?"
SET_NUMBER = "INSERT OR REPLACE INTO number VALUES (?, ?)"
IS_CLAIMED = "SELECT 1 FROM claimed WHERE key = ?"
CLAIM = "INSERT INTO claimed VALUES (?, ?, 0)"
RENAME = """UPDATE item SET name = ?, name_key = ?, reason = ?, mark = mark_of(?, content)
WHERE seq = ?"""
SET_KIND = "UPDATE turn SET kind = ? WHERE turn = ?"
KEEP_RENAMED = "INSERT OR REPLACE INTO renamed VALUES (?, ?)"
RENAMED_BEFORE = """SELECT item.seq, item.name, item.name_key
FROM renamed JOIN item USING (seq) WHERE identity = ?"""
DROP_ITEM = ("DELETE FROM item WHERE seq = ?", "DELETE FROM turn WHERE seq = ?")

# Items are handed out.

TAKEN = "SELECT max(turn) FROM (SELECT turn FROM turn WHERE turn > ? ORDER BY turn LIMIT ?)"
# Each column of a row costs about as much as a call, so there are few: a link has no refusal, and
# its is NULL.
_TAKE = """SELECT item.seq, name, content, origin, size, mtime,
    iif(link_key IS NULL, refusal, NULL){more}
FROM turn JOIN item USING (seq) {joined}
WHERE turn > ? AND turn <= ? ORDER BY turn"""
# Where each item is new and has claimed what it wanted, and the target had no name.
TAKE_ALONE = _TAKE.format(more="", joined="")
TAKE = _TAKE.format(
    more=""", kind, reason, doubt, held.key IS NOT NULL,
       by_name.seq, by_name.is_link, by_link.seq,
       EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key), name_key""",
    joined="""LEFT JOIN claimed AS by_name ON by_name.key = name_key
LEFT JOIN claimed AS by_link ON by_link.key = link_key
LEFT JOIN held ON held.key = name_key""",
)
IS_HELD = "SELECT EXISTS (SELECT 1 FROM listed) OR EXISTS (SELECT 1 FROM held)"
SENDING = stated("""UPDATE item SET state = $SENDING
WHERE seq IN (SELECT value FROM json_each(?))""")
IS_NOW = "UPDATE item SET size = ?, mtime = ?, sha = NULL WHERE seq = ?"
KEEP_SENT = "INSERT OR REPLACE INTO sent VALUES (?, ?)"
LISTED_AT = "SELECT dataset_id, media_id FROM listed WHERE key = ? ORDER BY is_link, at LIMIT 1"
HOLDER = "SELECT name, content, origin FROM item WHERE seq = ?"

# Outcomes are written in a few statements, however many there are. Each small one releases the
# interpreter lock, and has to get it back from a busy event loop.

NOTES_AT_ONCE = 64
_NOTE = """WITH note (state, dataset_id, media_id, attempts, seconds, status, key, reason, seq)
AS (VALUES {}) UPDATE item SET state = note.state, dataset_id = note.dataset_id,
    media_id = note.media_id, attempts = coalesce(item.attempts, 0) + note.attempts,
    seconds = note.seconds, status = nullif(note.status, ''), key = note.key, reason = note.reason
FROM note WHERE item.seq = note.seq"""
_NOTE_UPLOADS = stated("""WITH note (media_id, seconds, seq)
AS (VALUES {}) UPDATE item SET state = $UPLOADED, dataset_id = ?,
    media_id = note.media_id, attempts = coalesce(item.attempts, 0) + 1,
    seconds = note.seconds, status = NULL, key = '', reason = ''
FROM note WHERE item.seq = note.seq""")


@functools.lru_cache(2 * NOTES_AT_ONCE)
def note(count: int, *, uploads: bool) -> str:
    """Return the statement that writes this many outcomes, each of another item.

    That of `uploads` to one dataset at the first attempt, nearly all, has few values.
    """
    statement, width = (_NOTE_UPLOADS, 3) if uploads else (_NOTE, 9)
    row = f"({', '.join('?' * width)})"
    return statement.format(", ".join([row] * count))


# Items without an answer are looked up in a listing.

LOSE = "INSERT OR IGNORE INTO lost VALUES (?, 0)"
FIND = stated("""DELETE FROM lost
WHERE (SELECT state FROM item WHERE item.seq = lost.seq) <> $SENDING""")
COUNT_LOST = "SELECT count(*) FROM lost WHERE is_earlier = ?"
_LOST = """SELECT
    item.seq, name, content, origin, size, attempts, seconds, status, item.key, reason, {found}
FROM lost JOIN item USING (seq)"""
# Of several copies the oldest: min() takes the other columns of its own row.
FOUND = (
    _LOST.format(found="listed.media_id, listed.dataset_id, min(listed.at)")
    + """ JOIN listed ON listed.key = name_key AND NOT listed.is_link
LEFT JOIN held ON held.key = name_key
WHERE is_earlier = ? AND link_key IS NULL AND held.key IS NULL GROUP BY item.seq LIMIT ?"""
)
NOT_FOUND = _LOST.format(found="NULL, dataset_id, 0") + " WHERE is_earlier = ? LIMIT ?"
SEND_AGAIN = (
    # Those without bytes have no turn until the sources yield them again.
    stated("""UPDATE item SET state = $PLANNED, doubt = 1
WHERE seq IN (SELECT seq FROM lost WHERE is_earlier)"""),
    """INSERT INTO turn (seq) SELECT seq FROM lost JOIN item USING (seq)
WHERE is_earlier AND content IS NOT NULL ORDER BY part, place, seq""",
    "DELETE FROM lost WHERE is_earlier",
)
DOUBLES = stated("""SELECT item.name, item.media_id, listed.media_id FROM (
    SELECT key FROM listed WHERE NOT is_link GROUP BY key HAVING count(*) > 1) AS twice
JOIN claimed ON claimed.key = twice.key
JOIN item ON item.seq = claimed.seq AND item.state = $UPLOADED
JOIN listed ON listed.key = twice.key AND NOT listed.is_link
WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.key = twice.key)
ORDER BY item.seq, listed.at, listed.media_id""")
VANISHED = stated("""SELECT
    item.seq, name, content, origin, size, attempts, seconds, NULL, '', '', media_id, dataset_id, 0
FROM item WHERE state = $UPLOADED AND link_key IS NULL
AND seq IN (SELECT seq FROM turn WHERE kind <> 2)
AND NOT EXISTS (SELECT 1 FROM listed WHERE listed.key = name_key) LIMIT ?""")

# A run ends: items that were handed out but not begun are planned again.

GIVE_BACK = stated("""UPDATE item SET state = $PLANNED WHERE state = $SENDING
AND seq IN (SELECT seq FROM turn) AND seq NOT IN (SELECT seq FROM lost)""")

FORGET_ITEMS = "DELETE FROM item WHERE seq > ?"
FORGET_RUN = "DELETE FROM run WHERE run = ?"

# A journal is shown.

SUM_RUNS = "SELECT min(started), max(heartbeat), count(*) FROM run"
LAST_RUN = "SELECT complete FROM run ORDER BY run DESC LIMIT 1"
COUNT_STATES = "SELECT state, count(*) FROM item GROUP BY state"
