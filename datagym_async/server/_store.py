"""The database: its tables, how names are compared, one writer, one reader, short transactions.

Writers queue on a lock and use one connection; readers use a second one, so they see only what is
committed (SQLite's write-ahead log) and never wait for a writer. After a kill, the last committed
state is there.

Every table has `seq` for the order of creation, and ids are compared without case, as by the
service's database. Timestamps are milliseconds since the epoch, flags are 0 or 1, a column that
ends in `_json` is a JSON text, `folded` is `fold(name)`, `url_folded` is `fold_link(url)`.
"""

import asyncio
import contextlib
import re
import sqlite3
import time
import unicodedata
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Self, TypeAlias

import aiosqlite

from datagym_async.server._answers import Json, refuse

Row: TypeAlias = sqlite3.Row
SqlValue: TypeAlias = str | int | float | bytes | None

# Increased if a table changes; a data folder with another number is refused.
_SCHEMA_VERSION: Final = 2

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS project (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    short_description TEXT,
    description TEXT,
    timestamp INTEGER NOT NULL,
    owner TEXT NOT NULL,
    media_type TEXT NOT NULL,
    config_id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    config_timestamp INTEGER NOT NULL,
    iteration_id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    iteration_run INTEGER NOT NULL DEFAULT 1,
    entries_json TEXT NOT NULL DEFAULT '[]',
    review_activated INTEGER NOT NULL DEFAULT 0,
    deleted_at INTEGER
);

CREATE TABLE IF NOT EXISTS dataset (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    short_description TEXT,
    timestamp INTEGER NOT NULL,
    owner TEXT NOT NULL,
    media_type TEXT NOT NULL,
    deleted_at INTEGER
);
CREATE INDEX IF NOT EXISTS dataset_folded ON dataset (folded);

