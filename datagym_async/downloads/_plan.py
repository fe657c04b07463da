"""The file name of each media of a download, planned by sorting the whole listing.

A listing has no order, and looking up names and ids in no order takes longer the more there are: an
index that does not fit into memory is read and written page by page. So the listing is appended to
a temporary table. At its end it is sorted by age, clashing names are found by sorting, and media
are appended to the manifest in that order. Only names that clash, with each other, with earlier
runs or with our own files, are looked up.

`claim` identifies a path as file systems that ignore case compare it: 63 bits of its hash. If two
different paths have the same one, a file gets a number in its name that it would not need.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import AbstractContextManager
from operator import attrgetter
from pathlib import Path
from typing import Final, get_args

import attrs

from datagym_async._files import folded_name, numbered_file, safe_name
from datagym_async._runs._disk import Database
from datagym_async.exports import ExportFormat
from datagym_async.models import Dataset

CAPTIONS: Final = "labels.coco.captions.json"
KEPT_NAMES: Final = (
    "manifest.jsonl",
    "manifest.csv",
    *(f"labels.{name}" for name in get_args(ExportFormat)),
    "labels.coco.json",
    CAPTIONS,
    "bitmaps",
)
"""Names beside the media that are ours, whether this run needs them or not."""

OF_ONE_RUN: Final = """
CREATE TEMP TABLE listed (
    dataset_id TEXT, media_id TEXT, name TEXT, stored_name TEXT, source TEXT, timestamp INTEGER,
    path TEXT, claim INTEGER
);
CREATE TEMP TABLE now (seq INTEGER PRIMARY KEY);
CREATE TEMP TABLE clash (claim INTEGER PRIMARY KEY);
CREATE TEMP TABLE given (claim INTEGER PRIMARY KEY);
"""
"""``listed`` is what the service lists, ``now`` those of the manifest that it lists now; ``clash``
are the claims that have to be looked at, ``given`` those that this run has given out beyond the
name that a media has."""

INDEXES: Final = """
CREATE UNIQUE INDEX IF NOT EXISTS media_ids ON media (media_id);
CREATE INDEX IF NOT EXISTS media_claims ON media (claim);
"""

# A dataset that was renamed keeps its folder.
_DATASET = """INSERT INTO dataset VALUES (?, ?, ?)
ON CONFLICT (dataset_id) DO UPDATE SET name = excluded.name"""
_LIST = "INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
# Looked up in the order of the index, each of its pages is read once. The limit has no effect, but
# SQLite would otherwise drop the order.
_KNOWN = """
INSERT INTO now
SELECT media.seq
FROM (SELECT DISTINCT media_id FROM listed ORDER BY media_id LIMIT -1) AS sorted
CROSS JOIN media ON media.media_id = sorted.media_id
ORDER BY media.seq
"""
_PLAN = """
CREATE TEMP TABLE planned AS SELECT * FROM listed
WHERE NOT EXISTS (SELECT 1 FROM media WHERE media.media_id = listed.media_id)
ORDER BY timestamp, media_id
"""
_TWICE = "SELECT media_id, min(rowid) FROM planned GROUP BY media_id HAVING count(*) > 1"
_CLASHES = (
    "INSERT OR IGNORE INTO clash SELECT claim FROM planned GROUP BY claim HAVING count(*) > 1",
    "INSERT OR IGNORE INTO clash SELECT claim FROM kept",
    """INSERT OR IGNORE INTO clash SELECT claim FROM planned
    WHERE EXISTS (SELECT 1 FROM media WHERE media.claim = planned.claim)""",
)
_NEXT = """
SELECT planned.rowid, media_id, dataset_id, name, stored_name, source, timestamp, path, claim,
       EXISTS (SELECT 1 FROM clash WHERE clash.claim = planned.claim)
FROM planned WHERE planned.rowid > ? ORDER BY planned.rowid LIMIT ?
"""
_APPEND = """
INSERT INTO media (media_id, dataset_id, name, stored_name, source, timestamp, path, claim)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


