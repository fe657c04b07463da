"""This project's client uploads a folder or a prefix of a store: ``SOURCE BASE_URL ENDPOINT``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import measured
from datagym_async import DataGymClient
from datagym_async.uploads import UploadConfig

DATASET = "00000000-0000-4000-8000-000000000001"


async def _upload(source: str, base_url: str, endpoint: str, journal: Path) -> None:
    options = {"endpoint": endpoint, "region": "x", "skip_signature": "true"}
    config = UploadConfig(journal=journal, store_options=options)
    async with (
        DataGymClient("benchmark", base_url, rate_limit=None) as client,
        client.uploader(DATASET, source, config=config) as run,
    ):
        async for _ in run:
            pass
    if not run.report.ok:
        raise SystemExit(f"not everything was uploaded: {run.report}")


def main() -> None:
    """Upload what the command line names."""
    source, base_url, endpoint = sys.argv[1:4]
    with (
        tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch,
        measured(["datagym-async", "obstore"]),
    ):
        asyncio.run(_upload(source, base_url, endpoint, Path(scratch) / "upload.journal"))


if __name__ == "__main__":
    main()
