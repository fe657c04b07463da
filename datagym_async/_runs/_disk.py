"""Reading and writing files for jobs, and their databases; blocking.

Unfinished files of a folder are in ``.datagym/parts``, on the same disk, so that a rename moves
them to their target (`HashedPart`); `tidy` deletes files that a kill left there.

**Databases** (journals, manifests) are used by one thread at a time, sealed and checked. At its end
a run closes its database as a plain file, and writes a checksum of it, the seal, into its lock
file. The next run compares: any byte that has changed since is damage, also in places that SQLite
does not check. After a kill there is no seal, and if another program has written to the database
through SQLite, which its header shows, the seal does not count. Then only SQLite's own check is
left: it finds broken tables and indexes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from threading import RLock
from typing import Final, TypeAlias
from urllib.parse import unquote

import attrs

from datagym_async._files import (
    NO_ROOM,
    PRIVATE,
    TOO_MANY_OPEN,
    NotRegularError,
    Part,
    from_home,
    is_open_at,
    kind_of,
    private_folder,
    usual_folder,
)
from datagym_async._locks import LockFile
from datagym_async._printable import printable, quoted
from datagym_async.exceptions import (
    RAISE_OPEN_FILES,
    ClientClosedError,
    ConfigurationError,
    DataGymError,
)

Refusal: TypeAlias = str
"""A sentence that says why something cannot be uploaded."""

_WORDS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.EACCES: "cannot be read: permission denied",
    errno.EPERM: "cannot be read: permission denied",
    errno.ELOOP: "is a link to itself",
    errno.ENAMETOOLONG: "has a name that is too long for the file system",
    errno.EISDIR: "is a folder",
    errno.EMFILE: "cannot be read: too many files are open (raise the limit with `ulimit -n`, or "
    "lower it with concurrency=...)",
}


ODD_BYTES: Final = re.compile("[\udc80-\udcff]")  # as Python writes bytes that are no UTF-8


def refusal(path: str, error: OSError | ValueError) -> Refusal:
    """Return the sentence for an error of a path."""
    if isinstance(error, NotRegularError):
        words = _said(error.kind)
    elif isinstance(error, OSError):
        words = _WORDS.get(error.errno or 0) or f"cannot be read: {error.strerror or error}"
    else:  # a NUL character, or text that the file system's encoding has no bytes for
        words = "is not a path that this system can open"
    if os.name != "nt" and "\\" in path and isinstance(error, FileNotFoundError):
        words += " (paths of this system have / between folders, and no drive)"
    if isinstance(error, FileNotFoundError) and ODD_BYTES.search(path):
        words += " (its name is not in UTF-8; save the list that names it as UTF-8)"
    return f"{printable(path)} {words}."


def look(path: str) -> os.stat_result | Refusal:
    try:
        return os.stat(path)  # noqa: PTH116 -- called for every file, and Path costs more
    except (OSError, ValueError) as error:
        return refusal(path, error)


def bytes_in(path: str) -> int | Refusal:
    """Return the size of a regular file, or why it cannot be uploaded."""
    found = look(path)
    if isinstance(found, str):
        return found
    kind = kind_of(found.st_mode)
    return f"{printable(path)} {_said(kind)}." if kind else found.st_size


def _said(kind: str) -> str:
    return f"is {kind}" if kind == "a folder" else f"is {kind}, not a regular file"


def local_path(text: str) -> str:
    """Return the path of a ``file:`` URL of this machine; any other text unchanged."""
    if text[:6].lower() != "file:/":
        return text
    host, _, path = text[7:].partition("/") if text[6:7] == "/" else ("", "", text[6:])
    if host.lower() not in {"", "localhost"}:
        return text
    path = unquote(path, errors="surrogateescape")
    return path if os.name == "nt" else f"/{path}"


def given_path(text: str) -> str:
    """Return the path that a caller has given: as `local_path`, with ``~`` for the home folder."""
    return os.path.expanduser(local_path(text))  # noqa: PTH111 -- Path raises where there is no home


def full_path(path: str, resolved: Callable[[str], str] = os.path.realpath) -> str:
    """Return one path for all spellings of it; a link to a file counts as a file of its own."""
    folder, name = os.path.split(path.rstrip(os.sep) or path)
    if name in {"", ".", ".."}:
        return resolved(path)
    return os.path.join(resolved(folder), name)  # noqa: PTH118 -- for each file of a list


def state_folder() -> Path:
    """Return the folder for files that jobs keep between runs (see `jobs_folder`)."""
    names = ("DATAGYM_STATE_DIR", "LOCALAPPDATA", "XDG_STATE_HOME")
    return usual_folder(*names, usual="~/.local/state")


_NOTE: Final = 200  # maximum bytes in a lock file


def lock_path(journal: Path) -> Path:
    """Return the lock file: not the journal itself, which SQLite locks in its own way."""
    return journal.with_name(f"{journal.name}.lock")


def journal_files(journal: str | os.PathLike[str] | bool | None) -> frozenset[str]:
    """Return the files of a journal with its own path: it may be among the sources."""
    if journal is None or isinstance(journal, bool):
        return frozenset()
    path = from_home(journal).absolute()
    sides = (path.with_name(f"{path.name}{side}") for side in ("-wal", "-shm"))  # SQLite's
    return frozenset(str(each) for each in (path, lock_path(path), *sides))


_MOMENT: Final = 0.02  # seconds


@attrs.define
class JournalLock:
    """The lock of one journal, until `release` or any end of the process."""

    _file: LockFile
    _path: Path

    @classmethod
    def take(cls, journal: Path) -> JournalLock | None:
        """Return the lock, or None if another process has it; the journal must be a plain file."""
        kind = ""
        with contextlib.suppress(FileNotFoundError):  # also if another process deletes it just now
            kind = kind_of(journal.stat().st_mode)
        if kind:
            raise ConfigurationError(
                f"{printable(str(journal))} is {kind}, and not a file; give another path."
            )
        while True:
            file = LockFile(lock_path(journal))
            if not file.lock():
                # Who only asks whether it is taken (`is_locked`) has it for a moment.
                time.sleep(_MOMENT)
                if not file.lock():
                    file.close()
                    return None
            if is_open_at(file.fileno(), lock_path(journal)):
                return cls(file, lock_path(journal))
            file.close()  # another process has deleted the file in between

    def read(self) -> str:
        return self._file.read(_NOTE).decode("ascii", "replace")

    def write(self, note: str) -> None:
        self._file.truncate(0)
        self._file.seek(0)
        self._file.write(note.encode("ascii"))

    def release(self, *, delete: bool = False) -> None:
        """Release it, and with `delete` its file too, if there is no journal any more."""
        if delete and not self._file.closed:
            if sys.platform == "win32":  # which deletes nothing that is open, also to others
                self._file.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._file.close()


def is_locked(journal: Path) -> bool:
    if not lock_path(journal).exists():
        return False
    with contextlib.suppress(OSError):
        if (taken := JournalLock.take(journal)) is not None:
            taken.release()
            return False
    return True


PARTS: Final = "parts"
_LASTING: Final = NO_ROOM | TOO_MANY_OPEN | {errno.EROFS, errno.EIO}


def path_in(root: Path, path: str) -> Path:
    """Return the path of a file of the manifest; refuse one that is outside, and so not ours."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or PureWindowsPath(path).anchor:  # also of a path of POSIX
        raise ConfigurationError(
            f"The manifest names the file {quoted(path)}, which is not in its folder."
        )
    return root.joinpath(*parts)


