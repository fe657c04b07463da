"""The manifest of a download: the listed media, their files and their outcomes.

It is an SQLite database in the folder itself (``.datagym/manifest.sqlite3``), from which the same
download resumes. Each media gets its file name before anything is fetched, permanently.

An outcome is written after the file is in its place: after a kill in between, the file is fetched
again and replaced. The folder is locked while its manifest is open, and the manifest is checked
when it is opened. At the end of a run it is exported as JSON Lines and CSV, a line for each media.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

import attrs

from datagym_async._files import PRIVATE, USUAL, sweep_beside, telling
from datagym_async._printable import printable
from datagym_async._runs._disk import (
    PARTS,
    DamagedError,
    HashedPart,
    check_database,
    is_of_the_disk,
    is_still_there,
    opened_database,
    path_in,
    remedy,
    tidy,
)
from datagym_async._runs._text import csv_cells
from datagym_async.downloads._plan import INDEXES, KEPT_NAMES, OF_ONE_RUN, Planning, claim_of
from datagym_async.downloads._prefix import MANIFEST, STATE_FOLDER, Prefix, begun_mark
from datagym_async.downloads._values import DownloadOutcome, DownloadResult
from datagym_async.exceptions import ConfigurationError, FileWriteError
from datagym_async.models import MediaSourceType

VERSION: Final = 2
_EXPORTED: Final = 1000  # media that are exported at once
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
# With an exclusive lock SQLite needs no shared memory for its WAL; network drives have none.
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE dataset (dataset_id TEXT PRIMARY KEY, name TEXT, folder TEXT) WITHOUT ROWID;
CREATE TABLE media (
    seq INTEGER PRIMARY KEY, media_id TEXT NOT NULL, dataset_id TEXT NOT NULL,
    name TEXT, stored_name TEXT, source TEXT, timestamp INTEGER, path TEXT NOT NULL,
    claim INTEGER NOT NULL, task_id TEXT, outcome TEXT, size INTEGER, sha256 TEXT, status INTEGER,
    key TEXT, reason TEXT
);
CREATE TABLE kept (claim INTEGER PRIMARY KEY);
CREATE TABLE numbered (claim INTEGER PRIMARY KEY, next INTEGER);
"""
_SHARDS = """
CREATE TABLE IF NOT EXISTS shard (
    number INTEGER PRIMARY KEY, shard TEXT, shard_size INTEGER, shard_sha TEXT
);
CREATE TABLE IF NOT EXISTS sample (
    media_id TEXT PRIMARY KEY, number INTEGER, member TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sample_numbers ON sample (number);
CREATE TABLE IF NOT EXISTS sample_key (claim INTEGER PRIMARY KEY);
"""


@attrs.frozen
class DownloadJob:
    base_url: str
    kind: str  # "dataset" or "project"
    id: str
    shards: str = ""  # "shards with labels" or "... without labels", or empty for files


def manifest_path(root: Path) -> Path:
    return root / MANIFEST


_ODD_ROW = """
SELECT path FROM media WHERE claim_of(path) IS NOT claim
OR typeof(media_id) != 'text' OR typeof(dataset_id) != 'text' OR typeof(name) != 'text'
OR typeof(stored_name) NOT IN ('text', 'null') OR typeof(task_id) NOT IN ('text', 'null')
OR typeof(sha256) NOT IN ('text', 'null') OR typeof(reason) NOT IN ('text', 'null')
OR typeof(size) NOT IN ('integer', 'null') OR outcome NOT IN (SELECT value FROM json_each(?))
OR source NOT IN (SELECT value FROM json_each(?)) LIMIT 1
"""


def trouble(path: Path, error: sqlite3.Error | OSError) -> str:
    """Say why a manifest cannot be used, and what to do."""
    if isinstance(error, OSError):
        if isinstance(error, PermissionError) and error.filename:  # a file of another user
            return f"{printable(str(FileWriteError.of(Path(error.filename), error)))}."
        return f"The folder {printable(str(FileWriteError.of(path.parent.parent, error)))}."
    if is_of_the_disk(error):
        return (
            f"The manifest {_shown(path)} cannot be written ({error}); {remedy(error)}, "
            "then the same download resumes."
        )
    return (
        f"The manifest {_shown(path)} is damaged and cannot be used ({error}); give another "
        "folder, and delete this one if nothing in it is needed."
    )


