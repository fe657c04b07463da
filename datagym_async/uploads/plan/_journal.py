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

`Job` says what a journal is of. The file of a plan is a temporary one, or a journal that is locked,
checked and kept. It blocks.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async._files import PRIVATE, private_folder
from datagym_async._printable import printable
from datagym_async._runs._disk import JournalLock
from datagym_async._runs._soundness import (
    SIDES,
    DamagedError,
    check,
    close_sealed,
    is_of_the_disk,
    unseal,
)
from datagym_async.exceptions import ClientClosedError, ConfigurationError
from datagym_async.uploads._values import UploadItem, is_url
from datagym_async.uploads.sources._watch import FolderWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datagym_async.uploads._config import UploadConfig


APPLICATION_ID = 0x44474A31  # "DGJ1"
VERSION = 1


SUFFIX = ".journal"
_SHOWN = 3
_KEPT = 1000
"""Sources that a journal keeps by name, for the command that goes on with it."""
_OF_ONE_RUN: Final = frozenset(
    {
        *("journal", "fresh", "on_event", "max_problems"),
        *("max_files", "max_bytes_total", "max_failures", "max_duration"),
    }
)


@attrs.frozen
class Job:
    """The key of a journal.

    Args:
        base_url: Address of the service.
        dataset_id: The dataset that the upload is named after.
        sources: The sources in short, for people.
        digest: Hash of all of it.
        words: The first thousand sources as a command names them; None where no command can.
        count: How many sources there are.
        options: How the sources are uploaded: what differs from the defaults, as JSON takes it.
    """

    base_url: str
    dataset_id: str
    sources: str
    digest: str
    words: tuple[str, ...] | None = attrs.field(default=None, eq=False)
    count: int = attrs.field(default=0, eq=False)
    options: dict[str, object] = attrs.field(factory=dict, eq=False)

    @classmethod
    def of(
        cls,
        base_url: str,
        dataset_id: str,
        sources: object,
        *,
        config: UploadConfig | None = None,
    ) -> Job:
        """Return the key; a long list of sources is read through, an iterator is left alone."""
        base_url, dataset_id = base_url.rstrip("/"), dataset_id.lower()
        digest = hashlib.sha256("\0".join((base_url, dataset_id)).encode())
        kept: list[str] = []
        count, are_words = 0, config is None or not callable(config.name)
        for text, is_word in _described(sources):
            digest.update(b"\0" + text.encode("utf-8", "surrogatepass"))
            count += 1
            are_words &= is_word
            if len(kept) < _KEPT:
                kept.append(text)
        shown = [printable(each) for each in kept[:_SHOWN]]
        more = [f"and {count - _SHOWN:,} more"] if count > _SHOWN else []
        return cls(
            base_url,
            dataset_id,
            ", ".join(shown + more),
            digest.hexdigest(),
            tuple(kept) if are_words else None,
            count,
            _options(config, is_watched=isinstance(sources, FolderWatch)),
        )

    @property
    def key(self) -> dict[str, str]:
        """Return what a journal is known by."""
        names = ("base_url", "dataset_id", "sources", "digest")
        return {name: getattr(self, name) for name in names}

    @property
    def way(self) -> dict[str, str]:
        """Return how the last run went about it: what a journal keeps for the next one's command.

        A path that is no text is written with escapes, and comes back as it was.
        """
        return {
            "words": json.dumps(self.words),
            "count": str(self.count),
            "options": json.dumps(self.options),
        }

    def path(self, folder: Path) -> Path:
        """Return the place of its journal in the state folder."""
        return folder / f"{self.digest[:24]}{SUFFIX}"


def _options(config: UploadConfig | None, *, is_watched: bool) -> dict[str, object]:
    """Return the options of a job, but for those of a single run and functions."""
    found: dict[str, object] = {"watch": True} if is_watched else {}
    for field in () if config is None else attrs.fields(type(config)):
        value = getattr(config, field.name)
        if not (field.name in _OF_ONE_RUN or callable(value) or value == field.default):
            found[field.name] = value
    return found


