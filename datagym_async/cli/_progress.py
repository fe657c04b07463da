"""How far a bulk job is: drawn on a terminal, said in lines elsewhere; and its problems.

`showing` looks at the run ten times a second. What is shown is made of a snapshot: that of uploads
and that of downloads are here, that of exports is in `_export`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import attrs
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from datagym_async import LimiterState
from datagym_async._printable import printable
from datagym_async._runs._text import counted, share_of_bytes, size
from datagym_async.cli._errors import hint_in_shell_words
from datagym_async.cli._screen import Output, bar, clock
from datagym_async.downloads import DownloadProgress
from datagym_async.uploads import Outcome, UploadProgress, UploadResult

if TYPE_CHECKING:
    from rich.progress_bar import ProgressBar

LINES_OF_PROBLEMS: Final = 20
"""This many problems are said one by one; the rest is counted, and is in the report."""
SAY_EVERY: Final = 5.0
"""Seconds between two lines where nothing can be drawn."""
_LOOK_EVERY: Final = 0.1


class Shown(Protocol):
    """What can be shown of a run at one moment."""

    @property
    def seconds(self) -> float:
        """Return the time since the run began."""

    def drawing(self) -> RenderableType:
        """Return it as it is drawn."""

    def line(self) -> str:
        """Return it as one line."""


@contextlib.asynccontextmanager
async def showing(
    output: Output, look: Callable[[], Shown], *, every: float = SAY_EVERY
) -> AsyncIterator[None]:
    """Show how far a run is until the block ends.

    Args:
        output: Where to.
        look: Takes a snapshot.
        every: Seconds between two lines where nothing can be drawn; 0 for none.
    """

    async def watch(show: Callable[[Shown], None]) -> None:
        while True:
            show(look())
            await asyncio.sleep(_LOOK_EVERY)

    failure: Exception | None = None
    with _display(output, every) as show:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(show))
            try:
                yield
            except Exception as error:
                failure = error  # raised below: the group would wrap it in one of its own
            finally:
                watching.cancel()
        show(look())
    if failure is not None:
        raise failure


@contextlib.contextmanager
def _display(output: Output, every: float) -> Iterator[Callable[[Shown], None]]:
    """Give what shows a snapshot, or does nothing where that is too early or unwanted."""
    if output.is_drawn:
        # The last lines are drawn anew, messages appear above them. No refreshing thread: only the
        # loop looks at the run.
        with Live(console=output.screen, auto_refresh=False, transient=False) as live:
            yield lambda shown: live.update(shown.drawing(), refresh=True)
    elif output.silent or not every:
        yield lambda _: None
    else:
        yield Lines(output, every).show


@attrs.define
class Lines:
    """Says a line every few seconds, for log files and pipes."""

    _output: Output
    _every: float = SAY_EVERY
    _next: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self._every

    def show(self, shown: Shown) -> None:
        """Say a snapshot if the last one is long ago."""
        if shown.seconds >= self._next:
            self._next = shown.seconds + self._every
            self._output.message(shown.line())


@attrs.define
class ProblemLines:
    """Says problems as they come, until there are too many to read.

    Args:
        output: Where to.
        kept_by: The option that keeps them all.
    """

    _output: Output
    _kept_by: str = "--report FILE keeps them"
    _count: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the last problem was not said any more."""
        return self._count > LINES_OF_PROBLEMS

    def say(self, *lines: str) -> None:
        """Say a problem, in one line or several, or that further ones are only counted."""
        self._count += 1
        if not self.is_full:
            for each in lines:
                self._output.warning(each)
        elif self._count == LINES_OF_PROBLEMS + 1:
            self._output.warning(f"(further problems are counted; {self._kept_by})")


@attrs.define
class Problems:
    """Says problems and warnings of uploads as they come, until there are too many to read.

    Attributes:
        last_failure: The last failed item that was no longer said.
    """

    _output: Output
    _lines: ProblemLines = attrs.field(init=False)
    _warned: int = attrs.field(default=0, init=False)
    last_failure: str = attrs.field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = ProblemLines(self._output)

    def note(self, result: UploadResult) -> None:
        """Say what became of an item if somebody should look at it."""
        name = result.source or result.name
        for warning in result.warnings:
            self._warned += 1
            if self._warned <= LINES_OF_PROBLEMS:
                self._output.warning(f"warning: {name}: {warning}")
        if not result.is_problem:
            return
        word = "failed" if result.outcome is Outcome.FAILED else "rejected"
        named = "" if name and name in result.reason else f"{name}: "
        said = printable(f"{word}: {named}{hint_in_shell_words(result.reason)}")
        self._lines.say(said)
        if self._lines.is_full and result.outcome is Outcome.FAILED:
            self.last_failure = said


