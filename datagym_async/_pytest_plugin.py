"""What pytest loads in every project where this package is installed: fixtures, and little else.

pytest finds it by the entry point ``datagym`` (``-p no:datagym`` leaves it out). So it must not get
in the way of those who ask for none of its fixtures: it loads no aiohttp, no server and no client
before a fixture is used, none of them is used by itself, and it does without pytest-asyncio, in
place of which anyio's plugin will do. Every test gets a service of its own, in its own event loop::

    async def test_upload(datagym_client, datagym_project):
        dataset_id = datagym_project.datasets[0].id
        await datagym_client.media.upload_file(dataset_id, "photo.jpg")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_asyncio import fixture as async_fixture

    from datagym_async import DataGymClient
    from datagym_async.server import SeededProject, Server
    from datagym_async.testing import FaultPlan
else:
    try:
        from pytest_asyncio import fixture as async_fixture
    except ModuleNotFoundError:
        async_fixture = pytest.fixture

__all__ = ["datagym_client", "datagym_faults", "datagym_project", "datagym_server", "datagym_token"]


@pytest.fixture
def datagym_token() -> str | None:
    """Return the token that the service lets in; None, the default, for a random one."""
    return None


@pytest.fixture
def datagym_faults() -> FaultPlan:
    """Return the plan of what goes wrong with `datagym_server`: nothing, until you add to it."""
    from datagym_async.testing import FaultPlan

    return FaultPlan()


@async_fixture
async def datagym_server(
    datagym_token: str | None, datagym_faults: FaultPlan
) -> AsyncIterator[Server]:
    """Run an embedded service for the length of a test."""
    from datagym_async.server import Server

    async with Server(token=datagym_token, middlewares=[datagym_faults.middleware]) as server:
        yield server


@async_fixture
async def datagym_project(datagym_server: Server) -> SeededProject:
    """Make a project with one empty dataset in `datagym_server`, and return their ids."""
    from datagym_async.server import SeedDataset, SeedProject

    project = SeedProject("Street scenes", datasets=(SeedDataset("Photos"),))
    return (await datagym_server.seed(project))[0]


@async_fixture
async def datagym_client(datagym_server: Server) -> AsyncIterator[DataGymClient]:
    """Open a client of `datagym_server` and close it at the end."""
    from datagym_async import DataGymClient

    async with DataGymClient(datagym_server.token, datagym_server.base_url) as client:
        yield client
