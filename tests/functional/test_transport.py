"""The aiohttp adapter against a loopback server that misbehaves byte by byte."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import hdrs

from datagym_async._transport import AiohttpTransport, Timeout, check_base_url, check_token
from datagym_async._wire import Body, Lane, Request, Response
from datagym_async.exceptions import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    FileChangedError,
)
from tests.helpers.raw_server import OK, Talk, no_longer_http, raw_server, read_head, read_request
from tests.helpers.sentinel import TOKEN, contains_sentinel

pytestmark = pytest.mark.usefixtures("both_ways")

READ = Request("GET", "dataset")
BIG = 3 * 1024 * 1024


def upload(data: bytes) -> Request:
    return Request("POST", "media/1/file", body=Body.of_bytes(data), lane=Lane.UPLOAD)


@asynccontextmanager
async def transport_to(
    talk: Talk, *, allow_private_store: bool = False, **timeout: float
) -> AsyncIterator[AiohttpTransport]:
    async with raw_server(talk) as base_url:
        transport = AiohttpTransport(
            base_url=check_base_url(base_url),
            token=TOKEN,
            timeout=Timeout(**timeout),
            allow_private_store=allow_private_store,
        )
        try:
            yield transport
        finally:
            await transport.aclose()


async def send(transport: AiohttpTransport, request: Request) -> Response:
    return await transport.exchange(request)


async def given_up(transport: AiohttpTransport, request: Request) -> tuple[APITimeoutError, float]:
    """Return how a request that is not answered in time ends, and when."""
    with pytest.raises(APITimeoutError) as raised:
        await send(transport, request)
    return raised.value, asyncio.get_running_loop().time()


async def test_what_is_sent() -> None:
    """A request goes to api/v1 with token, type and length, and its body arrives whole."""
    seen: list[tuple[bytes, bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)

    body = bytes(range(256)) * 4096
    async with transport_to(talk) as transport:
        response = await send(transport, upload(body))

    head, received = seen[0]
    assert response.status == 200
    assert response.body == b"{}"
    assert head.startswith(b"POST /api/v1/media/1/file HTTP/1.1\r\n")
    assert f"Authorization: Token {TOKEN}\r\n".encode() in head
    assert b"Content-Type: application/octet-stream\r\n" in head
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    assert b"chunked" not in head
    assert received == body


async def test_a_request_may_ask_for_another_coding() -> None:
    """Its own field replaces the usual one, which all others have."""
    accepted: list[list[bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            lines = (await read_request(reader))[0].split(b"\r\n")
            accepted.append([line for line in lines if line.lower().startswith(b"accept-enc")])
            writer.write(OK)

    async with transport_to(talk) as transport:
        await send(transport, Request("GET", "dataset", headers={"Accept-Encoding": "identity"}))
        await send(transport, READ)

    usual = aiohttp.ClientRequest.DEFAULT_HEADERS[hdrs.ACCEPT_ENCODING]  # zstd, too, from 3.14 on
    assert accepted == [[b"Accept-Encoding: identity"], [f"Accept-Encoding: {usual}".encode()]]


async def test_an_empty_body_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.12 on, asyncio would send an empty piece for ever, so it never gets one."""
    pieces: list[bytes] = []

    def writelines(self: asyncio.WriteTransport, chunks: list[bytes]) -> None:
        pieces.extend(chunks)
        self.write(b"".join(chunks))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, received = await read_request(reader)
            writer.write(OK if not received else b"")

    # The one class of sockets that asyncio has on all systems but Windows.
    sockets = "asyncio.selector_events._SelectorSocketTransport"
    monkeypatch.setattr(f"{sockets}.writelines", writelines)
    async with transport_to(talk) as transport:
        for _ in range(2):
            assert (await send(transport, upload(b""))).body == b"{}"

    assert all(pieces)


@pytest.mark.skipif(
    asyncio.selector_events._SelectorSocketTransport.writelines  # type: ignore[attr-defined]
    is not asyncio.WriteTransport.writelines,
    reason="this asyncio makes no copy of pieces",
)
@pytest.mark.parametrize("taken", [None, 0, 1, 40, 100_000])
async def test_what_a_socket_does_not_take_at_once_follows(
    monkeypatch: pytest.MonkeyPatch, taken: int | None, both_ways: str
) -> None:
    """Pieces go to the socket without a copy; what it refuses or leaves is left to asyncio."""
    arrived: list[bytes] = []
    written: list[int] = []
    body = bytes(range(256)) * 800

    def writev(file: int, pieces: Sequence[bytes]) -> int:
        if taken is None:
            raise BlockingIOError
        written.append(os.write(file, b"".join(pieces)[:taken]))
        return written[-1]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            arrived.append((await read_request(reader))[1])
            writer.write(OK)

    monkeypatch.setattr(os, "writev", writev)
    async with transport_to(talk) as transport:
        for _ in range(2):
            assert (await send(transport, upload(body))).status == 200

    assert arrived == [body, body]
    assert written == ([] if taken is None or both_ways == "plain" else [taken, taken])


