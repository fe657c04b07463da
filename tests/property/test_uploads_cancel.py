"""Cancelled at any moment, an upload leaves no task, no request, no file and no generator open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datagym_async.uploads import UploadConfig, Uploader, UploadItem
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.leaks import open_descriptors
from tests.helpers.photos import SOUND_JPEG

if TYPE_CHECKING:
    from datagym_async.uploads import Source

JPEG = SOUND_JPEG


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of small and large files in two levels, and a manifest."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    for number in range(30):
        (folder / f"{number}.jpg").write_bytes(JPEG + b"x" * (100 if number % 2 else 40_000))
    for number in range(3):
        (folder / "sub" / f"large-{number}.jpg").write_bytes(JPEG + b"x" * 4_500_000)
    (folder / "list.txt").write_text(
        "".join(f"http://h/link-{number}.jpg\n" for number in range(70))
    )
    return folder


class Generators:
    """Sources of our own, that know whether they are open."""

    def __init__(self) -> None:
        self.open = 0

    def images(self) -> Iterator[UploadItem]:
        """Yield images in memory."""
        self.open += 1
        try:
            for number in range(20):
                yield UploadItem(f"sync-{number}.jpg", JPEG)
        finally:
            self.open -= 1

    async def arriving(self) -> AsyncIterator[Source]:
        """Yield images in memory, some in a nested generator."""
        self.open += 1
        try:
            for number in range(20):
                await asyncio.sleep(0)
                yield UploadItem(f"async-{number}.jpg", JPEG)
            yield self.images()
        finally:
            self.open -= 1


async def upload(folder: Path, service: FakeService, generators: Generators) -> None:
    """Run one upload of everything."""
    sources: list[Source] = [
        folder,
        folder / "list.txt",
        generators.images(),
        generators.arriving(),
    ]
    config = UploadConfig(concurrency=3)
    async with Uploader(service, service, DATASET_ID, sources, config=config) as run:
        await run.finish()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ticks=st.integers(0, 400), again=st.integers(0, 3))
async def test_cancelled_at_any_tick(folder: Path, ticks: int, again: int) -> None:
    """After a number of turns of the loop the task is cancelled, perhaps more than once."""
    service, generators = FakeService(), Generators()
    before = open_descriptors()

    task = asyncio.create_task(upload(folder, service, generators))
    for _ in range(ticks):
        await asyncio.sleep(0)
    for _ in range(1 + again):
        task.cancel()
        await asyncio.sleep(0)
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert len(asyncio.all_tasks()) == 1
    assert (service.in_flight, generators.open) == (0, 0)
    assert len(open_descriptors()) <= len(before)


async def test_uncancelled_it_ends(folder: Path) -> None:
    """The same upload, left alone, stores everything: the moments above lie within it."""
    service, generators = FakeService(), Generators()

    await upload(folder, service, generators)

    assert len(service.stored) == 33 + 20 + 20  # the nested generator's names come again
    assert len(service.urls) == 70
