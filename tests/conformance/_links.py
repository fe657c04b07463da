"""The host of the link images: what the recording's own file server served."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from tests.conformance._bodies import ok_jpeg, ok_png

RECORDED = "127.0.0.1:9191"
"""The authority in the recorded link images."""


@contextlib.asynccontextmanager
async def link_host() -> AsyncIterator[str]:
    """Serve the link images and yield the host's authority, as long as the recorded one.

    The length matters: some recorded URLs are exactly as long as the service allows.
    """
    app = web.Application()
    app.router.add_get("/404.jpg", _missing)
    app.router.add_get("/text.jpg", _text)
    app.router.add_get("/redir.jpg", _redirect)
    app.router.add_get("/{name:.*}", _image)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        yield f"127.0.0.1:{await _listen_on_four_digits(runner)}"
    finally:
        await runner.cleanup()


async def _listen_on_four_digits(runner: web.AppRunner) -> int:
    for port in range(9191, 2000, -1):
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError:
            continue
        return port
    raise RuntimeError("no port of four digits is free on 127.0.0.1")


async def _missing(_: web.Request) -> web.Response:
    return web.Response(status=404)


async def _text(_: web.Request) -> web.Response:
    return web.Response(text="this is not an image\n")


async def _redirect(_: web.Request) -> web.Response:
    raise web.HTTPFound("/a1.jpg")


async def _image(request: web.Request) -> web.Response:
    png = request.path.endswith(".png")
    return web.Response(
        body=ok_png() if png else ok_jpeg(), content_type="image/png" if png else "image/jpeg"
    )
