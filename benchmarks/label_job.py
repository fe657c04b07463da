"""Read one export in one way and print what it took: the fresh process of `benchmarks.labels`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def iterate(base_url: str, _: Path) -> int:
    """Give one task after the other: `labels.iter_export`."""
    from datagym_async import DataGymClient

    async def run() -> int:
        tasks = 0
        async with DataGymClient("benchmark", base_url) as client:
            async for _task in client.labels.iter_export("P"):
                tasks += 1
        return tasks

    return asyncio.run(run())


def stats(base_url: str, _: Path) -> int:
    """Count what each task holds as it comes, as `DataGymClient.stats` does."""
    from datagym_async import DataGymClient
    from datagym_async.look._stats import StatisticsTally

    async def run() -> int:
        tally = StatisticsTally("benchmark")
        async with DataGymClient("benchmark", base_url) as client:
            async for task in client.labels.iter_export("P"):
                tally.add(task)
        return tally.statistics().images

    return asyncio.run(run())


def export(base_url: str, _: Path) -> int:
    """Return all tasks at once: `labels.export`."""
    from datagym_async import DataGymClient

    async def run() -> int:
        async with DataGymClient("benchmark", base_url) as client:
            return len((await client.labels.export("P")).tasks)

    return asyncio.run(run())


def whole_file(_: str, file: Path) -> int:
    """Read a file with orjson and `parse_export`."""
    import orjson

    from datagym_async.labels import parse_export

    return len(parse_export(orjson.loads(file.read_bytes())).tasks)


def whole_file_by_hand(_: str, file: Path) -> int:
    """Read a file with orjson and classes of one's own, structured by cattrs."""
    import orjson

    from benchmarks.label_models import converter, tasks

    return len(tasks(converter(), orjson.loads(file.read_bytes())))


def official_sdk(base_url: str, _: Path) -> int:
    """Return all tasks as dictionaries: the SDK's `export_labels`."""
    datagym: Any = importlib.import_module("datagym")
    client = datagym.Client("benchmark", base_url=f"{base_url}/")
    return len(client.export_labels("P")) - 1


WAYS: dict[str, tuple[Callable[[str, Path], int], tuple[str, ...]]] = {
    "iterate": (iterate, ("datagym_async._opened",)),
    "stats": (stats, ("datagym_async._opened", "datagym_async.look")),
    "export": (export, ("datagym_async._opened",)),
    "whole-file": (whole_file, ("datagym_async.labels", "orjson")),
    "whole-file-by-hand": (whole_file_by_hand, ("benchmarks.label_models", "orjson")),
    "official-sdk": (official_sdk, ("datagym",)),
}
"""Each way, and what is imported before the clock starts: all that it loads, late imports too."""


def main() -> None:
    """Read as the command line asks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("base_url")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    read, modules = WAYS[options.way]
    for module in modules:
        importlib.import_module(module)
    before, cpu, start = memory("VmRSS"), time.process_time(), time.perf_counter()
    tasks = read(options.base_url, options.file)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    taken = {"tasks": tasks, "seconds": seconds, "cpu_seconds": cpu_seconds}
    taken["grown"] = memory("VmHWM") - before
    sys.stdout.write(json.dumps(taken) + "\n")


def memory(name: str) -> int:
    """Return a figure of /proc/self/status in bytes; 0 where there is none."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


if __name__ == "__main__":
    main()
