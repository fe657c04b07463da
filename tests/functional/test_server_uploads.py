"""Uploads to the embedded server: whole or not at all, many at once, odd names, limits."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from datagym_async.server import Plan, SeedDataset, SeedMedia, SeedProject, Server
from tests.helpers.photos import broken_jpeg, broken_png, gif, jpeg, png
from tests.helpers.service import Service, raw_connection, service, until, upload_head


def _half_jpeg() -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((200, 200), 50).save(stream, "JPEG")
    whole = stream.getvalue()
    return whole[: len(whole) // 2]


@pytest.fixture
async def client() -> AsyncIterator[Service]:
    async with Server() as server, service(server) as opened:
        yield opened


@pytest.fixture
async def dataset(client: Service) -> str:
    return await client.create_dataset("d")


def _files(client: Service) -> list[Path]:
    folder = client.server._running.folder
    return [*folder.path.glob("blobs/*/*"), *folder.incoming.iterdir()]


@pytest.mark.slow
async def test_many_uploads_at_once_all_land(client: Service, dataset: str) -> None:
    """200 files from 40 senders: each is stored once, byte for byte."""
    photos = {f"{n}.jpg": jpeg(2000, seed=n) for n in range(200)}
    left = iter(photos.items())
    ids: dict[str, object] = {}

    async def send() -> None:
        for name, content in left:
            reply = await client.upload(dataset, name, content)
            assert reply.status == 200
            ids[name] = reply.fields["id"]

    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(send())

    assert sorted(await client.names(dataset)) == sorted(photos)
    for name, content in photos.items():
        assert (await client.ask("GET", f"/media/{ids[name]}")).body == content
    assert len(_files(client)) == 200


async def test_uploads_of_one_name_at_once_may_all_land(client: Service, dataset: str) -> None:
    """The name is asked for before the body arrives: the service's own race, kept."""
    server, photo = client.server, jpeg(2_000_000)
    head = upload_head(server, dataset, "same.jpg", f"Content-Length: {len(photo)}")
    async with raw_connection(server) as one, raw_connection(server) as two:
        for _, writer in (one, two):
            writer.write(head + photo[:-1])
        await until(lambda: len(_files(client)) == 2)
        for reader, writer in (one, two):
            writer.write(photo[-1:])
            assert (await reader.readline()).split()[1] == b"200"
    assert await client.names(dataset) == ["same.jpg", "same.jpg"]
    assert (await client.upload(dataset, "same.jpg", jpeg(2000))).key == "ex_alreadyexists"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_drop_in_mid_body_leaves_nothing(
    client: Service, dataset: str, *, chunked: bool
) -> None:
    """Neither a row nor a file stays of a body that was cut, even a large one."""
    server, content = client.server, jpeg(3_000_000)
    field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
    body = b"2dc6c0\r\n" + content if chunked else content
    async with raw_connection(server) as (_, writer):
        writer.write(upload_head(server, dataset, "cut.jpg", field) + body[:2_000_000])
        await until(lambda: len(_files(client)) == 1)
    await until(lambda: server.statistics().in_flight == 0)
    assert await client.names(dataset) == []
    assert _files(client) == []
    assert (await client.upload(dataset, "cut.jpg", jpeg(2000))).status == 200


