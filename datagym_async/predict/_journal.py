"""What happened to each image of a prediction, kept for the next run in an SQLite database.

Predictions are noted before they are sent: after a kill it is known which may have been stored.
Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import attrs

from datagym_async._files import from_home
from datagym_async._printable import printable
from datagym_async._runs._database import (
    DamagedError,
    Database,
    check,
    is_of_the_disk,
    opened,
    remedy,
)
from datagym_async.exceptions import ConfigurationError

SENDING: Final = "sending"
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE media (media_id TEXT PRIMARY KEY, outcome TEXT NOT NULL) WITHOUT ROWID;
"""
_SETTINGS: Final = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
_WHAT: Final = "The journal of this prediction"


@attrs.define
class PredictJournal:
    """The journal: opened once, closed in any case."""

    _given: str | os.PathLike[str] | None  # its file; without one it knows and keeps nothing
    _job: Mapping[str, str]  # what it belongs to; that of another job is refused
    _words: Collection[str]  # all outcomes of an image
    _database: Database = attrs.field(factory=lambda: Database(None, _WHAT), init=False)

    def open(self) -> None:
        """Open it, made if it does not exist; `ConfigurationError` if it cannot be used."""
        if self._given is None:
            return
        path = from_home(self._given).absolute()
        in_use = (
            f"Another process is using the journal {printable(str(path))}; wait for it to end, or "
            "give another one."
        )
        begin = partial(self._begin, path)
        self._database = opened(path, _WHAT, begin, trouble=_trouble, in_use=in_use)

    def _begin(self, path: Path, connection: sqlite3.Connection, is_whole: bool) -> int:
        connection.executescript(_SETTINGS)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0 and not connection.execute("SELECT * FROM sqlite_master").fetchone():
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION};")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", self._job.items())
            connection.execute("COMMIT")
        elif version != _VERSION:
            raise sqlite3.DatabaseError("it has another version")
        elif not is_whole:
            check(connection, _SCHEMA)
            # SQLite does not look into texts; an unknown word would count as not predicted.
            outcomes = connection.execute("SELECT DISTINCT outcome FROM media")
            if not {word for (word,) in outcomes} <= {*self._words}:
                raise DamagedError("an outcome in it was changed")
        known = dict(connection.execute("SELECT name, value FROM meta"))
        if known != self._job:
            raise ConfigurationError(
                f"The journal {printable(str(path))} belongs to another prediction (project "
                f"{known.get('project')} of {known.get('base_url')}, keep_data "
                f"{known.get('keep_data')}); give another path."
            )
        return 1

    def failure_text(self, error: sqlite3.Error) -> str:
        """Return what to say when the database fails during a run."""
        return _trouble(self._database.path or Path(), error)

    def outcomes(self, media_ids: Iterable[str]) -> dict[str, str]:
        """Return the known outcomes of these media by id; a few hundred at most."""
        if self._given is None:
            return {}
        ids = [*media_ids]
        marks = ",".join("?" * len(ids))
        with self._database.using() as connection:
            query = f"SELECT media_id, outcome FROM media WHERE media_id IN ({marks})"  # noqa: S608
            return dict(connection.execute(query, ids))

    def note(self, outcomes: Iterable[tuple[str, str]]) -> None:
        if self._given is not None:
            with self._database.writing() as connection:
                connection.executemany("INSERT OR REPLACE INTO media VALUES (?, ?)", outcomes)

    def close(self) -> None:
        """Close it; may be called again."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()


def _trouble(path: Path, error: sqlite3.Error | OSError) -> str:
    shown = printable(str(path))
    if isinstance(error, OSError):
        return f"The journal {shown} cannot be written ({error.strerror}); give another path."
    if is_of_the_disk(error):
        return (
            f"The journal {shown} cannot be written ({error}); {remedy(error)}, then "
            "the same prediction again resumes."
        )
    return (
        f"The file {shown} is not the journal of a prediction, or is damaged ({error}); give "
        "another path."
    )
