"""A loop over aiohttp, as one writes it by hand: N workers, no screening, no retry, no report.

Each worker reads its file in a thread, or several files in one hop (``--portion N``), or in the
event loop itself (``--portion 0``): which is fastest depends on the machine, so all are measured.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.measure import arguments, measured, run

if TYPE_CHECKING:
    import argparse


async def _work(
    session: aiohttp.ClientSession, url: str, paths: Iterator[Path], portion: int
) -> None:
    while some := list(itertools.islice(paths, max(1, portion))):
        if portion:
            bodies = await asyncio.to_thread(_read, some)
        else:
            bodies = _read(some)
        for path, body in zip(some, bodies, strict=True):
            headers = {"X-filename": path.name, "Content-Type": "application/octet-stream"}
            async with session.post(url, data=body, headers=headers) as response:
                response.raise_for_status()
                await response.json()


def _read(paths: list[Path]) -> list[bytes]:
    bodies = []
    for path in paths:
        with path.open("rb") as file:
            bodies.append(file.read())
    return bodies


async def _upload(options: argparse.Namespace) -> None:
    url = f"{options.base_url}/api/v1/media/{options.dataset}/file"
    paths = iter(sorted(options.folder.iterdir()))
    headers = {"Authorization": "Token benchmark"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as group:
        for _ in range(options.workers):
            group.create_task(_work(session, url, paths, options.portion))


def main() -> None:
    """Upload a folder."""
    options = arguments()
    with measured(["aiohttp"]):
        run(_upload(options), options)


if __name__ == "__main__":
    main()
