"""The watchers of every test see what they are there for."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import aiosqlite
import pytest

from tests.helpers.leaks import new_descriptors, new_tasks, open_descriptors
from tests.helpers.sentinel import TOKEN, SentinelHandler, contains_sentinel


async def test_an_unfinished_task_is_seen() -> None:
    """A task that goes on after a test is named; one that ends in the next turns is none."""
    before = asyncio.all_tasks()
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0), name="short")
        endless = group.create_task(asyncio.sleep(1000), name="endless")
        leaked = await new_tasks(before)
        endless.cancel()

    assert len(leaked) == 1
    assert "endless" in leaked[0]


def test_an_open_file_is_seen(tmp_path: Path) -> None:
    """A file that stays open is named by its path."""
    path = tmp_path / "left open"
    before = open_descriptors()
    if not before:
        pytest.skip("this system does not tell its open files")
    with path.open("w"):
        assert new_descriptors(before) == [str(path)]

    assert new_descriptors(before) == []


@pytest.mark.parametrize(
    ("text", "values", "leaks"),
    [("a %s b", (TOKEN,), 1), (f"x{TOKEN}x", (), 1), ("%r", ({"t": TOKEN},), 1), ("%s", ("-",), 0)],
)
def test_a_spoken_token_is_heard(text: str, values: tuple[object, ...], leaks: int) -> None:
    """The token is found in a record's text and in its values."""
    handler = SentinelHandler()
    handler.handle(logging.LogRecord("x", logging.DEBUG, "x.py", 1, text, values, None))

    assert len(handler.leaks) == leaks


def test_the_token_is_found_in_causes_and_groups() -> None:
    """An exception holds the token if its cause does, its attributes, or one of its group."""
    cause = ValueError("clean")
    cause.add_note("clean")
    error = RuntimeError("clean")
    error.__cause__ = cause
    assert not contains_sentinel(error)

    cause.headers = {"Authorization": TOKEN}  # type: ignore[attr-defined]  # as libraries do it
    assert contains_sentinel(error)
    assert contains_sentinel(ExceptionGroup("group", [KeyError("clean"), error]))


BUSY = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
SELECT max(i) FROM n
"""


@pytest.mark.looptime
async def test_virtual_time_waits_for_the_database() -> None:
    """The clock leaps to no timer while a statement runs, which may take long on a busy machine."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(60), aiosqlite.connect(":memory:") as database:
        rows = list(await database.execute_fetchall(BUSY))

    assert rows == [(300_000,)]
    assert loop.time() - began < 60
