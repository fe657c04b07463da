"""The file of a plan: a temporary one, or a journal, which is found, locked, checked and kept.

A journal belongs to one `Job`: a service, a dataset and sources. Journals are listed, shown and
cleaned up as well. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from datagym_async._checks import checked
from datagym_async._files import from_home, private_folder, regular_only
from datagym_async._json import check_depth
from datagym_async._printable import printable
from datagym_async._runs._disk import (
    DamagedError,
    Database,
    JournalLock,
    check_database,
    check_kinds,
    full_path,
    given_path,
    is_locked,
    is_of_the_disk,
    opened_database,
    remedy,
    remove,
    state_folder,
)
from datagym_async._runs._stores import shown_options
from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads._config import UploadConfig
from datagym_async.uploads._pictures import why_no_source
from datagym_async.uploads._values import UploadItem, is_elsewhere, is_url
from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.plan._rows import mark_of, text
from datagym_async.uploads.plan._tables import State
from datagym_async.uploads.sources._leaves import is_endless
from datagym_async.uploads.sources._watch import FolderWatch

SUFFIX: Final = ".journal"
WHAT: Final = "The plan of this upload"
_SHOWN: Final = 3
_KEPT: Final = 1000  # sources by name, for the command that resumes it
_OF_ONE_RUN: Final = frozenset(
    {
        *("journal", "fresh", "on_event", "max_problems"),
        *("max_files", "max_bytes_total", "max_failures", "max_duration"),
    }
)
# What decides which items there are, and their names.
_CHOOSING: Final = (
    *("include", "exclude", "include_hidden", "symlinks"),
    *("name", "name_separator", "on_clash", "dedupe", "prepare"),
)
_MAGIC: Final = b"SQLite format 3\0"


@attrs.frozen
class Job:
    """The key of a journal, and its data for people and for the command that resumes it."""

    base_url: str
    dataset_id: str  # that the upload is named after
    sources: str  # in short, for people
    digest: str  # of all of it
    # The first thousand sources as a command names them; None if no command can.
    words: tuple[str, ...] | None = attrs.field(default=None, eq=False)
    count: int = attrs.field(default=0, eq=False)  # of the sources
    # How they are uploaded: options that differ from the defaults, for JSON.
    options: dict[str, object] = attrs.field(factory=dict, eq=False)

    @classmethod
    def of(
        cls, base_url: str, dataset_id: str, sources: object, *, config: UploadConfig | None = None
    ) -> Job:
        """Return the key; blocks. A long list of sources is read through, an iterator is not.

        Folders on the way to a source are resolved, so that it is the same job from any folder.
        """
        base_url, dataset_id = base_url.rstrip("/"), dataset_id.lower()
        digest = hashlib.sha256("\0".join((base_url, dataset_id)).encode())
        resolved = functools.lru_cache(1024)(os.path.realpath)
        kept: list[str] = []
        count, are_words = 0, config is None or not callable(config.name)
        for known, described, is_word in _described(sources, resolved):
            digest.update(b"\0" + known.encode("utf-8", "surrogatepass"))
            count += 1
            are_words &= is_word
            if len(kept) < _KEPT:
                kept.append(described)
        shown = [printable(each) for each in kept[:_SHOWN]]
        more = [f"and {count - _SHOWN:,} more"] if count > _SHOWN else []
        # The options of a job, without functions and those of a single run.
        options: dict[str, object] = {"watch": True} if isinstance(sources, FolderWatch) else {}
        for field in () if config is None else attrs.fields(type(config)):
            value = getattr(config, field.name)
            if field.name == "store_options":  # the others may be secrets
                value = shown_options(value)
            if not (field.name in _OF_ONE_RUN or callable(value) or value == field.default):
                options[field.name] = value
        words = tuple(kept) if are_words and kept else None
        said = ", ".join(shown + more)
        return cls(base_url, dataset_id, said, digest.hexdigest(), words, count, options)


def jobs_folder() -> Path:
    """Return the folder of journals that have no path of their own.

    It is ``$DATAGYM_STATE_DIR``, else ``$XDG_STATE_HOME/datagym-async``, else
    ``~/.local/state/datagym-async``; on Windows the folder of local application data.
    """
    return state_folder()


def journal_path(journal: str | os.PathLike[str] | bool, job: Job) -> Path:
    """Return the path of a job's journal: a given one, or for True one in the state folder."""
    if isinstance(journal, bool):
        return jobs_folder() / f"{job.digest[:24]}{SUFFIX}"
    return from_home(journal).absolute()


