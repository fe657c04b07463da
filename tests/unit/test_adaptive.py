"""The controller against simulated services: it finds what they can do, and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from datagym_async._limits import Gradient, LimiterState
from datagym_async._limits._adaptive import Baselines
from tests.helpers.limiter_simulation import Done, Service, Simulation, best_pinned, p95, throughput

if TYPE_CHECKING:
    import random


def always(value: float) -> Callable[[float], float]:
    return lambda _: value


def service(places: int, latency: float, **more: float) -> Service:
    return Service(lambda _: places, always(latency), **more)  # type: ignore[arg-type]  # by name


def mixed(rng: random.Random) -> int:
    """Return a size from 8 kB to 10 MB, evenly spread over the orders of magnitude."""
    return int(8_000 * 1_250 ** rng.random())


@pytest.mark.parametrize("places", [4, 16, 64])
@pytest.mark.parametrize(("latency", "since"), [(0.005, 2), (0.05, 5), (0.2, 10)])
def test_it_reaches_the_best_fixed_number(places: int, latency: float, since: int) -> None:
    """After 10 seconds at the latest: 0.9 of the best throughput, p95 at most twice as long."""
    simulated = service(places, latency)
    end = since * 1.5
    best, best_p95 = best_pinned(
        simulated, (places // 2, places, 2 * places), since=since, until=end
    )

    done = Simulation(simulated, Gradient(128)).run(end)

    assert throughput(done, since, end) >= 0.9 * best
    assert p95(done, since, end) <= 2 * best_p95


def test_it_stays_small_before_a_service_that_works_on_one_at_a_time() -> None:
    """With nothing to gain, hardly more than one waits."""
    done = Simulation(service(1, 0.05), Gradient(128)).run(30)

    assert throughput(done, 10, 30) >= 0.95 * 20
    assert max(one.limit for one in done if one.at > 10) <= 5


def test_it_recovers_from_a_burst_of_refusals() -> None:
    """A second of 503 brings the limit down; three seconds later the throughput is back."""
    burst = Service(lambda _: 16, always(0.05), fails=lambda now: 10 < now < 11)

    done = Simulation(burst, Gradient(128)).run(20)

    assert min(one.limit for one in done if 10 < one.at < 11) <= 2
    assert throughput(done, 14, 20) >= 0.9 * throughput(done, 5, 10)


def test_a_service_that_gets_slower_is_not_taken_for_a_full_one() -> None:
    """An upload that takes 20 ms at first and 700 ms at last keeps the places busy."""
    growing = Service(lambda _: 4, lambda count: 0.02 + 0.68 * min(1.0, count / 4_000))

    done = Simulation(growing, Gradient(8)).run(300)

    assert throughput(done, 200, 300) >= 0.95 * 4 / (0.7 * 1.02)
    late = [one.limit for one in done if one.at > 10]
    assert sum(limit < 4 for limit in late) < 0.1 * len(late), "probes alone go below"


def test_large_files_on_a_narrow_line_are_no_congestion() -> None:
    """Sizes from 8 kB to 10 MB over 100 MB/s: the line is filled, and not with everything."""
    line = Service(lambda _: 16, always(0.05), line=100e6)

    done = Simulation(line, Gradient(128), size=mixed).run(60)

    late = [one for one in done if one.at > 10]
    assert sum(one.size for one in late) / 50 >= 0.9 * 100e6
    assert max(one.limit for one in late) <= 32


def test_a_saturated_line_is_not_filled_with_more() -> None:
    """At 1 MB/s with 200 kB files, a few in flight are enough."""
    done = Simulation(
        Service(lambda _: 16, always(0.05), line=1e6), Gradient(128), size=lambda _: 200_000
    ).run(60)

    late = [one for one in done if one.at > 20]
    assert sum(one.size for one in late) / 40 >= 0.95e6
    assert max(one.limit for one in late) <= 8


def test_it_follows_the_capacity_down_and_up() -> None:
    """32 places become 8 and then 32 again; the throughput follows within seconds."""
    stepped = Service(lambda now: 8 if 20 <= now <= 40 else 32, always(0.05))

    done = Simulation(stepped, Gradient(128)).run(60)

    assert throughput(done, 10, 20) >= 0.9 * 32 / 0.051
    assert throughput(done, 22, 40) >= 0.9 * 8 / 0.051
    assert p95(done, 30, 40) <= 0.12, "what the change queued up has gone"
    assert throughput(done, 45, 60) >= 0.9 * 32 / 0.051


def test_no_more_is_allowed_than_there_is_to_do() -> None:
    """With three requests at a time there is no reason to allow a hundred."""
    done = Simulation(service(64, 0.05), Gradient(128), supply=3).run(20)

    assert max(one.limit for one in done) <= 8


def answer(gradient: Gradient, seconds: float, *, count: int = 1, kind: str = "media") -> None:
    for _ in range(count):
        gradient.succeeded(
            size=1000,
            seconds=seconds,
            in_flight=gradient.limit,
            epoch=gradient.epoch,
            kind=kind,
        )


def grown() -> Gradient:
    """Return a controller that has grown to 32."""
    gradient = Gradient(32)
    while gradient.limit < 32:
        answer(gradient, 0.1)
    return gradient


def test_a_burst_of_failures_halves_once() -> None:
    """All requests that were in flight at a sign of overload tell of one and the same overload."""
    gradient = grown()
    begun = gradient.epoch

    for _ in range(32):
        gradient.overloaded("503", epoch=begun)

    assert gradient.limit == 16
    assert gradient.reason == "halved after 503"


def test_a_request_that_began_after_the_halving_halves_again() -> None:
    """What began under the smaller limit and failed says that it is still too large."""
    gradient = grown()
    gradient.overloaded("503", epoch=gradient.epoch)
    gradient.overloaded("503", epoch=gradient.epoch)

    assert gradient.limit == 8


def test_a_timeout_counts_although_it_is_known_late() -> None:
    """A request that timed out began many decisions ago; it still is a sign of overload."""
    gradient = grown()
    begun = gradient.epoch
    answer(gradient, 0.1, count=200)
    assert gradient.epoch > begun + 2

    gradient.overloaded("a timeout", epoch=begun)

    assert gradient.limit == 16


def test_an_overload_before_anything_was_measured_leaves_the_measurement_to_do() -> None:
    """The baseline is then what the next answers take, not nothing."""
    gradient = Gradient(32)
    gradient.overloaded("503", epoch=gradient.epoch)
    answer(gradient, 0.1, count=8)
    assert (gradient.limit, gradient.reason) == (1, "halved after 503")
    for _ in range(200):
        answer(gradient, 0.1 if gradient.limit <= 4 else 1.0)

    assert gradient.limit <= 8


def test_an_overload_ends_the_measurement_of_a_better_baseline() -> None:
    """It can wait; the answers of a service that is too busy are compared with the known one."""
    gradient = grown()
    while "fewer requests" not in gradient.reason:
        answer(gradient, 0.1)
    gradient.overloaded("503", epoch=gradient.epoch)
    assert gradient.limit == 8

    assert windows(gradient, 0.2, 1) == [6]
    assert gradient.reason == "answers take 1.4 times what they should"


def test_quick_refusals_do_not_make_successes_look_slow() -> None:
    """A run of 412s at 5 ms, then uploads at 50 ms: another kind, measured by itself."""
    gradient = Gradient(32)
    while gradient.limit < 32:
        answer(gradient, 0.005, kind="media, refused")
    for _ in range(300):
        answer(gradient, 0.05, kind="media")

    assert gradient.limit == 32


def test_sizes_never_seen_are_measured_before_they_are_judged() -> None:
    """Thumbnails first, then files a thousand times as large: no congestion."""
    gradient = Gradient(32)
    while gradient.limit < 32:
        answer(gradient, 0.01)
    for _ in range(300):
        gradient.succeeded(
            size=1_000_000, seconds=1.0, in_flight=gradient.limit, epoch=gradient.epoch
        )

    assert gradient.limit == 32


def test_the_state_tells_what_was_found_out() -> None:
    """Limit, reason, maximum, and what the advisor needs."""
    gradient = Gradient(32)
    for at in range(4_000):
        size = 100_000 * (1 + at % 3)
        gradient.succeeded(
            size=size,
            seconds=(0.02 if at < 1_000 else 0.1) + size / 10e6,
            in_flight=gradient.limit,
            epoch=gradient.epoch,
        )

    state = gradient.state(in_flight=7)

    assert (state.limit, state.maximum, state.in_flight) == (32, 32, 7)
    assert state.reason == "at the maximum"
    assert not state.is_pinned
    assert state.growth == pytest.approx(3.0, rel=0.1), "from 40 to 120 ms for 200 kB"
    assert state.size_share == pytest.approx(1 / 6, rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "share"),
    [
        pytest.param(lambda size: 0.1 + size * 1e-5, 0.045 / 0.145, id="by size"),
        pytest.param(lambda size: 0.1 - size * 1e-6, 0.0, id="small ones take longer"),
        pytest.param(lambda size: 0.1 + size % 2000 * 1e-5, 0.0, id="by chance"),
        pytest.param(lambda _: 0.1, 0.0, id="all alike"),
        pytest.param(lambda _: 0.125, 0.0, id="all alike to the last bit"),
    ],
)
def test_the_share_of_the_size_is_told_where_it_is_sure(
    seconds: Callable[[int], float], share: float
) -> None:
    """Eight requests of 1 to 8 kB: how much of 145 ms goes with 4.5 kB at 10 us a byte."""
    gradient = Gradient(32)
    for size in range(1000, 9000, 1000):
        gradient.succeeded(size=size, seconds=seconds(size), in_flight=2, epoch=0)

    state = gradient.state(in_flight=2)
    assert gradient.epoch == 1
    assert state.size_share == pytest.approx(share)
    assert state.growth == pytest.approx(1)


@pytest.mark.parametrize(("windows", "sure"), [(1, (9 / 6) ** 0.5), (2, (9 / 14) ** 0.5)])
@pytest.mark.parametrize(("times", "is_sure"), [(1.001, True), (0.999, False)])
def test_a_slope_is_sure_from_student_s_t_of_three_on(
    windows: int, sure: float, times: float, *, is_sure: bool
) -> None:
    """Its square is what size explains of the seconds over what it does not, times count less 2."""
    noise = 0.0005
    slope = times * sure * noise / 10
    points = [
        ("", size, 0.01 + slope * (size - 100) + sign * noise)
        for size in (90, 110)
        for sign in (-1, 1, -1, 1)
    ]
    baselines = Baselines()
    for _ in range(windows):
        baselines.measure(points)

    share = slope * 100 / 0.01 if is_sure else 0.0
    assert baselines.usual().size_share == pytest.approx(share)


def test_no_more_than_all_of_the_time_goes_with_the_bytes() -> None:
    """A slope lives on where sizes are alike; the service may have become faster than it says."""
    baselines = Baselines()
    baselines.measure([("", size, size * 1e-5) for size in range(1_000, 9_000, 1_000)])
    baselines.measure([("", 8_000, 0.01)] * 8)

    assert baselines.usual().size_share == 1.0


def test_answers_that_took_no_time_have_no_share_of_it() -> None:
    """The clock of a system may have steps that are longer than they take."""
    baselines = Baselines()
    baselines.measure([("", size, size * 1e-5) for size in range(1_000, 9_000, 1_000)])
    baselines.measure([("", 1_000, 0.0)])

    assert baselines.usual().size_share == 0.0


@pytest.mark.parametrize("sizes", [(1_000, 1_000), (1_000_000, 1_000_001)])
def test_sizes_that_hardly_differ_say_nothing_of_others(sizes: tuple[int, int]) -> None:
    """What is twice as large is expected to take the same; a difference may be a hiccup."""
    baselines = Baselines()
    baselines.measure([("", size, 0.1 + size % 2 * 0.01) for size in sizes])

    (level,) = baselines.compare([("", sizes[0], 0.1)])
    assert baselines.compare([("", 2 * sizes[0], 0.1)]) == [level]


@pytest.mark.parametrize("measured", [1_000, 100_000])
def test_sizes_are_judged_up_to_four_times_the_largest_that_was_measured(measured: int) -> None:
    """Or four times 64 KiB, where that is more."""
    baselines, most = Baselines(), 4 * max(measured, 65_536)
    baselines.measure([("", measured, 0.1)])

    assert len(baselines.compare([("", most, 0.1), ("", most + 1, 0.1)])) == 1


def test_before_anything_is_measured_nothing_is_told() -> None:
    """Neither growth nor share, nor requests that were slow."""
    state = Gradient(32).state(in_flight=0)

    assert state == LimiterState(2, 0, "starting", 32, False, 0.0, 1.0, 0.0)
    assert LimiterState(2, 0, "a fixed number") == LimiterState(
        2, 0, "a fixed number", 0, False, 0.0, 1.0, 0.0
    )


def windows(gradient: Gradient, seconds: float, count: int) -> list[int]:
    """Return the limits after some windows of answers."""
    limits = []
    for _ in range(count):
        epoch = gradient.epoch
        while gradient.epoch == epoch:
            answer(gradient, seconds)
        limits.append(gradient.limit)
    return limits


def test_a_window_is_a_round_trip_and_twenty_then_fifty_milliseconds_at_least() -> None:
    """Of a sixty-fourth of a second each: twenty at a time, 26 take 20 ms; ten, 32 take 50 ms."""
    gradient = Gradient(32, start=20)
    answer(gradient, 1 / 64, count=25)
    assert gradient.epoch == 0

    answer(gradient, 1 / 64)
    assert gradient.epoch == 1

    gradient.overloaded("503", epoch=1)  # ends the slow start; ten at a time from here on
    answer(gradient, 1 / 64, count=31)
    assert gradient.epoch == 2

    answer(gradient, 1 / 64)
    assert gradient.epoch == 3


def test_of_thousands_of_answers_a_second_every_nth_is_looked_at() -> None:
    """A window of 1,639 makes the next one look at each 25th."""
    gradient = Gradient(8, start=8)
    answer(gradient, 1 / 4096, count=656 + 656)
    assert gradient.epoch == 2, "the baseline, and the end of the slow start"
    answer(gradient, 1 / 4096, count=1_639)
    assert gradient.epoch == 3

    answer(gradient, 1 / 4096, count=1_638)
    assert gradient.epoch == 3
    assert len(gradient._samples) == 65

    answer(gradient, 1 / 4096)
    assert gradient.epoch == 4
    assert gradient.reason == "at the maximum"


def test_a_service_that_has_become_slow_is_seen_after_eight_answers() -> None:
    """Although only each 25th of its quick answers was looked at before."""
    gradient = Gradient(8, start=8)
    answer(gradient, 1 / 4096, count=656 + 656 + 1_639)
    assert gradient.epoch == 3

    answer(gradient, 1.0, count=8)

    assert gradient.epoch == 4
    assert gradient.reason == "answers take 2.0 times what they should"


def test_the_limit_doubles_at_first_and_grows_by_steps_after_a_sign_of_overload() -> None:
    """A step is one, and a quarter for each doubling; the baseline still holds."""
    gradient = Gradient(64)
    assert windows(gradient, 0.1, 5) == [2, 4, 8, 16, 32]
    gradient.overloaded("503", epoch=gradient.epoch)

    assert windows(gradient, 0.1, 1) == [18]
    assert gradient.reason == "answers come as fast as ever"


def test_from_one_at_a_time_it_grows_by_one() -> None:
    """One has no doubling behind it: 1, 2, 3.25."""
    gradient = Gradient(8)
    windows(gradient, 0.1, 1)
    for _ in range(2):
        gradient.overloaded("503", epoch=gradient.epoch)
    assert gradient.limit == 1

    assert windows(gradient, 0.1, 2) == [2, 3]


def test_a_limit_that_is_not_used_up_stays_and_says_so() -> None:
    """Fewer in flight than may be: more would change nothing. Nor is it ever halved to measure."""
    gradient = Gradient(32)
    windows(gradient, 0.1, 3)
    limits = set[tuple[int, str]]()
    for _ in range(50 * 8):
        gradient.succeeded(size=1000, seconds=0.1, in_flight=7, epoch=gradient.epoch, kind="media")
        limits.add((gradient.limit, gradient.reason))

    assert gradient.epoch == 3 + 50
    assert limits == {
        (8, "slow start: answers come as fast as ever"),
        (8, "not all of it was used"),
    }


@pytest.mark.parametrize(("known", "limit"), [(4, 10), (3, 4)])
def test_a_window_is_judged_by_the_half_of_it_that_is_known(known: int, limit: int) -> None:
    """Where fewer are, the limit is halved to measure; answers that took no time are not slow."""
    gradient = Gradient(64)
    windows(gradient, 0.1, 4)
    gradient.overloaded("503", epoch=gradient.epoch)
    answer(gradient, 0.0, count=known)
    answer(gradient, 0.5, count=8 - known, kind="another")

    assert gradient.limit == limit


def test_the_time_in_which_requests_are_slow_is_told() -> None:
    """One window of three to be judged, beside that in which the baseline was measured."""
    gradient = Gradient(32)
    answer(gradient, 0.1, count=8)
    for seconds in (0.1, 0.1, 1.0):
        answer(gradient, seconds, count=max(8, gradient.limit))

    assert gradient.epoch == 4
    assert gradient.state(in_flight=1).slowed == pytest.approx(1 / 4)
    assert gradient.reason == "answers take 2.0 times what they should"


@pytest.mark.parametrize(("most", "least"), [(8, 8), (9, 4)])
def test_latency_alone_brings_no_harmless_number_down(most: int, least: int) -> None:
    """A maximum of 8 is left alone; above it, 4 are harmless."""
    gradient = Gradient(most)
    while gradient.limit < most:
        answer(gradient, 0.1)
    for _ in range(20):
        answer(gradient, 10.0, count=9)

    assert gradient.limit == least


def test_a_baseline_is_measured_anew_now_and_then() -> None:
    """Every fortieth window runs with half the limit; then the limit is what it was."""
    gradient, limits = grown(), list[int]()
    while "fewer requests" not in gradient.reason:
        answer(gradient, 0.1)
    while len(limits) < 42:
        limits.append(gradient.limit)
        epoch = gradient.epoch
        while gradient.epoch == epoch:
            answer(gradient, 0.1)

    assert limits == [16, *[32] * 39, 16, 32]


def test_the_limit_of_a_simulated_run_stays_inside_its_bounds() -> None:
    """Nothing that a service does takes the limit out of 1 to the maximum."""
    wild = Service(
        lambda now: 1 + int(now) % 20,
        lambda count: 0.01 + 0.2 * (count % 500 > 250),
        fails=lambda now: now % 7 > 6.5,
        noise=0.9,
        stragglers=0.2,
    )

    done: list[Done] = Simulation(wild, Gradient(24), size=mixed).run(60)

    assert {1 <= one.limit <= 24 for one in done} == {True}
