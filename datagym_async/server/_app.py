"""The application: one door for all requests, and the list of the modules behind it."""

from collections.abc import Iterable, Sequence
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http_exceptions import PayloadEncodingError
from aiohttp.typedefs import Handler, Middleware

from datagym_async._logs import logger

from . import (
    _aiseg,
    _bitmaps,
    _config,
    _datasets,
    _export,
    _labels,
    _media,
    _projects,
    _tasks,
    _tasks_write,
    _uploads,
    _urls,
    _values,
)
from ._auth import token_of
from ._call import LARGEST_BODY, Call, Route
from ._connections import Connection, Counters, closes, header_block_fits
from ._errors import Answer, BadRequestPage, Refusal
from ._router import Router, pick
from ._service import Service

__all__ = ["Middleware", "make_app"]

_LOGGER = logger(__name__)

_VERSIONS: Final = (HttpVersion10, HttpVersion11)

# Every module of routes has `ROUTES: Sequence[Route]`; add a line here to plug one in.
_ROUTES: Final[Sequence[Sequence[Route]]] = (
    _projects.ROUTES,
    _datasets.ROUTES,
    _media.ROUTES,
    _uploads.ROUTES,
    _urls.ROUTES,
    _tasks.ROUTES,
    _tasks_write.ROUTES,
    _config.ROUTES,
    _values.ROUTES,
    _labels.ROUTES,
    _export.ROUTES,
    _bitmaps.ROUTES,
    _aiseg.ROUTES,
)


def make_app(
    service: Service, counters: Counters, middlewares: Iterable[Middleware]
) -> web.Application:
    """Return the application of a service; `middlewares` see each request before it does."""
    router = Router((route for routes in _ROUTES for route in routes), service.settings.dialect)

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol if isinstance(request.protocol, Connection) else None
        if connection is not None:
            connection.begin(request.content)
        counters.enter()
        try:
            return await handler(request)
        finally:
            counters.leave()
            if connection is not None:
                connection.end()

    async def serve(request: web.Request) -> web.StreamResponse:
        return await _serve(service, router, request)

    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        _finish_headers(request, response, service.settings.requests_per_connection)

    app = web.Application(middlewares=[count, *middlewares], client_max_size=LARGEST_BODY)
    app.router.add_route(hdrs.METH_ANY, "/{path:.*}", serve)
    app.on_response_prepare.append(finish)
    return app


async def _serve(service: Service, router: Router, request: web.Request) -> web.StreamResponse:
    try:
        call = _accept(service, router, request)
        if call.route.anonymous != "allow":
            call.authenticate()
        return await call.route.handler(call)
    except Answer as answer:
        return _answer(service, request, answer)
    except (ConnectionError, PayloadEncodingError):
        # The body was cut off, or is no chunked one although it says so. Nobody may be there to
        # read this, but a half-closed client is.
        return _answer(service, request, Refusal("ex_system"))
    except Exception:
        _LOGGER.exception("The server failed to answer a %s request", request.method)
        return _answer(service, request, Refusal("ex_system"))


def _accept(service: Service, router: Router, request: web.Request) -> Call:
    if request.version not in _VERSIONS or not header_block_fits(request):
        raise BadRequestPage
    if request.version == HttpVersion11 and hdrs.HOST not in request.headers:
        raise BadRequestPage
    match = router.match(request.raw_path)
    route = pick(match, request.method)
    token = token_of(request.headers.get("Authorization"), request.query.get("token"))
    return Call(request, service, route, match.ids, service.tokens.check(token))


def _answer(service: Service, request: web.Request, answer: Answer) -> web.StreamResponse:
    response = answer.response(service.render)
    if answer.chunked and request.version >= HttpVersion11 and request.method != hdrs.METH_HEAD:
        response.enable_chunked_encoding()
    return response


def _finish_headers(request: web.Request, response: web.StreamResponse, limit: int) -> None:
    response.headers.popall(hdrs.SERVER, None)
    if response.headers.get(hdrs.CONTENT_LENGTH) == "0":
        response.headers.popall(hdrs.CONTENT_TYPE, None)
    if closes(request, response, limit):
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
