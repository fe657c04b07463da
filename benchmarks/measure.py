"""What one upload took, measured from inside its process. Standard library only."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def measured(packages: Sequence[str]) -> Iterator[None]:
    """Print, as JSON, what the block took and which versions of packages took part."""
    cpu, start = cpu_seconds(), time.perf_counter()
    yield
    taken = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": cpu_seconds() - cpu,
        "peak_rss": peak_rss(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    sys.stdout.write(json.dumps(taken) + "\n")


def arguments() -> argparse.Namespace:
    """Return folder, base_url, dataset and workers from a contender's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("base_url")
    parser.add_argument("workers", type=int)
    parser.add_argument("--defaults", action="store_true", help="the library's, without a journal")
    parser.add_argument("--uvloop", action="store_true", help="run in a loop of uvloop")
    parser.add_argument("--core", type=int, help="the processor core to stay on (Linux)")
    parser.add_argument(
        "--portion", type=int, default=1, help="files a thread hop; 0 reads in the event loop"
    )
    options = parser.parse_args()
    stay_on(options.core)
    options.dataset = "00000000-0000-4000-8000-000000000001"
    return options


def run(main: Coroutine[object, object, None], options: argparse.Namespace) -> None:
    """Run a contender in the event loop that was asked for."""
    factory = None
    if options.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def stay_on(core: int | None) -> None:
    """Keep this process on one processor core, where the system can."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def cpu_seconds() -> float:
    """Return the user and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_rss() -> int:
    """Return the peak of resident memory in bytes."""
    # ru_maxrss would carry the parent's peak through exec on Linux; VmHWM begins anew.
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("ascii").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
