"""Answers that no service gives, byte by byte: heads, framing, bodies, encodings, drips, floods."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

from tests.helpers.raw_server import Talk, read_request

Say: TypeAlias = "bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]"

JSON = "Content-Type: application/json"
_MB = 1_000_000


def answering(say: Say) -> Talk:
    """Return a talk that reads a request and gives one answer, whatever was asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if isinstance(say, bytes):
            writer.write(say)
            await writer.drain()
        else:
            await say(writer)

    return talk


def answer(body: bytes = b"", *fields: str, status: str = "200 OK", length: bool = True) -> bytes:
    """Return an answer; without a length its body ends with the connection."""
    lines = [f"HTTP/1.1 {status}", *fields]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(text: bytes, *fields: str) -> bytes:
    """Return an answer whose chunks are written as given."""
    return answer(text, JSON, "Transfer-Encoding: chunked", *fields, length=False)


def _json(text: bytes, status: str = "200 OK") -> bytes:
    return answer(text, JSON, status=status)


def _error(params: bytes, *, key: bytes = b'"ex_x"', status: str = "400 Bad Request") -> bytes:
    return _json(b'{"key":%b,"params":%b,"code":400,"details":%b}' % (key, params, params), status)


def _packed(text: bytes, kind: str = "gzip") -> bytes:
    data = gzip.compress(text, 1) if kind == "gzip" else zlib.compress(text, 1)
    return answer(data, JSON, f"Content-Encoding: {kind}")


# --- what goes on ------------------------------------------------------------------------------


def endless(start: bytes, piece: bytes) -> Say:
    """Return what sends a beginning, and then the same without an end."""

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()

    return say


def dripping(start: bytes, drop: bytes, *, every: float = 45.0) -> Say:
    """Return what sends a beginning, and then a byte or two now and then."""

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            await asyncio.sleep(every)
            writer.write(drop)
            await writer.drain()

    return say


def _stalling(start: bytes) -> Say:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await asyncio.sleep(86_400)

    return say


async def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


# --- the table ---------------------------------------------------------------------------------


def _first_lines() -> Iterator[tuple[str, Say]]:
    lines = ["hello", "HTTP/9.9 200 OK", "HTTP/1.1 abc OK", "HTTP/1.1 99 Low", "HTTP/1.1 1000 High"]
    lines += ["HTTP/1.1 -1 No", "HTTP/1.1", "SSH-2.0-OpenSSH_9.6", "HTTP/1.1 200" + " " * 9000, ""]
    for line in lines:
        yield f"first line {line[:20]!r}", f"{line}\r\nContent-Length: 2\r\n\r\n[]".encode()
    yield "a long reason", answer(b"[]", JSON, status=f"200 {'x' * 100_000}")
    yield "tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)
    yield "http/2", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff"
    yield "an old version", b"HTTP/1.0 200 OK\r\n\r\n[]"
    for status in ("100 Continue", "101 Switching Protocols", "103 Early Hints", "150 What"):
        yield f"only {status}", answer(status=status, length=False)
    yield "many 100", b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + _json(b"[]")


def _statuses() -> Iterator[tuple[str, Say]]:
    statuses = ["203 Some", "204 No Content", "205 Reset", "206 Partial", "226 IM Used", "299 Odd"]
    statuses += ["300 Many", "304 Same", "305 Proxy", "399 Odd", "401 Who", "402 Pay", "407 Proxy"]
    statuses += ["408 Late", "410 Gone", "418 Teapot", "429 Slow", "451 Law", "499 Odd", "500 Oh"]
    statuses += [
        "502 Bad",
        "503 Busy",
        "504 Late",
        "507 Full",
        "511 Login",
        "599 Odd",
        "999 Denied",
    ]
    for status in statuses:
        yield f"status {status}", answer(b"[]", JSON, status=status)


