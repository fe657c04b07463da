"""What a bulk upload needs of the resources below it, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datagym_async._wire._messages import Body
    from datagym_async.models import Dataset, Media, UrlResult


class MediaUploads(Protocol):
    """Store images in a dataset; `MediaResource` does."""

    async def upload_body(self, dataset_id: str, name: str, body: Body) -> Media:
        """Store one image, retried and settled; the name is unencoded."""
        ...

    async def upload_urls(
        self, dataset_id: str, urls: Sequence[str], *, batch_size: int
    ) -> list[UrlResult]:
        """Store links; one result a URL, in request order."""
        ...


class DatasetLookup(Protocol):
    """Look a dataset up; `DatasetsResource` does."""

    async def get(self, dataset_id: str) -> Dataset:
        """Return the dataset with its media."""
        ...
