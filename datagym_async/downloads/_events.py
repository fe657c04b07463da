"""The events of a download: frozen values, handed to one callable."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from datagym_async.downloads._report import DownloadReport, DownloadResult


@attrs.frozen
class DownloadStarted:
    """The media are listed, and the downloads begin."""

    name: str  # of the dataset or the project
    folder: str
    planned: int  # media, including those that exist already


@attrs.frozen
class MediaSettled:
    """A media has its outcome: the same result that the iteration yields."""

    result: DownloadResult


@attrs.frozen
class DownloadEnded:
    """The run has ended: complete, stopped, left early or with an error."""

    report: DownloadReport


DownloadEvent: TypeAlias = DownloadStarted | MediaSettled | DownloadEnded
"""What `DownloadConfig.on_event` is called with; later versions may add to it."""
