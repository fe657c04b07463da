"""The methods of a client that upload: kept apart, since a client has many others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datagym_async.transfer._config import UploadConfig
    from datagym_async.transfer._dry_run import DryRun
    from datagym_async.transfer._report import UploadReport
    from datagym_async.transfer._sources import Source
    from datagym_async.transfer._uploader import Uploader


class UploadMethods(ABC):
    """Give a client its uploads."""

    @abstractmethod
    def _uploader(self, dataset_id: str, sources: Source, config: UploadConfig | None) -> Uploader:
        """Return an upload that is not yet open."""

    @abstractmethod
    def _dry_run(self, dataset_id: str, sources: Source, config: UploadConfig | None) -> DryRun:
        """Return a plan that is not yet made."""

    def uploader(
        self, dataset_id: str, sources: Source, *, config: UploadConfig | None = None
    ) -> Uploader:
        """Return a bulk upload to iterate over: ``async with client.uploader(...) as run``.

        Args:
            dataset_id: The dataset that the images go into.
            sources: What names images: a file, a folder, a glob, a manifest, a URL, an
                `UploadItem`, or an iterable or async iterable of any of these.
            config: Options of the upload.
        """
        return self._uploader(dataset_id, sources, config)

    def plan(
        self, dataset_id: str, sources: Source, *, config: UploadConfig | None = None
    ) -> DryRun:
        """Return what an upload would do, to iterate over: ``async with client.plan(...)``.

        The dataset is listed and the sources are read; nothing is sent.

        Args:
            dataset_id: The dataset that the images would go into.
            sources: What names images (see `uploader`).
            config: Options of the upload.
        """
        return self._dry_run(dataset_id, sources, config)

    async def upload(
        self, dataset_id: str, sources: Source, *, config: UploadConfig | None = None
    ) -> UploadReport:
        """Upload everything that `sources` names and return the report.

        Args:
            dataset_id: The dataset that the images go into.
            sources: What names images (see `uploader`).
            config: Options of the upload.

        Raises:
            APIError: The dataset cannot be listed: unknown, not permitted, unreachable.
            TransferError: The run had to stop before its end; its `report` says what was done.
        """
        async with self.uploader(dataset_id, sources, config=config) as run:
            await run.finish()
        return run.report
