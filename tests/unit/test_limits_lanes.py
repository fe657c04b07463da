"""Slots, pins, paces and pauses of `Limits`, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import attrs
import pytest

from datagym_async._limits import Limits, LimitsConfig
from datagym_async._wire import Body, Lane
from datagym_async.exceptions import ConfigurationError

pytestmark = pytest.mark.looptime


def seconds() -> float:
    return asyncio.get_running_loop().time()


def limits(**options: Any) -> Limits:
    return Limits(attrs.evolve(LimitsConfig(rate=None), **options))


async def answered(bound: Limits, count: int, *, took: float = 0.1) -> None:
    """Have so many uploads answered, as many at once as the lane allows."""

    async def one() -> None:
        with await bound.slot(Lane.UPLOAD) as slot:
            await asyncio.sleep(took)
            slot.answered("media", size=1000, seconds=slot.seconds())

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())


async def test_the_lane_follows_the_controller() -> None:
    """Two at first; with answers as quick as ever, the maximum."""
    bound = limits()
    first = bound.lanes[Lane.UPLOAD].state()

    await answered(bound, 200)

    assert (first.limit, first.reason) == (2, "starting")
    assert bound.lanes[Lane.UPLOAD].state().limit == 8
    assert bound.lanes[Lane.UPLOAD].state().reason == "at the maximum"
    assert bound.in_flight == 0


async def test_small_calls_have_a_fixed_lane() -> None:
    """Only uploads and downloads follow a controller."""
    state = limits().lanes[Lane.CALL].state()

    assert (state.limit, state.reason) == (16, "fixed")


async def test_a_pin_holds_while_its_block_runs() -> None:
    """Pinned, nothing is observed; afterwards the controller goes on where it was."""
    bound = limits()
    await answered(bound, 200)

    with bound.lanes[Lane.UPLOAD].pin(3):
        inside = bound.lanes[Lane.UPLOAD].state()
        await answered(bound, 100, took=5)
        assert bound.lanes[Lane.UPLOAD].state() == inside

    assert (inside.limit, inside.is_pinned, inside.reason) == (3, True, "pinned at 3")
    assert bound.lanes[Lane.UPLOAD].state().limit == 8


async def test_of_several_pins_the_largest_counts() -> None:
    """Uploads that share a client do not fight: each keeps itself to its own number of workers."""
    bound = limits()
    with bound.lanes[Lane.UPLOAD].pin(4):
        with bound.lanes[Lane.UPLOAD].pin(40), bound.lanes[Lane.UPLOAD].pin(4):
            within = bound.lanes[Lane.UPLOAD].state().limit
        after = bound.lanes[Lane.UPLOAD].state().limit

    assert (within, after) == (40, 4)
    assert bound.lanes[Lane.UPLOAD].state().limit == 2


async def test_a_request_from_before_a_pin_is_not_observed_after_it() -> None:
    """What ran beside a pinned crowd tells nothing about the controller's own limit."""
    bound = limits()
    with bound.lanes[Lane.UPLOAD].pin(1):
        slot = await bound.slot(Lane.UPLOAD)
    slot.overloaded("503")
    slot.__exit__()

    assert bound.lanes[Lane.UPLOAD].state().limit == 2
    assert bound.waited.overloads == {"503": 1}


async def test_a_request_from_before_a_pin_is_not_observed_while_it_holds() -> None:
    """It may have waited for those that the pin let in; neither its time nor its failure counts."""
    bound = limits()
    lane = bound.lanes[Lane.UPLOAD]
    await answered(bound, 200)
    before = lane.state()
    slots = [await bound.slot(Lane.UPLOAD) for _ in range(8)]

    with lane.pin(8):
        for slot in slots:
            slot.answered("media", size=1000, seconds=60)
            slot.overloaded("503")
            slot.__exit__()

    assert lane.state() == before


async def test_a_limit_that_changes_holds_at_once() -> None:
    """A pin lets in who waits, and after a sign of overload half have to leave first."""
    bound = limits()
    lane = bound.lanes[Lane.UPLOAD]
    held = [await bound.slot(Lane.UPLOAD) for _ in range(2)]
    waiting = asyncio.create_task(bound.slot(Lane.UPLOAD))
    await asyncio.sleep(1)
    assert not waiting.done()
    with lane.pin(3):
        await asyncio.sleep(1)
        held.append(waiting.result())
    for slot in held:
        slot.__exit__()
    await answered(bound, 200)

    held = [await bound.slot(Lane.UPLOAD) for _ in range(8)]
    held[0].overloaded("429")
    for slot in held[:4]:
        slot.__exit__()
    waiting = asyncio.create_task(bound.slot(Lane.UPLOAD))
    await asyncio.sleep(1)
    assert not waiting.done()
    held[4].__exit__()
    await asyncio.sleep(1)
    assert waiting.done()


async def test_a_pin_for_good() -> None:
    """`concurrency` of the configuration pins the upload lane, beyond its maximum too."""
    assert limits(concurrency=20).lanes[Lane.UPLOAD].state().limit == 20


