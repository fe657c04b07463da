"""Links are asked for with no credentials, not just anywhere, and no further than needed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from datagym_async._transport import LinkProber, PublicResolver
from tests.helpers.photos import jpeg, png

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

PICTURE = jpeg(2000)


def answering(status: int, **headers: str) -> Handler:
    """Return a handler with one answer to everything."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=b"x" * 20, headers=headers)

    return handler


async def picture(request: web.Request) -> web.StreamResponse:
    """Answer GET and HEAD as a web server does."""
    body = png(3000) if request.path.endswith("png") else PICTURE
    kind = {"/odd.jpg": "application/octet-stream", "/lie.jpg": "text/html"}
    return web.Response(body=body, content_type=kind.get(request.path, "image/jpeg"))


async def without_head(request: web.Request) -> web.StreamResponse:
    """Refuse HEAD, as some stores with signed addresses do."""
    return web.Response(status=403) if request.method == "HEAD" else web.Response(body=PICTURE)


async def tiny(_: web.Request) -> web.StreamResponse:
    """Answer with less than shows what it is."""
    return web.Response(body=PICTURE[:2])


async def large(request: web.Request) -> web.StreamResponse:
    """Answer with more than anybody would read, if it is not stopped."""
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    await response.prepare(request)
    if request.method == "GET":
        for _ in range(1000):
            await response.write(PICTURE * 500)
        raise AssertionError
    return response


class Site:
    """A web server that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.base = ""
        self.fails = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self._handler(request.path)(request)

    def _handler(self, path: str) -> Handler:
        if path.startswith("/hop"):
            left = int(path.removeprefix("/hop").removesuffix(".jpg"))
            return answering(302, Location=f"/hop{left - 1}.jpg" if left else "/a.jpg")
        if path == "/flaky.jpg" and self.fails:
            self.fails -= 1
            return answering(503)
        return {
            "/gone.jpg": answering(404),
            "/text.jpg": answering(200),
            "/tiny.jpg": tiny,
            "/empty.jpg": answering(204),
            "/file.jpg": answering(302, Location="file:///etc/passwd"),
            "/none.jpg": answering(302, Location="http://[::1"),
            "/dots.jpg": answering(302, Location="http://a..b/"),
            "/nohead.jpg": without_head,
            "/large.jpg": large,
            "/broken.jpg": answering(500),
        }.get(path, picture)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Run the web server on a port of its own."""
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0)
    await tcp.start()
    site.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    await runner.cleanup()


@pytest.fixture
async def prober(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LinkProber]:
    """Return a prober that asks this machine, too, and does not wait between attempts."""
    monkeypatch.setattr("datagym_async._transport._foreign._PAUSE", 0)
    prober = LinkProber(allow_private=True)
    yield prober
    await prober.aclose()


@pytest.mark.parametrize(
    "path",
    ["a.jpg", "b.png", "odd.jpg", "lie.jpg", "nohead.jpg", "hop0.jpg", "hop4.jpg", "large.jpg"],
)
async def test_an_image_is_found(site: Site, prober: LinkProber, path: str) -> None:
    """By its type, its first bytes, with or without HEAD, behind up to five redirects."""
    assert await prober.probe(f"{site.base}/{path}") == ""


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("gone.jpg", "The link answers with status 404."),
        ("text.jpg", "The link does not lead to a JPEG or PNG image."),
        ("tiny.jpg", "The link does not lead to a JPEG or PNG image."),
        ("empty.jpg", "The link answers with status 204."),
        ("broken.jpg", "The link answers with status 500."),
        ("hop5.jpg", "The link redirects more than 5 times."),
        ("file.jpg", "The link leads to file://, but only http and https are allowed."),
        ("none.jpg", "The link does not lead to a valid address."),
        ("dots.jpg", "The link leads to a..b, which is not a host name."),
    ],
)
async def test_a_dead_link_is_told(site: Site, prober: LinkProber, path: str, words: str) -> None:
    """The reason is a sentence of its own."""
    assert words == await prober.probe(f"{site.base}/{path}")


async def test_a_failure_that_passes_is_tried_again(site: Site, prober: LinkProber) -> None:
    """One bad moment of a host does not make its links dead."""
    site.fails = 1

    assert await prober.probe(f"{site.base}/flaky.jpg") == ""


async def test_a_host_that_is_not_there(prober: LinkProber, unused_port: int) -> None:
    """A refused connection is a reason, not an error."""
    reason = await prober.probe(f"http://127.0.0.1:{unused_port}/a.jpg")

    assert reason.startswith("Cannot connect to http://127.0.0.1")


@pytest.fixture
def unused_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def test_no_credentials_leave(
    site: Site, prober: LinkProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of the URL, nor a token, nor a cookie; the proxies' are not asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    host = site.base.removeprefix("http://")

    assert await prober.probe(f"http://user:secret@{host}/odd.jpg") == ""

    assert [request.method for request in site.asked] == ["HEAD", "GET"]
    for request in site.asked:
        assert not {"Authorization", "Cookie", "Referer"} & set(request.headers)


async def test_a_silent_host_is_left_after_its_time(site: Site) -> None:
    """One host that never answers does not hold the others back for ever."""

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    over = asyncio.Event()
    prober = LinkProber(allow_private=True, timeout=0.05)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reason = await prober.probe(f"http://127.0.0.1:{port}/a.jpg")
        over.set()
    await prober.aclose()

    assert reason == "The link did not answer within 0.05 s."


class Names(AbstractResolver):
    """A name server that changes its mind."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers.pop(0)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.8", "169.254.169.254", "0.0.0.0"])
async def test_private_addresses_are_not_asked(host: str) -> None:
    """Not even a connection is tried."""
    prober = LinkProber()
    reason = await prober.probe(f"http://{host}:9/a.jpg")
    await prober.aclose()

    assert "is not a public address; allow_private_links=True" in reason


async def test_a_name_that_leads_to_a_private_address_is_not_asked(site: Site) -> None:
    """What counts is the address that would be connected to."""
    port = site.base.rpartition(":")[2]
    prober = LinkProber(resolver=Names("127.0.0.1"))
    reason = await prober.probe(f"http://photos.example:{port}/a.jpg")
    await prober.aclose()

    assert "photos.example, which is not a public address" in reason
    assert site.asked == []


async def test_the_address_looked_at_is_the_one_connected_to() -> None:
    """A name server that answers twice, first harmlessly, gains nothing: it is asked once."""
    names = Names("93.184.215.14", "127.0.0.1")

    found = await PublicResolver(names).resolve("photos.example", 80)

    assert [each["host"] for each in found] == ["93.184.215.14"]
    assert names.answers == ["127.0.0.1"]
