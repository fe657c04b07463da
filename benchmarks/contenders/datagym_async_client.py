"""This project's client: the whole uploader, with journal, screening, events, progress and report.

The rate limit is off, because it would be what is measured. With ``--defaults`` all else is as a
library's user has it who sets nothing: screening, progress and report, no journal and no events.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import arguments, measured, run
from datagym_async import DataGymClient
from datagym_async.uploads import UploadConfig

if TYPE_CHECKING:
    import argparse

    from datagym_async.uploads import Uploader

FRAME_SECONDS = 0.1
"""How often a display asks for the progress."""


async def _watch(run: Uploader) -> None:
    while True:
        assert run.progress.seconds >= 0
        await asyncio.sleep(FRAME_SECONDS)


async def _load(options: argparse.Namespace) -> None:
    async with DataGymClient("benchmark", options.base_url) as client:
        client.uploader(options.dataset, options.folder)


async def _upload(options: argparse.Namespace, journal: Path) -> None:
    events: list[object] = []
    config = UploadConfig(journal=journal, on_event=events.append)
    if options.defaults:
        config = UploadConfig()
    async with (
        DataGymClient("benchmark", options.base_url, rate_limit=None) as client,
        client.uploader(options.dataset, options.folder, config=config) as run,
        asyncio.TaskGroup() as group,
    ):
        display = group.create_task(_watch(run))
        async for _ in run:
            events.clear()  # somebody took note
        display.cancel()
    report = run.report
    if report.failed or report.rejected or not report.uploaded:
        raise SystemExit(f"not everything was uploaded: {report}")
    report.to_json()


def main() -> None:
    """Upload a folder."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        journal = Path(scratch) / "upload.journal"
        run(_load(options), options)  # the modules, which the loops load at their top, too
        with measured(["datagym-async", "aiohttp"]):
            run(_upload(options, journal), options)


if __name__ == "__main__":
    main()
