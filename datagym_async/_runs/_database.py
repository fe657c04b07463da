"""Our databases (journals, manifests): used by one thread at a time, sealed, checked.

At its end a run closes its database as a plain file, and writes a checksum of it, the seal, into
its lock file. The next run compares: any byte that has changed since is damage, also in places that
SQLite does not check. After a kill there is no seal, and if another program has written to the
database through SQLite, which its header shows, the seal does not count. Then only SQLite's own
check is left: it finds broken tables and indexes. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock
from typing import Final

import attrs

from datagym_async._files import PRIVATE, private_folder
from datagym_async._runs._disk import JournalLock
from datagym_async.exceptions import ClientClosedError, ConfigurationError, DataGymError

SIDES: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database that is open, or was not closed."""
_COUNTER: Final = slice(24, 28)  # where a plain database counts the transactions that changed it
_OF_THE_DISK: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
    }
)


@attrs.define
class Database:
    """An open database, for any thread; using a closed one is a `ClientClosedError`."""

    _connection: sqlite3.Connection | None
    what: str  # for the error if it is used after it is closed
    path: Path | None = None  # None for a temporary one, which is one transaction for its life
    _lock: JournalLock | None = None
    run: int = 1  # the number of this run
    _using: RLock = attrs.Factory(RLock)

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @contextlib.contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """Use it exclusively."""
        with self._using:
            if self._connection is None:
                raise ClientClosedError(f"{self.what} is closed.")
            yield self._connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Use it exclusively in one transaction, committed at the end if there was no error."""
        with self.using() as connection:
            if self.path is None or connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.OperationalError):  # a full disk did that already
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close it as a plain file, sealed if that works, and release its lock; may be repeated."""
        with self._using:
            connection, self._connection = self._connection, None
            is_plain = False
            try:
                if connection is None:
                    return
                with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
                    if self.path is not None and self._lock is not None:
                        statement = "PRAGMA main.journal_mode = DELETE"
                        is_plain = connection.execute(statement).fetchone() == ("delete",)
                # Not on a full disk: the WAL stays, and is read.
                if is_plain and self.path is not None and self._lock is not None:
                    with contextlib.suppress(OSError):
                        self._lock.write(_seal_of(self.path))
            finally:
                if self._lock is not None:
                    self._lock.release()


class DamagedError(sqlite3.DatabaseError):
    """One of our databases contains data that we have not written."""


def opened(
    path: Path,
    what: str,
    # Makes or checks the tables, is told whether the file is whole, and returns the run's number.
    begin: Callable[[sqlite3.Connection, bool], int],
    *,
    trouble: Callable[[Path, sqlite3.Error | OSError], str],  # words for an error
    in_use: str,  # words if another process has it
    before: Callable[[], object] = lambda: None,  # called once it is locked
) -> Database:
    """Lock a database and open it, made if there is none; what fails is a `ConfigurationError`."""
    lock = connection = None
    try:
        private_folder(path.parent)
        if (lock := JournalLock.take(path)) is None:
            raise ConfigurationError(in_use)
        before()
        # Its seal is removed while it is open.
        sealed = lock.read() if path.exists() else ""
        found = _seal_of(path) if sealed else ""
        is_whole = bool(sealed) and found == sealed
        if sealed and not is_whole and found.partition(" ")[0] in {sealed.partition(" ")[0], ""}:
            raise DamagedError("it was changed after the last run")
        lock.write("")
        path.touch(mode=PRIVATE)  # SQLite gives its side files the same mode
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        return Database(connection, what, path, lock, begin(connection, is_whole))
    except BaseException as error:
        if connection is not None:
            connection.close()
        if lock is not None:
            lock.release()
        cause: BaseException = error
        if isinstance(error, UnicodeDecodeError):  # of a damaged schema, which SQLite quotes
            cause = DamagedError("a text in it was changed")
        if isinstance(cause, sqlite3.Error | OSError) and not isinstance(cause, DataGymError):
            raise ConfigurationError(trouble(path, cause)) from error
        raise


def is_of_the_disk(error: sqlite3.Error | OSError) -> bool:
    """Return whether the disk is the cause, not the content of the database."""
    if isinstance(error, OSError):
        return True
    # Text that is not UTF-8 has no code; 0 means success.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_DISK


def remedy(error: Exception, usual: str = "free some space on its disk") -> str:
    """Return what to do if a database cannot be written; `usual` is for a full disk and others."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "close it in the other program that has it open"
    is_denied = code == sqlite3.SQLITE_READONLY or isinstance(error, PermissionError)
    return "change its permissions" if is_denied else usual


def check(connection: sqlite3.Connection, schema: str) -> None:
    """Raise `DamagedError` if SQLite finds damage in the tables that these statements made."""
    tables = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_master")}
    if missing := set(re.findall(r"CREATE TABLE (\w+)", schema)) - tables:
        raise DamagedError(f"no such table: {min(missing)}")
    (found,) = connection.execute("PRAGMA main.integrity_check(1)").fetchone()
    if found != "ok":
        raise DamagedError(" ".join(str(found).split()))


def _seal_of(path: Path) -> str:
    """Return how often a plain database was changed, and its hash; empty if it is cut off."""
    with path.open("rb") as file:
        counted = file.read(_COUNTER.stop)[_COUNTER]
        file.seek(0)
        if len(counted) < _COUNTER.stop - _COUNTER.start:
            return ""
        return f"{counted.hex()} {hashlib.file_digest(file, 'sha256').hexdigest()}"
