"""One request in the hands of a route: what was asked, and the ways to answer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, TypeAlias

import attrs
import orjson
from aiohttp import HttpVersion11, web

from datagym_async.server._errors import EmptyAnswer, refuse
from datagym_async.server._json import Json, parse
from datagym_async.server._service import Service

Handler: TypeAlias = Callable[["Call"], Awaitable[web.StreamResponse]]

# Bytes of a body that is read whole: JSON. Files are received in pieces, whatever their size.
LARGEST_BODY: Final = 32 * 1024 * 1024
MOST_VALUES: Final = 2_000_000
"""Objects and lists in one body: each takes many times the bytes that it stands in."""

# What an Accept header may say to get JSON, and what a 415 tells the client to send.
_JSON: Final = frozenset({"*/*", "application/*", "application/json", "application/*+json"})
_READABLE: Final = (
    "application/json, application/hal+json, application/schema+json, application/json-patch+json,"
    " application/merge-patch+json, application/x-spring-data-verbose+json,"
    " application/x-spring-data-compact+json, application/prs.hal-forms+json,"
    " application/alps+json, application/cbor, application/*+json, */*"
)


@attrs.frozen
class Route:
    """One line of a module's route table.

    Attributes:
        method: The HTTP method; a GET answers HEAD too.
        path: Below `/api/v1`, with `{names}` for the parts that vary: `/project/{project_id}`. What
            begins with `/media` is also served as `/image` (and only so in the legacy dialect).
        handler: Gets the `Call`, returns the response or raises an `Answer`.
        anonymous: What happens without a token: 401 as a rule, 403 where the service's own check is
            missing, or "allow", where the handler calls `call.authenticate()` itself after a check
            that comes first.
        prefix: What stands before the path.
    """

    method: str
    path: str
    handler: Handler
    anonymous: Literal["ex_unauthorized", "ex_forbidden", "allow"] = "ex_unauthorized"
    prefix: str = "/api/v1"


@attrs.define
class Call:
    """A request that found its route.

    Attributes:
        request: The aiohttp request.
        service: Store, data folder, settings.
        route: The line of the route table.
        ids: The variable parts of the path, percent-decoded.
        has_token: Whether a good token came with it (a bad one never gets here).
    """

    request: web.Request
    service: Service
    route: Route
    ids: Mapping[str, str]
    has_token: bool

    def authenticate(self) -> None:
        """Refuse a request without a token (done already unless the route says "allow")."""
        if not self.has_token:
            anonymous = self.route.anonymous
            raise refuse("ex_unauthorized" if anonymous == "allow" else anonymous)

    async def body(self) -> bytes:
        """Return the whole body, whatever its Content-Type.

        Raises:
            EmptyAnswer: 413 for one of more than 32 MiB.
        """
        if (self.request.content_length or 0) > LARGEST_BODY:
            raise EmptyAnswer(413)
        try:
            return await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise EmptyAnswer(413) from None

    async def json(self) -> Json:
        """Return the JSON body.

        Raises:
            EmptyAnswer: 415 for a Content-Type that is not JSON, 413 for a body that is too large,
                400 for one that is empty, no JSON, or nested too deep.
        """
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (
            kind.startswith("application/") and kind.endswith("+json")
        ):
            raise EmptyAnswer(415, {"Accept": _READABLE})
        body = await self.body()
        if body.count(b"{") + body.count(b"[") > MOST_VALUES:
            raise EmptyAnswer(413)
        try:
            return parse(body)
        except orjson.JSONDecodeError:
            raise EmptyAnswer(400) from None

    async def json_object(self, *known: str) -> Mapping[str, Json]:
        """Return the JSON body, which must be an object, of the known fields if any are named.

        Raises:
            EmptyAnswer: As `json`, and 400 for another shape or an unknown field.
        """
        value = await self.json()
        if not isinstance(value, Mapping) or (known and not value.keys() <= set(known)):
            raise EmptyAnswer(400)
        return value

    def answer(self, value: Json) -> web.Response:
        """Return 200 with JSON: chunked, but with a length for HEAD.

        Raises:
            EmptyAnswer: 406 where the client does not want JSON.
        """
        accepted = self.request.headers.get("Accept", "*/*").split(",")
        if _JSON.isdisjoint(kind.partition(";")[0].strip().lower() for kind in accepted):
            raise EmptyAnswer(406)
        body = self.service.render(value)
        response = web.Response(body=body, headers={"Content-Type": "application/json"})
        if self.request.method != "HEAD":
            self.chunk(response)
        return response

    def chunk(self, response: web.StreamResponse) -> None:
        """Send a response in chunks where the client's protocol knows them."""
        if self.request.version >= HttpVersion11:
            response.enable_chunked_encoding()