def _holds_something(root: Path) -> bool:
    return any(each.name not in _NOT_COUNTED for each in root.iterdir())


def _begin(
    root: Path, job: DownloadJob, place: object, connection: sqlite3.Connection, is_whole: bool
) -> int:
    """Make the tables of a new manifest, or check those of an old one."""
    connection.executescript(_SETTINGS)
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        # A kill while it is made leaves an empty one, in a folder that is empty, too.
        if _holds_something(root):
            raise DamagedError("it is empty, and the folder is not")
        # In one transaction: a kill leaves an empty database, which is made again.
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION};")
        connection.executemany("INSERT INTO meta VALUES (?, ?)", attrs.asdict(job).items())
        kept = ((claim_of(name),) for name in KEPT_NAMES)
        connection.executemany("INSERT INTO kept VALUES (?)", kept)
        connection.execute("COMMIT")
    elif not is_whole:
        check_database(connection, _SCHEMA)

        def claim(path: object) -> int | None:
            return claim_of(path) if isinstance(path, str) else None

        # Each row must be one that we can have written: SQLite accepts any text as a name.
        connection.create_function("claim_of", 1, claim, deterministic=True)
        outcomes = json.dumps([each.value for each in DownloadOutcome])
        sources = json.dumps([each.value for each in MediaSourceType])
        if (odd := connection.execute(_ODD_ROW, (outcomes, sources)).fetchone()) is not None:
            path_in(root, str(odd[0]))  # says so, if that is what is odd
            raise DamagedError("a row in it was changed")
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        raise ConfigurationError(
            f"The download in {_shown(place)} was begun by another version of datagym-async; use "
            "that one, or give another folder."
        )
    known = dict(connection.execute("SELECT name, value FROM meta"))
    is_used = connection.execute("SELECT EXISTS (SELECT 1 FROM media)").fetchone()[0]
    if not (is_used or _holds_something(root) or begun_mark(root).exists()):
        # From a download that was refused before it began: the folder is still free.
        mine = attrs.asdict(job)
        known |= mine
        values = ((value, name) for name, value in mine.items())
        connection.executemany("UPDATE meta SET value = ? WHERE name = ?", values)
    for name, wanted in attrs.asdict(job).items():
        if known.get(name, "") != wanted and name == "shards":
            other = known.get(name) or "files"
            raise ConfigurationError(
                f"The download in {_shown(place)} is one into {other}; give another folder."
            )
        if known.get(name, "") != wanted:
            raise ConfigurationError(
                f"The folder {_shown(place)} holds a download of the {known.get('kind')} "
                f"{known.get('id')} of {known.get('base_url')}; give another folder."
            )
    # A kill may have come before there were any; of an empty table they are made once it is filled.
    connection.executescript((INDEXES if is_used else "") + OF_ONE_RUN + _SHARDS)
    return 1  # its runs are not counted


def _shown(place: object) -> str:
    return printable(str(place))


_TAKE = """
SELECT seq, media_id, name, path, source, task_id, outcome, size, sha256,
       shard, shard_size, shard_sha
FROM now CROSS JOIN media USING (seq)
LEFT JOIN sample USING (media_id) LEFT JOIN shard USING (number)
WHERE seq > ? ORDER BY seq LIMIT ?
"""
_NOTE = """
UPDATE media SET outcome = ?, size = ?, sha256 = ?, status = ?, key = ?, reason = ?
WHERE media_id = ?
"""
_FILES = """
SELECT media_id, path, outcome IS 'downloaded' FROM media
WHERE media_id IN (SELECT value FROM json_each(?)) AND seq IN (SELECT seq FROM now)
"""
_ALL = """
SELECT coalesce(shard || '/' || member, path) AS file, coalesce(outcome, 'pending') AS outcome,
       media.name, media_id, dataset_id,
       dataset.name AS dataset, source, size, sha256, stored_name, reason,
       EXISTS (SELECT 1 FROM now WHERE now.seq = media.seq) AS listed
FROM media LEFT JOIN dataset USING (dataset_id)
LEFT JOIN sample USING (media_id) LEFT JOIN shard USING (number) ORDER BY seq
"""
_GONE = "UPDATE media SET outcome = NULL, size = NULL, sha256 = NULL WHERE seq = ?"
_SHARD_GONE = (
    """UPDATE media SET outcome = NULL, size = NULL, sha256 = NULL WHERE media_id IN
    (SELECT media_id FROM sample JOIN shard USING (number) WHERE shard = ?)""",
    "UPDATE sample SET number = NULL WHERE number = (SELECT number FROM shard WHERE shard = ?)",
    "DELETE FROM shard WHERE shard = ?",
)
"""Its samples keep their keys. Its file is deleted first, so that none of them is there twice;
where that is not allowed, the next shard gets its name at least."""
_NEXT_SHARD = """
SELECT min(number) FROM (SELECT 0 AS number UNION ALL SELECT number + 1 FROM shard)
WHERE number NOT IN (SELECT number FROM shard)
"""


