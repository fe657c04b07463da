"""Whether a database of ours (a journal, a manifest) is what its last run left. It blocks.

A run that ends closes its database as a plain file, and writes a checksum of it into the file of
its lock: the seal. The next run compares. A byte that has changed since is damage, wherever it is,
also where SQLite would not mind: a name, a state, a count.

There is no seal after a kill. Nor does one count when another program has written to the database
through SQLite, which says so in its header. Then SQLite's own check has to do: it finds what breaks
its tables and indexes.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from datagym_async._runs._disk import JournalLock

SIDES: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database that is open, or was not closed."""
_COUNTER: Final = slice(24, 28)
"""Where a plain database counts the transactions that changed it."""
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


class DamagedError(sqlite3.DatabaseError):
    """A database of ours holds what no run of ours has written."""


def is_of_the_disk(error: sqlite3.Error | OSError) -> bool:
    """Return whether the disk is to blame, and not what the database holds."""
    if isinstance(error, OSError):
        return True
    code = getattr(error, "sqlite_errorcode", None)  # text that is no UTF-8 has none
    return code is not None and code & 0xFF in _OF_THE_DISK


def unseal(path: Path, lock: JournalLock) -> bool:
    """Take the seal off a database that is about to change; return whether it was whole.

    Args:
        path: The database; not open yet.
        lock: Its lock.

    Raises:
        DamagedError: It is not what the last run left.
    """
    sealed = lock.read()
    if not path.exists():
        sealed = ""
    found = _seal_of(path) if sealed else ""
    is_whole = bool(sealed) and found == sealed
    if sealed and not is_whole and found.partition(" ")[0] in {sealed.partition(" ")[0], ""}:
        raise DamagedError("its bytes are not those that the last run left")
    lock.write("")
    return is_whole


def check(connection: sqlite3.Connection, schema: str) -> None:
    """Let SQLite look through a database that had no seal.

    Args:
        connection: The database.
        schema: The statements that made it.

    Raises:
        DamagedError: It is not whole.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_master")}
    if missing := set(re.findall(r"CREATE TABLE (\w+)", schema)) - tables:
        raise DamagedError(f"no such table: {min(missing)}")
    (found,) = connection.execute("PRAGMA main.integrity_check(1)").fetchone()
    if found != "ok":
        raise DamagedError(" ".join(str(found).split()))


def close_sealed(connection: sqlite3.Connection, path: Path, lock: JournalLock) -> None:
    """Close a database as a plain file, and seal it; where that cannot be, it has no seal."""
    is_plain = False
    try:
        with contextlib.suppress(sqlite3.Error):  # a full disk: the WAL stays, and is read
            (mode,) = connection.execute("PRAGMA main.journal_mode = DELETE").fetchone()
            is_plain = mode == "delete"
    finally:
        connection.close()
    if is_plain:
        with contextlib.suppress(OSError):
            lock.write(_seal_of(path))


def _seal_of(path: Path) -> str:
    """Return how often a plain database was changed, and its hash; empty where it is cut off."""
    with path.open("rb") as file:
        counted = file.read(_COUNTER.stop)[_COUNTER]
        file.seek(0)
        if len(counted) < _COUNTER.stop - _COUNTER.start:
            return ""
        return f"{counted.hex()} {hashlib.file_digest(file, 'sha256').hexdigest()}"