def _heads() -> Iterator[tuple[str, Say]]:
    fields = {
        "a nul": "X-A: \0",
        "no colon": "no colon at all",
        "a blank name": " : x",
        "a huge field": "X-A: " + "x" * 1_000_000,
        "ten thousand fields": "\r\n".join(f"X-{n}: {n}" for n in range(10_000)),
        "a folded field": "X-A: a\r\n b\r\n\tc",
        "no ascii": "X-A: \xe4\xff\x80",
        "two lengths": "Content-Length: 1\r\nContent-Length: 3",
        "a negative length": "Content-Length: -1",
        "a length of a text": "Content-Length: many",
        "a length of 2^64": "Content-Length: 18446744073709551616",
        "length and chunks": "Transfer-Encoding: chunked",
        "an unknown transfer": "Transfer-Encoding: wormhole",
        "chunked twice": "Transfer-Encoding: chunked, chunked",
        "a flood of cookies": "\r\n".join(f"Set-Cookie: c{n}={'x' * 500}" for n in range(90)),
        "a type that is none": "Content-Type: \xff;;;charset=\xff",
        "another charset": "Content-Type: application/json; charset=utf-7",
        "an unknown encoding": "Content-Encoding: wormhole",
        "an unpacked gzip": "Content-Encoding: gzip",
        "an unpacked deflate": "Content-Encoding: deflate",
        "many encodings": "Content-Encoding: " + ", ".join(["gzip"] * 50),
        "an upgrade": "Connection: upgrade\r\nUpgrade: websocket",
        "a date beyond": "Date: Fri, 31 Dec 10000 12:00:30 GMT",
        "a pause beyond": 'RateLimit: "x";r=0;t=1e308',
        "an old pause beyond": "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1e400",
        "open quotes": 'RateLimit: "' + '\\"' * 2000,
    }
    for name, field in fields.items():
        yield f"head: {name}", answer(b"[]", JSON, field, length="ength" not in name)
    for late in (
        "Fri, 31 Dec 10000 12:00:30 GMT",
        "Mon, 23 Nov 2026 12:00:30 +9999999999",
        "9" * 999,
    ):
        for status in ("429 Slow", "503 Busy", "301 Moved"):
            yield f"{status}, later {late[:9]}", answer(b"", f"Retry-After: {late}", status=status)
    for place in ("http://[::1", "http://a..b/", f"http://{'a' * 70}.b/", "//", "\xff", "x" * 7000):
        yield f"redirect to {place[:12]!r}", answer(b"", f"Location: {place}", status="302 Found")


def _framing() -> Iterator[tuple[str, Say]]:
    yield "nothing", b""
    yield "a reset", _reset
    yield "half a head", b"HTTP/1.1 200 OK\r\nContent-Le"
    yield "half a body", answer(b"[]", JSON, "Content-Length: 1000", length=False)
    yield "more than announced", answer(b'[]{"more":1}', JSON, "Content-Length: 2", length=False)
    yield "no length", answer(b"[]", JSON, length=False)
    yield "two answers", _json(b"[]") * 2
    for name, text in {
        "no size": b"ZZ\r\n[]\r\n0\r\n\r\n",
        "a negative size": b"-2\r\n[]\r\n0\r\n\r\n",
        "a size of 2^64": b"10000000000000000\r\n[]",
        "no line end": b"2\r\n[]0\r\n\r\n",
        "a long extension": b"2;" + b"x" * _MB + b"\r\n[]\r\n0\r\n\r\n",
        "no last one": b"2\r\n[]\r\n",
        "odd trailers": b"2\r\n[]\r\n0\r\n\xff\0: \r\n: x\r\n\r\n",
        "many trailers": b"2\r\n[]\r\n0\r\n" + b"X-A: x\r\n" * 50_000 + b"\r\n",
        "a byte each": b"1\r\n[\r\n" + b"1\r\n \r\n" * 20_000 + b"1\r\n]\r\n0\r\n\r\n",
        "bare line feeds": b"2\n[]\n0\n\n",
    }.items():
        yield f"chunks: {name}", chunked(text)


