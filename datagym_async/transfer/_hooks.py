"""Where others take part in an upload: its target, its watcher, what stops it, what ends it.

The pipeline asks a `Target` where an item goes and what is there, tells a `Watcher` what happens,
asks `Stops` before each item whether to go on, and awaits each `Ending` when all is sent. All of
them are called in the event loop; what they do there must be short, or be awaited.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from datagym_async.transfer._needs import DatasetLookup

if TYPE_CHECKING:
    from datagym_async.models import Dataset
    from datagym_async.transfer._items import UploadItem, UploadResult
    from datagym_async.transfer._tally import Tally


class Place(Protocol):
    """Room for some images in one dataset; what was not kept is given back."""

    @property
    def dataset_id(self) -> str:
        """Return the dataset."""
        ...

    def keep(self, count: int = 1, *, stored: bool = True) -> None:
        """Keep room for images that are there, or may be (`stored`: this run stored them)."""
        ...


class Member(Protocol):
    """One dataset of a target."""

    @property
    def dataset_id(self) -> str:
        """Return its id."""
        ...


class Target(Protocol):
    """The dataset, or the family of datasets, that an upload goes into."""

    @property
    def name(self) -> str:
        """Return the name of the first dataset; empty before the target is open."""
        ...

    @property
    def members(self) -> Sequence[Member]:
        """Return the datasets so far; lost answers are looked for in all of them."""
        ...

    async def open(self) -> Sequence[Dataset]:
        """Find the datasets and return them with all that they hold, the first one first."""
        ...

    def place(self, count: int = 1) -> AbstractAsyncContextManager[Place]:
        """Hold room for images in one dataset."""
        ...


@attrs.define
class _Place:
    dataset_id: str

    def keep(self, count: int = 1, *, stored: bool = True) -> None:
        """There is room for all."""


@attrs.define
class OneDataset:
    """The target of an upload into one dataset that exists."""

    _lookup: DatasetLookup
    dataset_id: str
    name: str = attrs.field(default="", init=False)

    @property
    def members(self) -> Sequence[Member]:
        """Return the one there is."""
        return (_Place(self.dataset_id),)

    async def open(self) -> Sequence[Dataset]:
        """List the dataset."""
        dataset = await self._lookup.get(self.dataset_id)
        self.name = dataset.name
        return (dataset,)

    def place(self, count: int = 1) -> AbstractAsyncContextManager[Place]:
        """Return the one there is."""
        del count
        return contextlib.nullcontext(_Place(self.dataset_id))


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

Ending: TypeAlias = Callable[[], Awaitable[None]]
"""Awaited once everything is sent and settled, before the results end."""


def go_on(tally: Tally) -> str:
    """Never stop."""
    del tally
    return ""


@attrs.frozen
class Hooks:
    """Who takes part in a run besides the pipeline itself.

    Args:
        watcher: Is told what happens.
        stops: Says when to stop before the end.
        endings: Awaited in order when all is sent.
    """

    watcher: Watcher = attrs.field(factory=Silent)
    stops: Stops = go_on
    endings: tuple[Ending, ...] = ()
