"""A model: loaded once in each process, shown chunks of images, its answers checked.

In a worker process, `run_chunk` starts an event loop and opens a client there. No token or
connection leaves a process: a worker only gets a function that makes its client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from threading import Lock, RLock
from typing import Any, Protocol, TypeAlias

import attrs

from datagym_async._printable import words_of
from datagym_async.data import Sample
from datagym_async.data._samples import turned
from datagym_async.exceptions import ConfigurationError, DataGymError
from datagym_async.labels import Annotation, Classification, LabeledImage
from datagym_async.models import DatasetMedia

Model: TypeAlias = Callable[..., Sequence[object]]
"""Takes a batch of `Sample` and, if there is a `setup`, its result. It returns one answer for each
sample: a `LabeledImage`, a list of `Annotation` and `Classification`, or None."""

_ERRORS = Exception, SystemExit, asyncio.CancelledError
"""What is an error if a model raises it: `exit()` would end the process, and nobody cancels it."""


class ModelError(DataGymError):
    """A model cannot be loaded, or failed at every one of the first images."""


@attrs.frozen
class Predicted:
    """The answer of a model for one image: labels to import, an error, or neither (None)."""

    media_id: str
    name: str
    labels: LabeledImage | None = None
    error: str = ""


@attrs.define
class LoadedModel:
    """The model of one process: `setup` runs at the first batch, one batch is shown at a time."""

    model: Model
    setup: Callable[[], object] | None = None
    _given: tuple[Any, ...] | None = attrs.field(default=None, init=False)  # by `setup`
    _using: RLock = attrs.field(factory=RLock, init=False)

    def predict(self, samples: Sequence[Sample]) -> list[Predicted]:
        """Return the answer for each sample; blocks.

        If the model fails at a batch, it gets the images one by one, so that one bad image costs no
        other its prediction. A `setup` that fails raises `ModelError`.
        """
        with self._using:
            if self._given is None:
                try:
                    self._given = () if self.setup is None else (self.setup(),)
                except _ERRORS as error:
                    raise ModelError(
                        f"The model cannot be loaded: setup raised {_text_of(error)}"
                    ) from error
            try:
                answers = _checked(self.model(samples, *self._given), samples)
            except _ERRORS as error:
                if len(samples) > 1:
                    return [found for each in samples for found in self.predict([each])]
                (sample,) = samples
                reason = f"the model raised {_text_of(error)}"
                return [Predicted(sample.media.id, sample.media.name, error=reason)]
        pairs = zip(samples, answers, strict=True)
        return [Predicted(each.media.id, each.media.name, labels) for each, labels in pairs]


def _text_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {words_of(error)}"[:500]


def _checked(answers: object, samples: Sequence[Sample]) -> list[LabeledImage | None]:
    """Return the labels for each sample; an answer that cannot be used raises an error."""
    if not isinstance(answers, Sequence) or isinstance(answers, str | bytes):
        raise TypeError(f"it returned {type(answers).__name__}; give a list, one answer a sample")
    if len(answers) != len(samples):
        raise ValueError(f"it returned {len(answers)} answers for {len(samples)} samples")
    found: list[LabeledImage | None] = []
    for answer, sample in zip(answers, samples, strict=True):
        media = sample.media
        labels = answer
        if answer is not None and not isinstance(answer, LabeledImage):
            is_list = isinstance(answer, Sequence) and not isinstance(answer, str)
            parts = answer if is_list else [answer]
            for each in parts:
                if not isinstance(each, Annotation | Classification):
                    raise TypeError(
                        f"an answer holds {type(each).__name__}; give a LabeledImage, a list of "
                        "Annotation and Classification, or None"
                    )
            labels = LabeledImage(
                annotations=[each for each in parts if isinstance(each, Annotation)],
                classifications=[each for each in parts if isinstance(each, Classification)],
            )
        if not isinstance(labels, LabeledImage):
            found.append(None)
            continue
        if labels.media_id and labels.media_id.lower() != media.id.lower():
            raise ValueError(f"an answer is for media {labels.media_id}, not for {media.id}")
        width, height = _size_of(sample)
        found.append(
            attrs.evolve(
                labels,
                media_id=media.id,
                media_name=media.name,
                width=labels.width or width,
                height=labels.height or height,
            )
        )
    return found


def _size_of(sample: Sample) -> tuple[Any, Any]:
    """Return width and height of the image that the model was shown; None of bytes."""
    data = sample.data
    if isinstance(data, bytes | bytearray | memoryview):
        return None, None
    size: tuple[Any, Any] = data.shape[1::-1] if hasattr(data, "shape") else data.size
    return size


# --- Chunks of images -----------------------------------------------------------------------------


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
    predict: Callable[[list[Sample]], list[Predicted]],  # blocks
    executor: Executor | None,
) -> list[Predicted]:
    """Return the model's answer for each media, once and in any order."""
    found: list[Predicted] = []

    def note(media: DatasetMedia, error: Exception) -> None:
        reason = f"it cannot be loaded: {words_of(error)}"
        found.append(Predicted(media.id, media.name, error=reason))

    loop = asyncio.get_running_loop()
    loader = client.loader(
        media=media, **{**job.loader, "labels": False, "ordered": False, "on_error": note}
    )
    async with loader:
        async for samples in loader:
            answers = await loop.run_in_executor(executor, predict, samples)
            if job.loader.get("orientation") == "apply":
                answers = [*map(_as_stored, answers, samples)]
            found += answers
    return found


def _as_stored(found: Predicted, sample: Sample) -> Predicted:
    """Return the answer for an image that was rotated as one for the stored image."""
    if found.labels is None or sample.orientation is None:
        return found
    back = {6: 8, 8: 6}.get(sample.orientation, sample.orientation)
    return attrs.evolve(found, labels=turned(found.labels, back, _size_of(sample)))


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
            return await predict_chunk(client, media, job, model.predict, None)

    return asyncio.run(run())
