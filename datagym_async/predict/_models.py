"""A model: loaded once, called with a batch of samples, its answers checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import DataGymError
from datagym_async.labels import Annotation, Classification, LabeledImage

if TYPE_CHECKING:
    from datagym_async.data import Sample

Model: TypeAlias = Callable[..., Sequence[object]]
"""Takes a batch of `Sample` and, if there is a `setup`, its result. It returns one answer for each
sample: a `LabeledImage`, a list of `Annotation` and `Classification`, or None."""


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
                except (Exception, SystemExit) as error:
                    raise ModelError(
                        f"The model cannot be loaded: setup raised {_text_of(error)}"
                    ) from error
            try:
                answers = _checked(self.model(samples, *self._given), samples)
            except (Exception, SystemExit) as error:  # `exit()` would end whoever asked
                if len(samples) > 1:
                    return [found for each in samples for found in self.predict([each])]
                (sample,) = samples
                reason = f"the model raised {_text_of(error)}"
                return [Predicted(sample.media.id, sample.media.name, error=reason)]
        pairs = zip(samples, answers, strict=True)
        return [Predicted(each.media.id, each.media.name, labels) for each, labels in pairs]


def _text_of(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}"[:500])


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
        found.append(attrs.evolve(labels, media_id=media.id, media_name=media.name))
    return found
