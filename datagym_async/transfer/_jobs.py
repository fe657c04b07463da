"""Look after the journals of uploads: list them, look at one, and clean up. All of it blocks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class JobSummary:
    """Say what a journal holds.

    Attributes:
        path: The journal.
        base_url: Address of the service.
        dataset_id: The dataset uploaded into.
        dataset_name: Its name.
        sources: What was uploaded, in short.
        started: When the first run began, None where that is not known.
        last_active: When the journal was last written.
        runs: How many runs there were.
        counts: Items by state: planned, sending, uploaded, skipped, rejected, failed.
        complete: Whether the last run came to its end.
        in_use: Whether a process holds it now.
        size: Bytes on disk.
        problem: Why the file cannot be read as a journal; empty if it can.
    """

    path: Path
    base_url: str = ""
    dataset_id: str = ""
    dataset_name: str = ""
    sources: str = ""
    started: datetime | None = None
    last_active: datetime | None = None
    runs: int = 0
    counts: Mapping[str, int] = attrs.field(factory=dict)
    complete: bool = False
    in_use: bool = False
    size: int = 0
    problem: str = ""


def jobs_folder() -> Path:
    """Return the folder of journals that have no path of their own.

    It is ``$DATAGYM_STATE_DIR``, else ``$XDG_STATE_HOME/datagym-async``, else
    ``~/.local/state/datagym-async``; on Windows the folder of local application data.
    """
    if given := os.environ.get("DATAGYM_STATE_DIR"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "datagym-async"
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "datagym-async"
    return Path.home() / ".local" / "state" / "datagym-async"


def list_jobs(folder: str | os.PathLike[str] | None = None) -> list[JobSummary]:
    """Return a summary of each journal, the one written last first.

    Args:
        folder: Where to look; None for `jobs_folder`. One that does not exist holds none.
    """
    raise NotImplementedError(folder)


def show_job(path: str | os.PathLike[str]) -> JobSummary:
    """Return the summary of one journal.

    Args:
        path: The journal.

    Raises:
        ConfigurationError: There is no such file.
    """
    raise NotImplementedError(path)


def clean_jobs(
    folder: str | os.PathLike[str] | None = None,
    *,
    older_than: timedelta | None = None,
    unfinished: bool = False,
) -> list[JobSummary]:
    """Delete journals of complete jobs, and return what was deleted.

    A journal that a process holds is never deleted.

    Args:
        folder: Where to look; None for `jobs_folder`.
        older_than: Spare those written less than this ago.
        unfinished: Whether to delete also those of jobs that have not come to their end.
    """
    raise NotImplementedError(folder, older_than, unfinished)
