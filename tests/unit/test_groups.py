"""Errors of tasks that belong together come out as they were raised."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Coroutine

import pytest

from datagym_async._threads import together


async def test_an_error_keeps_its_context() -> None:
    """Who waits for the tasks is cancelled by asyncio, which is not why the error was raised."""
    before = LookupError("before")

    async def fail() -> None:
        try:
            raise before
        finally:
            raise ZeroDivisionError("slip")

    async def work() -> None:
        async with together() as group:
            group.create_task(fail())
            await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError, match="slip") as caught:
        await work()
    assert caught.value.__context__ is before


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
async def test_the_end_of_a_program_comes_out_where_a_group_is_waited_for(
    end: type[BaseException],
) -> None:
    """In a task it would stop the event loop, and nothing else would be closed."""
    closed: list[str] = []

    async def work(name: str, inner: Coroutine[None, None, None]) -> None:
        try:
            async with together() as group:
                group.create_task(inner)
                group.create_task(asyncio.sleep(100))
                await asyncio.sleep(100)
        finally:
            closed.append(name)

    async def exits() -> None:
        raise end(3)

    with pytest.raises(end) as caught:
        await work("outer", work("inner", exits()))
    assert caught.value.args == (3,)
    assert closed == ["inner", "outer"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_group_that_has_failed_begins_nothing() -> None:
    """As where tasks begin at once: the first error comes out, and no coroutine is left over."""

    async def fail() -> None:
        raise ZeroDivisionError("slip")

    async def work() -> None:
        async with together() as group:
            group.create_task(fail())
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(100)
            group.create_task(asyncio.sleep(100))

    with pytest.raises(ZeroDivisionError, match="slip"):
        await work()
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_tasks_that_never_began_leave_no_warning() -> None:
    """They are cancelled with the body; a coroutine that nobody awaits would be reported."""

    async def work() -> None:
        async with together() as group:
            for _ in range(3):
                group.create_task(asyncio.sleep(1))
            raise ZeroDivisionError("slip")

    with pytest.raises(ZeroDivisionError, match="slip"):
        await work()
    assert asyncio.all_tasks() == {asyncio.current_task()}
