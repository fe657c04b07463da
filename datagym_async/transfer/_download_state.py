"""The state of a download's folder: locked, checked, and its database open. It blocks."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async._printable import printable
from datagym_async.exceptions import ConfigurationError
from datagym_async.transfer._download_files import tidy
from datagym_async.transfer._download_names import folded_name
from datagym_async.transfer._journal_lock import JournalLock

if TYPE_CHECKING:
    from pathlib import Path

STATE_FOLDER: Final = ".datagym"
"""Folder of the manifest; no media can have its name, since no safe name begins with a dot."""
KEPT_NAMES: Final = (
    "manifest.jsonl",
    "manifest.csv",
    "labels.json",
    "labels.jsonl",
    "labels.coco.json",
    "labels.yolo",
    "bitmaps",
)
"""Names beside the media that are ours, whether this run needs them or not."""
VERSION: Final = 1
_NOT_COUNTED: Final = frozenset(
    {STATE_FOLDER, ".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"}
)
"""Names that a folder may hold and still be empty: systems put them there unasked."""

_SETTINGS = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -8192;
"""
# Locked exclusively, SQLite needs no shared memory for its WAL, which network drives do not have.
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE dataset (dataset_id TEXT PRIMARY KEY, name TEXT, folder TEXT) WITHOUT ROWID;
CREATE TABLE media (
    seq INTEGER PRIMARY KEY, media_id TEXT UNIQUE NOT NULL, dataset_id TEXT NOT NULL,
    name TEXT, stored_name TEXT, source TEXT, timestamp INTEGER, path TEXT UNIQUE,
    run INTEGER NOT NULL, task_id TEXT, outcome TEXT, size INTEGER, sha256 TEXT, status INTEGER,
    key TEXT, reason TEXT
);
CREATE INDEX media_unplaced ON media (timestamp, media_id) WHERE path IS NULL;
CREATE TABLE claimed (key TEXT PRIMARY KEY, next INTEGER NOT NULL DEFAULT 2) WITHOUT ROWID;
"""


@attrs.frozen
class DownloadJob:
    """What a folder is a download of.

    Args:
        base_url: Address of the service.
        kind: ``"dataset"`` or ``"project"``.
        id: UUID of it.
    """

    base_url: str
    kind: str
    id: str


def open_state(root: Path, job: DownloadJob) -> tuple[sqlite3.Connection, JournalLock, int]:
    """Return the database of a folder, its lock, and the number of this run.

    Args:
        root: The folder; made if it is not there.
        job: What it is a download of.

    Raises:
        ConfigurationError: The folder is not empty and no download, of another download, in use
            by another process, or cannot be written to.
    """
    path = root / STATE_FOLDER / "manifest.sqlite3"
    try:
        _prepare(root, path)
        lock = JournalLock.take(path)
    except OSError as error:
        words = error.strerror or str(error)
        msg = f"The folder {_shown(root)} cannot be written to ({words}); give another one."
        raise ConfigurationError(msg) from None
    if lock is None:
        msg = (
            f"Another process is downloading into {_shown(root)}; wait for it to end, or give "
            "another folder."
        )
        raise ConfigurationError(msg)
    try:
        tidy(root / STATE_FOLDER)
        connection, run = _opened(path, root, job)
    except BaseException:
        lock.release()
        raise
    return connection, lock, run


def _prepare(root: Path, path: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    if not path.exists() and any(each.name not in _NOT_COUNTED for each in root.iterdir()):
        msg = (
            f"The folder {_shown(root)} is not empty, and holds no download that could be gone on "
            "with; give a new or an empty one."
        )
        raise ConfigurationError(msg)
    path.parent.mkdir(exist_ok=True)


def _opened(path: Path, root: Path, job: DownloadJob) -> tuple[sqlite3.Connection, int]:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(_SETTINGS)
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _create(connection, job)
        return connection, _begin(connection, root, job)
    except sqlite3.DatabaseError as error:
        connection.close()
        msg = (
            f"The manifest {_shown(path)} cannot be used ({error}); give another folder, and "
            "delete this one if nothing in it is needed."
        )
        raise ConfigurationError(msg) from None
    except BaseException:
        connection.close()
        raise


def _create(connection: sqlite3.Connection, job: DownloadJob) -> None:
    # In one transaction: a kill in the midst leaves an empty database, which is made anew.
    connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION};")
    values = (*attrs.asdict(job).items(), ("run", "0"))
    connection.executemany("INSERT INTO meta VALUES (?, ?)", values)
    keys = ((folded_name(name),) for name in KEPT_NAMES)
    connection.executemany("INSERT INTO claimed (key) VALUES (?)", keys)
    connection.execute("COMMIT")


def _begin(connection: sqlite3.Connection, root: Path, job: DownloadJob) -> int:
    known = dict(connection.execute("SELECT name, value FROM meta"))
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        msg = (
            f"The download in {_shown(root)} was begun by another version of datagym-async; use "
            "that one, or give another folder."
        )
        raise ConfigurationError(msg)
    for name, mine in attrs.asdict(job).items():
        if known.get(name) != mine:
            msg = (
                f"The folder {_shown(root)} holds a download of the {known.get('kind')} "
                f"{known.get('id')} of {known.get('base_url')}; give another folder."
            )
            raise ConfigurationError(msg)
    run = int(known["run"]) + 1
    connection.execute("UPDATE meta SET value = ? WHERE name = 'run'", (str(run),))
    return run


def _shown(path: Path) -> str:
    return printable(str(path))