async def test_a_drop_after_the_last_byte_is_stored(client: Service, dataset: str) -> None:
    """All bytes sent, the answer lost: the row is there, as with the real service."""
    server, content = client.server, jpeg(50_000)
    head = upload_head(server, dataset, "lost.jpg", f"Content-Length: {len(content)}")
    async with raw_connection(server) as (_, writer):
        writer.write(head + content)
        await writer.drain()
    await until(lambda: len(_files(client)) == 1 and server.statistics().in_flight == 0)
    assert await client.names(dataset) == ["lost.jpg"]


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_half_closed_client_is_answered(
    client: Service, dataset: str, *, is_first: bool
) -> None:
    """A sender that ends too early but listens gets 500 `ex_system`, and nothing is stored."""
    server, content = client.server, jpeg(5000)
    async with raw_connection(server) as (reader, writer):
        if not is_first:
            writer.write(upload_head(server, "nope", "x.jpg", "Content-Length: 0"))
            assert b"404" in await reader.readline()
            await reader.readuntil(b"}")
        writer.write(upload_head(server, dataset, "x.jpg", "Content-Length: 6000") + content)
        writer.write_eof()
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"ex_system" in answer
    assert await client.names(dataset) == []


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
async def test_leaving_a_refused_upload_is_no_failure(
    client: Service, dataset: str, caplog: pytest.LogCaptureFixture, is_reset: bool
) -> None:
    """Whoever reads a refusal and goes, with megabytes unsent, causes no word in the log."""
    server = client.server
    await client.upload(dataset, "x.jpg", jpeg(2000))
    async with raw_connection(server) as (reader, writer):
        head = upload_head(server, dataset, "x.jpg", "Content-Length: 5000000")
        writer.write(head + b"\xff\xd8" + bytes(100_000))
        assert b"412" in await reader.readline()
        if is_reset:
            connection = writer.get_extra_info("socket")
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    await until(lambda: server.statistics().open_connections <= 1)  # the client's own
    await server.aclose()
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.looptime
async def test_stopping_the_server_ends_a_stalled_upload() -> None:
    """A client that never sends the rest does not keep the server from closing; nothing stays."""
    server = Server()
    await server.start()
    async with service(server) as client:
        dataset = await client.create_dataset("d")
    async with raw_connection(server) as (_, writer):
        writer.write(upload_head(server, dataset, "x.jpg", "Content-Length: 6000") + b"\xff\xd8")
        await until(lambda: server.statistics().in_flight == 1)
        await server.aclose()
    with pytest.raises(RuntimeError, match="not running"):
        server.base_url  # noqa: B018 -- asking is the test


@pytest.mark.looptime
async def test_a_cancelled_stop_still_closes_everything() -> None:
    """Whoever loses patience with a stopping server leaves no file or thread open."""
    server = Server()
    await server.start()
    async with service(server) as client:
        dataset = await client.create_dataset("d")
    async with raw_connection(server) as (_, writer):
        writer.write(upload_head(server, dataset, "x.jpg", "Content-Length: 6000") + b"\xff\xd8")
        await until(lambda: server.statistics().in_flight == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await server.aclose()
        await server.aclose()
    assert repr(server) == "<Server not started>"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("ok.jpg", "OK.jpg", True),
        ("t\xe4st.jpg", "TAST.jpg", True),
        ("stra\xdfe.jpg", "strase.jpg", True),
        ("stra\xdfe.jpg", "strasse.jpg", False),
        ("a.jpg", "a.png", False),
        ("a%C3%A4.jpg", "a%c3%a4.jpg", True),
        (" a.jpg", "a.jpg  ", True),
    ],
)
async def test_names_are_folded(
    client: Service, dataset: str, first: str, second: str, *, same: bool
) -> None:
    """Case, accents and outer blanks do not make another name; the answer repeats what came."""
    photo = jpeg(2000)
    statuses = []
    for name in (first, second):
        head = upload_head(client.server, dataset, name, f"Content-Length: {len(photo)}")
        async with raw_connection(client.server) as (reader, writer):
            writer.write(head + photo)
            statuses.append(int((await reader.readline()).split()[1]))
    assert statuses == [200, 412 if same else 200]
    assert (await client.names(dataset))[0] == first.strip()


async def test_a_name_is_latin_1(client: Service, dataset: str) -> None:
    """UTF-8 bytes in the header are stored as the Latin-1 letters they look like."""
    await client.upload(dataset, "täst.jpg", jpeg(2000))
    assert await client.names(dataset) == ["tÃ¤st.jpg"]


