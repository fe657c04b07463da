"""The methods of a client that download: kept apart, since a client has many others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from datagym_async.transfer._download_config import DownloadConfig
    from datagym_async.transfer._download_report import DownloadReport
    from datagym_async.transfer._downloader import Downloader


class DownloadMethods(ABC):
    """Give a client its downloads."""

    @abstractmethod
    def _downloader(
        self,
        kind: str,
        found_by: str,
        folder: str | os.PathLike[str],
        config: DownloadConfig | None,
    ) -> Downloader:
        """Return a download of a ``"dataset"`` or ``"project"`` that is not yet open."""

    def downloader(
        self,
        dataset_id: str,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
    ) -> Downloader:
        """Return a download of a dataset to iterate over: ``async with client.downloader(...)``.

        Args:
            dataset_id: The dataset whose media are downloaded.
            folder: Where to: a new or an empty folder, or that of the same download before.
            config: Options of the download.
        """
        return self._downloader("dataset", dataset_id, folder, config)

    def project_downloader(
        self,
        project_id: str,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
    ) -> Downloader:
        """Return a download of all datasets of a project, each into a folder of its own.

        Args:
            project_id: The project.
            folder: Where to (see `downloader`).
            config: Options of the download.
        """
        return self._downloader("project", project_id, folder, config)

    async def download_dataset(
        self,
        dataset_id: str,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
    ) -> DownloadReport:
        """Download all media of a dataset and return the report; the same call again goes on.

        Args:
            dataset_id: The dataset.
            folder: Where to (see `downloader`).
            config: Options of the download.

        Raises:
            APIError: The dataset cannot be listed: unknown, not permitted, unreachable.
            ConfigurationError: The folder cannot be used.
            TransferError: The run had to stop before its end; its `report` says what was done.
        """
        async with self.downloader(dataset_id, folder, config=config) as run:
            return await run.finish()

    async def download_project(
        self,
        project_id: str,
        folder: str | os.PathLike[str],
        *,
        config: DownloadConfig | None = None,
    ) -> DownloadReport:
        """Download all media of a project, each dataset into a folder of its own.

        Args:
            project_id: The project.
            folder: Where to (see `downloader`).
            config: Options of the download.

        Raises:
            ConfigurationError: There is no such project, or the folder cannot be used.
            APIError: The datasets cannot be listed.
            TransferError: The run had to stop before its end; its `report` says what was done.
        """
        async with self.project_downloader(project_id, folder, config=config) as run:
            return await run.finish()
