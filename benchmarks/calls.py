"""Measure a small call: ``python -m benchmarks.calls``.

``HEAD project``, sixteen in flight, on one processor core with the server on another (Linux):
`client.ping()` of this project, with its defaults but for the rate limit, and ``session.get(url)``
of aiohttp, its body read. Each in a fresh process; rounds are interleaved, and medians count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

from benchmarks import side_venv
from benchmarks.machine import machine_facts
from benchmarks.measure import measured, run, stay_on
from benchmarks.runner import minimal_server

ROOT = Path(__file__).parents[1]
GOAL = 2.0
IN_FLIGHT = 16
OURS, PEER = "datagym_async", "aiohttp"


async def at_once(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run as many workers as there may be calls in flight."""
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())


async def ours(base_url: str, count: int) -> None:
    """Call with this project's client."""
    from datagym_async import DataGymClient

    async with DataGymClient("benchmark", base_url, rate_limit=None) as client:

        async def work() -> None:
            for _ in range(count // IN_FLIGHT):
                await client.ping()

        await at_once(work)


async def peer(base_url: str, count: int) -> None:
    """Call with aiohttp's session."""
    import aiohttp

    headers = {"Authorization": "Token benchmark"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def work() -> None:
            for _ in range(count // IN_FLIGHT):
                async with session.get(f"{base_url}/api/v1/project") as response:
                    response.raise_for_status()
                    await response.read()

        await at_once(work)


def taken(name: str, base_url: str, options: argparse.Namespace, *, uvloop: bool) -> float:
    """Return calls a second, measured in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.calls", "--job", name, "--base-url", base_url]
    command += ["--count", str(options.count), *(["--uvloop"] if uvloop else [])]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT)
    calls: int = options.count
    return calls / float(json.loads(done.stdout)["seconds"])


def main() -> None:
    """Run the comparison, or one of its jobs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="calls of a round (20,000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--quick", action="store_true", help="few calls, one round: a smoke test")
    parser.add_argument("--job", choices=(OURS, PEER), help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    parser.add_argument("--uvloop", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        stay_on(0)
        call = ours if options.job == OURS else peer
        run(call(options.base_url, IN_FLIGHT), options)  # the modules, before the clock
        with measured(["aiohttp"]):
            run(call(options.base_url, options.count), options)
        return
    if options.quick:
        options.count, options.rounds = 50, 1
    facts = machine_facts()
    loops = [False, True] if side_venv.can_import(sys.executable, "uvloop") else [False]
    with minimal_server("--core", "1") as base_url:
        for uvloop in loops:
            rates: dict[str, list[float]] = {OURS: [], PEER: []}
            for _ in range(options.rounds):
                for name in (OURS, PEER):
                    rates[name].append(taken(name, base_url, options, uvloop=uvloop))
            mine, theirs = (statistics.median(rates[name]) for name in (OURS, PEER))
            loop, ratio = "uvloop" if uvloop else "asyncio", mine / theirs
            goal = f"goal {GOAL:g}: {'met' if ratio >= GOAL else 'missed'}"
            print(
                f"{loop:8} {mine:8,.0f} calls/s, "
                f"aiohttp's session {theirs:8,.0f}: {ratio:.2f} times ({goal})"
            )
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))


if __name__ == "__main__":
    main()
