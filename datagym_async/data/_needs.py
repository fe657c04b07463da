"""What a loader needs of a client, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import attrs

from datagym_async._runs._engine import RunLane
from datagym_async._wire._messages import MAX_IN_MEMORY

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from datagym_async.labels import LabeledTask
    from datagym_async.models import Dataset, Project

T = TypeVar("T")


class Media(Protocol):
    """Gives the bytes of media."""

    async def download(
        self, media_id: str, *, link: bool = False, max_bytes: int = MAX_IN_MEMORY
    ) -> bytes:
        """Return the bytes of a media, which are no more than that."""


class Datasets(Protocol):
    """Lists the media of a dataset."""

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        """Return what a function makes of a dataset's parts, called again where they break off."""


class Projects(Protocol):
    """Says which datasets a project has."""

    async def list(self) -> list[Project]:
        """Return all projects."""


class Labels(Protocol):
    """Gives the labels of a project."""

    def iter_export(self, project_id: str) -> AsyncGenerator[LabeledTask, None]:
        """Give the labels of each task."""


@attrs.frozen
class Library:
    """The parts of a client that a loader works with.

    Args:
        media: See `Media`.
        datasets: See `Datasets`.
        projects: See `Projects`.
        labels: See `Labels`.
        lane: The client's bound on downloads.
    """

    media: Media
    datasets: Datasets
    projects: Projects
    labels: Labels
    lane: RunLane
