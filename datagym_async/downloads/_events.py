"""The events of a download: frozen values, handed to one callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from datagym_async.downloads._report import DownloadReport, DownloadResult


@attrs.frozen
class DownloadStarted:
    """The media are listed, and are about to be fetched.

    Attributes:
        name: Name of the dataset or the project.
        folder: Where they go.
        planned: How many there are, those that are here already included.
    """

    name: str
    folder: str
    planned: int


@attrs.frozen
class MediaSettled:
    """A media has its outcome.

    Attributes:
        result: The same that the iteration gives.
    """

    result: DownloadResult


@attrs.frozen
class DownloadEnded:
    """The run is over: complete, stopped, left early or broken off by an error.

    Attributes:
        report: The final account.
    """

    report: DownloadReport


DownloadEvent: TypeAlias = DownloadStarted | MediaSettled | DownloadEnded
"""What `DownloadConfig.on_event` is called with; later versions may add to it."""

OnDownloadEvent: TypeAlias = Callable[[DownloadEvent], object]
