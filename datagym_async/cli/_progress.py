"""How far a bulk job is: drawn on a terminal, said in lines elsewhere.

`showing` looks at the run ten times a second and hands what it sees to one of three displays. What
they show is made by pure functions of a snapshot: `_upload_progress`, `_download_progress` and
`_export` have one each.

How far a bulk upload is, as it is shown: pure functions of a snapshot; and its problems.

How far a bulk download is, as it is shown: pure functions of a snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol, Self

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
    from collections.abc import AsyncIterator, Callable, Iterator

    from rich.progress_bar import ProgressBar

LINES_OF_PROBLEMS: Final = 20
"""So many problems are said one by one; the rest is counted, and is in the report."""
_LOOK_EVERY: Final = 0.1
SAY_EVERY: Final = 5.0
"""Seconds between two lines where nothing can be drawn."""


class Shown(Protocol):
    """What can be shown of a run at one moment."""

    @property
    def seconds(self) -> float:
        """Return the time since the run began."""
        ...

    def drawing(self) -> RenderableType:
        """Return it as it is drawn."""
        ...

    def line(self) -> str:
        """Return it as one line."""
        ...


class Display(Protocol):
    """Shows snapshots; a context manager, because a drawn one owns the terminal's last lines."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, snapshot: Shown) -> None:
        """Show a snapshot, or not, if it is too early for the next."""
        ...


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
    failure: Exception | None = None
    with _display_for(output, every) as display:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_watch(display, look))
            try:
                yield
            except Exception as error:
                failure = error  # raised below: the group would wrap it in one of its own
            finally:
                watching.cancel()
        display.show(look())
    if failure is not None:
        raise failure


async def _watch(display: Display, look: Callable[[], Shown]) -> None:
    while True:
        display.show(look())
        await asyncio.sleep(_LOOK_EVERY)


def _display_for(output: Output, every: float) -> Display:
    if output.is_drawn:
        return Drawn(output)
    return Silence() if output.silent or not every else Lines(output, every)


def first_row(verb: str, bar: ProgressBar, figure: str) -> Table:
    """Return the first row of every drawing: what is being done, a bar, and how much is done."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(Text(verb, "bold"), bar, Text(figure))
    return grid


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
class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, snapshot: Shown) -> None:
        """Show nothing."""


@attrs.define
class Lines:
    """Says a line every few seconds, for log files and pipes."""

    _output: Output
    _every: float = SAY_EVERY
    _next: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self._every

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, snapshot: Shown) -> None:
        """Say the snapshot if the last one is long ago."""
        if snapshot.seconds >= self._next:
            self._next = snapshot.seconds + self._every
            self._output.message(snapshot.line())


@attrs.define
class Drawn:
    """Draws the last lines of the terminal anew; messages appear above them."""

    _output: Output
    _live: Live = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # No refreshing thread: only the loop looks at the run.
        self._live = Live(console=self._output.screen, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, snapshot: Shown) -> None:
        """Draw the snapshot."""
        self._live.update(snapshot.drawing(), refresh=True)


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
        """Return it as it is drawn."""
        return drawing(self)

    def line(self) -> str:
        """Return it as one line."""
        return line(self)


@attrs.define
class Problems:
    """Says problems and warnings as they come, until there are too many to read.

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
        for warning in result.warnings:
            self._warned += 1
            if self._warned <= LINES_OF_PROBLEMS:
                self._output.warning(f"warning: {result.source or result.name}: {warning}")
        if not result.is_problem:
            return
        self._lines.say(problem_line(result))
        if self._lines.is_full and result.outcome is Outcome.FAILED:
            self.last_failure = problem_line(result)


def problem_line(result: UploadResult) -> str:
    """Return what became of an item as one line."""
    word = "failed" if result.outcome is Outcome.FAILED else "rejected"
    named = (
        ""
        if _says(result.reason, result.source or result.name)
        else f"{result.source or result.name}: "
    )
    return printable(f"{word}: {named}{hint_in_shell_words(result.reason)}")


def _says(reason: str, name: str) -> bool:
    return bool(name) and name in reason


def drawing(snapshot: Snapshot) -> RenderableType:
    """Return the snapshot as it is drawn: a bar, below it figures, outcomes and remarks."""
    progress = snapshot.progress
    done = bar(*_share(progress), pulse=not progress.total_known and progress.phase != "done")
    grid = first_row(_verb(snapshot), done, _of_files(progress))
    figures = Text(" · ").join(Text(each) for each in _figures(snapshot))
    outcomes = Text(" · ").join(_painted(each) for each in _outcomes(progress))
    remarks = (Text(each, "dim", no_wrap=True, overflow="ellipsis") for each in _remarks(snapshot))
    return Group(grid, figures, *([outcomes] if outcomes else []), *remarks)


