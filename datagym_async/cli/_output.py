"""The one way out: results to standard output, progress and messages to standard error.

Nothing that comes from outside (names of files and datasets, words of the service) is taken for
markup, and nothing goes out before known secrets are taken out.
"""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Literal

import attrs
from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datagym_async._wire._redact import redact

# Wide enough for ids and long names where no terminal sets a limit.
_WIDTH_OF_FILES = 200

Align = Literal["left", "right"]


@attrs.frozen
class Column:
    """A column of a table; one that is `whole` is never cut or folded."""

    title: str
    align: Align = "left"
    whole: bool = False


@attrs.define
class Output:
    """What one run of a command says, and how.

    Attributes:
        as_json: Whether the result is one JSON document and all else but errors is silent.
        quiet: Whether only what somebody should look at is said.
    """

    as_json: bool = False
    quiet: bool = False
    _secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    _out: Console = attrs.field(factory=lambda: _console(stderr=False), repr=False)
    _err: Console = attrs.field(factory=lambda: _console(stderr=True), repr=False)

    @property
    def silent(self) -> bool:
        """Whether progress and messages are unwanted."""
        return self.as_json or self.quiet

    @property
    def screen(self) -> Console:
        """The console of progress displays."""
        return self._err

    @property
    def is_drawn(self) -> bool:
        """Whether progress can be drawn over and over in one place."""
        return self._err.is_terminal and not self._err.is_dumb_terminal and not self.silent

    def keep_secret(self, secret: str) -> None:
        """Never say this text from now on."""
        self._secrets = (*self._secrets, secret)

    def result(self, text: str) -> None:
        """Say a line of the result."""
        if not self.as_json:
            self._print(self._out, self._text(text))

    def secret_result(self, text: str) -> None:
        """Say a line of the result as it is: the one way for a token to be seen (`serve`)."""
        self._print(self._out, Text(text))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Say a table as the result."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(
                column.title, justify=column.align, no_wrap=column.whole, overflow="fold"
            )
        for row in rows:
            table.add_row(*(self._text(cell) for cell in row))
        if not self.as_json:
            self._out.print(table)

    def json_line(self, record: object) -> None:
        """Say a part of the result as JSON on one line."""
        self.document(json.dumps(record))

    def document(self, document: object) -> None:
        """Say the whole result as one JSON document."""
        text = document if isinstance(document, str) else json.dumps(document, indent=2)
        # Not through rich, which would fold long lines; JSON is for programs.
        self._out.file.write(redact_secrets(text, self._secrets).rstrip("\n") + "\n")
        self._out.file.flush()

    def message(self, text: str, *, style: str = "") -> None:
        """Say what is going on."""
        if not self.silent:
            self._print(self._err, self._text(text, style))

    def tell(self, text: str, *, style: str = "") -> None:
        """Say a line of a story that is itself the result (`demo`), unless that is unwanted."""
        if not self.silent:
            self._print(self._out, self._text(text, style))

    def warning(self, text: str) -> None:
        """Say what somebody should look at, also when quiet."""
        if not self.as_json:
            self._print(self._err, self._text(text, "yellow"))

    def error(self, text: str) -> None:
        """Say why the command stops, always."""
        sentence = Text("Error: ", "bold red") + self._text(text)
        self._print(self._err, sentence)

    def trace(self, text: str) -> None:
        """Say something for people who debug."""
        self._print(self._err, self._text(text, "dim"))

    def debug_handler(self) -> logging.Handler:
        """Return a handler that says log records without tearing a progress display apart."""
        return _DebugHandler(self)

    def _text(self, text: str, style: str = "") -> Text:
        return Text(redact_secrets(text, self._secrets), style)

    def _print(self, console: Console, text: RenderableType) -> None:
        console.print(text, soft_wrap=not console.is_terminal)


class _DebugHandler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__(logging.DEBUG)
        self._output = output
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._output.trace(redact(self.format(record)))


def redact_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return the text without the secrets, and all else as it is."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "[redacted]")
    return text


def bar(done: float, total: float, *, pulse: bool = False) -> ProgressBar:
    """Return a progress bar; one that pulses says that the total is not known."""
    return ProgressBar(
        total=max(total, 1),
        completed=min(done, max(total, 1)),
        pulse=pulse,
        finished_style="green",
    )


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command end in the one place where all commands end; rich would exit here."""
        raise BrokenPipeError


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_OF_FILES
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)
