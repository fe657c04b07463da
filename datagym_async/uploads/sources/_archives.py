"""Archives as sources: zip and tar files, on a disk or in a store, member by member; blocking.

An archive is read twice, once to list its members and once to send them, and never unpacked to a
disk. A zip is listed from its directory, which takes a few requests in a store. A tar that is not
compressed is listed from its headers; a compressed one has to be unpacked in memory each time. The
members of one archive are read in its order: reading them in another order begins again.

The address of a member is ``PATH!//MEMBER``: no full path, and no key of a store, contains ``//``.
A member of a zip is identified by size and checksum, one of a tar by its archive's identity and its
header. Never read are encrypted members, links and devices, paths that lead out of the archive,
repeated names, members of more than `MAX_MEMBER` bytes, and members that unpack to more than
`MAX_RATIO` times their size, alone or together with those before.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from typing import IO, Any, BinaryIO, Final, cast

import attrs

from datagym_async._extras import extra_module
from datagym_async._files import regular_only
from datagym_async._printable import printable, words_of
from datagym_async._runs._stores import RANGE, Stores, identity_of, is_stored
from datagym_async._runs._text import counted
from datagym_async._runs._text import size as size_text
from datagym_async.exceptions import ConfigurationError, FileChangedError, StoreError
from datagym_async.uploads._values import MEMBER
from datagym_async.uploads.sources._candidates import Candidate, Rules, refused_source
from datagym_async.uploads.sources._open_files import ByteSource, as_stream

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst")
MAX_MEMBER: Final = 1 << 30
MAX_RATIO: Final = 200
FREE: Final = 64 << 20  # bytes that any archive or member may unpack to


def is_archive(path: str) -> bool:
    """Return whether a file named as a source is an archive, by its suffix."""
    return path.lower().endswith(SUFFIXES)


def asks_archives(pattern: str) -> bool:
    """Return whether a pattern means archives: then their members are used, not the files."""
    return re.search(r"\.(zip|tar|tgz)", pattern.rpartition("/")[2].lower()) is not None


@attrs.frozen
class Member:
    """A member of an open archive; it must be read before the next one."""

    name: str
    size: int
    identity: int
    refusal: str  # why it is not read
    open: Callable[[], IO[bytes]]
    raw: ByteSource | None = None  # its bytes in the archive, if that is a tar, not compressed


class Archive:
    """An open archive: its members in order."""

    def __init__(self, path: str, stores: Stores) -> None:
        self.path = path
        self._opened = contextlib.ExitStack()
        if is_stored(path):
            found = stores.at(path)
            meta = stores.head(found.at)
            source: ByteSource = attrs.evolve(found, etag=meta["e_tag"])
            size, mark = meta["size"], identity_of(meta)
        else:
            status = os.stat(path)  # noqa: PTH116 -- as in `_disk.look`
            size, mark = status.st_size, status.st_mtime_ns
            source = _Local(path, size, mark)
        self._source, self._size, self._mark = source, size, f"{size} {mark}"
        self._noting = _Noting(source)
        self._stream = as_stream(self._noting, size, buffered=RANGE if is_stored(path) else 1 << 20)

    def close(self) -> None:
        self._opened.close()

    def members(self) -> Iterator[Member]:
        """Yield all members except folders; an error of the archive itself is raised."""
        kind = self.path.lower()
        try:
            yield from self._of_zip() if kind.endswith(".zip") else self._of_tar(kind)
        except Exception as error:
            raise self._noting.taken() or error from None

    def _of_zip(self) -> Iterator[Member]:
        archive = self._opened.enter_context(zipfile.ZipFile(self._stream))
        total = 0
        for info in archive.infolist():
            name = info.filename.replace("\\", "/")  # of .NET on Windows, folders included
            if name.endswith("/"):
                continue
            total += info.file_size
            refusal = ""
            if info.flag_bits & 1:
                refusal = "is encrypted"
            elif stat.S_ISLNK(info.external_attr >> 16):
                refusal = "is a link"
            # Also the sum of all: members may share the same packed bytes.
            elif info.file_size > max(FREE, MAX_RATIO * info.compress_size) or (
                total > max(FREE, MAX_RATIO * self._size)
            ):
                refusal = "unpacks to far more than its size"
            if not info.flag_bits & 0x800:  # zip on Linux and macOS does not mark UTF-8
                with contextlib.suppress(UnicodeError):
                    name = name.encode("cp437").decode()
            opened = partial(archive.open, info)
            yield _member(name, info.file_size, f"{info.CRC}", refusal, opened)

    def _of_tar(self, kind: str) -> Iterator[Member]:
        file: Any = self._stream
        is_plain = kind.endswith(".tar")
        if not is_plain:
            packed = _unzstd(file) if kind.endswith(".zst") else gzip.GzipFile(fileobj=file)
            file = _Unpacked(packed, self._stream)
        mode: Any = "r:" if is_plain else "r|"
        tar: Any = tarfile.open(fileobj=file, mode=mode, bufsize=1 << 18, tarinfo=_Header)  # noqa: SIM115
        self._opened.enter_context(tar)
        while (info := tar.next()) is not None:
            tar.members, tar.pax_headers = [], {}  # or all of them stay in memory
            if info.size < 0:  # an extended header may say so; the next one would be before it
                raise ValueError(_NEGATIVE)
            if info.isdir():
                continue
            refusal = "" if info.isreg() else "is a link or a device"
            refusal = "is a sparse file" if info.issparse() else refusal
            raw = _Slice(self._source, info.offset_data, info.size) if is_plain else None
            mark, opened = f"{self._mark} {info.chksum}", partial(tar.extractfile, info)
            yield _member(info.name, info.size, mark, refusal, opened, raw)


def _member(
    name: str,
    size: int,
    mark: str,
    refusal: str,
    opened: Callable[[], IO[bytes]],
    raw: ByteSource | None = None,
) -> Member:
    if name.startswith("/") or ".." in name.split("/") or re.match("[A-Za-z]:", name):
        refusal = "has a path that leads outside the archive"
    elif not refusal and size > MAX_MEMBER:
        refusal = f"has {size_text(size)}; members may have at most {size_text(MAX_MEMBER)}"
    name = re.sub(r"/{2,}", "/", name.removeprefix("./"))
    digest = blake2b(f"{size} {mark} {name}".encode("utf-8", "replace"), digest_size=8)
    return Member(name, size, int.from_bytes(digest.digest()) >> 1, refusal, opened, raw)


def in_archive(path: str, rules: Rules) -> Iterator[Candidate]:
    """Yield the members of an archive that count; an error of one is reported with its name."""
    filters, count, seen = rules.filters, 0, set[int]()
    try:
        with contextlib.closing(Archive(path, rules.stores)) as archive:
            for member in archive.members():
                if rules.hides(name := member.name):
                    continue
                if (filters.include or filters.exclude) and not filters.takes(name):
                    filters.left_out += 1
                    continue
                count += 1
                address, reason = f"{path}{MEMBER}{name}", member.refusal
                if not reason and hash(name) in seen:
                    reason = "has a name that occurs twice in the archive"
                seen.add(hash(name))
                refusal = f"{printable(address)} {reason}." if reason else ""
                yield rules.file(address, name, member.size, refusal, member.identity, place="")
    except Exception as error:  # any error of a foreign archive
        if isinstance(error, ConfigurationError):
            raise
        after = f" after {counted(count, 'member')}" if count else ""
        text = f"{printable(path)} cannot be read{after}: {words_of(error)}."
        if isinstance(error, StoreError):
            text = str(error)
        yield refused_source(path, f"The archive {text}", whole=not count)
        return
    if not count:
        yield refused_source(
            path, f"The archive {printable(path)} contains no files that can be uploaded."
        )


@attrs.define
class Archives:
    """Find members again, in the order of their archives; one thread at a time."""

    stores: Stores
    _archive: Archive | None = attrs.field(default=None, init=False)
    _members: Iterator[Member] = attrs.field(factory=lambda: iter(()), init=False)

    def member(self, address: str) -> Member:
        """Return a member by its address; `FileChangedError` if it does not exist any more."""
        path, _, name = address.partition(MEMBER)
        for is_from_start in (False, True):
            if is_from_start:
                self.close()
                self._archive = Archive(path, self.stores)
                self._members = self._archive.members()
            elif self._archive is None or self._archive.path != path:
                continue
            for member in self._members:
                if member.name == name:
                    return member
        raise FileChangedError(f"{printable(address)} is no longer in its archive")

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()
        self._archive = None


class _Header(tarfile.TarInfo):
    """A header of a tar; `tarfile` would take a damaged or empty one for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tarfile)
        except Exception as error:
            kind = type(error).__name__
            while kind == "EOFHeaderError" and (rest := cast("Any", tarfile).fileobj.read(1 << 16)):
                if rest.strip(b"\0"):
                    raise ValueError("there is data after its end mark") from None
            # An extended header reads the next one in here.
            if kind in {"EOFHeaderError", "ReadError"} or isinstance(error, _DamagedError):
                raise
            raise _DamagedError(f"it is damaged, or cut off ({error})") from None

    # In all releases of Python the way of each header: newer ones parse it by private functions.

    def _proc_member(self: Any, tarfile: Any) -> Any:
        if self.size < 0:
            raise ValueError(_NEGATIVE)
        if self.type in _EXTENDED and self.size > _MOST_EXTENDED:  # it is read into memory
            raise ValueError(f"a header of {size_text(self.size)} is too large")
        return cast("Any", super())._proc_member(tarfile)

    # The maps of sparse files may have any length, and these members are refused: none is kept.

    def _proc_sparse(self: Any, tarfile: Any) -> Any:
        goes_on = self._sparse_structs[1]
        while goes_on:
            goes_on = tarfile.fileobj.read(512)[504:505] > b"\0"
        self.sparse, self.offset_data = [], tarfile.fileobj.tell()
        tarfile.offset = self.offset_data + self._block(self.size)
        return self

    def _proc_gnusparse_10(self, following: Any, *_: object) -> None:
        following.sparse = []


