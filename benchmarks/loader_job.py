"""One measurement of `benchmarks.loader`, in a process of its own; it prints JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import aiohttp
import attrs

from benchmarks.loader_server import DATASET_ID
from benchmarks.measure import cpu_seconds, peak_rss, stay_on
from datagym_async import DataGymClient

if TYPE_CHECKING:
    from datagym_async.data import DatasetLoader, Sample

FIRST = 32
"""Samples before the waiting is measured: the first batch."""


@attrs.frozen
class Options:
    """What is asked for.

    Args:
        base_url: The service.
        concurrency: Downloads in flight, pinned; None for what the client finds out.
        prefetch: Samples loaded ahead.
        prefetch_bytes: Bytes loaded ahead.
        seconds: What the consumer takes for a sample.
        blocks: Whether it holds the event loop meanwhile.
        core: The processor core to stay on; None for any.
    """

    base_url: str
    concurrency: int | None = None
    prefetch: int = 64
    prefetch_bytes: int = 256 << 20
    seconds: float = 0.0
    blocks: bool = False
    core: int | None = None


@contextlib.asynccontextmanager
async def _loading(
    options: Options, cache: str | None = None
) -> AsyncIterator[DatasetLoader[Sample]]:
    async with (
        DataGymClient("benchmark", options.base_url, rate_limit=None) as client,
        client.loader(
            DATASET_ID,
            concurrency=options.concurrency,
            prefetch=options.prefetch,
            prefetch_bytes=options.prefetch_bytes,
            cache=cache,
        ) as loader,
    ):
        yield loader


async def epoch(options: Options) -> dict[str, float]:
    """Load an epoch as fast as it goes; all modules are loaded before, as for the loop."""
    async with DataGymClient("benchmark", options.base_url) as client:
        client.loader(DATASET_ID)
    began, cpu, count = time.perf_counter(), cpu_seconds(), 0
    async with _loading(options) as loader:
        async for sample in loader:
            count += bool(sample.data)
    seconds = time.perf_counter() - began
    return {"samples": count, "seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


async def loop(options: Options) -> dict[str, float]:
    """Download all media in a loop over aiohttp, as one writes it by hand."""
    found = 0

    async def take(data: bytes) -> None:
        nonlocal found
        found += bool(data)

    began, cpu = time.perf_counter(), cpu_seconds()
    await _download_all(options, take)
    seconds = time.perf_counter() - began
    return {"samples": found, "seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


async def queue(options: Options) -> dict[str, float]:
    """Do the same, and hand everything to a consumer through a queue."""
    samples: asyncio.Queue[bytes | None] = asyncio.Queue(options.prefetch)
    began, cpu, found = time.perf_counter(), cpu_seconds(), 0

    async def produce() -> None:
        await _download_all(options, samples.put)
        await samples.put(None)

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        while (data := await samples.get()) is not None:
            found += bool(data)
    seconds = time.perf_counter() - began
    return {"samples": found, "seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


async def _download_all(options: Options, take: Callable[[bytes], Awaitable[None]]) -> None:
    api = f"{options.base_url}/api/v1"
    async with aiohttp.ClientSession(headers={"Authorization": "Token benchmark"}) as session:
        async with session.get(f"{api}/dataset/{DATASET_ID}") as response:
            media = sorted(each["id"] for each in (await response.json())["media"])

        async def work(ids: Iterator[str]) -> None:
            for media_id in ids:
                async with session.get(f"{api}/media/{media_id}") as response:
                    response.raise_for_status()
                    await take(await response.read())

        ids = iter(media)
        async with asyncio.TaskGroup() as group:
            for _ in range(options.concurrency or 16):
                group.create_task(work(ids))


async def wait(options: Options) -> dict[str, float]:
    """Consume an epoch at a pace, and say how long the consumer waited after the first batch."""
    waited, since, count = 0.0, 0.0, 0
    async with _loading(options) as loader:
        samples = aiter(loader)
        while True:
            asked = time.perf_counter()
            try:
                await anext(samples)
            except StopAsyncIteration:
                break
            got = time.perf_counter()
            count += 1
            if count == FIRST:
                since = got
            elif count > FIRST:
                waited += got - asked
            if options.blocks:
                time.sleep(options.seconds)  # noqa: ASYNC251 -- that is what is measured
            else:
                await asyncio.sleep(options.seconds)
    seconds = time.perf_counter() - since
    return {"samples": count, "seconds": seconds, "waited": waited, "share": waited / seconds}


async def memory(options: Options) -> dict[str, float]:
    """Let the loader load all it may before the first sample is taken, then take all."""
    count = 0
    async with _loading(options) as loader:
        async for _ in loader:
            if not count:
                await asyncio.sleep(options.seconds)
            count += 1
    return {"samples": count, "peak_rss": peak_rss()}


async def cache(options: Options) -> dict[str, float]:
    """Load two epochs with a cache that was empty."""
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as folder:
        async with _loading(options, folder) as loader:
            taken, count = [], 0
            for _ in range(2):
                began = time.perf_counter()
                async for _ in loader:
                    count += 1
                taken.append(time.perf_counter() - began)
    first, second = taken
    return {"samples": count, "first": first, "second": second, "ratio": first / second}


JOBS: dict[str, Callable[[Options], Awaitable[dict[str, float]]]] = {
    "epoch": epoch,
    "loop": loop,
    "queue": queue,
    "wait": wait,
    "memory": memory,
    "cache": cache,
}


async def _measured(name: str, options: Options) -> dict[str, float]:
    stay_on(options.core)
    async with _loading(options):  # before the clock, as the modules of the loops are loaded
        pass
    return await JOBS[name](options)


if __name__ == "__main__":
    asked = Options(**json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(asyncio.run(_measured(sys.argv[1], asked))) + "\n")
