"""What results and reports say when they are printed."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import attrs
import pytest

from datagym_async import exports, formats, look, models, predict, resources, uploads
from datagym_async.downloads import DownloadOutcome, DownloadReport, DownloadResult
from datagym_async.exceptions import APIConnectionError
from datagym_async.exports import Bitmap, BitmapReport, BitmapResult, ExportedLabels
from datagym_async.formats import Loss, LossKind, LossReport
from datagym_async.imports import ImportedLabels
from datagym_async.labels import LabelConfig
from datagym_async.look import ClassCount, Gallery, LabelStatistics
from datagym_async.resources import (
    ImportOutcome,
    ImportRemark,
    ImportReport,
    ImportResult,
    TaskOutcome,
    TasksReport,
    ValueOutcome,
    WriteReport,
)
from datagym_async.uploads import Outcome, PlannedUpload, UploadItem, UploadResult

EVIL = "a\x1b[31m\n.jpg"
SHOWN = r"a\x1b[31m\n.jpg"
GONE = APIConnectionError("The service is gone")

STORED = ImportResult(0, "m", ImportOutcome.STORED, media_name="a.jpg", left_out=("A mask.",))
REFUSED = ImportResult(1, "m", ImportOutcome.REJECTED, ("No media.",), media_name=EVIL)
WARNED = ImportRemark("warning", "shapes beyond the image")
IMPORTED = ImportReport((STORED, REFUSED))
LOST = LossReport([Loss(LossKind.VIDEO, 2)])
DONE = (TaskOutcome("t1", "completed"), TaskOutcome("t2", "failed", GONE))
BITMAP = Bitmap("t", "seg", "m", "a.jpg")
BITMAPS = (
    BitmapResult(BITMAP, "saved", Path("a.png")),
    BitmapResult(BITMAP, "failed", Path("b.png"), GONE),
)
COUNTS = LabelStatistics(
    name=EVIL, images=2, objects=1, classes=(ClassCount("car", 1, 1, 1.0, 1.0, 1.0),)
)
UPLOADED = UploadResult(
    item=UploadItem("a.jpg", "https://user:word@example.org/a.jpg?sig=secret"),
    outcome=Outcome.FAILED,
    dataset_id="d",
    reason="The name is taken.",
)
DOWNLOADED = DownloadResult(
    media_id="m", name=EVIL, path="a.jpg", outcome=DownloadOutcome.DOWNLOADED
)
DOWNLOAD = DownloadReport(
    name="Photos",
    folder="f",
    planned=1,
    downloaded=1,
    present=0,
    skipped=0,
    failed=0,
    bytes=3,
    seconds=1.0,
    complete=True,
)
SAID: list[tuple[object, str]] = [
    (STORED, "stored: a.jpg: A mask."),
    (REFUSED, f"rejected: {SHOWN}: No media."),
    (IMPORTED, "2 predictions: 1 stored, 1 rejected, 1 with something left out."),
    (ImportReport(), "0 predictions: none."),
    (
        ImportReport((attrs.evolve(STORED, left_out=(), remarks=(WARNED,)),)),
        "1 prediction: 1 stored.\nwarning: 1 x shapes beyond the image",
    ),
    (
        ImportedLabels(report=ImportReport((STORED,)), losses=LOST),
        "1 prediction: 1 stored, 1 with something left out.\n2 x videos, left out",
    ),
    (
        ImportedLabels(
            report=ImportReport(), losses=LossReport(), unannotated=2, created=LabelConfig()
        ),
        (
            "A label configuration was made of the file.\n0 predictions: none.\n"
            "Left as they are: 2 images without labels."
        ),
    ),
    (DONE[1], "failed: t2: The service is gone"),
    (
        TaskOutcome("t", "config_changed"),
        "config_changed: t: The label configuration was being changed; try again.",
    ),
    (TasksReport(DONE), "2 tasks: 1 completed, 1 failed."),
    (TasksReport(DONE[::-1]), "2 tasks: 1 completed, 1 failed."),
    (
        WriteReport("t", (ValueOutcome("car"), ValueOutcome("dog", error=GONE))),
        "2 labels: 1 written, 1 failed.",
    ),
    (BITMAPS[1], "failed: b.png: The service is gone"),
    (
        BitmapReport(folder=Path(EVIL), results=BITMAPS),
        f"2 bitmaps: 1 saved, 1 failed; the folder is {SHOWN}.",
    ),
    (ExportedLabels(path=Path("a.json"), format="json", size=1200), "Wrote 1.2 kB to a.json."),
    (
        ExportedLabels(path=Path("a"), format="yolo", tasks=2, annotations=1, losses=LOST),
        "Wrote 2 tasks with 1 shape to a.\n2 x videos, left out",
    ),
    (
        Gallery(path=Path("index.html"), images=1, objects=2),
        "1 image with 2 objects: open index.html.",
    ),
    (COUNTS, f"{SHOWN}: 2 images with 1 object of 1 class."),
    (UPLOADED, "failed: https://…@example.org/a.jpg: The name is taken."),
    (
        PlannedUpload(item=UPLOADED.item, action="skip", reason="It is there."),
        "skip: a.jpg: It is there.",
    ),
    (
        models.ConfigStakes(tasks=9, finished=2, labels=1, unfinished=3),
        (
            "This affects 2 finished tasks with 1 label, 3 begun tasks, of 9 tasks in all. All "
            "labels are deleted at the service, and finished tasks go back to waiting."
        ),
    ),
    (DOWNLOADED, f"downloaded: {SHOWN}"),
    (DOWNLOAD, "1 media of 'Photos': 1 downloaded (3 bytes in 1.0 s, 1.0 media/s)."),
]


@pytest.mark.parametrize(("value", "sentence"), SAID)
def test_a_result_is_a_sentence(value: object, sentence: str) -> None:
    """What is printed says what happened; foreign names control nothing, URLs have no query."""
    assert str(value) == sentence


def test_a_link_is_shown_without_its_secrets() -> None:
    """Neither in the repr of an item nor in that of its result."""
    for value in (UPLOADED, UPLOADED.item):
        assert "https://…@example.org/a.jpg'" in repr(value)
        assert "secret" not in repr(value)


def test_all_public_reports_are_sentences() -> None:
    """A new one has its sentence, too, and shows itself in a notebook."""
    packages: list[Any] = [exports, formats, look, models, predict, resources, uploads]
    found = {getattr(package, name) for package in packages for name in package.__all__}
    reports = {each for each in found if inspect.isclass(each) and each.__name__.endswith("Report")}
    assert reports >= {ImportReport, TasksReport, BitmapReport, LossReport}
    assert {each for each in reports if each.__str__ is object.__str__} == set()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (IMPORTED, ["2 predictions: 1 stored"]),
        (TasksReport(DONE), ["2 tasks: 1 completed, 1 failed."]),
        (COUNTS, [SHOWN, "<td>car</td><td>1</td><td>1</td>"]),
        (
            ImportedLabels(report=IMPORTED, losses=LOST),
            ["2 predictions: 1 stored", "<p>2 x videos, left out</p>"],
        ),
    ],
)
def test_a_report_shows_itself_in_a_notebook(value: Any, words: list[str]) -> None:
    """It is its sentence, with a table if there is one."""
    pytest.importorskip("PIL")
    shown = value._repr_html_()
    assert all(each in shown for each in words)
    assert value._repr_png_() is None
