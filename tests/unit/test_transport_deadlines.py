"""Deadlines of waits, all watched by one timer, in virtual time."""

from __future__ import annotations

import asyncio
import math

import pytest

from datagym_async._transport import Deadline, Deadlines
from datagym_async._transport._base import Pace

pytestmark = pytest.mark.looptime


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def wait(deadlines: Deadlines, when: float, for_seconds: float) -> float:
    """Return when a wait with a deadline ended, negative if that ended it."""
    try:
        with Deadline(deadlines, when):
            await asyncio.sleep(for_seconds)
    except TimeoutError:
        return -seconds()
    return seconds()


async def test_a_wait_ends_at_its_deadline() -> None:
    """Each of many waits ends at its own moment, or before it by itself."""
    deadlines = Deadlines()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(wait(deadlines, when, for_seconds))
            for when, for_seconds in [(5, 9), (3, 9), (3, 2), (4, 9), (math.inf, 9)]
        ]

    assert [task.result() for task in tasks] == pytest.approx([-5, -3, 2, -4, 9])


async def test_one_timer_serves_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that end in time set no timer but the first one, however many there are."""
    loop, set_for = asyncio.get_running_loop(), []
    call_at = loop.call_at

    def counted(when: float, *rest: object, **options: object) -> asyncio.TimerHandle:
        set_for.append(when)
        return call_at(when, *rest, **options)  # type: ignore[arg-type]

    deadlines = Deadlines()
    monkeypatch.setattr(loop, "call_at", counted)
    for _ in range(1_000):
        with Deadline(deadlines, seconds() + 60):
            await asyncio.sleep(0)

    assert len(set_for) == 1


async def test_a_deadline_that_is_earlier_than_all_others_is_kept() -> None:
    """The timer is set anew where a wait ends before those that are watched already."""
    deadlines = Deadlines()
    async with asyncio.TaskGroup() as group:
        late = group.create_task(wait(deadlines, 60, 100))
        await asyncio.sleep(1)
        early = group.create_task(wait(deadlines, 2, 100))

    assert (late.result(), early.result()) == pytest.approx((-60, -2))


@pytest.mark.parametrize(("moved", "ended"), [(3.0, 3.0), (8.0, 8.0), (math.inf, 20.0)])
async def test_a_deadline_can_be_moved(moved: float, ended: float) -> None:
    """An earlier, a later one and none hold from then on."""
    with_deadline = Deadline(Deadlines(), 5)
    asyncio.get_running_loop().call_at(1, with_deadline.move, moved)
    try:
        with with_deadline:
            await asyncio.sleep(20)
    except TimeoutError:
        pass

    assert seconds() == pytest.approx(ended)


async def test_a_deadline_that_is_moved_when_its_wait_is_over_ends_nothing() -> None:
    """What comes after the wait is not bounded by it."""
    with Deadline(Deadlines(), 5) as deadline:
        await asyncio.sleep(1)
    deadline.move(2)
    await asyncio.sleep(10)

    assert seconds() == pytest.approx(11)


async def test_a_process_that_slept_gets_that_time_again() -> None:
    """Answers may have come meanwhile: waits end as much later, but not twice in a row."""
    deadlines = Deadlines()
    deadlines.now = lambda: seconds() + 70  # each timer is late
    async with asyncio.TaskGroup() as group:
        answered = group.create_task(wait(deadlines, 5, 6))
        silent = group.create_task(wait(deadlines, 5, 500))
        later = group.create_task(wait(deadlines, 20, 500))

    assert answered.result() == pytest.approx(6)
    assert silent.result() == pytest.approx(-75)  # the timer of 5 and of 75
    assert later.result() == pytest.approx(-160)  # of 5 and, since that of 75 was no excuse, of 90


async def test_a_pace_is_not_missed_by_a_process_that_slept() -> None:
    """The seconds in which nothing ran count for nobody."""
    pace = Pace(seconds, rate=10, window=20)
    pace.begin()
    await asyncio.sleep(75)

    assert pace.end(1, lost=70)
    assert pace.begin() == pytest.approx(seconds() + 15)


async def test_a_cancellation_goes_before_a_deadline() -> None:
    """A task that is cancelled in the moment of its deadline ends as cancelled."""
    deadlines = Deadlines()
    task = asyncio.create_task(wait(deadlines, 5, 100))
    asyncio.get_running_loop().call_at(5, task.cancel)
    await asyncio.wait([task])

    assert task.cancelled()


async def test_deadlines_inside_of_time_limits() -> None:
    """`asyncio.timeout` around a wait is not mixed up with its deadline, whichever is earlier."""
    deadlines = Deadlines()
    found = []
    for limit, deadline in [(2, 5), (5, 2)]:
        began = seconds()
        try:
            async with asyncio.timeout(limit):
                found.append(await wait(deadlines, began + deadline, 100) + began)
        except TimeoutError:
            found.append(seconds() - began)

    assert found == pytest.approx([2, -2])


async def test_closed_deadlines_end_nothing() -> None:
    """What still waits when they are closed has no deadline any more."""
    deadlines = Deadlines()
    asyncio.get_running_loop().call_at(1, deadlines.close)

    assert await wait(deadlines, 5, 20) == pytest.approx(20)
