"""The data folder: `datagym.sqlite3`, `blobs/`, `token`, and a lock that keeps a second server out.

All files are their owner's alone (0600), and so is the folder when it is made here (0700); a folder
that was there keeps its mode.

All functions block; call them in a thread.
"""

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final, Self

import attrs

from ._store import StoreError

__all__ = ["TEMPORARY", "DataFolder"]

_TRIES: Final = 10

TEMPORARY: Final = "datagym-temporary-"
"""Beginning of the names of folders that go with their server, and are swept after a kill."""


@attrs.define
class DataFolder:
    """A data folder that is ours as long as it is open.

    Attributes:
        path: The folder.
        temporary: Whether it goes away when it is closed.
    """

    path: Path
    temporary: bool
    _lock: int

    @classmethod
    def open(cls, path: Path | None) -> Self:
        """Make the folder when it is not there (None: a temporary one), and lock it.

        Raises:
            StoreError: Another server uses the folder, or it cannot be written to.
        """
        sweep()
        if path is None:
            folder, lock = _temporary()
        else:
            folder, lock = path, _locked(path)
        opened = cls(folder, path is None, lock)
        _make_private(opened.database)
        return opened

    @property
    def database(self) -> Path:
        """Where the database lies."""
        return self.path / "datagym.sqlite3"

    def token(self) -> str:
        """Return the token kept in the folder; the first call makes a random one."""
        path = self.path / "token"
        with contextlib.suppress(FileNotFoundError):
            if kept := path.read_text("ascii").strip():
                return kept
        token = secrets.token_hex(16)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        return token

    def close(self) -> None:
        """Unlock the folder, and remove a temporary one."""
        # Closing the file gives the lock back; the file itself stays, or two servers could lock two
        # files of one name.
        if self.temporary:  # before the lock goes: another server sweeps what nobody holds
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        if self.temporary:  # where nothing can be deleted that is open
            shutil.rmtree(self.path, ignore_errors=True)


def _make_private(database: Path) -> None:
    """Make the database its owner's alone before SQLite does; its log files take over the mode."""
    with contextlib.suppress(OSError):  # opening it says what is wrong
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        for path in database.parent.glob(f"{database.name}*"):
            path.chmod(0o600)


def sweep() -> None:
    """Remove the temporary folders of servers that were killed: their locks are held by nobody."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
            with contextlib.suppress(OSError):  # of somebody else, in use, or just gone
                if folder.is_symlink() or not (folder / "lock").is_file():
                    continue
                lock = os.open(folder / "lock", os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
                try:
                    _lock(lock)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(lock)


def _temporary() -> tuple[Path, int]:
    """Return a new folder and its lock."""
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        # Another server may sweep it between the making of its lock and the taking.
        with contextlib.suppress(StoreError):
            lock = _locked(folder)
            if (folder / "lock").exists():
                return folder, lock
            os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)
    raise StoreError(f"No folder for temporary files can be used in {tempfile.gettempdir()}.")


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"The data folder {folder} cannot be used: {error.strerror}.") from None
    try:
        _lock(lock)
    except OSError:
        os.close(lock)
        raise StoreError(
            f"Another server already uses the data folder {folder}:"
            " stop it, or give this one its own folder."
        ) from None
    return lock


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
