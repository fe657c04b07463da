"""Tokens: `Authorization: Token X`, spelled exactly so, or `?token=X`."""

import hashlib
import secrets

import attrs

from ._errors import refuse
from ._store import Store, Writer

__all__ = ["Tokens", "token_of"]


def token_of(authorization: str | None, query: str | None) -> str | None:
    """Return the token that a request carries, or None; another scheme than `Token` is no token."""
    if authorization is not None and authorization.startswith("Token "):
        return authorization[len("Token ") :]
    return query


@attrs.define
class Tokens:
    """The good tokens, kept as digests: neither the database nor a repr shows one."""

    _store: Store
    _good: set[str] = attrs.field(factory=set, repr=False)

    async def load(self, main: str) -> None:
        """Read the good tokens, and make `main` the server's own in place of an earlier one."""
        async with self._store.writing() as db:
            await db.run("DELETE FROM api_token WHERE main = 1")
            await _remember(db, main, is_main=True)
        rows = await self._store.rows("SELECT digest FROM api_token WHERE deleted = 0")
        self._good = {str(row["digest"]) for row in rows}

    async def add(self, token: str | None = None) -> str:
        """Let one more token in and return it; a random one unless given."""
        token = token or secrets.token_hex(16)
        async with self._store.writing() as db:
            await _remember(db, token)
        self._good.add(_digest(token))
        return token

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


async def _remember(db: Writer, token: str, *, is_main: bool = False) -> None:
    await db.run("DELETE FROM api_token WHERE digest = ?", _digest(token))
    await db.run("INSERT INTO api_token (digest, main) VALUES (?, ?)", _digest(token), int(is_main))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
