"""Which files are read as images and lists: regular ones alone, and no open ever hangs on another.

A pipe may never end and cannot be read again for another attempt; a device may have no end, or do
something when it is opened. So a path is looked at before it is opened, and opened so that a pipe
that takes its place in between does not block. What the command line reads once, whole and in its
main thread (a token file, a report, a configuration) may be a pipe: ``<(command)`` of a shell is
one.
"""

from __future__ import annotations

import os
import stat

from datagym_async._printable import printable
from datagym_async.exceptions import DataGymError

READ_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
"""For `os.open`: does not wait for the other end of a pipe. Check the mode afterwards."""

_KINDS = (
    (stat.S_ISREG, ""),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegularError(DataGymError, OSError):
    """Says that a path leads to something else than a regular file; `kind` is what, in words."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


def kind_of(mode: int) -> str:
    """Return in words what a mode of `os.stat` says a path is; empty for a regular file."""
    return next((words for holds, words in _KINDS if holds(mode)), "of a kind unknown here")


def check_regular(path: str, mode: int) -> None:
    """Raise `NotRegularError` for what is none by what `os.stat` or `os.fstat` says of it."""
    if stat.S_ISREG(mode):  # at once: on the way of every file
        return
    raise NotRegularError(
        f"{printable(path)} is {kind_of(mode)}, and only regular files are read; name a file, or "
        "read it yourself and pass what it gave",
        kind_of(mode),
    )


def regular_only(path: str, flags: int) -> int:
    """Open a regular file, as ``opener`` of `open`; anything else is a `NotRegularError`."""
    check_regular(path, os.stat(path).st_mode)  # noqa: PTH116 -- an opener is given a text
    descriptor = os.open(path, flags | READ_FLAGS)
    try:
        check_regular(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
