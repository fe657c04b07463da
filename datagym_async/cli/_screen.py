"""All output of a command: results to standard output, progress and messages to standard error.

Foreign text (names of files and datasets, texts of the service) is never used as markup and cannot
control the terminal, and known secrets are removed before printing. Each message is one line: a
line break in it is foreign, and shows as an escape.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import typer
from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datagym_async._checks import shown
from datagym_async._printable import ascii_json, indented_trace, printable, printable_json
from datagym_async._wire._redact import Secrets, redact
from datagym_async.cli._errors import SOME_FAILED, WELL, CommandError


def clock(seconds: float | None) -> str:
    """Return a length of time as ``H:MM:SS``, or ``-:--:--`` if unknown."""
    if seconds is None or seconds != seconds or seconds >= 100 * 3600:
        return "-:--:--"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def local(moment: datetime) -> datetime:
    """Return a moment in the zone of this machine, or unchanged if that cannot show it."""
    try:
        return moment.astimezone()
    except (ValueError, OverflowError, OSError):  # an end of the calendar, or an odd `TZ`
        return moment


def local_time(moment: datetime | None) -> str:
    return "" if moment is None else f"{local(moment):%Y-%m-%d %H:%M}"


def plain(value: attrs.AttrsInstance) -> dict[str, Any]:
    """Return a model for JSON: its attributes under their own names."""

    def serialised(_: object, __: object, value: Any) -> Any:
        match value:
            case enum.Enum():
                return value.value
            case datetime():
                return value.isoformat()
            case Mapping():
                return dict(value)
        return str(value) if isinstance(value, Path) else value

    return attrs.asdict(value, value_serializer=serialised)


_FOLDED: Final = 8  # characters to which a column of a table is folded at most


def _below_here() -> re.Pattern[str]:
    """Return how a path below the working directory begins."""
    try:
        here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 -- with its last separator
    except OSError:  # it is gone
        here = os.sep
    return re.compile(rf"(?<![^\s'\"(]){re.escape(here)}" if here != os.sep else "(?!)")


@attrs.define
class Output:
    """The output of one run of a command."""

    as_json: bool = False  # the result is one JSON document; besides it, only errors are shown
    quiet: bool = False  # only results, warnings and errors are shown
    secrets: Secrets = attrs.field(factory=Secrets, init=False, repr=False)
    _below_here: re.Pattern[str] = attrs.field(factory=_below_here, repr=False)
    _out: Console = attrs.field(factory=lambda: _console(stderr=False), repr=False)
    screen: Console = attrs.field(factory=lambda: _console(stderr=True), repr=False)

    @property
    def silent(self) -> bool:
        """Whether progress and messages are unwanted."""
        return self.as_json or self.quiet

    @property
    def is_drawn(self) -> bool:
        """Whether progress can be drawn over and over in one place."""
        return self.screen.is_terminal and not self.screen.is_dumb_terminal and not self.silent

    def can_say(self, text: str) -> bool:
        """Return whether standard output can encode a text."""
        try:
            text.encode(self._out.encoding)
        except UnicodeEncodeError:
            return False
        return True

    def from_here(self, text: str) -> str:
        """Return a line for the screen, with relative paths below the working directory."""
        return self._below_here.sub("", printable(text))

    def result(self, text: str) -> None:
        if not self.as_json:
            self._print(self._out, self._text(text))

    def secret_result(self, text: str) -> None:
        """Print a line of the result unchanged: the only way to show a token (`serve`)."""
        self._print(self._out, Text(text))

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; ``>Title`` aligns a column right, ``Title!`` is never cut or folded."""
        if self.as_json:
            return
        names = [Text(title.removeprefix(">").removesuffix("!")) for title in titles]
        sides: list[Literal["left", "right"]] = [
            "right" if title.startswith(">") else "left" for title in titles
        ]
        cells = [[self._text(cell) for cell in row] for row in rows]
        columns = zip(names, *cells, strict=True)
        widths = [max(cell.cell_len for cell in column) for column in columns]
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        least = 0
        for title, name, side, width in zip(titles, names, sides, widths, strict=True):
            is_whole = title.endswith("!")
            table.add_column(name, justify=side, no_wrap=is_whole, overflow="fold")
            least += 2 + (width if is_whole else min(width, _FOLDED))
        if self._out.is_terminal and least <= self._out.width:
            for row in cells:
                table.add_row(*row)
            self._out.print(table)
            return
        # A row is a line: rich would leave out columns for which a terminal has no room.
        for row in (names, *cells):
            for cell, side, width in zip(row, sides, widths, strict=True):
                cell.align(side, width)
            line = Text("  ").join(row)
            line.rstrip()  # programs read it: no blanks at the end
            self._print(self._out, line)

    def listing(
        self,
        document: Sequence[object],
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        empty: str,
    ) -> None:
        """Print a list as a table, as JSON, or that it is empty."""
        if self.as_json:
            self.document(document)
        elif not rows:
            self.message(empty)
        else:
            self.table(titles, rows)
        self.whole()

    def whole(self) -> int:
        """Return the status of a command whose output is all of its job."""
        self._out.file.flush()
        # Who has left (`| head`) has seen enough.
        match getattr(self._out.file, "lost", None):
            case BrokenPipeError() as left:
                raise left
            case OSError():
                raise CommandError("Not all of the output could be written.", status=SOME_FAILED)
        return WELL

    def outcome(self, document: object, sentence: str) -> None:
        """Print the result of a command: the document, or the sentence unless it is quiet."""
        if self.as_json:
            self.document(document)
        elif not self.quiet:
            self.result(sentence)

    def document(self, document: object) -> None:
        """Print the whole result as one JSON document; a text is one already."""
        text = document if isinstance(document, str) else json.dumps(document, indent=2)
        # Not through rich, which would fold long lines; JSON is for programs.
        said = printable_json(self.secrets.hide(text))
        said = said if self.can_say(said) else ascii_json(said)
        self._out.file.write(said.rstrip("\n") + "\n")
        self._out.file.flush()

    def file(self, path: Path) -> None:
        """Write a file's bytes as the whole result; `BrokenPipeError` if its reader has left."""
        self._out.file.flush()
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()

    def message(self, text: str) -> None:
        if not self.silent:
            self._print(self.screen, self._text(text))

    def tell(self, text: str, *, style: str = "") -> None:
        """Print a line of a story that is itself the result (`demo`), unless that is unwanted."""
        if not self.silent:
            self._print(self._out, self._text(text, style))

    def warning(self, text: str) -> None:
        """Print a warning, also when quiet."""
        if not self.as_json:
            self._print(self.screen, self._text(text, "yellow"))

    def error(self, text: str, *further: str) -> None:
        """Print why the command stops, always; further lines have details."""
        self._print(self.screen, Text("Error: ", "bold red") + self._text(text))
        for line in further:
            self._print(self.screen, self._text(line))

    def trace(self, text: str) -> None:
        self._print(self.screen, self._text(text, "dim"))

    def traceback(self, error: BaseException) -> None:
        for line in indented_trace(error).split("\n"):
            self.trace(line)

    def ask(self, question: str, *, otherwise: str = "Nothing was changed.") -> bool:
        """Ask whether to continue, and print what happens if not; no answer is no."""
        asked = printable(self.secrets.hide(question))
        if not (wanted := typer.confirm(asked, err=True)):
            self.message(otherwise)
        return wanted

    def _text(self, text: str, style: str = "") -> Text:
        return Text(printable(self.secrets.hide(text)), style)

    def _print(self, console: Console, text: RenderableType) -> None:
        console.print(text, soft_wrap=not console.is_terminal)