class _DamagedError(ValueError):
    """A header of a tar is damaged."""


_NEGATIVE: Final = "a member has a negative size"
_EXTENDED: Final = b"xgLKX"
"""Kinds of headers that contain names and other fields of any length."""
_MOST_EXTENDED: Final = 1 << 20


def _unzstd(file: BinaryIO) -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdFile(file)
    reader = extra_module("zstandard").ZstdDecompressor()
    return reader.stream_reader(file, read_across_frames=True, closefd=False)


@attrs.define
class _Unpacked:
    """The unpacked bytes of a compressed archive, limited in proportion to the packed ones."""

    file: Any
    packed: BinaryIO
    count: int = 0

    def read(self, size: int) -> bytes:
        # Bytes before a damage are returned first: a single read would lose them.
        data: bytes = self.file.read1(size)
        self.count += len(data)
        if self.count > max(FREE, MAX_RATIO * self.packed.tell()):
            raise ValueError(f"it unpacks to more than {MAX_RATIO} times its size")
        return data


@attrs.define
class _Noting:
    """Keeps the error of its source: `zipfile` and `tarfile` take it for a damaged archive."""

    source: ByteSource
    error: OSError | None = None

    def read_at(self, offset: int, size: int) -> bytes:
        try:
            return self.source.read_at(offset, size)
        except OSError as error:
            self.error = error
            raise

    def taken(self) -> OSError | None:
        """Return and forget the error: a garbage collector cannot see how it refers back here."""
        error, self.error = self.error, None
        return error


@attrs.frozen
class _Local:
    """A file, opened for each read: a body may be read long after the archive is closed."""

    path: str
    size: int
    mtime: int

    def read_at(self, offset: int, size: int) -> bytes:
        with open(self.path, "rb", buffering=0, opener=regular_only) as file:
            found = os.fstat(file.fileno())
            if (found.st_size, found.st_mtime_ns) != (self.size, self.mtime):
                raise FileChangedError(f"{self.path} has changed since it was opened")
            file.seek(offset)
            return file.read(size)


@attrs.frozen
class _Slice:
    """A member of a tar that is not compressed."""

    source: ByteSource
    start: int
    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        return self.source.read_at(self.start + offset, min(size, self.size - offset))
