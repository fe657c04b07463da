"""Predictions on their way into a project: what becomes of them, and how.

In reading order: the report (`ImportReport`), how they are sent (`Importer`), which are held back
(`PredictionScreening`), how those without an id find their media (`MediaNames`).

One batch is sent at a time. It is stored as a whole or not at all, so a refused one is halved until
the bad predictions are alone and all others are stored. What the service says of a refusal is not
read for that: its texts are hints (`docs/decisions/0019-importing-predictions.md`).
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import itertools
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias, cast
from unicodedata import normalize

import attrs

from datagym_async._logs import logger
from datagym_async.exceptions import (
    APIError,
    BadRequestError,
    ConfigurationError,
    InternalServerError,
    NotFoundError,
    PayloadTooLargeError,
    RequestRefusedError,
)
from datagym_async.labels import EntryLike, LabeledImage, prepare_prediction
from datagym_async.models._basics import count
from datagym_async.models._names import MediaIndex, decode_name
from datagym_async.resources._datasets import DatasetsResource
from datagym_async.resources._projects import ProjectsResource
from datagym_async.resources._work import in_batches, one_by_one

if TYPE_CHECKING:
    from datagym_async.resources._base import Door


DEFAULT_BATCH = 50
"""Predictions in one request: 37 ms each alone, 48 ms at 50, 111 ms at 300 (measured)."""
MAX_BATCH = 500


class ImportOutcome(enum.StrEnum):
    """Say what became of a prediction."""

    STORED = "stored"
    """The service has stored it."""
    REJECTED = "rejected"
    """It was not sent, because our own check found that it would not be stored as it is meant."""
    FAILED = "failed"
    """The service refused it; nothing of it was stored."""
    UNKNOWN = "unknown"
    """The answer was lost and sending it again could store it twice: see in the project."""
    CHECKED = "checked"
    """It can be imported; it was not sent, because only a check was wanted."""


@attrs.frozen
class ImportResult:
    """What became of one prediction.

    Args:
        index: Its place among the predictions given, counted from 0.
        media_id: UUID of its media; empty if it names none.
        outcome: What became of it.
        reasons: Why it was not stored, a sentence each.
        left_out: What was left out of it because it cannot be imported, a sentence each.
        warnings: What was stored and somebody should look at, a sentence each.
        key: The service's error key; empty where it gave none.
    """

    index: int
    media_id: str
    outcome: ImportOutcome
    reasons: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    key: str = ""

    @property
    def ok(self) -> bool:
        """Return whether it was stored, or can be."""
        return self.outcome in {ImportOutcome.STORED, ImportOutcome.CHECKED}


@attrs.frozen
class ImportReport:
    """What became of all predictions of an import."""

    results: tuple[ImportResult, ...] = attrs.field(default=(), repr=count)
    """One result for each prediction, in their order."""

    def count(self, outcome: ImportOutcome) -> int:
        """Return how many predictions had an outcome."""
        return sum(each.outcome is outcome for each in self.results)

    @property
    def stored(self) -> int:
        """Return how many were stored."""
        return self.count(ImportOutcome.STORED)

    @property
    def rejected(self) -> int:
        """Return how many our own check held back."""
        return self.count(ImportOutcome.REJECTED)

    @property
    def failed(self) -> int:
        """Return how many the service refused."""
        return self.count(ImportOutcome.FAILED)

    @property
    def unknown(self) -> int:
        """Return of how many it is not known whether they were stored."""
        return self.count(ImportOutcome.UNKNOWN)

    @property
    def ok(self) -> bool:
        """Return whether every prediction was stored (or, where only checked, can be)."""
        return all(each.ok for each in self.results)

    @property
    def problems(self) -> tuple[ImportResult, ...]:
        """Return the results of those that were not stored."""
        return tuple(each for each in self.results if not each.ok)


_log = logger(__name__)

_PATIENCE = 3
"""Answers lost in a row after which an import stops: the service is gone."""


@attrs.frozen
class _Verdict:
    """What became of all predictions of one request.

    It `divides` where some of them may be stored without the others; `stop` ends the import.
    """

    outcome: ImportOutcome
    reason: str = ""
    key: str = ""
    divides: bool = False
    stop: APIError | None = None

    def of(self, result: ImportResult) -> ImportResult:
        """Return the result of one of them."""
        reasons = (self.reason,) if self.reason else ()
        return attrs.evolve(result, outcome=self.outcome, reasons=reasons, key=self.key)


@attrs.define
class Importer:
    """Bring the predictions of one import into the service; without `send` they are only checked.

    `send` returns what the service says of a batch, empty if it is stored.
    """

    screening: PredictionScreening
    send: Callable[[Sequence[Mapping[str, object]]], Awaitable[str]] | None
    batch_size: int
    _stored: int = attrs.field(default=0, init=False)
    _lost: int = attrs.field(default=0, init=False)
    _in_flight: Sequence[Screened] = attrs.field(default=(), init=False)

    async def run(
        self, predictions: Iterable[PredictionLike] | AsyncIterable[PredictionLike]
    ) -> AsyncGenerator[ImportResult, None]:
        """Give the result of each prediction, in their order; those before an error are given."""
        try:
            if isinstance(predictions, Mapping | str | bytes) or not isinstance(
                predictions, Iterable | AsyncIterable
            ):
                raise ConfigurationError(
                    "predictions is a single object; pass a list of predictions"
                )
            indexes = itertools.count()
            async with (
                aclosing(one_by_one(predictions)) as source,
                aclosing(in_batches(source, self.batch_size)) as batches,
            ):
                async for batch in batches:
                    looked_at = map(self.screening.screen, batch, indexes)
                    items = await asyncio.to_thread(list, looked_at)
                    verdicts = await self._settle(
                        [each for each in items if each.payload is not None]
                    )
                    for item in items:
                        verdict = verdicts.get(item.result.index)
                        yield item.result if verdict is None else verdict.of(item.result)
                    for verdict in verdicts.values():
                        if verdict.stop is not None:
                            raise verdict.stop
        except (Exception, asyncio.CancelledError) as error:
            # Of the service, of where the predictions come from, or of who waits for them.
            note = f"{self._stored} predictions had been stored before"
            if self._in_flight:
                begin, end = self._in_flight[0].result.index, self._in_flight[-1].result.index
                note += (
                    f"; whether those of predictions[{begin}] to [{end}] were, which were on their"
                    " way, is not known"
                )
            error.add_note(note)
            if isinstance(error, asyncio.CancelledError):
                _log.warning("An import was cancelled: %s", note)
            raise

    async def _settle(self, ready: Sequence[Screened]) -> dict[int, _Verdict]:
        """Return what became of predictions, by index."""
        stopped = _Verdict(ImportOutcome.FAILED, "it was not sent: the import stopped before")
        verdicts = dict.fromkeys((each.result.index for each in ready), stopped)
        waiting = [ready] if ready else []
        while waiting:
            part = waiting.pop()
            self._in_flight = part
            verdict = await self._attempt(
                [each.payload for each in part if each.payload is not None]
            )
            self._in_flight = ()
            if verdict.divides and len(part) > 1:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            verdicts |= dict.fromkeys((each.result.index for each in part), verdict)
            if verdict.outcome is ImportOutcome.STORED:
                self._stored += len(part)
            if verdict.stop is not None:
                break
        return verdicts

    async def _attempt(self, payloads: Sequence[Mapping[str, object]]) -> _Verdict:
        if self.send is None:
            return _Verdict(ImportOutcome.CHECKED)
        try:
            said = await self.send(payloads)
        except ConfigurationError as error:
            return _Verdict(ImportOutcome.REJECTED, str(error), divides=True)
        except (RequestRefusedError, BadRequestError, PayloadTooLargeError) as error:
            return _Verdict(ImportOutcome.FAILED, str(error), error.key, divides=True)
        except APIError as error:
            key, keep_data = str(getattr(error, "key", "")), self.screening.keep_data
            if isinstance(error, InternalServerError) and key == "ex_system" and not error.remark:
                # It has rolled all back. What was appended is not sent again all the same.
                return _Verdict(ImportOutcome.FAILED, str(error), key, divides=not keep_data)
            self._lost += 1
            is_lost = keep_data and error.unknown and not error.remark
            stop = None if is_lost and self._lost < _PATIENCE else error
            outcome = ImportOutcome.UNKNOWN if error.unknown else ImportOutcome.FAILED
            return _Verdict(outcome, str(error), key, stop=stop)
        self._lost = 0
        if said:
            return _Verdict(ImportOutcome.FAILED, said.strip(), divides=True)
        return _Verdict(ImportOutcome.STORED)


PredictionLike: TypeAlias = LabeledImage | Mapping[str, object]
"""Labels of one media: as values, as an import has them, or a task as exported."""

_SHOWN = 20
"""Sentences about one prediction; thousands of labels can have the same fault."""


@attrs.frozen
class Screened:
    """A prediction that was looked at: what is known of it, and what to send if anything is."""

    result: ImportResult
    payload: Mapping[str, object] | None


@attrs.define
class PredictionScreening:
    """Decide which predictions of one import are sent; see `LabelsResource.import_predictions`."""

    keep_data: bool
    entries: Sequence[EntryLike] | None = None
    names: MediaNames | None = None
    partial: bool = False
    strict: bool = False
    check: bool = True
    _seen: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def screen(self, prediction: PredictionLike, index: int) -> Screened:
        """Look at one prediction, which has this index among all of them."""
        missing = ""
        if self.names is not None:
            prediction, missing = self.names.give_id(prediction)
        found = prepare_prediction(
            prediction, self.entries, keep_data=self.keep_data, partial=self.partial and self.check
        )
        given_id = found.prediction.get("internal_media_ID")
        media_id = given_id if isinstance(given_id, str) else ""

        # Held back for its labels, or because they name no media?
        wrong = found.errors
        if not self.check:
            # The service would ignore what names no media, and obey what says otherwise.
            wrong = tuple(each for each in wrong if each.part is None)
        elif self.strict:
            wrong += found.warnings
        reasons = [missing] if missing else [str(each) for each in wrong]
        if not reasons and found.left_out:
            labels = found.prediction.get("labels")
            drawn = isinstance(labels, Mapping) and any(labels.values())
            if not drawn and not found.prediction.get("global_classifications"):
                reasons = ["nothing of it can be imported", *map(str, found.left_out)]

        # Held back for an earlier one? If not, it is remembered.
        if not reasons and not self.keep_data:
            digest = hashlib.blake2b(media_id.lower().encode(), digest_size=12).digest()
            earlier = self._seen.setdefault(digest, index)
            if earlier != index:
                same = f"predictions[{earlier}] is for the same media {media_id}"
                reasons = [f"{same}, and this one would replace its labels; put them into one"]

        result = ImportResult(
            index,
            media_id,
            ImportOutcome.REJECTED if reasons else ImportOutcome.CHECKED,
            reasons=_cut(reasons),
            left_out=_cut([str(each) for each in found.left_out]),
            warnings=_cut([str(each) for each in found.warnings]),
        )
        return Screened(result, None if reasons else found.prediction)


def _cut(sentences: Sequence[str]) -> tuple[str, ...]:
    more = len(sentences) - _SHOWN
    return (*sentences[:_SHOWN], *([f"and {more} more"] if more > 0 else ()))


_NAMES = ("external_media_ID", "external_image_ID")
_IDS = ("internal_media_ID", "internal_image_ID")


@attrs.define
class MediaNames:
    """Gives predictions the ids of their media."""

    _index: MediaIndex = attrs.field(factory=MediaIndex)
    _taken: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    async def of_project(cls, session: Door, project_id: str) -> MediaNames:
        """Return the names of all media in a project's datasets."""
        projects = await ProjectsResource(session).list()
        project = next((each for each in projects if each.id == project_id.lower()), None)
        if project is None:
            raise NotFoundError(f"there is no project {project_id}", status=404, key="ex_notfound")
        names = cls()
        for dataset in project.datasets:
            names._index.add((await DatasetsResource(session).get(dataset.id)).media)
        return names

    def give_id(self, prediction: PredictionLike) -> tuple[PredictionLike, str]:
        """Return a prediction with the id of its media, or why none was found."""
        name, given = "", cast("object", prediction)
        if isinstance(given, LabeledImage):
            name = "" if given.media_id else given.media_name
        elif isinstance(given, Mapping) and not any(map(given.get, _IDS)):
            # Exports have names as they are stored, values as they are meant.
            name = decode_name(str(next(filter(None, map(given.get, _NAMES)), "")))
        if not name:
            return prediction, ""
        found = self._index.ids_of(name)
        if len(found) == 1:
            taken = self._taken.setdefault(found[0], name)
            if len({normalize("NFC", each).casefold() for each in (taken, name)}) > 1:
                return prediction, f"{taken!r} has the only media that {name!r} could be, already"
            if isinstance(prediction, LabeledImage):
                return attrs.evolve(prediction, media_id=found[0]), ""
            return {**prediction, _IDS[0]: found[0]}, ""
        if found:
            many = f"{len(found)} media of the project are named {name!r}: {', '.join(found)}"
            return prediction, f"{many}; set the id of the one that is meant"
        return prediction, f"no media of the project is named {name!r}"
