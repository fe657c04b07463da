"""The end of a bulk job: what is kept of it, its report, and the messages of an upload."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import attrs

from datagym_async._extras import require_modules
from datagym_async._files import write_private
from datagym_async._printable import for_shell
from datagym_async._runs._engine import BulkRun
from datagym_async._runs._text import RESUMED, BulkReport, counted, size
from datagym_async._threads import first_of
from datagym_async.cli._errors import (
    SOME_FAILED,
    WELL,
    CommandError,
    advice_in_shell_words,
    hint_in_shell_words,
    in_shell_words,
    sentence_of,
)
from datagym_async.cli._screen import Output
from datagym_async.cli._signals import STOPPING, run_in_loop
from datagym_async.exceptions import DataGymError, TransferError
from datagym_async.uploads import Outcome, UploadReport, UploadResult

if TYPE_CHECKING:
    from datagym_async.look._pages import RunRecord

R = TypeVar("R", bound=BulkReport)
_Record: TypeAlias = "RunRecord | None"

RESUME: Final = "The same command resumes where this one stopped."

_NAMED: Final = 5  # maximum doubles and mismatches shown; the report has them all


@attrs.define
class Account(Generic[R]):
    """The data of a run, kept outside it so that an interruption cannot lose it."""

    output: Output
    files: Sequence[Path] = ()  # for the report
    report: R | None = None
    is_stopping: bool = False
    record: _Record = attrs.field(init=False)

    @record.default
    def _record(self) -> _Record:
        """Return the record of a run over time, if a page will show it."""
        if all(file.suffix.lower() != ".html" for file in self.files):
            return None
        from datagym_async.look._pages import RunRecord  # loaded by those who want one

        return RunRecord()

    def stop(self, run: BulkRun[Any, Any, R]) -> None:
        self.is_stopping = True
        run.stop()
        self.output.warning(f"{STOPPING}; that is safe, too.")

    def run(self, work: Coroutine[object, object, None]) -> None:
        """Do the work until its end or a Ctrl-C; if the service is gone, write the report first."""
        try:
            run_in_loop(work)
        except (KeyboardInterrupt, asyncio.CancelledError):
            self.is_stopping = True
        except TransferError:
            if self.report is not None:
                self.write(self.report)
            self.output.warning(RESUME)
            raise  # its sentence holds the summary
        except Exception as error:
            cause = first_of(error)
            is_known = isinstance(cause, DataGymError | CommandError)
            if is_known or self.report is None or not self.report.to_dict()["planned"]:
                raise
            self.write(self.report)  # it had begun: no thread can be started any more, say
            raise CommandError(sentence_of(cause), status=SOME_FAILED) from error

    def write(self, report: R) -> bool:
        """Write the report to its files and standard output; if one fails, say so: False."""
        is_written = True
        shown = _for_shell(report)
        if self.output.as_json:
            self.output.document(shown.to_json())
        for file in self.files:
            try:
                if file.suffix.lower() == ".csv":
                    shown.to_csv(file)
                elif file.suffix.lower() == ".html":
                    from datagym_async.look._pages import run_page  # loaded by those who want one

                    write_private(file, run_page(shown, self.record).encode())
                else:
                    shown.to_json(file)
            except OSError as error:
                self.output.error(f"The report {file} cannot be written: {error.strerror}.")
                is_written = False
            else:
                self.output.message(f"The report is in {file}.")
        return is_written


@attrs.define
class UploadAccount(Account[UploadReport]):
    bytes: dict[Outcome, int] = attrs.field(factory=lambda: dict.fromkeys(Outcome, 0))
    uploaded: UploadResult | None = None  # the first file that was
    is_watching: bool = False

    def note(self, result: UploadResult) -> None:
        self.bytes[result.outcome] += result.size or 0
        if self.uploaded is None and result.outcome is Outcome.UPLOADED and result.item.path:
            self.uploaded = result


def status_of(report: UploadReport) -> int:
    return WELL if report.ok and not doubled(report) else SOME_FAILED


def doubled(report: UploadReport) -> int:
    """Return how many extra copies are still in the dataset."""
    return sum(len(each.extras) - len(each.removed) for each in report.doubles)


def tell(output: Output, report: UploadReport, weights: Mapping[Outcome, int]) -> None:
    output.table(("Outcome", ">Items", ">Size"), list(outcome_rows(report, weights)))
    if len(report.datasets) > 1:
        output.result("")
        output.table(("Dataset", ">Held before", ">Uploaded", "!"), list(dataset_rows(report)))
    output.result("")
    for line in remarks(report):
        output.warning(line)
    if report.advice:
        output.result(advice_in_shell_words(report.advice))
    output.result(hint_in_shell_words(report.summary()))


def outcome_rows(
    report: UploadReport, weights: Mapping[Outcome, int]
) -> Iterator[tuple[str, str, str]]:
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
            weight = weights[outcome] if outcome is not None else 0
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
    again = f", or `upload --retry-failed {for_shell(written)}`" if written else ""
    return f"The same command{again} tries again what failed."


def check_report_files(files: Sequence[Path]) -> None:
    """Raise a `CommandError` if a report could not be written there at the end."""
    for file in files:
        if file.suffix.lower() not in {".json", ".csv", ".html"}:
            raise CommandError(f"The report file {file} must end in .json, .csv or .html.")
        if file.suffix.lower() == ".html":
            require_modules("A report as a page", "look", "jinja2", instead="name a .json file")
        for is_wrong, reason in (
            (not file.parent.absolute().is_dir(), f"there is no folder {file.parent}"),
            (file.is_dir(), "it is a folder"),
            (not os.access(file if file.exists() else file.parent, os.W_OK), "permission denied"),
        ):
            if is_wrong:
                raise CommandError(f"The report {file} cannot be written: {reason}.")


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
