"""Stop limits, and who counts for them."""

from __future__ import annotations

import asyncio

import pytest

from datagym_async._runs._engine import Stops
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import Outcome, UploadConfig, UploadItem, UploadResult
from datagym_async.uploads._observer import Participant
from datagym_async.uploads._tally import Tally

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

    assert stops.reason(**NOTHING | at) == reason  # type: ignore[arg-type]  # a table
    assert stops.reason(**NOTHING | just_before) == ""  # type: ignore[arg-type]  # a table


def test_no_limit_never_stops() -> None:
    """Without options a run goes on."""
    assert Stops().reason(begun=10**9, begun_bytes=10**15, failed=10**9, seconds=1e9) == ""


@pytest.mark.parametrize("name", ["max_files", "max_bytes_total", "max_failures", "max_duration"])
def test_a_limit_is_above_zero(name: str) -> None:
    """A run that may do nothing is a slip."""
    for value in (0, -1):
        with pytest.raises(ConfigurationError, match=name):
            UploadConfig(**{name: value})  # type: ignore[arg-type]  # a table


async def test_what_is_begun_and_what_fails_counts() -> None:
    """The limits count images that are on their way, and failures but no rejections."""
    config = UploadConfig(max_files=3, max_failures=2)
    participant, tally = Participant.of(config), Tally(0)
    room = participant.hooks().room
    participant.begin(_never)
    item = UploadItem("a.jpg", b"x")

    participant.began(item, 10)
    participant.ended(UploadResult(item=item, outcome=Outcome.REJECTED, dataset_id="d"))
    participant.ended(UploadResult(item=item, outcome=Outcome.FAILED, dataset_id="d"))
    assert (participant.stop(tally), room()) == ("", 2)
    participant.began(item, 10)
    participant.began(item, None)

    assert participant.stop(tally) == "max_files: 3 were sent"
    assert room() == 0
    participant.ended(UploadResult(item=item, outcome=Outcome.FAILED, dataset_id="d"))
    assert participant.stop(tally) == "max_files: 3 were sent", "the first reason stays"


@pytest.mark.looptime
async def test_time_counts_from_the_beginning() -> None:
    """`max_duration` is in seconds of the run, and needs nobody who asks."""
    participant, stops = Participant.of(UploadConfig(max_duration=60)), list[bool]()
    await asyncio.sleep(100)
    participant.begin(lambda: stops.append(True))
    await asyncio.sleep(59)
    assert (participant.stop(Tally(0)), stops) == ("", [])
    await asyncio.sleep(2)
    assert participant.stop(Tally(0)) == "max_duration: 60 s have passed"
    assert stops == [True]


@pytest.mark.looptime
async def test_a_run_that_is_over_is_not_stopped() -> None:
    """The clock ends with it."""
    participant, stops = Participant.of(UploadConfig(max_duration=60)), list[bool]()
    participant.begin(lambda: stops.append(True))
    participant.close()
    await asyncio.sleep(100)
    assert stops == []


def _never() -> None:
    raise AssertionError("It was stopped.")
