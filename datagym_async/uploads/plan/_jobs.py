"""List journals of uploads, show one, and clean up. Everything here blocks."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from datagym_async._checks import checked
from datagym_async._printable import printable
from datagym_async._runs._disk import JournalLock, is_locked
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.plan._journal import SUFFIX, is_journal, jobs_folder, remove
from datagym_async.uploads.plan._tables import State


@attrs.frozen(kw_only=True)
class JobSummary:
    """Summary of a journal.

    Attributes:
        path: The journal.
        base_url: Address of the service.
        dataset_id: The dataset of the upload; its name is `dataset_name`.
        sources: The sources, in short.
        words: The first thousand sources as a command names them; None if no command can (items and
            names that a program has made), or if they are unknown.
        count: Number of sources, 0 if unknown.
        options: The last run's options that differ from the defaults of `UploadConfig`, except its
            limits.
        started: When the first run began, None if unknown.
        last_active: When the journal was last written.
        runs: Number of runs.
        counts: Items by state: planned, sending, uploaded, skipped, rejected, failed.
        complete: Whether the last run was complete.
        in_use: Whether a process uses it now.
        size: Bytes on disk.
        problem: Why the file cannot be read as a journal; empty if it can.
    """

    path: Path
    base_url: str = ""
    dataset_id: str = ""
    dataset_name: str = ""
    sources: str = ""
    words: tuple[str, ...] | None = None
    count: int = 0
    options: Mapping[str, Any] = attrs.field(factory=dict)
    started: datetime | None = None
    last_active: datetime | None = None
    runs: int = 0
    counts: Mapping[str, int] = attrs.field(factory=dict)
    complete: bool = False
    in_use: bool = False
    size: int = 0
    problem: str = ""


@checked
def list_jobs(folder: str | os.PathLike[str] | None = None) -> list[JobSummary]:
    """Return a summary of each journal in a folder (None: `jobs_folder`), last written first.

    Raises:
        ConfigurationError: The folder cannot be read.
    """
    where = jobs_folder() if folder is None else Path(folder)
    jobs = []
    try:
        for path in sorted(each for each in where.iterdir() if each.suffix == SUFFIX):
            with contextlib.suppress(FileNotFoundError):  # deleted by another command
                jobs.append(_read(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        msg = f"The folder {printable(str(where))} cannot be read ({error.strerror})."
        raise ConfigurationError(msg) from error
    return sorted(jobs, key=_last_written, reverse=True)


def _last_written(job: JobSummary) -> float:
    return job.last_active.timestamp() if job.last_active else 0.0


@checked
def show_job(path: str | os.PathLike[str]) -> JobSummary:
    """Return the summary of one journal, also of one in use.

    Raises:
        ConfigurationError: There is no such file.
    """
    try:
        return _read(Path(path))
    except FileNotFoundError as error:
        msg = f"There is no journal {printable(str(path))} ({error.strerror})."
        raise ConfigurationError(msg) from error


def _read(path: Path) -> JobSummary:
    size = path.stat().st_size
    try:
        if not is_journal(path):
            return JobSummary(path=path, size=size, problem="It is not a journal.")
    except FileNotFoundError:
        raise
    except OSError as error:  # of another user, or a folder
        text = f"It cannot be read: {error.strerror or error}."
        return JobSummary(path=path, size=size, problem=text)
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=5)) as database:
            return _summary(path, size, database)
    except (sqlite3.Error, ValueError, TypeError, OverflowError, OSError) as error:
        return JobSummary(path=path, size=size, problem=f"It is damaged: {error}.")


def _summary(path: Path, size: int, database: sqlite3.Connection) -> JobSummary:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != sql.VERSION:
        text = "It is empty." if version == 0 else "It has another version."
        return JobSummary(path=path, size=size, problem=text)
    meta = dict(database.execute(sql.ALL_META))
    words = json.loads(meta.get("words", "null"))  # a kill at the very beginning leaves none
    started, beat, runs = database.execute(sql.SUM_RUNS).fetchone()
    last = database.execute(sql.LAST_RUN).fetchone()
    counted = {State(state): count for state, count in database.execute(sql.COUNT_STATES)}
    return JobSummary(
        path=path,
        **{key: meta.get(key, "") for key in ("base_url", "dataset_id", "dataset_name", "sources")},
        words=None if words is None else tuple(words),
        count=int(meta.get("count", "0")),
        options=json.loads(meta.get("options", "{}")),
        started=None if started is None else datetime.fromtimestamp(started, UTC),
        last_active=None if beat is None else datetime.fromtimestamp(beat, UTC),
        runs=runs,
        counts={state.name.lower(): counted.get(state, 0) for state in State},
        complete=bool(last and last[0]),
        in_use=is_locked(path),
        size=size,
    )


@checked
def clean_jobs(
    folder: str | os.PathLike[str] | None = None,
    *,
    older_than: timedelta | None = None,
    unfinished: bool = False,
) -> list[JobSummary]:
    """Delete journals of complete jobs, and return what was deleted.

    Journals in use and other files are never deleted.

    Args:
        folder: The folder; None for `jobs_folder`.
        older_than: Keep journals written less than this ago.
        unfinished: Whether to delete journals of unfinished jobs too.
    """
    before = time.time() - (older_than.total_seconds() if older_than else 0.0)
    return [
        job
        for job in list_jobs(folder)
        if (job.complete or unfinished) and _last_written(job) <= before and _deleted(job.path)
    ]


def _deleted(path: Path) -> bool:
    try:
        if not is_journal(path):
            return False
    except OSError:  # of another user, a folder, or deleted by another command
        return False
    if (lock := JournalLock.take(path)) is None:
        return False
    try:
        remove(path)
    finally:
        lock.release(delete=True)
    return True