def line(snapshot: Snapshot) -> str:
    """Return the snapshot as one line."""
    progress = snapshot.progress
    first = f"{_verb(snapshot)} {_of_files(progress)}"
    said = ", ".join((first, *_figures(snapshot), *_outcomes(progress)))
    return "; ".join((said, *_remarks(snapshot)))


def _verb(snapshot: Snapshot) -> str:
    phase = snapshot.progress.phase
    if snapshot.is_stopping and phase != "done":
        return "Stopping"
    return {"planning": "Reading", "done": "Done"}.get(phase, "Uploading")


def _share(progress: UploadProgress) -> tuple[float, float]:
    # By bytes where they are known: one large file is more work than ten small ones. What is
    # skipped or rejected has no bytes to send, so that a run of skips fills the bar by files.
    if progress.bytes_total > 0:
        return progress.bytes_done, progress.bytes_total
    return progress.items_done, progress.items_total


def _of_files(progress: UploadProgress) -> str:
    if progress.phase == "planning":
        return f"{counted(progress.items_total, 'file')} found"
    total = (
        counted(progress.items_total, "file")
        if progress.total_known
        else (f"{progress.items_total:,}+ files")
    )
    return f"{progress.items_done:,}/{total}"


def _figures(snapshot: Snapshot) -> Iterator[str]:
    progress = snapshot.progress
    if progress.phase == "planning":
        yield f"{size(progress.bytes_total)} so far"
        return
    if progress.bytes_total or not progress.items_total:
        yield share_of_bytes(progress.bytes_done, progress.bytes_total)
        yield f"{size(progress.bytes_per_second)}/s"
    else:  # links have no bytes that we see
        yield f"{progress.items_per_second:,.1f} links/s"
    if progress.phase == "done":
        yield f"{clock(progress.seconds)} taken"
    else:
        yield f"{clock(progress.seconds_left)} left"
        yield _in_flight(snapshot)
    yield counted(snapshot.retries, "retry", "retries")


def _in_flight(snapshot: Snapshot) -> str:
    limiter = snapshot.limiter
    if limiter is None:
        return f"{snapshot.progress.in_flight} in flight"
    # Items wait for their turn too; the limiter counts what is on the line. It knows no links.
    on_the_line = limiter.in_flight or snapshot.progress.in_flight
    return f"{on_the_line} in flight, limit {limiter.limit}"


def _remarks(snapshot: Snapshot) -> Iterator[str]:
    limiter, phase = snapshot.limiter, snapshot.progress.phase
    if limiter is not None and limiter.reason and phase == "sending":
        yield f"limit {limiter.limit}: {limiter.reason}"
    if snapshot.last_failure and phase != "done":
        yield f"last {snapshot.last_failure}"


def _outcomes(progress: UploadProgress) -> Iterator[str]:
    for count, word in (
        (progress.skipped, "skipped"),
        (progress.rejected, "rejected"),
        (progress.failed, "failed"),
    ):
        if count:
            yield f"{count:,} {word}"


def _painted(figure: str) -> Text:
    return Text(figure, "yellow" if figure.endswith(("rejected", "failed")) else "")


_VERBS = {"listing": "Listing", "labels": "Writing labels", "done": "Done"}


@attrs.frozen
class DownloadSnapshot:
    """How far a download is, and what its client has met.

    Attributes:
        progress: How far it is.
        retries: How often the client had to try again.
        limiter: How many downloads it allows itself at once, and why.
        is_stopping: Whether it was asked to end.
    """

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
        done = bar(
            progress.items_done, progress.items_total, pulse=progress.phase in {"listing", "labels"}
        )
        grid = first_row(self._verb, done, self._of_media)
        figures = Text(" · ".join(self._figures()))
        outcomes = " · ".join(self._outcomes())
        return Group(grid, figures, *([Text(outcomes)] if outcomes else []))

    def line(self) -> str:
        """Return it as one line."""
        return ", ".join((f"{self._verb} {self._of_media}", *self._figures(), *self._outcomes()))

    @property
    def _verb(self) -> str:
        if self.is_stopping and self.progress.phase != "done":
            return "Stopping"
        return _VERBS.get(self.progress.phase, "Downloading")

    @property
    def _of_media(self) -> str:
        return f"{self.progress.items_done:,}/{self.progress.items_total:,} media"

    def _figures(self) -> Iterator[str]:
        progress = self.progress
        yield size(progress.bytes_done)
        yield f"{size(progress.bytes_per_second)}/s"
        if progress.phase == "done":
            yield f"{clock(progress.seconds)} taken"
        else:
            yield f"{clock(progress.seconds_left)} left"
            yield f"{progress.in_flight} in flight, limit {self.limiter.limit}"
        yield counted(self.retries, "retry", "retries")

    def _outcomes(self) -> Iterator[str]:
        for count, word in (
            (self.progress.present, "present"),
            (self.progress.skipped, "skipped"),
            (self.progress.failed, "failed"),
        ):
            if count:
                yield f"{count:,} {word}"
