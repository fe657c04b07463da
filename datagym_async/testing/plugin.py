"""A pytest plugin: the embedded service, and a client of it, as fixtures.

In a conftest.py: ``pytest_plugins = ["datagym_async.testing.plugin"]``; it needs pytest-asyncio
and the extra ``server``. Every test gets a service of its own, in its own event loop::

    async def test_upload(datagym_client, datagym_project):
        dataset_id = datagym_project.datasets[0].id
        await datagym_client.media.upload_file(dataset_id, "photo.jpg")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from datagym_async.server import SeedDataset, SeededProject, SeedProject, Server
from datagym_async.testing._plan import FaultPlan

if TYPE_CHECKING:
    from datagym_async import DataGymClient


@pytest.fixture
def datagym_token() -> str | None:
    """Return the token that the service lets in; None, the default, for a random one."""
    return None


@pytest.fixture
def datagym_faults() -> FaultPlan:
    """Return the plan of what goes wrong with `datagym_server`: nothing, until you add to it."""
    return FaultPlan()


@pytest_asyncio.fixture
async def datagym_server(
    datagym_token: str | None, datagym_faults: FaultPlan
) -> AsyncIterator[Server]:
    """Run an embedded service for the length of a test."""
    async with Server(token=datagym_token, middlewares=[datagym_faults.middleware]) as server:
        yield server


@pytest_asyncio.fixture
async def datagym_project(datagym_server: Server) -> SeededProject:
    """Make a project with one empty dataset in `datagym_server`, and return their ids."""
    project = SeedProject("Street scenes", datasets=(SeedDataset("Photos"),))
    return (await datagym_server.seed(project))[0]


@pytest_asyncio.fixture
async def datagym_client(datagym_server: Server) -> AsyncIterator[DataGymClient]:
    """Open a client of `datagym_server` and close it at the end."""
    from datagym_async import DataGymClient  # the service's fixtures do without any client

    async with DataGymClient(datagym_server.token, datagym_server.base_url) as client:
        yield client
