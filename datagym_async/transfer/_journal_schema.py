"""The tables of a plan. One schema, whether they lie in a temporary file or in a journal.

What outlives a run:

* ``meta``: what the journal is of (service, dataset, sources), and the last run's options; never a
  token.
* ``run``: when each run began, was last heard of, and whether it came to its end.
* ``item``: every item with its identity, its state and its outcome; ``doubt`` says that an attempt
  which was not found may arrive late.
* ``claimed``: which item has a name (or a link's address).
* ``renamed``: which items were given another name, by their path or hash.
* ``held``: the names that the target held before the first run.

What is of one run alone lies in temporary tables: ``turn`` (the order in which items are handed
out), ``seen`` (items of earlier runs that this one has met: 0 handed out from the journal, 1 named
by the sources), ``number`` (which number the next clash over a name gets), ``lost`` (items whose
answers are to be looked up), ``note`` (outcomes on their way to the items) and ``listed`` (what the
target holds now; it is replaced by each listing, see `_listed`).
"""

from __future__ import annotations

import enum

APPLICATION_ID = 0x44474A31  # "DGJ1"
VERSION = 1


class State(enum.IntEnum):
    """Where an item stands."""

    PLANNED = 0
    """Not begun, or known not to have arrived."""
    SENDING = 1
    """Handed to a worker, and no outcome written: it may have arrived."""
    UPLOADED = 2
    SKIPPED = 3
    REJECTED = 4
    FAILED = 5


def stated(sql: str) -> str:
    """Return a statement in which the names of states (``$PLANNED``) are their numbers."""
    for state in State:
        sql = sql.replace(f"${state.name}", str(state.value))
    return sql


class Kind(enum.IntEnum):
    """Why an item has a turn."""

    NORMAL = 0
    """It is to be judged, and sent if nothing is against it."""
    KNOWN = 1
    """An earlier run rejected it, for the reason in the journal."""
    CHANGED = 2
    """An earlier run uploaded it, and it has changed since."""
    RENAMED = 3
    """It is numbered, since another item has its name; the journal says so."""


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
    reason TEXT
);
CREATE TABLE claimed (key BLOB PRIMARY KEY, seq INTEGER, is_link INTEGER) WITHOUT ROWID;
CREATE TABLE held (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE renamed (identity BLOB PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
"""

OF_ONE_RUN = """
CREATE TEMP TABLE turn (turn INTEGER PRIMARY KEY, seq INTEGER, kind INTEGER NOT NULL DEFAULT 0);
CREATE TEMP TABLE seen (seq INTEGER PRIMARY KEY, named INTEGER);
CREATE TEMP TABLE number (key BLOB PRIMARY KEY, next INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE lost (seq INTEGER PRIMARY KEY);
CREATE TEMP TABLE note (
    seq INTEGER PRIMARY KEY, state INTEGER, dataset_id TEXT, media_id TEXT, attempts INTEGER,
    seconds REAL, status INTEGER, key TEXT, reason TEXT
);
CREATE TEMP TABLE listed (key BLOB, media_id TEXT, dataset_id TEXT, at INTEGER, is_link INTEGER);
"""

TEMPORARY = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -4096;
"""

# With WAL and NORMAL a commit waits for no disk: it survives the end of the process, however that
# ends. A power cut may take the last commits with it, never the file; what they said is then found
# out by listing the dataset.
LASTING = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -8192;
PRAGMA wal_autocheckpoint = 4000;
"""
