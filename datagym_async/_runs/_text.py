"""Reports as text: how counts are said, and how JSON and CSV files are written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence


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
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return _written(buffer.getvalue(), path)


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8", newline="")
    return text