def _described(source: object) -> Iterator[tuple[str, bool]]:
    """Yield each source in short, and whether a command can name it so."""
    if isinstance(source, str | os.PathLike):
        yield _place(str(os.fspath(source))), True
    elif isinstance(source, UploadItem):
        where = "" if isinstance(source.content, bytes) else _place(source.content)
        yield f"{source.name}={where}", False
    elif isinstance(source, FolderWatch):
        yield _place(source.folder), True
    elif isinstance(source, set | frozenset):
        yield from sorted(each for one in source for each in _described(one))
    elif isinstance(source, Collection) and isinstance(source, Iterable):
        for each in source:
            yield from _described(each)
    else:  # what can be read only once
        yield f"<{type(source).__name__}>", False


def _place(text: str) -> str:
    if text == "-" or is_url(text):
        return text
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 -- takes any text


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


_MAGIC = b"SQLite format 3\0"


@attrs.define
class Store:
    """The open database of a plan; `using` and `writing` may be entered from any thread.

    Args:
        connection: The database.
        lock: The journal's lock, or None for a temporary database.
        path: The journal, or None.
        run: Number of this run, from 1.
    """

    _connection: sqlite3.Connection | None
    _lock: JournalLock | None = None
    path: Path | None = None
    run: int = 1
    _using: RLock = attrs.Factory(RLock)

    @property
    def is_open(self) -> bool:
        """Return whether there is a database to write to."""
        return self._connection is not None

    @contextlib.contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """Have the database for oneself."""
        with self._using:
            if self._connection is None:
                raise ClientClosedError("The plan of this upload is closed.")
            yield self._connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Have it for oneself in one transaction, kept at the end if there was no error."""
        with self.using() as database:
            if self.path is None or database.in_transaction:
                yield database  # one for its life: nothing outlives it
                return
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.OperationalError):  # a full disk has done it
                    database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the database and let the lock go; closing twice is fine."""
        with self._using:
            connection, self._connection = self._connection, None
            try:
                if connection is not None and self.path is not None and self._lock is not None:
                    close_sealed(connection, self.path, self._lock)
                elif connection is not None:
                    connection.close()
            finally:
                if self._lock is not None:
                    self._lock.release()


def temporary() -> Store:
    """Return a database that SQLite keeps in memory while it is small, and on disk beyond that."""
    connection = _connect("")
    connection.executescript(TEMPORARY + SCHEMA + OF_ONE_RUN)
    connection.execute("BEGIN")
    return Store(connection)


def journal(path: Path, job: Job, *, fresh: bool) -> Store:
    """Return the journal of a job, made where there is none.

    Args:
        path: The journal.
        job: What it is to be of.
        fresh: Whether an existing journal is dropped.

    Raises:
        ConfigurationError: It cannot be used; the text says why and what to do.
    """
    lock = _locked(path)
    connection = None
    try:
        if fresh:
            _drop(path)
        connection = _open(path, job, lock)
        return Store(connection, lock, path, _begin_run(connection))
    except BaseException as error:
        if connection is not None:
            connection.close()
        lock.release()
        if isinstance(error, sqlite3.Error | OSError):
            raise unusable(path, error) from error
        raise


def _connect(name: str) -> sqlite3.Connection:
    return sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=5)


def _locked(path: Path) -> JournalLock:
    try:
        private_folder(path.parent)
        lock = JournalLock.take(path)
    except OSError as error:
        raise unusable(path, error) from error
    if lock is None:
        msg = (
            f"Another process is uploading with the journal {_shown(path)}; wait for it to end, or "
            "give this upload a journal of its own."
        )
        raise ConfigurationError(msg)
    return lock


def _drop(path: Path) -> None:
    if path.exists() and not is_journal(path):
        msg = f"{_shown(path)} is no journal of an upload, and is left alone; give another path."
        raise ConfigurationError(msg)
    remove(path)


def remove(path: Path) -> None:
    """Delete a journal with what SQLite keeps beside it; its lock stays."""
    for each in (path, *(path.with_name(path.name + side) for side in SIDES)):
        each.unlink(missing_ok=True)


def is_journal(path: Path) -> bool:
    """Return whether a file is a journal by its first bytes; an empty one may become one."""
    with path.open("rb") as file:
        head = file.read(100)
    return not head or (head[:16] == _MAGIC and head[68:72] == APPLICATION_ID.to_bytes(4, "big"))