def _described(
    source: object, resolved: Callable[[str], str], outer: tuple[object, ...] = ()
) -> Iterator[tuple[str, str, bool]]:
    """Yield the identity of each source, its short form, and whether a command can name it so."""
    if isinstance(source, str | os.PathLike):
        yield *_full(os.fsdecode(source), resolved), True
    elif isinstance(source, UploadItem):
        content = "" if isinstance(source.content, bytes) else source.content
        known, said = _full(content, resolved) if content else ("", "")
        yield f"{source.name}={known}", f"{source.name}={said}", False
    elif isinstance(source, FolderWatch):
        yield *_full(source.folder, resolved), True
    elif isinstance(source, set | frozenset):
        yield from sorted(each for one in source for each in _described(one, resolved))
    elif isinstance(source, Collection) and not (
        why_no_source(source) or is_endless(source, outer)
    ):
        outer = (*outer, source)
        for each in source:
            yield from _described(each, resolved, outer)
    else:  # a source that can be read only once
        kind = f"<{type(source).__name__}>"
        yield kind, kind, False


def _full(text: str, resolved: Callable[[str], str]) -> tuple[str, str]:
    if text == "-" or is_url(text):
        return text, text
    if is_elsewhere(text):
        return text.rstrip("/"), text
    path = given_path(text)
    spelled = os.path.abspath(path)  # noqa: PTH100
    try:
        return full_path(path, resolved), spelled
    except ValueError:  # a NUL character
        return spelled, spelled


def check_place(journal: str | os.PathLike[str] | bool | None) -> None:
    """Raise the error of opening a journal if it is another file, or cannot be made; blocks."""
    if not journal:
        return
    path = None if journal is True else from_home(journal).absolute()
    folder = jobs_folder() if path is None else path.parent
    try:
        if path is not None:
            _check_ours(path)
        private_folder(folder)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigurationError(unusable(folder, error)) from error


def temporary() -> Database:
    """Return a database that SQLite keeps in memory while it is small, and on disk beyond that."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.create_function("mark_of", 2, mark_of, deterministic=True)
    connection.executescript(sql.TEMPORARY + sql.SCHEMA + sql.OF_ONE_RUN)
    connection.execute("BEGIN")
    return Database(connection, WHAT)


def journal(path: Path, job: Job, *, fresh: bool) -> Database:
    """Return the journal of a job, made if there is none; `fresh` deletes an existing one."""

    def prepare() -> None:
        _check_ours(path)
        if fresh:
            remove(path)

    in_use = (
        f"Another upload is using the journal {_shown(path)}; wait for it to end, or "
        "give this upload a journal of its own."
    )
    begin = partial(_begin, path, job)
    return opened_database(path, WHAT, begin, trouble=unusable, in_use=in_use, before=prepare)


def _begin(path: Path, job: Job, connection: sqlite3.Connection, is_whole: bool) -> int:
    """Make the tables of a new journal, or check those of an old one; return the run's number."""
    connection.create_function("mark_of", 2, mark_of, deterministic=True)
    mark = f"PRAGMA application_id = {sql.APPLICATION_ID};"
    if not path.stat().st_size:
        # Before WAL: a kill must not leave a file that `is_journal` does not recognise.
        connection.execute(mark)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        # Before WAL, too. A kill in between leaves an empty database, which is made again.
        connection.executescript(f"BEGIN; {sql.SCHEMA} {mark} PRAGMA user_version = {sql.VERSION};")
        names = ("base_url", "dataset_id", "sources", "digest")
        connection.executemany(sql.SET_META, ((name, getattr(job, name)) for name in names))
        connection.execute("COMMIT")
    elif version != sql.VERSION:
        which = "a newer" if version > sql.VERSION else "an older"
        raise ConfigurationError(
            f"The journal {_shown(path)} was written by {which} version of datagym-async; use that "
            "one, give another path, or start again with fresh=True."
        )
    elif not is_whole:
        check_database(connection, sql.SCHEMA)
        # Each row must be one that we can have written, and rows that it refers to must exist.
        if (odd := connection.execute(sql.ODD_ITEM).fetchone()) is not None:
            for each in odd:
                text(each)  # says so, if that is what is odd
        if odd is not None or connection.execute(sql.ODD_CLAIM).fetchone() is not None:
            raise DamagedError("a row in it was changed")
    connection.executescript(sql.LASTING)
    known = dict(connection.execute(sql.ALL_META))
    what = {"base_url": "the service", "dataset_id": "the dataset", "digest": "the sources"}
    if other := next((name for name in what if getattr(job, name) != known.get(name, "")), ""):
        theirs = known.get("sources" if other == "digest" else other, "")
        raise ConfigurationError(
            f"The journal {_shown(path)} belongs to another job ({what[other]} {theirs}); "
            "give this upload another path, or start again with fresh=True."
        )
    # For the command that resumes it; escaped, because a path may not be valid text.
    last = {name: json.dumps(getattr(job, name)) for name in ("words", "count", "options")}
    last["choice"] = json.dumps({each: job.options.get(each) for each in _CHOOSING})
    if known.get("choice", last["choice"]) != last["choice"]:
        connection.executescript(sql.FORGET_UNSENT)
    connection.executemany(sql.SET_META, last.items())
    connection.executescript(sql.OF_ONE_RUN)
    now = time.time()
    return int(connection.execute(sql.BEGIN_RUN, (now, now)).fetchone()[0])


