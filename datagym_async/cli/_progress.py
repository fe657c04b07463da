"""The progress of a bulk job, drawn on a terminal or printed in lines; and its problems.

`showing` reads the run ten times a second. The display is made from a snapshot: those of uploads
and downloads are here, and `Step` for jobs with one bar.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar

import attrs
from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datagym_async import LimiterState
from datagym_async._runs._text import RESUMED, counted, share_of_bytes, size
from datagym_async.cli._errors import hint_in_shell_words
from datagym_async.cli._screen import Output, bar, clock

if TYPE_CHECKING:
    from rich.progress_bar import ProgressBar

    from datagym_async.downloads import DownloadProgress
    from datagym_async.uploads import UploadProgress, UploadResult

P = TypeVar("P", "UploadProgress", "DownloadProgress")

LINES_OF_PROBLEMS: Final = 20
"""This many problems are said one by one; the rest is counted, and is in the report."""
OF_A_KIND: Final = 5  # this many of them are of one kind, so that each kind is seen
SAY_EVERY: Final = 5.0  # seconds between two lines if nothing can be drawn


_QUOTED, _VARYING = re.compile(r"'[^']*'?|\"[^\"]*\"?"), re.compile(r"[/\\\d]")
"""What differs between reasons of one kind: names, and words that are paths or numbers."""
_ENDED: Final = {"done": "Done", "stopped": "Stopped"}


Shown: TypeAlias = "Step | _RunSnapshot[Any]"
"""The display of a run at one moment: drawn, or as one line."""


@contextlib.asynccontextmanager
async def showing(
    output: Output, look: Callable[[], Shown], *, every: float = SAY_EVERY
) -> AsyncIterator[None]:
    """Show what `look` returns until the block ends.

    If it cannot be drawn, there is a line `every` few seconds, or none for 0.
    """

    async def watch(show: Callable[[Shown], None]) -> None:
        while True:
            show(look())
            await asyncio.sleep(0.1)

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
    """Yield a function that shows a snapshot, or does nothing if that is too early or unwanted."""
    if output.is_drawn:
        # The last lines are drawn again, messages appear above them. No refreshing thread: only the
        # loop reads the run.
        with Live(console=output.screen, auto_refresh=False, transient=False) as live:
            yield lambda shown: live.update(shown.drawing(), refresh=True)
    elif output.silent or not every:
        yield lambda _: None
    else:
        now = asyncio.get_running_loop().time
        due = now() + every

        def say(shown: Shown) -> None:
            nonlocal due
            if now() >= due:
                due = now() + every
                output.message(shown.line())

        yield say


@attrs.define
class ProblemLines:
    """Prints problems as they come, a few of each kind, and at the end how many more there were."""

    _output: Output
    _kept_by: str = "--report FILE keeps them"
    _said: int = attrs.field(default=0, init=False)
    _is_told: bool = attrs.field(default=False, init=False)  # that further ones are counted
    _counts: Counter[tuple[str, str]] = attrs.field(factory=Counter, init=False)  # by kind
    _first: dict[tuple[str, str], str] = attrs.field(factory=dict, init=False)  # reason of each
    _unsaid: Counter[tuple[str, str]] = attrs.field(factory=Counter, init=False)

    def say(self, word: str, name: str, reason: str) -> str:
        """Print a problem, or count it; return the line if it was only counted."""
        line = self._output.from_here(": ".join(filter(None, (word, name, reason))))
        words = _QUOTED.sub("", reason.replace(name or "\0", "")).split()
        kind = (word, " ".join(each for each in words if not _VARYING.search(each)))
        if kind not in self._first and len(self._first) >= LINES_OF_PROBLEMS:
            kind = (word, "")
        self._first.setdefault(kind, reason if kind[1] else "various reasons")
        self._counts[kind] += 1
        if self._counts[kind] <= OF_A_KIND and self._said < LINES_OF_PROBLEMS:
            self._said += 1
            self._output.warning(line)
            return ""
        if word != "warning" and not self._is_told:
            self._is_told = True
            self._output.warning(f"(further ones of a kind are counted; {self._kept_by})")
        self._unsaid[kind] += 1
        return line

    def say_rest(self) -> None:
        """Print how many of each kind were not printed."""
        for (word, kind), count in self._unsaid.most_common():
            reason = self._output.from_here(self._first[word, kind])
            words = "warnings" if word == "warning" else word
            self._output.warning(f"and {count:,} more {words}: {reason}")


@attrs.define
class Problems(ProblemLines):
    """Prints problems and warnings of uploads; `last_failure` is the last that was not printed."""

    last_failure: str = attrs.field(default="", init=False)

    def note(self, result: UploadResult) -> None:
        name = result.source or result.name
        for warning in result.warnings:
            self.say("warning", name, warning)
        if result.is_problem:
            word = "failed" if result.outcome == "failed" else "rejected"
            named = "" if name and name in result.reason else name
            unsaid = self.say(word, named, hint_in_shell_words(result.reason))
            if word == "failed":
                self.last_failure = unsaid


def first_row(verb: str, bar: ProgressBar, figure: str) -> Table:
    """Return the first row of every drawing: the task, a bar, and how much is done."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(Text(verb, "bold"), bar, Text(figure))
    return grid


