"""Measure what the session costs a request: ``python -m benchmarks.limiter_overhead``.

No socket: a transport that answers at once, so that what is left is the session's own work, retry
loop, slot and observation included. Processor time, the least of some rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from benchmarks.machine import machine_facts
from datagym_async._limits import Limits, LimitsConfig
from datagym_async._retry import RetryPolicy
from datagym_async._session import Session
from datagym_async._transport import StreamedResponse, Timeout
from datagym_async._wire._messages import Body, Lane, Replay, Request, Response

_UPLOAD = Request(
    "POST",
    "media/1/file",
    body=Body.of_bytes(b"x" * 8_000),
    replay=Replay.SETTLE,
    lane=Lane.UPLOAD,
)
_HEADERS = {"content-type": "application/json"}


async def _pieces() -> AsyncIterator[bytes]:
    yield b"{}"


class _AtOnce:
    """A transport that answers everything with 200 after one turn of the loop."""

    token_number = 1

    def with_timeout(self, timeout: Timeout) -> Self:
        """Return itself."""
        del timeout
        return self

    async def exchange(self, request: Request) -> Response:
        """Answer."""
        async with self.send(request) as answer:
            return Response(answer.status, answer.headers, b"{}")

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Answer."""
        del request
        await asyncio.sleep(0)
        yield StreamedResponse(status=200, headers=_HEADERS, chunks=_pieces())

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[StreamedResponse]:
        """Answer."""
        del url
        yield StreamedResponse(status=200, headers=_HEADERS, chunks=_pieces())

    async def aclose(self) -> None:
        """Do nothing."""


async def _round(requests: int, workers: int) -> float:
    """Return the microseconds of processor time that one request took."""
    session = Session(
        _AtOnce(),
        limits=Limits(LimitsConfig(rate=None)),
        retry=RetryPolicy(),
        timeout=Timeout(),
        base_url="https://service.test/",
    )

    async def work() -> None:
        for _ in range(requests // workers):
            await session.request(_UPLOAD)

    before = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return (time.process_time() - before) / requests * 1e6


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.limiter_overhead", description=__doc__
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for workers in (1, 8, 32):
        rounds = [asyncio.run(_round(options.requests, workers)) for _ in range(options.rounds)]
        print(f"{workers:>3} workers: {min(rounds):6.1f} microseconds a request")
    print("\n".join(f"{name}: {value}" for name, value in machine_facts().items()))


if __name__ == "__main__":
    main()
