"""Images and lists are read from regular files only, and opening never blocks.

A pipe may never end and cannot be read again for another attempt; a device may have no end, or do
something when it is opened. So a path is checked first, and opened so that a pipe that takes its
place in between does not block. Files that the command line reads once, as a whole and in its main
thread (a token file, a report, a configuration) may be pipes: ``<(command)`` of a shell is one.
"""

from __future__ import annotations

import os
import stat

from datagym_async._printable import printable
from datagym_async.exceptions import DataGymError

READ_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
"""For `os.open`: it does not wait for the other end of a pipe. Check the mode afterwards."""

_KINDS = (
    (stat.S_ISREG, ""),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegularError(DataGymError, OSError):
    """Says that a path is no regular file, but of another `kind`."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


def kind_of(mode: int) -> str:
    """Return the kind of file of a mode in words; empty for a regular file."""
    return next((words for holds, words in _KINDS if holds(mode)), "of a kind unknown here")


def check_regular(path: str, mode: int) -> None:
    """Raise `NotRegularError` unless the mode is that of a regular file."""
    if stat.S_ISREG(mode):  # first, because this is called for every file
        return
    raise NotRegularError(
        f"{printable(path)} is {kind_of(mode)}, and only regular files are read; name a file, or "
        "read it yourself and pass what it gave",
        kind_of(mode),
    )


def regular_only(path: str, flags: int) -> int:
    """Open a regular file, as an ``opener`` for `open`."""
    check_regular(path, os.stat(path).st_mode)  # noqa: PTH116 -- an opener is given a text
    descriptor = os.open(path, flags | READ_FLAGS)
    try:
        check_regular(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
