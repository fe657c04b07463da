"""How far a bulk job is: drawn on a terminal, said in lines elsewhere.

`showing` looks at the run ten times a second and hands what it sees to one of three displays. What
they show is made by pure functions of a snapshot: `_upload_progress`, `_download_progress` and
`_export` have one each.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol, Self

import attrs
from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datagym_async.cli._output import Output

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
