"""A service that fails by plan, a client of it, and a project with one dataset: all in one loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from datagym_async import DataGymClient, RetryPolicy
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server
from datagym_async.testing import FaultPlan
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.models import DatasetMedia

UPLOADS = r"/file$"
"""Pattern of the path of file uploads."""
SETTLING = RetryPolicy(settle_after=0.1)
"""The usual waits, but for a short one before lost answers are looked up: for virtual time."""


@attrs.frozen
class World:
    """A running service and a client of it.

    Args:
        server: The service.
        plan: What goes wrong, and what the service has seen.
        client: An open client with the sentinel token.
        project: A project with one dataset.
    """

    server: Server
    plan: FaultPlan
    client: DataGymClient
    project: SeededProject

    @property
    def project_id(self) -> str:
        """Return the project."""
        return self.project.id

    @property
    def dataset_id(self) -> str:
        """Return the dataset of the project."""
        return self.project.datasets[0].id

    async def media(self) -> tuple[DatasetMedia, ...]:
        """Return what the dataset holds, faults taken away."""
        self.plan.clear()
        return (await self.client.datasets.get(self.dataset_id)).media

    async def names(self) -> list[str]:
        """Return the names that the dataset holds, sorted, faults taken away."""
        return sorted(media.name for media in await self.media())

    async def held(self) -> Counter[str]:
        """Return how often the dataset holds each name, faults taken away."""
        return Counter(media.name for media in await self.media())


@asynccontextmanager
async def world(
    *media: SeedMedia,
    data: Path | None = None,
    retry: RetryPolicy = SETTLING,
    concurrency: int | None = None,
    max_allowed_packet: int = 16 << 20,
) -> AsyncIterator[World]:
    """Give a world; the service has no connection open when it ends.

    Args:
        media: What the dataset holds at the beginning.
        data: The folder of the service, for one that is to be stopped and started again.
        retry: How the client tries again.
        concurrency: Uploads in flight, pinned.
        max_allowed_packet: Bytes from which on the service refuses a file.
    """
    plan = FaultPlan()
    async with Server(
        data, token=TOKEN, max_allowed_packet=max_allowed_packet, middlewares=[plan.middleware]
    ) as server:
        seed = SeedProject("Street scenes", datasets=(SeedDataset("Photos", media=media),))
        (project,) = await server.seed(seed)
        async with DataGymClient(
            TOKEN,
            server.base_url,
            rate_limit=None,
            concurrency=concurrency,
            retry=retry,
            dialect="media",
        ) as client:
            yield World(server, plan, client, project)
        await _closed(server)


async def _closed(server: Server) -> None:
    """Wait for answers that nobody waits for any more; then no connection may be open."""
    for _ in range(900):
        if server.statistics().open_connections == 0:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"The service has connections open: {server.statistics()}")
