"""What is shown of a download."""

from __future__ import annotations

import attrs
import pytest

from datagym_async import LimiterState
from datagym_async.cli import DownloadSnapshot
from datagym_async.downloads import DownloadProgress
from tests.helpers.terminal import printed

PROGRESS = DownloadProgress(
    phase="fetching",
    items_done=1_200,
    items_total=5_000,
    bytes_done=48_000_000,
    downloaded=1_000,
    present=190,
    skipped=7,
    failed=3,
    in_flight=9,
    seconds=12.0,
    items_per_second=100.0,
    bytes_per_second=4_000_000.0,
    seconds_left=38.0,
)
LIMITER = LimiterState(12, 9, "", maximum=16)


def test_a_line_holds_the_figures() -> None:
    """Everything of a run at work, in one line."""
    assert DownloadSnapshot(PROGRESS, 2, LIMITER).line() == (
        "Downloading 1,200/5,000 media, 48.0 MB, 4.0 MB/s, 0:00:38 left, 9 in flight, limit 12, "
        "2 retries, 190 present, 7 skipped, 3 failed"
    )


@pytest.mark.parametrize(
    ("phase", "is_stopping", "verb"),
    [
        ("listing", False, "Listing"),
        ("fetching", False, "Downloading"),
        ("fetching", True, "Stopping"),
        ("labels", False, "Writing labels"),
        ("done", True, "Done"),
    ],
)
def test_what_it_is_doing(phase: str, is_stopping: bool, verb: str) -> None:
    """One word for each phase, in the line and in the drawing."""
    progress = attrs.evolve(PROGRESS, phase=phase)
    snapshot = DownloadSnapshot(progress, 0, LIMITER, is_stopping)

    assert snapshot.line().startswith(f"{verb} 1,200/5,000 media")
    assert printed(snapshot.drawing())[0].startswith(verb)


def test_labels_that_are_read_task_by_task() -> None:
    """It is seen that it goes on, after the media are all there."""
    progress = attrs.evolve(PROGRESS, phase="labels", tasks_read=300, tasks_total=1_200)
    snapshot = DownloadSnapshot(progress, 0, LIMITER)

    assert snapshot.line().startswith("Writing labels 300/1,200 tasks")
    assert printed(snapshot.drawing())[0].endswith(" 300/1,200 tasks")


def test_a_run_that_is_done_says_how_long_it_took() -> None:
    """Nothing is in flight any more, and what there was none of is not said."""
    progress = attrs.evolve(PROGRESS, phase="done", present=0, skipped=0, failed=0)
    line = DownloadSnapshot(progress, 1, LIMITER).line()

    assert "0:00:12 taken, 1 retry" in line
    assert "in flight" not in line
    assert "failed" not in line
