"""What bulk jobs and the loader need from the resources below them, and no more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import attrs

from datagym_async._wire._messages import Body
from datagym_async.labels import LabeledTask
from datagym_async.models import Dataset, DatasetMedia, Project, UrlResult
from datagym_async.resources import LabelsResource, MediaResource, TasksResource

T = TypeVar("T")


class MediaUploads(Protocol):
    """Store images in a dataset; `MediaResource` does."""

    @property
    def base_url(self) -> str: ...

    def settle_after(self) -> float:
        """Return the seconds within which the service may still be storing a lost upload."""

    def upload_body(
        self,
        dataset_id: str,
        name: str,
        body: Body,
        *,
        settle: Callable[[], Awaitable[DatasetMedia | None]],
    ) -> Coroutine[Any, Any, DatasetMedia]:
        """Store one image, retried, and settled by `settle`; the name is unencoded."""

    async def upload_urls(
        self, dataset_id: str, urls: Sequence[str], *, batch_size: int
    ) -> list[UrlResult]:
        """Store links; one result for each URL, in request order."""

    def stream(self, media_id: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]: ...
    async def delete(self, media_id: str) -> bool: ...


class DatasetLookup(Protocol):
    """List the media of datasets; `DatasetsResource` does."""

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        """Return the result of `reading` a dataset's parts; it is called again if they break off.

        Without an id these are the parts of all datasets, one dataset after the other.
        """


class ProjectLookup(Protocol):
    """List projects; `ProjectsResource` does."""

    async def list(self) -> Sequence[Project]: ...


class LabelExports(Protocol):
    """Export labels; `LabelsResource` does."""

    def iter_export(self, project_id: str) -> AsyncGenerator[LabeledTask, None]: ...


@attrs.frozen
class DownloadSources:
    """The resources of a client that a download needs."""

    media: MediaResource
    datasets: DatasetLookup
    projects: ProjectLookup
    tasks: TasksResource  # knows the addresses of link images
    labels: LabelsResource  # exports labels and bitmaps
