"""The failed items of an earlier run, as a source of the next one."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast

import attrs

from datagym_async._checks import checked
from datagym_async._json import check_depth
from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads._values import SCHEMA, Outcome, UploadItem, UploadReport, raw_decoded
from datagym_async.uploads.sources._candidates import Candidate, refused_source
from datagym_async.uploads.sources._leaves import Source


@checked
def failed_items(
    report: UploadReport | str | os.PathLike[str], *, rejected: bool = False
) -> Collection[Source]:
    """Return the failed items of a report as a source: ``client.upload(id, failed_items(report))``.

    Each item has its original name, and path or URL. Items whose bytes were in memory are
    ``rejected``. A file is read when the upload reads its sources.

    Args:
        report: A report, or the file that `UploadReport.to_json` wrote.
        rejected: Whether to include the rejected items, for example if their files were repaired.

    Raises:
        ConfigurationError: On reading: the file is not such a report, or cannot be read.
    """
    return _FailedItems(report, {"failed", "rejected"} if rejected else {"failed"})


@attrs.frozen
class _FailedItems(Collection["Source"]):
    """The items, read again each time: in a thread, like every source."""

    report: UploadReport | str | os.PathLike[str]
    outcomes: set[str]

    def __iter__(self) -> Iterator[Source]:
        # An item that cannot be repeated is a candidate with the reason, which counts as a source
        # internally.
        rows: list[tuple[str, Any]]
        if isinstance(self.report, UploadReport):
            rows = [(each.outcome.value, _of_item(each.item)) for each in self.report.problems]
            omitted = self.report.problems_omitted
        else:
            document = read_report(Path(self.report))
            try:
                rows = [(Outcome(row["outcome"]), _of_row(row)) for row in document["problems"]]
                omitted = int(document.get("problems_omitted", 0))
            except Exception as error:  # it may be changed or cut in any way
                raise ConfigurationError(
                    f"The report {printable(str(self.report))} is damaged: it lists its problems "
                    "in another way than `UploadReport.to_json` does."
                ) from error
        yield from (item for outcome, item in rows if outcome in self.outcomes)
        if omitted:
            reason = (
                f"The report leaves out {omitted:,} rejected or failed items (max_problems); upload"
                " the sources again instead, and what is there is skipped."
            )
            yield cast("Source", refused_source("the report", reason, whole=False))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, item: object) -> bool:
        return any(each == item for each in self)


def _of_row(row: dict[str, Any]) -> UploadItem | Candidate:
    name, source = (
        str(row[member]) if (raw := row.get(f"{member}_raw")) is None else raw_decoded(raw)
        for member in ("name", "source")
    )
    return _of_item(UploadItem(name, b"" if row.get("in_memory") else source))


def _of_item(item: UploadItem) -> UploadItem | Candidate:
    if isinstance(item.content, str):
        return item
    shown = printable(item.name)
    reason = f"The bytes of {shown} were in memory and are gone; pass them again."
    return refused_source(shown, reason, whole=False)


def read_report(path: Path) -> dict[str, Any]:
    """Return the document of a report; `ConfigurationError` if the file is none."""
    shown = printable(str(path))
    try:
        check_depth(text := path.read_bytes())
        document = json.loads(text)
    except OSError as error:
        msg = f"The report {shown} cannot be read: {error.strerror or error}."
        raise ConfigurationError(msg) from error
    except ValueError as error:
        msg = f"{shown} is not JSON; give the report that `UploadReport.to_json` wrote."
        raise ConfigurationError(msg) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        msg = f"{shown} is not a report of an upload: it lacks the schema {SCHEMA!r}."
        raise ConfigurationError(msg)
    return document
