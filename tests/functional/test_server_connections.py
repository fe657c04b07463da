"""Connections, the container's limits, both generations of names, and middlewares."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import orjson
import pytest
from aiohttp import web

from datagym_async import DataGymClient, Timeout
from datagym_async.server import Server
from tests.helpers.photos import jpeg
from tests.helpers.service import Service, raw_connection, service, upload_head

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from aiohttp.typedefs import Handler


@pytest.fixture
async def client() -> AsyncIterator[Service]:
    async with Server() as server, service(server) as opened:
        yield opened


async def _head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def test_a_connection_carries_100_requests(client: Service) -> None:
    """The 100th answer says close, and then the connection is."""
    request = f"HEAD /api/v1/project?token={client.server.token} HTTP/1.1\r\nHost: x\r\n\r\n"
    async with raw_connection(client.server) as (reader, writer):
        heads = []
        for _ in range(100):
            writer.write(request.encode())
            heads.append(await _head(reader))
        assert [b"Connection: close" in head for head in heads] == [False] * 99 + [True]
        assert await reader.read() == b""
    assert b"Content-Length: 2" in heads[0]  # as recorded: of the body that is not sent


async def test_the_limit_of_requests_can_be_set() -> None:
    """Fewer requests a connection make a client meet the limit early."""
    async with Server(requests_per_connection=2) as server, service(server) as client:
        for _ in range(5):
            assert (await client.ask("GET", "/project")).status == 200
        assert server.statistics().connections == 3
        assert server.statistics().requests == 5


@pytest.mark.parametrize(
    ("method", "path", "status", "closes"),
    [
        ("GET", "/project", 200, False),
        ("GET", "/nope", 404, False),
        ("GET", "/dataset/nope", 404, False),
        ("PATCH", "/dataset", 405, False),
        ("POST", "/dataset", 415, False),
        ("GET", "/task/nope/list?state=x", 400, True),
        ("DELETE", "/project/x", 404, False),
    ],
)
async def test_which_answers_close(
    client: Service, method: str, path: str, status: int, *, closes: bool
) -> None:
    """400, 500 and 503 end the connection; the other refusals do not."""
    reply = await client.ask(method, path)
    assert (reply.status, reply.headers.get("Connection") == "close") == (status, closes)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Content-Type": "Application/hal+json; charset=utf-8"}, 200),
        ({"Content-Type": "application/xml"}, 415),
        ({"Content-Type": "text/x+json"}, 415),
        ({"Accept": "text/html, application/*;q=0.8"}, 200),
        ({"Accept": "text/html"}, 406),
    ],
)
async def test_which_json_is_read_and_sent(
    client: Service, fields: dict[str, str], status: int
) -> None:
    """The types are compared without their parameters, and without case."""
    headers = {"Content-Type": "application/json", **fields}
    reply = await client.ask("POST", "/dataset", headers=headers, body=b'{"name": "d"}')
    assert reply.status == status


async def test_a_refused_body_is_swallowed_or_ends_the_connection(client: Service) -> None:
    """An early refusal of up to 2 MB leaves the connection alive, a larger one does not."""
    server = client.server
    for size, closes in ((1_500_000, False), (3_000_000, True)):
        async with raw_connection(server) as (reader, writer):
            writer.write(upload_head(server, "nope", "x.jpg", f"Content-Length: {size}"))
            head = await _head(reader)
            assert head.startswith(b"HTTP/1.1 404")
            assert (b"Connection: close" in head) == closes
            writer.write(bytes(size))
            await writer.drain()


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /api/v1/project HTTP/1.1\r\n\r\n",
        "GET /api/v1/project?a=[1] HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/v1/dataset/a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/v1/project HTTP/1.1\r\nHost: x\r\nX-Pad: " + "p" * 8200 + "\r\n\r\n",
        "GET /api/v1/project HTTP/1.1\r\nHost: x\r\nX-Pad: " + "p" * 40_000 + "\r\n\r\n",
        "GET /api/v1/project HTTP/1.1\r\nHost: x\r\nX-filename: a\x01b\r\n\r\n",
        "GET /api/v1/project HTTP/1.2\r\nHost: x\r\n\r\n",
        "nonsense\r\n\r\n",
    ],
    ids=["no-host", "brackets", "slash", "8-kB", "40-kB", "control", "version", "nonsense"],
)
async def test_the_container_answers_with_a_page(client: Service, request_text: str) -> None:
    """What the container cannot read is 400 HTML, and the connection ends."""
    async with raw_connection(client.server) as (reader, writer):
        writer.write(request_text.encode())
        answer = await reader.read()
    assert b" 400 " in answer.splitlines()[0]
    assert b"Content-Type: text/html;charset=utf-8" in answer
    assert b"Connection: close" in answer
    assert answer.endswith(b"</html>")


@pytest.mark.parametrize(("size", "status"), [(8192, 200), (8193, 400)])
async def test_the_largest_block_of_headers(client: Service, size: int, status: int) -> None:
    """It is counted from the request line to the blank line."""
    head = f"HEAD /api/v1/project?token={client.server.token} HTTP/1.1\r\nHost: x\r\nX-Pad: "
    async with raw_connection(client.server) as (reader, writer):
        writer.write(head.ljust(size - 4, "p").encode() + b"\r\n\r\n")
        assert int((await _head(reader)).split()[1]) == status


@pytest.mark.parametrize(("path", "status"), [("project", 200), ("project/x/export", 404)])
async def test_an_older_client_gets_a_body_in_one_piece(
    client: Service, path: str, status: int
) -> None:
    """HTTP/1.0 has no chunks, and its requests need no host."""
    request = f"GET /api/v1/{path}?token={client.server.token} HTTP/1.0\r\n\r\n"
    async with raw_connection(client.server) as (reader, writer):
        writer.write(request.encode())
        head, body = (await reader.read()).split(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert f"Content-Length: {len(body)}".encode() in head.splitlines()
    assert isinstance(orjson.loads(body), list | dict)


async def test_paths_are_read_as_the_container_reads_them(client: Service) -> None:
    """Repeated and trailing slashes and matrix parameters do not matter; dots do."""
    head = f"Host: x\r\nAuthorization: Token {client.server.token}\r\nConnection: close\r\n\r\n"
    statuses = []
    for path in ("//project", "/project/", "/project;a=b", "/x/../project", "/project/./"):
        async with raw_connection(client.server) as (reader, writer):
            writer.write(f"HEAD /api/v1{path} HTTP/1.1\r\n{head}".encode())
            statuses.append(int((await _head(reader)).split()[1]))
    assert statuses == [200, 200, 200, 404, 404]


async def test_both_generations_of_routes(client: Service) -> None:
    """Today's server answers on image/ and media/ alike, with today's names."""
    dataset = await client.create_dataset("d")
    headers = {"X-filename": "a.jpg"}
    reply = await client.ask("POST", f"/image/{dataset}/file", headers=headers, body=jpeg(2000))
    assert reply.fields["mediaName"] == "a.jpg"
    for kind in ("image", "media"):
        assert (await client.ask("GET", f"/{kind}/{reply.fields['id']}")).body == jpeg(2000)


async def test_the_legacy_dialect() -> None:
    """The older server knows image/ alone and the old names, without media types."""
    async with Server(dialect="legacy") as server, service(server) as client:
        await server.seed_demo()
        dataset = await client.create_dataset("d")
        url = ["http://127.0.0.1:1/u.jpg"]
        (link,) = (await client.ask("POST", f"/image/{dataset}/url", value=url)).items
        assert link.keys() == {
            "internal_image_ID",
            "external_image_ID",
            "imageUrl",
            "imageUploadStatus",
        }
        listed = (await client.ask("GET", f"/dataset/{dataset}")).fields
        assert "media" not in listed
        assert "mediaType" not in listed
        (image,) = cast("list[dict[str, object]]", listed["images"])
        assert image.keys() == {"id", "timestamp", "imageType", "imageName"}
        unknown = await client.ask("GET", "/media/nope")
        assert (unknown.status, unknown.key) == (404, "")
        assert (await client.ask("GET", "/image/nope")).key == "ex_notfound"


async def test_middlewares_see_each_request_first() -> None:
    """A middleware may answer in the service's place, and is counted like it."""

    @web.middleware
    async def unavailable(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.endswith("/dataset"):
            return web.Response(status=503)
        if request.path.endswith("/user"):
            raise ValueError
        return await handler(request)

    async with Server(middlewares=[unavailable]) as server, service(server) as client:
        broken = await client.ask("GET", "/dataset")
        assert (broken.status, broken.headers["Connection"]) == (503, "close")
        assert (await client.ask("GET", "/project")).status == 200
        assert (await client.ask("GET", "/user")).status == 500  # its fault, not of the request
        assert server.statistics().requests == 3


async def test_json_is_pretty_after_the_flag(client: Service) -> None:
    """Compact until something (an export) makes it pretty; errors are always pretty."""
    await client.create_dataset("d")
    compact = await client.ask("GET", "/dataset")
    client.server._running.pretty = True
    pretty = await client.ask("GET", "/dataset")
    assert pretty.json() == compact.json()
    assert compact.body.startswith(b'[{"id":"')
    assert pretty.body.startswith(b'[ {\n  "id" : "')
    assert b'"media" : [ ]\n} ]' in pretty.body


async def test_a_client_and_its_jobs_ask_for_the_generation_once(tmp_path: Path) -> None:
    """Jobs have a session of their own: a single call after the first job asked again."""
    (tmp_path / "a.jpg").write_bytes(jpeg(2000))
    async with (
        Server(dialect="legacy") as server,
        DataGymClient(server.token, server.base_url) as client,
    ):
        dataset = await client.datasets.create("d")
        await client.upload(dataset.id, tmp_path)
        before = server.statistics().requests
        await client.media.upload_file(dataset.id, jpeg(2001), name="b.jpg")
        await client.with_options(timeout=Timeout(read=9)).media.upload_file(
            dataset.id, jpeg(2002), name="c.jpg"
        )

        assert server.statistics().requests - before == 2
