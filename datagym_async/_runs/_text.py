"""Reports as text: how counts and sizes are said, and how JSON and CSV files are written.

A spreadsheet takes a cell of a CSV file that begins with ``=``, ``@``, ``+``, ``-``, a tab or a
carriage return for a formula, and names come from anybody. Such a text gets a ``'`` before it, the
spreadsheets' own mark of a text; one that looks as if it had such a mark gets another one, so that
taking one off gives back every text exactly (`plain_cell`). JSON files hold the true texts.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from datagym_async._files import write_private

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

_STARTS = frozenset("'=@+-\t\r")
_FORMULA = re.compile(r"'*[=@+\-\t\r]")
_MARKED = re.compile(r"'+[=@+\-\t\r]")


_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its word, for example ``"1 retry"`` or ``"1,200 files"``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


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


def said_counts(first: tuple[str, int], *others: tuple[str, int]) -> str:
    """Return counts with their words; of the others only those that are not 0."""
    told = (first, *(each for each in others if each[1]))
    return ", ".join(f"{count:,} {word}" for word, count in told)


def json_text(report: Mapping[str, object], path: str | os.PathLike[str] | None) -> str:
    """Return a report as JSON text, and write it to a file if one is given."""
    return _written(json.dumps(report, ensure_ascii=False, indent=2) + "\n", path)


def csv_text(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
    path: str | os.PathLike[str] | None,
) -> str:
    """Return rows as CSV text, and write it to a file if one is given.

    Args:
        columns: The members of the rows that count, in their order.
        rows: The rows.
        path: The file.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows(csv_cells(columns, row) for row in rows)
    return _written(buffer.getvalue(), path)


def csv_cells(columns: Sequence[str], row: Mapping[str, object]) -> list[object]:
    """Return the cells of a row, none of which a spreadsheet takes for a formula."""
    cells: list[object] = []
    for column in columns:
        cell = row[column]
        # One look at the first character is enough for nearly all of millions of cells.
        if isinstance(cell, str) and cell[:1] in _STARTS and _FORMULA.match(cell):
            cell = f"'{cell}"
        cells.append(cell)
    return cells


def plain_cell(cell: str) -> str:
    """Return the text of a cell that `csv_cells` has made."""
    return cell[1:] if _MARKED.match(cell) else cell


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        write_private(Path(path), text.encode())
    return text
