"""How far a bulk download is, as it is shown: pure functions of a snapshot."""

from collections.abc import Iterator

import attrs
from rich.console import Group, RenderableType
from rich.text import Text

from datagym_async import LimiterState
from datagym_async.cli._figures import clock, counted, size
from datagym_async.cli._output import bar
from datagym_async.cli._progress import first_row
from datagym_async.transfer import DownloadProgress

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
