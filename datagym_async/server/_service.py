"""What all routes get: the service (store, data folder, tokens, settings, plan) and a request."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, TypeAlias

import attrs
import orjson
from aiohttp import HttpVersion11, web

from datagym_async.server._answers import (
    Dialect,
    EmptyAnswer,
    Json,
    parse,
    pretty,
    refuse,
    to_legacy,
)
from datagym_async.server._files import DataFolder
from datagym_async.server._links import LinkImages
from datagym_async.server._store import Store

Handler: TypeAlias = Callable[["Call"], Awaitable[web.StreamResponse]]

# Bytes of a JSON body, which is read whole; files are received in pieces.
LARGEST_BODY: Final = 32 * 1024 * 1024
MOST_VALUES: Final = 2_000_000
"""Objects and lists in one body: each takes much more memory than text."""

# Accept headers that get JSON, and the types in the answer 415.
_JSON: Final = frozenset({"*/*", "application/*", "application/json", "application/*+json"})
_READABLE: Final = (
    "application/json, application/hal+json, application/schema+json, application/json-patch+json,"
    " application/merge-patch+json, application/x-spring-data-verbose+json,"
    " application/x-spring-data-compact+json, application/prs.hal-forms+json,"
    " application/alps+json, application/cbor, application/*+json, */*"
)
# The only organisation of an open-core service.
OWNER = "open-core-dummy-org-sub"


@attrs.frozen
class Plan:
    """The limits of the organisation; None means no limit, as on every open-core service."""

    name: str = "TEAM_PRO"
    """FREE_DEVELOPER refuses URL uploads."""
    storage_limit_kb: int | None = None
    """Files beyond it are refused with 402; in units of 1,000 bytes, each file rounded up."""
    label_limit: int | None = None
    """Completing or skipping beyond it is refused with 402."""
    labels_used: int = 0


@attrs.define
class Service:
    store: Store
    folder: DataFolder
    tokens: set[str] = attrs.field(repr=False)
    links: LinkImages
    dialect: Dialect
    max_allowed_packet: int
    base_url: str = ""  # known once the socket listens
    loopback_only: bool = True
    plan: Plan = Plan()
    signing_key: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), repr=False)
    """Signs pre-signed addresses, until the next start."""
    pretty: bool = False
    """Whether JSON is pretty-printed; the first GET /export sets it, a start clears it."""

    def render(self, value: Json) -> bytes:
        """Return JSON in the present dialect and layout."""
        if self.dialect == "legacy":
            value = to_legacy(value)
        return pretty(value) if self.pretty else orjson.dumps(value)


@attrs.frozen
class Route:
    """One line of a module's route table."""

    method: str  # the HTTP method; a GET answers HEAD too
    path: str
    """Below `/api/v1`, with `{names}` for variable parts: `/project/{project_id}`. A path that
    begins with `/media` is also served as `/image` (in the legacy dialect only so)."""
    handler: Handler  # gets the `Call`, returns the response or raises an `Answer`
    anonymous: Literal["ex_unauthorized", "ex_forbidden", "allow"] = "ex_unauthorized"
    """The answer without a token: 401 as a rule, 403 where the service's own check is missing; with
    "allow", the handler calls `call.authenticate()` itself after another check."""
    prefix: str = "/api/v1"


@attrs.define
class Call:
    request: web.Request
    service: Service
    route: Route
    ids: Mapping[str, str]  # the variable parts of the path, percent-decoded
    has_token: bool  # whether it has a good token (a bad one never gets here)

    def authenticate(self) -> None:
        """Refuse a request without a token (done already unless the route says "allow")."""
        if not self.has_token:
            anonymous = self.route.anonymous
            raise refuse("ex_unauthorized" if anonymous == "allow" else anonymous)

    async def body(self) -> bytes:
        """Return the whole body of any Content-Type; more than 32 MiB is 413."""
        if (self.request.content_length or 0) > LARGEST_BODY:
            raise EmptyAnswer(413)
        try:
            return await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise EmptyAnswer(413) from None

    async def json(self) -> Json:
        """Return the JSON body; another type is 415, a large one 413, broken or deep JSON 400."""
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
        """Return the JSON body, which must be an object, of the known fields if there are any."""
        value = await self.json()
        if not isinstance(value, Mapping) or (known and not value.keys() <= set(known)):
            raise EmptyAnswer(400)
        return value

    def answer(self, value: Json) -> web.Response:
        """Return 200 with JSON, chunked except for HEAD; 406 if the client does not accept it."""
        accepted = self.request.headers.get("Accept", "*/*").split(",")
        if _JSON.isdisjoint(kind.partition(";")[0].strip().lower() for kind in accepted):
            raise EmptyAnswer(406)
        body = self.service.render(value)
        response = web.Response(body=body, headers={"Content-Type": "application/json"})
        if self.request.method != "HEAD":
            self.chunk(response)
        return response

    def chunk(self, response: web.StreamResponse) -> None:
        """Send a response in chunks if the client's protocol has them."""
        if self.request.version >= HttpVersion11:
            response.enable_chunked_encoding()
