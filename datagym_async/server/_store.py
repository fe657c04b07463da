"""The database: one writer, one reader, short transactions.

Writers queue on a lock and work on one connection; readers use a second one, so that they see only
what is committed (SQLite's write-ahead log) and never wait for a writer. A killed process leaves
the last committed state.
"""

import asyncio
import contextlib
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Self

import aiosqlite

from ._fold import fold
from ._schema import SCHEMA, SCHEMA_VERSION

__all__ = ["Row", "Store", "StoreError", "Writer", "new_id", "now"]

Row = sqlite3.Row
Value = str | int | float | bytes | None


class StoreError(RuntimeError):
    """Says that a data folder cannot be used, and why."""


def new_id() -> str:
    """Return a fresh id as the service writes them: a lower-case UUID."""
    return str(uuid.uuid4())


def now() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Writer:
    """What a transaction may do; all of it is undone when its block ends with an exception."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def run(self, sql: str, *parameters: Value) -> int:
        """Execute one statement and return the number of rows it changed."""
        async with self._connection.execute(sql, parameters) as cursor:
            return cursor.rowcount

    async def run_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Execute one statement for each row of parameters, in one hop to the database's thread."""
        async with self._connection.executemany(sql, rows):
            pass

    async def rows(self, sql: str, *parameters: Value) -> list[Row]:
        """Return all rows of a query, what this transaction wrote included."""
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def row(self, sql: str, *parameters: Value) -> Row | None:
        """Return the first row of a query, or None."""
        found = await self.rows(sql, *parameters)
        return found[0] if found else None


class Store:
    """Holds the two connections; made by `Store.open`, closed by `aclose`."""

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._writer = writer
        self._reader = reader
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the database, making it when it is not there.

        Raises:
            StoreError: The file is of another version of this package, or is no database.
        """
        writer = await _connect(path)
        try:
            await _prepare(writer, path)
            reader = await _connect(path)
        except sqlite3.DatabaseError as error:
            await writer.close()
            raise StoreError(f"{path} is not a database of this service: {error}.") from None
        except BaseException:
            await writer.close()
            raise
        return cls(writer, reader)

    async def aclose(self) -> None:
        """Close both connections, which also folds the write-ahead log into the database."""
        try:
            await self._reader.close()
        finally:
            await self._writer.close()

    async def rows(self, sql: str, *parameters: Value) -> list[Row]:
        """Return all rows of a query over what is committed."""
        return list(await self._reader.execute_fetchall(sql, parameters))

    async def row(self, sql: str, *parameters: Value) -> Row | None:
        """Return the first row of a query over what is committed, or None."""
        found = await self.rows(sql, *parameters)
        return found[0] if found else None

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[Writer]:
        """Begin a transaction: committed when the block ends, undone by any exception.

        Keep it short: all other writers wait.
        """
        async with self._lock:
            if self._writer.in_transaction:
                # Left by a transaction whose undoing was itself cancelled.
                await self._writer.rollback()
            await self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield Writer(self._writer)
                await self._writer.commit()
            except BaseException:
                await self._writer.rollback()
                raise

    async def meta(self, key: str) -> str | None:
        """Return a setting kept in the data folder, or None."""
        row = await self.row("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row["value"])

    async def set_meta(self, **settings: str | None) -> None:
        """Keep settings in the data folder; None forgets one."""
        async with self.writing() as db:
            for key, value in settings.items():
                await db.run("DELETE FROM meta WHERE key = ?", key)
                if value is not None:
                    await db.run("INSERT INTO meta VALUES (?, ?)", key, value)


async def _connect(path: Path) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    await connection.create_function("fold", 1, fold, deterministic=True)
    await connection.execute("PRAGMA foreign_keys = ON")
    return connection


async def _prepare(connection: aiosqlite.Connection, path: Path) -> None:
    await connection.execute("PRAGMA journal_mode = WAL")
    # With the write-ahead log, NORMAL survives a killed process; only a power cut may lose the last
    # commits.
    await connection.execute("PRAGMA synchronous = NORMAL")
    (found,) = next(iter(await connection.execute_fetchall("PRAGMA user_version")))
    if found not in (0, SCHEMA_VERSION):
        raise StoreError(
            f"{path} was written by another version of this package (layout {found}, this one reads"
            f" {SCHEMA_VERSION}): use that version, or another data folder."
        )
    await connection.executescript(SCHEMA)
    await connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
