"""Bytes of files that go from the system's cache to a socket without being copied (Linux).

To read a file of 200 kB and to send it copies it twice, and leaves the processor's own caches full
of it: a third of the time of an upload. Linux can move the pages of its cache instead: from a file
into a pipe, which may wait for a slow disk and is done in a thread, and from the pipe into a
socket, which never waits.

The pages are those of the file. Programs that replace or truncate a file leave them alone, as
nearly all do; what is written over its bytes in place is in the pages, too. So a file whose pages
have waited for long is looked at again before they are sent.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from time import monotonic

import attrs

from datagym_async._files import changed_at
from datagym_async._threads import in_thread

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LEAST = 32 << 10
"""Bytes of a file from which it is worth the calls."""
_CAPACITIES = 256 << 10, 1 << 20  # of a pipe; Linux gives no more to every user
_SPARE = 64 << 10  # of a capacity: one page, which may be that large, in case a file has grown
MOST = _CAPACITIES[-1] - _SPARE
_BUDGET = 16 << 20
"""Capacity of all pipes of a run: a quarter of what Linux gives to those of one user."""
_FRESH_SECONDS = 0.2


@attrs.define
class _Pipe:
    out: int
    into: int
    capacity: int = 0


class Pages:
    """The bytes of one file in a pipe; they can be taken once."""

    __slots__ = ("_file", "_pipe", "_pipes", "_since", "left")

    def __init__(self, pipes: Pipes, pipe: _Pipe, size: int, path: str, mtime: int) -> None:
        self._pipes: Pipes = pipes
        self._pipe: _Pipe | None = pipe
        self.left: int = size
        """Bytes that were not taken yet."""
        self._file: tuple[str, int, int] = path, size, mtime
        self._since: float = monotonic()

    async def check(self) -> None:
        """Give the bytes up if they have waited for long, and the file was written to meanwhile."""
        if self.left and monotonic() - self._since > _FRESH_SECONDS:
            await in_thread(self._look_again)

    def _look_again(self) -> None:
        path, *known = self._file
        try:
            found = Path(path).stat()
        except FileNotFoundError:
            pass  # whoever deletes a file leaves its pages alone
        except OSError:
            self.drop()
        else:
            if [found.st_size, changed_at(found)] != known:
                self.drop()

    def drop(self) -> None:
        """Give the pipe back, and the bytes up."""
        with suppress(OSError):
            self.rest()

    def move(self, socket: int) -> None:
        """Move the bytes into a socket; an `OSError` if it does not take all of them at once."""
        while self._pipe is not None and self.left:
            self.left -= os.splice(self._pipe.out, socket, self.left)

    def rest(self) -> bytes:
        """Return the bytes that are left, and give the pipe back.

        Raises:
            OSError: The system has lost them.
        """
        pipe, self._pipe = self._pipe, None
        left, self.left = self.left, 0
        if pipe is None:
            return b""
        data = os.read(pipe.out, left) if left else b""
        if len(data) < left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._pipes.free.append(pipe)  # only an empty one
        return data


class Pipes:
    """The pipes of one run, made on demand and used again; what they cannot take has to be read."""

    def __init__(self) -> None:
        self._all: list[_Pipe] = []
        self.free: list[_Pipe] = []
        # Whether this system has what it takes, as far as is known.
        self.are_possible: bool = hasattr(os, "splice") and hasattr(fcntl, "F_SETPIPE_SZ")
        self._budget: int = _BUDGET

    def filled(self, file: int, size: int, path: str, mtime: int) -> Pages | None:
        """Return the bytes of an open file of this size, or None if it has to be read; blocks.

        Args:
            file: Its descriptor.
            size: In bytes, `MOST` at most.
            path: Where it can be looked at again.
            mtime: When it was last written to, in nanoseconds.
        """
        if (pipe := self._empty_one(size + _SPARE)) is None:
            return None
        at = 0
        try:
            # One byte more than there should be shows a file that grows.
            while moved := os.splice(file, pipe.into, size + 1 - at, offset_src=at):
                at += moved
        except OSError:  # a sandbox, or a filesystem that cannot do it
            self.are_possible = False
            return None
        pages = Pages(self, pipe, at, path, mtime)
        if at == size:
            return pages
        pages.drop()
        return None

    def _empty_one(self, need: int) -> _Pipe | None:
        """Return a pipe that takes so many bytes, or None if there are no more."""
        capacity = next(each for each in _CAPACITIES if need <= each)
        pipe = self.free.pop() if self.free else None
        more = capacity - (0 if pipe is None else pipe.capacity)
        if more <= 0:
            return pipe
        if more <= self._budget:
            self._budget -= more
            try:
                if pipe is None:
                    pipe = _Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
                    self._all.append(pipe)
                fcntl.fcntl(pipe.into, fcntl.F_SETPIPE_SZ, capacity)
            except OSError:  # the limit of descriptors, or that of pages in pipes
                self._budget = 0
            else:
                pipe.capacity = capacity
                return pipe
        if pipe is not None:
            self.free.insert(0, pipe)  # behind those that may be large enough
        return None

    def close(self) -> None:
        """Close all pipes; what they hold is gone."""
        while self._all:
            pipe = self._all.pop()
            os.close(pipe.out)
            os.close(pipe.into)
            pipe.out = pipe.into = -1  # pages that are left over must not read another file
