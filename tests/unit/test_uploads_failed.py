"""The failed items of a report, as a source of the next upload."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import Outcome, UploadItem, UploadReport, UploadResult
from datagym_async.uploads.sources import Candidate, failed_items

ODD = os.fsdecode(b"caf\xe9\n 100%.jpg")
ITEMS = (
    UploadItem("sub/a.jpg", "/photos/sub/a.jpg"),
    UploadItem(None, "https://host.example/b.jpg?size=1"),
    UploadItem(ODD, f"/photos/{ODD}"),
)


def report(*problems: UploadResult, omitted: int = 0) -> UploadReport:
    """Return the report of a run with these problems."""
    return UploadReport(
        dataset_id="d",
        dataset_name="Photos",
        planned=9,
        uploaded=0,
        skipped=0,
        rejected=0,
        failed=len(problems) + omitted,
        bytes=0,
        seconds=1.0,
        complete=True,
        problems=problems,
    )


def problem(item: UploadItem, outcome: Outcome = Outcome.FAILED) -> UploadResult:
    """Return a result that somebody should look at."""
    return UploadResult(item=item, outcome=outcome, dataset_id="d", reason="It failed.")


@pytest.mark.parametrize("in_file", [False, True])
def test_each_failed_item_comes_back_as_it_was(tmp_path: Path, in_file: bool) -> None:
    """Names, paths and URLs are the original ones, odd bytes and all."""
    rejected = problem(UploadItem("r.jpg", "/photos/r.jpg"), Outcome.REJECTED)
    of = report(*map(problem, ITEMS), rejected)
    path = tmp_path / "report.json"
    of.to_json(path)
    given = path if in_file else of

    assert list(failed_items(given)) == [*ITEMS]
    assert list(failed_items(given, rejected=True)) == [*ITEMS, rejected.item]
    assert len(failed_items(given)) == 3


@pytest.mark.parametrize("in_file", [False, True])
def test_what_was_in_memory_is_refused_by_name(tmp_path: Path, in_file: bool) -> None:
    """A report keeps no bytes."""
    of = report(problem(UploadItem("m.jpg", b"bytes", origin="camera 1").without_data()))
    path = tmp_path / "report.json"
    of.to_json(path)

    (refused,) = failed_items(path if in_file else of)

    assert isinstance(refused, Candidate)
    assert refused.refusal == "The bytes of m.jpg were in memory and are gone; pass them again."


@pytest.mark.parametrize("in_file", [False, True])
def test_what_a_report_leaves_out_is_said(tmp_path: Path, in_file: bool) -> None:
    """Nobody is to believe that all failed items were repeated."""
    of = report(problem(ITEMS[0]), omitted=3)
    path = tmp_path / "report.json"
    of.to_json(path)

    item, refused = failed_items(path if in_file else of)

    assert item == ITEMS[0]
    assert isinstance(refused, Candidate)
    assert refused.refusal.startswith("The report leaves out 3 rejected or failed items")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xff\xd8\xff", "is not JSON"),
        (b"[1, 2]", "is not a report"),
        (b'{"schema": "another/1"}', "is not a report"),
    ],
)
def test_another_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes, text: str) -> None:
    """It is read when the sources are, and not before."""
    path = tmp_path / "report.json"
    path.write_bytes(content)
    source = failed_items(path)

    with pytest.raises(ConfigurationError, match=text):
        list(source)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", None),
        ("outcome", None),
        ("outcome", "faild"),
        ("outcome", []),
        ("name_raw", 7),
    ],
)
def test_a_report_that_was_changed_is_refused_in_a_sentence(
    tmp_path: Path, member: str, value: object
) -> None:
    """No item is left out because its row cannot be read."""
    path = tmp_path / "report.json"
    document = json.loads(report(problem(ITEMS[0])).to_json())
    (row,) = document["problems"]
    row.pop(member, None) if value is None else row.update({member: value})
    path.write_text(json.dumps(document))

    with pytest.raises(ConfigurationError, match=r"report.json is damaged"):
        list(failed_items(path))


@pytest.mark.parametrize(("member", "value"), [("problems", 7), ("problems_omitted", "x")])
def test_a_report_without_its_parts_is_refused_in_a_sentence(
    tmp_path: Path, member: str, value: object
) -> None:
    """Whatever stands there instead."""
    path = tmp_path / "report.json"
    document = json.loads(report(problem(ITEMS[0])).to_json())
    path.write_text(json.dumps({**document, member: value}))

    with pytest.raises(ConfigurationError, match=r"report.json is damaged"):
        list(failed_items(path))


def test_a_missing_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(ConfigurationError, match=r"absent.json cannot be read"):
        list(failed_items(tmp_path / "absent.json"))


def test_rows_keep_what_no_screen_takes_beside_what_it_takes() -> None:
    """Only names and sources that are shown in another form have a second member."""
    rows = json.loads(report(problem(ITEMS[0]), problem(ITEMS[2])).to_json())["problems"]

    assert [sorted(row) for row in rows if "name_raw" not in row] == [
        sorted(set(rows[1]) - {"name_raw", "source_raw"})
    ]
    assert rows[1]["name"] == r"caf\xe9\n 100%.jpg"
