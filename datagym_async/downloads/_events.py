"""The events of a download: frozen values, handed to one callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from datagym_async.downloads._report import DownloadReport, DownloadResult


@attrs.frozen
class DownloadStarted:
    """The media are listed, and the downloads begin.

    Attributes:
        name: Name of the dataset or the project.
        folder: The folder.
        planned: Number of media, including those that exist already.
    """

    name: str
    folder: str
    planned: int


@attrs.frozen
class MediaSettled:
    """A media has its outcome.

    Attributes:
        result: The same result that the iteration yields.
    """

    result: DownloadResult


@attrs.frozen
class DownloadEnded:
    """The run has ended: complete, stopped, left early or with an error.

    Attributes:
        report: The final report.
    """

    report: DownloadReport


DownloadEvent: TypeAlias = DownloadStarted | MediaSettled | DownloadEnded
"""What `DownloadConfig.on_event` is called with; later versions may add to it."""

OnDownloadEvent: TypeAlias = Callable[[DownloadEvent], object]
