"""Bodies made of files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async.exceptions import DataGymError, FileChangedError
from datagym_async.resources import file_body

if TYPE_CHECKING:
    from datagym_async._wire import Body

CHUNK_SIZE = 1024 * 1024
SIZES = {"empty": 0, "one byte": 1, "a chunk": CHUNK_SIZE, "more": 2 * CHUNK_SIZE + 5}


def aopen(body: Body) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
    assert body.open is not None
    return body.open()


async def chunks_of(body: Body) -> list[bytes]:
    async with aopen(body) as stream:
        return [chunk async for chunk in stream]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_a_file_is_sent_in_chunks_as_often_as_asked(tmp_path: Path, size: int) -> None:
    """A body is a recipe: each attempt opens the file anew and sees all of it."""
    path = tmp_path / "a.jpg"
    content = os.urandom(size)
    path.write_bytes(content)
    body = file_body(path, size)
    for _ in range(2):
        chunks = await chunks_of(body)
        assert b"".join(chunks) == content
        assert all(len(chunk) <= CHUNK_SIZE for chunk in chunks)


@pytest.mark.parametrize("found", [0, 9, 11], ids=["emptied", "shrunk", "grown"])
async def test_a_file_of_another_size_is_not_sent(tmp_path: Path, found: int) -> None:
    """A file that changed since it was looked at sends nothing at all."""
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(found))
    with pytest.raises(FileChangedError, match=f"10 bytes .* {found} bytes"):
        await chunks_of(file_body(path, 10))


async def test_a_vanished_file_is_said(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(FileChangedError, match=r"a\.jpg"):
        await chunks_of(file_body(tmp_path / "a.jpg", 10))


async def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A body is opened when it is sent, long after it was looked at."""
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(DataGymError, match=r"a\.jpg is a pipe"):
        await chunks_of(file_body(tmp_path / "a.jpg", 10))


def truncate(path: Path) -> None:
    os.truncate(path, CHUNK_SIZE + 1)


def extend(path: Path) -> None:
    os.truncate(path, 3 * CHUNK_SIZE)


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


@pytest.mark.parametrize("change", [truncate, extend, touch])
async def test_a_change_while_it_is_sent_stops_before_the_last_chunk(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """The service stores nothing of a body that is cut, so that no mixture is ever stored."""
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(2 * CHUNK_SIZE))
    sent = 0

    async def send() -> None:
        nonlocal sent
        async with aopen(file_body(path, 2 * CHUNK_SIZE)) as stream:
            async for chunk in stream:
                sent += len(chunk)
                await asyncio.to_thread(change, path)

    with pytest.raises(FileChangedError):
        await send()
    assert sent < 2 * CHUNK_SIZE


async def test_a_file_left_early_is_closed(tmp_path: Path) -> None:
    """An attempt that breaks off closes its file (the fixtures look for open ones)."""
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(2 * CHUNK_SIZE))
    async with aopen(file_body(path, 2 * CHUNK_SIZE)) as stream:
        first = await anext(stream)
    assert len(first) == CHUNK_SIZE


async def test_cancelled_openings_are_closed(tmp_path: Path) -> None:
    """A wait for the opening that is cancelled leaves no file open."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")

    async def opened() -> None:
        async with aopen(file_body(path, 1)):
            await asyncio.sleep(3600)

    tasks = [asyncio.get_running_loop().create_task(opened()) for _ in range(20)]
    for index, task in enumerate(tasks):
        for _ in range(index % 4):
            await asyncio.sleep(0)
        task.cancel()
    done, _ = await asyncio.wait(tasks)
    assert all(task.cancelled() for task in done)
    await asyncio.get_running_loop().shutdown_default_executor()