async def test_a_connection_is_used_again() -> None:
    """Answers read to their end leave the connection for the next request."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(OK)

    async with transport_to(talk) as transport:
        for _ in range(5):
            await send(transport, READ)

    assert connections == 1


HEAD = OK.removesuffix(b"{}")
ANSWERS: list[tuple[str, list[bytes], int, bytes]] = [
    ("GET", [HEAD + b"aa"], 200, b"aa"),
    ("GET", [HEAD + b"bb"], 200, b"bb"),
    ("HEAD", [HEAD], 200, b""),
    ("GET", [HEAD + b"cc"], 200, b"cc"),
    ("GET", [HEAD + b"d", b"d"], 200, b"dd"),
    ("GET", [HEAD[:20], HEAD[20:] + b"ee"], 200, b"ee"),
    ("GET", [b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"ff"], 200, b"ff"),
    ("GET", [b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
    ("GET", [HEAD.replace(b"200 OK", b"404 No") + b"gg"], 404, b"gg"),
    ("GET", [HEAD + b"hh"], 200, b"hh"),
]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_with_the_head_of_an_earlier_one(streamed: bool) -> None:
    """What was learnt of a head holds for the same bytes alone, however they come."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _, pieces, _, _ in ANSWERS:
            await read_request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        await read_request(reader)
        writer.write(HEAD + b"ii" + HEAD + b"no")

    async with transport_to(talk) as transport:
        for method, _, status, body in [*ANSWERS, ("GET", [], 200, b"ii"), ANSWERS[0]]:
            request = Request(method, "dataset")
            if streamed:
                async with transport.send(request) as answer:
                    found = answer.status, (await answer.whole(request)).body
            else:
                response = await send(transport, request)
                found = response.status, response.body
            assert found == (status, body)

    assert connections == 2


async def test_a_body_cut_short_is_known_to_be() -> None:
    """When the service hangs up in mid-body, the error says that nothing can be stored."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await reader.readexactly(1000)
        writer.transport.abort()

    async with transport_to(talk) as transport:
        with pytest.raises(APIConnectionError) as raised:
            await send(transport, upload(b"x" * BIG * 10))

    assert not raised.value.request_sent


async def test_a_lost_answer_is_known_to_be() -> None:
    """When the service takes the whole body and hangs up, the error says it may be stored."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    async with transport_to(talk) as transport:
        with pytest.raises(APIConnectionError) as raised:
            await send(transport, upload(b"x" * BIG))

    assert raised.value.request_sent


async def test_a_refused_connection_sent_nothing() -> None:
    """Nobody listens: the error names the address and says that nothing was sent."""
    async with raw_server(lambda *_: asyncio.sleep(0)) as base_url:
        pass
    transport = AiohttpTransport(base_url=base_url, token=TOKEN, timeout=Timeout())
    with pytest.raises(
        APIConnectionError, match=r"Cannot connect to http://127\.0\.0\.1"
    ) as raised:
        await send(transport, upload(b"x"))
    await transport.aclose()

    assert not raised.value.request_sent


async def test_an_early_refusal_is_read() -> None:
    """An answer that comes before the body was taken is the answer, whatever was left to send."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        while await reader.read(65536):
            pass

    async with transport_to(talk) as transport:
        response = await send(transport, upload(b"x" * BIG * 4))

    assert response.status == 400


async def test_a_truncated_answer_is_an_error() -> None:
    """An answer shorter than announced is never taken for a whole one."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")

    async with transport_to(talk) as transport:
        with pytest.raises(APIConnectionError, match="was cut off"):
            await send(transport, READ)


async def test_a_body_that_is_no_longer_http_is_an_error_at_once() -> None:
    """A chunk that cannot be read ends its answer, also after the head; it is not waited for."""
    head_was_read = asyncio.Event()
    talk = no_longer_http(head_was_read)
    async with transport_to(talk) as transport, transport.send(READ) as answer:
        assert await anext(answer.chunks) == b"["
        head_was_read.set()
        with pytest.raises(APIConnectionError, match=r"The connection to .* broke"):
            await anext(answer.chunks)


