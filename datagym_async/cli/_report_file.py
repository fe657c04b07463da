"""`--report FILE`: where the report of a bulk job goes."""

import os
from pathlib import Path
from typing import Protocol

from datagym_async.cli._errors import SOME_FAILED, CommandError
from datagym_async.cli._output import Output


class Report(Protocol):
    """What can be written: the report of an upload or a download."""

    def to_json(self, path: Path | None = None) -> str:
        """Return it as JSON text, and write it."""
        ...

    def to_csv(self, path: Path | None = None) -> str:
        """Return its problems as CSV text, and write them."""
        ...


def check_report_file(file: Path) -> None:
    """Raise a `CommandError` if a report could not be written there when all is done."""
    if file.suffix.lower() not in {".json", ".csv"}:
        raise CommandError(f"The report file {file} must end in .json or .csv.")
    if not file.parent.is_dir():
        raise CommandError(
            f"The report {file} cannot be written: there is no folder {file.parent}."
        )
    if file.is_dir():
        raise CommandError(f"The report {file} cannot be written: it is a folder.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise CommandError(f"The report {file} cannot be written: permission denied.")


def write_report(output: Output, report: Report, file: Path | None) -> None:
    """Write the report where programs find it: the report file, and standard output.

    Raises:
        CommandError: The file cannot be written.
    """
    if output.as_json:
        output.document(report.to_json())
    if file is None:
        return
    try:
        if file.suffix.lower() == ".csv":
            report.to_csv(file)
        else:
            report.to_json(file)
    except OSError as error:
        raise CommandError(
            f"The report {file} cannot be written: {error.strerror}.", status=SOME_FAILED
        ) from None
    output.message(f"The report is in {file}.")
