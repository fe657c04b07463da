"""This project's client: the whole uploader, with screening, skipping and report.

The rate limit is off, because it would be what is measured; all other settings are the defaults,
but for a number of workers where one is asked for (0: the default).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.measure import arguments, measured
from datagym_async import DataGymClient

if TYPE_CHECKING:
    import argparse


async def _upload(options: argparse.Namespace) -> None:
    async with DataGymClient("benchmark", options.base_url, rate_limit=None) as client:
        report = await client.upload(options.dataset, options.folder)
    if report.failed or report.rejected or not report.uploaded:
        raise SystemExit(f"not everything was uploaded: {report}")


def main() -> None:
    """Upload a folder."""
    options = arguments()
    with measured(["datagym-async", "aiohttp"]):
        asyncio.run(_upload(options))


if __name__ == "__main__":
    main()
