"""The report accounts for every item, in numbers, words, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import attrs
import pytest

from datagym_async.uploads import Outcome, UploadItem, UploadReport, UploadResult
from datagym_async.uploads._tally import Tally
from datagym_async.uploads.plan import Added


def result(name: str, outcome: Outcome, **fields: object) -> UploadResult:
    """Return a result with the fields that matter."""
    base = UploadResult(item=UploadItem(name, f"d/{name}"), outcome=outcome, dataset_id="d")
    return attrs.evolve(base, **fields)  # type: ignore[arg-type]  # a table of fields


def report(*results: UploadResult, planned: int | None = None, kept: int = 100) -> UploadReport:
    """Return the report on some results."""
    tally = Tally(kept)
    tally.added(Added(len(results) if planned is None else planned))
    tally.total_known = True
    for each in results:
        tally.settled(each)
    return tally.report(dataset_id="d", dataset_name="Photos", seconds=2.0)


MIXED = (
    result("a.jpg", Outcome.UPLOADED, size=2_000_000, media_id="m"),
    result("b.jpg", Outcome.SKIPPED, size=5, reason="Held."),
    result("c\udce9,\n.jpg", Outcome.REJECTED, reason="It is 'text'."),
    result("d.jpg", Outcome.FAILED, status=500, key="ex_system", attempts=2, reason="No."),
)


def test_the_counts_add_up() -> None:
    """planned = uploaded + skipped + rejected + failed, and nothing is pending."""
    found = report(*MIXED)

    assert (found.planned, found.uploaded, found.skipped, found.rejected, found.failed) == (
        4, 1, 1, 1, 1,
    )  # fmt: skip
    assert (found.pending, found.complete, found.ok, found.bytes) == (0, True, False, 2_000_000)
    assert found.items_per_second == 0.5


def test_the_summary_is_a_sentence() -> None:
    """Counts that are nought are left out, but for the uploaded."""
    assert report(*MIXED).summary() == (
        "4 items for 'Photos': 1 uploaded, 1 skipped, 1 rejected, 1 failed "
        "(2.0 MB in 2.0 s, 0.5 images/s)."
    )
    assert report().summary() == ("0 items for 'Photos': 0 uploaded (in 2.0 s).")


def test_a_stopped_run_says_what_is_pending() -> None:
    """Items without an outcome are counted, and the report is not complete."""
    found = report(*MIXED, planned=10)

    assert (found.pending, found.complete) == (6, False)
    assert "6 pending" in found.summary()


def test_what_earlier_runs_did_counts_from_the_beginning() -> None:
    """Of 1,508 items 405 are done: that is known before the sources are walked again."""
    tally = Tally(10)
    tally.added(Added(1_103, 1_103_000, earlier=405))
    for number in range(114):
        tally.settled(result(f"{number}.jpg", Outcome.UPLOADED, size=1_000))

    early = tally.progress(seconds=2.0, sending=1.0)
    assert (early.items_done, early.items_total, early.total_known) == (519, 1_508, False)
    assert (early.skipped, early.resumed) == (405, 405)
    assert early.seconds_left == pytest.approx((1_103 - 114) / 114)
    stopped = tally.report(dataset_id="d", dataset_name="Photos", seconds=2.0)
    assert (stopped.planned, stopped.resumed, stopped.pending) == (1_508, 405, 989)
    assert "1,508 items for 'Photos': 114 uploaded, 405 done by an earlier run" in stopped.summary()

    tally.added(Added(300, 300_000, resumed=300, resumed_bytes=300_000))  # they are named again
    found = tally.progress(seconds=2.0, sending=1.0)
    assert (found.items_done, found.items_total, found.resumed) == (519, 1_508, 405)
    assert found.seconds_left is None  # who knows how many there will be
    tally.total_known = True  # and the others are not
    at_last = tally.progress(seconds=2.0, sending=1.0)
    assert (at_last.items_done, at_last.items_total, at_last.resumed) == (414, 1_403, 300)
    assert at_last.seconds_left == pytest.approx((1_103 - 114) / 114)


def test_json_has_a_schema_and_stays_valid(tmp_path: Path) -> None:
    """Names that are no text are escaped, so that every reader takes the file."""
    path = tmp_path / "report.json"

    text = report(*MIXED).to_json(path)

    assert path.read_bytes() == text.encode()
    loaded = json.loads(text)
    assert loaded["schema"] == "datagym_async.upload_report/1"
    assert (loaded["planned"], loaded["pending"], loaded["problems_omitted"]) == (4, 0, 0)
    assert loaded["problems"][0] == {
        "outcome": "rejected",
        "name": r"c\xe9,\n.jpg",
        "source": r"d/c\xe9,\n.jpg",
        "name_raw": "c%ED%B3%A9%2C%0A.jpg",
        "source_raw": "d/c%ED%B3%A9%2C%0A.jpg",
        "size": None,
        "status": None,
        "key": "",
        "attempts": 0,
        "seconds": 0.0,
        "reason": "It is 'text'.",
    }


def test_csv_lists_the_problems(tmp_path: Path) -> None:
    """One row for each rejected and failed item, with the columns of the JSON objects."""
    path = tmp_path / "report.csv"

    rows = list(csv.DictReader(io.StringIO(report(*MIXED).to_csv(path))))

    assert path.read_text().startswith("outcome,name,source,")
    assert [(row["outcome"], row["status"], row["key"]) for row in rows] == [
        ("rejected", "", ""),
        ("failed", "500", "ex_system"),
    ]


def test_only_so_many_problems_are_kept() -> None:
    """A million bad files do not fill the memory; the counts stay exact."""
    found = report(*(result(f"{n}", Outcome.FAILED) for n in range(10)), kept=3)

    assert (found.failed, len(found.problems), found.problems_omitted) == (10, 3, 7)
    assert [each.name for each in found.failures] == ["0", "1", "2"]


def test_the_report_keeps_no_image() -> None:
    """Items in memory lose their bytes in the report."""
    item = UploadItem("x.gif", b"GIF89a")
    rejected = UploadResult(item=item, outcome=Outcome.REJECTED, dataset_id="d")

    assert report(rejected).problems[0].item == UploadItem("x.gif", b"")


def test_progress_estimates_the_time_left() -> None:
    """Rates are averages over the time of sending, and need a known total."""
    tally = Tally(0)
    tally.added(Added(4, 400))
    tally.settled(result("a", Outcome.UPLOADED, size=100))

    early = tally.progress(seconds=3.0, sending=2.0)
    tally.total_known = True
    later = tally.progress(seconds=3.0, sending=2.0)

    assert (early.seconds_left, later.seconds_left) == (None, 6.0)
    assert (later.items_per_second, later.bytes_per_second) == (0.5, 50.0)
    assert (later.items_done, later.items_total, later.bytes_done, later.bytes_total) == (
        1, 4, 100, 400,
    )  # fmt: skip
    assert (tally.progress(seconds=1, sending=0).phase, later.phase) == ("planning", "sending")


def test_bytes_that_are_not_sent_leave_the_total() -> None:
    """A skipped file makes the rest smaller instead of the rate larger."""
    tally = Tally(0)
    tally.added(Added(2, 400))
    tally.settled(result("a", Outcome.SKIPPED, size=300))

    assert tally.progress(seconds=1, sending=1).bytes_total == 100
