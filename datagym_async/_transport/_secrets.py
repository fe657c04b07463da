"""What a transport knows that must not come back in a text: the token, credentials of proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies

from datagym_async._wire._redact import Secret, Secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiohttp


def secrets_of(
    token: Secret, *, trust_env: bool, session: aiohttp.ClientSession | None = None
) -> Secrets:
    """Return the secrets of a transport.

    Args:
        token: The token.
        trust_env: Whether proxies are taken from the environment.
        session: The caller's session, with a proxy of its own.
    """
    urls = [getattr(session, "_default_proxy", None)]
    if trust_env or (session is not None and session.trust_env):
        urls += getproxies().values()
    found = [secret for url in filter(None, urls) for secret in _credentials(str(url))]
    auth: aiohttp.BasicAuth | None = getattr(session, "_default_proxy_auth", None)
    if auth is not None:
        found += _with_pair(auth.login, auth.password)
    return Secrets(token, *found)


def _credentials(url: str) -> Iterator[str]:
    """Give user and password of a URL, as they are sent."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    return _with_pair(unquote(parts.username or ""), unquote(parts.password or ""))


def _with_pair(user: str, password: str) -> Iterator[str]:
    """Give user, password, and both as a Basic header encodes them."""
    yield from (user, password, f"{user}:{password}")