@pytest.mark.parametrize("places", [0, -1])
async def test_a_pin_of_nothing_is_refused(places: int) -> None:
    """A lane has one place or more."""
    with pytest.raises(ConfigurationError, match=f"concurrency is {places}; it must be 1 or more"):
        limits(concurrency=places)
    with (
        pytest.raises(ConfigurationError, match="it must be 1 or more"),
        limits().lanes[Lane.UPLOAD].pin(places),
    ):
        pass


async def test_who_leaves_lets_one_in() -> None:
    """However many wait; and the number that a lane may have is told."""
    bound = limits(calls=2)
    held = [await bound.slot(Lane.CALL) for _ in range(2)]
    waiting = [asyncio.create_task(bound.slot(Lane.CALL)) for _ in range(3)]
    await asyncio.sleep(1)
    held[0].__exit__()
    await asyncio.sleep(1)

    assert (bound.in_flight, bound.lanes[Lane.CALL].limit) == (2, 2)
    assert [task.done() for task in waiting] == [True, False, False]
    assert (bound.waited.count, bound.waited.lane) == (3, 1.0)
    for task in waiting[1:]:
        task.cancel()
    await asyncio.wait(waiting)


async def test_who_is_cancelled_waits_no_longer() -> None:
    """It is taken out of the line at once, and not when its turn would have come."""
    bound = limits(calls=1)
    with await bound.slot(Lane.CALL):
        waiting = asyncio.create_task(bound.slot(Lane.CALL))
        await asyncio.sleep(0)
        assert "call 1/1, 1 waiting" in repr(bound)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert "call 1/1, 0 waiting" in repr(bound)


async def test_a_place_that_came_with_a_cancellation_is_the_next_one_s() -> None:
    """Let in and cancelled in the same turn of the loop."""
    bound = limits(calls=1)
    held = await bound.slot(Lane.CALL)
    first, second = (asyncio.create_task(bound.slot(Lane.CALL)) for _ in range(2))
    await asyncio.sleep(1)
    held.__exit__()
    first.cancel()
    await asyncio.sleep(1)

    assert (first.cancelled(), second.done(), bound.in_flight) == (True, True, 1)


async def test_a_new_pause_is_told_once() -> None:
    """With its seconds and its reason; one that another has in it is none."""
    bound, told = limits(), list[tuple[float, str]]()
    bound.on_pause.append(lambda pause, why: told.append((pause, why)))
    bound.pause(5, "429")
    bound.pause(5, "429")
    bound.pause(2, "503")
    bound.pause(9, "503")

    assert told == [(5, "429"), (9, "503")]


async def test_a_pause_holds_all_lanes_and_is_counted() -> None:
    """Nothing begins in a pause, whatever its lane; time spent in it is added up."""
    bound = limits()
    bound.pause(5)
    begun = []

    async def begin(lane: Lane) -> None:
        with await bound.slot(lane):
            begun.append(seconds())

    async with asyncio.TaskGroup() as group:
        for lane in Lane:
            group.create_task(begin(lane))

    assert begun == [5.0, 5.0, 5.0]
    assert bound.waited.pause == pytest.approx(15)


async def test_after_a_pause_the_rate_still_holds() -> None:
    """Requests that waited for a pause do not start as one."""
    bound = limits(rate=4.0)
    begun = []

    async def begin() -> None:
        with await bound.slot(Lane.CALL):
            begun.append(seconds())

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(begin())
        await asyncio.sleep(0.3)
        bound.pause(2)

    assert begun[:2] == pytest.approx([0.0, 0.25])
    assert begun[2] >= 2.3
    gaps = [later - earlier for earlier, later in pairwise(begun[2:])]
    assert gaps == pytest.approx([0.25] * 3)


async def test_a_cancelled_wait_for_the_rate_lets_no_two_begin_as_one() -> None:
    """Whoever comes after it has a stretch of time for itself; the latest one is given back."""
    bound = limits(rate=4.0)
    begun = []

    async def begin() -> None:
        with await bound.slot(Lane.CALL):
            begun.append(seconds())

    tasks = [asyncio.create_task(begin()) for _ in range(4)]
    await asyncio.sleep(0.1)
    for cancelled in (tasks[1], tasks[3]):
        cancelled.cancel()
    await asyncio.wait(tasks)
    await begin()

    assert begun == pytest.approx([0.0, 0.5, 0.75])


async def test_a_wait_for_the_rate_alone_counts() -> None:
    """The lane has room, and the first one does not wait."""
    bound = limits(calls=2, rate=1)
    for _ in range(3):
        (await bound.slot(Lane.CALL)).__exit__()
    assert bound.waited.count == 2


async def test_waits_are_counted_by_what_they_are_for() -> None:
    """A second for a place is a second of the lane; a quarter for the rate is one of the rate."""
    bound = limits(calls=1, rate=4.0)

    async def hold() -> None:
        with await bound.slot(Lane.CALL):
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        group.create_task(hold())
        group.create_task(hold())

    assert bound.waited.lane == pytest.approx(1)
    assert bound.waited.rate == 0
    with await bound.slot(Lane.CALL), await bound.slot(Lane.DOWNLOAD):
        assert bound.waited.rate == pytest.approx(0.25)


