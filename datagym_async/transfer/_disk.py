"""Say in words what the file system had against a path."""

from __future__ import annotations

import errno
import os
import stat
from typing import TypeAlias

from datagym_async._printable import printable

Refusal: TypeAlias = str
"""A sentence that says why something cannot be uploaded."""

_WORDS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.EACCES: "cannot be read: permission denied",
    errno.EPERM: "cannot be read: permission denied",
    errno.ELOOP: "is a link that leads in a circle",
    errno.ENAMETOOLONG: "has a longer name than the file system takes",
    errno.EISDIR: "is a folder",
}


def refusal(path: str, error: OSError | ValueError) -> Refusal:
    """Return the sentence for an error that the path gave."""
    if isinstance(error, OSError):
        words = _WORDS.get(error.errno or 0) or f"cannot be read: {error.strerror or error}"
    else:  # a NUL character, or text that the file system's encoding has no bytes for
        words = "is not a path that this system can open"
    return f"{printable(path)} {words}."


def look(path: str) -> os.stat_result | Refusal:
    """Return what the file system says of a path, or why it says nothing."""
    try:
        return os.stat(path)  # noqa: PTH116 -- on the way of every file, and Path costs more
    except (OSError, ValueError) as error:
        return refusal(path, error)


def size_of(path: str) -> int | Refusal:
    """Return the size of a regular file, or why it cannot be uploaded."""
    found = look(path)
    if isinstance(found, str):
        return found
    if stat.S_ISREG(found.st_mode):
        return found.st_size
    kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
    return f"{printable(path)} is {kind}."
