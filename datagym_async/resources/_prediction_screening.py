"""Which predictions are sent, and in which form. Pure; called in a thread, batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs

from datagym_async.labels import EntryLike, LabeledImage, Prepared, prepare_prediction
from datagym_async.resources._import_report import ImportOutcome, ImportResult
from datagym_async.resources._media_names import MediaNames

PredictionLike: TypeAlias = LabeledImage | Mapping[str, object]
"""Labels of one media: as values, as an import has them, or a task as exported."""

_SHOWN = 20
"""Sentences about one prediction; thousands of labels can have the same fault."""


@attrs.frozen
class Screened:
    """A prediction that was looked at.

    Args:
        index: Its place among those given.
        media_id: UUID of its media, or empty.
        payload: What to send, or None if it is held back.
        reasons: Why it is held back.
        left_out: What was left out of it.
        warnings: What somebody should look at.
    """

    index: int
    media_id: str
    payload: Mapping[str, object] | None
    reasons: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def result(self, outcome: ImportOutcome, reason: str = "", key: str = "") -> ImportResult:
        """Return its result."""
        return ImportResult(
            self.index,
            self.media_id,
            outcome,
            reasons=(*self.reasons, *([reason] if reason else ())),
            left_out=self.left_out,
            warnings=self.warnings,
            key=key,
        )


@attrs.define
class Screening:
    """Decide which predictions of one import are sent.

    Args:
        keep_data: Whether labels are appended.
        entries: The root entries of the label configuration, or None.
        names: The project's media by name, for predictions that name no id; or None.
        partial: Whether parts that cannot be imported are left out.
        strict: Whether a warning holds a prediction back.
        check: Whether labels are looked at; what nobody could mean is held back all the same.
    """

    keep_data: bool
    entries: Sequence[EntryLike] | None = None
    names: MediaNames | None = None
    partial: bool = False
    strict: bool = False
    check: bool = True
    _seen: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def screen(self, first: int, batch: Sequence[PredictionLike]) -> list[Screened]:
        """Return a batch of predictions, looked at.

        Args:
            first: Index of the batch's first prediction.
            batch: The predictions.
        """
        return [self._screen(first + place, each) for place, each in enumerate(batch)]

    def _screen(self, index: int, prediction: PredictionLike) -> Screened:
        given, missing = self._named(prediction)
        found = prepare_prediction(
            given,
            self.entries,
            keep_data=self.keep_data,
            partial=self.partial and self.check,
        )
        media_id = found.prediction.get("internal_media_ID")
        item = Screened(
            index,
            media_id if isinstance(media_id, str) else "",
            found.prediction,
            left_out=_sentences(found.left_out),
            warnings=_sentences(found.warnings),
        )
        reasons = ([missing] if missing else self._reasons(found)) or self._again(item)
        return attrs.evolve(item, payload=None, reasons=_cut(reasons)) if reasons else item

    def _named(self, prediction: PredictionLike) -> tuple[PredictionLike, str]:
        """Return a prediction with the id of its media, or why none was found."""
        if self.names is None:
            return prediction, ""
        return self.names.give_id(prediction)

    def _reasons(self, found: Prepared) -> list[str]:
        """Return why a prediction is held back."""
        wrong = found.errors
        if not self.check:
            # The service would ignore what names no media, and obey what says otherwise.
            wrong = tuple(each for each in wrong if each.part is None)
        elif self.strict:
            wrong += found.warnings
        if not wrong and found.left_out and not _has_labels(found.prediction):
            return ["nothing of it can be imported", *map(str, found.left_out)]
        return [str(each) for each in wrong]

    def _again(self, item: Screened) -> list[str]:
        """Return why a prediction is held back for an earlier one, and remember it otherwise."""
        if self.keep_data:
            return []
        digest = hashlib.blake2b(item.media_id.lower().encode(), digest_size=12).digest()
        earlier = self._seen.setdefault(digest, item.index)
        if earlier == item.index:
            return []
        same = f"predictions[{earlier}] is for the same media {item.media_id}"
        return [f"{same}, and this one would replace its labels; put them into one"]


def _has_labels(prediction: Mapping[str, object]) -> bool:
    labels = prediction.get("labels")
    drawn = any(labels.values()) if isinstance(labels, Mapping) else False
    return drawn or bool(prediction.get("global_classifications"))


def _sentences(findings: Sequence[object]) -> tuple[str, ...]:
    return _cut([str(each) for each in findings])


def _cut(sentences: Sequence[str]) -> tuple[str, ...]:
    more = len(sentences) - _SHOWN
    return (*sentences[:_SHOWN], *([f"and {more} more"] if more > 0 else ()))
