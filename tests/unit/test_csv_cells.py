"""CSV files for spreadsheets: no name becomes a formula, and none is lost by that."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagym_async._runs import csv_cells, plain_cell
from datagym_async.uploads import Outcome, UploadItem, UploadReport, UploadResult
from datagym_async.uploads.sources import Rules, failed_items, in_list

FORMULAS = ("=1+1", "@SUM(A1)", "+1", "-1", "\tx", "\rx")
TEXTS = (*FORMULAS, *(f"'{each}" for each in FORMULAS), "''=x", "'", "'a", "a=1", "", "ü")


def cell(text: object) -> object:
    """Return a text as a cell of a file."""
    (found,) = csv_cells(("x",), {"x": text})
    return found


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_takes_for_a_formula_is_quoted(text: str) -> None:
    """The usual mark of a text goes before it."""
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, 2.5, None, "plain", "'s"])
def test_other_cells_are_as_they_are(value: object) -> None:
    """Numbers are no names; a text that begins like none of these needs no mark."""
    assert cell(value) == value


@given(st.one_of(st.sampled_from(TEXTS), st.text("'=@+-\t\r ab", max_size=6)))
def test_each_text_comes_back_exactly(text: str) -> None:
    """Also one that looked as if it had the mark."""
    written = str(cell(text))
    assert not written.startswith(("=", "@", "+", "-", "\t", "\r"))
    assert plain_cell(written) == text


def report(*items: UploadItem) -> UploadReport:
    """Return a report in which items failed."""
    problems = tuple(
        UploadResult(item=each, outcome=Outcome.FAILED, dataset_id="d", reason="=It failed.")
        for each in items
    )
    return UploadReport(
        dataset_id="d",
        dataset_name="=Photos",
        planned=len(items),
        uploaded=0,
        skipped=0,
        rejected=0,
        failed=len(items),
        bytes=0,
        seconds=1.0,
        complete=True,
        problems=problems,
    )


def test_a_report_for_spreadsheets_holds_no_formula(tmp_path: Path) -> None:
    """Names, sources and reasons in it are texts."""
    file = tmp_path / "report.csv"
    report(UploadItem("=1+1.jpg", "@x/=1+1.jpg")).to_csv(file)
    (row,) = csv.DictReader(io.StringIO(file.read_text()))
    assert (row["name"], row["source"]) == ("'=1+1.jpg", "'@x/=1+1.jpg")
    assert row["reason"] == "'=It failed."


def test_failed_items_come_back_from_both_kinds_of_report(tmp_path: Path) -> None:
    """``--retry-failed`` of the JSON, and the CSV as a list of sources: names as they were."""
    items = [UploadItem(f"{each}.jpg", f"{each}.jpg") for each in ("=1", "'=1", "'a", "-b")]
    for each in items:
        (tmp_path / str(each.content)).write_bytes(b"x")
    of = report(*items)
    of.to_json(tmp_path / "report.json")
    assert list(failed_items(tmp_path / "report.json")) == items
    of.to_csv(tmp_path / "report.csv")
    read = [each.item for each in in_list(str(tmp_path / "report.csv"), Rules())]
    assert [(each.name, each.content) for each in read] == [
        (each.name, str(tmp_path / str(each.content))) for each in items
    ]


def test_a_list_of_somebody_else_is_read_as_it_is(tmp_path: Path) -> None:
    """Only what this package wrote has quotes to take off."""
    (tmp_path / "'=a.jpg").write_bytes(b"x")
    (tmp_path / "list.csv").write_text("path\n'=a.jpg\n")
    (found,) = in_list(str(tmp_path / "list.csv"), Rules())
    assert found.item.name == "'=a.jpg"


def test_no_cell_of_a_report_steers_a_terminal() -> None:
    """A report may be printed as it is: names, reasons and keys of the service are escaped."""
    problem = UploadResult(
        item=UploadItem("\x1b[31ma.jpg", b"x", origin="\u202eb"),
        outcome=Outcome.FAILED,
        dataset_id="d",
        reason="\x9b1m",
        key="ex_\x1b]0;x\x07",
    )
    text = attrs.evolve(report(), problems=(problem,)).to_csv()

    assert "ex_" in text
    assert all(one.isprintable() or one in "\r\n" for one in text)
