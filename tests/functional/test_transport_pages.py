"""Bodies in pages of the system, by both ways: the same bytes, the same failures, sent once."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from datagym_async._limits import Limits, LimitsConfig
from datagym_async._transport import AiohttpTransport, Timeout, check_base_url
from datagym_async._wire import Body, Lane, Pages, Pipes, Request, _pages
from datagym_async.exceptions import APIConnectionError, FileChangedError
from datagym_async.resources._media import file_body
from tests.helpers.paged import paged_bodies
from tests.helpers.raw_server import OK, Talk, raw_server, read_request
from tests.helpers.sentinel import TOKEN

pytestmark = [
    pytest.mark.usefixtures("both_ways"),
    pytest.mark.skipif(not hasattr(os, "splice"), reason="pages are moved on Linux alone"),
]

SPLICE: Any = getattr(os, "splice", None)


@pytest.fixture
def body_of() -> Iterator[Callable[[bytes], Body]]:
    """Return a function that returns bytes as a body in pages."""
    with paged_bodies() as made:
        yield made


async def outcomes(
    talk: Talk,
    bodies: list[Body],
    *,
    tls: trustme.CA | None = None,
    method: str = "POST",
    read: float = 60.0,
) -> list[int | bool]:
    """Return the status of each attempt, or whether the failed request may have been sent."""
    found: list[int | bool] = []
    context: ssl.SSLContext | None = None
    verify: ssl.SSLContext | bool = True
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.issue_cert("localhost").configure_cert(context)
        verify = ssl.create_default_context()
        tls.configure_trust(verify)
    async with raw_server(talk, context) as base_url:
        transport = AiohttpTransport(
            base_url=check_base_url(base_url),
            token=TOKEN,
            timeout=Timeout(read=read),
            verify=verify,
        )
        try:
            for body in bodies:
                request = Request(method, "media/1/file", body=body, lane=Lane.UPLOAD)
                try:
                    found.append((await transport.exchange(request)).status)
                except APIConnectionError as error:
                    found.append(error.request_sent)
        finally:
            await transport.aclose()
    return found


def keeping(arrived: list[bytes]) -> Talk:
    """Return a server that answers all requests, and keeps their bodies."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            arrived.append((await read_request(reader))[1])
            writer.write(OK)

    return talk


@pytest.mark.parametrize("size", [1, 40_000, 300_000, 960 << 10])
@pytest.mark.parametrize("way", ["plain", "tls"])
async def test_a_body_arrives_whole(body_of: Callable[[bytes], Body], size: int, way: str) -> None:
    """Three on one connection; with TLS they go through our memory, where they are encrypted."""
    arrived: list[bytes] = []
    contents = [os.urandom(size) for _ in range(3)]
    authority = trustme.CA() if way == "tls" else None
    assert await outcomes(keeping(arrived), [*map(body_of, contents)], tls=authority) == [200] * 3
    assert arrived == contents


@pytest.mark.parametrize("size", [40_000, 700_000])
@pytest.mark.parametrize("taken", [None, 1, 5000, 39_999])
async def test_what_a_socket_does_not_take_at_once_follows(
    body_of: Callable[[bytes], Body],
    monkeypatch: pytest.MonkeyPatch,
    taken: int | None,
    size: int,
    both_ways: str,
) -> None:
    """It is read into memory then, and sent as all bodies in memory are."""
    arrived: list[bytes] = []
    moved: list[int] = []
    content = os.urandom(size)
    body = body_of(content)

    def splice(source: int, to: int, _: int) -> int:
        if moved or taken is None:
            raise BlockingIOError
        moved.append(SPLICE(source, to, taken))
        return moved[-1]

    monkeypatch.setattr(os, "splice", splice)
    assert await outcomes(keeping(arrived), [body]) == [200]
    assert arrived == [content]
    assert moved == ([] if taken is None or both_ways == "plain" else [taken])


