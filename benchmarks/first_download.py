"""Show how soon a large download begins: ``python -m benchmarks.first_download --items 1000000``.

A dataset of so many media, listed in parts in no order, as large datasets are. Measured, in a fresh
process, is the time from the call to the first result, without a network: what is left is the work
of the manifest, which names a file for each media before anything is fetched. A second run shows
how soon the same download goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import attrs

from benchmarks.machine import machine_facts
from datagym_async._runs._engine import DownloadSources
from datagym_async.downloads import DownloadConfig, Downloader
from datagym_async.downloads._manifest import DownloadJob
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType

T = TypeVar("T")
_DATASET = str(UUID(int=1))
_PART = 1000


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_download")
    parser.add_argument("--quick", action="store_true", help="few items: a smoke test")
    parser.add_argument("--items", type=int, nargs="+", help="media (100,000 and 1,000,000)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of the process measured
    options = parser.parse_args()
    counts = options.items or ([2_000] if options.quick else [100_000, 1_000_000])
    if options.folder is not None:
        print(json.dumps(asyncio.run(_measured(options.folder, counts[0]))))
        return
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
            for run in ("first", "second"):
                first, peak = _in_a_process(count, Path(scratch) / "out")
                print(
                    f"{count:,} media, {run} run: {first:.2f} s to the first result,"
                    f" peak RSS {peak:.0f} MB"
                )
    print("\n".join(f"{name}: {value}" for name, value in machine_facts().items()))


def _in_a_process(count: int, folder: Path) -> tuple[float, float]:
    words = ["-m", "benchmarks.first_download", "--items", str(count), "--folder", str(folder)]
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
    first, peak = json.loads(done.stdout)
    return first, peak


async def _measured(folder: Path, count: int) -> tuple[float, float]:
    library: Any = _Library(count)
    sources = DownloadSources(library, library, library, library, library)
    job = DownloadJob(library.base_url, "dataset", _DATASET)
    began = time.perf_counter()
    async with Downloader(sources, job, folder, config=DownloadConfig(concurrency=4)) as run:
        async for _ in run:
            break
        first = time.perf_counter() - began
    return first, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@attrs.frozen
class _Library:
    """A dataset that is made up as it is asked for."""

    count: int
    base_url: str = "http://127.0.0.1"

    async def read_parts(
        self, reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]], dataset_id: str
    ) -> T:
        return await reading(self._parts(dataset_id))

    async def _parts(self, dataset_id: str) -> AsyncIterator[Dataset]:
        chance = random.Random(4)
        for start in range(0, self.count, _PART):
            numbers = range(start, min(start + _PART, self.count))
            media = tuple([_media(chance, number) for number in numbers])
            yield Dataset(id=dataset_id, name="large", timestamp=0, media=media)

    @asynccontextmanager
    async def stream(
        self, media_id: str, *, link: bool = False, max_bytes: int = 0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        del link, max_bytes
        yield _pieces(media_id)


async def _pieces(media_id: str) -> AsyncIterator[bytes]:
    yield media_id.encode()


def _media(chance: random.Random, number: int) -> DatasetMedia:
    media_id = str(UUID(int=chance.getrandbits(128)))
    name = f"photo-{chance.getrandbits(40):010x}.jpg"
    return DatasetMedia(
        id=media_id,
        timestamp=1_700_000_000_000 + number,
        source_type=MediaSourceType.LOCAL,
        name=name,
    )


if __name__ == "__main__":
    main()