@pytest.mark.looptime
async def test_silence_ends_with_the_read_timeout() -> None:
    """A service that takes the request and says nothing is given up after `read` seconds."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(10_000)

    async with transport_to(talk, read=7) as transport:
        error, now = await given_up(transport, READ)

    assert error.request_sent
    assert 7 <= now < 9


@pytest.mark.looptime
async def test_silence_in_mid_answer_ends_with_the_read_timeout() -> None:
    """An answer that stops before its end is given up, and its connection is not used again."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        await asyncio.sleep(10_000)

    async with transport_to(talk, read=7) as transport:
        for attempt in (1, 2):
            with pytest.raises(APITimeoutError, match="stopped sending its answer"):
                await send(transport, READ)
            assert 7 * attempt <= asyncio.get_running_loop().time() < 7 * attempt + 2

    assert connections == 2


@pytest.mark.looptime
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
async def test_an_answer_that_goes_on_is_waited_for(whole: bool) -> None:
    """An answer whose bytes come one by one may take longer than the read timeout in all."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for byte in b"slow":
            await asyncio.sleep(5)
            writer.write(bytes([byte]))

    async with transport_to(talk, read=7) as transport:
        if whole:
            body = (await transport.exchange(READ)).body
        else:
            async with transport.send(READ) as streamed:
                body = b"".join([piece async for piece in streamed.chunks])

    assert body == b"slow"
    assert asyncio.get_running_loop().time() >= 25


@pytest.mark.looptime
async def test_a_body_that_goes_out_is_no_silence() -> None:
    """The wait for an answer begins when the body of a call has gone out, not before."""

    @asynccontextmanager
    async def slow() -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(4):
                await asyncio.sleep(5)
                yield b"x"

        yield chunks()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_request(reader)
        if body:
            await asyncio.sleep(10_000)

    request = Request("POST", "task/import", body=Body(size=4, open=slow))
    async with transport_to(talk, read=7) as transport:
        error, now = await given_up(transport, request)

    assert error.request_sent
    assert 27 <= now < 29


@pytest.mark.looptime
async def test_an_upload_ends_whatever_drips() -> None:
    """The time of an upload holds for its answer, too, even for one that never stops coming."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while True:
            await asyncio.sleep(1)
            writer.write(b" ")

    async with transport_to(talk, upload=20) as transport:
        error, now = await given_up(transport, upload(b"x"))

    assert error.request_sent
    assert 20 <= now < 22


@pytest.mark.looptime
async def test_a_foreign_url_is_not_waited_for_for_ever() -> None:
    """The read timeout holds for pre-signed URLs as well."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await asyncio.sleep(10_000)

    async with (
        transport_to(talk, read=7, allow_private_store=True) as transport,
        raw_server(talk) as foreign,
    ):
        with pytest.raises(APITimeoutError):
            async with transport.fetch(foreign):
                pass
        assert 7 <= asyncio.get_running_loop().time() < 9


@pytest.mark.parametrize("size", [0, 5, 300_000])
async def test_a_whole_answer_leaves_its_connection(size: int) -> None:
    """An answer of any length read in one piece gives its connection back at once."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

    async with transport_to(talk) as transport:
        found = [len((await transport.exchange(READ)).body) for _ in range(5)]

    assert found == [size] * 5
    assert connections == 1


async def test_a_stream_that_ended_holds_nobody() -> None:
    """What read a stream to its end is let go at once, not when garbage is collected."""

    class Caller:
        """Something that a caller holds."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)

    async def read(transport: AiohttpTransport, *held: Caller) -> None:
        assert len(held) == 1
        async with transport.send(READ) as streamed:
            assert [piece async for piece in streamed.chunks] == [b"{}"]

    async with transport_to(talk) as transport:
        gc.disable()
        try:
            caller = Caller()
            gone = weakref.ref(caller)
            await read(transport, caller)
            del caller
            assert gone() is None
        finally:
            gc.enable()


async def test_an_answer_left_early_gives_its_connection_up() -> None:
    """What was not read is in nobody's way: the next request gets a connection of its own."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + bytes(5_000_000))
        await writer.drain()

    async with transport_to(talk) as transport:
        for _ in range(2):
            async with transport.send(READ) as streamed:
                await anext(aiter(streamed.chunks))

    assert connections == 2


