"""This project's client again, with images that a source makes up as it goes: no disk is read.

``python -m benchmarks.contenders.generated COUNT BASE_URL``, with options.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.files import TINY
from benchmarks.measure import measured
from benchmarks.minimal_server import held_name
from datagym_async import DataGymClient
from datagym_async.uploads import UploadConfig, UploadItem

DATASET = "00000000-0000-4000-8000-000000000001"


async def _items(count: int) -> AsyncIterator[UploadItem]:
    for number in range(count):
        yield UploadItem(held_name(number), TINY + number.to_bytes(8, "big"))


async def _upload(options: argparse.Namespace) -> None:
    config = UploadConfig(max_per_dataset=options.max_per_dataset, journal=options.journal)
    async with DataGymClient("benchmark", options.base_url, rate_limit=None) as client:
        report = await client.upload(DATASET, _items(options.count), config=config)
    if report.uploaded != options.count:
        raise SystemExit(f"not everything was uploaded: {report.summary()}")


def main() -> None:
    """Upload generated images as the command line asks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("base_url")
    parser.add_argument("--max-per-dataset", type=int)
    parser.add_argument("--journal", type=Path)
    options = parser.parse_args()
    with measured(["datagym-async", "aiohttp"]):
        asyncio.run(_upload(options))


if __name__ == "__main__":
    main()