@pytest.mark.parametrize("ticks", range(8))
async def test_a_cancelled_wait_gives_everything_back(ticks: int) -> None:
    """Whether it waits for place, pause or rate: no place is lost."""
    bound = limits(calls=1, rate=1.0)

    async def hold() -> None:
        with await bound.slot(Lane.CALL):
            await asyncio.sleep(0.1)

    bound.pause(0.05)
    tasks = [asyncio.create_task(hold()) for _ in range(3)]
    for _ in range(ticks):
        await asyncio.sleep(0.03)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert bound.in_flight == 0
    assert bound.lanes[Lane.CALL].state().in_flight == 0
    async with asyncio.timeout(3):
        await hold()


@asynccontextmanager
async def chunks(*sizes: int, every: float = 0.0) -> AsyncIterator[AsyncIterator[bytes]]:
    async def read() -> AsyncIterator[bytes]:
        for size in sizes:
            await asyncio.sleep(every)
            yield b"x" * size

    yield read()


async def drain(body: Body | None) -> list[tuple[float, int]]:
    """Read a body and return when its pieces came and how large they were."""
    assert body is not None
    assert body.open is not None
    async with body.open() as source:
        return [(seconds(), len(piece)) async for piece in source]


async def test_one_large_body_is_paced() -> None:
    """1 MB at 100 kB/s: ten seconds, in pieces of a tenth of a second, all of it."""
    bound = limits(upload_rate=100_000)
    body = Body(size=1_000_000, open=lambda: chunks(600_000, 400_000))

    pieces = await drain(bound.outgoing(Lane.UPLOAD, body))

    assert sum(size for _, size in pieces) == 1_000_000
    assert seconds() == pytest.approx(10)
    assert {size for _, size in pieces} == {10_000}
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(pieces)]
    assert gaps == pytest.approx([0.1] * 99)
    assert bound.waited.pace == pytest.approx(10)


async def test_bodies_share_the_pace_evenly() -> None:
    """Four bodies in memory at once end together, after the time that all their bytes take."""
    bound = limits(upload_rate=100_000)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            body = bound.outgoing(Lane.UPLOAD, Body.of_bytes(b"x" * 100_000))
            group.create_task(drain(body))

    assert seconds() == pytest.approx(4)


@pytest.mark.parametrize(("rate", "pace"), [(None, 0.0), (1000.0, 3.001)])
async def test_bytes_that_are_read_elsewhere_keep_the_pace(rate: float | None, pace: float) -> None:
    """A second for a thousand bytes; without a pace, none."""
    bound = limits(upload_rate=rate)
    await bound.spend(3000)
    await bound.spend(1)

    assert bound.waited.pace == pytest.approx(pace)
    assert seconds() == pytest.approx(pace)


async def test_idle_time_is_not_saved_up() -> None:
    """After a minute of silence the pace is the same, without a burst."""
    bound = limits(upload_rate=1_000)
    await asyncio.sleep(60)

    await drain(bound.outgoing(Lane.UPLOAD, Body.of_bytes(b"x" * 5_000)))

    assert seconds() == pytest.approx(65)


async def test_bytes_that_were_cancelled_are_not_counted() -> None:
    """A body that is given up leaves its share of the line to the others."""
    bound = limits(upload_rate=1_000)
    task = asyncio.create_task(drain(bound.outgoing(Lane.UPLOAD, Body.of_bytes(b"x" * 10_000))))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait([task])

    await drain(bound.outgoing(Lane.UPLOAD, Body.of_bytes(b"x" * 1_000)))

    assert seconds() == pytest.approx(1.5, abs=0.1)


async def test_only_uploads_are_paced() -> None:
    """The limit of bytes is one of file uploads; a small call's body stays as it is."""
    body = Body.of_bytes(b"[]")

    assert limits(upload_rate=1).outgoing(Lane.CALL, body) is body
    assert limits().outgoing(Lane.UPLOAD, body) is body


async def test_the_time_that_a_source_takes_is_noted() -> None:
    """A body read from a slow disk: the waits for its chunks are reading, not sending."""
    bound = limits()
    body = Body(size=30, open=lambda: chunks(10, 10, 10, every=0.5))

    await drain(bound.outgoing(Lane.UPLOAD, body))

    assert bound.waited.reading == pytest.approx(1.5)


@pytest.mark.parametrize("option", ["rate", "upload_rate"])
def test_rates_of_nothing_are_refused_by_name(option: str) -> None:
    """A rate is above 0, or None."""
    name = {"rate": "rate_limit", "upload_rate": "max_upload_rate"}[option]
    with pytest.raises(ConfigurationError, match=f"{name} is 0"):
        LimitsConfig(**{option: 0})  # type: ignore[arg-type]  # by name