@pytest.mark.parametrize("failing", ["setsockopt", "writev", "half", "waiting"])
async def test_a_socket_that_takes_no_head_is_left_to_the_event_loop(
    body_of: Callable[[bytes], Body], monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """A full socket or one with others before us, half a head, no option that holds it back."""
    arrived: list[bytes] = []
    refused: list[object] = []

    def refuse(*asked: object) -> int:
        refused.append(asked)
        raise BlockingIOError

    def take_half(file: int, pieces: Sequence[bytes]) -> int:
        return os.write(file, b"".join(pieces)[:100])

    if failing == "writev":
        monkeypatch.setattr(os, "writev", refuse)
    elif failing == "half":
        monkeypatch.setattr(os, "writev", take_half)
        monkeypatch.setattr(Pages, "move", refuse)
    elif failing == "waiting":
        sockets = "asyncio.selector_events._SelectorSocketTransport"
        monkeypatch.setattr(f"{sockets}.get_write_buffer_size", lambda _: 1)
        monkeypatch.setattr(Pages, "move", refuse)
    else:
        monkeypatch.setattr("asyncio.trsock.TransportSocket.setsockopt", refuse)
    contents = [os.urandom(50_000), os.urandom(500_000)]
    assert await outcomes(keeping(arrived), [*map(body_of, contents)]) == [200, 200]
    assert arrived == contents
    assert failing not in {"half", "waiting"} or not refused


async def test_a_head_is_held_back_until_its_body_follows(
    body_of: Callable[[bytes], Body], monkeypatch: pytest.MonkeyPatch, both_ways: str
) -> None:
    """And no longer: what is held back waits for up to 0.2 seconds."""
    held: list[int] = []
    usual = socket.socket.setsockopt

    def set_option(under: TransportSocket, level: int, option: int, value: int) -> None:
        if option == socket.TCP_CORK:
            held.append(value)
        usual(under._sock, level, option, value)  # type: ignore[attr-defined]

    monkeypatch.setattr(TransportSocket, "setsockopt", set_option)
    arrived: list[bytes] = []
    contents = [os.urandom(50_000), os.urandom(500_000)]
    assert await outcomes(keeping(arrived), [*map(body_of, contents)]) == [200, 200]
    assert arrived == contents
    assert held == ([] if both_ways == "plain" else [1, 0, 1, 0])


async def test_a_second_attempt_reads_the_file(body_of: Callable[[bytes], Body]) -> None:
    """Stored, then the answer is lost: that is known, and the next attempt has the same bytes."""
    arrived: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append((await read_request(reader))[1])
        if len(arrived) > 1:
            writer.write(OK)

    content = os.urandom(100_000)
    body = body_of(content)

    assert await outcomes(talk, [body, body]) == [True, 200]
    assert arrived == [content, content]
    assert not body.is_at_hand


@pytest.mark.looptime
@pytest.mark.parametrize("size", [40_000, 600_000])
async def test_the_wait_for_an_answer_begins_when_the_pages_are_gone(
    body_of: Callable[[bytes], Body], size: int
) -> None:
    """A service that takes the body and says nothing is given up after `read` seconds."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await read_request(reader)
        await asyncio.sleep(10_000)

    assert await outcomes(talk, [body_of(b"x" * size)], read=7) == [True]
    assert 7 <= asyncio.get_running_loop().time() < 9


async def test_a_method_that_is_repeated_repeats_no_pages(
    body_of: Callable[[bytes], Body], both_ways: str
) -> None:
    """On a connection that was closed, others are sent again; aiohttp's session has our memory."""
    arrived: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append((await read_request(reader))[1])
        if len(arrived) == 1:
            writer.write(OK)
            await read_request(reader)

    bodies = [body_of(b"a" * 50_000), body_of(b"b" * 50_000)]
    assert await outcomes(talk, bodies, method="PUT") == [200, True]
    assert arrived == [b"a" * 50_000, *([b"b" * 50_000] if both_ways == "plain" else [])]


async def test_pages_that_no_attempt_has_taken_are_kept(
    body_of: Callable[[bytes], Body], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent without a connection, so the next attempt need not read the file."""
    arrived: list[bytes] = []
    body = body_of(b"x" * 100_000)
    connect = aiohttp.TCPConnector.connect

    async def refused(*_: object, **__: object) -> None:
        monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
        raise aiohttp.ClientConnectionError

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", refused)
    assert await outcomes(keeping(arrived), [body, body]) == [False, 200]
    assert body.pages is not None
    assert (arrived, body.pages.left) == ([b"x" * 100_000], 0)


async def test_bytes_that_the_system_has_lost_are_read_from_the_file(
    body_of: Callable[[bytes], Body], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a body was sent, so nothing can be stored; the next attempt sends all."""
    arrived: list[bytes] = []
    content = os.urandom(100_000)
    body = body_of(content)

    def lost(*_: object) -> bytes:
        monkeypatch.undo()
        raise OSError(errno.EIO, "the disk has failed")

    def blocked(*_: object) -> int:
        raise BlockingIOError

    with monkeypatch.context() as patch:
        patch.setattr(os, "splice", blocked)
        patch.setattr(os, "read", lost)
        assert await outcomes(keeping(arrived), [body, body]) == [False, 200]
    assert arrived == [content]


async def test_a_body_that_keeps_a_pace_is_taken_from_its_pages(
    body_of: Callable[[bytes], Body],
) -> None:
    """Once; the next attempt reads the file. The pipe is free for others after that."""
    content = os.urandom(100_000)
    body, pieces = body_of(content), []
    limits = Limits(LimitsConfig(upload_rate=1e9))
    for _ in range(2):
        paced = limits.outgoing(Lane.UPLOAD, body)
        assert paced.pages is None
        assert paced.open is not None
        async with paced.open() as source:
            pieces.append(b"".join([piece async for piece in source]))

    assert pieces == [content, content]
    assert body.pages is not None
    assert body.pages.left == 0


@pytest.mark.parametrize(("added", "outcome"), [(0, [200]), (1, FileChangedError)])
@pytest.mark.parametrize("pace", [None, 1e9])
async def test_a_file_that_was_written_to_while_its_pages_waited(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    added: int,
    outcome: list[int] | type[Exception],
    pace: float | None,
) -> None:
    """What is sent is the file at one moment, or nothing."""
    monkeypatch.setattr(_pages, "_FRESH_SECONDS", -1)
    arrived: list[bytes] = []
    path, pipes = tmp_path / "a", Pipes()
    path.write_bytes(b"x" * 50_000)
    try:
        with path.open("r+b") as file:
            pages = pipes.filled(file.fileno(), 50_000, str(path), path.stat().st_mtime_ns)
            file.write(b"y" * (50_000 + added))
        os.utime(path, ns=(1, 1))
        limits = Limits(LimitsConfig(upload_rate=pace))
        body = limits.outgoing(Lane.UPLOAD, file_body(path, 50_000, pages))
        if isinstance(outcome, list):
            assert await outcomes(keeping(arrived), [body]) == outcome
        else:
            with pytest.raises(outcome):
                await outcomes(keeping(arrived), [body])
    finally:
        pipes.close()
    assert arrived == ([] if added else [b"y" * 50_000])


@pytest.mark.parametrize("moment", range(12))
async def test_cancelled_at_any_moment_it_is_whole_or_gone(
    body_of: Callable[[bytes], Body], moment: int
) -> None:
    """The next attempt with the same body sends all of it."""
    arrived: list[bytes] = []
    content = os.urandom(600_000)
    body = body_of(content)

    async with raw_server(keeping(arrived)) as base_url:
        transport = AiohttpTransport(
            base_url=check_base_url(base_url), token=TOKEN, timeout=Timeout()
        )
        request = Request("POST", "media/1/file", body=body, lane=Lane.UPLOAD)
        try:
            task = asyncio.ensure_future(transport.exchange(request))
            for _ in range(moment):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
            assert body.pages is not None
            assert body.pages.left in {0, len(content)}
            assert (await transport.exchange(request)).status == 200
        finally:
            await transport.aclose()

    assert arrived[-1] == content
