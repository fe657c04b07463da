"""Open files of the caller as items: measured, read and rewound, and never closed here.

A small one is read as a whole when its turn comes. A larger one is read directly, from the same
position for each attempt, if it can be rewound. If not, or if its `read` is a coroutine function,
it is copied into a temporary file without a name, which disappears with its body. Reading raises
the errors of its `read`, and `UnreadableFileError` if that returns no bytes.
"""

from __future__ import annotations

import inspect
import io
import os
import tempfile
import weakref
from collections.abc import AsyncIterator, Awaitable
from contextlib import nullcontext, suppress
from typing import BinaryIO, Protocol, cast

import attrs

from datagym_async._printable import words_of
from datagym_async._threads import in_thread
from datagym_async._wire._messages import Body
from datagym_async.exceptions import FileChangedError
from datagym_async.uploads._values import Readable

CHUNK = 1 << 20


class UnreadableFileError(ValueError):
    """The reason why an open file cannot be uploaded."""


class ByteSource(Protocol):
    """The source of a body: returns the bytes at an offset, fewer only at the end; blocks."""

    def read_at(self, offset: int, size: int) -> bytes: ...


def is_async(file: Readable) -> bool:
    return inspect.iscoroutinefunction(file.read)


def size_of_open(file: Readable) -> int | None:
    """Return how many bytes an open file has from here to its end; None if unknown; blocks."""
    if is_async(file):
        return None
    try:
        stream = cast("io.IOBase", file)
        start = stream.tell()
        end = stream.seek(0, os.SEEK_END)
        stream.seek(start)
    except (AttributeError, OSError, ValueError):
        return None
    return max(0, end - start)


def position_of(file: Readable) -> int:
    """Return the position of an open file, or 0 if unknown; blocks."""
    try:
        at: object = cast("io.IOBase", file).tell()
    except (AttributeError, OSError, ValueError):
        return 0
    return at if isinstance(at, int) else 0


async def position_of_awaited(file: Readable) -> int:
    tell = getattr(file, "tell", None)
    with suppress(OSError, ValueError):
        return int(await tell()) if tell and inspect.iscoroutinefunction(tell) else 0
    return 0


def read_open(file: Readable, size: int) -> bytes:
    """Return the next bytes of an open file, fewer only at its end; blocks."""
    pieces = []
    while size > 0 and (piece := _as_bytes(file.read(size))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _as_bytes(piece: object) -> bytes:
    if piece is None or isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece or b"")
    kind = "text" if isinstance(piece, str) else type(piece).__name__
    raise UnreadableFileError(f'gives {kind} instead of bytes; open it in binary mode ("rb").')


@attrs.define
class _Rewound:
    """A file of the caller, read from its position."""

    file: Readable
    start: int

    def read_at(self, offset: int, size: int) -> bytes:
        try:
            cast("io.IOBase", self.file).seek(self.start + offset)
            return read_open(self.file, size)
        except OSError:
            raise
        except Exception as error:  # it may raise anything, for example after it was closed
            words = words_of(error).rstrip(".")
            raise FileChangedError(f"The open file cannot be read any more: {words}.") from error


class Spool:
    """A temporary file without a name; it disappears with this object."""

    def __init__(self) -> None:
        # Only the descriptor: a file object that is collected while open gives a warning.
        with tempfile.TemporaryFile(prefix="datagym-async-") as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self.size = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.size += len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return os.read(self._descriptor, size)


def body_of_open(file: Readable, head: bytes, size: int | None) -> tuple[Body, ByteSource]:
    """Return the body of an open file, and its byte source; blocks.

    Its head was already read. Its size is known if it can be rewound. Not for one that has to be
    awaited.
    """
    if size is not None:
        source = _Rewound(file, cast("io.IOBase", file).tell() - len(head))
        return body_of(source, size), source
    spool = Spool()
    spool.write(head)
    while data := read_open(file, CHUNK):
        spool.write(data)
    return body_of(spool, spool.size), spool


def body_of(source: ByteSource, size: int) -> Body:
    return Body(size=size, open=lambda: nullcontext(_chunks(source, size)))


async def spooled(file: Readable, small: int) -> bytes | Spool:
    """Return the content of a file that has to be awaited: its bytes, up to `small` of them."""
    data = bytearray()
    spool: Spool | None = None
    while piece := _as_bytes(await cast("Awaitable[object]", file.read(CHUNK))):
        data += piece
        if len(data) > small:
            if spool is None:
                spool = await in_thread(Spool)
            await in_thread(spool.write, bytes(data))
            data.clear()
    if spool is None:
        return bytes(data)
    await in_thread(spool.write, bytes(data))
    return spool


async def _chunks(source: ByteSource, size: int) -> AsyncIterator[bytes]:
    at = 0
    while at < size:
        chunk = await in_thread(source.read_at, at, min(CHUNK, size - at))
        if not chunk:
            raise FileChangedError(
                f"The open file ended after {at} of the {size} bytes that it had before"
            )
        at += len(chunk)
        yield chunk


def as_stream(source: ByteSource, size: int, *, buffered: int = io.DEFAULT_BUFFER_SIZE) -> BinaryIO:
    """Return a seekable stream over a source, for decoders; blocks."""
    return cast("BinaryIO", io.BufferedReader(_Raw(source, size), buffered))


class _Raw(io.RawIOBase):
    def __init__(self, source: ByteSource, size: int) -> None:
        self._source, self._size, self._at = source, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = (0, self._at, self._size)[whence] + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer is not for 3.11
        wanted = min(len(buffer), max(0, self._size - self._at))
        data = self._source.read_at(self._at, wanted) if wanted else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
