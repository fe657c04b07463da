"""How far a bulk upload is, as it is shown: pure functions of a snapshot; and its problems."""

from collections.abc import Iterator

import attrs
from rich.console import Group, RenderableType
from rich.text import Text

from datagym_async import LimiterState
from datagym_async.cli._figures import clock, counted, share_of_bytes, size
from datagym_async.cli._output import Output, bar
from datagym_async.cli._progress import LINES_OF_PROBLEMS, ProblemLines, first_row
from datagym_async.cli._words import hint_in_shell_words
from datagym_async.transfer import Outcome, UploadProgress, UploadResult


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
    return f"{word}: {named}{hint_in_shell_words(result.reason)}"


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
    more = "" if progress.total_known else "+"
    return f"{progress.items_done:,}/{progress.items_total:,}{more} files"


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