def _open(path: Path, job: Job, lock: JournalLock) -> sqlite3.Connection:
    if path.exists() and not is_journal(path):
        msg = (
            f"{_shown(path)} is damaged, or no journal of an upload; give another path, or delete "
            "it yourself: what the dataset holds is skipped in any case."
        )
        raise ConfigurationError(msg)
    is_whole = unseal(path, lock)
    path.touch(mode=PRIVATE)  # SQLite gives its side files the same mode
    connection = _connect(str(path))
    try:
        if not path.stat().st_size:
            # Before the WAL takes it: a kill must not leave a file that `is_journal` does not know.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _create(connection, job)
        elif not is_whole:
            check(connection, SCHEMA)
            _check_rows(connection)
        connection.executescript(LASTING)
        _check(connection, path, job)
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", job.way.items())
        connection.executescript(OF_ONE_RUN)
    except BaseException:
        connection.close()
        raise
    return connection


_ODD_ITEM = stated("""
SELECT 1 FROM item WHERE state NOT BETWEEN $PLANNED AND $FAILED OR typeof(state) != 'integer'
OR typeof(name) != 'blob' OR typeof(content) NOT IN ('blob', 'null')
OR typeof(origin) NOT IN ('blob', 'null') OR typeof(size) NOT IN ('integer', 'null')
OR typeof(mtime) NOT IN ('integer', 'null') OR typeof(reason) NOT IN ('text', 'null')
OR (state = $UPLOADED AND media_id IS NULL AND dataset_id IS NULL AND attempts IS NULL) LIMIT 1
""")
_ODD_CLAIM = """
SELECT 1 FROM claimed LEFT JOIN item USING (seq)
WHERE item.seq IS NULL OR (claimed.key IS NOT name_key AND claimed.key IS NOT link_key) LIMIT 1
"""


def _check_rows(connection: sqlite3.Connection) -> None:
    """Look whether each row is one that can have been written, and what it refers to is there."""
    for sql in (_ODD_ITEM, _ODD_CLAIM):
        if connection.execute(sql).fetchone() is not None:
            raise DamagedError("a row in it is not what was written")


def _create(connection: sqlite3.Connection, job: Job) -> None:
    # Before WAL, or what tells a journal would not be in the file itself for long. A kill in the
    # midst leaves an empty database, which is made anew.
    connection.executescript(
        f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};PRAGMA user_version = {VERSION};"
    )
    connection.executemany("INSERT INTO meta VALUES (?, ?)", job.key.items())
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path, job: Job) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        msg = (
            f"The journal {_shown(path)} was written by a newer version of datagym-async; use that "
            "one, give another path, or begin anew with fresh=True (--fresh)."
        )
        raise ConfigurationError(msg)
    known = dict(connection.execute("SELECT name, value FROM meta"))
    for name, what in (
        ("base_url", "the service"),
        ("dataset_id", "the dataset"),
        ("digest", "the sources"),
    ):
        mine, theirs = str(getattr(job, name)), known.get(name, "")
        if mine != theirs:
            shown = known.get("sources", "") if name == "digest" else theirs
            msg = (
                f"The journal {_shown(path)} is of another job ({what} {shown}); give this upload "
                "another path, or begin anew with fresh=True (--fresh)."
            )
            raise ConfigurationError(msg)


def _begin_run(connection: sqlite3.Connection) -> int:
    now = time.time()
    row = connection.execute(
        "INSERT INTO run (started, heartbeat, complete) VALUES (?, ?, 0) RETURNING run", (now, now)
    ).fetchone()
    return int(row[0])


def unusable(path: Path, error: Exception) -> ConfigurationError:
    """Return the error that says why a journal cannot be used, and what to do."""
    if isinstance(error, sqlite3.Error) and not is_of_the_disk(error):
        text = (
            f"The journal {_shown(path)} is damaged ({error}); begin anew with fresh=True "
            "(--fresh): what the dataset holds is skipped in any case."
        )
    else:
        words = error.strerror if isinstance(error, OSError) and error.strerror else error
        text = (
            f"The journal {_shown(path)} cannot be written ({words}); give a path on a local disk "
            "that can be written, or make room there."
        )
    return ConfigurationError(text)


def _shown(path: Path) -> str:
    return printable(str(path))
