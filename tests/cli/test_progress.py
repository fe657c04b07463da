"""What the progress displays show of a snapshot; figures as people read them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import attrs
import pytest

from datagym_async import LimiterState
from datagym_async._runs import counted, share_of_bytes, size
from datagym_async.cli import Output, ProblemLines, Problems, Snapshot, clock, showing
from datagym_async.uploads import Outcome, UploadItem, UploadProgress, UploadResult
from tests.helpers.terminal import printed

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
        (1, "1 byte"),
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
    assert share_of_bytes(0, 331_200_000) == "0.0/331.2 MB"


def test_what_is_little_is_read_all_the_same() -> None:
    """Something is never shown as 0.0 of a large unit."""
    assert share_of_bytes(3_100, 331_200_000) == "3.1 kB/331.2 MB"
    one = attrs.evolve(HALF_WAY, items_done=0, items_total=1)
    assert Snapshot(one, 0).line().startswith("Uploading 0/1 file, ")


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
    assert Snapshot(HALF_WAY, 3).line() == (
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
    assert Snapshot(planning, 0).line() == "Reading 2,000 files found, 331.2 MB so far"
    # A watch, say, that has no news.
    there = attrs.evolve(planning, uploaded=0, in_flight=0, bytes_total=0, skipped=2_000)
    assert Snapshot(there, 0).line() == "Reading 2,000 files found, 2,000 skipped"


def test_streams_have_no_known_end() -> None:
    """While a source is still read, the total is a lower bound and the time left unknown."""
    streaming = attrs.evolve(HALF_WAY, total_known=False, seconds_left=None)
    assert Snapshot(streaming, 0).line().startswith("Uploading 1,260/2,000+ files")
    assert "-:--:-- left" in Snapshot(streaming, 0).line()


def test_links_have_no_bytes() -> None:
    """Links are counted and not weighed."""
    links = attrs.evolve(HALF_WAY, bytes_done=0, bytes_total=0)
    assert Snapshot(links, 0).line().startswith("Uploading 1,260/2,000 links, 104.0 links/s, ")


def test_the_end() -> None:
    """At the end it says how long it took."""
    done = attrs.evolve(HALF_WAY, phase="done", in_flight=0)
    assert "0:00:12 taken" in Snapshot(done, 0).line()


def test_the_limit_and_why() -> None:
    """What is on the line counts, not what waits for its turn; and the limit has a reason."""
    limiter = LimiterState(5, 4, "halved after 503", maximum=8)
    said = Snapshot(HALF_WAY, 3, limiter).line()
    assert "4 in flight, limit 5, 3 retries" in said
    assert said.endswith("2 failed; limit 5: halved after 503")
    shown = drawn(HALF_WAY, 80, limiter=limiter)
    assert shown[-1].rstrip() == "limit 5: halved after 503"


def test_what_is_under_way_has_no_limit() -> None:
    """The limiter of uploads knows no links, and no items that wait: it never limits those."""
    idle = LimiterState(2, 0, "halved after 503", maximum=8)
    said = Snapshot(HALF_WAY, 0, idle).line()
    assert ", 8 under way, " in said
    assert "in flight" not in said


def test_a_limit_that_has_just_fallen() -> None:
    """What is on the line ends in its own way; until then it is more than the limit."""
    fallen = LimiterState(2, 8, "halved after 503", maximum=8)
    assert "8 in flight, falling to 2," in Snapshot(HALF_WAY, 0, fallen).line()


@pytest.mark.parametrize("limit", [1, 2, 8])
@pytest.mark.parametrize("on_the_line", [0, 1, 2, 8])
@pytest.mark.parametrize("items", [0, 1, 8])
def test_never_more_in_flight_than_the_limit(limit: int, on_the_line: int, items: int) -> None:
    """Whatever the two counters say at one moment, their words agree."""
    progress = attrs.evolve(HALF_WAY, in_flight=items)
    said = Snapshot(progress, 0, LimiterState(limit, on_the_line, "x", maximum=8)).line()
    if found := re.search(r"(\d+) in flight, limit (\d+)", said):
        assert int(found[1]) <= int(found[2])


def test_what_an_earlier_run_has_done() -> None:
    """It has the same words while the run is shown and at its end, and is not skipped as well."""
    resumed = attrs.evolve(HALF_WAY, skipped=570, resumed=520)
    assert (
        "50 skipped, 520 done by an earlier run, 8 rejected, 2 failed"
        in Snapshot(resumed, 0).line()
    )
    only = attrs.evolve(HALF_WAY, skipped=520, resumed=520)
    assert ", 520 done by an earlier run, " in Snapshot(only, 0).line()
    assert "skipped" not in Snapshot(only, 0).line()


def test_the_bar_has_what_an_earlier_run_has_done() -> None:
    """Half of the bytes that are left are a quarter of all, where half of the files are done."""
    resumed = attrs.evolve(
        HALF_WAY,
        items_total=1_000,
        items_done=750,
        skipped=500,
        resumed=500,
        bytes_total=421_000_000,
    )
    first = drawn(resumed, 80)[0]
    assert first.count("━") / (len(first) - len("Uploading   750/1,000 files")) == pytest.approx(
        0.75, abs=0.03
    )


def test_nothing_but_what_was_there() -> None:
    """A run that has nothing to send has no bytes, and none of its files is a link."""
    there = attrs.evolve(
        HALF_WAY, phase="done", items_done=520, items_total=520, uploaded=0, skipped=520,
        rejected=0, failed=0, in_flight=0, bytes_done=0, bytes_total=0, resumed=520,
    )  # fmt: skip
    assert Snapshot(there, 0).line() == (
        "Done 520/520 files, 0:00:12 taken, 0 retries, 520 done by an earlier run"
    )


def test_at_the_end_nothing_is_limited() -> None:
    """When all is done the last decision of the limiter and the last failure are history."""
    done = attrs.evolve(HALF_WAY, phase="done", in_flight=0)
    limiter = LimiterState(5, 0, "halved after 503", maximum=8)
    said = Snapshot(done, 3, limiter, last_failure="failed: x.jpg: no").line()
    assert said.endswith("3 retries, 50 skipped, 8 rejected, 2 failed")


def test_stopping() -> None:
    """After the first Ctrl-C it says what it is doing."""
    assert Snapshot(HALF_WAY, 0, is_stopping=True).line().startswith("Stopping 1,260/2,000 files")


def test_watching() -> None:
    """Between two arrivals it watches, and does not look as if it hung."""
    waiting = attrs.evolve(HALF_WAY, items_total=HALF_WAY.items_done)
    assert Snapshot(waiting, 0, is_watching=True).line().startswith("Watching 1,260/1,260")
    assert Snapshot(HALF_WAY, 0, is_watching=True).line().startswith("Uploading")
    assert Snapshot(waiting, 0, is_stopping=True, is_watching=True).line().startswith("Stopping")


def test_the_last_failure_stays_in_sight() -> None:
    """Failures that are no longer said one by one are seen below, cut to the width there is."""
    lines = drawn(HALF_WAY, 40, last_failure=f"failed: {'x' * 100}.jpg: no")
    assert lines[-1].startswith("last failed: xxx")
    assert max(map(len, lines)) <= 40


def test_problems_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """Some of each kind are said, the others counted by kind; then the last failure is kept."""
    problems = Problems(Output())

    def note(number: int, outcome: Outcome, reason: str, *warnings: str) -> None:
        item = UploadItem(f"{number}.jpg", b"x")
        problems.note(
            UploadResult(
                item=item, outcome=outcome, dataset_id="", reason=reason, warnings=warnings
            )
        )

    for number in range(30):
        note(number, Outcome.FAILED, f"'{number}.jpg' is not wanted.", "Large.")
    assert problems.last_failure == "failed: '29.jpg' is not wanted."
    note(30, Outcome.REJECTED, 'It looks like a TIFF (prepare="convert" makes it one).')
    problems.say_rest()

    said = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("failed: ") for line in said) == 5
    assert sum(line.startswith("warning: ") for line in said) == 5
    assert said[-4:] == [
        "(further ones of a kind are counted; --report FILE keeps them)",
        "rejected: 30.jpg: It looks like a TIFF (--prepare convert makes it one).",
        "and 25 more warnings: Large.",
        "and 25 more failed: '0.jpg' is not wanted.",
    ]


def test_problems_of_very_many_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    """No more than a screen is said, and none is missing from the counts."""
    problems = ProblemLines(Output())
    for number in range(100):
        problems.say("failed", f"{number}.jpg", f"Because of {chr(97 + number % 26)}.")
    problems.say_rest()

    said = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("failed: ") for line in said) == 20
    more = {line.split(": ")[1]: int(line.split()[1]) for line in said if line[:4] == "and "}
    assert (sum(more.values()), more["various reasons"], more["Because of a."]) == (80, 20, 3)


def test_files_are_named_from_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Paths below the working directory are as short as they were typed; others stay whole."""
    monkeypatch.chdir(tmp_path)
    problems = Problems(Output())
    here, other = tmp_path / "photos" / "a.jpg", tmp_path.parent / "b.jpg"
    for path, reason in ((here, f"It is {here} again."), (other, f"As /x{here}.")):
        item = UploadItem("a.jpg", path)
        problems.note(
            UploadResult(item=item, outcome=Outcome.REJECTED, dataset_id="", reason=reason)
        )
    assert capsys.readouterr().err.splitlines() == [
        f"rejected: It is {Path('photos', 'a.jpg')} again.",
        f"rejected: {other}: As /x{here}.",
    ]


@pytest.mark.looptime
async def test_lines_come_at_their_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A line is said when its time has come, and not before."""
    said, output = [], await asyncio.to_thread(Output)  # it asks for the working directory
    async with showing(output, lambda: Snapshot(HALF_WAY, 0), every=2.0):
        for seconds in (1.9, 0.3, 1.7, 0.3):
            await asyncio.sleep(seconds)
            said.append(capsys.readouterr().err.count("Uploading"))
    assert (said, capsys.readouterr().err) == ([0, 1, 0, 1], "")


def drawn(
    progress: UploadProgress,
    columns: int,
    *,
    limiter: LimiterState | None = None,
    last_failure: str = "",
) -> list[str]:
    return printed(Snapshot(progress, 3, limiter, last_failure=last_failure).drawing(), columns)
