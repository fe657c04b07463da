"""The events of an upload: frozen values, handed to one callable."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from datagym_async._limits import LimiterState
from datagym_async.uploads._values import UploadReport, UploadResult


@attrs.frozen
class RunStarted:
    """The dataset is known, and the sources are about to be read.

    `datasets` are the names of all datasets of the job so far; together they hold `held` media.
    """

    dataset_id: str
    dataset_name: str
    datasets: tuple[str, ...] = ()
    held: int = 0


@attrs.frozen
class ItemSettled:
    """An item has its outcome: the same result that the iteration yields."""

    result: UploadResult


@attrs.frozen
class DatasetCreated:
    """A dataset was added to the job, attached to its projects; it has a number in its family."""

    dataset_id: str
    name: str
    number: int  # from 2


@attrs.frozen
class LimitChanged:
    """The limit of uploads in flight has changed; the state has the reason."""

    state: LimiterState


@attrs.frozen
class Paused:
    """The service asked for a pause: nothing is sent for this many seconds."""

    seconds: float
    why: str  # the reason


@attrs.frozen
class RunEnded:
    """The run has ended: complete, stopped, left early or with an error."""

    report: UploadReport


UploadEvent: TypeAlias = (
    RunStarted | ItemSettled | DatasetCreated | LimitChanged | Paused | RunEnded
)
"""What `UploadConfig.on_event` is called with; later versions may add to it."""
