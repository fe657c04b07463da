"""Compare adaptive with fixed concurrency: ``python -m benchmarks.limiter``.

In one run, over loopback sockets: a service that takes 5, 50 or 200 ms and works on 4, 16 or 64
requests at once, in a process of its own. 128 workers upload 8 kB bodies through the session, with
the upload lane pinned to powers of two around the service's places, and adaptive with a maximum of
128. What counts is the throughput from the tenth second on, and the latency of attempts there.

The best pinned number is the smallest whose throughput is within 2 % of the largest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Self

import attrs

from benchmarks.machine import machine_facts
from benchmarks.runner import minimal_server
from datagym_async._limits import Limits, LimitsConfig
from datagym_async._retry import RetryPolicy
from datagym_async._session import Session
from datagym_async._transport import AiohttpTransport, StreamedResponse, Timeout
from datagym_async._wire._messages import Body, Lane, Replay, Request, Response

MOST = 128
LEAST_THROUGHPUT, MOST_P95 = 0.9, 2.0
_NEARLY_BEST = 0.98
_UPLOAD = Request(
    "POST",
    "media/00000000-0000-4000-8000-000000000001/file",
    headers={"X-filename": "photo.jpg"},
    body=Body.of_bytes(b"x" * 8_000),
    replay=Replay.SETTLE,
    lane=Lane.UPLOAD,
)


@attrs.frozen
class Seen:
    """What was measured with one way to bound the concurrency.

    Args:
        rate: Requests a second.
        p95: Seconds, of attempts.
        limit: Places of the lane at the end.
    """

    rate: float
    p95: float
    limit: int


@attrs.frozen
class Row:
    """Adaptive by the best pinned number, for one service; medians of the rounds.

    Args:
        latency: The service's seconds.
        places: How many it works on at once.
        best: The best pinned number.
        pinned: What was seen with it.
        adaptive: What was seen without a pin.
        ratio: Throughput, adaptive by pinned.
        p95_ratio: The same of the 95th percentile of the latency.
    """

    latency: float
    places: int
    best: int
    pinned: Seen
    adaptive: Seen
    ratio: float
    p95_ratio: float

    @property
    def is_met(self) -> bool:
        """Whether both goals are met."""
        return self.ratio >= LEAST_THROUGHPUT and self.p95_ratio <= MOST_P95


@attrs.define
class _Timed:
    """A transport that notes how long attempts take."""

    transport: AiohttpTransport
    seconds: list[float] = attrs.field(factory=list)

    token_number: int = 1

    def with_timeout(self, timeout: Timeout) -> Self:
        """Return itself."""
        del timeout
        return self

    async def exchange(self, request: Request) -> Response:
        """Send, and note how long it took."""
        began = time.perf_counter()
        response = await self.transport.exchange(request)
        self.seconds.append(time.perf_counter() - began)
        return response

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send."""
        return self.transport.send(request)

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        """Fetch."""
        return self.transport.fetch(url)

    async def aclose(self) -> None:
        """Close."""
        await self.transport.aclose()


