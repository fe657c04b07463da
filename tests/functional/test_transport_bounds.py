"""What a service sends that never ends, or that nobody has asked for."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from datagym_async import DataGymClient
from datagym_async._transport import AiohttpTransport, Timeout, check_base_url
from datagym_async._wire import MAX_ERROR, Request
from datagym_async.exceptions import (
    APIResponseValidationError,
    APITimeoutError,
    NotFoundError,
)
from tests.helpers.raw_server import OK, Talk, raw_server, read_request
from tests.helpers.sentinel import TOKEN

pytestmark = pytest.mark.usefixtures("both_ways")

READ = Request("GET", "dataset")
MIB = 1 << 20
ENDLESS = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n\r\n"


@asynccontextmanager
async def transport_to(talk: Talk, **timeout: float) -> AsyncIterator[AiohttpTransport]:
    async with raw_server(talk) as base_url:
        transport = AiohttpTransport(
            base_url=check_base_url(base_url), token=TOKEN, timeout=Timeout(**timeout)
        )
        try:
            yield transport
        finally:
            await transport.aclose()


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Fail where the block takes more memory at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def endless(status: int, start: bytes = b"", piece: bytes = b" " * MIB) -> Talk:
    """Return a server whose answer never ends."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ENDLESS % status + start)
        while True:
            writer.write(piece)
            await writer.drain()

    return talk


def bomb(status: int) -> Talk:
    """Return a server that packs 100 MiB into 100 kB."""
    packed = gzip.compress(bytes(50 * MIB)) * 2

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = b"HTTP/1.1 %d X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (status, len(packed)) + packed)

    return talk


@pytest.mark.parametrize("server", [endless, bomb])
async def test_a_value_that_never_ends_is_given_up(server: Callable[[int], Talk]) -> None:
    """An answer that is read whole is read up to its bound, unpacked, and then refused."""
    request = Request("GET", "project", max_bytes=4 * MIB)
    async with transport_to(server(200)) as transport:
        with at_most(16 * MIB), pytest.raises(APIResponseValidationError) as raised:
            await transport.exchange(request)

    assert "GET project" in str(raised.value)
    assert "more than 4,194,304 bytes" in str(raised.value)


@pytest.mark.parametrize("server", [endless, bomb])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "opened"])
async def test_an_error_that_never_ends_is_cut(server: Callable[[int], Talk], whole: bool) -> None:
    """An error is what its status says, and its body is read up to 1 MiB."""
    async with transport_to(server(404)) as transport:
        with at_most(8 * MIB):
            if whole:
                answer = await transport.exchange(READ)
            else:
                async with transport.send(READ) as opened:
                    answer = await opened.whole(READ)

    assert answer.status == 404
    assert len(answer.body) == MAX_ERROR


async def test_what_a_cut_error_says_is_used() -> None:
    """The words of an error count, whatever comes behind them."""
    said = b'{"key":"ex_notfound","params":["Project","id","1"]}'
    async with (
        raw_server(endless(404, said)) as base_url,
        DataGymClient(token=TOKEN, base_url=base_url) as client,
    ):
        with pytest.raises(NotFoundError) as raised:
            await client.projects.list()

    assert raised.value.params == ("Project", "id", "1")


async def test_a_bomb_that_is_streamed_comes_in_pieces() -> None:
    """Who reads an answer piece by piece never has more of it in memory than some pieces."""
    async with transport_to(bomb(200)) as transport:
        with at_most(8 * MIB):
            async with transport.send(READ) as opened:
                sizes = [len(chunk) async for chunk in opened.chunks]

    assert sum(sizes) == 100 * MIB
    assert max(sizes) <= 64 * 1024