def first_row(verb: str, bar: ProgressBar, figure: str) -> Table:
    """Return the first row of every drawing: what is being done, a bar, and how much is done."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(Text(verb, "bold"), bar, Text(figure))
    return grid


@attrs.frozen
class Snapshot:
    """How far a run of uploads is, and what its client has met.

    Attributes:
        progress: How far it is.
        retries: How often the client had to try again.
        limiter: How many uploads it allows itself at once, and why; None where nobody says.
        last_failure: The last failed item, once they are no longer said one by one.
        is_stopping: Whether it was asked to end.
    """

    progress: UploadProgress
    retries: int
    limiter: LimiterState | None = None
    last_failure: str = ""
    is_stopping: bool = False

    @property
    def seconds(self) -> float:
        """Return the time since the run began."""
        return self.progress.seconds

    def drawing(self) -> RenderableType:
        """Return it as it is drawn: a bar, below it figures, outcomes and remarks."""
        progress = self.progress
        # By bytes where they are known: one large file is more work than ten small ones. What is
        # skipped or rejected has no bytes to send, so that a run of skips fills the bar by files.
        share = (progress.items_done, progress.items_total)
        if progress.bytes_total > 0:
            share = (progress.bytes_done, progress.bytes_total)
        done = bar(*share, pulse=not progress.total_known and progress.phase != "done")
        first = first_row(self._verb, done, self._of_files)
        remarks = (Text(each, "dim", no_wrap=True, overflow="ellipsis") for each in self._remarks())
        return Group(first, *_rows(self._figures(), self._outcomes()), *remarks)

    def line(self) -> str:
        """Return it as one line."""
        first = f"{self._verb} {self._of_files}"
        said = ", ".join((first, *self._figures(), *self._outcomes()))
        return "; ".join((said, *self._remarks()))

    @property
    def _verb(self) -> str:
        verbs = {"planning": "Reading", "sending": "Uploading", "done": "Done"}
        return _verb(verbs, self.progress.phase, is_stopping=self.is_stopping)

    @property
    def _of_files(self) -> str:
        progress, total = self.progress, counted(self.progress.items_total, "file")
        if progress.phase == "planning":
            return f"{total} found"
        total = total if progress.total_known else f"{progress.items_total:,}+ files"
        return f"{progress.items_done:,}/{total}"

    def _figures(self) -> Iterator[str]:
        progress, limiter = self.progress, self.limiter
        if progress.phase == "planning":
            yield f"{size(progress.bytes_total)} so far"
            return
        if progress.bytes_total or not progress.items_total:
            yield share_of_bytes(progress.bytes_done, progress.bytes_total)
            yield f"{size(progress.bytes_per_second)}/s"
        else:  # links have no bytes that we see
            yield f"{progress.items_per_second:,.1f} links/s"
        # Items wait for their turn too; the limiter counts what is on the line, and knows no links.
        in_flight = (limiter and limiter.in_flight) or progress.in_flight
        yield from _times(progress, in_flight, limiter)
        yield counted(self.retries, "retry", "retries")

    def _outcomes(self) -> Iterator[str]:
        return _those_there_are(self.progress, "skipped", "rejected", "failed")

    def _remarks(self) -> Iterator[str]:
        limiter, phase = self.limiter, self.progress.phase
        if limiter is not None and limiter.reason and phase == "sending":
            yield f"limit {limiter.limit}: {limiter.reason}"
        if self.last_failure and phase != "done":
            yield f"last {self.last_failure}"


@attrs.frozen
class DownloadSnapshot:
    """How far a download is, and what its client has met, as in `Snapshot`."""

    progress: DownloadProgress
    retries: int
    limiter: LimiterState
    is_stopping: bool = False

    @property
    def seconds(self) -> float:
        """Return the time since the run began."""
        return self.progress.seconds

    def drawing(self) -> RenderableType:
        """Return it as it is drawn: a bar, below it figures and outcomes."""
        progress = self.progress
        is_unknown = progress.phase in {"listing", "labels"}
        done = bar(progress.items_done, progress.items_total, pulse=is_unknown)
        first = first_row(self._verb, done, self._of_media)
        return Group(first, *_rows(self._figures(), self._outcomes()))

    def line(self) -> str:
        """Return it as one line."""
        return ", ".join((f"{self._verb} {self._of_media}", *self._figures(), *self._outcomes()))

    @property
    def _verb(self) -> str:
        verbs = {"listing": "Listing", "labels": "Writing labels", "done": "Done"}
        return _verb(
            verbs | {"fetching": "Downloading"}, self.progress.phase, is_stopping=self.is_stopping
        )

    @property
    def _of_media(self) -> str:
        return f"{self.progress.items_done:,}/{self.progress.items_total:,} media"

    def _figures(self) -> Iterator[str]:
        yield size(self.progress.bytes_done)
        yield f"{size(self.progress.bytes_per_second)}/s"
        yield from _times(self.progress, self.progress.in_flight, self.limiter)
        yield counted(self.retries, "retry", "retries")

    def _outcomes(self) -> Iterator[str]:
        return _those_there_are(self.progress, "present", "skipped", "failed")


def _verb(verbs: Mapping[str, str], phase: str, *, is_stopping: bool) -> str:
    return "Stopping" if is_stopping and phase != "done" else verbs.get(phase, phase)


def _rows(figures: Iterator[str], outcomes: Iterator[str]) -> Iterator[Text]:
    """Yield the rows below the bar; the second one only if there is something in it."""
    yield Text(" · ".join(figures))
    painted = [Text(it, "yellow" if it.endswith(("rejected", "failed")) else "") for it in outcomes]
    if painted:
        yield Text(" · ").join(painted)


def _times(
    progress: UploadProgress | DownloadProgress, in_flight: int, limiter: LimiterState | None
) -> Iterator[str]:
    if progress.phase == "done":
        yield f"{clock(progress.seconds)} taken"
    else:
        yield f"{clock(progress.seconds_left)} left"
        yield f"{in_flight} in flight" + (f", limit {limiter.limit}" if limiter else "")


def _those_there_are(progress: object, *outcomes: str) -> Iterator[str]:
    counts = ((getattr(progress, each), each) for each in outcomes)
    return (f"{count:,} {word}" for count, word in counts if count)