def main() -> None:
    """Run the comparison as the command line asks."""
    options = _arguments()
    facts = machine_facts()  # before the run, for the load that was there without it
    rows = [
        _compare(latency, places, options)
        for latency in options.latencies
        for places in options.places
    ]
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    print(f"goals: throughput at least {LEAST_THROUGHPUT}, p95 at most {MOST_P95:g} times")
    if options.json:
        found = [{**attrs.asdict(row), "is_met": row.is_met} for row in rows]
        value = {"machine": facts, "warm_up": options.warm_up, "rows": found}
        options.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limiter", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one service, short: a smoke test")
    parser.add_argument("--rounds", type=int, help="rounds of which the median counts (5)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    quick = options.quick
    options.rounds = options.rounds or (1 if quick else 5)
    options.latencies = (0.05,) if quick else (0.005, 0.05, 0.2)
    options.places = (4,) if quick else (4, 16, 64)
    options.warm_up = 1.5 if quick else 10.0
    options.seconds = 0.5 if quick else 2.0
    return options


def _compare(latency: float, places: int, options: argparse.Namespace) -> Row:
    """Measure all ways against one service, taking turns, and print the line of the table."""
    pins: list[int | None] = [None]
    pins += [places * part // 4 for part in (1, 2, 4, 8, 16) if places * part // 4 <= MOST]
    seen: dict[int | None, list[Seen]] = {pin: [] for pin in pins}
    with minimal_server(str(latency), str(places), module="limiter_server") as address:
        base_url = f"{address}/"
        for number in range(options.rounds):
            for pin in pins[number % len(pins) :] + pins[: number % len(pins)]:
                # A fixed number is at its best at once, but for the opening of connections.
                warm_up = options.warm_up if pin is None else max(0.5, 3 * latency)
                measured = _measure(base_url, pin, warm_up=warm_up, seconds=options.seconds)
                seen[pin].append(asyncio.run(measured))
    row = _row(latency, places, {pin: _median(rounds) for pin, rounds in seen.items()})
    print(_line(row), flush=True)
    return row


def _row(latency: float, places: int, seen: dict[int | None, Seen]) -> Row:
    adaptive = seen[None]
    fixed = {pin: one for pin, one in seen.items() if pin is not None}
    most = max(one.rate for one in fixed.values())
    best = min(pin for pin, one in fixed.items() if one.rate >= _NEARLY_BEST * most)
    return Row(
        latency=latency,
        places=places,
        best=best,
        pinned=fixed[best],
        adaptive=adaptive,
        ratio=adaptive.rate / fixed[best].rate,
        p95_ratio=adaptive.p95 / fixed[best].p95,
    )


def _median(rounds: list[Seen]) -> Seen:
    return Seen(
        rate=statistics.median(one.rate for one in rounds),
        p95=statistics.median(one.p95 for one in rounds),
        limit=round(statistics.median(one.limit for one in rounds)),
    )


def _line(row: Row) -> str:
    pinned, adaptive = row.pinned, row.adaptive
    return (
        f"{row.latency * 1000:>4.0f} ms, {row.places:>2} at once:"
        f" best pinned {row.best:>3}: {pinned.rate:>6.0f}/s p95 {pinned.p95 * 1000:>4.0f} ms;"
        f" adaptive {adaptive.limit:>3}: {adaptive.rate:>6.0f}/s"
        f" p95 {adaptive.p95 * 1000:>4.0f} ms;"
        f" {row.ratio:.2f} of the throughput, {row.p95_ratio:.2f} times the p95:"
        f" {'met' if row.is_met else 'MISSED'}"
    )


async def _measure(base_url: str, pin: int | None, *, warm_up: float, seconds: float) -> Seen:
    timed = _Timed(AiohttpTransport(base_url=base_url, token="t", timeout=Timeout()))
    session = Session(
        timed,
        limits=Limits(LimitsConfig(uploads=MOST, rate=None, concurrency=pin)),
        retry=RetryPolicy.none(),
        timeout=Timeout(),
        base_url=base_url,
    )
    try:
        end = asyncio.get_running_loop().time() + warm_up + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(MOST):
                group.create_task(_upload(session, end))
            await asyncio.sleep(warm_up)
            warm = len(timed.seconds)
            await asyncio.sleep(seconds)
            measured = sorted(timed.seconds[warm:])
            limit = session.limiter(Lane.UPLOAD).limit
    finally:
        await session.aclose()
    # Of a moment in which a busy machine let nothing through, the time is not known.
    p95 = measured[int(0.95 * len(measured))] if measured else math.inf
    return Seen(rate=len(measured) / seconds, p95=p95, limit=limit)


async def _upload(session: Session, end: float) -> None:
    clock = asyncio.get_running_loop().time
    while clock() < end:
        await session.request(_UPLOAD)


if __name__ == "__main__":
    main()
