"""The advisor line, rule by rule."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from datagym_async._limits import LimiterState, RunFacts, SessionStatistics, advise

LIMITER = LimiterState(limit=5, in_flight=0, reason="x", maximum=8)
DONE = SessionStatistics(requests=1_000, sending_seconds=100.0)
FACTS = RunFacts(
    seconds=20.0,
    cpu_seconds=2.0,
    statistics=DONE,
    limiter=LIMITER,
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


ROWS = [
    pytest.param(facts(), "Nothing here limited this run", id="nothing"),
    pytest.param(facts({"pause_seconds": 60.0}), "it asked to wait", id="pause"),
    pytest.param(
        facts({"overloads": {"503": 20, "timeout": 5}}),
        "overloaded (20 x 503, 5 x timeout)",
        id="overload",
    ),
    pytest.param(facts({"overloads": {"503": 2}}), "Nothing here", id="two in a thousand"),
    pytest.param(facts({"rate_seconds": 80.0}), "rate limit of 200 requests a second", id="rate"),
    pytest.param(facts({"pace_seconds": 80.0}), "limit of 2 MB/s on uploaded bytes", id="pace"),
    pytest.param(facts(cpu_seconds=19.0), "machine's CPU", id="cpu"),
    pytest.param(facts(disk_seconds=80.0), "The disk limited", id="disk"),
    pytest.param(facts({"reading_seconds": 40.0}), "The disk limited", id="disk, streamed"),
    pytest.param(facts(limiter={"growth": 4.2}), "4.2 times what it took at first", id="growth"),
    pytest.param(facts(limiter={"growth": 4.2}), "max_per_dataset", id="growth, help"),
    pytest.param(
        facts(limiter={"growth": 4.2}, is_upload=False), "Nothing here", id="growth, downloads"
    ),
    pytest.param(facts(limiter={"is_pinned": True, "maximum": 5}), "pinned number of 5", id="pin"),
    pytest.param(facts(limiter={"slowed": 0.8, "size_share": 0.9}), "The line limited", id="line"),
    pytest.param(
        facts(limiter={"slowed": 0.8}), "more than about 5 requests at once", id="service"
    ),
    pytest.param(facts(limiter={"limit": 8}), "a higher max_uploads would help", id="maximum"),
    pytest.param(
        facts(limiter={"limit": 8}, is_upload=False), "a higher max_downloads", id="maximum, down"
    ),
]


@pytest.mark.parametrize(("known", "part"), ROWS)
def test_what_limited_a_run(known: RunFacts, part: str) -> None:
    """One sentence names what was short, and what would help."""
    sentence = advise(known)

    assert part in sentence
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0


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
