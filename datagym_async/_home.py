"""`Home`: the process and the event loop that something belongs to, and a clear word elsewhere."""

from __future__ import annotations

import asyncio
import os

import attrs

from datagym_async.exceptions import ClientClosedError


@attrs.define
class Home:
    """Remember where something was made; connections and locks are of no use anywhere else.

    Used in a forked process or under another event loop, they would hang, or mix up answers.

    Args:
        what: What belongs here, for the error.
    """

    what: str
    _process: int = attrs.field(factory=os.getpid, init=False)
    _loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False)

    def check(self) -> None:
        """Refuse to go on elsewhere. The first event loop that asks is the one.

        Raises:
            ClientClosedError: This is another process, or another event loop.
        """
        if not self.is_in_process:
            msg = (
                f"{self.what} was opened in process {self._process} and cannot be used in process "
                f"{os.getpid()}, which was forked from it; open one there"
            )
            raise ClientClosedError(msg)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            msg = f"{self.what} belongs to another event loop; open one in this loop"
            raise ClientClosedError(msg)

    @property
    def is_in_process(self) -> bool:
        """Return whether this is the process."""
        return os.getpid() == self._process
