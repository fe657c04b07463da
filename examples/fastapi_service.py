"""A FastAPI service of your own that hands images out of DataGym and takes images in; offline.

Run it with ``python examples/fastapi_service.py``: it starts the embedded server, the service below
under uvicorn and a visitor who tries it, and ends; it needs the extra ``server``, fastapi (0.118 or
later, where a dependency ends after its answer was sent) and uvicorn. In your own service leave the
server and the visitor out and write ``DataGymClient()``: the token is then taken from
``DATAGYM_TOKEN``.
"""

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import aiohttp
import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from datagym_async import (
    AlreadyExistsError,
    BadRequestError,
    DataGymClient,
    DataGymError,
    NotFoundError,
)
from datagym_async.server import Server


def client_of(request: Request) -> DataGymClient:
    """Return the one client of the service."""
    client: DataGymClient = request.app.state.client
    return client


Client = Annotated[DataGymClient, Depends(client_of)]
STATUS: dict[type[Exception], int] = {
    NotFoundError: 404,
    AlreadyExistsError: 409,
    BadRequestError: 400,
}


async def opened(media_id: str, client: Client) -> AsyncIterator[AsyncIterator[bytes]]:
    """Open an image; it is closed when the answer is sent, or its reader has left."""
    async with client.media.stream(media_id) as chunks:
        yield chunks


async def hand_out(chunks: Annotated[AsyncIterator[bytes], Depends(opened)]) -> Response:
    """GET /images/{media_id}: the bytes as they come, never more of them than the visitor takes."""
    first = await anext(chunks, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    kind = "image/png" if first.startswith(b"\x89PNG") else "image/jpeg"
    return StreamingResponse(whole(), media_type=kind)


async def take_in(name: str, request: Request, client: Client) -> Response:
    """PUT /images/{name}: one image."""
    image = await request.body()
    media = await client.media.upload_file(request.app.state.dataset_id, image, name=name)
    return JSONResponse({"id": media.id, "name": media.name}, status_code=201)


async def error_as_answer(_: Request, error: Exception) -> Response:
    """Say in HTTP what the client says in exceptions; none of them holds the token."""
    return JSONResponse({"error": str(error)}, status_code=STATUS.get(type(error), 502))


def make_app(token: str, base_url: str) -> FastAPI:
    """Make the service: one client for all requests, as long as it lives."""

    @asynccontextmanager
    async def with_client(app: FastAPI) -> AsyncIterator[None]:
        async with DataGymClient(token, base_url) as client:
            app.state.client = client
            app.state.dataset_id = (await client.datasets.create("Incoming", exist_ok=True)).id
            yield

    app = FastAPI(lifespan=with_client)
    app.add_api_route("/images/{media_id}", hand_out, methods=["GET"])
    app.add_api_route("/images/{name}", take_in, methods=["PUT"])
    app.add_exception_handler(DataGymError, error_as_answer)
    return app


async def visit(address: str, app: FastAPI) -> None:
    """Try the service, and see that it keeps what it promises."""
    image = bytes.fromhex("ffd8ffc0000b080001000101011100ffda0008010100003f00") + bytes(30_000_000)
    async with aiohttp.ClientSession(address) as visitor:
        async with visitor.put("/images/large.jpg", data=io.BytesIO(image)) as answer:
            media = await answer.json()
        print(f"Uploaded {media['name']}, {len(image):,} bytes.")
        async with visitor.put("/images/large.jpg", data=image[:1000]) as answer:
            print(f"The same name again: {answer.status}")
        async with visitor.get("/images/00000000-0000-0000-0000-000000000000") as answer:
            print(f"An unknown image: {answer.status}")

        before = app.state.client.statistics().bytes
        async with visitor.get(f"/images/{media['id']}") as answer:
            received = bytearray(await answer.content.readany())
            await asyncio.sleep(0.5)  # a slow visitor: the service must not read ahead meanwhile
            ahead = app.state.client.statistics().bytes - before
            print(f"While the visitor was slow, at most {ahead / len(image):.0%} were read.")
            if ahead >= len(image):
                raise SystemExit("The service has read ahead of its visitor.")
            received += await answer.content.read()
        if received != image:
            raise SystemExit("The bytes differ.")
        print("All bytes came back as they were.")


async def main() -> None:
    async with Server(max_allowed_packet=64 << 20) as server:
        app = make_app(server.token, server.base_url)
        service = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = "http://{}:{}".format(*listening.getsockname()[:2])
            async with asyncio.TaskGroup() as group:
                group.create_task(service.serve(sockets=[listening]))
                try:
                    await visit(address, app)
                finally:
                    service.should_exit = True


if __name__ == "__main__":
    asyncio.run(main())
