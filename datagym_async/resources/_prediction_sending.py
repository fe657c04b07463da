"""Sending predictions: one batch at a time, split where the service refuses one.

A batch is stored as a whole or not at all, so a refused one is halved until the bad predictions are
alone and all others are stored. What the service says of a refusal is not read for that: its texts
are hints (`docs/decisions/0019-importing-predictions.md`).
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from typing import TYPE_CHECKING

import attrs

from datagym_async._logs import logger
from datagym_async.exceptions import (
    APIError,
    BadRequestError,
    ConfigurationError,
    InternalServerError,
    PayloadTooLargeError,
    RequestRefusedError,
)
from datagym_async.resources._batches import in_batches
from datagym_async.resources._import_report import ImportOutcome
from datagym_async.resources._prediction_batches import one_by_one
from datagym_async.resources._prediction_screening import Screened, Screening

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Iterable,
    )

    from datagym_async.resources._import_report import ImportResult
    from datagym_async.resources._prediction_screening import PredictionLike

_log = logger(__name__)

_PATIENCE = 3
"""Answers lost in a row after which an import stops: nobody is there any more."""


@attrs.frozen
class _Verdict:
    """What became of the predictions of one request.

    Args:
        outcome: What became of all of them.
        reason: Why.
        key: The service's error key.
        divides: Whether some of them may be stored without the others.
        stop: The error that ends the import, or None.
    """

    outcome: ImportOutcome
    reason: str = ""
    key: str = ""
    divides: bool = False
    stop: APIError | None = None


@attrs.define
class Importer:
    """Bring the predictions of one import into the service.

    Args:
        screening: Which predictions are sent.
        send: Sends some of them and returns what the service says, empty if they were stored.
            None to send nothing.
        batch_size: Predictions in one request.
    """

    screening: Screening
    send: Callable[[Sequence[Mapping[str, object]]], Awaitable[str]] | None
    batch_size: int
    _stored: int = attrs.field(default=0, init=False)
    _lost: int = attrs.field(default=0, init=False)
    _on_the_way: Sequence[Screened] = attrs.field(default=(), init=False)

    async def run(
        self, predictions: Iterable[PredictionLike] | AsyncIterable[PredictionLike]
    ) -> AsyncGenerator[ImportResult, None]:
        """Give the result of each prediction, in their order, batch by batch.

        Raises:
            APIError: The service cannot be asked any more. The results of the batch that it stopped
                at are given before. A note says how many were stored, as on any other error.
        """
        try:
            async with aclosing(self._results(predictions)) as results:
                async for result in results:
                    yield result
        except asyncio.CancelledError as error:
            error.add_note(note := self._account())
            _log.warning("An import was cancelled: %s", note)
            raise
        except Exception as error:  # of the service, or of where the predictions come from
            error.add_note(self._account())
            raise

    async def _results(
        self, predictions: Iterable[PredictionLike] | AsyncIterable[PredictionLike]
    ) -> AsyncGenerator[ImportResult, None]:
        first = 0
        async with (
            aclosing(one_by_one(predictions)) as source,
            aclosing(in_batches(source, self.batch_size)) as batches,
        ):
            async for batch in batches:
                items = await asyncio.to_thread(self.screening.screen, first, batch)
                verdicts = await self._settle([each for each in items if each.payload is not None])
                for item in items:
                    yield _result(item, verdicts.get(item.index))
                self._stop_if_told(verdicts)
                first += len(batch)

    async def _settle(self, ready: Sequence[Screened]) -> dict[int, _Verdict]:
        """Return what became of predictions, by index; those left when one stops have none."""
        verdicts: dict[int, _Verdict] = {}
        waiting = [ready] if ready else []
        while waiting:
            part = waiting.pop()
            self._on_the_way = part
            verdict = await self._attempt(part)
            self._on_the_way = ()
            if verdict.divides and len(part) > 1:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            verdicts |= dict.fromkeys((each.index for each in part), verdict)
            if verdict.outcome is ImportOutcome.STORED:
                self._stored += len(part)
            if verdict.stop is not None:
                break
        return verdicts

    def _account(self) -> str:
        """Return what is known of a cancelled import."""
        stored = f"{self._stored} predictions had been stored before"
        if not self._on_the_way:
            return stored
        first, last = self._on_the_way[0].index, self._on_the_way[-1].index
        return (
            f"{stored}; whether those of predictions[{first}] to [{last}] were, which were on"
            " their way, is not known"
        )

    async def _attempt(self, part: Sequence[Screened]) -> _Verdict:
        if self.send is None:
            return _Verdict(ImportOutcome.CHECKED)
        payloads = [each.payload for each in part if each.payload is not None]
        try:
            said = await self.send(payloads)
        except ConfigurationError as error:
            return _Verdict(ImportOutcome.REJECTED, str(error), divides=True)
        except APIError as error:
            return self._failed(error)
        self._lost = 0
        if said:
            return _Verdict(ImportOutcome.FAILED, said.strip(), divides=True)
        return _Verdict(ImportOutcome.STORED)

    def _failed(self, error: APIError) -> _Verdict:
        key = str(getattr(error, "key", ""))
        if isinstance(error, RequestRefusedError | BadRequestError | PayloadTooLargeError):
            return _Verdict(ImportOutcome.FAILED, str(error), key, divides=True)
        if isinstance(error, InternalServerError) and key == "ex_system" and not error.remark:
            # It has rolled everything back. What was appended is not sent again all the same.
            divides = not self.screening.keep_data
            return _Verdict(ImportOutcome.FAILED, str(error), key, divides=divides)
        outcome = ImportOutcome.UNKNOWN if error.unknown else ImportOutcome.FAILED
        return _Verdict(outcome, str(error), key, stop=error if self._ends(error) else None)

    def _ends(self, error: APIError) -> bool:
        """Tell whether an import cannot go on after an error."""
        self._lost += 1
        lost = self.screening.keep_data and error.unknown and not error.remark
        return not lost or self._lost >= _PATIENCE

    def _stop_if_told(self, verdicts: Mapping[int, _Verdict]) -> None:
        for verdict in verdicts.values():
            if verdict.stop is not None:
                raise verdict.stop


def _result(item: Screened, verdict: _Verdict | None) -> ImportResult:
    if item.payload is None:
        return item.result(ImportOutcome.REJECTED)
    if verdict is None:
        return item.result(ImportOutcome.FAILED, "it was not sent: the import stopped before")
    return item.result(verdict.outcome, verdict.reason, verdict.key)
