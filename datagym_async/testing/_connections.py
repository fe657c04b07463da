"""Faults of the connection: dropped, cut, late or silent, before or after the service's work.

And `outage`: the service is gone for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from math import inf
from typing import TYPE_CHECKING, cast

import attrs
from aiohttp import web

from datagym_async.testing._answers import receive

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from datagym_async.server import Server


@contextlib.asynccontextmanager
async def outage(server: Server) -> AsyncIterator[None]:
    """Stop a server for the duration of the block: connections to it are refused.

    It comes back at the end, on the same port and with the same token. Give it a data folder, or
    its data is lost; requests in flight may finish for a short time.
    """
    await server.aclose()
    try:
        yield
    finally:
        await server.start()


def abort(request: web.Request) -> web.Response:
    """Abort the connection; the answer is only for the handler's caller and is not sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


@attrs.frozen
class Drop:
    """Abort the connection before any answer; the service never sees the request.

    `after_bytes` of the request's body are read first; None reads all of it.
    """

    after_bytes: int | None = None

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Drop it."""
        await receive(request, at_most=self.after_bytes)
        return abort(request)


@attrs.frozen
class CommitThenDrop:
    """Let the service carry out the request, then abort the connection instead of answering."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Commit, then drop."""
        await handler(request)
        return abort(request)


@attrs.frozen
class CommitThenDelay:
    """Let the service carry out the request, and answer `seconds` later."""

    seconds: float

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Commit, wait, answer."""
        response = await handler(request)
        await asyncio.sleep(self.seconds)
        return response


@attrs.frozen
class Delay:
    """Wait `seconds` before the service sees the request."""

    seconds: float

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Wait, then answer."""
        await asyncio.sleep(self.seconds)
        return await handler(request)


@attrs.frozen
class Hang:
    """Accept the request and never answer, until the client gives up or the server is closed."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Wait for the other end to go."""
        await receive(request)
        gone, transport = asyncio.Event(), request.transport
        if transport is not None:
            transport.set_protocol(_GoneWatch(request.protocol, gone))
            await gone.wait()
        return abort(request)


class _GoneWatch(asyncio.Protocol):
    """Takes a connection's events instead of its protocol, to see when the client has gone."""

    def __init__(self, protocol: asyncio.BaseProtocol, gone: asyncio.Event) -> None:
        self._protocol = protocol
        self._gone = gone

    def eof_received(self) -> bool:
        self._gone.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        self._protocol.connection_lost(exc)


@attrs.frozen
class Truncate:
    """Announce a complete answer, send all but the last `missing` bytes of its body, and close."""

    missing: int = 1

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer too little."""
        if (transport := request.protocol.transport) is not None:
            cut = _CutTransport(transport, missing=self.missing)
            request.protocol.transport = cast("asyncio.Transport", cut)
        whole = await handler(request)
        await whole.prepare(request)
        await whole.write_eof()
        if transport is not None:
            transport.close()
        return whole


@attrs.frozen
class DropMidBody:
    """Let the service answer, and drop the connection after `after_bytes` of the body.

    The body must be longer, otherwise nothing is dropped.
    """

    after_bytes: int = 1

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer through a transport that closes half way."""
        if (transport := request.protocol.transport) is not None:
            cut = _CutTransport(transport, left=self.after_bytes)
            request.protocol.transport = cast("asyncio.Transport", cut)
        return await handler(request)


@attrs.define
class _CutTransport:
    """A transport that sends the whole header of an answer, and only a part of its body.

    It closes after `left` bytes of the body, and never sends the last `missing` bytes.
    """

    _transport: asyncio.Transport
    _left: float = attrs.field(default=inf, kw_only=True)
    _missing: int = attrs.field(default=0, kw_only=True)
    _header: bytes = b""
    _held: bytes = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        split = 0  # the header may come in pieces
        if b"\r\n\r\n" not in self._header:
            before = len(self._header)
            self._header += data
            end = self._header.find(b"\r\n\r\n")
            split = len(data) if end < 0 else end + 4 - before
        self._transport.write(bytes(data[:split]))
        held = self._held + data[split:]
        size = int(min(max(0, len(held) - self._missing), self._left))
        self._transport.write(held[:size])
        self._left -= size
        self._held = held[size:]
        if self._left == 0 and self._held:
            self._transport.close()

    def writelines(self, chunks: list[bytes]) -> None:
        self.write(b"".join(chunks))

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)
