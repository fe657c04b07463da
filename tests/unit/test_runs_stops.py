"""How a run begins, stops and ends: its limits, and who counts for them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from typing import cast

import attrs
import pytest

from datagym_async._runs import BulkRun, Stops
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import UploadConfig

NOTHING = {"begun": 0, "begun_bytes": 0, "failed": 0, "seconds": 0.0}


@pytest.mark.parametrize(
    ("stops", "at", "reason"),
    [
        (Stops(max_files=1000), {"begun": 1000}, "max_files: 1,000 were sent"),
        (Stops(max_bytes_total=12), {"begun_bytes": 12}, "max_bytes_total: 12 bytes were sent"),
        (Stops(max_failures=2), {"failed": 2}, "max_failures: 2 failed"),
        (Stops(max_duration=1.5), {"seconds": 1.6}, "max_duration: 1.5 s have passed"),
    ],
)
def test_a_limit_says_which_it_is(stops: Stops, at: dict[str, int], reason: str) -> None:
    """It stops when it is reached, and not before."""
    just_before = {name: value - 1 for name, value in at.items()}

    assert stops.limit_reached(**NOTHING | at) == reason  # type: ignore[arg-type]  # a table
    assert stops.limit_reached(**NOTHING | just_before) == ""  # type: ignore[arg-type]  # a table


def test_no_limit_never_stops() -> None:
    """Without options a run goes on."""
    assert Stops().limit_reached(begun=10**9, begun_bytes=10**15, failed=10**9, seconds=1e9) == ""


@pytest.mark.parametrize("name", ["max_files", "max_bytes_total", "max_failures", "max_duration"])
def test_a_limit_is_above_zero(name: str) -> None:
    """A run that may do nothing is a slip."""
    for value in (0, -1):
        with pytest.raises(ConfigurationError, match=name):
            UploadConfig(**{name: value})  # type: ignore[arg-type]  # a table


class Job(BulkRun[int, str, int]):
    """A run over numbers: even ones are done, odd ones fail."""

    def __init__(
        self,
        stops: Stops,
        numbers: int,
        *,
        seconds: float = 0.0,
        lane: Lane | None = None,
        concurrency: int | None = 1,
    ) -> None:
        super().__init__(lane, concurrency, stops)
        self.numbers, self.seconds = numbers, seconds
        self.done = self.ends = 0

    @property
    def report(self) -> int:
        """Return how many were done."""
        return self.done

    async def _open(self) -> None:
        """Nothing is to be opened."""

    async def _feed(self) -> None:
        for number in range(self.numbers):
            self._hand_over(number)
            await self._room()

    async def _do(self, work: int) -> None:
        self.begun += 1
        self._begun_bytes += 10
        await asyncio.sleep(self.seconds)
        self.done += 1
        self.failed += work % 2
        self._give_out(str(work))

    def _tell_end(self) -> None:
        self.ends += 1

    async def _close(self, *, complete: bool) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("stops", "done", "stopped_by"),
    [
        (Stops(max_files=3), 3, "max_files: 3 were sent"),
        (Stops(max_bytes_total=25), 3, "max_bytes_total: 30 bytes were sent"),
        (Stops(max_failures=2), 4, "max_failures: 2 failed"),
        (Stops(max_files=3, max_failures=2), 3, "max_files: 3 were sent"),
        (Stops(), 10, ""),
    ],
)
async def test_what_is_begun_and_what_fails_counts(
    stops: Stops, done: int, stopped_by: str
) -> None:
    """A run ends where a limit is reached, and says which it was; the first one stays."""
    async with Job(stops, 10) as job:
        assert await job.finish() == done

    assert (job.stopped_by, job.stopped) == (stopped_by, bool(stopped_by))


@pytest.mark.looptime
async def test_time_counts_from_the_beginning() -> None:
    """`max_duration` is in seconds of the run, and needs nobody who asks."""
    job = Job(Stops(max_duration=60), 10, seconds=1000)
    await asyncio.sleep(100)
    async with job:
        await asyncio.sleep(59)
        assert (job.stopped_by, job.stopped) == ("", False)
        await asyncio.sleep(2)
        assert (job.stopped_by, job.stopped) == ("max_duration: 60 s have passed", True)


@attrs.define
class Lane:
    """A lane with room for some requests, and the number that is pinned."""

    most: int
    pinned: int | None = None

    @contextlib.contextmanager
    def pin(self, limit: int) -> Iterator[None]:
        """Note the number."""
        self.pinned = limit
        try:
            yield
        finally:
            self.pinned = None


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("lane", "concurrency", "at_once"),
    [(None, None, 8), (None, 3, 3), (Lane(12), None, 12), (Lane(12), 3, 3)],
)
async def test_as_many_are_begun_as_may_be_in_flight(
    lane: Lane | None, concurrency: int | None, at_once: int
) -> None:
    """Those of a lane, or a pinned number of them."""
    async with Job(Stops(), 100, seconds=60, lane=lane, concurrency=concurrency) as job:
        await asyncio.sleep(59)
        assert job.begun == at_once
        assert lane is None or lane.pinned == concurrency
    assert lane is None or lane.pinned is None


class Broken(Job):
    """A run that cannot be opened."""

    async def _open(self) -> None:
        await asyncio.sleep(0)
        raise ConfigurationError("There is no such folder.")


@pytest.mark.looptime
async def test_a_run_that_cannot_be_opened_leaves_nothing_behind() -> None:
    """Its lane is free for others, and no timer waits to stop it."""
    lane = Lane(12)
    job = Broken(Stops(max_duration=60), 1, lane=lane, concurrency=3)
    with pytest.raises(ConfigurationError, match="no such folder"):
        async with job:
            pass
    await asyncio.sleep(100)

    assert (lane.pinned, job.stopped) == (None, False)


class Slow(Job):
    """A run whose source takes ten seconds for each number."""

    async def _feed(self) -> None:
        for number in range(self.numbers):
            await asyncio.sleep(10)
            self._hand_over(number)


@pytest.mark.looptime
async def test_work_counts_from_the_first_that_the_source_gives() -> None:
    """What was planned before is no work: rates and advice leave it out."""
    async with Slow(Stops(), 3) as job:
        began = asyncio.get_running_loop().time()
        assert job.working_since is None
        await job.finish()
    assert job.working_since == pytest.approx(began + 10)


class Endless(Job):
    """A run whose source never gives anything, as a watched folder in which nothing happens."""

    async def _feed(self) -> None:
        await asyncio.Event().wait()


async def test_another_thread_may_stop_a_run() -> None:
    """Or a signal handler: the loop is woken, and asyncio's debug mode accepts it."""
    asyncio.get_running_loop().set_debug(True)
    async with Endless(Stops(), 0) as job:
        await asyncio.to_thread(job.stop)
        assert await job.finish() == 0
    job.stop()  # it is over


