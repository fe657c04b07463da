"""An S3-like store for benchmarks: a bucket of equal images that it makes up, with a latency.

``python -m benchmarks.store_server COUNT SIZE --latency 0.005`` prints its port and serves until it
is ended: listings of 1,000 keys a page, objects whole and by range. It knows no signature.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys

from tests.helpers.photos import jpeg

_DATE = b"Wed, 21 Oct 2026 07:28:00 GMT"
_ROW = (
    "<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    '<ETag>"%s"</ETag><Size>%d</Size></Contents>'
)
_AFTER = re.compile(r"continuation-token=(\d+)")
_RANGE = re.compile(rb"range: *bytes=(\d+)-(\d*)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One connection: requests without bodies, answered after a moment."""

    def __init__(self, count: int, image: bytes, latency: float) -> None:
        self._count, self._image, self._latency = count, image, latency
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take requests."""
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            loop = asyncio.get_running_loop()
            loop.call_later(self._latency, self._transport.write, self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if "list-type=2" in target:
            return _response(b"200 OK", self._listed(target))
        key = target.partition("?")[0].rpartition("/")[2]
        number = int(re.sub(r"\D", "", key) or self._count)
        if number >= self._count:
            return _response(b"404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>")
        data, status, size = self._image, b"200 OK", len(self._image)
        more = b'ETag: "%s"\r\nLast-Modified: %s\r\n' % (key.encode(), _DATE)
        if wanted := _RANGE.search(head):
            start, end = int(wanted[1]), min(int(wanted[2] or size) + 1, size)
            data, status = data[start:end], b"206 Partial Content"
            more += b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, size)
        return _response(status, data, more, with_body=method != "HEAD")

    def _listed(self, target: str) -> bytes:
        found = _AFTER.search(target)
        start = int(found[1]) if found else 0
        end = min(start + 1000, self._count)
        size = len(self._image)
        names = (f"{number:07}.jpg" for number in range(start, end))
        rows = "".join(_ROW % (f"photos/{name}", name, size) for name in names)
        more = end < self._count
        token = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
        cut = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        return f"<ListBucketResult>{cut}{token}{rows}</ListBucketResult>".encode()


def _response(status: bytes, body: bytes, more: bytes = b"", *, with_body: bool = True) -> bytes:
    head = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (status, more, len(body))
    return head + body if with_body else head


async def serve(options: argparse.Namespace) -> None:
    """Listen on a free port of loopback, print it, and serve until cancelled."""
    image = jpeg(options.size, seed=1)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(options.count, image, options.latency), "127.0.0.1", 0, backlog=1024
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_server")
    parser.add_argument("count", type=int)
    parser.add_argument("size", type=int)
    parser.add_argument("--latency", type=float, default=0.005)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