def tidy(state: Path) -> None:
    """Make the folder for unfinished files, and delete files that a killed run left in it."""
    if (state / PARTS).is_symlink():  # in a folder of somebody else, to files that are not ours
        raise NotADirectoryError(errno.ENOTDIR, "it is a link", str(state / PARTS))
    private_folder(state / PARTS)
    for left in (state / PARTS).iterdir():
        left.unlink(missing_ok=True)


def is_full(error: OSError) -> bool:
    """Return whether the next file would get the same error."""
    return error.errno in _LASTING


def is_still_there(path: Path, size: int | None, sha256: str = "") -> bool:
    """Return whether a file is the expected one: by its hash, or only by its size."""
    try:
        if not path.is_file() or path.stat().st_size != size:
            return False
        if not sha256:
            return True
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


@attrs.define
class HashedPart(Part):
    """An unfinished file, counted and hashed; begun by `Part.within`."""

    size: int = 0
    hash: hashlib._Hash = attrs.field(factory=hashlib.sha256)

    def write(self, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            self.file.write(chunk)
            self.hash.update(chunk)
            self.size += len(chunk)


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

    def close(self, *, delete: bool = False) -> None:
        """Close it as a plain file, sealed if that works, and release its lock; may be repeated.

        Or `delete` it, which Windows allows only once it is closed.
        """
        with self._using:
            connection, self._connection = self._connection, None
            is_plain = is_gone = False
            delete = delete and connection is not None
            try:
                if connection is not None:
                    with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
                        statement = "PRAGMA main.journal_mode = DELETE"
                        is_plain = connection.execute(statement).fetchone() == ("delete",)
                if self.path is not None and self._lock is not None:
                    with contextlib.suppress(OSError):
                        if delete:
                            remove(self.path)
                            is_gone = True
                        elif is_plain:  # not on a full disk: the WAL stays, and is read
                            self._lock.write(_seal_of(self.path))
            finally:
                if self._lock is not None:
                    self._lock.release(delete=is_gone)


def remove(path: Path) -> None:
    """Delete a database that is not open, with what SQLite keeps beside it."""
    for side in ("", *SIDES):
        path.with_name(path.name + side).unlink(missing_ok=True)


class DamagedError(sqlite3.DatabaseError):
    """One of our databases contains data that we have not written."""


def opened_database(
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
    sealed, is_new = "", False
    try:
        private_folder(path.parent)
        if (lock := JournalLock.take(path)) is None:
            raise ConfigurationError(in_use)
        sealed = lock.read()  # removed while it is open
        before()
        is_new = not path.exists()
        sealed = "" if is_new else sealed
        found = _seal_of(path) if sealed else ""
        is_whole = bool(sealed) and found == sealed
        if sealed and not is_whole and found.partition(" ")[0] in {sealed.partition(" ")[0], ""}:
            raise DamagedError("it was changed after the last run")
        lock.write("")
        path.touch(mode=PRIVATE)  # SQLite gives its side files the same mode
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        check_kinds(connection)
        return Database(connection, what, path, lock, begin(connection, is_whole))
    except BaseException as error:
        if connection is not None:
            connection.close()
        if lock is not None:
            if is_new:  # half of a database is no job
                with contextlib.suppress(OSError):
                    remove(path)
            # Nothing is left beside a foreign file.
            lock.release(delete=is_new or (connection is None and not sealed))
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
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "move the file that is in the way of its folder"
    if getattr(error, "errno", 0) in TOO_MANY_OPEN:
        return RAISE_OPEN_FILES
    if getattr(error, "errno", 0) == errno.ENOLCK:
        return "mount it with locks"
    if code == sqlite3.SQLITE_CANTOPEN:  # SQLite does not say why
        return "check the permissions of its folder, and the limit of open files (`ulimit -n`)"
    is_denied = code == sqlite3.SQLITE_READONLY or isinstance(error, PermissionError)
    return "change its permissions" if is_denied else usual


def check_kinds(connection: sqlite3.Connection) -> None:
    """Raise `DamagedError` if there is more than tables: a view in place of one may never end."""
    kinds = {kind for (kind,) in connection.execute("SELECT type FROM main.sqlite_master")}
    if not kinds <= {"table", "index"}:
        raise DamagedError("it holds more than tables")


def check_database(connection: sqlite3.Connection, schema: str) -> None:
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
