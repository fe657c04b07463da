"""Faults that are answers: a status, a body or a header instead of the service's own."""

from __future__ import annotations

import datetime
import email.utils
import json as _json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import attrs
from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

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
