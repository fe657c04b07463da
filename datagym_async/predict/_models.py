"""A model called with a batch of samples: loaded once, and what it gives back checked."""

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
"""Takes a batch of `Sample` and, where there is a `setup`, what that gave. It returns one thing for
each sample: a `LabeledImage`, a list of `Annotation` and `Classification`, or None."""


class ModelError(DataGymError):
    """A model cannot be loaded, or failed at every one of the first images."""


@attrs.frozen
class Predicted:
    """What a model said of one image."""

    media_id: str
    name: str
    labels: LabeledImage | None = None
    """What is to be imported; None where there is nothing to say, or an error."""
    error: str = ""
    """Why there is nothing, in a sentence; empty if all is well."""


@attrs.define
class LoadedModel:
    """A model of one process: `setup` runs at the first batch, one batch at a time is shown."""

    model: Model
    setup: Callable[[], object] | None = None
    _given: tuple[Any, ...] | None = attrs.field(default=None, init=False)
    _using: RLock = attrs.field(factory=RLock, init=False)

    def predict(self, samples: Sequence[Sample]) -> list[Predicted]:
        """Return what the model says of each sample; blocks.

        Where it fails at a batch, it is asked again image by image, so that one bad image costs no
        other one its prediction.

        Raises:
            ModelError: `setup` failed.
        """
        with self._using:
            if self._given is None:
                try:
                    self._given = () if self.setup is None else (self.setup(),)
                except (Exception, SystemExit) as error:
                    text = f"The model cannot be loaded: setup raised {_said(error)}"
                    raise ModelError(text) from error
            try:
                answers = _checked(self.model(samples, *self._given), samples)
            except (Exception, SystemExit) as error:  # `exit()` would end whoever asked
                if len(samples) > 1:
                    return [found for each in samples for found in self.predict([each])]
                (sample,) = samples
                why = f"the model raised {_said(error)}"
                return [Predicted(sample.media.id, sample.media.name, error=why)]
        pairs = zip(samples, answers, strict=True)
        return [Predicted(each.media.id, each.media.name, labels) for each, labels in pairs]


def _said(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}"[:500])


def _checked(answers: object, samples: Sequence[Sample]) -> list[LabeledImage | None]:
    """Return the labels of each sample; a `TypeError` or `ValueError` says what is wrong."""
    if not isinstance(answers, Sequence) or isinstance(answers, str | bytes):
        raise TypeError(f"it returned {type(answers).__name__}; give a list, one answer a sample")
    if len(answers) != len(samples):
        raise ValueError(f"it returned {len(answers)} answers for {len(samples)} samples")
    found: list[LabeledImage | None] = []
    for answer, sample in zip(answers, samples, strict=True):
        media = sample.media
        if isinstance(answer, LabeledImage):
            if answer.media_id and answer.media_id.lower() != media.id.lower():
                raise ValueError(f"an answer is for media {answer.media_id}, not for {media.id}")
            found.append(attrs.evolve(answer, media_id=media.id, media_name=media.name))
            continue
        if answer is None:
            found.append(None)
            continue
        parts = answer if isinstance(answer, Sequence) and not isinstance(answer, str) else [answer]
        for each in parts:
            if not isinstance(each, Annotation | Classification):
                raise TypeError(
                    f"an answer holds {type(each).__name__}; give a LabeledImage, a list of "
                    "Annotation and Classification, or None"
                )
        found.append(
            LabeledImage(
                media_id=media.id,
                media_name=media.name,
                annotations=[each for each in parts if isinstance(each, Annotation)],
                classifications=[each for each in parts if isinstance(each, Classification)],
            )
        )
    return found
