"""This project's client, going on with a journal: ``FOLDER BASE_URL JOURNAL``."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from benchmarks.contenders.generated import DATASET
from benchmarks.measure import measured
from datagym_async import DataGymClient
from datagym_async.uploads import UploadConfig


async def _upload(folder: Path, base_url: str, journal: Path) -> str:
    async with DataGymClient("benchmark", base_url, rate_limit=None) as client:
        report = await client.upload(DATASET, folder, config=UploadConfig(journal=journal))
    return report.summary()


def main() -> None:
    """Go on with an upload, and print when it began and what it says of itself."""
    folder, base_url, journal = sys.argv[1:]
    began = time.time()
    with measured(["datagym-async", "aiohttp"]):
        summary = asyncio.run(_upload(Path(folder), base_url, Path(journal)))
        print(json.dumps({"began": began, "summary": summary}))


if __name__ == "__main__":
    main()
