"""Upload a folder with a journal, to the end or until killed: what `benchmarks.chaos` kills.

``python -m benchmarks.chaos_job FOLDER BASE_URL DATASET_ID JOURNAL``; the token comes from
``DATAGYM_TOKEN``. Prints the report as JSON.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from datagym_async import DataGymClient, RetryPolicy
from datagym_async.exceptions import DataGymError
from datagym_async.uploads import UploadConfig

RETRY = RetryPolicy(initial_delay=0.05, max_delay=1.0, settle_after=0.3)
"""Short waits: what is tested is what happens, not how patiently."""


async def upload(folder: Path, base_url: str, dataset_id: str, journal: Path) -> str:
    """Upload and return the report as JSON."""
    async with DataGymClient(base_url=base_url, rate_limit=None, retry=RETRY) as client:
        report = await client.upload(dataset_id, folder, config=UploadConfig(journal=journal))
    return report.to_json()


def main() -> None:
    """Upload as the command line asks."""
    folder, base_url, dataset_id, journal = sys.argv[1:]
    try:
        print(asyncio.run(upload(Path(folder), base_url, dataset_id, Path(journal))))
    except DataGymError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
