"""One HTTP/1.1 exchange over a raw socket: the recorded requests are not all legal HTTP."""

import asyncio
from collections.abc import Sequence

from attrs import field, frozen

_LIMIT = 32 * 1024 * 1024


@frozen
class Reply:
    """A whole answer, its body without any framing."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Return the first header called `name`, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


async def exchange(
    address: tuple[str, int],
    *,
    method: str,
    path: str,
    headers: Sequence[tuple[str, str]],
    body: bytes = b"",
) -> Reply:
    """Send one request exactly as given, with a Host header added, and read its answer."""
    host, port = address
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""])
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(host, port, limit=_LIMIT)
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(_send(writer, head.encode("latin-1") + body))
                reply = await _read(reader, bodiless=method.upper() == "HEAD")
                sending.cancel()
            return reply
        finally:
            writer.close()


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write everything; a server that answers early and hangs up has not failed us."""
    try:
        writer.write(data)
        await writer.drain()
    except ConnectionError:
        pass


async def _read(reader: asyncio.StreamReader, *, bodiless: bool) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head[:-4].split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    reply = Reply(int(status_line.split(" ", 2)[1]), headers, b"")
    if bodiless:
        return reply
    return Reply(reply.status, headers, await _read_body(reader, reply))


async def _read_body(reader: asyncio.StreamReader, head: Reply) -> bytes:
    if (head.header("Transfer-Encoding") or "").lower() == "chunked":
        return await _read_chunks(reader)
    length = head.header("Content-Length")
    return await reader.read() if length is None else await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunks += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(chunks)
