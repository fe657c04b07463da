"""Faults that are answers: a status, a body, a header, in place of what the service would say."""

from __future__ import annotations

import datetime
import email.utils
import json as _json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import attrs
from aiohttp import web

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
JsonValue: TypeAlias = "Mapping[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

_PROXY_PAGE = (
    "<html><head><title>{status} Bad Gateway</title></head>"
    "<body><center><h1>{status} Bad Gateway</h1></center></body></html>"
)


async def receive(request: web.Request, *, at_most: int | None = None) -> None:
    """Read a request's body and throw it away: whole, or up to a number of bytes."""
    received = 0
    while at_most is None or received < at_most:
        wanted = 65_536 if at_most is None else min(65_536, at_most - received)
        chunk = await request.content.read(wanted)
        if not chunk:
            return
        received += len(chunk)


@attrs.frozen
class Status:
    """Answer with this status, and leave the service out of it.

    Args:
        status: HTTP status.
        body: The body's bytes.
        content_type: The body's MIME type; none is sent without a body.
        headers: Further header fields.
        early: Answer before the request's body is read, and close the connection under it.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    early: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def of_json(
        cls, status: int, value: JsonValue, *, headers: Mapping[str, str] | None = None
    ) -> Status:
        """Return the fault of a status with a JSON body."""
        return cls(status, _json.dumps(value).encode(), headers=headers or {})

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        del handler
        if not self.early:
            await receive(request)
        response = web.Response(status=self.status, body=self.body, headers=self.headers)
        if self.body:
            response.content_type = self.content_type
        if self.early:
            await _answer_and_close(request, response)
        return response


async def _answer_and_close(request: web.Request, response: web.Response) -> None:
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    if request.transport is not None:
        request.transport.close()


@attrs.frozen
class RetryAfter:
    """Answer 429 or 503 with a Retry-After header.

    Args:
        status: 429 or 503.
        after: Seconds, a moment (sent as an HTTP date; it must know its time zone), or any text.
    """

    status: int
    after: float | datetime.datetime | str

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        fault = Status(self.status, headers={"Retry-After": self._text()})
        return await fault.apply(request, handler)

    def _text(self) -> str:
        if isinstance(self.after, datetime.datetime):
            return email.utils.format_datetime(self.after.astimezone(datetime.UTC), usegmt=True)
        return str(self.after)


@attrs.frozen
class WrongShape:
    """Answer 200 with JSON that no caller expects.

    Args:
        json: The value; by default an object without any known field.
    """

    json: JsonValue = attrs.field(factory=lambda: {"unexpected": True})

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        return await Status.of_json(200, self.json).apply(request, handler)


@attrs.frozen
class Html:
    """Answer with the HTML page of a proxy in between.

    Args:
        status: HTTP status of the page.
        page: The page; by default a bad gateway's.
    """

    status: int = 502
    page: str = _PROXY_PAGE

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        page = self.page.replace("{status}", str(self.status)).encode()
        return await Status(self.status, page, "text/html").apply(request, handler)


@attrs.frozen
class Redirect:
    """Send the client elsewhere.

    Args:
        location: The Location header.
        status: 301, 302, 303, 307 or 308.
    """

    location: str
    status: int = 302

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        fault = Status(self.status, headers={"Location": self.location})
        return await fault.apply(request, handler)


@attrs.frozen
class ServiceError:
    """Answer with an error in the service's own words.

    Args:
        status: HTTP status.
        key: The error key, such as ``ex_system`` or ``ex_gen_forbidden_keyword``.
        params: The key's parameters.
    """

    status: int
    key: str
    params: tuple[str, ...] = ()

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer; 400, 500 and 503 end the connection, as the service does it."""
        value: JsonValue = {
            "key": self.key,
            "params": list(self.params),
            "msg": f"No msg available for key: {self.key}",
            "code": self.status,
            "details": [],
        }
        headers = {"Connection": "close"} if self.status in {400, 500, 503} else {}
        return await Status.of_json(self.status, value, headers=headers).apply(request, handler)


@attrs.frozen
class RefuseToken:
    """Refuse the token, as a revoked or a wrong one is refused.

    Args:
        status: 403 for a bad token, 401 for none.
    """

    status: int = 403

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer."""
        key = "ex_unauthorized" if self.status == 401 else "ex_forbidden"
        return await ServiceError(self.status, key).apply(request, handler)
