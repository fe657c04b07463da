"""What a bulk download needs of the resources below it, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import attrs

from datagym_async.transfer._bitmaps import BitmapLabels, BitmapTasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from datagym_async.labels import LabeledTask
    from datagym_async.models import Dataset, Project

T = TypeVar("T")


class MediaDownloads(Protocol):
    """Give the bytes of media; `MediaResource` does."""

    @property
    def base_url(self) -> str:
        """Return the address of the service: part of what a folder is a download of."""
        ...

    def stream(
        self, media_id: str, *, link: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Give the bytes of one media in pieces."""
        ...


class DatasetLookup(Protocol):
    """Look a dataset up; `DatasetsResource` does."""

    async def read_parts(
        self, reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]], dataset_id: str
    ) -> T:
        """Return what a function makes of the parts of a dataset; it may be called anew."""
        ...


class ProjectLookup(Protocol):
    """List projects; `ProjectsResource` does."""

    async def list(self) -> Sequence[Project]:
        """Return all projects."""
        ...


class LabelExports(Protocol):
    """Export labels; `LabelsResource` does."""

    def iter_export(self, project_id: str) -> AsyncGenerator[LabeledTask, None]:
        """Give the labels of each task as they arrive."""
        ...


@attrs.frozen
class DownloadSources:
    """The resources of a client that a download draws on.

    Args:
        media: Gives bytes.
        datasets: Lists media.
        projects: Lists projects and their datasets.
        tasks: Knows the addresses of link images.
        labels: Exports labels, and gives bitmaps.
    """

    media: MediaDownloads
    datasets: DatasetLookup
    projects: ProjectLookup
    tasks: BitmapTasks
    labels: BitmapLabels
