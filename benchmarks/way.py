"""Count the way of one file: ``python -m benchmarks.way``.

How many functions of ours run for one more file (an upload with the library's defaults, the same
journalled, a download into a folder, a sample of a loader), in how many modules, and how many
frames of ours stand between the task and aiohttp when a request asks for a connection. The figures
of N files are taken from those of 2 N: what happens once a run is not counted. ``import`` counts
the modules that ``from datagym_async import DataGymClient`` loads. Counted, not timed: nearly the
same on every machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import aiohttp

import datagym_async
from benchmarks import runner
from benchmarks.files import write_files
from benchmarks.loader_server import DATASET_ID
from datagym_async import DataGymClient
from datagym_async.uploads import UploadConfig

OURS = str(Path(datagym_async.__file__).parent)
SIZE = 8_000
JOBS = ("upload", "upload, journalled", "download", "loader sample")
_IMPORT = """
import sys
from datagym_async import DataGymClient
print(sum(name.partition(".")[0] == "datagym_async" for name in sys.modules), len(sys.modules))
"""


class Count:
    """Counts calls of our functions in all threads, and frames of ours at a request."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[CodeType, int]] = Counter()
        self.frames = 0
        self._connect = aiohttp.TCPConnector.connect

    def __enter__(self) -> Count:
        count = self

        async def connect(pool: aiohttp.TCPConnector, *args: Any, **named: Any) -> Any:
            # Each request asks the pool for a connection, whichever way it takes.
            count._measure(sys._getframe(1))
            return await count._connect(pool, *args, **named)

        aiohttp.TCPConnector.connect = connect  # type: ignore[method-assign,assignment]
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)
        aiohttp.TCPConnector.connect = self._connect  # type: ignore[method-assign]

    def _note(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            self.seen[frame.f_code, frame.f_lasti] += 1

    @property
    def calls(self) -> Counter[CodeType]:
        """Return how often each function was called.

        A coroutine that resumes is told like a call, but from further down in its code.
        """
        first: dict[CodeType, int] = {}
        for code, at in self.seen:
            first[code] = min(at, first.get(code, at))
        return Counter({code: self.seen[code, at] for code, at in first.items()})

    def _measure(self, frame: FrameType | None) -> None:
        frames = 0
        while frame is not None:
            frames += frame.f_code.co_filename.startswith(OURS)
            frame = frame.f_back
        self.frames = frames


async def _upload(client: DataGymClient, folder: Path, scratch: Path, *, journal: bool) -> None:
    config = UploadConfig(journal=scratch / "journal") if journal else UploadConfig()
    async with client.uploader(DATASET_ID, folder, config=config) as run:
        async for _ in run:
            pass
    assert not run.report.failed


async def _download(client: DataGymClient, scratch: Path) -> None:
    report = await client.download_dataset(DATASET_ID, scratch / "out")
    assert report.complete, report


async def _load(client: DataGymClient) -> None:
    async with client.loader(DATASET_ID) as loader:
        async for _ in loader:
            pass


def _taken(job: str, count: int) -> Count:
    """Return what a job over so many files calls."""
    with tempfile.TemporaryDirectory(prefix="datagym-way-") as name:
        scratch = Path(name)
        is_upload = job.startswith("upload")
        if is_upload:
            write_files(scratch / "in", count=count, size=SIZE)
            server = runner.minimal_server()
        else:
            server = runner.minimal_server(str(count), str(SIZE), "0", module="loader_server")
        works: dict[str, Callable[[DataGymClient], Awaitable[None]]] = {
            "upload": lambda client: _upload(client, scratch / "in", scratch, journal=False),
            "upload, journalled": lambda client: _upload(
                client, scratch / "in", scratch, journal=True
            ),
            "download": lambda client: _download(client, scratch),
            "loader sample": _load,
        }

        async def run(base_url: str) -> Count:
            async with DataGymClient("benchmark", base_url, rate_limit=None) as client:
                with Count() as counted:
                    await works[job](client)
            return counted

        with server as base_url:
            return asyncio.run(run(base_url))


def way(job: str, count: int) -> dict[str, object]:
    """Return calls, functions, modules and frames of one more file of a job."""
    fewer, most = _taken(job, count), _taken(job, 2 * count)
    less, more = fewer.calls, most.calls
    per_file = {
        code: (calls - less[code]) / count
        for code, calls in more.items()
        if calls - less[code] > count / 2
    }
    rest = (more.total() - less.total()) / count
    return {
        "calls": round(rest, 1),
        "functions": len(per_file),
        "modules": len({code.co_filename for code in per_file}),
        "frames": most.frames,
        "most called": {
            f"{Path(code.co_filename).relative_to(OURS)}:{code.co_qualname}": round(calls, 1)
            for code, calls in sorted(per_file.items(), key=lambda each: -each[1])
        },
    }


def main() -> None:
    """Print the figures of all jobs, or of those that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.way", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="files (2000, and twice as many)")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--most", type=int, default=0, help="functions to list for each job")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {job: way(job, options.count) for job in options.jobs}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True
    )
    ours, everything = map(int, done.stdout.split())
    if options.json:
        print(json.dumps({**found, "import": {"modules": ours, "all modules": everything}}))
        return
    for job, figures in found.items():
        listed = figures.pop("most called")
        print(f"{job}: " + ", ".join(f"{value} {name}" for name, value in figures.items()))
        assert isinstance(listed, dict)
        for name, calls in list(listed.items())[: options.most]:
            print(f"  {calls:7} {name}")
    print(f"import: {ours} modules of ours, {everything} in all")


if __name__ == "__main__":
    main()
