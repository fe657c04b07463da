"""The bound on bytes in flight, whoever is cancelled when."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async._limits import Admission


@contextlib.asynccontextmanager
async def held(bound: Admission, size: int) -> AsyncIterator[None]:
    """Hold the bytes of a body for the length of a block, as a sender does."""
    if not bound.take(size):
        await bound.acquire(size)
    try:
        yield
    finally:
        bound.release(size)


@given(
    most=st.integers(1, 100),
    sizes=st.lists(st.integers(0, 150), min_size=1, max_size=30),
    cancelled=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 29)), max_size=10),
)
async def test_never_above_the_bound_and_nothing_lost(
    most: int, sizes: list[int], cancelled: list[tuple[int, int]]
) -> None:
    """Bodies together stay below the bound, or one goes alone; all that are not cancelled go."""
    bound = Admission(most)
    inside: list[int] = []
    done: list[int] = []

    async def send(number: int) -> None:
        async with held(bound, sizes[number]):
            inside.append(sizes[number])
            assert sum(inside) <= most or sum(1 for size in inside if size) == 1
            try:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            finally:
                inside.remove(sizes[number])
        done.append(number)

    tasks = [asyncio.create_task(send(number)) for number in range(len(sizes))]
    for tick in range(61):
        for at, number in cancelled:
            if at == tick and number < len(tasks):
                tasks[number].cancel()
        await asyncio.sleep(0)
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert bound.held == 0
    assert set(done) | {n for n, task in enumerate(tasks) if task.cancelled()} == set(
        range(len(sizes))
    )


async def test_a_large_one_waits_for_its_turn_and_goes_alone() -> None:
    """Small ones that come after a large one do not overtake it."""
    bound, order = Admission(10), list[int]()

    async def send(size: int) -> None:
        async with held(bound, size):
            order.append(size)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for size in (6, 50, 1, 2):
            group.create_task(send(size))

    assert order == [6, 50, 1, 2]


async def test_who_waits_behind_a_cancelled_one_goes_at_once() -> None:
    """A large one at the front holds nobody up any longer, nor do others that were cancelled."""
    bound = Admission(10)
    await bound.acquire(6)
    tasks = [asyncio.create_task(bound.acquire(size)) for size in (50, 50, 3)]
    await asyncio.sleep(0)
    for each in (tasks[1], tasks[0]):
        each.cancel()
        await asyncio.wait([each])

    await tasks[2]
    assert (bound.held, bound.take(1)) == (9, True)


@pytest.mark.parametrize("sizes", [(10**12, 10**12), (0, 0)])
async def test_without_a_bound_nobody_waits(sizes: tuple[int, int]) -> None:
    """The largest number is no bound."""
    bound = Admission(sys.maxsize)

    async with held(bound, sizes[0]), held(bound, sizes[1]):
        assert bound.held == sum(sizes)
