"""What all routes share: the store, the blobs, the settings, and a flag or two."""

import secrets

import attrs

from ._auth import Tokens
from ._blobs import Blobs
from ._dialect import Dialect, to_legacy
from ._links import FetchLinks, LinkImages
from ._render import Json, compact, pretty
from ._store import Store

__all__ = ["OWNER", "Plan", "Service", "Settings"]

# The one organisation that an open-core service knows.
OWNER = "open-core-dummy-org-sub"


@attrs.frozen
class Plan:
    """What the organisation has paid for; None means no limit, as on every open-core service.

    Attributes:
        name: The plan's name; FREE_DEVELOPER refuses URL uploads.
        storage_limit_kb: Files beyond it are refused with 402 (in units of 1,000 bytes, each file
            rounded up).
        label_limit: Completing or skipping beyond it is refused with 402.
        labels_used: What has been counted so far.
    """

    name: str = "TEAM_PRO"
    storage_limit_kb: int | None = None
    label_limit: int | None = None
    labels_used: int = 0


@attrs.frozen
class Settings:
    """How a server was started; see `Server` for the meaning."""

    dialect: Dialect = "current"
    requests_per_connection: int = 100
    max_allowed_packet: int = 16 * 1024 * 1024
    fetch_links: FetchLinks = "public"


@attrs.define
class Service:
    """The running service.

    Attributes:
        store: The database.
        blobs: The files.
        tokens: Who may come in.
        settings: As the server was started.
        links: Fetches link images.
        base_url: The address, known once the socket listens.
        loopback_only: Whether other machines are kept out.
        plan: The limits at the moment.
        signing_key: Proves pre-signed addresses, until the next start.
        pretty: Whether JSON is pretty-printed; the first GET /export sets it, a start clears it.
    """

    store: Store
    blobs: Blobs
    tokens: Tokens
    settings: Settings
    links: LinkImages
    base_url: str = ""
    loopback_only: bool = True
    plan: Plan = Plan()
    signing_key: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), repr=False)
    pretty: bool = False

    def render(self, value: Json) -> bytes:
        """Return JSON in the dialect and the layout that the service speaks at the moment."""
        if self.settings.dialect == "legacy":
            value = to_legacy(value)
        return pretty(value) if self.pretty else compact(value)
