"""Everything the service answers when it refuses, as exceptions that know their answer.

Answer (raise it anywhere in a handler)
├─ Refusal            shape A: an application error, `refuse("ex_notfound", "dataset", "id", x)`
├─ InvalidFields      shape B: bean validation, 400 with `code` 0
├─ Bare               shape C: the framework's own empty answer: 400, 405, 406, 415
├─ UnknownRoute       shape D: the container's JSON, 404
└─ BadRequestPage     shape D: the container's HTML page, 400
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
from aiohttp import web

from ._render import Json, pretty

__all__ = [
    "Answer",
    "BadRequestPage",
    "Bare",
    "Detail",
    "InvalidFields",
    "Refusal",
    "UnknownRoute",
    "refuse",
    "refuse_data",
    "status_of",
]

_STATUS_OF_KEY: Final = {
    "ex_validation": 400,
    "ex_unauthorized": 401,
    "ex_limit": 402,
    "ex_forbidden": 403,
    "ex_notfound": 404,
    "ex_alreadyexists": 412,
    "ex_already_contains": 412,
    "ex_service_unavailable": 503,
}

_PAGE: Final = (
    '<!doctype html><html lang="en"><head><title>HTTP Status 400 \u2013 Bad Request</title><style'
    ' type="text/css">body {font-family:Tahoma,Arial,sans-serif;} h1, h2, h3, b'
    " {color:white;background-color:#525D76;} h1 {font-size:22px;} h2 {font-size:16px;} h3"
    " {font-size:14px;} p {font-size:12px;} a {color:black;} .line"
    " {height:1px;background-color:#525D76;border:none;}</style></head><body>"
    "<h1>HTTP Status 400 \u2013"
    " Bad Request</h1></body></html>"
)


def status_of(key: str) -> int:
    """Return the status that goes with a key: 500 for `ex_system` and every `ex_gen_…`."""
    return _STATUS_OF_KEY.get(key, 500)


@attrs.frozen
class Detail:
    """One entry of an error's `details`."""

    name: str
    key: str
    params: Sequence[str] = ()

    def json(self) -> Json:
        """Return the entry as it stands in the body."""
        return {"name": self.name, "key": self.key, "params": list(self.params)}


class Answer(Exception):  # noqa: N818 -- what is raised is the answer itself
    """Ends a request with an error answer."""

    chunked = False

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        """Return the answer as it goes on the wire, but for the Connection header.

        Args:
            render: The service's way to write JSON at the moment: compact or pretty.
        """
        raise NotImplementedError


class Refusal(Answer):
    """Shape A: an application error."""

    def __init__(
        self, key: str, params: Sequence[str] = (), details: Sequence[Detail] = ()
    ) -> None:
        super().__init__(key, *params)
        self.key = key
        self.params = tuple(params)
        self.details = tuple(details)

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        """Return the always pretty-printed body with the status of its key."""
        status = status_of(self.key)
        body: Json = {
            "key": self.key,
            "params": list(self.params),
            "msg": f"No msg available for key: {self.key}",
            "code": status,
            "details": [detail.json() for detail in self.details],
        }
        headers = {"Content-Type": "application/json;charset=utf-8"}
        return web.Response(status=status, body=pretty(body), headers=headers)


class InvalidFields(Answer):
    """Shape B: fields of a readable JSON body, or query parameters, that break a rule."""

    chunked = True

    def __init__(self, details: Sequence[Detail]) -> None:
        super().__init__(*(detail.key for detail in details))
        self.details = tuple(details)

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        """Return the list of broken rules, with the `code` that is always 0."""
        body: Json = {
            "key": "ex_validation",
            "params": [],
            "msg": "Validation error.",
            "code": 0,
            "details": [detail.json() for detail in self.details],
        }
        headers = {"Content-Type": "application/json"}
        return web.Response(status=400, body=render(body), headers=headers)


class Bare(Answer):
    """Shape C: a status, no body, no Content-Type."""

    def __init__(self, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = dict(headers or {})

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        """Return the empty answer."""
        return web.Response(status=self.status, headers=self.headers)


class UnknownRoute(Answer):
    """Shape D: no such route."""

    chunked = True

    def __init__(self, path: str, timestamp: int) -> None:
        super().__init__(path)
        self.path = path
        self.timestamp = timestamp

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        """Return the container's body, which has no `key`."""
        body: Json = {
            "timestamp": self.timestamp,
            "status": 404,
            "error": "Not Found",
            "path": self.path,
        }
        headers = {"Vary": "Access-Control-Request-Headers", "Content-Type": "application/json"}
        return web.Response(status=404, body=render(body), headers=headers)


class BadRequestPage(Answer):
    """Shape D: the container could not make sense of the request line or the headers."""

    def response(self, render: Callable[[Json], bytes]) -> web.Response:
        """Return the HTML page."""
        headers = {"Content-Type": "text/html;charset=utf-8", "Content-Language": "en"}
        return web.Response(status=400, body=_PAGE.encode(), headers=headers)


def refuse(key: str, *params: str) -> Refusal:
    """Return an application error: `raise refuse("ex_notfound", "Project", "id", x)`."""
    return Refusal(key, params)


def refuse_data(key: str, *params: str, name: str = "data") -> Refusal:
    """Return the 400 whose single detail says what is wrong with the bytes or a header."""
    return Refusal("ex_validation", (), [Detail(name, key, params)])
