"""The end of a bulk job: the messages of an upload, its exit status, and its report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from datagym_async._extras import require_modules
from datagym_async._files import write_private
from datagym_async._runs._text import RESUMED, BulkReport, counted, size
from datagym_async.cli._errors import (
    SOME_FAILED,
    WELL,
    CommandError,
    advice_in_shell_words,
    hint_in_shell_words,
    in_shell_words,
)
from datagym_async.uploads import Outcome, UploadReport, UploadResult

if TYPE_CHECKING:
    from datagym_async.cli._screen import Output
    from datagym_async.look._pages import RunRecord

RESUME: Final = "The same command resumes where this one stopped."

_NAMED: Final = 5  # maximum doubles and mismatches shown; the report has them all


@attrs.define
class Totals:
    """Bytes by outcome, as far as they were counted, and the first file that was uploaded."""

    bytes: dict[Outcome, int] = attrs.field(factory=lambda: dict.fromkeys(Outcome, 0))
    uploaded: UploadResult | None = None

    def note(self, result: UploadResult) -> None:
        self.bytes[result.outcome] += result.size or 0
        if self.uploaded is None and result.outcome is Outcome.UPLOADED and result.item.path:
            self.uploaded = result


def status_of(report: UploadReport, *, watched: bool = False) -> int:
    """Return the exit status of a run; a stop is the normal end of one that watches."""
    settled = not (report.pending or report.unsettled)
    complete = report.complete or (watched and settled)
    wrong = report.rejected or report.failed or report.mismatched or doubled(report)
    return WELL if complete and not wrong else SOME_FAILED


def doubled(report: UploadReport) -> int:
    """Return how many extra copies are still in the dataset."""
    return sum(len(each.extras) - len(each.removed) for each in report.doubles)


def tell(output: Output, report: UploadReport, totals: Totals) -> None:
    output.table(
        ("Outcome", ">Items", ">Size"),
        list(outcome_rows(report, totals)),
    )
    if len(report.datasets) > 1:
        output.result("")
        output.table(
            ("Dataset", ">Held before", ">Uploaded", "!"),
            list(dataset_rows(report)),
        )
    output.result("")
    for line in remarks(report):
        output.warning(line)
    if report.advice:
        output.result(advice_in_shell_words(report.advice))
    output.result(hint_in_shell_words(report.summary()))


def outcome_rows(report: UploadReport, totals: Totals) -> Iterator[tuple[str, str, str]]:
    """Yield the outcomes that occurred, with their items and bytes."""
    yield "uploaded", f"{report.uploaded:,}", size(report.bytes) if report.bytes else ""
    new = report.skipped - report.resumed
    for word, count, outcome in (
        ("skipped", new, Outcome.SKIPPED),
        (RESUMED, report.resumed, None),
        ("rejected", report.rejected, Outcome.REJECTED),
        ("failed", report.failed, Outcome.FAILED),
        ("pending", report.pending, None),
        ("unsettled", report.unsettled, None),
    ):
        if count:
            weight = totals.bytes[outcome] if outcome is not None else 0
            yield word, f"{count:,}", size(weight) if weight else ""


def dataset_rows(report: UploadReport) -> Iterator[tuple[str, str, str, str]]:
    for each in report.datasets:
        yield each.name, f"{each.held:,}", f"{each.uploaded:,}", "new" if each.created else ""


def remarks(report: UploadReport) -> Iterator[str]:
    """Yield what the user should know besides the items that were shown one by one."""
    for double in report.doubles[:_NAMED]:
        done = "removed" if len(double.removed) == len(double.extras) else "still there"
        copies = counted(len(double.extras), "extra copy", "extra copies")
        yield f"doubled: {double.name}: {copies}, {done}; kept is {double.kept}"
    if left := doubled(report):
        yield f"{counted(left, 'extra copy', 'extra copies')} left; --remove-doubles removes them."
    for mismatch in report.mismatches[:_NAMED]:
        yield f"differs: {mismatch.name}: {mismatch.reason}"
    if (more := report.mismatched - _NAMED) > 0:
        yield f"... and {counted(more, 'further mismatch', 'further mismatches')}"
    if report.warned:
        word = counted(report.warned, "item has a warning", "items have warnings")
        yield f"{word}; the first ones are shown above."


def how_to_resume(report: UploadReport | None, *, written: str = "") -> str:
    """Return what to do next, if anything; `written` is the file of the report as JSON."""
    # Without a report it ended before it began.
    if report is None or report.pending or report.unsettled or not report.complete:
        return RESUME
    if not report.failed:
        return ""
    again = f", or `upload --retry-failed {written}`" if written else ""
    return f"The same command{again} tries again what failed."


def check_report_files(files: Sequence[Path]) -> None:
    """Raise a `CommandError` if a report could not be written there at the end."""
    for file in files:
        if file.suffix.lower() not in {".json", ".csv", ".html"}:
            raise CommandError(f"The report file {file} must end in .json, .csv or .html.")
        if file.suffix.lower() == ".html":
            require_modules("A report as a page", "look", "jinja2", instead="name a .json file")
        for is_wrong, reason in (
            (not file.parent.is_dir(), f"there is no folder {file.parent}"),
            (file.is_dir(), "it is a folder"),
            (not os.access(file if file.exists() else file.parent, os.W_OK), "permission denied"),
        ):
            if is_wrong:
                raise CommandError(f"The report {file} cannot be written: {reason}.")


def record_for(files: Sequence[Path]) -> RunRecord | None:
    """Return the record of a run over time, if a page will show it."""
    if all(file.suffix.lower() != ".html" for file in files):
        return None
    from datagym_async.look._pages import RunRecord  # loaded by those who want one

    return RunRecord()


def write_report(
    output: Output,
    report: BulkReport,
    files: Sequence[Path],
    record: RunRecord | None = None,
) -> bool:
    """Write the report to its files and standard output; if one fails, tell and return False."""
    is_written = True
    report = _for_shell(report)
    if output.as_json:
        output.document(report.to_json())
    for file in files:
        try:
            if file.suffix.lower() == ".csv":
                report.to_csv(file)
            elif file.suffix.lower() == ".html":
                from datagym_async.look._pages import run_page  # loaded by those who want one

                write_private(file, run_page(report, record).encode())
            else:
                report.to_json(file)
        except OSError as error:
            output.error(f"The report {file} cannot be written: {error.strerror}.")
            is_written = False
        else:
            output.message(f"The report is in {file}.")
    return is_written


def _for_shell(report: BulkReport) -> BulkReport:
    """Return a report whose sentences name options as they are called here."""

    class ShellReport(BulkReport):
        COLUMNS = report.COLUMNS

        def to_dict(self) -> dict[str, Any]:
            whole: dict[str, Any] = in_shell_words(report.to_dict())
            return whole

        def summary(self) -> str:
            return str(self.to_dict()["summary"])

    return ShellReport()
