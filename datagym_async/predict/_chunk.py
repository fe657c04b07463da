"""One chunk of a prediction: its images are loaded and shown to the model.

In a worker process, `run_chunk` starts an event loop and opens a client there. No token or
connection leaves a process: a worker only gets a function that makes its client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from threading import Lock
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
    def loader(self) -> Callable[..., Any]: ...
    @property
    def base_url(self) -> str: ...


@attrs.frozen(kw_only=True)
class Job:
    """The same for all chunks of a prediction; it is pickled for worker processes."""

    key: str  # tells the jobs of one worker process apart
    base_url: str  # of the service that each worker must use
    model: Model
    setup: Callable[[], object] | None = None
    connect: Callable[[], AbstractAsyncContextManager[Loading]]
    loader: dict[str, Any]  # options of `client.loader`


async def predict_chunk(
    client: Loading,
    media: Sequence[DatasetMedia],
    job: Job,
    model: LoadedModel,
    executor: Executor | None,
) -> list[Predicted]:
    """Return the model's answer for each media, once and in any order."""
    found: list[Predicted] = []

    def note(media: DatasetMedia, error: Exception) -> None:
        reason = printable(f"it cannot be loaded: {error}")
        found.append(Predicted(media.id, media.name, error=reason))

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


def run_chunk(job: Job, media: Sequence[DatasetMedia]) -> list[Predicted]:
    """Return the model's answer for each media, in a worker process; blocks."""
    with _loading:  # a worker of a cluster may have several threads
        if (model := _loaded.get(job.key)) is None:
            _loaded.clear()  # the model of an earlier job
            model = _loaded[job.key] = LoadedModel(job.model, job.setup)

    async def run() -> list[Predicted]:
        async with job.connect() as client:
            if client.base_url != job.base_url:
                raise ConfigurationError(
                    f"A worker has a client of {client.base_url}, and the caller uses "
                    f"{job.base_url}; set DATAGYM_BASE_URL there, or pass what makes its client"
                )
            return await predict_chunk(client, media, job, model, None)

    return asyncio.run(run())