@pytest.mark.parametrize("turns", range(6))
async def test_a_run_may_be_stopped_at_any_turn_of_its_start(turns: int) -> None:
    """Also before its feeder has begun, and without a turn of the loop in between."""
    job = Endless(Stops(), 0)
    if turns == 0:
        job.stop()
    async with job:
        for _ in range(turns - 1):
            await asyncio.sleep(0)
        job.stop()
        assert await job.finish() == 0


async def test_several_tasks_may_iterate_over_one_run() -> None:
    """Each result comes to one of them, and the end to all."""
    async with Job(Stops(), 10) as job:

        async def results() -> list[str]:
            return [each async for each in job]

        shares = await asyncio.gather(results(), results(), results())
    assert sorted(each for share in shares for each in share) == [str(n) for n in range(10)]


async def test_leaving_a_run_ends_a_task_that_iterates_over_it() -> None:
    """It would wait for ever: the run was cancelled, and told nobody of its end."""
    async with Endless(Stops(), 0) as job:
        waiting = asyncio.ensure_future(job.finish())
        await asyncio.sleep(0.01)
    async with asyncio.timeout(30):
        assert await waiting == 0


@pytest.mark.looptime
async def test_a_run_that_is_over_is_not_stopped() -> None:
    """The clock ends with it."""
    async with Job(Stops(max_duration=60), 2) as job:
        await job.finish()
    await asyncio.sleep(100)

    assert (job.stopped_by, job.stopped) == ("", False)


@pytest.mark.parametrize("is_read", [True, False])
async def test_the_end_of_a_run_is_told_once(is_read: bool) -> None:
    """Whether its results were read to the end, or it was left early."""
    async with Job(Stops(), 10) as job:
        await (job.finish() if is_read else anext(job))
        assert job.ends == is_read

    assert job.ends == 1


def test_a_run_whose_loop_is_closed_may_be_stopped() -> None:
    """By a signal handler that is still there."""
    job = Job(Stops(), 2)

    async def use() -> None:
        async with job:
            await job.finish()

    asyncio.run(use())
    job.stop()
    assert (job.done, job.stopped) == (2, True)


class Cancelled(Job):
    """A run with code of the caller that cancels the task that reads its source."""

    async def _feed(self) -> None:
        cast("asyncio.Task[None]", asyncio.current_task()).cancel()
        await asyncio.sleep(0)


