"""A bare HTTP client for tests of the embedded server: it decides nothing by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping  # attrs may want them at run time
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import attrs

from datagym_async.server import Server


@attrs.frozen
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, object]:
        """The members of a JSON object."""
        return cast("dict[str, object]", self.json())

    @property
    def items(self) -> list[dict[str, object]]:
        """The objects of a JSON array."""
        return cast("list[dict[str, object]]", self.json())

    @property
    def key(self) -> str:
        """The error key, or nothing."""
        return str(self.fields.get("key", "")) if self.body else ""


@attrs.frozen
class Service:
    """A session with the token of one server."""

    server: Server
    session: aiohttp.ClientSession

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        value: object = None,
    ) -> Reply:
        """Send one request to a path below `/api/v1` (`value`: a JSON body)."""
        address = f"{self.server.base_url}/api/v1{path}"
        async with self.session.request(
            method, address, headers=headers, data=body, json=value
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def create_dataset(self, name: str) -> str:
        """Create a dataset and return its id."""
        return str((await self.ask("POST", "/dataset", value={"name": name})).fields["id"])

    async def upload(self, dataset_id: str, name: str, content: bytes) -> Reply:
        """Upload one file."""
        headers = {"X-filename": name, "Content-Type": "application/octet-stream"}
        return await self.ask("POST", f"/media/{dataset_id}/file", headers=headers, body=content)

    async def names(self, dataset_id: str) -> list[str]:
        """Return the names that a dataset lists."""
        media = cast(
            "list[dict[str, str]]",
            (await self.ask("GET", f"/dataset/{dataset_id}")).fields["media"],
        )
        return [item["mediaName"] for item in media]


@contextlib.asynccontextmanager
async def service(server: Server) -> AsyncIterator[Service]:
    """Open a session with a server that runs."""
    headers = {"Authorization": f"Token {server.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Service(server, session)


@contextlib.asynccontextmanager
async def raw_connection(
    server: Server,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a bare connection to a server."""
    parts = urlsplit(server.base_url)
    assert parts.hostname is not None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def upload_head(server: Server, dataset_id: str, name: str, *fields: str) -> bytes:
    """Return the request line and headers of an upload, up to the blank line."""
    lines = [
        f"POST /api/v1/media/{dataset_id}/file HTTP/1.1",
        "Host: localhost",
        f"Authorization: Token {server.token}",
        f"X-filename: {name}",
        *fields,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something has come true; fail after 10 seconds."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("It did not come true.")
