"""The files of a download: written aside, put in their places whole, and looked for. It blocks.

What is on its way lies in a folder of its own (``.datagym/parts``), on the disk of the download,
so that a rename puts it in its place, and whatever a kill leaves behind is found and deleted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import secrets
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS: Final = "parts"
_PIECE: Final = 1 << 20
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def place_of(root: Path, path: str) -> Path:
    """Return where a file of the manifest lies.

    Raises:
        ConfigurationError: The path leads out of the folder: nothing of ours has written it.
    """
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or PureWindowsPath(path).anchor or path.startswith("/"):
        msg = f"The manifest names the file {printable(path)!r}, which is not in its folder."
        raise ConfigurationError(msg)
    return root.joinpath(*parts)


def tidy(state: Path) -> None:
    """Make the folder of what is on its way, and delete what a killed run has left in it."""
    parts = state / PARTS
    parts.mkdir(exist_ok=True)
    for left in parts.iterdir():
        left.unlink(missing_ok=True)


def is_full(error: OSError) -> bool:
    """Return whether the next file would meet the same trouble."""
    return error.errno in _NO_ROOM


@attrs.frozen
class Check:
    """What the manifest knows of a file.

    Args:
        size: Its bytes.
        sha256: Its hash, or empty where the size has to do.
    """

    size: int | None
    sha256: str = ""

    def holds(self, path: Path) -> bool:
        """Return whether the file is there, and is the one that is known."""
        try:
            if not path.is_file() or path.stat().st_size != self.size:
                return False
            return not self.sha256 or hash_of(path) == self.sha256
        except OSError:
            return False


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@attrs.define
class Part:
    """A file on its way: written piece by piece, and then put in its place.

    Attributes:
        path: Where it is written.
        size: Bytes so far.
    """

    path: Path
    _file: BinaryIO
    size: int = 0
    _hash: hashlib._Hash = attrs.field(factory=hashlib.sha256)

    @classmethod
    def begin(cls, state: Path) -> Self:
        """Begin one in the folder of the manifest."""
        path = state / PARTS / f"{secrets.token_hex(8)}.part"
        return cls(path, path.open("xb"))

    @property
    def sha256(self) -> str:
        """Return the hash of what was written, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, chunks: Sequence[bytes]) -> None:
        """Write the next pieces."""
        for chunk in chunks:
            self._file.write(chunk)
            self._hash.update(chunk)
            self.size += len(chunk)

    def close(self) -> None:
        """Let it be read by others."""
        self._file.close()

    def put(self, place: Path) -> None:
        """Put it in its place; what lies there is replaced."""
        self._file.close()
        try:
            self.path.replace(place)
        except FileNotFoundError:
            place.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(place)

    def drop(self) -> None:
        """Delete it unless it was put in its place."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