@pytest.mark.looptime
async def test_an_upload_is_given_time_by_its_size() -> None:
    """An upload that the service does not take ends after its base time plus that of its bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await asyncio.sleep(10_000)

    async with transport_to(talk, upload=5, upload_rate=BIG) as transport:
        error, now = await given_up(transport, upload(b"x" * BIG * 10))

    assert not error.request_sent
    assert 15 <= now < 17


async def test_an_error_of_the_body_comes_out_as_it_is() -> None:
    """A file that changes while it is read is that error, and the service stores nothing."""
    closed = False

    @asynccontextmanager
    async def changing() -> AsyncIterator[AsyncIterator[bytes]]:
        nonlocal closed

        async def chunks() -> AsyncIterator[bytes]:
            yield b"x" * 1000
            msg = "photo.jpg shrank"
            raise FileChangedError(msg)

        try:
            yield chunks()
        finally:
            closed = True

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)

    request = Request("POST", "media/1/file", body=Body(size=5000, open=changing))
    async with transport_to(talk) as transport:
        with pytest.raises(FileChangedError, match=r"photo\.jpg shrank"):
            await send(transport, request)

    assert closed


async def test_the_token_stays_at_home() -> None:
    """A foreign URL is asked without the token, and its redirects are followed without it."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        heads.append(head)
        if head.startswith(b"GET /video"):
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(OK)

    async with raw_server(talk) as foreign:
        transport = AiohttpTransport(base_url=foreign, token=TOKEN, timeout=Timeout())
        async with transport.fetch(f"{foreign}video?signature=abc") as streamed:
            body = (await streamed.whole(Request("GET", "video"))).body
        await transport.aclose()

    assert body == b"{}"
    assert len(heads) == 2
    assert TOKEN.encode() not in b"".join(heads)


async def test_credentials_of_the_netrc_file_do_not_stand_beside_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry of ~/.netrc for the service's host neither goes out nor disturbs."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await read_request(reader))[0])
            writer.write(OK)

    async with raw_server(talk) as base_url:
        transport = AiohttpTransport(base_url=base_url, token=TOKEN, timeout=Timeout())
        await transport.exchange(Request("GET", "project"))
        await transport.exchange(Request("POST", "dataset", body=Body.of_bytes(b"{}")))
        await transport.aclose()

    for head in heads:
        assert re.findall(rb"(?im)^authorization: *(.*?)\r$", head) == [f"Token {TOKEN}".encode()]
    assert len(heads) == 2


async def test_no_failure_holds_the_token() -> None:
    """No error, cause or context of a failed request holds the token."""
    talks: list[Talk] = []

    async def abort(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    talks += [abort, garbage]
    for talk in talks:
        async with transport_to(talk) as transport:
            with pytest.raises(APIConnectionError) as raised:
                await send(transport, upload(b"x"))
            assert not contains_sentinel(raised.value)
            assert raised.value.__cause__ is None
            assert raised.value.__context__ is None
            assert TOKEN not in repr(transport)


async def test_a_session_of_the_callers_is_used_and_not_closed() -> None:
    """An injected aiohttp session stays open when the transport is closed."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)

    async with raw_server(talk) as base_url, aiohttp.ClientSession() as http:
        transport = AiohttpTransport(
            base_url=base_url, token=TOKEN, timeout=Timeout(), session=http
        )
        await send(transport, READ)
        await transport.aclose()

        assert not http.closed


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ("https://app.datagym.ai", "https://app.datagym.ai/"),
        ("https://app.datagym.ai/", "https://app.datagym.ai/"),
        (" http://127.0.0.1:8080 ", "http://127.0.0.1:8080/"),
        ("https://x.test/datagym//", "https://x.test/datagym/"),
        ("https://x.test/datagym/api/v1/", "https://x.test/datagym/"),
        ("https://x.test/api/v1", "https://x.test/"),
        ("https://bücher.test/ü/api/v1", "https://xn--bcher-kva.test/%C3%BC/"),
    ],
)
def test_addresses_are_brought_into_one_form(given: str, checked: str) -> None:
    """A base URL ends with one slash and without api/v1."""
    assert check_base_url(given) == checked


@pytest.mark.parametrize(
    "given",
    [
        "",
        "app.datagym.ai",
        "ftp://x.test",
        "https://",
        "https://a..b",
        f"https://{'a' * 64}.test",
        f"https://ü{'a' * 60}.test",
        "http://127.1:8080",
        f"https://u:{TOKEN}@x.test",
        f"https://x.test?token={TOKEN}",
    ],
)
def test_addresses_that_cannot_be_used_are_named(given: str) -> None:
    """A wrong base URL is refused with a way out, and a secret in it is not repeated."""
    with pytest.raises(ConfigurationError, match="base_url") as raised:
        check_base_url(given)

    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("given", ["", "  ", f"{TOKEN} {TOKEN}", f"{TOKEN}\n{TOKEN}", f"{TOKEN}ü"])
def test_tokens_that_cannot_be_sent_are_refused_unseen(given: str) -> None:
    """A token that is empty or no header is refused, and not repeated."""
    with pytest.raises(ConfigurationError, match="token") as raised:
        check_token(given)

    assert TOKEN not in str(raised.value)
