"""Reading and writing files for jobs; blocking.

Unfinished files of a folder are in ``.datagym/parts``, on the same disk, so that a rename moves
them to their target (`HashedPart`); `tidy` deletes files that a kill left there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
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
    lock,
    private_folder,
    usual_folder,
)
from datagym_async._printable import printable, quoted
from datagym_async.exceptions import ConfigurationError

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


_ODD_BYTES: Final = re.compile("[\udc80-\udcff]")  # as Python writes bytes that are no UTF-8


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
    if isinstance(error, FileNotFoundError) and _ODD_BYTES.search(path):
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


def full_path(path: str, resolved: Callable[[str], str] = os.path.realpath) -> str:
    """Return one path for all spellings of it; a link to a file counts as a file of its own."""
    folder, name = os.path.split(path.rstrip(os.sep) or path)
    if name in {"", ".", ".."}:
        return resolved(path)
    return os.path.join(resolved(folder), name)  # noqa: PTH118 -- for each file of a list


def state_folder() -> Path:
    """Return the folder for files that jobs keep between runs (see `jobs_folder`)."""
    if given := os.environ.get("DATAGYM_STATE_DIR"):
        return from_home(given)
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

    _descriptor: int  # -1 once it is released
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
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            descriptor = os.open(lock_path(journal), flags, PRIVATE)
            if not lock(descriptor):
                # Who only asks whether it is taken (`is_locked`) has it for a moment.
                time.sleep(_MOMENT)
                if not lock(descriptor):
                    os.close(descriptor)
                    return None
            if is_open_at(descriptor, lock_path(journal)):
                return cls(descriptor, lock_path(journal))
            os.close(descriptor)  # another process has deleted the file in between

    def read(self) -> str:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, _NOTE).decode("ascii", "replace")

    def write(self, note: str) -> None:
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, note.encode("ascii"))

    def release(self, *, delete: bool = False) -> None:
        """Release it, and with `delete` its file too, if there is no journal any more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if delete:
            with contextlib.suppress(OSError):  # Windows keeps what is open
                self._path.unlink()
        os.close(descriptor)


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
    if not parts or ".." in parts or PureWindowsPath(path).anchor or path.startswith("/"):
        raise ConfigurationError(
            f"The manifest names the file {quoted(path)}, which is not in its folder."
        )
    return root.joinpath(*parts)


def tidy(state: Path) -> None:
    """Make the folder for unfinished files, and delete files that a killed run left in it."""
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
