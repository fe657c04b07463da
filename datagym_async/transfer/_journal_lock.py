"""One process at a time: a lock on a file that ends with the process, however that ends."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import attrs

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_path(journal: Path) -> Path:
    """Return the lock's file: not the journal itself, which SQLite locks in its own way."""
    return journal.with_name(f"{journal.name}.lock")


def journal_files(journal: str | os.PathLike[str] | bool | None) -> frozenset[str]:
    """Return the files of a journal that has a path of its own: it may lie among the sources."""
    if journal is None or isinstance(journal, bool):
        return frozenset()
    path = Path(journal).expanduser().absolute()
    sides = (path.with_name(f"{path.name}{side}") for side in ("-wal", "-shm"))  # SQLite's
    return frozenset(str(each) for each in (path, lock_path(path), *sides))


@attrs.define
class JournalLock:
    """The lock on one journal, held until `release` or the end of the process."""

    _descriptor: int | None
    _path: Path

    @classmethod
    def take(cls, journal: Path) -> JournalLock | None:
        """Return the lock, or None where somebody else has it.

        Raises:
            OSError: The file of the lock cannot be made.
        """
        while True:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            descriptor = os.open(lock_path(journal), flags, 0o600)
            try:
                _lock(descriptor)
            except OSError:
                os.close(descriptor)
                return None
            if _is_of(descriptor, lock_path(journal)):
                return cls(descriptor, lock_path(journal))
            os.close(descriptor)  # somebody has deleted the file in between

    def release(self, *, delete: bool = False) -> None:
        """Let it go.

        Args:
            delete: Whether its file goes as well, since there is no journal any more.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if delete:
            with contextlib.suppress(OSError):  # Windows keeps what is open
                self._path.unlink()
        os.close(descriptor)


def _is_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def is_locked(journal: Path) -> bool:
    """Return whether a process holds the lock of a journal now."""
    if not lock_path(journal).exists():
        return False
    with contextlib.suppress(OSError):
        if (lock := JournalLock.take(journal)) is not None:
            lock.release()
            return False
    return True
