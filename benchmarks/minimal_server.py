"""A server that only reads and answers, so that the clients are what is measured.

``python -m benchmarks.minimal_server`` prints its port and serves until it is ended. It knows the
routes that a client calls around uploads, keeps every connection open, and stores nothing but
counts, which ``GET /counts`` tells. With ``--held N`` every dataset lists N images that were never
sent, `held_name` being their names. The counts tell also when the first upload came.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Iterable

from benchmarks.measure import stay_on

OK, _NOT_FOUND = b"200 OK", b"404 Not Found"
# With 256 kB the server itself was the limit of fast clients in some runs: what waits for it then
# is out of the processor's cache, so it stays slow. With 64 kB the loops over aiohttp are slower.
_BUFFER = 128 * 1024
_MEDIA = (
    b'{"id":"00000000-0000-4000-8000-00000000000a","timestamp":1760000000000,'
    b'"mediaSourceType":"LOCAL","mediaName":%s,"valid":true,"reason":null,"url":null,'
    b'"width":64,"height":64}'
)
_DATASET = (
    b'{"id":"%s","name":"%s","timestamp":1760000000000,"owner":"o","shortDescription":null,'
    b'"projectCount":0,"mediaType":"IMAGE","media":[%s]}'
)
_LISTED = (
    '{"id":"00000000-0000-4000-9000-%012x","timestamp":1760000000000,'
    '"mediaSourceType":"LOCAL","mediaName":"%s"}'
)
_UNKNOWN = b'{"key":"ex_notfound","params":["media","id","x"],"msg":"","code":404,"details":[]}'


def held_name(number: int) -> str:
    """Return the name of the n-th image that a dataset holds from the beginning."""
    return f"item-{number:07}.jpg"


def listing(names: Iterable[str]) -> bytes:
    """Return the media of a dataset as the service lists them."""
    return ",".join(_LISTED % each for each in enumerate(names)).encode()


class Counts:
    """What all connections of the server have received.

    Args:
        held: Images that every dataset lists.
        takes: Seconds between the last byte of an upload and its answer.
    """

    def __init__(self, held: int = 0, takes: float = 0.0) -> None:
        self.takes = takes
        self.uploads = 0
        self.bytes = 0
        self.first_upload = 0.0  # on the wall clock; 0 for none
        names = [held_name(number) for number in range(held)]
        random.Random(held).shuffle(names)  # the service lists them in any order
        self.media = listing(names)

    def of_upload(self, size: int) -> None:
        """Count an upload of so many bytes."""
        self.first_upload = self.first_upload or time.time()
        self.uploads += 1
        self.bytes += size

    def shown(self) -> bytes:
        """Return the counts as JSON."""
        names = ("uploads", "bytes", "first_upload")
        return json.dumps({name: getattr(self, name) for name in names}).encode()


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
            self._say()
            self._head = rest
        else:
            self._head += self._buffer[:nbytes]
        while b"\r\n\r\n" in self._head and not self._left and self._begin():
            pass

    def _begin(self) -> bool:
        """Take one request's header, and what has come of its body; False to wait for more."""
        head, _, rest = self._head.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(b":") for f in fields)
        }
        size = int(headers.get(b"content-length", b"0"))
        if b"transfer-encoding" in headers:
            raise ValueError("This server wants a Content-Length.")
        is_upload = b"x-filename" in headers
        if not is_upload and len(rest) < size:
            return False
        method, target, _ = line.split(b" ")
        parts = target.partition(b"?")[0].strip(b"/").split(b"/")
        if is_upload:
            name = headers[b"x-filename"].decode("latin-1")
            self._answer = self.answer_upload(parts, name, size)
        else:
            self._answer = self.answer(method, parts, rest[:size])
        if len(rest) >= size:
            self._say(is_upload=is_upload)
            self._head = rest[size:]
        else:
            self._left, self._head = size - len(rest), b""
        return True

    def _say(self, *, is_upload: bool = True) -> None:
        if is_upload and self._counts.takes:
            loop = asyncio.get_running_loop()
            loop.call_later(self._counts.takes, self._transport.write, self._answer)
        else:
            self._transport.write(self._answer)

    def answer_upload(self, parts: list[bytes], name: str, size: int) -> bytes:
        """Return the answer to an upload, which is sent when the body has come."""
        del parts
        self._counts.of_upload(size)
        return response(OK, _MEDIA % json.dumps(name).encode())

    def answer(self, method: bytes, parts: list[bytes], body: bytes) -> bytes:
        """Return the answer to any other request."""
        del body
        if parts == [b"counts"]:
            return response(OK, self._counts.shown())
        if parts[2:3] == [b"dataset"]:
            return response(OK, dataset(parts[-1], b"Benchmark", self._counts.media))
        if parts[2:3] == [b"project"]:
            return response(OK, b"[]", with_body=method != b"HEAD")
        return response(_NOT_FOUND, _UNKNOWN)


def dataset(dataset_id: bytes, name: bytes, media: bytes) -> bytes:
    """Return a dataset as the service lists it."""
    return _DATASET % (dataset_id, name, media)


def response(status: bytes, body: bytes, *, with_body: bool = True) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body if with_body else b"",
    )


async def serve(connect: Callable[[], Connection]) -> None:
    """Listen on a free port of loopback, print it, and serve until cancelled.

    Args:
        connect: Makes a connection.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connect, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.minimal_server")
    parser.add_argument("--held", type=int, default=0, help="images that every dataset lists")
    parser.add_argument("--takes", type=float, default=0.0, help="seconds of each upload")
    parser.add_argument("--core", type=int, help="the processor core to stay on (Linux)")
    options = parser.parse_args()
    stay_on(options.core)
    counts = Counts(options.held, options.takes)
    asyncio.run(serve(lambda: Connection(counts)))


if __name__ == "__main__":
    main()
