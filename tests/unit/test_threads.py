"""Work in a thread, and what a cancelled caller may count on."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent import futures

import pytest

from datagym_async import _threads
from datagym_async._threads import in_thread, in_thread_left_behind, opened_in_thread
from tests.helpers.cancelling import cancelled_at


async def test_results_and_errors_come_back() -> None:
    """What the function returns or raises is what the caller gets."""

    def fail() -> None:
        raise LookupError("mine")

    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(LookupError, match="mine"):
        await in_thread(fail)


@pytest.mark.parametrize(
    "kind", [StopIteration, StopAsyncIteration, asyncio.CancelledError, futures.CancelledError]
)
async def test_what_would_mean_something_else_is_an_error(kind: type[BaseException]) -> None:
    """A future takes no StopIteration, and a caller who is told of a cancellation was cancelled."""

    def fail() -> None:
        raise kind

    with pytest.raises(RuntimeError, match=f"{kind.__name__} was raised in a thread") as raised:
        await in_thread(fail)
    assert isinstance(raised.value.__cause__, kind)


async def test_context_variables_are_seen() -> None:
    """The function runs in its caller's context."""
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(7)

    assert await in_thread(variable.get) == 7


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_caller_waits_for_the_function(fails: bool) -> None:
    """However often it is cancelled, the function has ended when the caller goes on."""
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(30)
        ended.set()
        if fails:
            raise LookupError

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 30)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()


async def test_what_may_never_return_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled caller waits for a while only, and the thread may end when it likes."""
    monkeypatch.setattr(_threads, "PATIENCE", 0.01)
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(30)
        raise LookupError("seen by nobody")

    task = asyncio.create_task(in_thread_left_behind(work))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        may_end.set()


def test_nothing_waits_for_what_never_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does the end of an event loop, nor that of the program."""
    monkeypatch.setattr(_threads, "PATIENCE", 0.01)
    begun, may_end = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        begun.set()
        may_end.wait(30)

    async def main() -> None:
        task = asyncio.create_task(in_thread_left_behind(work))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        await asyncio.wait([task])

    try:
        asyncio.run(main())
        assert [(thread.is_alive(), thread.daemon) for thread in threads] == [(True, True)]
    finally:
        may_end.set()
        threads[0].join()


async def test_what_a_cancelled_caller_opened_is_closed() -> None:
    """Cancelled while the thread opens it, in the block, or while it is closed: closed once."""
    told: list[str] = []

    async def work() -> None:
        async with opened_in_thread(lambda: told.append("opened"), lambda _: told.append("closed")):
            await asyncio.sleep(0)

    for at in (1, 2, 3):
        assert await cancelled_at(work(), at)
        assert told == ["opened", "closed"]
        told.clear()
