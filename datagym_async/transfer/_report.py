"""The report of a bulk upload: counts, and the items that somebody should look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import attrs

from datagym_async._printable import printable
from datagym_async.transfer._items import Outcome, UploadResult
from datagym_async.transfer._report_text import csv_text, json_text, said_counts
from datagym_async.transfer._target import DatasetShare
from datagym_async.transfer._verify import Mismatch

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
        stopped_by: Which limit ended the run before its end, in words (``"max_files: 100 were
            sent"``), or empty. Such a run is not `complete`, but nothing is wrong with it.
        datasets: What was done in each dataset of the job, the first one first.
        verified: Uploaded images that were downloaded and compared (``UploadConfig.verify``).
        mismatched: Those of them that differ, or could not be compared.
        mismatches: Which ones, at most ``UploadConfig.max_problems``.
        advice: What limited the run and what would help, in one sentence; empty until its end.
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
    stopped_by: str = ""
    datasets: tuple[DatasetShare, ...] = attrs.field(default=(), repr=False)
    verified: int = 0
    mismatched: int = 0
    mismatches: tuple[Mismatch, ...] = attrs.field(default=(), repr=False)
    advice: str = ""
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
        """Return whether the run is complete, and nothing was rejected, failed or mismatched."""
        return self.complete and not (self.rejected or self.failed or self.mismatched)

    def summary(self) -> str:
        """Return the report as one sentence."""
        counts = said_counts(
            ("uploaded", self.uploaded),
            ("skipped", self.skipped),
            ("rejected", self.rejected),
            ("failed", self.failed),
            ("pending", self.pending),
            ("unsettled", self.unsettled),
        )
        size = f"{self.bytes / 1e6:,.1f} MB"
        more = len(self.datasets) - 1
        others = f" and {more:,} more dataset{'' if more == 1 else 's'}" if more > 0 else ""
        return (
            f"{self.planned:,} items for {printable(self.dataset_name)!r}{others}: {counts} "
            f"({size} in {self.seconds:,.1f} s, {self.items_per_second:,.1f} images/s)."
            f"{self._remarks()}"
        )

    def _remarks(self) -> str:
        stopped = f" It stopped at {self.stopped_by}." if self.stopped_by else ""
        if not self.verified:
            return stopped
        outcome = f"{self.mismatched:,} differ" if self.mismatched else "all are equal"
        return f"{stopped} {self.verified:,} were compared with the dataset: {outcome}."

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
            "stopped_by": self.stopped_by,
            "datasets": [attrs.asdict(each) for each in self.datasets],
            "verified": self.verified,
            "mismatched": self.mismatched,
            "mismatches": [attrs.asdict(each) for each in self.mismatches],
            "advice": self.advice,
            "problems": [_row(each) for each in self.problems],
            "problems_omitted": self.problems_omitted,
        }

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as JSON text, and write it to a file if one is given.

        The schema is named in the member ``schema`` and only ever grows: the counts and facts of
        this class, and ``problems``, a list of objects with the columns of `to_csv`. File names
        that are not valid Unicode are written with their odd bytes as backslash escapes; for
        `failed_items` such a row has ``name_raw`` or ``source_raw`` too, percent-encoded.

        Args:
            path: File to write, as UTF-8; an existing one is replaced. Writing blocks.
        """
        return json_text(self.to_dict(), path)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the rejected and failed items as CSV text, and write it if a file is given.

        Columns: outcome, name, source, size, status, key, attempts, seconds, reason.

        Args:
            path: File to write, as UTF-8; an existing one is replaced. Writing blocks.
        """
        return csv_text(COLUMNS, map(_row, self.problems), path)


def raw_encoded(text: str) -> str:
    """Return a form of any text that every screen and JSON reader can take, and that is exact."""
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"))


def raw_decoded(raw: str) -> str:
    """Return the text behind the form of `raw_encoded`."""
    return unquote_to_bytes(raw).decode("utf-8", "surrogatepass")


def _row(result: UploadResult) -> dict[str, Any]:
    name, content = result.item.name, result.item.content
    exact: dict[str, Any] = {"in_memory": True} if isinstance(content, bytes) else {}
    if name != result.name:
        exact["name_raw"] = raw_encoded(name)
    if isinstance(content, str) and content != result.source:
        exact["source_raw"] = raw_encoded(content)
    return exact | {
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
