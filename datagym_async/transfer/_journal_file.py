"""The file of a plan: a temporary one, or a journal that is locked, checked and kept. It blocks."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import ClientClosedError, ConfigurationError
from datagym_async.transfer._journal_lock import JournalLock
from datagym_async.transfer._journal_schema import (
    APPLICATION_ID,
    LASTING,
    OF_ONE_RUN,
    SCHEMA,
    TEMPORARY,
    VERSION,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datagym_async.transfer._journal_job import Job

_MAGIC = b"SQLite format 3\0"
_SIDES = ("-wal", "-shm")


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
                if connection is not None:
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
        connection = _open(path, job)
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
        path.parent.mkdir(parents=True, exist_ok=True)
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
    for each in (path, *(path.with_name(path.name + side) for side in _SIDES)):
        each.unlink(missing_ok=True)


def is_journal(path: Path) -> bool:
    """Return whether a file is a journal by its first bytes; an empty one may become one."""
    with path.open("rb") as file:
        head = file.read(100)
    return not head or (head[:16] == _MAGIC and head[68:72] == APPLICATION_ID.to_bytes(4, "big"))


def _open(path: Path, job: Job) -> sqlite3.Connection:
    if path.exists() and not is_journal(path):
        msg = (
            f"{_shown(path)} is damaged, or no journal of an upload; give another path, or delete "
            "it yourself: what the dataset holds is skipped in any case."
        )
        raise ConfigurationError(msg)
    path.touch(mode=0o600)  # file names may be private; SQLite gives its side files the same mode
    connection = _connect(str(path))
    try:
        if not path.stat().st_size:
            # Before the WAL takes it: a kill must not leave a file that `is_journal` does not know.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _create(connection, job)
        connection.executescript(LASTING)
        _check(connection, path, job)
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", job.way.items())
        connection.executescript(OF_ONE_RUN)
    except BaseException:
        connection.close()
        raise
    return connection


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
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
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