async def test_a_run_whose_source_is_cancelled_is_not_complete() -> None:
    """Without `stop`, what the source had not named yet would be missing without a word."""
    async with Cancelled(Stops(), 10) as job:
        with pytest.raises(RuntimeError, match="cancelled by other code"):
            await job.finish()


class Failing(Job):
    """A run in which everything fails, one after the other."""

    fails: tuple[str, ...] = ()

    def _fail(self, where: str, kind: type[Exception]) -> None:
        if where in self.fails:
            raise kind(f"in {where}")

    async def _feed(self) -> None:
        await super()._feed()
        self._fail("feed", LookupError)

    async def _do(self, work: int) -> None:
        self._give_out(str(work))
        self._fail("do", OSError)
        self._fail("bug", LookupError)

    def _write_down(self) -> None:
        self._fail("write", OSError)

    async def _finish(self) -> None:
        self._fail("finish", OSError)


@pytest.mark.parametrize(
    ("fails", "first"),
    [
        (("feed", "do", "write"), "feed"),
        (("feed", "bug"), "feed"),
        (("feed", "finish"), "feed"),
        (("do", "write"), "do"),
        (("do", "finish"), "do"),
        (("write", "finish"), "write"),
    ],
)
async def test_the_first_error_of_a_run_is_raised(fails: tuple[str, ...], first: str) -> None:
    """Those that follow are often its consequences."""
    job = Failing(Stops(), 1)
    job.fails = fails
    async with job:
        with pytest.raises((OSError, LookupError), match=f"in {first}"):
            await job.finish()
        assert await job.finish() == 0  # it is raised once


class Written(Job):
    """A run that notes when it has written how many outcomes, and whose disk may be full."""

    is_full = False

    def __init__(self, numbers: int, *, seconds: float) -> None:
        super().__init__(Stops(), numbers, seconds=seconds)
        self.written: list[tuple[float, int]] = []

    def _write_down(self) -> None:
        if self.is_full:
            raise OSError("full")
        self.written.append((round(self._now() - self._began, 3), self.done))


@pytest.mark.looptime
async def test_outcomes_are_written_a_tenth_of_a_second_after_they_are_known() -> None:
    """Many at once, without a write in between, none while there is nothing new; all at the end."""
    async with Written(4, seconds=0.04) as quick, Written(2, seconds=5) as slow:
        await asyncio.gather(quick.finish(), slow.finish())

    assert quick.written == [(0.14, 3), (0.16, 4)]
    assert slow.written == [(5.1, 1), (10.0, 2)]


@pytest.mark.looptime
async def test_a_run_whose_outcomes_cannot_be_written_begins_nothing_more() -> None:
    """It is known a moment after the first one, not after all the others."""
    job = Written(100, seconds=5)
    job.is_full = True
    async with job:
        with pytest.raises(OSError, match="full"):
            await job.finish()

    assert (job.done, job.written) == (2, [])


@pytest.mark.looptime
async def test_an_iteration_that_begins_late_gets_everything() -> None:
    """Once two results for each worker wait, only what is in flight ends, until they are taken."""
    async with (
        Job(Stops(), 100, seconds=1, concurrency=3) as job,
        Job(Stops(), 1) as short,  # is over by then
    ):
        await asyncio.sleep(60)
        begun = job.begun
        results = [each async for each in job]
        assert [each async for each in short] == ["0"]

    assert begun == 6 + 2
    assert sorted(results, key=int) == [str(number) for number in range(100)]


class Given(Endless):
    """A run whose results the test gives out."""

    def give(self, result: str) -> None:
        """Pass a result to the iteration."""
        self._give_out(result)


async def test_a_result_that_comes_with_a_cancellation_is_the_next_task_s() -> None:
    """It was given to one that waited and had no turn any more."""
    async with Given(Stops(), 0) as job:
        first, second = (asyncio.ensure_future(job.__anext__()) for _ in range(2))
        await asyncio.sleep(0.01)
        job.give("a")
        first.cancel()
        async with asyncio.timeout(30):
            assert await second == "a"
        assert first.cancelled()


async def test_waits_for_a_result_that_are_given_up_leave_nothing_behind() -> None:
    """A display may ask ten times a second, all night, whether there is anything new."""

    def futures() -> int:
        return sum(isinstance(each, asyncio.Future) for each in gc.get_objects())

    async with Given(Stops(), 0) as job:
        await asyncio.sleep(0.01)
        before = futures()
        for _ in range(100):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(job)
        assert futures() < before + 10
        job.give("a")
        assert await anext(job) == "a"
