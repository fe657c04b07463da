"""Where others take part in an upload: its watcher, what stops it, what ends it.

The pipeline tells a `Watcher` what happens, asks `Stops` before each item whether to go on, and
awaits each `Ending` when all is sent. All of them are called in the event loop; what they do there
must be short, or be awaited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

if TYPE_CHECKING:
    from datagym_async.transfer._items import UploadItem, UploadResult
    from datagym_async.transfer._tally import Tally


class Watcher(Protocol):
    """Is told what happens, as it happens; must not raise."""

    def began(self, item: UploadItem, size: int | None) -> None:
        """A worker begins to send an item."""
        ...

    def lost(self, item: UploadItem) -> None:
        """An answer was lost; the item is about to be looked up."""
        ...

    def ended(self, result: UploadResult) -> None:
        """An item has its outcome."""
        ...


class Silent:
    """The watcher that nobody asked for."""

    def began(self, item: UploadItem, size: int | None) -> None:
        """Say nothing."""

    def lost(self, item: UploadItem) -> None:
        """Say nothing."""

    def ended(self, result: UploadResult) -> None:
        """Say nothing."""


Stops: TypeAlias = Callable[["Tally"], str]
"""Asked before each item is begun: why the run is to end here, as a sentence, or empty."""

Room: TypeAlias = Callable[[], int | None]
"""Asked before a batch of links: how many may still be begun, or None for any number."""

Ending: TypeAlias = Callable[[], Awaitable[None]]
"""Awaited once everything is sent and settled, before the results end."""


def go_on(tally: Tally) -> str:
    """Never stop."""
    del tally
    return ""


def no_bound() -> int | None:
    """Let any number begin."""
    return None


@attrs.frozen
class Hooks:
    """Who takes part in a run besides the pipeline itself.

    Args:
        watcher: Is told what happens.
        stops: Says when to stop before the end.
        room: Says how many links may still be begun.
        endings: Awaited in order when all is sent.
    """

    watcher: Watcher = attrs.field(factory=Silent)
    stops: Stops = go_on
    room: Room = no_bound
    endings: tuple[Ending, ...] = ()
