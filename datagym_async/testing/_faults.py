"""Faults: their plan, answers that the service can give, and what happens to connections.

The plan says which request gets which fault, and keeps a record of all requests. An answer keeps
the request from the service, or comes in place of its own. A fault of the connection drops, delays
or cuts what the service has done; `outage` stops it for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import email.utils
import json as _json
import random
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import attrs
from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from datagym_async.server import Server


class Action(Protocol):
    """Replaces or wraps the service's own handler for a request."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the request, or make sure that it gets no answer."""
        ...


@attrs.frozen
class SeenRequest:
    """One request as it arrived."""

    method: str
    path: str
    """Without query, quoted as it was sent."""
    action: Action | None
    """The fault it got."""


@attrs.define
class Fault:
    """One rule of a plan, made by `FaultPlan.add`."""

    action: Action
    """What happens to the requests that it takes."""
    method: str | None = None
    """HTTP method it matches; None for any."""
    path: re.Pattern[str] | None = None
    """Pattern searched in the path (without query); None for any."""
    when: Callable[[web.Request], bool] | None = None
    """A predicate on the request, asked last; None for always."""
    nth: int | None = None
    """Take only the n-th matching request, counted from 1."""
    first: int | None = None
    """Take only the first so many matching requests."""
    matched: int = 0
    """How many requests have matched, taken or not."""
    taken: int = 0
    """How many it has taken."""

    def count(self, request: web.Request) -> bool:
        """Count a request if it matches, and return whether its turn has come."""
        if (
            self.method not in (None, request.method)
            or (self.path is not None and not self.path.search(request.rel_url.raw_path))
            or (self.when is not None and not self.when(request))
        ):
            return False
        self.matched += 1
        return (
            self.matched == self.nth if self.nth else self.matched <= (self.first or self.matched)
        )


@attrs.define
class FaultPlan:
    """Ordered rules that decide which request gets which fault, and a record of all requests.

    Pass `middleware` to a `Server`. A plan may be changed while it runs. Every rule counts every
    request that it matches; of the rules that apply, the first one acts.
    """

    faults: list[Fault] = attrs.field(factory=list)
    requests: list[SeenRequest] = attrs.field(factory=list, init=False)
    """All requests seen, in order of arrival."""
    in_flight: int = attrs.field(default=0, init=False)
    """Requests that are being answered, or kept waiting, now."""
    peak_in_flight: int = attrs.field(default=0, init=False)
    """The most there were at once."""
    _peers: set[object] = attrs.field(factory=set, init=False, repr=False)

    def add(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str | re.Pattern[str] | None = None,
        when: Callable[[web.Request], bool] | None = None,
        nth: int | None = None,
        first: int | None = None,
    ) -> Fault:
        """Append a rule: without `nth` and `first` it applies to every request that matches.

        Returns:
            The rule, which counts how often it matched and acted; its class describes the
            arguments. `path` may be the text of a regular expression.

        Raises:
            ValueError: `nth` and `first` are both given, or below 1.
        """
        if nth is not None and first is not None:
            raise ValueError("A fault takes the n-th request or the first few: give one of them.")
        if any(count is not None and count < 1 for count in (nth, first)):
            raise ValueError("Requests are counted from 1: nth and first must be 1 or more.")
        pattern = re.compile(path) if path is not None else None
        fault = Fault(action, method, pattern, when, nth, first)
        self.faults.append(fault)
        return fault

    @property
    def connections(self) -> int:
        """Return the number of connections over which the requests came, by the client's port."""
        return len(self._peers)

    def clear(self) -> None:
        """Remove all rules: the service works again. The record stays."""
        self.faults.clear()

    def count(self, method: str | None = None, path: str = "") -> int:
        """Return the number of requests with a method whose path matches a pattern."""
        pattern = re.compile(path)
        return sum(
            method in (None, seen.method) and pattern.search(seen.path) is not None
            for seen in self.requests
        )

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass a request to the fault that applies, or to the service."""
        due = [fault for fault in self.faults if fault.count(request)]
        for fault in due[:1]:
            fault.taken += 1
        action = due[0].action if due else None
        self.requests.append(SeenRequest(request.method, request.rel_url.raw_path, action))
        if request.transport is not None:
            self._peers.add(request.transport.get_extra_info("peername"))
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            return await (action.apply(request, handler) if action else handler(request))
        finally:
            self.in_flight -= 1


def chance(rate: float, *, seed: int) -> Callable[[web.Request], bool]:
    """Return a predicate for `FaultPlan.add` that selects a share of requests (0 to 1) at random.

    The same seed selects the same requests, by their order.
    """
    rng = random.Random(seed)

    return lambda _: rng.random() < rate


JsonValue: TypeAlias = "Mapping[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

_PROXY_PAGE = (
    "<html><head><title>{status} Bad Gateway</title></head>"
    "<body><center><h1>{status} Bad Gateway</h1></center></body></html>"
)


async def receive(request: web.Request, *, at_most: int | None = None) -> None:
    """Read a request's body and drop it: all of it, or up to a number of bytes."""
    left = sys.maxsize if at_most is None else at_most
    while left > 0 and (chunk := await request.content.read(min(65_536, left))):
        left -= len(chunk)