def _bodies() -> Iterator[tuple[str, Say]]:
    for name, text in {
        "empty": b"",
        "blanks": b" " * 100_000,
        "null": b"null",
        "a number": b"7",
        "a text": b'"x"',
        "an empty object": b"{}",
        "a list of nulls": b"[" + b"null," * 50_000 + b"null]",
        "a list of lists": b"[[],[[]]]",
        "the same name again": b"{" + b'"id":1,' * 50_000 + b'"id":2}',
        "a page": b"<!DOCTYPE html><html><body>" + b"<p>" * 10_000,
        "a mark first": b"\xef\xbb\xbf[]",
        "utf-16": '[{"id":"x"}]'.encode("utf-16"),
        "no utf-8": b'[{"id":"\xff\xfe"}]',
        "half a character": b'[{"id":"\\ud800","name":"\\udc00"}]',
        "nan": b'[{"id":NaN,"timestamp":Infinity}]',
        "digits": b'[{"timestamp":' + b"9" * _MB + b"}]",
        "a long text": b'[{"id":"' + b"x" * 5 * _MB + b'"}]',
        "cut": b'[{"id":"x","name":"y"},{"id":',
        "more behind": b"[][]",
        "deep lists": b"[" * 200_000,
        "deep objects": b'{"a":' * 100_000,
        "deep and mixed": b'[{"media":' * 50_000,
        "deep and whole": b"[" * 300 + b"]" * 300,
        "deep in an element": b'[{"internal_media_ID":"x","x":' + b"[" * 300 + b"]" * 300 + b"}]",
        "zeros": bytes(100_000),
        "a bare url": b"http://[::1",
        "a url of dots": b"http://a..b/x.mp4",
        "a url of a file": b"file:///etc/passwd",
    }.items():
        yield f"body: {name}", _json(text)
    yield "error: deep", _error(b"[" * 300 + b"]" * 300)
    yield "error: a long key", _error(b"[]", key=b'"' + b"k" * 100_000 + b'"')
    yield "error: long params", _error(b'["' + b"a" * 100_000 + b'"]')
    yield "error: many params", _error(b"[" + b'"a",' * 50_000 + b'"a"]')
    yield "error: other types", _error(b'{"a":1}', key=b"[1]")
    yield "error: half a character", _error(b'["\\ud800"]')
    yield "error: controls", _error(b'["\\u001b[2J\\u009b\\u202e\\r\\n"]')


def _encodings() -> Iterator[tuple[str, Say]]:
    yield "packed", _packed(b"[]")
    yield "deflated", _packed(b"[]", "deflate")
    yield "packed twice", _packed(gzip.compress(b"[]"))
    yield "packed and cut", answer(gzip.compress(b" " * 9999)[:20], JSON, "Content-Encoding: gzip")
    yield (
        "packed, rubbish behind",
        answer(gzip.compress(b"[]") + b"rubbish", JSON, "Content-Encoding: gzip"),
    )


def _drips() -> Iterator[tuple[str, Say]]:
    yield "drip: a head", dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n")
    yield "drip: hundreds", dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    for status in ("200 OK", "404 Not Found", "500 Oh"):
        start = answer(b"[", JSON, "Content-Length: 1000000", status=status, length=False)
        yield f"drip: a body of {status}", dripping(start, b" ")
    yield "drip: chunks", dripping(chunked(b"1\r\n[\r\n"), b"1\r\n \r\n")
    image = answer(b"\xff", "Content-Type: image/jpeg", "Content-Length: 9999999", length=False)
    yield "drip: an image", dripping(image, b"\xff")
    yield "stall: at once", _stalling(b"")
    yield "stall: in a head", _stalling(b"HTTP/1.1 200 OK\r\nX")
    yield "stall: in a body", _stalling(answer(b"[", JSON, "Content-Length: 9", length=False))


ANSWERS: dict[str, Say] = dict(
    entry
    for group in (_first_lines, _statuses, _heads, _framing, _bodies, _encodings, _drips)
    for entry in group()
)
"""What is answered, by name."""


def _bomb(text: bytes, size: int) -> bytes:
    """Return an answer that is a small part of what it unpacks to: a text, and blanks."""
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(text)]
    parts += [packer.compress(b" " * _MB) for _ in range(size // _MB)]
    return answer(b"".join([*parts, packer.flush()]), JSON, "Content-Encoding: gzip")


def floods() -> dict[str, Say]:
    """Return what would fill the memory: without an end, or packed."""
    size = 400 * _MB
    piece = b"x" * 65_536
    length = "Content-Length: 99999999999"
    return {
        "endless text": endless(answer(b'[{"id":"', JSON, length=False), piece),
        "endless error": endless(answer(b"", JSON, status="404 Not Found", length=False), piece),
        "endless and announced": endless(
            answer(b'{"key":"', JSON, length, status="500 Oh", length=False), piece
        ),
        "endless head": endless(b"HTTP/1.1 200 OK\r\nX-A: ", piece),
        "endless depth": endless(answer(b"", JSON, length=False), b"[" * 65_536),
        "a bomb in a text": _bomb(b'[{"id":"', size),
        "a bomb in an error": _bomb(b'{"key":"', size).replace(b"200 OK", b"400 No", 1),
        "depth": _json(b"[" * 20 * _MB),
    }
