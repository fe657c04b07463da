"""The pytest plugin gives a test a service with a project, a client, and faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from datagym_async.testing import Status
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async import DataGymClient
    from datagym_async.server import SeededProject, Server
    from datagym_async.testing import FaultPlan

pytest_plugins = ["datagym_async.testing.plugin"]


@pytest.fixture
def datagym_token() -> str:
    """Have the service let the sentinel in: a user's test sets a known token like this."""
    return TOKEN


async def test_the_server_has_a_project_with_a_dataset(
    datagym_server: Server, datagym_project: SeededProject
) -> None:
    """The server fixture listens, lets the chosen token in and holds the seeded project."""
    headers = {"Authorization": f"Token {TOKEN}"}
    async with (
        aiohttp.ClientSession(datagym_server.base_url, headers=headers) as session,
        session.get("/api/v1/project") as response,
    ):
        (project,) = await response.json()

    assert project["id"] == datagym_project.id
    assert [dataset["id"] for dataset in project["datasets"]] == [datagym_project.datasets[0].id]


async def test_the_plan_of_faults_is_the_servers(
    datagym_server: Server, datagym_faults: FaultPlan
) -> None:
    """What a test adds to the plan happens to the server of that test."""
    datagym_faults.add(Status(418))
    async with (
        aiohttp.ClientSession(datagym_server.base_url) as session,
        session.get("/api/v1/project") as response,
    ):
        assert response.status == 418


async def test_the_client_is_open_and_talks_to_the_server(
    datagym_client: DataGymClient, datagym_project: SeededProject
) -> None:
    """The client fixture is ready for calls."""
    assert [project.id for project in await datagym_client.projects.list()] == [datagym_project.id]
