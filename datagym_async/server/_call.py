"""One request in the hands of a route: what was asked, and the ways to answer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, TypeAlias

import attrs
import orjson
from aiohttp import HttpVersion11, web

from ._errors import Bare, refuse
from ._render import Json, parse
from ._service import Service

__all__ = ["LARGEST_BODY", "Call", "Handler", "Route", "empty"]

Handler: TypeAlias = Callable[["Call"], Awaitable[web.StreamResponse]]

# Bytes of a body that is read whole: JSON. Files are received in pieces, whatever their size.
LARGEST_BODY: Final = 32 * 1024 * 1024

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
        service: Store, blobs, settings.
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
            raise refuse(
                "ex_forbidden" if self.route.anonymous == "ex_forbidden" else "ex_unauthorized"
            )

    async def body(self) -> bytes:
        """Return the whole body, whatever its Content-Type.

        Raises:
            Bare: 413 for one of more than 32 MiB.
        """
        if (self.request.content_length or 0) > LARGEST_BODY:
            raise Bare(413)
        try:
            return await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Bare(413) from None

    async def json(self) -> Json:
        """Return the JSON body.

        Raises:
            Bare: 415 for a Content-Type that is not JSON, 413 for a body that is too large, 400 for
                one that is empty, no JSON, or nested too deep.
        """
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (
            kind.startswith("application/") and kind.endswith("+json")
        ):
            raise Bare(415, {"Accept": _READABLE})
        body = await self.body()
        try:
            return parse(body)
        except orjson.JSONDecodeError:
            raise Bare(400) from None

    async def json_object(self, *known: str) -> Mapping[str, Json]:
        """Return the JSON body, which must be an object without any field but the known ones.

        Raises:
            Bare: As `json`, and 400 for another shape or an unknown field.
        """
        value = await self.json()
        if not isinstance(value, Mapping) or not value.keys() <= set(known):
            raise Bare(400)
        return value

    def answer(self, value: Json) -> web.Response:
        """Return 200 with JSON: chunked, but with a length for HEAD.

        Raises:
            Bare: 406 where the client does not want JSON.
        """
        if not _accepts_json(self.request.headers.get("Accept", "*/*")):
            raise Bare(406)
        body = self.service.render(value)
        response = web.Response(body=body, headers={"Content-Type": "application/json"})
        if self.request.method != "HEAD":
            self.chunk(response)
        return response

    def chunk(self, response: web.StreamResponse) -> None:
        """Send a response in chunks where the client's protocol knows them."""
        if self.request.version >= HttpVersion11:
            response.enable_chunked_encoding()


def empty() -> web.Response:
    """Return 200 without a body, the answer of all void routes."""
    return web.Response()


def _accepts_json(accept: str) -> bool:
    kinds = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return any(
        kind in ("*/*", "application/*", "application/json", "application/*+json") for kind in kinds
    )
