"""What became of imported predictions: one result an item, and all of them together."""

from __future__ import annotations

import enum

import attrs

from datagym_async.models._basics import count


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
    """What became of all predictions of an import.

    Args:
        results: One result for each prediction, in their order.
    """

    results: tuple[ImportResult, ...] = attrs.field(default=(), repr=count)

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
