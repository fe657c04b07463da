"""The events of an upload: frozen values, handed to one callable."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeAlias

import attrs

from datagym_async._limits import LimiterState
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads._values import UploadReport, UploadResult


@attrs.frozen
class RunStarted:
    """The dataset is known, and sources are about to be read.

    Attributes:
        dataset_id: UUID of the dataset.
        dataset_name: Its name.
        datasets: Names of all datasets of the job so far, the first included.
        held: Media that they hold.
    """

    dataset_id: str
    dataset_name: str
    datasets: tuple[str, ...] = ()
    held: int = 0


@attrs.frozen
class ItemSettled:
    """An item has its outcome.

    Attributes:
        result: The same that the iteration gives.
    """

    result: UploadResult


@attrs.frozen
class DatasetCreated:
    """A dataset was added to the job, and is attached to its projects.

    Attributes:
        dataset_id: UUID of the dataset.
        name: Its name.
        number: Its number in the family, from 2.
    """

    dataset_id: str
    name: str
    number: int


@attrs.frozen
class LimitChanged:
    """Another number of uploads may be in flight.

    Attributes:
        state: The limit, and why it is what it is.
    """

    state: LimiterState


@attrs.frozen
class Paused:
    """The service asked for a pause, and nothing is sent for a while.

    Attributes:
        seconds: How long.
        why: What asked for it.
    """

    seconds: float
    why: str


@attrs.frozen
class RunEnded:
    """The run is over: complete, stopped, left early or broken off by an error.

    Attributes:
        report: The final account.
    """

    report: UploadReport


UploadEvent: TypeAlias = (
    RunStarted | ItemSettled | DatasetCreated | LimitChanged | Paused | RunEnded
)
"""What `UploadConfig.on_event` is called with; later versions may add to it."""

OnEvent: TypeAlias = Callable[[UploadEvent], object]


def check_on_event(_: object, __: object, value: OnEvent | None) -> None:
    """Refuse what cannot be called with an event on the event loop.

    Raises:
        ConfigurationError: It is no callable, or a coroutine function.
    """
    given: object = value
    if given is None:
        return
    if not callable(given):
        msg = f"on_event is {given!r}; it must be a function of one event."
        raise ConfigurationError(msg)
    if inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(type(given).__call__):
        msg = "on_event is a coroutine function; it must be a plain one that returns at once."
        raise ConfigurationError(msg)