CREATE TABLE IF NOT EXISTS project_dataset (
    project_id TEXT NOT NULL COLLATE NOCASE REFERENCES project (id),
    dataset_id TEXT NOT NULL COLLATE NOCASE REFERENCES dataset (id),
    PRIMARY KEY (project_id, dataset_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS project_dataset_back ON project_dataset (dataset_id);

CREATE TABLE IF NOT EXISTS media (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    dataset_id TEXT NOT NULL COLLATE NOCASE REFERENCES dataset (id),
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    source TEXT NOT NULL,
    valid INTEGER NOT NULL DEFAULT 1,
    reason TEXT,
    url TEXT,
    url_folded TEXT,
    mime TEXT,
    size INTEGER NOT NULL DEFAULT 0,
    width INTEGER,
    height INTEGER,
    video_json TEXT,
    deleted_at INTEGER
);
CREATE INDEX IF NOT EXISTS media_of_dataset ON media (dataset_id, folded);
CREATE INDEX IF NOT EXISTS media_by_url ON media (dataset_id, url_folded);

CREATE TABLE IF NOT EXISTS task (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    project_id TEXT NOT NULL COLLATE NOCASE REFERENCES project (id),
    media_id TEXT NOT NULL COLLATE NOCASE REFERENCES media (id),
    state TEXT NOT NULL DEFAULT 'BACKLOG',
    type TEXT NOT NULL DEFAULT 'DEFAULT',
    pre_label_state TEXT,
    labeler TEXT,
    review_comment TEXT,
    has_json_upload INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS task_of_project ON task (project_id, state);
CREATE INDEX IF NOT EXISTS task_of_media ON task (media_id);

CREATE TABLE IF NOT EXISTS lc_value (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    task_id TEXT NOT NULL COLLATE NOCASE REFERENCES task (id) ON DELETE CASCADE,
    entry_id TEXT NOT NULL,
    parent_id TEXT COLLATE NOCASE REFERENCES lc_value (id) ON DELETE CASCADE,
    timestamp INTEGER NOT NULL,
    labeler TEXT,
    valid INTEGER NOT NULL DEFAULT 0,
    comment TEXT,
    payload_json TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS lc_value_of_task ON lc_value (task_id);
CREATE INDEX IF NOT EXISTS lc_value_of_parent ON lc_value (parent_id);
"""


class StoreError(RuntimeError):
    """Says that a data folder cannot be used, and why."""


def new_id() -> str:
    return str(uuid.uuid4())


def now() -> int:
    return time.time_ns() // 1_000_000


def fold(name: str) -> str:
    """Return the form in which the service's database compares names.

    Its collation utf8mb4_general_ci ignores case, accents and trailing blanks. Observed: OK.jpg =
    ok.jpg, tast2 = täst2, "ds2 " = ds2, straß = stras (letter by letter, so not strass).
    """
    return "".join(map(_weight, name)).rstrip(" ")


@lru_cache(maxsize=4096)
def _weight(character: str) -> str:
    if character == "ß":
        return "S"
    if ord(character) > 0xFFFF:
        # All characters beyond the basic plane are equal to the collation.
        return "\ufffd"
    decomposed = unicodedata.normalize("NFD", character)
    # A Korean syllable is no letter with accents.
    base = decomposed[0] if all(map(unicodedata.combining, decomposed[1:])) else character
    upper = base.upper()
    return upper if len(upper) == 1 else base


def fold_link(url: str) -> str:
    """Return the form in which the service compares links: letter by letter, as Java does it.

    Observed: ü = Ü and a dotless i = i, but é is not e.
    """
    upper = (each.upper() if len(each.upper()) == 1 else each for each in url)
    return "".join(each.lower()[0] for each in upper)


@lru_cache
def _column(name: str) -> str:
    return re.sub("[A-Z]", r"_\g<0>", name).lower()


def columns(row: Row, names: str) -> dict[str, Json]:
    """Return columns by the service's names: `mediaType` is the column `media_type`."""
    return {name: row[_column(name)] for name in names.split()}


class Queries:
    """Reads on one connection."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, *parameters: SqlValue) -> list[Row]:
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def row(self, sql: str, *parameters: SqlValue) -> Row | None:
        found = await self.rows(sql, *parameters)
        return found[0] if found else None

    async def find(self, what: str, sql: str, row_id: str, *more: SqlValue) -> Row:
        """Return the first row of a query by an id, or refuse with a 404 that names it `what`."""
        row = await self.row(sql, row_id, *more)
        if row is None:
            raise refuse("ex_notfound", what, "id", row_id)
        return row


class Transaction(Queries):
    async def run(self, sql: str, *parameters: SqlValue) -> int:
        """Execute one statement and return the number of rows it changed."""
        async with self._connection.execute(sql, parameters) as cursor:
            return cursor.rowcount

    async def run_many(self, sql: str, rows: Iterable[Sequence[SqlValue]]) -> None:
        async with self._connection.executemany(sql, rows):
            pass


class Store(Queries):
    """The database: read with `rows` and `row`, write within `writing`; made by `Store.open`."""

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        super().__init__(reader)
        self._writer = writer
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or make the database; a file of another version or kind is a `StoreError`."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                writer = await _connect(path)
                stack.push_async_callback(writer.close)
                await writer.execute("PRAGMA journal_mode = WAL")
                # With the write-ahead log, NORMAL survives a kill, but not every power cut.
                await writer.execute("PRAGMA synchronous = NORMAL")
                (found,) = next(iter(await writer.execute_fetchall("PRAGMA user_version")))
                if found not in (0, _SCHEMA_VERSION):
                    raise StoreError(
                        f"{path} was written by another version of this package (layout {found},"
                        f" this one reads {_SCHEMA_VERSION}): use that version, or another data"
                        " folder."
                    )
                await writer.executescript(_SCHEMA)
                await writer.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
                reader = await _connect(path)
            except sqlite3.DatabaseError as error:
                of_the_file = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
                is_odd = error.sqlite_errorcode & 0xFF in of_the_file  # otherwise it is the disk
                what = "is not a database of this service" if is_odd else "cannot be used"
                raise StoreError(f"{path} {what}: {error}.") from None
            stack.pop_all()
        return cls(writer, reader)

    async def aclose(self) -> None:
        try:
            await self._connection.close()
        finally:
            await self._writer.close()

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """Begin a transaction; any exception undoes it. Keep it short: all other writers wait."""
        async with self._lock:
            # All of this is done in its order, also what nobody waits for after a cancellation.
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield Transaction(self._writer)
                await self._writer.commit()
            except BaseException:
                await self._writer.rollback()
                raise


async def _connect(path: Path) -> aiosqlite.Connection:
    async def connect() -> aiosqlite.Connection:
        connection = await aiosqlite.connect(path, isolation_level=None)
        connection.row_factory = sqlite3.Row
        await connection.execute("PRAGMA foreign_keys = ON")
        return connection

    connecting = asyncio.create_task(connect())
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:  # a connection that nobody gets would stay open
        with contextlib.suppress(sqlite3.Error):
            await (await connecting).close()
        raise
