"""Upload a folder with a journal, to the end or until killed: what `benchmarks.chaos` kills.

``python -m benchmarks.chaos_job FOLDER BASE_URL DATASET_ID JOURNAL``; the token comes from
``DATAGYM_TOKEN``. Prints the report as JSON. A list of links beside the folder is a source as well;
then images are prepared, too.
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


def job(folder: Path, journal: Path | None) -> tuple[list[Path], UploadConfig]:
    """Return the sources and the options of a job."""
    links = folder.with_name("links.txt")
    if not links.exists():
        return [folder], UploadConfig(journal=journal)
    return [folder, links], UploadConfig(
        journal=journal, prepare=("orientation", "convert"), batch_size=20
    )


async def upload(folder: Path, base_url: str, dataset_id: str, journal: Path) -> str:
    """Upload and return the report as JSON."""
    sources, config = job(folder, journal)
    async with DataGymClient(base_url=base_url, rate_limit=None, retry=RETRY) as client:
        return (await client.upload(dataset_id, sources, config=config)).to_json()


def main() -> None:
    """Upload as the command line asks."""
    folder, base_url, dataset_id, journal = sys.argv[1:]
    try:
        print(asyncio.run(upload(Path(folder), base_url, dataset_id, Path(journal))))
    except DataGymError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
