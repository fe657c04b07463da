"""What all routes share: the store, the data folder, the tokens, the settings and the plan."""

import hashlib
import secrets

import attrs

from datagym_async.server._errors import refuse
from datagym_async.server._files import DataFolder
from datagym_async.server._json import Dialect, Json, compact, pretty, to_legacy
from datagym_async.server._links import FetchLinks, LinkImages
from datagym_async.server._store import Store

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
class Tokens:
    """The good tokens, kept as digests: neither the database nor a repr shows one."""

    _store: Store
    _good: set[str] = attrs.field(factory=set, repr=False)

    async def load(self, main: str) -> None:
        """Read the good tokens, and make `main` the server's own in place of an earlier one."""
        async with self._store.writing() as db:
            await db.run("DELETE FROM api_token WHERE main = 1")
        await self.add(main, main=True)
        rows = await self._store.rows("SELECT digest FROM api_token WHERE deleted = 0")
        self._good = {str(row["digest"]) for row in rows}

    async def add(self, token: str, *, main: bool = False) -> None:
        """Let one more token in."""
        digest = _digest(token)
        async with self._store.writing() as db:
            await db.run("DELETE FROM api_token WHERE digest = ?", digest)
            await db.run("INSERT INTO api_token (digest, main) VALUES (?, ?)", digest, int(main))
        self._good.add(digest)

    async def delete(self, token: str) -> None:
        """Refuse a token from now on."""
        async with self._store.writing() as db:
            await db.run("UPDATE api_token SET deleted = 1 WHERE digest = ?", _digest(token))
        self._good.discard(_digest(token))

    def check(self, token: str | None) -> bool:
        """Return whether a token was given.

        Raises:
            Refusal: 403 for a token that is unknown or deleted.
        """
        if token is None:
            return False
        if _digest(token) not in self._good:
            raise refuse("ex_forbidden")
        return True


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@attrs.define
class Service:
    """The running service.

    Attributes:
        store: The database.
        folder: The files.
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
    folder: DataFolder
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
