"""What is said of a run at its end, and its exit status: pure functions of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from datagym_async import (
    DatasetShare,
    Double,
    Mismatch,
    Outcome,
    UploadItem,
    UploadReport,
    UploadResult,
)
from datagym_async.cli import Output, advice_in_shell_words, hint_in_shell_words
from datagym_async.cli._closing import (
    UploadAccount,
    dataset_rows,
    how_to_resume,
    outcome_rows,
    remarks,
    status_of,
    tell,
)

GOOD = UploadReport(
    dataset_id="id",
    dataset_name="Photos",
    planned=10,
    uploaded=6,
    skipped=4,
    rejected=0,
    failed=0,
    bytes=12_000,
    seconds=2.0,
    complete=True,
)
DOUBLE = Double(name="a.jpg", kept="1", extras=("2", "3"))


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 0),
        ({"warned": 3}, 0),
        ({"rejected": 1, "skipped": 3}, 1),
        ({"failed": 1, "skipped": 3}, 1),
        ({"complete": False}, 1),
        ({"complete": False, "stopped_by": "max_files: 6 were sent"}, 1),
        ({"verified": 5, "mismatched": 1}, 1),
        ({"doubles": (DOUBLE,)}, 1),
        ({"doubles": (attrs.evolve(DOUBLE, removed=("2", "3")),)}, 0),
    ],
)
def test_the_exit_status(changes: Mapping[str, Any], status: int) -> None:
    """0 if all is well and done; 1 for whatever somebody should look at."""
    assert status_of(attrs.evolve(GOOD, **changes)) == status


def test_the_outcomes() -> None:
    """Each outcome that there was, with items and bytes; what earlier runs did stands apart."""
    account = UploadAccount(Output())
    for outcome, size in ((Outcome.SKIPPED, 500), (Outcome.REJECTED, 7), (Outcome.REJECTED, None)):
        account.note(
            UploadResult(item=UploadItem("x", b"x"), outcome=outcome, dataset_id="id", size=size)
        )
    report = attrs.evolve(GOOD, planned=18, resumed=3, rejected=2, failed=1, unsettled=2)
    assert list(outcome_rows(report, account.bytes)) == [
        ("uploaded", "6", "12.0 kB"),
        ("skipped", "1", "500 bytes"),
        ("done by an earlier run", "3", ""),
        ("rejected", "2", "7 bytes"),
        ("failed", "1", ""),
        ("pending", "3", ""),
        ("unsettled", "2", ""),
    ]
    nothing = attrs.evolve(GOOD, uploaded=0, skipped=10, bytes=0)
    assert list(outcome_rows(nothing, dict.fromkeys(Outcome, 0))) == [
        ("uploaded", "0", ""),
        ("skipped", "10", ""),
    ]


def test_the_datasets() -> None:
    """What was done in each dataset, and which are new."""
    shares = (
        DatasetShare("1", "Photos", held=1000, uploaded=0),
        DatasetShare("2", "Photos 2", held=0, uploaded=6, created=True),
    )
    assert list(dataset_rows(attrs.evolve(GOOD, datasets=shares))) == [
        ("Photos", "1,000", "0", ""),
        ("Photos 2", "0", "6", "new"),
    ]


def test_the_remarks() -> None:
    """Doubles, mismatches and warnings are named, a few of each."""
    mismatch = Mismatch(name="b.jpg", source="b.jpg", dataset_id="1", media_id="9", reason="Other.")
    report = attrs.evolve(
        GOOD, doubles=(DOUBLE,), mismatches=(mismatch,) * 7, mismatched=7, verified=9, warned=1
    )
    said = list(remarks(report))
    assert said[0] == "doubled: a.jpg: 2 extra copies, still there; kept is 1"
    assert said[1] == "2 extra copies left; --remove-doubles removes them."
    assert said[2:7] == ["differs: b.jpg: Other."] * 5
    assert said[7] == "... and 2 further mismatches"
    assert said[8].startswith("1 item has a warning")
    cleaned = attrs.evolve(GOOD, doubles=(attrs.evolve(DOUBLE, removed=DOUBLE.extras),))
    assert list(remarks(cleaned)) == ["doubled: a.jpg: 2 extra copies, removed; kept is 1"]
    assert list(remarks(GOOD)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"rejected": 1, "skipped": 3}, ""),
        ({"complete": False}, "The same command resumes where this one stopped."),
        ({"failed": 1, "skipped": 3}, "The same command tries again what failed."),
    ],
)
def test_how_to_resume(changes: Mapping[str, Any], words: str) -> None:
    """Whoever has something left is told the way."""
    assert how_to_resume(attrs.evolve(GOOD, **changes)) == words


def test_a_written_report_is_a_way_too() -> None:
    """Where there is a JSON report, the failed items alone can be tried again."""
    words = how_to_resume(attrs.evolve(GOOD, failed=1, skipped=3), written="r.json")
    assert "upload --retry-failed r.json" in words
    words = how_to_resume(attrs.evolve(GOOD, failed=1, skipped=3), written="my report.json")
    assert "upload --retry-failed 'my report.json'`" in words


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("max_per_dataset=1000 would help", "--max-per-dataset 1000 would help"),
        ("more; max_per_dataset=1000 would have", "more; --max-per-dataset 1000 would have"),
        ("a higher max_uploads would help", "a higher --max-concurrency would help"),
        ("a higher rate_limit, or None, would help", "a higher --rate, or 0, would help"),
        ("a higher max_upload_rate", "a higher --bwlimit"),
        ("The network limited this run", "The network limited this run"),
    ],
)
def test_advice_in_words_of_a_shell(sentence: str, said: str) -> None:
    """Advice names options as they are called here."""
    assert advice_in_shell_words(sentence) == said


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ('Upload with name="relative".', "Upload with --name relative."),
        ("start again with fresh=True (--fresh): all", "start again with --fresh: all"),
        ("max_uploads/rate_limit.jpg is empty.", "max_uploads/rate_limit.jpg is empty."),
        ("labels is 'x'; it must be one of 'a'", "--labels is 'x'; it must be one of 'a'"),
        ("labels is empty.", "labels is empty."),
        ("name is the template '{x}'; {x}", "--name is the template '{x}'; {x}"),
        ("include holds ''; a pattern is", "--include holds ''; a pattern is"),
        ("a number above 0, or None for no limit.", "a number above 0."),
        (
            'with name="relative", or name one of them yourself with UploadItem(name, path).',
            "with --name relative, or with --on-clash rename.",
        ),
    ],
)
def test_hints_in_words_of_a_shell(sentence: str, said: str) -> None:
    """Hints name options as they are called here; names of files stay what they are."""
    assert hint_in_shell_words(sentence) == said


def test_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, advice and the sentence go to stdout, what to look at to stderr."""
    shares = (DatasetShare("1", "Photos", 4, 0), DatasetShare("2", "Photos 2", 0, 6, created=True))
    report = attrs.evolve(
        GOOD, datasets=shares, doubles=(DOUBLE,), advice="max_per_dataset=1000 would help."
    )
    tell(Output(), report, UploadAccount(Output()).bytes)
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split() == ["Outcome", "Items", "Size"]
    assert ["Photos", "2", "0", "6", "new"] in [line.split() for line in lines]
    assert lines[-2] == "--max-per-dataset 1000 would help."
    assert lines[-1] == report.summary()
    assert "doubled: a.jpg" in said.err
    tell(Output(), attrs.evolve(GOOD, datasets=shares[:1]), UploadAccount(Output()).bytes)
    said = capsys.readouterr()
    assert "Held before" not in said.out  # of a single dataset all is said above
    assert said.out.splitlines()[-2:] == ["", GOOD.summary()]
    assert said.err == ""