@attrs.frozen
class Step:
    """The progress of a job with one bar: done, of how much (None while unknown)."""

    verb: str
    done: int
    total: int | None
    figure: str

    def drawing(self) -> RenderableType:
        drawn = bar(self.done, self.total or 1, pulse=self.total is None)
        # Room for the ^C that a terminal echoes: on a line of its own it would not be drawn over.
        return Padding(first_row(self.verb, drawn, self.figure), (0, 3, 0, 0))

    def line(self) -> str:
        return f"{self.verb}: {self.figure}"


@attrs.frozen
class _RunSnapshot(abc.ABC, Generic[P]):
    """The progress of a run, with data of its client."""

    _verbs: ClassVar[Mapping[str, str]]
    _words: ClassVar[tuple[str, ...]]

    progress: P
    retries: int
    limiter: LimiterState | None = None  # None if it is unknown
    is_stopping: bool = False
    last_failure: str = ""  # once they are no longer printed one by one

    def drawing(self) -> RenderableType:
        """Return it as it is drawn: a bar, below it figures, outcomes and remarks."""
        figures = " · ".join(self._figures())
        rows = [Text(figures)] if figures else []
        outcomes = [
            Text(each, "yellow" if each.endswith(("rejected", "failed")) else "")
            for each in self._outcomes()
        ]
        if outcomes:
            rows.append(Text(" · ").join(outcomes))
        remarks = (Text(each, "dim", no_wrap=True, overflow="ellipsis") for each in self._remarks())
        return Group(first_row(self._verb(), self._bar(), self._done()), *rows, *remarks)

    def line(self) -> str:
        first = f"{self._verb()} {self._done()}"
        said = ", ".join((first, *self._figures(), *self._outcomes()))
        return "; ".join((said, *self._remarks()))

    def _verb(self) -> str:
        phase = self.progress.phase
        is_stopping = self.is_stopping and phase not in _ENDED
        return "Stopping" if is_stopping else self._verbs.get(phase, phase)

    def _outcomes(self) -> Iterator[str]:
        counts = ((getattr(self.progress, each), each) for each in self._words)
        return (f"{count:,} {word}" for count, word in counts if count)

    def _times(self) -> Iterator[str]:
        if self.progress.phase in _ENDED:
            yield f"{clock(self.progress.seconds)} taken"
        else:
            yield f"{clock(self.progress.seconds_left)} left"
            yield self._in_flight()
        yield counted(self.retries, "retry", "retries")

    def _in_flight(self) -> str:
        """Return how much is in flight, and how much may be."""
        limiter, items = self.limiter, self.progress.in_flight
        if limiter is None:
            return f"{items} in flight"
        if items and not limiter.in_flight:  # they wait for their turn, or (links) have no limit
            return f"{items} under way"
        # After the limit has fallen, requests in flight end first.
        word = "limit" if limiter.in_flight <= limiter.limit else "falling to"
        return f"{limiter.in_flight} in flight, {word} {limiter.limit}"

    def _remarks(self) -> Iterator[str]:
        return iter(())

    @abc.abstractmethod
    def _bar(self) -> ProgressBar: ...

    @abc.abstractmethod
    def _done(self) -> str: ...

    @abc.abstractmethod
    def _figures(self) -> Iterator[str]: ...


