"""A loop over aiohttp, as one writes it by hand: N workers, no screening, no retry, no report."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.measure import arguments, measured, run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path


async def _work(session: aiohttp.ClientSession, url: str, paths: Iterator[Path]) -> None:
    for path in paths:
        body = await asyncio.to_thread(_read, path)
        headers = {"X-filename": path.name, "Content-Type": "application/octet-stream"}
        async with session.post(url, data=body, headers=headers) as response:
            response.raise_for_status()
            await response.json()


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read()


async def _upload(options: argparse.Namespace) -> None:
    url = f"{options.base_url}/api/v1/media/{options.dataset}/file"
    paths = iter(sorted(options.folder.iterdir()))
    headers = {"Authorization": "Token benchmark"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as group:
        for _ in range(options.workers):
            group.create_task(_work(session, url, paths))


def main() -> None:
    """Upload a folder."""
    options = arguments()
    with measured(["aiohttp"]):
        run(_upload(options), options)


if __name__ == "__main__":
    main()
