"""The bulk uploader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from datagym_async.transfer._config import UploadConfig

if TYPE_CHECKING:
    from types import TracebackType

    from datagym_async.transfer._items import UploadProgress, UploadResult
    from datagym_async.transfer._needs import DatasetLookup, MediaUploads
    from datagym_async.transfer._report import UploadReport
    from datagym_async.transfer._sources import Source


class Uploader:
    """Upload whatever the sources name into one dataset: an async context manager and iterator."""

    def __init__(
        self,
        media: MediaUploads,
        datasets: DatasetLookup,
        dataset_id: str,
        sources: Source,
        *,
        config: UploadConfig | None = None,
    ) -> None:
        self._config = config or UploadConfig()

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        raise NotImplementedError

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> UploadResult:
        raise NotImplementedError

    async def finish(self) -> UploadReport:
        """Run to the end and return the report, without a look at the single results."""
        raise NotImplementedError

    @property
    def progress(self) -> UploadProgress:
        """Return a snapshot of how far the run is."""
        raise NotImplementedError

    @property
    def report(self) -> UploadReport:
        """Return the account of the run so far; final once the iteration has ended."""
        raise NotImplementedError
