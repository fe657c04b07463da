"""The page of a run: how it went over time is kept within bounds, and it stands alone."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from datagym_async import DownloadProgress, LimiterState, SessionStatistics, UploadReport
from datagym_async.look._pages import RunRecord, run_page

STILL = SessionStatistics()


def going(seconds: float, items: int = 0, size: int = 0) -> DownloadProgress:
    """Return how far a run is."""
    known: dict[str, Any] = dict.fromkeys((it.name for it in attrs.fields(DownloadProgress)), 0)
    known |= {"seconds": seconds, "items_done": items, "bytes_done": size}
    return DownloadProgress(**known)


def limiter(limit: int = 8) -> LimiterState:
    """Return a limit."""
    return LimiterState(limit=limit, in_flight=0, reason="")


def report(**more: object) -> UploadReport:
    """Return a report."""
    whole: dict[str, object] = {
        "dataset_id": "d",
        "dataset_name": "Photos",
        "planned": 3,
        "uploaded": 3,
        "skipped": 0,
        "rejected": 0,
        "failed": 0,
        "bytes": 3000,
        "seconds": 1.0,
        "complete": True,
    }
    return UploadReport(**{**whole, **more})  # type: ignore[arg-type]  # what a test changes


def test_moments_are_apart_and_bounded() -> None:
    """A run of hours has as many as one of minutes; of looks in between none is kept."""
    record = RunRecord()
    for at in range(100_000):
        record.note(going(at / 10), limiter(), STILL)

    apart = [
        after.seconds - before.seconds
        for before, after in zip(record.moments, record.moments[1:], strict=False)
    ]

    assert 150 <= len(record.moments) <= 400
    assert max(apart) < 2 * min(apart)


def test_charts_show_what_was_noted() -> None:
    """The rate is that between two moments, and the limit that of each."""
    record = RunRecord()
    for at, items in enumerate((0, 10, 30)):
        record.note(going(float(at), items, items * 1000), limiter(at + 1), STILL)
        record.took(0.1)

    page = run_page(report(), record)

    assert "Items a second: at most 20.0/s, over 2.0 s" in page
    assert "Bytes a second: at most 20.0 kB/s" in page
    assert "Limit, and in flight (dashed): at most 3," in page
    assert "64 to 128 ms 3;" in page


def test_all_of_a_run_is_on_its_page() -> None:
    """But what is empty, and what is shown above."""
    page = run_page(report(failed=1, uploaded=2, stopped_by="max_files", advice="More."))

    facts = dict(re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', page))
    assert facts["dataset name"] == "Photos"
    assert (facts["uploaded"], facts["stopped by"], facts["complete"]) == ("2", "max_files", "True")
    assert not {"skipped", "schema", "summary", "advice", "problems", "notes"} & facts.keys()
    assert set(facts.values()).isdisjoint(("", "0", "[]", "{}", "None"))


@pytest.mark.parametrize("record", [None, RunRecord()])
def test_a_run_without_moments_has_a_page_too(record: RunRecord | None) -> None:
    """It has its counts, and says that there are no problems."""
    page = run_page(report(advice="Use <b>more</b> of it."), record)

    assert "There are none." in page
    assert "Use &lt;b&gt;more&lt;/b&gt; of it." in page
    assert not re.search(r"(?:src|href)=", page)
    assert "default-src" in page