@pytest.mark.parametrize(
    ("content", "status", "key"),
    [
        (png(2000), 200, ""),
        (_half_jpeg(), 200, ""),
        (gif(), 400, "ex_validation"),
        (b"", 400, "ex_validation"),
        (b"text", 400, "ex_validation"),
        (broken_jpeg(2000), 500, "ex_system"),
        (broken_png(2000), 500, "ex_system"),
        (png(900_000)[:-20], 500, "ex_system"),
        (png(5_000_000)[:-20], 500, "ex_system"),
    ],
    ids=["png", "half", "gif", "empty", "text", "broken", "broken-png", "cut-png", "large-cut-png"],
)
async def test_images_are_taken_by_their_bytes(
    client: Service, dataset: str, content: bytes, status: int, key: str
) -> None:
    """Formats are told by bytes; what cannot be decoded is 500; failures leave nothing."""
    photo = await _send(client, dataset, content)
    assert photo == (status, key)
    assert len(_files(client)) == (1 if status == 200 else 0)


async def _send(client: Service, dataset: str, content: bytes) -> tuple[int, str]:
    head = upload_head(client.server, dataset, "x.jpg", f"Content-Length: {len(content)}")
    async with raw_connection(client.server) as (reader, writer):
        writer.write(head + content)
        answer = await reader.readuntil(b"\r\n\r\n")
        rest = await reader.read(100)
    key = rest.split(b'"')[3].decode() if b"ex_" in rest else ""
    return int(answer.split()[1]), key


async def test_the_upper_limits_answer_500() -> None:
    """A file at the packet limit, and a name of 256, are `ex_system`; just below is fine."""
    async with Server(max_allowed_packet=50_000) as server, service(server) as client:
        dataset = await client.create_dataset("d")
        outcomes = [
            (await client.upload(dataset, name, jpeg(size))).status
            for name, size in [("a", 49_999), ("b", 50_000), ("n" * 255, 2000), ("m" * 256, 2000)]
        ]
        assert outcomes == [200, 500, 200, 500]
        # Nor is the rest of a large one waited for.
        head = upload_head(server, dataset, "x.jpg", "Content-Length: 9000000")
        async with raw_connection(server) as (reader, writer):
            writer.write(head + jpeg(50_000))
            assert (await reader.readline()).split()[1] == b"500"
        assert len(await client.names(dataset)) == 2
        assert len(_files(client)) == 2


async def test_a_full_plan_answers_402(client: Service, dataset: str) -> None:
    """The answer names what would be needed and the limit; deleting makes room."""
    client.server.set_plan(Plan(storage_limit_kb=5))
    first = await client.upload(dataset, "a.jpg", jpeg(2001))
    full = await client.upload(dataset, "b.jpg", jpeg(2001))
    assert (full.status, full.key) == (402, "ex_limit")
    assert full.fields["params"] == ["Storage", "6", "5"]
    assert len(_files(client)) == 1
    await client.ask("DELETE", f"/media/{first.fields['id']}")
    assert (await client.upload(dataset, "b.jpg", jpeg(2001))).status == 200


async def test_an_upload_makes_a_task_in_each_project(client: Service) -> None:
    """New media of an attached dataset wait in BACKLOG everywhere it is attached."""
    one, two = await client.server.seed(
        SeedProject("one", [SeedDataset("d", [SeedMedia("a.jpg", jpeg(2000))])]), SeedProject("two")
    )
    dataset = one.datasets[0].id
    await client.ask("POST", f"/project/{two.id}/dataset/{dataset}")
    await client.upload(dataset, "b.jpg", jpeg(2000))
    for project in (one, two):
        tasks = (await client.ask("GET", f"/task/{project.id}/list?state=BACKLOG")).items
        assert [task["mediaName"] for task in tasks] == ["a.jpg", "b.jpg"]
    await client.ask("DELETE", f"/project/{two.id}/dataset/{dataset}/remove")
    assert (await client.ask("GET", f"/task/{two.id}/list?state=BACKLOG")).items == []


async def test_a_reset_in_mid_body_is_survived(client: Service, dataset: str) -> None:
    """A connection that is reset, not closed, leaves nothing either."""
    server = client.server
    async with raw_connection(server) as (_, writer):
        writer.write(upload_head(server, dataset, "x.jpg", "Content-Length: 9999") + b"\xff\xd8")
        await until(lambda: server.statistics().in_flight == 1)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await until(lambda: server.statistics().in_flight == 0)
    assert _files(client) == []
