"""What the progress displays show of a snapshot; figures as people read them."""

from __future__ import annotations

import io

import attrs
import pytest
from rich.console import Console

from datagym_async.cli._figures import clock, counted, share_of_bytes, size
from datagym_async.cli._progress import Snapshot, drawing, line
from datagym_async.transfer import UploadProgress

HALF_WAY = UploadProgress(
    phase="sending",
    items_done=1260,
    items_total=2000,
    bytes_done=210_500_000,
    bytes_total=331_200_000,
    total_known=True,
    uploaded=1200,
    skipped=50,
    rejected=8,
    failed=2,
    in_flight=8,
    seconds=12.0,
    items_per_second=104.0,
    bytes_per_second=17_400_000.0,
    seconds_left=7.0,
)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_600, "1.0 MB"),
        (17_400_000, "17.4 MB"),
        (5e15, "5,000.0 TB"),
    ],
)
def test_sizes(count: float, words: str) -> None:
    """Sizes have one to three digits before the point, in decimal units."""
    assert size(count) == words


def test_shares_have_one_unit() -> None:
    """How much of how much is said in the unit of the whole."""
    assert share_of_bytes(500_000, 331_200_000) == "0.5/331.2 MB"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0:00:00"),
        (59.6, "0:01:00"),
        (3725, "1:02:05"),
        (None, "-:--:--"),
        (float("inf"), "-:--:--"),
        (float("nan"), "-:--:--"),
    ],
)
def test_times(seconds: float | None, words: str) -> None:
    """Times are hours, minutes and seconds; what cannot be told is not told."""
    assert clock(seconds) == words


def test_counts_have_their_word() -> None:
    """One retry, two retries, 1,200 files."""
    assert [counted(1, "retry", "retries"), counted(1200, "file")] == ["1 retry", "1,200 files"]


def test_the_line() -> None:
    """Where nothing can be drawn, a line says it all."""
    assert line(Snapshot(HALF_WAY, 3)) == (
        "Uploading 1,260/2,000 files, 210.5/331.2 MB, 17.4 MB/s, 0:00:07 left, 8 in flight, "
        "3 retries, 50 skipped, 8 rejected, 2 failed"
    )


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_drawing_fits(columns: int) -> None:
    """The drawing says the same, in the width that there is."""
    shown = drawn(HALF_WAY, columns)
    assert max(map(len, shown)) <= columns
    assert shown[0].startswith("Uploading ━")
    assert shown[0].rstrip().endswith("1,260/2,000 files")
    words = " ".join(each.strip() for each in shown[1:])
    assert words == (
        "210.5/331.2 MB · 17.4 MB/s · 0:00:07 left · 8 in flight · 3 retries "
        "50 skipped · 8 rejected · 2 failed"
    )


def test_while_the_sources_are_read() -> None:
    """Before the first upload it says how much was found."""
    planning = attrs.evolve(HALF_WAY, phase="planning", total_known=False, bytes_done=0)
    planning = attrs.evolve(planning, skipped=0, rejected=0, failed=0)
    assert line(Snapshot(planning, 0)) == "Reading 2,000 files found, 331.2 MB so far"


def test_streams_have_no_known_end() -> None:
    """While a source is still read, the total is a lower bound and the time left unknown."""
    streaming = attrs.evolve(HALF_WAY, total_known=False, seconds_left=None)
    assert line(Snapshot(streaming, 0)).startswith("Uploading 1,260/2,000+ files")
    assert "-:--:-- left" in line(Snapshot(streaming, 0))


def test_links_have_no_bytes() -> None:
    """Links are counted and not weighed."""
    links = attrs.evolve(HALF_WAY, bytes_done=0, bytes_total=0)
    assert "104.0 links/s" in line(Snapshot(links, 0))


def test_the_end() -> None:
    """At the end it says how long it took."""
    done = attrs.evolve(HALF_WAY, phase="done", in_flight=0)
    assert "0:00:12 taken" in line(Snapshot(done, 0))


def drawn(progress: UploadProgress, columns: int) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, force_terminal=False)
    with console.capture() as capture:
        console.print(drawing(Snapshot(progress, 3)))
    return capture.get().splitlines()
