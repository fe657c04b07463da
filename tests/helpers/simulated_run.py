"""Whole uploads against services that exist in virtual time alone: what limits them is known."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import attrs

from datagym_async import RetryPolicy, UploadConfig, Uploader, UploadItem, UploadReport
from datagym_async._limits import Limits, LimitsConfig
from datagym_async._session import Session
from datagym_async._transport import StreamedResponse, Timeout
from datagym_async._wire import Request, Response
from datagym_async.resources import MediaResource
from datagym_async.uploads._tally import Meters
from tests.helpers.fake_family import FakeFamily

Answering: TypeAlias = Callable[[str, int], Awaitable[Response | None]]
"""Takes a dataset's id and the bytes of a body; a response is sent instead of the usual one."""

_MEDIA = {"timestamp": 0, "mediaSourceType": "LOCAL", "mediaName": "x.jpg", "valid": True}


@attrs.define
class Simulated:
    """A transport that leads to a service in virtual time.

    Args:
        answering: What an upload takes, and what comes of it.
    """

    answering: Answering
    count: int = 0
    token_number: int = 1

    def with_timeout(self, _: Timeout) -> Simulated:
        """Go on as before: the service answers in its own time."""
        return self

    async def exchange(self, request: Request) -> Response:
        """Take an upload."""
        assert request.body is not None
        if request.body.open is not None:
            async with request.body.open() as chunks:
                async for _ in chunks:
                    pass
        self.count += 1
        number = self.count
        said = await self.answering(request.path.split("/")[-2], request.body.size)
        if said is not None:
            return said
        body = json.dumps(_MEDIA | {"id": f"m-{number}"}).encode()
        return Response(200, {"content-type": "application/json"}, body)

    def send(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Nothing is streamed here."""
        raise NotImplementedError(request.path)

    def fetch(self, url: str) -> AbstractAsyncContextManager[StreamedResponse]:
        """Nothing is fetched here."""
        raise NotImplementedError(url)

    async def aclose(self) -> None:
        """Nothing is open."""


async def simulated_run(
    answering: Answering,
    source: Iterator[UploadItem] | AsyncIterator[UploadItem],
    *,
    config: UploadConfig | None = None,
    limits: LimitsConfig | None = None,
    family: FakeFamily | None = None,
) -> UploadReport:
    """Upload what the source names, and return the report."""
    limits = limits or LimitsConfig(rate=None)
    bounds, family = Limits(limits), family or FakeFamily()
    if not family.datasets:
        family.add("Photos")
    session = Session(
        Simulated(answering),
        limits=bounds,
        retry=RetryPolicy(),
        timeout=Timeout(),
        base_url="https://service.test/",
    )
    uploader = Uploader(
        MediaResource(session, dialect="media"),
        family,
        family.datasets[0].id,
        source,
        config=config or UploadConfig(check="none"),
        meters=Meters(session.statistics, bounds),
    )
    async with uploader as run:
        return await run.finish()


def images(count: int, size: Callable[[int], int] = lambda _: 2_000) -> Iterator[UploadItem]:
    """Yield images of some sizes."""
    return (UploadItem(f"{number:06}.jpg", b"\xff" * size(number)) for number in range(count))


@attrs.define
class OneLine:
    """A service that works on one upload after the other.

    Args:
        cost: Seconds of work, and of an upload that is alone, by what its dataset holds.
    """

    cost: Callable[[int], tuple[float, float]]
    held: Counter[str] = attrs.field(factory=Counter)
    _free_at: float = 0.0

    async def __call__(self, dataset_id: str, size: int) -> None:
        """Store an image."""
        del size
        now = asyncio.get_running_loop().time()
        work, alone = self.cost(self.held[dataset_id])
        self.held[dataset_id] += 1
        self._free_at = max(now, self._free_at) + work
        await asyncio.sleep(self._free_at + alone - work - now)
