"""`lock` and `LockFile`: locks of files, which end with their process, and which no fork keeps."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from io import FileIO
from pathlib import Path
from typing import Final
from weakref import WeakSet

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_HELD: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})


def lock(descriptor: int) -> bool | None:
    """Lock an open file until it is closed or its process ends, and return whether it worked."""
    try:
        _lock(descriptor)
    except OSError as error:
        return False if error.errno in _HELD else None  # None: there are no locks
    return True


class LockFile(FileIO):
    """A file to `lock`, made if there is none. Forked processes close it.

    Otherwise the lock would last until they have ended, too: workers may live for days. A link in
    its place is an error, since it may lead to a file that is not ours; so is a pipe, which would
    be waited for.
    """

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        def made(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), mode)

        super().__init__(str(path), "r+", opener=made)
        if not stat.S_ISREG(os.fstat(self.fileno()).st_mode):
            self.close()
            raise OSError(errno.EINVAL, "it is no regular file", self.name)
        _OPEN.add(self)

    def lock(self) -> bool:
        """Lock it, and return whether it worked; if its disk has no locks, close it and raise."""
        if (is_locked := lock(self.fileno())) is None:
            self.close()
            raise OSError(errno.ENOLCK, "its disk has no locks for files", self.name)
        return is_locked


_OPEN: Final[WeakSet[LockFile]] = WeakSet()


def _close_all() -> None:
    for file in list(_OPEN):
        with contextlib.suppress(OSError):
            file.close()


if hasattr(os, "register_at_fork"):  # Windows has neither it nor forks
    os.register_at_fork(after_in_child=_close_all)
