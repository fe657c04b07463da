"""The manifest as files that people and programs read: a line a media, as JSON and as CSV.

It blocks. Nothing grows with the number of media.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from datagym_async.transfer._download_files import Part
from datagym_async.transfer._download_state import STATE_FOLDER

if TYPE_CHECKING:
    from datagym_async.transfer._download_manifest import Manifest

COLUMNS = (
    "file",
    "outcome",
    "name",
    "media_id",
    "dataset_id",
    "dataset",
    "source",
    "size",
    "sha256",
    "stored_name",
    "reason",
    "listed",
)


def export_manifest(manifest: Manifest) -> None:
    """Write ``manifest.jsonl`` and ``manifest.csv`` into the folder, from what the manifest says.

    ``listed`` is false for what earlier runs have downloaded and the service lists no more.
    """
    state = manifest.root / STATE_FOLDER
    lines, table = Part.begin(state), Part.begin(state)
    try:
        table.write([_csv_row(dict(zip(COLUMNS, COLUMNS, strict=True)))])
        for row in manifest.rows():
            row["listed"] = bool(row["listed"])
            lines.write([_json_row(row)])
            table.write([_csv_row(row)])
        lines.put(manifest.root / "manifest.jsonl")
        table.put(manifest.root / "manifest.csv")
    finally:
        lines.drop()
        table.drop()


def _json_row(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _csv_row(row: dict[str, Any]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow([row[name] for name in COLUMNS])
    return buffer.getvalue().encode("utf-8", "backslashreplace")
