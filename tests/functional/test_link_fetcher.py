"""Images of foreign addresses: fetched without credentials, and not from just anywhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from datagym_async._transport import LinkError, LinkFetcher
from tests.helpers.photos import jpeg
from tests.helpers.raw_server import no_longer_http, raw_server

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

PICTURE = jpeg(200_000)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Give the address of a site that answers everything with one handler."""
    app = web.Application()
    app.router.add_get("/{name}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def fetched(url: str, *, allow_private: bool = True) -> bytes:
    """Return what lies at an address."""
    fetcher = LinkFetcher(allow_private=allow_private, timeout=5)
    try:
        async with fetcher.open(url) as pieces:
            return b"".join([piece async for piece in pieces])
    finally:
        await fetcher.aclose()


async def picture(_: web.Request) -> web.StreamResponse:
    """Answer with a picture."""
    return web.Response(body=PICTURE, headers={"Set-Cookie": "a=b"})


async def cut(request: web.Request) -> web.StreamResponse:
    """Announce a picture, send half of it and hang up."""
    response = web.StreamResponse(headers={"Content-Length": str(len(PICTURE))})
    await response.prepare(request)
    await response.write(PICTURE[: len(PICTURE) // 2])
    assert request.transport is not None
    request.transport.abort()
    return response


class Names(AbstractResolver):
    """A name server with one answer."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host="10.1.2.3",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


async def test_the_bytes_come_as_they_are() -> None:
    """No encoding is asked for, and none is undone."""
    async with serving(picture) as address:
        assert await fetched(f"{address}/a.jpg") == PICTURE


async def test_credentials_of_a_link_are_not_sent() -> None:
    """Neither those in the address nor cookies of an earlier answer."""
    seen: list[web.Request] = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await picture(request)

    async with serving(look) as address:
        with_user = address.replace("http://", "http://me:secret@")
        fetcher = LinkFetcher(allow_private=True)
        for _ in range(2):
            async with fetcher.open(f"{with_user}/a.jpg") as pieces:
                assert await anext(pieces)
        await fetcher.aclose()

    assert [request.headers.keys() & {"Authorization", "Cookie"} for request in seen] == [
        set(),
        set(),
    ]


async def test_a_body_that_is_no_longer_http_is_not_waited_for() -> None:
    """A chunk that cannot be read ends it; it would be waited for, for ever."""
    head_was_read = asyncio.Event()
    talk, fetcher = no_longer_http(head_was_read), LinkFetcher(allow_private=True)
    async with raw_server(talk) as url, fetcher.open(f"{url}a.jpg") as pieces:
        assert await anext(pieces) == b"["
        head_was_read.set()
        with pytest.raises(LinkError) as raised:
            await anext(pieces)
    await fetcher.aclose()

    assert raised.value.may_pass


async def test_a_body_that_breaks_off_may_come_another_time() -> None:
    """It is noticed by its length."""
    async with serving(cut) as address:
        with pytest.raises(LinkError) as caught:
            await fetched(f"{address}/a.jpg")

    assert caught.value.may_pass


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.jpg", "http://[::1]/a", "http://10.0.0.1/"])
async def test_numeric_private_addresses_are_refused(url: str) -> None:
    """Nothing is connected to, and trying again is no use."""
    with pytest.raises(LinkError, match="not a public address") as caught:
        await fetched(url, allow_private=False)

    assert not caught.value.may_pass


async def test_a_name_that_leads_inside_is_refused() -> None:
    """The address that would be connected to counts, not the name."""
    fetcher = LinkFetcher(resolver=Names())
    with pytest.raises(LinkError, match="not a public address"):
        async with fetcher.open("http://photos.example/a.jpg"):
            pass
    await fetcher.aclose()


async def test_a_redirect_inside_is_refused() -> None:
    """Each hop is looked at anew; a file of this machine is no web address."""

    async def elsewhere(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "file:///etc/passwd"})

    async with serving(elsewhere) as address:
        with pytest.raises(LinkError, match="only http and https"):
            await fetched(f"{address}/a.jpg")


async def test_an_endless_body_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever serves it may never stop, and announces no length."""
    monkeypatch.setattr("datagym_async._transport._foreign.MAX_LINK_BYTES", 100_000)
    is_left = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(PICTURE)
        finally:
            is_left.set()

    async with serving(endless) as address:
        with pytest.raises(LinkError, match="more than 100,000 bytes") as caught:
            await fetched(f"{address}/a.jpg")
        async with asyncio.timeout(30):
            await is_left.wait()

    assert not caught.value.may_pass
    with pytest.raises(LinkError, match=r"refused|connect") as caught:
        await fetched(f"{address}/a.jpg")
    assert caught.value.may_pass


async def test_a_body_that_is_too_long_is_not_waited_for() -> None:
    """Its announced length is enough: nothing of it has to arrive."""
    is_fetched = asyncio.Event()

    async def announcing(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(10**12)})
        await response.prepare(request)
        await is_fetched.wait()
        return response

    async with serving(announcing) as address:
        with pytest.raises(LinkError, match="more than 268,435,456 bytes"):
            await fetched(f"{address}/a.jpg")
        is_fetched.set()


@pytest.mark.parametrize(("status", "may_pass"), [(404, False), (403, False), (503, True)])
async def test_a_refusal_is_said_with_its_status(status: int, may_pass: bool) -> None:
    """What a host says for good is not asked again."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with serving(refuse) as address:
        with pytest.raises(LinkError, match=f"status {status}") as caught:
            await fetched(f"{address}/a.jpg")

    assert caught.value.may_pass is may_pass


@pytest.mark.looptime
async def test_a_body_that_drips_is_left() -> None:
    """A byte now and then is no picture, and holds nobody."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(2)

    async with serving(drip) as address:
        with pytest.raises(LinkError, match="less than 1,000 bytes a second"):
            await fetched(f"{address}/a.jpg")
        assert asyncio.get_running_loop().time() < 130
