"""A server that only reads and answers, so that the clients are what is measured.

``python -m benchmarks.minimal_server`` prints its port and serves until it is ended. It knows the
routes that a client calls around uploads, keeps every connection open, and stores nothing but
counts, which ``GET /counts`` tells.
"""

from __future__ import annotations

import asyncio
import json
import sys

_OK, _NOT_FOUND = b"200 OK", b"404 Not Found"
_BUFFER = 256 * 1024
_MEDIA = (
    b'{"id":"00000000-0000-4000-8000-00000000000a","timestamp":1760000000000,'
    b'"mediaSourceType":"LOCAL","mediaName":%s,"valid":true,"reason":null,"url":null,'
    b'"width":64,"height":64}'
)
_DATASET = (
    b'{"id":"%s","name":"Benchmark","timestamp":1760000000000,"owner":"o","shortDescription":null,'
    b'"projectCount":0,"mediaType":"IMAGE","media":[]}'
)
_UNKNOWN = b'{"key":"ex_notfound","params":["media","id","x"],"msg":"","code":404,"details":[]}'


class Counts:
    """What all connections of the server have received."""

    def __init__(self) -> None:
        self.uploads = 0
        self.bytes = 0


class Connection(asyncio.BufferedProtocol):
    """One connection: header, body counted and forgotten, answer."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._buffer = bytearray(_BUFFER)
        self._head = b""
        self._left = 0  # bytes of the body that have not come yet
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        """Receive into one buffer, over and over."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come: some of a body, or the beginning of requests."""
        if self._left > nbytes:  # the usual case within a large body
            self._left -= nbytes
            return
        if self._left:
            rest, self._left = bytes(self._buffer[self._left : nbytes]), 0
            self._transport.write(self._answer)
            self._head = rest
        else:
            self._head += self._buffer[:nbytes]
        while b"\r\n\r\n" in self._head and not self._left:
            self._begin()

    def _begin(self) -> None:
        """Take one request's header, and what has come of its body."""
        head, _, rest = self._head.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(b":") for f in fields)
        }
        size = int(headers.get(b"content-length", b"0"))
        if b"transfer-encoding" in headers:
            raise ValueError("This server wants a Content-Length.")
        self._answer = self._answer_to(line, headers, size)
        if len(rest) >= size:
            self._transport.write(self._answer)
            self._head = rest[size:]
        else:
            self._left, self._head = size - len(rest), b""

    def _answer_to(self, line: bytes, headers: dict[bytes, bytes], size: int) -> bytes:
        method, target, _ = line.split(b" ")
        parts = target.partition(b"?")[0].strip(b"/").split(b"/")
        if method == b"POST":
            self._counts.uploads += 1
            self._counts.bytes += size
            name = json.dumps(headers[b"x-filename"].decode("latin-1")).encode()
            return _response(_OK, _MEDIA % name)
        if parts == [b"counts"]:
            return _response(_OK, json.dumps(vars(self._counts)).encode())
        if parts[2:3] == [b"dataset"]:
            return _response(_OK, _DATASET % parts[-1])
        if parts[2:3] == [b"project"]:
            return _response(_OK, b"[]", with_body=method != b"HEAD")
        return _response(_NOT_FOUND, _UNKNOWN)


def _response(status: bytes, body: bytes, *, with_body: bool = True) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body if with_body else b"",
    )


async def serve() -> None:
    """Listen on a free port of loopback, print it, and serve until cancelled."""
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
