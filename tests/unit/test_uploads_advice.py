"""The sentence at the end of a run, rule by rule; and what is seen of growth, mark by mark."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from datagym_async._limits import LimiterState, SessionStatistics
from datagym_async.uploads._advice import Course, Growth, Mark, RunFacts, advise, growth_of

LIMITER = LimiterState(limit=5, in_flight=0, reason="x", maximum=8)
DONE = SessionStatistics(requests=1_000, sending_seconds=100.0)
FACTS = RunFacts(
    seconds=20.0,
    cpu_seconds=2.0,
    statistics=DONE,
    limiter=LIMITER,
    item_seconds=101.0,
    rate_limit=200.0,
    max_upload_rate=2e6,
)


def facts(
    statistics: dict[str, Any] | None = None,
    limiter: dict[str, Any] | None = None,
    **more: Any,
) -> RunFacts:
    changed = {
        "statistics": attrs.evolve(DONE, **(statistics or {})),
        "limiter": attrs.evolve(LIMITER, **(limiter or {})),
        **more,
    }
    return attrs.evolve(FACTS, **changed)


def course(cost: Callable[[int], float], *, held: int = 0, images: int = 5_000) -> Course:
    """Return the course of a run into one dataset, four at a time."""
    found, seconds, total = Course(), 0.0, 0.0
    for number in range(1, images + 1):
        seconds += cost(number)
        total += held + number
        if number >= found.next:
            found.add(Mark(seconds, number, 4 * seconds, total, 2_000 * number))
    return found


def growing(held: int) -> float:
    return 0.010 + 24e-6 * held


def grown(cost: Callable[[int], float] = growing, **more: int) -> Growth:
    growth = growth_of(course(cost, **more).parts())
    assert growth is not None
    return growth


NOTHING: list[Any] = [
    pytest.param(facts(), id="nothing is known"),
    pytest.param(facts({"overloads": {"503": 2}}), id="two in a thousand"),
    pytest.param(facts({"rate_seconds": 80.0}), id="waited for the rate, and far below it"),
    pytest.param(facts({"pace_seconds": 80.0}), id="waited for the pace, and far below it"),
    pytest.param(facts({"pause_seconds": 80.0}), id="many waited for one short pause"),
    pytest.param(facts(limiter={"is_pinned": True, "limit": 8}), id="a pin that was not reached"),
    pytest.param(facts(limiter={"limit": 8}), id="a maximum that was not reached"),
    pytest.param(facts(limiter={"growth": 4.2}), id="growth of a queue"),
    pytest.param(facts(limiter={"slowed": 0.9}, growth=grown(images=450)), id="a little growth"),
    pytest.param(facts(growth=grown(), max_per_dataset="auto"), id="growth that is seen to"),
    pytest.param(facts(sent=0, planning_seconds=15.0), id="nothing was sent"),
    pytest.param(
        facts({"sending_seconds": 150.0}, {"limit": 8}, growth=grown(), max_per_dataset="auto"),
        id="a maximum that would not help",
    ),
    pytest.param(facts({"retries": 2}, item_seconds=900.0), id="two answers were lost"),
    pytest.param(facts(disk_seconds=4.0), id="a moment of the disk"),
    pytest.param(facts(preparing_seconds=4.0), id="images that were prepared meanwhile"),
]

ROWS: list[Any] = [
    pytest.param(facts(paused_seconds=9.0), "it asked to wait for 45% of the time", id="pause"),
    pytest.param(
        facts({"overloads": {"503": 20, "timeout": 5}}),
        "overloaded (20 x 503, 5 x timeout)",
        id="overload",
    ),
    pytest.param(
        facts({"requests": 3_900, "rate_seconds": 80.0}),
        "rate limit of 200 requests a second",
        id="rate",
    ),
    pytest.param(
        facts({"pace_seconds": 80.0, "bytes": 39_000_000}),
        "limit of 2 MB/s on uploaded bytes",
        id="pace",
    ),
    pytest.param(facts(cpu_seconds=19.0), "machine's CPU", id="cpu"),
    pytest.param(facts(disk_seconds=80.0), "The disk limited", id="disk"),
    pytest.param(
        facts(preparing_seconds=18.0, disk_seconds=80.0),
        "Preparing images limited this run: it took 90% of the time",
        id="preparing",
    ),
    pytest.param(facts({"reading_seconds": 60.0}), "The disk limited", id="disk, streamed"),
    pytest.param(
        facts({"sending_seconds": 20.0, "requests": 200}, item_seconds=20.0, planning_seconds=15.0),
        "Finding the images limited this run: it took 75% of the time",
        id="sources",
    ),
    pytest.param(
        facts({"sending_seconds": 1.0, "rate_seconds": 1.0}, item_seconds=2.0),
        "Nothing here limited this run: for 90% of the time there was nothing to send",
        id="idle",
    ),
    pytest.param(
        facts({"retries": 40, "sending_seconds": 40.0}, item_seconds=100.0),
        "Lost answers limited this run: 60% of the time",
        id="lost answers",
    ),
    pytest.param(
        facts(growth=grown()), "uploads took 4.6 times as long at the end as", id="growth"
    ),
    pytest.param(facts(growth=grown()), "max_per_dataset=500 would", id="growth, help"),
    pytest.param(
        facts(growth=grown()),
        "a quarter of the time (estimated: 16 ms an image instead of 70 ms)",
        id="growth, the estimate",
    ),
    pytest.param(
        facts(growth=grown(), max_per_dataset=5_000), "in a full dataset as", id="growth, spread"
    ),
    pytest.param(facts(limiter={"is_pinned": True, "maximum": 5}), "fixed number of 5", id="pin"),
    pytest.param(
        facts(limiter={"slowed": 0.8, "size_share": 0.9}), "The network limited", id="line"
    ),
    pytest.param(
        facts(limiter={"slowed": 0.8}), "more than about 5 requests at once", id="service"
    ),
    pytest.param(
        facts({"sending_seconds": 150.0}, {"limit": 8}, item_seconds=150.0),
        "a higher max_uploads would help",
        id="maximum",
    ),
]


@pytest.mark.parametrize(("known", "part"), ROWS)
def test_what_limited_a_run(known: RunFacts, part: str) -> None:
    """One sentence names what was short, and what would help."""
    sentence = advise(known)

    assert part in sentence
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0


@pytest.mark.parametrize("known", NOTHING)
def test_nothing_is_said_where_nothing_is_sure(known: RunFacts) -> None:
    """A wrong advice is worse than none."""
    assert advise(known) == ""


def jagged(held: int) -> float:
    return growing(held) * random.Random(held).uniform(0.5, 1.5)


@pytest.mark.parametrize(
    ("cost", "held", "times", "size"),
    [
        (growing, 0, 4.6, 500),
        (jagged, 0, 4.6, 500),
        (lambda held: 0.010 + 13e-6 * held, 0, 3.7, 1_000),
        (lambda held: 0.010 + 1e-6 * held, 0, None, None),  # half as long again, at 5,000
        (lambda _: 0.010, 0, None, None),
        (lambda held: 0.010 if held < 2_500 else 0.040, 0, None, None),
        (lambda held: 0.040 - 6e-6 * held, 0, None, None),
        (lambda held: 0.010 + 0.001 * (held % 40), 0, None, None),
        (lambda held: growing(held + 5_000), 5_000, 1.6, 500),
    ],
)
def test_growth(
    cost: Callable[[int], float], held: int, times: float | None, size: int | None
) -> None:
    """It is seen through chance, and nothing else is taken for it."""
    growth = growth_of(course(cost, held=held).parts())

    assert (growth and growth.size) == size
    assert times is None or (growth and growth.times) == pytest.approx(times, rel=0.05)


def test_what_was_not_seen_is_reckoned() -> None:
    """The cost in an empty dataset, of a run that began with a full one."""
    growth = grown(lambda number: growing(number + 5_000), held=5_000)

    assert growth.cost(0) == pytest.approx(growing(0), rel=0.2)
    assert growth.cost(20_000) == pytest.approx(growing(20_000), rel=0.05)
    assert growth.cost(7_000) == pytest.approx(growing(7_000), rel=0.02)


def test_a_long_run_keeps_few_marks() -> None:
    """They get further apart, and still say the same."""
    long = course(growing, images=200_000)

    assert len(long.parts()) <= 64
    assert long.next > 200_000


def test_few_images_say_nothing() -> None:
    """Of a hundred images nobody knows."""
    assert growth_of(course(growing, images=100).parts()) is None
    assert growth_of([]) is None


def test_statistics_of_a_run_are_differences() -> None:
    """A client has a life before the run: its counts and sums do not count."""
    before = SessionStatistics(
        requests=10, bytes=5, lane_seconds=1.0, overloads={"503": 2, "429": 1}, p50=9.0
    )
    after = SessionStatistics(
        requests=25, bytes=9, lane_seconds=4.0, overloads={"503": 5, "429": 1}, p50=0.1
    )

    run = after.since(before)

    assert (run.requests, run.bytes, run.lane_seconds) == (15, 4, 3.0)
    assert run.overloads == {"503": 3}
    assert run.p50 == 0.1


def test_nothing_is_said_of_a_run_that_was_too_short_to_tell() -> None:
    """A run of less than some seconds gets no advice."""
    assert advise(facts(seconds=0.5)) == ""
