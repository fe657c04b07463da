"""`Home`: the process and event loop that something belongs to, with a clear error elsewhere."""

from __future__ import annotations

import asyncio
import os
import threading

import attrs

from datagym_async.exceptions import ClientClosedError


class _Forks:
    """Counts the forks of this process, which is cheaper than asking the system for its id."""

    count = 0

    @classmethod
    def note(cls) -> None:
        cls.count += 1


if hasattr(os, "register_at_fork"):  # Windows has neither it nor forks
    os.register_at_fork(after_in_child=_Forks.note)


@attrs.define
class Home:
    """Remembers in which process and event loop something was made: in others it could hang."""

    what: str  # for the error
    _process: int = attrs.field(factory=os.getpid, init=False)
    _forks: int = attrs.field(factory=lambda: _Forks.count, init=False)
    _loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False)
    _thread: int = attrs.field(default=0, init=False)

    def check(self) -> None:
        """Raise `ClientClosedError` in another process or event loop than the first."""
        if self._forks != _Forks.count:
            raise ClientClosedError(
                f"{self.what} was opened in process {self._process} and cannot be used in process "
                f"{os.getpid()}, which was forked from it; open one there"
            )
        # A thread runs one loop at a time; asking which one is a system call in Python 3.11.
        is_here = self._thread == threading.get_ident()
        if self._loop is None or not is_here or not self._loop.is_running():
            loop = asyncio.get_running_loop()
            if self._loop is not None and self._loop is not loop:
                raise ClientClosedError(
                    f"{self.what} belongs to another event loop; open one in this loop"
                )
            self._loop, self._thread = loop, threading.get_ident()

    @property
    def is_in_process(self) -> bool:
        return self._forks == _Forks.count
