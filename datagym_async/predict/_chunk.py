"""One chunk of a prediction: its images loaded and shown to the model, by a client of this loop.

In a worker process `run_chunk` opens a client of its own under an event loop of its own. Neither
token nor connection leaves a process: a worker is told how to make a client.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError
from datagym_async.predict._models import LoadedModel, Model, Predicted

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from datagym_async.models import DatasetMedia


class Loading(Protocol):
    """What a chunk needs of an open client."""

    @property
    def loader(self) -> Callable[..., Any]:
        """Return what makes a loader; ``DataGymClient.loader`` is it."""

    @property
    def base_url(self) -> str:
        """Return the address of its service."""


@attrs.frozen(kw_only=True)
class Job:
    """What is the same for all chunks of a prediction; it goes to worker processes as it is."""

    key: str
    """Tells jobs of one worker process apart."""
    base_url: str
    """The service that each worker must have."""
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
_loading = Lock()


def end_with_parent() -> None:
    """End this worker process when the one that started it is killed; else it would wait on."""
    # Loaded here: it asks for the folder as it loads, and few need it.
    from multiprocessing import parent_process

    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def run_chunk(job: Job, media: Sequence[DatasetMedia]) -> list[Predicted]:
    """Return what the model says of each media, in a worker process; blocks.

    Raises:
        ConfigurationError: The client cannot be opened, or is one of another service.
        ModelError, APIError: See `predict_chunk`.
    """
    with _loading:  # a worker of a cluster may have several threads
        if (model := _loaded.get(job.key)) is None:
            _loaded.clear()  # of an earlier job, whose model is not needed any more
            model = _loaded[job.key] = LoadedModel(job.model, job.setup)

    async def run() -> list[Predicted]:
        async with job.connect() as client:
            if client.base_url != job.base_url:
                raise ConfigurationError(
                    f"A worker has a client of {client.base_url}, and the caller uses "
                    f"{job.base_url}; set DATAGYM_BASE_URL there, or give what makes its client"
                )
            return await predict_chunk(client, media, job, model, None)

    return asyncio.run(run())
