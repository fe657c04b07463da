"""`DiskCache`: media on disk, bounded, for any number of processes at once. Blocking.

One file a media: a header with the digest of the content, then the content. It is written under
another name and renamed, so that half of it is never read, and checked at each reading: what
is damaged is deleted and counts as absent. Reading sets the file's time, so that the folder itself
knows what was used when; there is no index that could be wrong.

The bound: a process adds up what it writes, and looks at the whole folder anew when that may have
reached the bound, or is a sixteenth of it. It then deletes what was not used for longest until
seven eighths are left. So several processes may pass the bound by a sixteenth each for a moment.
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

from datagym_async._files import PART_SUFFIX, PRIVATE, Part, private_folder
from datagym_async._logs import logger
from datagym_async._regular_files import regular_only

_log = logger(__name__)

_MAGIC = b"DGC1"
_DIGEST = 16
_HEADER = len(_MAGIC) + _DIGEST
_SUFFIX = ".media"
_STALE = 3600.0
"""Seconds after which a file that is still being written belongs to a process that has ended."""


@attrs.define
class DiskCache:
    """Keep the bytes of media in a folder, made when it is not there, within a bound."""

    folder: Path
    max_bytes: int
    _known: int | None = attrs.field(default=None, init=False)
    _added: int = attrs.field(default=0, init=False)
    _has_warned: bool = attrs.field(default=False, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def get(self, media_id: str) -> bytes | None:
        """Return the bytes of a media, or None if they are not here, or not as they were."""
        path = self._path(media_id)
        try:
            with open(path, "rb", opener=regular_only) as file:
                header, data = file.read(_HEADER), file.read()
            if header != _header(data):
                _log.warning("a damaged file in the cache is downloaded again: media %s", media_id)
                path.unlink(missing_ok=True)
                return None
            with contextlib.suppress(OSError):  # a folder that may only be read is of use, too
                os.utime(path)
        except OSError:  # absent, just deleted by another process, or not ours to read
            return None
        return data

    def put(self, media_id: str, data: bytes) -> None:
        """Keep the bytes of a media. Where the disk refuses, that is said once."""
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
        # Whatever the service calls a media, this is the name of a file.
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
        """Look at the folder where it may be full, and delete what is too much beside `size`."""
        self._added += size
        is_known = self._known is not None and self._known + self._added <= self.max_bytes
        if is_known and self._added <= self.max_bytes // 16:
            return
        private_folder(self.folder)
        entries = list(self._entries())
        held = sum(entry_size for _, entry_size, _ in entries)
        if held + size > self.max_bytes:
            for _, entry_size, path in sorted(entries):  # what was not used for longest goes first
                if held + size <= self.max_bytes - self.max_bytes // 8:
                    break
                with contextlib.suppress(OSError):  # gone, or in use where that protects it
                    os.unlink(path)  # noqa: PTH108 -- one of many; Path costs more
                held -= entry_size
        self._known, self._added = held, size

    def _entries(self) -> Iterator[tuple[int, int, str]]:
        """Give when each file was last used, its size in bytes and its path."""
        oldest = time.time_ns() - int(_STALE * 1e9)
        for name in os.listdir(self.folder):  # noqa: PTH208 -- names are all that is wanted
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