def _check_ours(path: Path) -> None:
    if path.exists() and not is_journal(path):
        raise ConfigurationError(
            f"{_shown(path)} is damaged, or no journal of an upload, and was not changed; give "
            "another path, or delete it yourself: what the dataset holds is skipped anyway."
        )


def is_journal(path: Path) -> bool:
    """Return whether a file is a journal by its first bytes; an empty one may become one."""
    with open(path, "rb", opener=regular_only) as file:
        head = file.read(100)
    mark = sql.APPLICATION_ID.to_bytes(4, "big")
    return not head or (head[:16] == _MAGIC and head[68:72] == mark)


def unusable(path: Path, error: Exception) -> str:
    """Return why a journal cannot be used, and what to do."""
    if isinstance(error, sqlite3.Error) and not is_of_the_disk(error):
        return (
            f"The journal {_shown(path)} is damaged ({error}); start again with fresh=True: "
            "what the dataset holds is skipped in any case."
        )
    words = error.strerror if isinstance(error, OSError) and error.strerror else error
    return (
        f"The journal {_shown(path)} cannot be written ({words}); "
        f"{remedy(error, 'free some space there')}, or choose another path with journal=..., on a "
        "local disk."
    )


def _shown(path: Path) -> str:
    return printable(str(path))


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
    where = jobs_folder() if folder is None else from_home(folder, what="folder")
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
        return _read(from_home(path))
    except FileNotFoundError as error:
        msg = f"There is no journal {printable(str(path))} ({error.strerror})."
        raise ConfigurationError(msg) from error


def _read(path: Path) -> JobSummary:
    size = 0
    try:
        size = path.stat().st_size
        if not is_journal(path):
            return JobSummary(path=path, size=size, problem="It is not a journal.")
    except FileNotFoundError:
        raise
    except OSError as error:  # of another user, a folder, or a link to itself
        text = f"It cannot be read: {error.strerror or error}."
        return JobSummary(path=path, size=size, problem=text)
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=5)) as database:
            return _summary(path, size, database)
    except (sqlite3.Error, ValueError, TypeError, OverflowError, OSError) as error:
        is_there = isinstance(error, sqlite3.Error | OSError) and is_of_the_disk(error)
        said = "cannot be read" if is_there else "is damaged"
        return JobSummary(path=path, size=size, problem=f"It {said}: {error}.")


def _summary(path: Path, size: int, database: sqlite3.Connection) -> JobSummary:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != sql.VERSION:
        text = "It is empty." if version == 0 else "It has another version."
        return JobSummary(path=path, size=size, problem=text)
    check_kinds(database)
    meta = dict(database.execute(sql.ALL_META))
    kept = {key: meta.get(key, "") for key in ("base_url", "dataset_id", "dataset_name", "sources")}
    # A kill at the very beginning leaves none of these.
    texts = (meta.get("words") or "null", meta.get("options") or "{}")
    for each in texts:
        check_depth(each)
    words, options = map(json.loads, texts)
    if not (
        all(isinstance(each, str) for each in kept.values())
        and isinstance(options, dict)
        and (words is None or (isinstance(words, list) and all(map(_is_source, words))))
    ):
        raise DamagedError("a value in it was changed")
    started, beat, runs = database.execute(sql.SUM_RUNS).fetchone()
    last = database.execute(sql.LAST_RUN).fetchone()
    counted = {State(state): count for state, count in database.execute(sql.COUNT_STATES)}
    return JobSummary(
        path=path,
        **kept,
        words=None if words is None else tuple(words),
        count=int(meta.get("count", "0")),
        options=options,
        started=None if started is None else datetime.fromtimestamp(started, UTC),
        last_active=None if beat is None else datetime.fromtimestamp(beat, UTC),
        runs=runs,
        counts={state.name.lower(): counted.get(state, 0) for state in State},
        complete=bool(last and last[0]),
        in_use=is_locked(path),
        size=size,
    )


def _is_source(word: object) -> bool:
    """Return whether a word of a journal is a source, and no option for the command."""
    return isinstance(word, str) and bool(os.fsencode(word)) and (word == "-" or word[0] != "-")


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
        if not is_journal(path) or (lock := JournalLock.take(path)) is None:
            return False
    except OSError:  # of another user, a folder, or deleted by another command
        return False
    try:
        remove(path)
    finally:
        lock.release(delete=True)
    return True