@attrs.frozen
class Status:
    """Answer with this status, without the service."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    """The body's MIME type; none is sent without a body."""
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    early: bool = attrs.field(default=False, kw_only=True)
    """Answer before the request's body is read, and close the connection under it."""

    @classmethod
    def of_json(
        cls, status: int, value: JsonValue, *, headers: Mapping[str, str] | None = None
    ) -> Status:
        """Return the fault of a status with a JSON body."""
        return cls(status, _json.dumps(value).encode(), headers=headers or {})

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        if not self.early:
            await receive(request)
        response = web.Response(status=self.status, body=self.body, headers=self.headers)
        if self.body:
            response.content_type = self.content_type
        if self.early:
            response.force_close()
            await response.prepare(request)
            await response.write_eof()
            if request.transport is not None:
                request.transport.close()
        return response


class _NamedStatus:
    """A `Status` for one purpose."""

    __slots__ = ()

    def _fault(self) -> Status:
        raise NotImplementedError

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        return await self._fault().apply(request, handler)


@attrs.frozen
class RetryAfter(_NamedStatus):
    """Answer 429 or 503 with a Retry-After header."""

    status: int
    after: float | datetime.datetime | str
    """Seconds, a moment (sent as an HTTP date; it must know its time zone), or any text."""

    def _fault(self) -> Status:
        text = str(self.after)
        if isinstance(self.after, datetime.datetime):
            text = email.utils.format_datetime(self.after.astimezone(datetime.UTC), usegmt=True)
        return Status(self.status, headers={"Retry-After": text})


@attrs.frozen
class WrongShape(_NamedStatus):
    """Answer 200 with JSON that no caller expects: by default an object without a known field."""

    json: JsonValue = attrs.field(factory=lambda: {"unexpected": True})

    def _fault(self) -> Status:
        return Status.of_json(200, self.json)


@attrs.frozen
class Html(_NamedStatus):
    """Answer with the HTML page of a proxy in between: by default a bad gateway's.

    `{status}` in `page` becomes the status.
    """

    status: int = 502
    page: str = _PROXY_PAGE

    def _fault(self) -> Status:
        page = self.page.replace("{status}", str(self.status))
        return Status(self.status, page.encode(), "text/html")


@attrs.frozen
class Redirect(_NamedStatus):
    """Redirect the client by the Location header; `status` is 301, 302, 303, 307 or 308."""

    location: str
    status: int = 302

    def _fault(self) -> Status:
        return Status(self.status, headers={"Location": self.location})


@attrs.frozen
class ServiceError(_NamedStatus):
    """Answer with an error of the service; 400, 500 and 503 close the connection."""

    status: int
    key: str
    """Such as ``ex_system`` or ``ex_gen_forbidden_keyword``."""
    params: tuple[str, ...] = ()

    def _fault(self) -> Status:
        value: JsonValue = {
            "key": self.key,
            "params": list(self.params),
            "msg": f"No msg available for key: {self.key}",
            "code": self.status,
            "details": [],
        }
        headers = {"Connection": "close"} if self.status in {400, 500, 503} else {}
        return Status.of_json(self.status, value, headers=headers)


@attrs.frozen
class RefuseToken(_NamedStatus):
    """Refuse the token: with 403, like a revoked or wrong one, or with 401, like a missing one."""

    status: int = 403

    def _fault(self) -> Status:
        key = "ex_unauthorized" if self.status == 401 else "ex_forbidden"
        return ServiceError(self.status, key)._fault()


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
