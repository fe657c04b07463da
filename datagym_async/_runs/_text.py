"""What a run says of itself: counts, sizes, its tally, and its report as JSON and CSV.

A spreadsheet takes a cell of a CSV file that begins with ``=``, ``@``, ``+``, ``-``, a tab or a
carriage return for a formula, and names come from anybody. Such a text gets a ``'`` before it, the
spreadsheets' own mark of a text; one that looks as if it had such a mark gets another one, so that
taking one off gives back every text exactly (`plain_cell`). JSON files hold the true texts.
"""

from __future__ import annotations

import csv
import enum
import io
import json
import os
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import attrs

from datagym_async._files import from_home, write_private
from datagym_async._printable import Shown, printable
from datagym_async._printable import counted as counted

RESUMED = "done by an earlier run"  # the words for items that an earlier run has settled
_STARTS = frozenset("'=@+-\t\r")
_FORMULA = re.compile(r"'*[=@+\-\t\r]")
_MARKED = re.compile(r"'+[=@+\-\t\r]")
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Return a number of bytes in decimal units, for example ``"17.4 MB"``."""
    scale = _scale(count)
    return f"{_in_units(count, scale)} {_UNITS[scale]}" if scale else counted(round(count), "byte")


def share_of_bytes(done: float, total: float) -> str:
    """Return how much of how much, for example ``"210.5/331.2 MB"`` or ``"3.1 kB/331.2 MB"``."""
    part = _in_units(done, _scale(total))
    return f"{size(done) if done and part == '0.0' else part}/{size(total)}"


def _scale(count: float) -> int:
    """Return the index of the unit in which a number has one to three digits."""
    scale = 0
    while count >= 999.5 and scale < len(_UNITS) - 1:
        count, scale = count / 1000, scale + 1
    return scale


def _in_units(count: float, scale: int) -> str:
    return f"{count / 1000**scale:,.1f}" if scale else f"{count:.0f}"


def said_pace(count: int, seconds: float, rate: float, what: str) -> str:
    """Return ``"(1.2 MB in 3.0 s, 40.0 images/s)"``, without what is 0."""
    amount = f"{size(count)} in " if count else "in "
    return f"({amount}{seconds:,.1f} s{f', {rate:,.1f} {what}/s' if rate else ''})"


def said_counts(first: tuple[str, int], *others: tuple[str, int]) -> str:
    """Return counts with their words; of the others only those that are not 0."""
    said = (first, *(each for each in others if each[1]))
    return ", ".join(f"{count:,} {word}" for word, count in said)


@attrs.frozen(kw_only=True, slots=False)  # with slots, a frozen one takes longer to make
class BulkResult:
    """What happened to one item, of an upload or a download; they describe the attributes."""

    outcome: enum.StrEnum
    size: int | None = None
    seconds: float = 0.0
    attempts: int = 0
    reason: str = ""
    status: int | None = None
    key: str = ""


R = TypeVar("R", bound=BulkResult)


def problem_row(result: BulkResult, **own: object) -> dict[str, Any]:
    """Return a problem as a report writes it; `own` are its columns besides the common ones."""
    return {
        "outcome": result.outcome.value,
        **own,
        "status": result.status,
        "key": printable(result.key),
        "attempts": result.attempts,
        "seconds": round(result.seconds, 3),
        "reason": printable(result.reason),
    }


@attrs.define
class BulkTally(Generic[R]):
    """Count a run: the one place that numbers, progress and report come from."""

    max_problems: int  # that are kept
    planned: int = 0
    in_flight: int = 0
    # A subclass of dict that is written in Python, as Counter, takes several times as long.
    outcomes: defaultdict[enum.StrEnum, int] = attrs.Factory(lambda: defaultdict(int))
    problems: list[R] = attrs.Factory(list)

    @property
    def done(self) -> int:
        return sum(self.outcomes.values())

    def counts(self, *outcomes: enum.StrEnum) -> dict[str, Any]:
        return {each.value: self.outcomes[each] for each in outcomes}

    def pace(
        self, *, stored: int, size: int, tried: int, seconds: float, working: float
    ) -> dict[str, Any]:
        """Return the members of a progress that depend on the time.

        The `stored` items have `size` bytes; the time left is estimated by the `tried` ones.
        `seconds` are since the run began, `working` those since its first item.
        """
        each_second = 1 / working if working > 0 else 0.0
        rate = tried * each_second
        return {
            "items_done": self.done,
            "items_total": self.planned,
            "bytes_done": size,
            "in_flight": self.in_flight,
            "seconds": seconds,
            "items_per_second": stored * each_second,
            "bytes_per_second": size * each_second,
            "seconds_left": (self.planned - self.done) / rate if rate else None,
        }


class BulkReport(Shown, ABC):
    """The account of a run as text: JSON for programs, CSV for spreadsheets."""

    __slots__ = ()

    COLUMNS: ClassVar[tuple[str, ...]]
    """What `to_csv` says of each problem, in this order."""

    @abstractmethod
    def summary(self) -> str:
        """Return the report as a sentence or two."""

    def __str__(self) -> str:
        return self.summary()

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, in the schema of `to_json`."""

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as JSON text, and write it to a file if one is given.

        The schema is named in the member ``schema`` and only ever grows: the counts and facts of
        this class, and ``problems``, a list of objects with the columns of `to_csv`. Names that are
        not valid Unicode are written with their odd bytes as backslash escapes; where another run
        needs them, they are there as ``name_raw`` or ``source_raw`` too, percent-encoded.

        Args:
            path: File to write, as UTF-8; an existing one is replaced. Writing blocks.
        """
        return _written(json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n", path)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the problems as CSV text with the columns `COLUMNS`; `path` as for `to_json`."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer)
        writer.writerow(self.COLUMNS)
        writer.writerows(csv_cells(self.COLUMNS, row) for row in self.to_dict()["problems"])
        return _written(buffer.getvalue(), path)


def csv_cells(columns: Sequence[str], row: Mapping[str, object]) -> list[object]:
    # One look at the first character is enough for nearly all of millions of cells.
    return [
        f"'{cell}"
        if isinstance(cell, str) and cell[:1] in _STARTS and _FORMULA.match(cell)
        else cell
        for cell in map(row.__getitem__, columns)
    ]


def plain_cell(cell: str) -> str:
    """Return the text of a cell that `csv_cells` has made."""
    return cell[1:] if _MARKED.match(cell) else cell


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        write_private(from_home(path), text.encode())
    return text
