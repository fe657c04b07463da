"""One chunk of a prediction: its images loaded and shown to the model, by a client of this loop.

In a worker process `run_chunk` opens a client of its own under an event loop of its own. Neither
token nor connection leaves a process: a worker is told how to make a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from datagym_async._printable import printable
from datagym_async.predict._models import LoadedModel, Model, Predicted

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from datagym_async.models import DatasetMedia


class Loading(Protocol):
    """What a chunk needs of an open client."""

    @property
    def loader(self) -> Callable[..., Any]:
        """Return what makes a loader; ``DataGymClient.loader`` is it."""


@attrs.frozen(kw_only=True)
class Job:
    """What is the same for all chunks of a prediction; it goes to worker processes as it is."""

    key: str
    """Tells jobs of one worker process apart."""
    model: Model
    setup: Callable[[], object] | None = None
    connect: Callable[[], AbstractAsyncContextManager[Loading]]
    loader: dict[str, Any]
    """Options of ``client.loader``."""


async def predict_chunk(
    client: Loading,
    media: Sequence[DatasetMedia],
    job: Job,
    model: LoadedModel,
    executor: Executor | None,
) -> list[Predicted]:
    """Return what the model says of each media, in any order; each is there once.

    Raises:
        ModelError: The model cannot be loaded.
        APIError: The service is gone, or refuses the token.
    """
    found: list[Predicted] = []

    def note(media: DatasetMedia, error: Exception) -> None:
        why = printable(f"it cannot be loaded: {error}")
        found.append(Predicted(media.id, media.name, error=why))

    loop = asyncio.get_running_loop()
    loader = client.loader(
        media=media, **{**job.loader, "labels": False, "ordered": False, "on_error": note}
    )
    async with loader:
        async for samples in loader:
            found += await loop.run_in_executor(executor, model.predict, samples)
    return found


_loaded: dict[str, LoadedModel] = {}  # of the job that this process works for


def run_chunk(job: Job, media: Sequence[DatasetMedia]) -> list[Predicted]:
    """Return what the model says of each media, in a worker process; blocks."""
    if job.key not in _loaded:
        _loaded.clear()  # of an earlier job, whose model is not needed any more
        _loaded[job.key] = LoadedModel(job.model, job.setup)
    model = _loaded[job.key]

    async def run() -> list[Predicted]:
        async with job.connect() as client:
            return await predict_chunk(client, media, job, model, None)

    return asyncio.run(run())
