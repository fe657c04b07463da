"""A web service of your own that hands images out of DataGym and takes images in; offline.

Run it with ``python examples/aiohttp_service.py``: it starts the embedded server, the service below
and a visitor who tries it, and ends; it needs the extra ``server``. In your own service leave the
server and the visitor out and write ``DataGymClient()``: the token is then taken from
``DATAGYM_TOKEN``.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
from aiohttp import web

from datagym_async import (
    AlreadyExistsError,
    APIConnectionError,
    APIStatusError,
    BadRequestError,
    DataGymClient,
    NotFoundError,
)
from datagym_async.server import Server

CLIENT = web.AppKey("client", DataGymClient)
DATASET = web.AppKey("dataset", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def hand_out(request: web.Request) -> web.StreamResponse:
    """GET /images/{id}: the bytes as they come, never more of them than the visitor takes."""
    client = request.app[CLIENT]
    async with client.media.stream(request.match_info["id"]) as chunks:
        first = await anext(chunks, b"")  # an error is still an answer of its own up to here
        kind = "image/png" if first.startswith(b"\x89PNG") else "image/jpeg"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await response.write(first)
        async for chunk in chunks:
            # Waits while the visitor is slow; meanwhile nothing more is read from DataGym.
            await response.write(chunk)
        await response.write_eof()
    # Left in any way, a visitor who hangs up included, the stream closes its connection.
    return response


async def take_in(request: web.Request) -> web.Response:
    """PUT /images/{name}: one image; its size is bounded by `client_max_size`."""
    client, dataset_id = request.app[CLIENT], request.app[DATASET]
    media = await client.media.upload_file(
        dataset_id, await request.read(), name=request.match_info["name"]
    )
    return web.json_response({"id": media.id, "name": media.name}, status=201)


@web.middleware
async def errors_as_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in HTTP what the client says in exceptions; none of them holds the token."""
    try:
        return await handler(request)
    except NotFoundError:
        return web.json_response({"error": "no such image"}, status=404)
    except AlreadyExistsError:
        return web.json_response({"error": "the name is taken"}, status=409)
    except BadRequestError as error:
        return web.json_response({"error": str(error)}, status=400)
    except (APIConnectionError, APIStatusError) as error:
        return web.json_response({"error": str(error)}, status=502)


def make_app(token: str, base_url: str) -> web.Application:
    """Make the service: one client for all requests, as long as it lives."""

    async def with_client(app: web.Application) -> AsyncIterator[None]:
        async with DataGymClient(token, base_url) as client:
            app[CLIENT] = client
            app[DATASET] = (await client.datasets.create("Incoming", exist_ok=True)).id
            yield

    app = web.Application(middlewares=[errors_as_answers], client_max_size=64 << 20)
    app.cleanup_ctx.append(with_client)
    app.router.add_get("/images/{id}", hand_out)
    app.router.add_put("/images/{name}", take_in)
    return app


async def visit(address: str, app: web.Application) -> None:
    """Try the service, and see that it keeps what it promises."""
    image = bytes.fromhex("ffd8ffc0000b080001000101011100ffda0008010100003f00") + bytes(30_000_000)
    async with aiohttp.ClientSession(address) as visitor:
        async with visitor.put("/images/large.jpg", data=io.BytesIO(image)) as answer:
            media = await answer.json()
        print(f"Uploaded {media['name']}, {len(image):,} bytes.")
        async with visitor.put("/images/large.jpg", data=image[:1000]) as answer:
            print(f"The same name again: {answer.status} {await answer.text()}")
        async with visitor.get("/images/00000000-0000-0000-0000-000000000000") as answer:
            print(f"An unknown image: {answer.status} {await answer.text()}")

        before = app[CLIENT].statistics().bytes
        async with visitor.get(f"/images/{media['id']}") as answer:
            received = bytearray(await answer.content.readany())
            await asyncio.sleep(0.5)  # a slow visitor: the service must not read ahead meanwhile
            ahead = app[CLIENT].statistics().bytes - before
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
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            await visit(f"http://{host}:{port}", app)
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