def repaired(record: logging.LogRecord) -> bool:
    """Let a record pass, as a filter; another library may log a text that its arguments do not fit.

    Python's own handlers print an error of that, and raise nothing in the code that logs.
    """
    try:
        record.getMessage()
    except Exception:
        record.msg, record.args = f"{record.msg} {shown(record.args)}", None
    return True


_RECORD = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogFileHandler(WatchedFileHandler):
    """Appends all records to a file, without secrets; to a new one if that was renamed."""

    def __init__(self, output: Output, file: Path) -> None:
        super().__init__(file, encoding="utf-8", errors="backslashreplace")
        self._output = output
        self.setFormatter(logging.Formatter(_RECORD))
        self._is_told = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # a new one cannot be opened
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's own name
        """Print once that the log is incomplete; the command continues without it."""
        if not self._is_told:
            self._is_told = True
            why = getattr(sys.exc_info()[1], "strerror", None) or "it cannot be written"
            self._output.warning(f"The log file {self.baseFilename} is not complete: {why}.")

    def close(self) -> None:
        """Close the file; its buffer may not fit onto a full disk."""
        with contextlib.suppress(OSError):
            super().close()

    def format(self, record: logging.LogRecord) -> str:
        return self._output.secrets.hide(redact(super().format(record)))


class LogHandler(logging.Handler):
    """Prints warnings of the log, or all records, around a progress display."""

    def __init__(self, output: Output, *, debug: bool) -> None:
        super().__init__(logging.DEBUG if debug else logging.WARNING)
        self._say = output.trace if debug else output.warning
        self.addFilter(repaired)
        self.setFormatter(logging.Formatter(_RECORD if debug else "%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        # A record of several lines, perhaps of another library, is indented behind its first one.
        first, *further = redact(self.format(record)).split("\n")
        self._say(first)
        for line in further:
            self._say(f"  {line}")


def bar(done: float, total: float, *, pulse: bool = False) -> ProgressBar:
    return ProgressBar(
        total=max(total, 1), completed=min(done, max(total, 1)), pulse=pulse, finished_style="green"
    )


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:  # a row is one line, however long its names are
        console.width = 100_000
    return console