def dripping(status: int, *, every: float, piece: bytes = b" ") -> Talk:
    """Return a server whose answer comes a piece at a time, for ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ENDLESS % status + b"[")
        while True:
            writer.write(piece)
            await asyncio.sleep(every)

    return talk


@pytest.mark.looptime
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
async def test_an_answer_that_drips_is_given_up(status: int, whole: bool) -> None:
    """Less than `read_rate` over two minutes of waiting is no answer, of whatever kind."""
    async with transport_to(dripping(status, every=1)) as transport:
        with pytest.raises(APITimeoutError, match=r"less than 1,000 bytes a second.*read_rate"):
            await _read(transport, whole=whole)

        assert 119 <= asyncio.get_running_loop().time() <= 122


async def _read(transport: AiohttpTransport, *, whole: bool) -> None:
    if whole:
        await transport.exchange(READ)
        return
    async with transport.send(READ) as opened:
        async for _ in opened.chunks:
            pass


@pytest.mark.looptime
async def test_a_slow_answer_is_read_for_as_long_as_it_keeps_the_pace() -> None:
    """What comes at the least pace is read to its end, however long that takes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(100):
            await asyncio.sleep(50)
            writer.write(bytes(10_000))

    async with transport_to(talk, read_rate=150) as transport:
        answer = await transport.exchange(READ)

    assert len(answer.body) == 1_000_000
    assert asyncio.get_running_loop().time() >= 5000


@pytest.mark.looptime
async def test_a_slow_reader_is_no_slow_answer() -> None:
    """Time that the caller takes for the pieces is not the service's."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            writer.write(b"x")
            await asyncio.sleep(5)

    arrived = b""
    async with transport_to(talk) as transport, transport.send(READ) as opened:
        async for chunk in opened.chunks:
            arrived += chunk
            await asyncio.sleep(1_000)

    assert arrived == b"x" * 10


@pytest.mark.looptime
@pytest.mark.parametrize("call", ["iter_export", "tasks", "parts", "export"])
async def test_calls_end_under_a_drip(call: str) -> None:
    """Listings, exports and task lists that drip end by themselves, streamed or not."""
    async with raw_server(dripping(200, every=1)) as base_url:
        async with DataGymClient(token=TOKEN, base_url=base_url) as client:
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "iter_export": lambda: _drain(client.labels.iter_export("1")),
                "tasks": lambda: _drain(client.tasks.iter("1")),
                "parts": lambda: _drain(client.datasets.iter_parts()),
                "export": lambda: client.labels.export("1"),
            }
            with pytest.raises(APITimeoutError):
                await calls[call]()

        assert asyncio.get_running_loop().time() <= 800


async def _drain(items: AsyncIterator[object]) -> None:
    async for _ in items:
        pass


@pytest.mark.parametrize("late", [False, True], ids=["at once", "while idle"])
async def test_an_answer_that_nobody_asked_for_is_no_other_call_s(late: bool) -> None:
    """A second answer on a connection closes it: the next request is answered by its own."""
    connections = 0
    foreign = OK.replace(b"\r\n\r\n{}", b"\r\n\r\n[]")
    sent = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        if not late:
            writer.write(OK + foreign)
        else:
            writer.write(OK)
            await sent.wait()
            writer.write(foreign)
        while await reader.read(1000):
            writer.write(foreign)

    async with transport_to(talk) as transport:
        first = await transport.exchange(READ)
        sent.set()
        for _ in range(100):  # time for what has been sent to come in
            await asyncio.sleep(0)
        second = await transport.exchange(READ)

    assert (first.body, second.body) == (b"{}", b"{}")
    assert connections == 2


async def test_an_answer_announced_before_it_is_one_answer() -> None:
    """Interim answers belong to the one that follows, and the connection stays."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(3):
            await read_request(reader)
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK)

    async with transport_to(talk) as transport:
        bodies = [(await transport.exchange(READ)).body for _ in range(3)]

    assert bodies == [b"{}"] * 3
    assert connections == 1


@pytest.mark.parametrize("way", ["download", "download_to", "stream"])
async def test_a_media_that_never_ends_is_left_at_max_bytes(way: str, tmp_path: Path) -> None:
    """The error names bound and option, memory holds no more than that, and no file is left."""
    picture = endless(200, b"\xff\xd8\xff", bytes(MIB))
    async with (
        raw_server(picture) as base_url,
        DataGymClient(token=TOKEN, base_url=base_url, dialect="media") as client,
    ):
        with (
            at_most(24 * MIB),
            pytest.raises(
                APIResponseValidationError, match="more than 4,194,304 bytes; max_bytes="
            ),
        ):
            await _fetch(client, way, tmp_path / "a.jpg")

    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def _fetch(client: DataGymClient, way: str, path: Path) -> None:
    if way == "download":
        await client.media.download("1", max_bytes=4 * MIB)
    elif way == "download_to":
        await client.media.download_to("1", path, max_bytes=4 * MIB)
    else:
        async with client.media.stream("1", max_bytes=4 * MIB) as chunks:
            async for _ in chunks:
                pass
