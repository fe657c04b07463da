"""A client and a loader after a fork: a clear word, and the parent goes on undisturbed."""

from __future__ import annotations

import sys

import pytest

from tests.helpers.python import printed_by

SCRIPT = """
import asyncio, os, sys
from datagym_async import DataGymClient
from datagym_async.exceptions import ClientClosedError
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server
from tests.helpers.photos import jpeg


async def said(call):
    try:
        async with asyncio.timeout(20):
            await call
    except ClientClosedError as error:
        return str(error)
    return "nothing"


async def in_child(client, loader):
    for call in (client.ping(), anext(loader), client.media.download("x")):
        print("child:", await said(call), flush=True)
    await loader.aclose()
    await client.aclose()


async def main():
    media = [SeedMedia(f"{number}.jpg", jpeg(2000, seed=number)) for number in range(40)]
    async with Server() as server:
        await server.seed(SeedProject("P", datasets=[SeedDataset("D", media=media)]))
        async with DataGymClient(server.token, server.base_url) as client:
            (dataset,) = await client.datasets.list()
            async with client.loader(dataset.id) as loader:
                first = (await anext(loader)).media.id
                child = os.fork()
                if not child:
                    try:
                        asyncio.run(in_child(client, loader))
                    finally:
                        sys.stdout.flush()
                        os._exit(0)
                await asyncio.to_thread(os.waitpid, child, 0)
                rest = [sample.media.id async for sample in loader]
    print("parent:", len({first, *rest}))


asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_a_fork_is_said_and_disturbs_nobody() -> None:
    """In the child every call says whose the client is; the parent loads on to the end."""
    *child, parent = printed_by("-W", "error", "-c", SCRIPT).splitlines()
    assert [line.partition(" was opened in process ")[0] for line in child] == [
        "child: The client",
        "child: This loader",
        "child: The client",
    ]
    assert all("forked from it; open one there" in line for line in child)
    assert parent == "parent: 40"
