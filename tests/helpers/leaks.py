"""What a test must not leave behind: unfinished tasks and open file descriptors."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")


def open_descriptors() -> dict[int, str]:
    """Return the open file descriptors and what they lead to; empty where /proc is not there."""
    found: dict[int, str] = {}
    if not _DESCRIPTORS.is_dir():
        return found
    for entry in _DESCRIPTORS.iterdir():
        try:
            target = str(entry.readlink())
        except OSError:  # the descriptor of this very listing
            continue
        if not target.startswith("/dev/"):
            found[int(entry.name)] = target
    return found


def new_descriptors(before: dict[int, str]) -> list[str]:
    """Return what is open now and was not open before, once garbage has had its chance."""
    after = open_descriptors()
    for turn in range(100):
        if len(after) <= len(before):
            return []
        # Real time only where a test is about to fail: a thread closes its socket when it can.
        time.sleep(0.01) if turn else gc.collect()
        after = open_descriptors()
    return sorted(set(after.values()) - set(before.values()))


async def new_tasks(before: set[asyncio.Task[object]]) -> list[str]:
    """Return the unfinished tasks that were not there before; closing sockets get a few turns."""
    here = asyncio.current_task()
    leaked: set[asyncio.Task[object]] = set()
    for turn in range(130):
        leaked = {task for task in asyncio.all_tasks() - before if task is not here}
        if not leaked:
            return []
        # Real time only after the free turns, hence only where a test is about to fail.
        await asyncio.sleep(0 if turn < 30 else 0.01)
    return sorted(repr(task) for task in leaked)