@attrs.frozen
class Wanted:
    """One media that is to be fetched."""

    media_id: str
    name: str
    path: str  # relative to the folder
    source: MediaSourceType
    task_id: str | None = None  # one of its tasks


@attrs.define
class Manifest(Planning):
    """An open manifest; for any thread, one at a time."""

    prefix: Prefix | None = None  # the place of the files, unless it is its folder
    _shards_there: dict[str, bool] = attrs.Factory(dict)

    @classmethod
    def open(cls, root: Path, job: DownloadJob, prefix: Prefix | None = None) -> Self:
        """Open the manifest of a folder, or begin one in a new or empty folder.

        Raises:
            ConfigurationError: The folder is not empty and not a download, or that of another
                download, or in use by another process, or cannot be written to.
        """
        path, place = manifest_path(root), root if prefix is None else prefix.at.address
        try:
            root.mkdir(parents=True, exist_ok=True)
            is_taken = not path.exists() and _holds_something(root)
        except OSError as error:
            raise ConfigurationError(trouble(path, error)) from None
        if is_taken:
            raise ConfigurationError(
                f"The folder {_shown(root)} is not empty, and holds no download to resume; give a "
                "new or an empty one."
            )

        def prepare() -> None:
            with telling(root / STATE_FOLDER / PARTS):
                tidy(root / STATE_FOLDER)
            with telling(root):
                for name in KEPT_NAMES:  # whether this run writes it or not
                    sweep_beside(root / name)

        in_use = (
            f"Another download is writing into {_shown(place)}; wait for it to end, or give "
            "another folder."
        )
        begin, what = partial(_begin, root, job, place), "The manifest of this download"
        database = opened_database(
            path, what, begin, trouble=trouble, in_use=in_use, before=prepare
        )
        return cls(root, database, prefix=prefix)

    def close(self) -> None:
        """Close it and unlock the folder; may be called again."""
        with contextlib.suppress(sqlite3.Error):
            self.database.close()

    def part(self, name: str, *, mode: int = USUAL) -> HashedPart:
        """Begin an unfinished file, which is put into the folder under this name."""
        return HashedPart.within(self.root / STATE_FOLDER / PARTS, self.root / name, mode=mode)

    def count(self) -> int:
        with self.using() as database:
            return int(database.execute("SELECT count(*) FROM now").fetchone()[0])

    def enter_tasks(self, tasks: Iterable[tuple[str, str]]) -> None:
        """Add tasks of media, as pairs of the task's and the media's id."""
        with self.using() as database:
            database.executemany("UPDATE media SET task_id = ? WHERE media_id = ?", tasks)

    def take(self, after: int, count: int, *, verify: bool) -> tuple[int, int, list[Wanted]]:
        """Return the next media after a number, checked on the disk; with `verify` by their hash.

        They are the number of the last one (0 if there was none), how many of them exist already,
        and the others.
        """
        with self.using() as database:
            rows = database.execute(_TAKE, (after, count)).fetchall()
        wanted, changed, shards = [], [], set()
        for seq, media_id, name, path, source, task_id, outcome, size, sha, *shard in rows:
            if outcome == DownloadOutcome.DOWNLOADED:
                if self._is_there(path, size, sha, shard, verify=verify):
                    continue
                changed.append((seq,))
                shards.add((shard[0],))
            wanted.append(Wanted(media_id, name, path, MediaSourceType(source), task_id))
        if changed:
            for name in (each for (each,) in shards if each is not None):
                if self.prefix is not None:
                    self.prefix.delete(name)
                else:
                    with telling(path := path_in(self.root, name)):
                        path.unlink(missing_ok=True)
            with self.using() as database:
                database.executemany(_GONE, changed)
                for statement in _SHARD_GONE:
                    database.executemany(statement, shards)
        last = rows[-1][0] if rows else 0
        return last, len(rows) - len(wanted), wanted

    def _is_there(
        self, path: str, size: int | None, sha: str, shard: list[Any], *, verify: bool
    ) -> bool:
        if shard[0] is None:
            sha = sha if verify else ""
            if self.prefix is not None:
                return self.prefix.holds(path, size, sha)
            return is_still_there(path_in(self.root, path), size, sha)
        name, *known = shard
        if name not in self._shards_there:  # once for all its media
            size, sha = known
            self._shards_there[name] = self._is_there(name, size, sha, [None], verify=verify)
        return self._shards_there[name]

    # Shards.

    def next_shard(self) -> str:
        with self.using() as database:
            (number,) = database.execute(_NEXT_SHARD).fetchone()
        return f"shard-{number:06}.tar"

    def claim_key(self, key: str, media_id: str) -> str:
        """Return a unique key for a sample, the same after a kill."""
        with self.using() as database:
            sql = "SELECT member FROM sample WHERE media_id = ?"
            kept = database.execute(sql, (media_id,)).fetchone()
            sql = "INSERT OR IGNORE INTO sample_key VALUES (?)"
            while kept is None and not database.execute(sql, (claim_of(key),)).rowcount:
                key = f"{key}_{media_id[:13]}"
            if kept is None:
                database.execute("INSERT INTO sample VALUES (?, NULL, ?)", (media_id, key))
        return key if kept is None else str(PurePosixPath(kept[0]).with_suffix(""))

    def note_shard(
        self, name: str, size: int, sha256: str, samples: Sequence[tuple[str, int, str, str]]
    ) -> None:
        """Record a shard that is in its place, and its media: ids, sizes, hashes and members."""
        number = int(PurePosixPath(name).stem.removeprefix("shard-"))
        with self.using() as database:
            shard = (number, name, size, sha256)
            database.execute("INSERT INTO shard VALUES (?, ?, ?, ?)", shard)
            for media_id, media_size, sha, member in samples:
                row = (DownloadOutcome.DOWNLOADED.value, media_size, sha, None, "", "", media_id)
                database.execute(_NOTE, row)
                sample = (media_id, number, member)
                database.execute("INSERT OR REPLACE INTO sample VALUES (?, ?, ?)", sample)

    def note(self, results: Sequence[DownloadResult]) -> None:
        row = attrgetter("outcome.value", "size", "sha256", "status", "key", "reason", "media_id")
        with self.using() as database:
            database.executemany(_NOTE, map(row, results))

    # Looking things up.

    def has_links(self) -> bool:
        sql = "SELECT 1 FROM now CROSS JOIN media USING (seq) WHERE source = ? LIMIT 1"
        with self.using() as database:
            found = database.execute(sql, (MediaSourceType.SHAREABLE_LINK.value,))
            return found.fetchone() is not None

    def files_of(self, media_ids: Sequence[str]) -> dict[str, tuple[str, bool]]:
        """Return the files of media that this run lists, by id, and whether they were fetched."""
        with self.using() as database:
            rows = database.execute(_FILES, (json.dumps(media_ids),)).fetchall()
        return {media_id: (path, bool(is_there)) for media_id, path, is_there in rows}


def export_manifest(manifest: Manifest) -> None:
    """Write ``manifest.jsonl`` and ``.csv``; ``listed`` is false for what is no longer listed."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    with contextlib.ExitStack() as opened:
        lines = manifest.part("manifest.jsonl", mode=PRIVATE)
        opened.callback(lines.drop)
        table = manifest.part("manifest.csv", mode=PRIVATE)
        opened.callback(table.drop)
        database = opened.enter_context(manifest.database.using())
        # Left in the middle by an error, a query would keep the database open and locked.
        cursor = opened.enter_context(contextlib.closing(database.execute(_ALL)))
        columns = [column[0] for column in cursor.description]
        writer.writerow(columns)
        while found := cursor.fetchmany(_EXPORTED):
            batch = [dict(zip(columns, row, strict=True)) for row in found]
            for row in batch:
                row["listed"] = bool(row["listed"])
                writer.writerow(csv_cells(columns, row))
            lines.write([f"{encode(row)}\n".encode("utf-8", "backslashreplace") for row in batch])
            table.write([buffer.getvalue().encode("utf-8", "backslashreplace")])
            buffer.seek(0)
            buffer.truncate()
        table.write([buffer.getvalue().encode()])  # the columns, if there are no rows
        lines.put()
        table.put()