@attrs.define
class Planning:
    root: Path
    database: Database
    _last: int | None = attrs.field(default=None, init=False)  # None until all is sorted
    _before: int = attrs.field(default=0, init=False)
    _is_first: bool = attrs.field(default=False, init=False)

    def using(self) -> AbstractContextManager[sqlite3.Connection]:
        return self.database.writing()

    def enter(self, dataset: Dataset, *, subfolder: bool, tree: bool = False) -> None:
        """Add media of a dataset, once each; with `tree` the folders in names become folders."""
        with self.using() as database:
            folder = self._folder(database, dataset) if subfolder else ""
            known = (dataset.id, dataset.name, folder)
            database.execute(_DATASET, known)
            start = f"{folder}/" if folder else ""
            said = attrgetter("id", "name", "stored_name", "source_type.value", "timestamp")
            paths = [start + safe_name(media.name) for media in dataset.media]
            if tree:
                paths = self._in_folders(database, start, dataset)
            rows = zip(map(said, dataset.media), paths, strict=True)
            listed = ((dataset.id, *media, path, claim_of(path)) for media, path in rows)
            database.executemany(_LIST, listed)

    def allot(self, count: int) -> bool:
        """Give the next media their file names, by age; return whether there are more."""
        with self.using() as database:
            if self._last is None:
                # Find known and new media, their order, and the names that clash.
                execute = database.execute
                self._before = execute("SELECT coalesce(max(seq), 0) FROM media").fetchone()[0]
                self._is_first = self._before == 0
                (listed,) = execute("SELECT count(*) FROM listed").fetchone()
                if not self._is_first:
                    listed -= execute(_KNOWN).rowcount
                execute(_PLAN if listed else f"{_PLAN} LIMIT 0")
                execute("DELETE FROM listed")
                execute("CREATE INDEX temp.planned_ids ON planned (media_id)")
                # Rare: some changed while they were listed.
                for media_id, first in execute(_TWICE).fetchall():
                    execute(
                        "DELETE FROM planned WHERE media_id = ? AND rowid > ?", (media_id, first)
                    )
                execute("CREATE INDEX temp.planned_claims ON planned (claim)")
                for statement in _CLASHES:
                    execute(statement)
                self._last = 0
            rows = database.execute(_NEXT, (self._last, count)).fetchall()
            given: set[int] = set()  # in this portion
            appended = []
            for number, *media, path, claim, clashes in rows:
                if clashes or claim in given or os.path.lexists(self.root / path):
                    path, claim = self._free(database, number, path, claim)  # noqa: PLW2901
                    given.add(claim)
                appended.append((*media, path, claim))
            database.executemany(_APPEND, appended)
            if len(rows) == count:
                self._last = rows[-1][0]
                return True
            # All have their files: delete the plan, and make the indexes.
            database.execute("INSERT INTO now SELECT seq FROM media WHERE seq > ?", (self._before,))
            database.execute("DROP TABLE planned")
            database.execute("DELETE FROM clash")
            for statement in INDEXES.split(";")[:-1]:
                database.execute(statement)
            self._last = None
            return False

    def _folder(self, database: sqlite3.Connection, dataset: Dataset) -> str:
        sql = "SELECT folder FROM dataset WHERE dataset_id = ?"
        if (found := database.execute(sql, (dataset.id,)).fetchone()) is not None:
            return str(found[0])
        safe = safe_name(dataset.name)
        path, claim = self._free(database, 0, safe, claim_of(safe))
        database.execute("INSERT OR IGNORE INTO kept VALUES (?)", (claim,))
        return path

    def _in_folders(self, database: sqlite3.Connection, start: str, dataset: Dataset) -> list[str]:
        """Return the paths of media whose names contain folders; flat if a file is in the way."""
        ours = set(map(claim_of, KEPT_NAMES))
        seen: dict[str, bool] = {}

        def may_be(folder: str) -> bool:
            if folder not in seen:
                claim, path = claim_of(folder), self.root / folder
                sql = "SELECT 1 FROM media WHERE claim = ? LIMIT 1"
                is_taken = claim in ours or database.execute(sql, (claim,)).fetchone() is not None
                is_in_the_way = os.path.lexists(path) and (path.is_symlink() or not path.is_dir())
                seen[folder] = not is_taken and not is_in_the_way
                if seen[folder]:  # no file may have its name
                    database.execute("INSERT OR IGNORE INTO kept VALUES (?)", (claim,))
            return seen[folder]

        paths = []
        for media in dataset.media:
            parts = [safe_name(part) for part in media.name.split("/") if part not in {"", "."}]
            folders = [start + "/".join(parts[:count]) for count in range(1, len(parts))]
            is_free = bool(parts) and all(map(may_be, folders))
            paths.append(start + ("/".join(parts) if is_free else safe_name(media.name)))
        return paths

    def _free(
        self, database: sqlite3.Connection, number: int, path: str, claim: int
    ) -> tuple[str, int]:
        """Return a path that is free in the manifest and on the disk, and its claim.

        Media before this one, by its number in the plan, keep their names.
        """
        first = claim
        folder, slash, name = path.rpartition("/")
        while self._is_taken(database, number, claim) or os.path.lexists(self.root / path):
            sql = """INSERT INTO numbered VALUES (?, 2)
                ON CONFLICT (claim) DO UPDATE SET next = next + 1 RETURNING next"""
            (at,) = database.execute(sql, (first,)).fetchone()
            path = f"{folder}{slash}{numbered_file(name, at)}"
            claim = claim_of(path)
        # A later media that really has this name has to get another one.
        for table in ("given", "clash"):
            database.execute(f"INSERT OR IGNORE INTO {table} VALUES (?)", (claim,))  # noqa: S608
        return path, claim

    def _is_taken(self, database: sqlite3.Connection, number: int, claim: int) -> bool:
        tables = ["kept", "given"] if self._is_first else ["kept", "given", "media"]
        for table in tables:
            sql = f"SELECT 1 FROM {table} WHERE claim = ? LIMIT 1"  # noqa: S608 -- our own names
            if database.execute(sql, (claim,)).fetchone() is not None:
                return True
        earlier = "SELECT 1 FROM planned WHERE claim = ? AND rowid < ? LIMIT 1"
        return bool(number) and database.execute(earlier, (claim, number)).fetchone() is not None


def claim_of(path: str) -> int:
    """Return the claim of a path, the same for all paths that a file system may consider equal."""
    digest = hashlib.blake2b(folded_name(path).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
