"""Which route a path means, as the service's container and framework see it.

Repeated slashes count once, `;matrix=parameters` are dropped, a trailing slash is allowed, and a
`%2F` or a character that no URL may hold is a bad request before any route is looked at.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

import attrs

from ._call import Route
from ._dialect import Dialect
from ._errors import BadRequestPage, Bare, UnknownRoute
from ._store import now

__all__ = ["Match", "Router", "pick"]

_NEVER_IN_A_URL: Final = re.compile(r'[\[\]{}|\\^`"<>\x00-\x20\x7f]|[^\x00-\x7f]')
_ENCODED_SLASH: Final = re.compile(r"%2f|%5c", re.IGNORECASE)


@attrs.frozen
class Match:
    """The routes of one path: by method, with the variable parts of the path."""

    routes: Mapping[str, Route]
    ids: Mapping[str, str]


def _split_target(target: str) -> tuple[str, list[str]]:
    """Return the raw path of a request line's target and its decoded segments.

    Raises:
        BadRequestPage: The container refuses such a target.
    """
    path, _, _ = target.partition("?")
    if _NEVER_IN_A_URL.search(target) or _ENCODED_SLASH.search(path):
        raise BadRequestPage
    bare = (segment.partition(";")[0] for segment in path.split("/"))
    return path, [unquote(segment) for segment in bare if segment]


class Router:
    """Finds the routes of a path."""

    def __init__(self, routes: Iterable[Route], dialect: Dialect) -> None:
        self._table: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            for path in _spellings(route.path, dialect):
                pattern = tuple((route.prefix + path).strip("/").split("/"))
                self._table.setdefault(pattern, {})[route.method] = route
        # A literal segment goes before a variable one.
        self._patterns = sorted(self._table, key=_variables)

    def match(self, target: str) -> Match:
        """Return the routes of a target.

        Raises:
            BadRequestPage: The target is none.
            UnknownRoute: There is nothing at this path.
        """
        path, segments = _split_target(target)
        for pattern in self._patterns:
            ids = _fit(pattern, segments)
            if ids is not None:
                return Match(self._table[pattern], ids)
        raise UnknownRoute(path, now())


def pick(match: Match, method: str) -> Route:
    """Return the route of a method.

    Raises:
        Bare: 405 with the methods there are; 200 for OPTIONS, which lists them too.
    """
    if method == "OPTIONS":
        methods = [word for name in match.routes for word in _with_head(name)]
        raise Bare(200, {"Allow": ",".join([*methods, "OPTIONS"]), "Accept-Patch": ""})
    route = match.routes.get("GET" if method == "HEAD" else method)
    if route is None:
        raise Bare(405, {"Allow": ",".join(match.routes)})
    return route


def _with_head(method: str) -> Sequence[str]:
    return ("GET", "HEAD") if method == "GET" else (method,)


def _spellings(path: str, dialect: Dialect) -> list[str]:
    if not path.startswith("/media"):
        return [path]
    old = path.replace("/media", "/image", 1)
    return [old] if dialect == "legacy" else [path, old]


def _variables(pattern: Sequence[str]) -> int:
    return sum(segment.startswith("{") for segment in pattern)


def _fit(pattern: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    ids = {}
    for wanted, found in zip(pattern, segments, strict=True):
        if wanted.startswith("{"):
            ids[wanted[1:-1]] = found
        elif wanted != found:
            return None
    return ids
