"""Where something belongs: one process, one event loop, whichever thread runs it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from datagym_async import DataGymClient
from datagym_async._home import Home
from datagym_async.exceptions import ClientClosedError


async def check(home: Home) -> None:
    home.check()


def test_the_first_loop_is_the_one() -> None:
    """A later loop of the same thread is refused, though the first one has ended."""
    home = Home("The lamp")
    asyncio.run(check(home))

    with pytest.raises(ClientClosedError, match="The lamp belongs to another event loop"):
        asyncio.run(check(home))


async def test_another_threads_loop_is_refused() -> None:
    """A loop of another thread is refused while the first one runs, which goes on."""
    home = Home("The lamp")
    home.check()

    def elsewhere() -> None:
        with pytest.raises(ClientClosedError, match="belongs to another event loop"):
            asyncio.run(check(home))

    await asyncio.to_thread(elsewhere)
    home.check()


async def test_a_client_is_of_the_loop_that_opened_it() -> None:
    """Also before its first request; another loop can neither use nor close it."""
    async with DataGymClient("token", "http://127.0.0.1:9") as client:

        def elsewhere() -> None:
            for call in (client.projects.list, client.aclose):
                with pytest.raises(ClientClosedError, match="belongs to another event loop"):
                    asyncio.run(call())

        await asyncio.to_thread(elsewhere)
        assert "open" in repr(client)


def test_without_a_loop_of_asyncio_a_client_does_not_open() -> None:
    """As under trio, whose loop runs coroutines just so; the error was Python's."""
    client = DataGymClient("token", "http://127.0.0.1:9")
    for _ in range(2):
        with pytest.raises(ClientClosedError, match="needs an event loop of asyncio"):
            client.open().send(None)

    async def opened() -> str:
        async with client:
            return repr(client)

    assert "open" in asyncio.run(opened())


def test_a_loop_may_go_on_in_another_thread() -> None:
    """It is the loop that counts: one that was begun here and runs on in a thread stays the one."""
    home = Home("The lamp")
    loop = asyncio.new_event_loop()
    loop.run_until_complete(check(home))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        for _ in range(2):
            asyncio.run_coroutine_threadsafe(check(home), loop).result(timeout=100)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_without_a_loop_there_is_no_home() -> None:
    """Outside of any event loop it cannot be used at all."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        Home("The lamp").check()
