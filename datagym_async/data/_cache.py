"""`DiskCache`: media on disk, with a size limit, for any number of processes at once. Blocking.

One file for each media: a header with the digest of the content, then the content. It is written
under another name and renamed, and checked at each reading: a damaged file is deleted and counts as
absent. Reading sets the file's time, so the folder itself shows what was used when.

The limit: a process adds up what it writes, and reads the whole folder again when it may have
reached the limit, or has written a sixteenth of it. Then it deletes the least recently used files
until seven eighths are left. So each process may exceed the limit by a sixteenth for a moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from datagym_async._files import PART_SUFFIX, PRIVATE, Part, private_folder, regular_only
from datagym_async._printable import logger

_log = logger(__name__)

_MAGIC = b"DGC1"
_DIGEST = 16
_HEADER = len(_MAGIC) + _DIGEST
_SUFFIX = ".media"
_STALE = 3600.0  # seconds after which the writer of an unfinished file has surely ended


@attrs.define
class DiskCache:
    """Keep the bytes of media in a folder, made if it does not exist, within a limit."""

    folder: Path
    max_bytes: int
    _known: int | None = attrs.field(default=None, init=False)
    _added: int = attrs.field(default=0, init=False)
    _has_warned: bool = attrs.field(default=False, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def get(self, media_id: str) -> bytes | None:
        path = self._path(media_id)
        try:
            with open(path, "rb", opener=regular_only) as file:
                header, data = file.read(_HEADER), file.read()
            if header != _header(data):
                _log.warning("a damaged file in the cache is downloaded again: media %s", media_id)
                path.unlink()
                return None
            with contextlib.suppress(OSError):  # a read-only folder is useful, too
                os.utime(path)
        except OSError:  # absent, just deleted by another process, or not ours to read
            return None
        return data

    def put(self, media_id: str, data: bytes) -> None:
        """Store the bytes of a media. An error of the disk is logged once."""
        size = _HEADER + len(data)
        if size > self.max_bytes:
            return
        try:
            with self._lock:
                self._make_room(size)
            self._write(self._path(media_id), data)
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                words = error.strerror or type(error).__name__
                _log.warning("the cache in %s cannot be written: %s", self.folder, words)

    def _path(self, media_id: str) -> Path:
        # A valid file name, whatever the service calls a media.
        name = hashlib.blake2b(media_id.encode(), digest_size=16).hexdigest()
        return self.folder / name[:2] / f"{name}{_SUFFIX}"

    def _write(self, path: Path, data: bytes) -> None:
        if not path.parent.is_dir():
            private_folder(self.folder)
            private_folder(path.parent)
        part = Part.within(path.parent, path, mode=PRIVATE)
        try:
            part.file.write(_header(data))
            part.file.write(data)
            part.put()
        finally:
            part.drop()

    def _make_room(self, size: int) -> None:
        """Read the folder if it may be full, and delete files to make room for `size`."""
        self._added += size
        is_known = self._known is not None and self._known + self._added <= self.max_bytes
        if is_known and self._added <= self.max_bytes // 16:
            return
        private_folder(self.folder)
        entries = list(self._entries())
        held = sum(entry_size for _, entry_size, _ in entries)
        if held + size > self.max_bytes:
            for _, entry_size, path in sorted(entries):  # the least recently used goes first
                if held + size <= self.max_bytes - self.max_bytes // 8:
                    break
                with contextlib.suppress(OSError):  # gone, or open, if the system protects that
                    os.unlink(path)  # noqa: PTH108 -- one of many; Path costs more
                held -= entry_size
        self._known, self._added = held, size

    def _entries(self) -> Iterator[tuple[int, int, str]]:
        """Yield the last use of each file, its size in bytes and its path."""
        oldest = time.time_ns() - int(_STALE * 1e9)
        for name in os.listdir(self.folder):  # noqa: PTH208 -- only names are needed
            if len(name) != 2:  # somebody else's; browsers write `.part` files, too
                continue
            with contextlib.suppress(NotADirectoryError), os.scandir(self.folder / name) as files:
                for file in files:
                    with contextlib.suppress(FileNotFoundError):
                        found = file.stat(follow_symlinks=False)
                        if file.name.endswith(_SUFFIX):
                            yield found.st_mtime_ns, found.st_size, file.path
                        elif file.name.endswith(PART_SUFFIX) and found.st_mtime_ns < oldest:
                            yield 0, found.st_size, file.path


def _header(data: bytes) -> bytes:
    return _MAGIC + hashlib.blake2b(data, digest_size=_DIGEST).digest()