@attrs.frozen
class Snapshot(_RunSnapshot["UploadProgress"]):
    """The progress of an upload; one that watches a folder has no end."""

    is_watching: bool = False

    _verbs = {"planning": "Reading", "sending": "Uploading", **_ENDED}  # noqa: RUF012
    _words = ("rejected", "failed")

    def _verb(self) -> str:
        progress = self.progress
        has_nothing_to_do = progress.items_done == progress.items_total
        is_waiting = self.is_watching and has_nothing_to_do and progress.phase not in _ENDED
        return "Watching" if is_waiting and not self.is_stopping else super()._verb()

    @property
    def _is_links(self) -> bool:
        progress = self.progress  # we do not see their bytes
        return not progress.bytes_total and bool(progress.uploaded or progress.in_flight)

    def _outcomes(self) -> Iterator[str]:
        progress = self.progress
        if skipped := progress.skipped - progress.resumed:
            yield f"{skipped:,} skipped"
        if progress.resumed:
            yield f"{progress.resumed:,} {RESUMED}"
        yield from super()._outcomes()

    def _bar(self) -> ProgressBar:
        progress = self.progress
        # By bytes if they are known: one large file is more work than ten small ones. Skipped and
        # rejected items have no bytes to send, so a run of skips fills the bar by files.
        share: tuple[float, float] = (progress.items_done, progress.items_total)
        if progress.bytes_total > 0:
            before, part = progress.resumed, progress.bytes_done / progress.bytes_total
            share = (before + part * (progress.items_total - before), progress.items_total)
        # For a resumed run the rest is known, though the sources may have more by now.
        is_known = progress.total_known or progress.seconds_left is not None
        return bar(*share, pulse=not is_known and progress.phase not in _ENDED)

    def _done(self) -> str:
        word = "link" if self._is_links else "file"
        progress, total = self.progress, counted(self.progress.items_total, word)
        if progress.phase == "planning":
            return f"{total} found"
        total = total if progress.total_known else f"{progress.items_total:,}+ {word}s"
        return f"{progress.items_done:,}/{total}"

    def _figures(self) -> Iterator[str]:
        progress = self.progress
        if progress.phase == "planning":
            if progress.bytes_total:
                yield f"{size(progress.bytes_total)} so far"
            return
        if progress.bytes_total:
            yield share_of_bytes(progress.bytes_done, progress.bytes_total)
            yield f"{size(progress.bytes_per_second)}/s"
        elif self._is_links:
            yield f"{progress.items_per_second:,.1f} links/s"
        yield from self._times()

    def _remarks(self) -> Iterator[str]:
        limiter, phase = self.limiter, self.progress.phase
        if limiter is not None and limiter.reason and phase == "sending" and not self._is_links:
            yield f"limit {limiter.limit}: {limiter.reason}"
        if self.last_failure and phase not in _ENDED:
            yield f"last {self.last_failure}"


@attrs.frozen
class DownloadSnapshot(_RunSnapshot["DownloadProgress"]):
    _verbs = {  # noqa: RUF012
        "listing": "Listing",
        "fetching": "Downloading",
        "labels": "Writing labels",
        **_ENDED,
    }
    _words = ("present", "skipped", "failed")

    def _bar(self) -> ProgressBar:
        progress = self.progress
        if self._reads_labels:
            return bar(progress.tasks_read, progress.tasks_total)
        is_unknown = progress.phase in {"listing", "labels"}
        return bar(progress.items_done, progress.items_total, pulse=is_unknown)

    def _done(self) -> str:
        progress = self.progress
        if self._reads_labels:
            return f"{progress.tasks_read:,}/{progress.tasks_total:,} tasks"
        return f"{progress.items_done:,}/{progress.items_total:,} media"

    @property
    def _reads_labels(self) -> bool:
        return self.progress.phase == "labels" and self.progress.tasks_total > 0

    def _figures(self) -> Iterator[str]:
        yield size(self.progress.bytes_done)
        yield f"{size(self.progress.bytes_per_second)}/s"
        yield from self._times()
