"""Connections that take one answer for each request, and no more.

aiohttp keeps whatever comes on an idle connection, and hands it to the next request as its answer.
A server that answers twice, or a proxy that mixes two clients up, so tells one call what was meant
for another. Here the second answer closes its connection.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    import asyncio


class _OneAnswer(ResponseHandler):
    """The reading half of a connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._is_asked = False

    def set_response_params(self, **params: Any) -> None:
        """Prepare for an answer; aiohttp does so right before each request."""
        self._is_asked = True
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of an answer, or close the connection if nobody has asked."""
        if not self._is_asked:
            self.force_close()
            if self.transport is not None:
                self.transport.close()
            return
        # Those of 1xx come before the answer; 101 is one.
        status = data[0].code
        self._is_asked = 100 <= status < 200 and status != 101
        super().feed_data(data, size)


class Connector(aiohttp.TCPConnector):
    """A pool of connections, each of which is closed by an answer that nobody has asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp offers no other way to choose what reads from a connection.
        self._factory = cast("partial[ResponseHandler]", partial(_OneAnswer, loop=self._loop))
