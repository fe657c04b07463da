"""The report of a bulk upload: counts, and the items that somebody should look at."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from datagym_async.transfer._items import Outcome, UploadResult, printable

if TYPE_CHECKING:
    import os

SCHEMA = "datagym_async.upload_report/1"
COLUMNS = ("outcome", "name", "source", "size", "status", "key", "attempts", "seconds", "reason")


@attrs.frozen(kw_only=True)
class Double:
    """A name that the dataset holds more than once, since an answer was lost.

    Attributes:
        name: The name.
        kept: Id of the copy that stays: the one whose upload was answered, else the oldest.
        extras: Ids of the other copies.
        removed: Those of them that were deleted (``UploadConfig.remove_doubles``).
    """

    name: str
    kept: str
    extras: tuple[str, ...]
    removed: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class UploadReport:
    """Account for every item of a run.

    In a complete run ``planned == uploaded + skipped + rejected + failed``; in an interrupted one
    ``pending`` and ``unsettled`` make up the rest.

    Attributes:
        dataset_id: The dataset uploaded into.
        dataset_name: Its name.
        planned: Items that the sources named, as far as they were read.
        uploaded: Items stored by this run.
        skipped: Items whose name the dataset held already.
        rejected: Items refused by our own screening.
        failed: Items refused by the service.
        bytes: Bytes of the uploaded images.
        seconds: Length of the run.
        complete: Whether all sources were read to their end and each item has an outcome.
        unsettled: Items that were being sent when the run was interrupted, or whose lost answers
            could not be looked up: the dataset may hold them. The same upload again, with the
            journal, settles them.
        resumed: Items that an earlier run of the journal had settled and that were not read again;
            they are among `skipped`.
        doubles: Names that the dataset was found to hold more than once at the end of a run with
            lost answers.
        journal: The journal's path, or empty.
        warned: Items with a warning, whatever became of them.
        problems: The rejected and failed results in the order of their end, at most
            ``UploadConfig.max_problems``; the bytes of in-memory items are left out.
    """

    dataset_id: str
    dataset_name: str
    planned: int
    uploaded: int
    skipped: int
    rejected: int
    failed: int
    bytes: int
    seconds: float
    complete: bool
    warned: int = 0
    unsettled: int = 0
    resumed: int = 0
    doubles: tuple[Double, ...] = ()
    journal: str = ""
    problems: tuple[UploadResult, ...] = attrs.field(default=(), repr=False)

    @property
    def pending(self) -> int:
        """Return the items that were not begun, or cannot have arrived: 0 in a complete run."""
        settled = self.uploaded + self.skipped + self.rejected + self.failed
        return self.planned - settled - self.unsettled

    @property
    def failures(self) -> tuple[UploadResult, ...]:
        """Return the failed results among `problems`."""
        return tuple(each for each in self.problems if each.outcome is Outcome.FAILED)

    @property
    def problems_omitted(self) -> int:
        """Return how many rejected and failed results were counted but not kept."""
        return self.rejected + self.failed - len(self.problems)

    @property
    def items_per_second(self) -> float:
        """Return the uploaded items a second."""
        return self.uploaded / self.seconds if self.seconds > 0 else 0.0

    @property
    def ok(self) -> bool:
        """Return whether the run is complete and nothing was rejected or failed."""
        return self.complete and not self.rejected and not self.failed

    def summary(self) -> str:
        """Return the report as one sentence."""
        counts = ", ".join(
            f"{count:,} {word}"
            for word, count in (
                ("uploaded", self.uploaded),
                ("skipped", self.skipped),
                ("rejected", self.rejected),
                ("failed", self.failed),
                ("pending", self.pending),
                ("unsettled", self.unsettled),
            )
            if count or word == "uploaded"
        )
        size = f"{self.bytes / 1e6:,.1f} MB"
        return (
            f"{self.planned:,} items for {printable(self.dataset_name)!r}: {counts} "
            f"({size} in {self.seconds:,.1f} s, {self.items_per_second:,.1f} images/s)."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, in the schema of `to_json`."""
        return {
            "schema": SCHEMA,
            "dataset_id": self.dataset_id,
            "dataset_name": self.dataset_name,
            "complete": self.complete,
            "planned": self.planned,
            "uploaded": self.uploaded,
            "skipped": self.skipped,
            "rejected": self.rejected,
            "failed": self.failed,
            "pending": self.pending,
            "warned": self.warned,
            "unsettled": self.unsettled,
            "resumed": self.resumed,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "items_per_second": round(self.items_per_second, 3),
            "summary": self.summary(),
            "journal": printable(self.journal),
            "doubles": [attrs.asdict(each) for each in self.doubles],
            "problems": [_row(each) for each in self.problems],
            "problems_omitted": self.problems_omitted,
        }

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as JSON text, and write it to a file if one is given.

        The schema is named in the member ``schema`` and only ever grows: the counts and facts of
        this class, and ``problems``, a list of objects with the columns of `to_csv`. File names
        that are not valid Unicode are written with their odd bytes as backslash escapes.

        Args:
            path: File to write, as UTF-8; an existing one is replaced. Writing blocks.
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n"
        _write(path, text)
        return text

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the rejected and failed items as CSV text, and write it if a file is given.

        Columns: outcome, name, source, size, status, key, attempts, seconds, reason.

        Args:
            path: File to write, as UTF-8; an existing one is replaced. Writing blocks.
        """
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, COLUMNS)
        writer.writeheader()
        writer.writerows(_row(each) for each in self.problems)
        text = buffer.getvalue()
        _write(path, text)
        return text


def _row(result: UploadResult) -> dict[str, Any]:
    return {
        "outcome": result.outcome.value,
        "name": result.name,
        "source": result.source,
        "size": result.size,
        "status": result.status,
        "key": result.key,
        "attempts": result.attempts,
        "seconds": round(result.seconds, 3),
        "reason": printable(result.reason),
    }


def _write(path: str | os.PathLike[str] | None, text: str) -> None:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8", newline="")
