"""The short way through aiohttp and its session: the same outcome, bytes and connections.

A request and a few answers are made up, cut anywhere, and exchanged by both ways; what is compared
is what each request ended with, what the service received, and how many connections it took.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async._transport import AiohttpTransport, Timeout, check_base_url
from datagym_async._wire import Body, Lane, Request
from datagym_async.exceptions import APIConnectionError, DataGymError
from tests.helpers.paged import paged_bodies
from tests.helpers.raw_server import raw_server, read_request
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Callable

STATUSES = ("200 OK", "201 Created", "204 No Content", "304 Not Modified", "404 Not Found", "500 X")
BODIES = (b"", b"{}", b'{"key":"ex_x"}', b"x" * 70_000)
BEFORE = (b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
BEHIND = (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"\x00nonsense")

Outcome = tuple[object, ...]


def chunked(body: bytes) -> bytes:
    """Return a body in chunks of at most 1,000 bytes."""
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool]:
    """Make the bytes of an answer up, and say whether the connection is closed behind it."""
    status = draw(st.sampled_from(STATUSES))
    body, fields = draw(st.sampled_from(BODIES)), [b"Content-Type: application/json"]
    if draw(st.booleans()):
        body = gzip.compress(body, mtime=0)
        fields.append(b"Content-Encoding: gzip")
    framing = draw(st.sampled_from(["length", "chunks", "end"]))
    closes = draw(st.booleans()) or framing == "end"
    if framing == "length":
        fields.append(b"Content-Length: %d" % len(body))
    elif framing == "chunks":
        fields.append(b"Transfer-Encoding: chunked")
        body = chunked(body)
    if closes and draw(st.booleans()):
        fields.append(b"Connection: close")
    text = draw(st.sampled_from(BEFORE)) + b"HTTP/1.1 %b\r\n" % status.encode()
    text += b"\r\n".join(fields) + b"\r\n\r\n" + body + draw(st.sampled_from(BEHIND))
    if draw(st.integers(0, 3)) == 0:
        text, closes = text[: draw(st.integers(0, len(text)))], True
    return text, closes


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Make a request up, as the routes make theirs."""
    method = draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]))
    if method in {"POST", "PUT"}:
        body = Body.of_bytes(b"b" * draw(st.sampled_from([0, 10, 65_536, 65_537, 600_000])))
        fields = {"X-filename": draw(st.sampled_from(["a.jpg", "a%20b.jpg", "x" * 200]))}
        return Request(method, "media/D/file", headers=fields, body=body, lane=Lane.UPLOAD)
    return Request(method, "task/P/list", query=draw(st.sampled_from([{}, {"state": "A B&c"}])))


def in_pages(asked: Request, body_of: Callable[[bytes], Body]) -> Request:
    """Return the same request, with the pages of a file as its body if it is an upload."""
    if asked.method != "POST" or asked.body is None or not asked.body.data:
        return asked
    return attrs.evolve(asked, body=body_of(asked.body.data))


async def exchanged(asked: list[Request], said: list[tuple[bytes, bool]]) -> list[Outcome]:
    """Return what some requests of one client end with, and what a service received."""
    heads: list[tuple[object, ...]] = []
    left = iter(said)

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            first, *fields = head.rstrip().split(b"\r\n")
            heads.append((first, sorted(each for each in fields if b"Host" not in each), len(body)))
            text, closes = next(left, (b"", True))
            writer.write(text)
            await writer.drain()
            if closes:
                return

    found: list[Outcome] = []
    async with raw_server(talk) as base_url:
        transport = AiohttpTransport(
            base_url=check_base_url(base_url), token=TOKEN, timeout=Timeout(read=5)
        )
        try:
            for request in asked:
                try:
                    answer = await transport.exchange(request)
                    found.append((answer.status, answer.body, answer.headers.get("content-type")))
                except DataGymError as error:
                    sent = isinstance(error, APIConnectionError) and error.request_sent
                    words = str(error).replace(base_url.rstrip("/"), "SERVICE")
                    found.append((type(error).__name__, sent, words))
                # What comes behind an answer is there before the next request looks.
                for _ in range(5):
                    await asyncio.sleep(0)
        finally:
            await transport.aclose()
    return [*found, *heads]


@settings(max_examples=300)
@given(
    asked=st.lists(requests(), min_size=1, max_size=3),
    said=st.lists(answers(), min_size=1, max_size=4),
)
def test_both_ways_end_alike(asked: list[Request], said: list[tuple[bytes, bool]]) -> None:
    """Outcome, kind of failure, and the bytes on the wire are those of aiohttp's session.

    So are those of bodies in pages of the system.
    """
    with pytest.MonkeyPatch.context() as patch:
        direct = asyncio.run(exchanged(asked, said))
        with paged_bodies() as body_of:
            paged = asyncio.run(exchanged([in_pages(each, body_of) for each in asked], said))
        patch.setenv("DATAGYM_TRANSPORT", "plain")
        plain = asyncio.run(exchanged(asked, said))

    assert direct == plain
    assert direct == paged


async def after_a_cancellation(moment: int, cut: int, size: int) -> tuple[bytes, int]:
    """Cancel a request at a moment; return what the next one is told, and tasks that are left."""
    before = asyncio.all_tasks()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            said = head.split(b" ")[1].rpartition(b"/")[2]  # each answer says what it is to
            text = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)
            writer.write(text[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(text[cut:])

    async with raw_server(talk) as base_url:
        transport = AiohttpTransport(
            base_url=check_base_url(base_url), token=TOKEN, timeout=Timeout(read=5)
        )
        try:
            await transport.exchange(Request("GET", "kept"))
            body = Body.of_bytes(b"b" * size) if size else None
            request = Request("POST" if size else "GET", "cancelled", body=body, lane=Lane.UPLOAD)
            task = asyncio.ensure_future(transport.exchange(request))
            for _ in range(moment):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
            answer = await transport.exchange(Request("GET", "next"))
        finally:
            await transport.aclose()
    return answer.body, len(asyncio.all_tasks() - before)


@settings(max_examples=150)
@given(
    moment=st.integers(0, 30),
    cut=st.integers(0, 60),
    size=st.sampled_from([0, 10, 70_000, 3_000_000]),
    way=st.sampled_from(["", "plain"]),
)
def test_a_cancelled_request_leaves_nothing_to_the_next(
    moment: int, cut: int, size: int, way: str
) -> None:
    """Cancelled at any moment, by either way: the next one gets its own answer, no task stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATAGYM_TRANSPORT", way)
        answer, tasks = asyncio.run(after_a_cancellation(moment, cut, size))

    assert (answer, tasks) == (b"next", 0)
